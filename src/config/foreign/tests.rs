//! Each row of the tables, written into a configuration, shows its hint.

use super::super::library;
use super::super::loader::load_sources;
use super::super::sources::Sources;
use super::buildbot::{Place, ROWS};
use super::python::{ATTRIBUTES, NAMES, PATTERNS, STATEMENTS};

const HEAD: &str = "load('@stdlib//steps.star', 'sh')\n";

/// The hints for a configuration.
fn hints(text: &str) -> Vec<String> {
    let files = library::with_main(&format!("{HEAD}{text}\n"));
    let refused = load_sources(Sources { main: "master.star".to_owned(), files }).err();
    let problems = refused.map(|refused| refused.problems).unwrap_or_default();
    problems.into_iter().filter_map(|problem| problem.hint).collect()
}

/// Checks all at once, so that one run tells everything that is missing.
#[derive(Default)]
struct Shown {
    missing: Vec<String>,
}

impl Shown {
    fn hint(&mut self, text: &str, wanted: &str) {
        let found = hints(text);
        if !found.iter().any(|hint| hint.contains(wanted)) {
            self.missing.push(format!("{text}\n   wanted: {wanted}\n   found: {found:?}"));
        }
    }

    fn all(self) {
        assert!(self.missing.is_empty(), "{}", self.missing.join("\n"));
    }
}

#[test]
fn names_of_buildbot_show_what_they_are_here() {
    let mut shown = Shown::default();
    assert!(ROWS.len() >= 60);
    for row in ROWS {
        let text = match row.place {
            Place::Name if row.name == "c" => "c['workers'] = []".to_owned(),
            Place::Name => format!("x = {}('a')", row.name),
            Place::Argument => format!("x = sh('a', {} = 1)", row.name),
            Place::Member => format!("def f(ctx):\n    return ctx.{}", row.name),
        };
        shown.hint(&text, &row.hint());
    }
    shown.hint("x = util.Interpolate('a')", "interpolate(");
    shown.hint("worker.Worker('a', 'b')", "worker(\"name\", password");
    shown.hint("from buildbot.plugins import *", "from-buildbot.md");
    shown.all();
}

#[test]
fn a_name_is_once_in_the_table() {
    for (index, row) in ROWS.iter().enumerate() {
        let again = ROWS[index + 1..].iter().find(|other| other.place == row.place && other.name == row.name);
        assert!(again.is_none(), "{} stands twice", row.name);
    }
}

#[test]
fn what_the_tables_say_to_load_is_there() {
    let rows = ROWS.iter().map(|row| row.write).chain(NAMES.iter().chain(ATTRIBUTES).map(|(_, write)| *write));
    for write in rows {
        for load in write.split("load(").skip(1).filter_map(|rest| rest.split(')').next()) {
            if load.contains("@stdlib") {
                let failed = hints(&format!("load({load})"));
                assert!(failed.is_empty(), "load({load}): {failed:?}");
            }
        }
    }
}

#[test]
fn names_of_python_show_what_to_write() {
    let mut shown = Shown::default();
    for (name, write) in NAMES {
        shown.hint(&format!("x = {name}('a')"), write);
    }
    shown.all();
}

#[test]
fn methods_of_python_show_what_to_write() {
    let mut shown = Shown::default();
    for (name, write) in ATTRIBUTES {
        let object = if *name == "access" { "lock('l')" } else { "[1]" };
        shown.hint(&format!("x = {object}\nx.{name}()"), write);
    }
    shown.all();
}

#[test]
fn statements_of_python_show_what_to_write() {
    let mut shown = Shown::default();
    for (word, write) in STATEMENTS {
        let text = match *word {
            "else if" => "if 1:\n    pass\nelse if 2:\n    pass".to_owned(),
            "except" | "finally" => format!("x = 1\n{word}:\n    pass"),
            _ => format!("{word} x:\n    pass"),
        };
        shown.hint(&text, write);
    }
    shown.all();
}

#[test]
fn expressions_of_python_show_what_to_write() {
    let mut shown = Shown::default();
    for row in PATTERNS {
        shown.hint(row.example, row.write);
    }
    shown.all();
}

#[test]
fn other_habits_have_their_hints() {
    let mut shown = Shown::default();
    for (text, wanted) in [
        ("x = '%02d' % 3", "pad(n, 2)"),
        ("x = '{:02d}'.format(3)", "pad(n, 2)"),
        ("y = 3\nx = f'{y:02d}'", "pad(n, 2)"),
        ("x = 'abc", "the quote that it begins with"),
        ("print('a', end = '')", "print takes values only"),
        ("x = 'a' + 1", "str(…)"),
        ("def f():\n    x = [1]\n    x.sort()", "write sorted(x)"),
        ("load('lib/x', 'y')", "load(\"lib/x.star\""),
        ("x = 'a' 'b'", "put `+` between"),
        ("x = sum([1])", "load(\"@stdlib//text.star\", \"sum\")"),
        ("x = interpolate('a')", "load(\"@stdlib//text.star\", \"interpolate\")"),
        ("x = parralel([])", "did you mean `parallel`?"),
        ("load('a.json', 'x')", "read it as data: data(\"a.json\")"),
        ("load('@stdlib//steps.star', 'shell')", "did you mean `sh`?"),
        ("load('@stdlib//steps.star', 'xyzzy')", "there are: copy, download"),
        ("load('@stdlib//steps.star', 'paralel')", "did you mean `parallel`?"),
        ("load('@stdlib//steps.star', 'ShellCommand')", "sh(\"make\")"),
        ("load('@stdlib//steps.star', '_title')", "begin with `_`"),
        ("def f(ctx):\n    pass\nworker('w')\nbuilder('b', workers = ['w'], steps = [f()])", "write `f`, not `f()`"),
        ("builder 'p', workers = ['w']", "write builder(…)"),
        ("x = {\n  'A'='b',\n}", "an entry of a dict is `key: value`"),
        ("worker('w', slots = '2')", "write it without quotes: slots = 2"),
        ("builder('b', workers = ['w'], steps = sh('make'))", "steps = [sh(…)]"),
        ("builder('b', workers = ['w'], steps = [[sh('make')]])", "a list of steps holds no lists"),
        ("x = sh(None)", "write for example sh(\"make\")"),
        ("load('@stdlib//steps.star', 'wait')\nx = wait(None)", "write for example \"90s\""),
        ("x = sh('a', exit_codes = {5: 'warning'})", "did you mean \"warnings\"?"),
    ] {
        shown.hint(text, wanted);
    }
    shown.all();
}

#[test]
fn a_name_of_ones_own_is_left_alone() {
    for (text, unwanted) in
        [("x = c + 1", "Buildbot"), ("worker = 1\nx = wroker", "Buildbot"), ("x = qqqq", "did you mean")]
    {
        assert!(hints(text).iter().all(|hint| !hint.contains(unwanted)), "{text}: {:?}", hints(text));
    }
}
