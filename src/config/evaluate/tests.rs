//! Scripts against a journal that answers as it is told.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::Timestamp;
use crate::config::{Cancel, Loaded, Sources, library, load_sources};
use crate::model::*;

/// A build whose asks are answered by a function, step by step, as the engine does it.
pub(super) struct Build {
    loaded: Loaded,
    context: BuildContext,
    step: usize,
    pub(super) journal: Journal,
    pub(super) readings: Readings,
}

impl Build {
    /// A build of the builder `b` in a configuration that defines `f`.
    pub(super) fn of(definitions: &str) -> Self {
        let head = "load(\"@stdlib//steps.star\", \"sh\", \"parallel\", \"group\")\nworker(\"w\")\n";
        let text = format!("{head}{definitions}\nbuilder(\"b\", workers = [\"w\"], steps = [f])\n");
        Self::whole(&text)
    }

    fn whole(text: &str) -> Self {
        let sources = Sources { main: "master.star".to_owned(), files: library::with_main(text) };
        let loaded = load_sources(sources).unwrap_or_else(|refused| panic!("{refused}"));
        let context = BuildContext {
            build: BuildId(1),
            number: 7,
            builder: "b".to_owned(),
            worker: WorkerFacts { name: "w".to_owned(), builder_dir: "/w/b".to_owned(), ..WorkerFacts::default() },
            properties: Properties::default(),
            stamps: Vec::new(),
            changes: Vec::new(),
            reason: "test".to_owned(),
            steps: Vec::new(),
            outcome: Outcome::Success,
            url: "http://localhost/".to_owned(),
        };
        Self { loaded, context, step: 0, journal: Journal::default(), readings: Readings::default() }
    }

    fn job(&self, part: EvalPart) -> EvalJob {
        EvalJob {
            turn: 1,
            plan: self.loaded.plan.digest.clone(),
            step: self.step,
            part,
            context: Arc::new(self.context.clone()),
            journal: Arc::new(self.journal.clone()),
            step_outcome: None,
            readings: Arc::new(self.readings.clone()),
        }
    }

    pub(super) fn evaluate(&self) -> EvalOutcome {
        self.loaded.scripts.evaluate(&self.job(EvalPart::Body), &Cancel::default())
    }

    pub(super) fn record(&mut self, asks: Vec<(Key, Ask)>) {
        for (key, ask) in asks {
            let entry = Entry { ask, answer: None, command: None, step: StepId(1) };
            assert!(self.journal.0.insert(key, entry).is_none(), "an ask is told once");
        }
    }

    /// The keys of recorded asks that wait for an answer.
    pub(super) fn open(&self) -> Vec<Key> {
        let open = self.journal.0.iter().filter(|(_, entry)| entry.answer.is_none() && !entry.ask.is_immediate());
        open.map(|(key, _)| key.clone()).collect()
    }

    /// Answers one of them.
    pub(super) fn answer(&mut self, key: &Key, answer: impl Fn(&Key, &Ask) -> Answer) {
        let entry = self.journal.0.get_mut(key).expect("it was asked");
        entry.answer = Some(answer(key, &entry.ask));
    }

    /// Evaluates and answers one ask at a time until the end; all asks in the order in which they came.
    pub(super) fn run(&mut self, answer: impl Fn(&Key, &Ask) -> Answer) -> (Vec<String>, EvalOutcome) {
        let mut told = Vec::new();
        for _ in 0..10_000 {
            let outcome = self.evaluate();
            assert_eq!(outcome, self.evaluate(), "the same job has the same outcome");
            let (EvalOutcome::Suspended { asks } | EvalOutcome::Done { asks, .. } | EvalOutcome::Failed { asks, .. }) =
                &outcome
            else {
                panic!("{outcome:?}")
            };
            told.extend(asks.iter().map(|(key, ask)| shown(key, ask)));
            self.record(asks.clone());
            if !matches!(outcome, EvalOutcome::Suspended { .. }) {
                return (told, outcome);
            }
            let key = self.open().into_iter().next().expect("a script that waits waits for something");
            self.answer(&key, &answer);
        }
        panic!("the script does not end");
    }
}

fn shown(key: &Key, ask: &Ask) -> String {
    let path: Vec<String> = key.0.iter().map(u32::to_string).collect();
    let what = match ask {
        Ask::Run(CommandSpec { program: Program::Shell(line), .. }) => format!("run {}", line.masked()),
        Ask::Run(CommandSpec { program: Program::Argv(words), .. }) => {
            format!("run {}", words.iter().map(Text::masked).collect::<Vec<_>>().join(" "))
        }
        Ask::File(file) => format!("{file:?}"),
        Ask::Wait(span) => format!("wait {span}"),
        Ask::Now => "now".to_owned(),
        Ask::Trigger(trigger) => format!("trigger {:?}", trigger.schedulers),
        Ask::BeginStep(begin) => format!("begin {}", begin.name),
        Ask::EndStep(end) => format!("end {} {}", end.outcome, end.summary.as_deref().unwrap_or("-")),
        Ask::SetProperty { name, value, .. } => format!("set {name}={value}"),
        Ask::SetSummary { text, .. } => format!("summary {text}"),
        Ask::AddUrl { name, url, .. } => format!("url {name} {url}"),
        Ask::WriteLog { log, text, .. } => format!("log {log} {text:?}"),
        Ask::ReadLog { request, .. } => format!("read {}", request.log),
        Ask::RecordTests { set, .. } => format!("tests {}: {}", set.name, set.counts.text()),
        Ask::RecordValue { measurement, .. } => format!("value {}={}", measurement.name, measurement.value),
        Ask::SetData { datum } => format!("data {}", datum.name),
    };
    format!("{} {what}", path.join("."))
}

/// Commands succeed, but those with `false` in them; what they print is what they are.
pub(super) fn usual(_: &Key, ask: &Ask) -> Answer {
    match ask {
        Ask::Run(spec) => {
            let words = super::command::words_of(&spec.program);
            let code = i64::from(words.contains("false"));
            let mut result = CommandResult::of(CommandEnd::Exited(code), &spec.exit_codes);
            result.stdout = spec.want_output.then_some(words);
            Answer::Command(result)
        }
        Ask::File(_) => Answer::Command(CommandResult::of(CommandEnd::Exited(0), &[(0, Outcome::Success)].into())),
        Ask::Now => Answer::Time(Timestamp::from_seconds(0)),
        Ask::Trigger(_) => Answer::Triggered(Triggered { outcome: Outcome::Success, builds: Vec::new() }),
        _ => Answer::Done,
    }
}

fn done(outcome: Outcome, summary: Option<&str>) -> EvalOutcome {
    EvalOutcome::Done { asks: Vec::new(), outcome, summary: summary.map(str::to_owned) }
}

/// The end without the asks.
pub(super) fn end(outcome: EvalOutcome) -> EvalOutcome {
    match outcome {
        EvalOutcome::Done { outcome, summary, .. } => EvalOutcome::Done { asks: Vec::new(), outcome, summary },
        EvalOutcome::Failed { message, .. } => EvalOutcome::Failed { asks: Vec::new(), message },
        other => other,
    }
}

#[test]
fn a_script_waits_for_each_answer_and_goes_on() {
    let mut build = Build::of(
        "def f(ctx):\n    a = ctx.run('first')\n    ctx.set_summary(a.stdout)\n    return ctx.run('second')\n",
    );
    assert!(matches!(build.evaluate(), EvalOutcome::Suspended { asks } if asks.len() == 1));
    let (told, outcome) = build.run(usual);
    assert_eq!(told, ["0 run first", "1 summary first", "2 run second"]);
    assert_eq!(end(outcome), done(Outcome::Success, Some("first")));
}

#[test]
fn a_failing_command_ends_the_step_unless_it_is_checked_by_the_script() {
    let (told, outcome) = Build::of("def f(ctx):\n    ctx.run('false')\n    ctx.run('never')\n").run(usual);
    assert_eq!(told, ["0 run false"]);
    assert_eq!(end(outcome), done(Outcome::Failure, Some("exit code 1")));

    let script = "def f(ctx):\n    if not ctx.run('false', check = False).ok:\n        ctx.run('then')\n";
    let (told, outcome) = Build::of(script).run(usual);
    assert_eq!(told, ["0 run false", "1 run then"]);
    assert_eq!(end(outcome), done(Outcome::Success, None));
}

#[test]
fn branches_advance_on_their_own() {
    let script = "
def two(name):
    def run(ctx):
        ctx.run(name + ' 1')
        ctx.run(name + ' 2')
    return step(name, run = run)
def f(ctx):
    results = ctx.parallel([two('a'), two('b')])
    ctx.run('after')
    return all([r.ok for r in results])
";
    let mut build = Build::of(script);
    let EvalOutcome::Suspended { asks } = build.evaluate() else { panic!() };
    let told: Vec<String> = asks.iter().map(|(key, ask)| shown(key, ask)).collect();
    assert_eq!(told, ["0.0.0 begin a", "0.0.1 run a 1", "0.1.0 begin b", "0.1.1 run b 1"]);
    build.record(asks);

    // The second branch is answered first.
    let entry = build.journal.0.get_mut(&Key(vec![0, 1, 1])).unwrap();
    entry.answer = Some(usual(&Key(vec![]), &entry.ask.clone()));
    let EvalOutcome::Suspended { asks } = build.evaluate() else { panic!() };
    let told: Vec<String> = asks.iter().map(|(key, ask)| shown(key, ask)).collect();
    assert_eq!(told, ["0.1.2 run b 2"]);
    build.record(asks);

    let (told, outcome) = build.run(usual);
    assert_eq!(told, ["0.0.2 run a 2", "0.0.3 end success -", "0.1.3 end success -", "1 run after"]);
    assert_eq!(end(outcome), done(Outcome::Success, None));
}

#[test]
fn failed_children_count_by_their_flags() {
    let run = |flags: &str| {
        let script = format!("def f(ctx):\n    ctx.parallel([sh('false'{flags}), sh('true')])\n");
        match Build::of(&script).run(usual).1 {
            EvalOutcome::Done { outcome, .. } => outcome,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(run(""), Outcome::Failure);
    assert_eq!(run(", flunk_on_failure = False"), Outcome::Success);
    assert_eq!(run(", flunk_on_failure = False, warn_on_failure = True"), Outcome::Warnings);
    assert_eq!(run(", exit_codes = {1: 'warnings', 0: 'success'}"), Outcome::Warnings);
    assert_eq!(run(", exit_codes = {1: 'warnings', 0: 'success'}, flunk_on_warnings = True"), Outcome::Failure);
}

#[test]
fn a_child_that_halts_ends_the_function() {
    let script = "def f(ctx):\n    ctx.step(sh('false'))\n    ctx.run('never')\n";
    let (told, outcome) = Build::of(script).run(usual);
    assert_eq!(told, ["0 begin false", "1 run false", "2 end failure exit code 1"]);
    assert_eq!(end(outcome), done(Outcome::Failure, None));

    let script = "def f(ctx):\n    r = ctx.step(sh('false', halt_on_failure = False))\n    ctx.run('on')\n    return 'warnings' if not r.ok else None\n";
    let (told, outcome) = Build::of(script).run(usual);
    assert_eq!(told[3], "3 run on");
    assert_eq!(end(outcome), done(Outcome::Warnings, None));
}

#[test]
fn a_child_is_tried_again_after_a_pause() {
    let script = "def f(ctx):\n    ctx.step(sh('false', retries = 2, retry_delay = '5s'))\n";
    let (told, _) = Build::of(script).run(usual);
    let begins = told.iter().filter(|line| line.contains("begin")).count();
    let waits: Vec<&String> = told.iter().filter(|line| line.contains("wait")).collect();
    assert_eq!((begins, waits.len()), (3, 2));
    assert!(waits[0].ends_with("5s") && waits[1].ends_with("10s"));
}

#[test]
fn own_properties_are_seen_and_branches_do_not_see_each_others() {
    let script = "
def branch(ctx):
    ctx.log('seen', str(ctx.property('x', 'none')) + ' ' + str(ctx.property('y', 'none')))
    ctx.set_property('y', 2)
def f(ctx):
    ctx.set_property('x', [1, {'a': None}])
    ctx.parallel([branch, branch])
    ctx.log('seen', str(ctx.property('y')) + str(ctx.properties()['x']))
";
    let (told, _) = Build::of(script).run(usual);
    let seen: Vec<&String> = told.iter().filter(|line| line.contains("log seen")).collect();
    assert!(seen[0].ends_with("none\\n\"") && seen[1].ends_with("none\\n\""), "{told:?}");
    assert!(seen[2].contains("2[1, {\\\"a\\\": None}]"), "{told:?}");
}

#[test]
fn fail_warn_and_skip_end_or_mark_the_step() {
    let outcome = |body: &str| end(Build::of(&format!("def f(ctx):\n    {body}\n    ctx.run('on')\n")).run(usual).1);
    assert_eq!(outcome("ctx.fail('tests are red')"), done(Outcome::Failure, Some("tests are red")));
    assert_eq!(outcome("ctx.skip('nothing to do')"), done(Outcome::Skipped, Some("nothing to do")));
    assert_eq!(outcome("ctx.warn('slow')"), done(Outcome::Warnings, Some("slow")));
}

#[test]
fn a_warning_stays_whatever_is_returned_that_is_no_worse() {
    let outcome = |body: &str| {
        let script = format!("def child(ctx):\n    ctx.warn('one')\n    return 'success'\ndef f(ctx):\n    {body}\n");
        let EvalOutcome::Done { outcome, .. } = Build::of(&script).run(usual).1 else { panic!("{body}") };
        outcome
    };
    for body in [
        "ctx.warn('one')\n    return ctx.run('true', check = False)",
        "r = ctx.run('true', check = False)\n    ctx.warn('one')\n    return r",
        "ctx.warn('one')\n    return 'success'",
        "ctx.warn('one')\n    return True",
        "ctx.warn('one')\n    return 'skipped'",
        "ctx.warn('one')\n    ctx.skip('nothing to do')",
        "ctx.warn('one')\n    return [ctx.run('true')]",
        "ctx.step(child)\n    return 'success'",
        "return ctx.step(child)",
        "ctx.parallel([child, child])\n    return ctx.run('true')",
    ] {
        assert_eq!(outcome(body), Outcome::Warnings, "{body}");
    }
    for body in [
        "ctx.warn('one')\n    return 'failure'",
        "ctx.warn('one')\n    return False",
        "ctx.warn('one')\n    ctx.fail('red')",
        "ctx.warn('one')\n    return ctx.run('false', check = False)",
    ] {
        assert_eq!(outcome(body), Outcome::Failure, "{body}");
    }
}

#[test]
fn a_condition_may_look_at_the_worker() {
    let text = "
worker(\"w\")
def nothing(ctx):
    return ctx.stat('build/none') == None and ctx.glob('*.c') == []
builder(\"b\", workers = [\"w\"], steps = [
    step(\"s\", run = lambda ctx: ctx.run('make') and None, do_if = nothing, hide_if = lambda ctx, outcome: nothing(ctx)),
    step(\"t\", run = lambda ctx: None, do_if = lambda ctx: ctx.skip()),
])
";
    let mut build = Build::whole(text);
    let decide = |build: &Build, part| build.loaded.scripts.evaluate(&build.job(part), &Cancel::default());
    for part in [EvalPart::DoIf, EvalPart::HideIf] {
        for _ in 0..2 {
            let EvalOutcome::Suspended { asks } = decide(&build, part) else { panic!("{part:?}") };
            assert!(asks.len() == 1 && asks[0].0.part() == part && asks[0].1.only_looks(), "{asks:?}");
            for (key, ask) in asks {
                let answer = Answer::Command(CommandResult::of(CommandEnd::Exited(0), &[(0, Outcome::Success)].into()));
                let entry = Entry { ask, answer: Some(answer), command: None, step: StepId(1) };
                build.journal.0.insert(key, entry);
            }
        }
        assert_eq!(decide(&build, part), EvalOutcome::Decided(true));
    }
    // The body does not mistake what the conditions asked for its own.
    let EvalOutcome::Suspended { asks } = build.evaluate() else { panic!() };
    assert_eq!(asks[0].0, Key(vec![0]));
    build.step = 1;
    let EvalOutcome::Failed { message, .. } = decide(&build, EvalPart::DoIf) else { panic!() };
    assert!(message.contains("cannot end the step"), "{message}");
}

#[test]
fn conditions_with_buildbots_arguments_are_refused() {
    for (condition, words) in [
        ("do_if = lambda step: True", "`do_if` must be a function of (ctx)"),
        ("do_if = lambda a, b: True", "`do_if` must be a function of (ctx)"),
        ("hide_if = lambda results, step: results == 3", "`hide_if` must be a function of (ctx, outcome)"),
    ] {
        let text = format!(
            "worker(\"w\")\nbuilder(\"b\", workers = [\"w\"], steps = [step(\"s\", run = lambda ctx: None, {condition})])\n"
        );
        let sources = Sources { main: "master.star".to_owned(), files: library::with_main(&text) };
        let refused = load_sources(sources).unwrap_err().to_string();
        assert!(refused.contains(words) && refused.contains("write for example"), "{refused}");
    }
}

#[test]
fn a_trigger_counts_its_builds() {
    let script = "triggerable('kids', builders = ['b'])\ndef f(ctx):\n    ctx.trigger(['kids'])\n";
    let mut build = Build::of(&format!("load(\"@stdlib//schedulers.star\", \"triggerable\")\n{script}"));
    let EvalOutcome::Suspended { asks } = build.evaluate() else { panic!() };
    let one = |outcome| TriggeredBuild {
        builder: "b".into(),
        builder_id: BuilderId(1),
        build: None,
        number: Some(1),
        outcome,
    };
    let builds = [Outcome::Success, Outcome::Failure, Outcome::Success].map(one).to_vec();
    for (key, ask) in asks {
        let answer = Answer::Triggered(Triggered { outcome: Outcome::Failure, builds: builds.clone() });
        let entry = Entry { ask, answer: Some(answer), command: None, step: StepId(1) };
        build.journal.0.insert(key, entry);
    }
    let EvalOutcome::Done { summary, .. } = build.evaluate() else { panic!() };
    assert_eq!(summary.as_deref(), Some("triggered kids: 2 success, 1 failure"));
}

#[test]
fn a_script_that_asks_for_something_else_fails_with_its_place() {
    let mut build = Build::of("def f(ctx):\n    ctx.run('new')\n");
    let old = Build::of("def f(ctx):\n    ctx.run('old')\n");
    let EvalOutcome::Suspended { asks } = old.evaluate() else { panic!() };
    build.record(asks);
    let EvalOutcome::Failed { message, asks } = build.evaluate() else { panic!() };
    assert!(asks.is_empty());
    assert!(message.starts_with("the script changed or is not deterministic"), "{message}");
    assert!(message.contains("`old`") && message.contains("`new`") && message.contains("master.star:4:5"), "{message}");
}

#[test]
fn a_recorded_ask_that_is_never_reached_again_is_tolerated() {
    let mut build = Build::of("def f(ctx):\n    ctx.run('only')\n");
    let EvalOutcome::Suspended { asks } = build.evaluate() else { panic!() };
    let (_, ask) = asks[0].clone();
    build.record(vec![(Key(vec![9]), ask)]);
    let (told, _) = build.run(usual);
    assert_eq!(told, ["0 run only"]);
}

#[test]
fn an_error_closes_open_children_and_shows_the_users_line() {
    let script = "def g(ctx):\n    ctx.run('ok')\n    return 1 // 0\ndef f(ctx):\n    ctx.step(g)\n";
    let (told, outcome) = Build::of(script).run(usual);
    assert_eq!(told.last().unwrap(), "2 end exception the script failed");
    let EvalOutcome::Failed { message, .. } = outcome else { panic!() };
    assert!(message.contains("master.star:5:12"), "{message}");
}

#[test]
fn a_failure_without_a_line_of_the_user_shows_that_of_the_step() {
    let steps = |steps: &str| {
        let head = "load(\"@stdlib//steps.star\", \"sh\")\nworker(\"w\")\ndef made(ctx):\n    return sh(\"make\")\n";
        let build = Build::whole(&format!("{head}builder(\"b\", workers = [\"w\"], steps = [{steps}])\n"));
        let EvalOutcome::Failed { message, .. } = build.evaluate() else { panic!("{steps}") };
        assert!(message.contains("--> master.star:5:") && !message.contains(".rs"), "{message}");
        message
    };
    steps("step(\"s\", run = partial(len))");
    assert!(steps("sh(partial(len))").contains("hint: it came up in @stdlib//"));
    assert!(steps("made").contains("not a step\n") && steps("made").contains("hint: write return ctx.step(sh(…))"));
    assert!(steps("lambda ctx: ctx.step(\"make\")").contains("hint: write ctx.run(…) for a command"));
}

#[test]
fn bounds_have_texts_of_their_own() {
    for (body, words) in [
        ("for _ in range(1000000):\n        [None for _ in range(1000)]", "steps (calls and turns of loops)"),
        ("x = []\n    for i in range(1000000):\n        x.append('abc' + str(i) * 100)", "MB of memory"),
        ("g(1)\ndef g(n):\n    g(n + 1)", "nested more than 200 deep"),
        ("'a' * 2000000000", "more than 10000000"),
        ("[0] * 50000000", "more than 10000000"),
        ("list(range(30000000))", "more than 1000000"),
        ("ctx.set_property('p', 'x' * 70000)", "property `p` has a value of 70008 bytes, more than 65536"),
        ("ctx.set_property('x' * 300, 1)", "has a name of 300 bytes, more than 200"),
        (
            "for i in range(60):\n        ctx.set_property('p%d' % i, 'x' * 60000)",
            "properties of this build to more than 1048576",
        ),
        ("for i in range(60):\n        ctx.log('l', 'x' * 1000000)", "log entries of this step have more than"),
        ("ctx.add_url('n', 'https://x/' + 'x' * 5000)", "more than 4096"),
        ("ctx.add_url('n' * 500, 'https://x/')", "more than 200"),
        ("ctx.log('n' * 500, 'x')", "more than 200"),
        ("ctx.mkdir('x' * 5000)", "more than 4096"),
        ("for i in range(20000):\n        ctx.set_property('a', i)", "more than 10000 things"),
    ] {
        let build = Build::of(&format!("def f(ctx):\n    {body}\n"));
        let EvalOutcome::Failed { message, .. } = build.evaluate() else { panic!("{body}") };
        assert!(message.contains(words), "{body}: {message}");
    }
}

#[test]
fn a_set_cancel_ends_the_evaluation() {
    let build = Build::of("def f(ctx):\n    for _ in range(1000000):\n        pass\n");
    let cancel = Cancel::default();
    cancel.set();
    let EvalOutcome::Failed { message, .. } = build.loaded.scripts.evaluate(&build.job(EvalPart::Body), &cancel) else {
        panic!()
    };
    assert!(message.contains("cancelled"), "{message}");
}

#[test]
fn do_if_and_hide_if_decide_and_ask_nothing() {
    let text = "
worker(\"w\")
builder(\"b\", workers = [\"w\"], steps = [
    step(\"s\", run = lambda ctx: None, do_if = lambda ctx: ctx.number == 7, hide_if = lambda ctx, outcome: outcome == 'skipped'),
    step(\"t\", run = lambda ctx: None, do_if = lambda ctx: ctx.run('x').ok),
    step(\"u\", run = lambda ctx: None),
])
";
    let mut build = Build::whole(text);
    let decide = |build: &Build, part, outcome| {
        let job = EvalJob { step_outcome: outcome, ..build.job(part) };
        build.loaded.scripts.evaluate(&job, &Cancel::default())
    };
    assert_eq!(decide(&build, EvalPart::DoIf, None), EvalOutcome::Decided(true));
    assert_eq!(decide(&build, EvalPart::HideIf, Some(Outcome::Skipped)), EvalOutcome::Decided(true));
    assert_eq!(decide(&build, EvalPart::HideIf, Some(Outcome::Success)), EvalOutcome::Decided(false));
    build.step = 1;
    let EvalOutcome::Failed { message, .. } = decide(&build, EvalPart::DoIf, None) else { panic!() };
    assert!(message.contains("only look"), "{message}");
    build.step = 2;
    assert_eq!(decide(&build, EvalPart::DoIf, None), EvalOutcome::Decided(true));
    assert_eq!(decide(&build, EvalPart::HideIf, None), EvalOutcome::Decided(false));
}

#[test]
fn questions_get_answers_in_their_form() {
    let text = "
worker(\"w\")
builder(\"b\", workers = [\"w\"], steps = [step(\"s\", run = lambda ctx: None)],
    priority = lambda builder, properties: properties.get('p', 3),
    next_worker = lambda builder, workers, request: 'b',
    can_start = lambda builder, worker, request: worker)
";
    let build = Build::whole(text);
    let scripts = &build.loaded.scripts;
    let plan = &build.loaded.plan.builders["b"];
    let Some(Policy::Function(priority)) = plan.priority else { panic!() };
    let properties =
        Properties(BTreeMap::from([("p".to_owned(), Property { value: 9.into(), source: "x".to_owned() })]));
    let question = Question::Priority { builder: "b".into(), properties: properties.into() };
    assert_eq!(scripts.decide(priority, &question), Ok(Value::Int(9)));

    let request = Arc::new(WaitingRequest { id: RequestId(4), ..WaitingRequest::default() });
    let worker = |name: &str| Arc::new(CandidateWorker { name: name.into(), ..CandidateWorker::default() });
    let workers = vec![worker("a"), worker("b")];
    let question = Question::NextWorker { builder: "b".into(), workers, request: request.clone() };
    assert_eq!(scripts.decide(plan.next_worker.unwrap(), &question), Ok(Value::Int(1)));
    let question = Question::CanStart { builder: "b".into(), worker: worker("w"), request };
    let error = scripts.decide(plan.can_start.unwrap(), &question).unwrap_err();
    assert!(error.message.contains("must return True or False, not a record"), "{error}");
}

#[test]
fn a_template_gets_one_dict() {
    let text = "
load(\"@stdlib//notify.star\", \"mail\")
mail(to = [\"a@example.org\"], subject = lambda m: m[\"builder\"] + \" \" + m[\"changes\"][0][\"author\"], body = lambda m: 5)
worker(\"w\")
builder(\"b\", workers = [\"w\"], steps = [step(\"s\", run = lambda ctx: None)])
";
    let build = Build::whole(text);
    let NotifierKind::Mail(mail) = &build.loaded.plan.notifiers["mail"].kind else { panic!("it is a mail") };
    let change = Value::Map(BTreeMap::from([("author".to_owned(), "Ann".into())]));
    let facts = Value::Map(BTreeMap::from([
        ("builder".to_owned(), "linux".into()),
        ("changes".to_owned(), Value::List(vec![change])),
    ]));
    assert_eq!(build.loaded.scripts.render(mail.subject.unwrap(), &facts).as_deref(), Ok("linux Ann"));
    let error = build.loaded.scripts.render(mail.body.unwrap(), &facts).unwrap_err();
    assert!(error.message.contains("must return a text, not the number 5"), "{error}");
}

/// What the step `f` asks first, on a worker of this system, with the property `p`; or how it ends.
fn first(body: &str, system: &str, p: &str) -> Result<Ask, EvalOutcome> {
    let head = "load(\"@stdlib//text.star\", \"interpolate\")";
    let mut build = Build::of(&format!("{head}\ndef f(ctx):\n    {body}\n"));
    build.context.worker.system = system.to_owned();
    build.context.properties.0.insert("p".to_owned(), Property { value: p.into(), source: "x".to_owned() });
    match build.evaluate() {
        EvalOutcome::Suspended { asks } | EvalOutcome::Done { asks, .. } if !asks.is_empty() => Ok(asks[0].1.clone()),
        other => Err(end(other)),
    }
}

fn line(body: &str, system: &str, p: &str) -> Result<String, EvalOutcome> {
    first(body, system, p).map(|ask| match ask {
        Ask::Run(spec) => super::command::words_of(&spec.program),
        other => panic!("{other:?}"),
    })
}

#[test]
fn values_of_templates_are_data_in_lines_for_a_shell() {
    let run = "ctx.run(interpolate('a %(prop:p)s \"%(prop:p)s\"'))";
    assert_eq!(line(run, "posix", "$(x)").unwrap(), "a '$(x)' \"\"'$(x)'\"\"");
    assert_eq!(line("ctx.run(['a', interpolate('%(prop:p)s')])", "posix", "$(x)").unwrap(), "a $(x)");
}

#[test]
fn a_value_that_a_windows_shell_might_execute_fails_the_step() {
    let run = "ctx.run(interpolate('build %(prop:p)s'))";
    assert_eq!(line(run, "nt", "v1.2").unwrap(), "build v1.2");
    for (run, system) in [
        (run, "nt"),
        ("ctx.run(interpolate('pwsh -c x %(prop:p)s'))", "posix"),
        ("ctx.run(['cmd', '/c', interpolate('x %(prop:p)s')])", "nt"),
    ] {
        let Err(EvalOutcome::Done { outcome: Outcome::Failure, summary: Some(summary), .. }) = line(run, system, "a&b")
        else {
            panic!("{run}")
        };
        assert!(summary.contains("`%(prop:p)s`") && summary.contains("`env`"), "{summary}");
    }
    let Err(EvalOutcome::Done { outcome: Outcome::Failure, .. }) = line(run, "posix", "a\0b") else { panic!() };
}

#[test]
fn a_value_must_not_lead_out_of_a_directory() {
    for body in [
        "ctx.run('x', workdir = interpolate('build/%(prop:p)s'))",
        "ctx.mkdir('a', interpolate('%(prop:p)s'))",
        "ctx.remove(interpolate('%(prop:p)s'))",
        "ctx.copy('a', interpolate('%(prop:p)s'))",
        "ctx.copy(interpolate('%(prop:p)s'), 'a')",
        "ctx.stat(interpolate('%(prop:p)s'))",
        "ctx.list_dir(interpolate('%(prop:p)s'))",
        "ctx.glob(interpolate('%(prop:p)s/*'))",
        "ctx.write(interpolate('%(prop:p)s'), 'text')",
        "ctx.upload(interpolate('%(prop:p)s'))",
        "ctx.download('a', interpolate('%(prop:p)s'))",
        "ctx.mkdir(interpolate('%(kw:d)s', d = lambda ctx: ctx.property('p')))",
        "ctx.mkdir(interpolate('%(kw:d)s', d = interpolate('x/%(prop:p)s')))",
    ] {
        assert!(first(body, "posix", "a").is_ok(), "{body}");
        let Err(EvalOutcome::Done { outcome: Outcome::Failure, summary: Some(summary), .. }) =
            first(body, "posix", "../../x")
        else {
            panic!("{body}")
        };
        assert!(summary.contains("leads out of"), "{summary}");
    }
    let own = "ctx.mkdir(interpolate('%(kw:base)s/%(prop:p)s', base = '../shared'))";
    let Ask::File { .. } = first(own, "posix", "a").unwrap() else { panic!() };
}

#[test]
fn what_a_command_executes_from_its_input_takes_no_values() {
    for command in ["'sh -s'", "'cat | bash'", "['python3', '-']", "interpolate('sh -s %(prop:p)s')"] {
        let body = format!("ctx.run({command}, stdin = interpolate('echo %(prop:p)s'))");
        let Err(EvalOutcome::Failed { message, .. }) = first(&body, "posix", "a") else { panic!("{body}") };
        assert!(message.contains("`stdin` of a command that executes it") && message.contains("`env`"), "{message}");
    }
    for body in [
        "ctx.run('cat > f', stdin = interpolate('%(prop:p)s'))",
        "ctx.run('sh < build.sh', stdin = interpolate('%(prop:p)s'))",
        "ctx.run('sh -s', stdin = interpolate('make'))",
        "ctx.run('sh -s', stdin = secret('script'))",
    ] {
        assert!(first(body, "posix", "a").is_ok(), "{body}");
    }
}

#[test]
fn a_value_for_a_variable_must_not_name_one() {
    let run = "ctx.run('x', env = {'E': interpolate('${HOME}/%(prop:p)s')})";
    let Ask::Run(spec) = first(run, "posix", "$HOME").unwrap() else { panic!() };
    assert_eq!(spec.env["E"], EnvValue::Set(Text::plain("${HOME}/$HOME")));
    let Err(EvalOutcome::Done { outcome: Outcome::Failure, .. }) = first(run, "posix", "${TOKEN}") else { panic!() };
}

#[test]
fn templates_are_taken_where_texts_are() {
    for (body, wanted) in [
        ("ctx.set_property('q', interpolate('<%(prop:p)s>'))", "set q=<a b>"),
        ("ctx.set_summary(interpolate('%(prop:p)s!'))", "summary a b!"),
        ("ctx.add_url('u', interpolate('https://x/%(prop:p)s'))", "url u https://x/a b"),
        ("ctx.log('l', interpolate('%(prop:p)s'))", "log l \"a b\\n\""),
        ("ctx.mkdir(interpolate('d/%(prop:p)s'))", "MakeDirs([\"d/a b\"])"),
    ] {
        let shown = shown(&Key(vec![0]), &first(body, "posix", "a b").unwrap());
        assert!(shown.contains(wanted), "{body}: {shown}");
    }
    let Err(EvalOutcome::Failed { message, .. }) = first("ctx.log('l', interpolate('%(secret:s)s'))", "posix", "")
    else {
        panic!()
    };
    assert!(message.contains("holds a secret"), "{message}");
}

#[test]
fn a_template_never_becomes_a_text_unseen() {
    for body in ["x = interpolate('%(prop:p)s')\n    ctx.run(str(x))", "ctx.run('a %s' % [interpolate('b')])"] {
        let Err(EvalOutcome::Failed { message, .. }) = first(body, "posix", "") else { panic!("{body}") };
        assert!(message.contains("holds a template"), "{message}");
    }
}

#[test]
fn a_template_is_a_mails_subject() {
    let text = "
load(\"@stdlib//notify.star\", \"mail\")
load(\"@stdlib//text.star\", \"interpolate\")
mail(to = [\"a@example.org\"], subject = interpolate(\"%(build:builder)s %(prop:v)s %(src::branch)s: %(build:reason)s\"))
worker(\"w\")
builder(\"b\", workers = [\"w\"], steps = [step(\"s\", run = lambda ctx: None)])
";
    let build = Build::whole(text);
    let NotifierKind::Mail(mail) = &build.loaded.plan.notifiers["mail"].kind else { panic!("it is a mail") };
    let map =
        |entries: &[(&str, Value)]| Value::Map(entries.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect());
    let facts = map(&[
        ("builder", "linux".into()),
        ("why", "forced".into()),
        ("properties", map(&[("v", Value::Int(3))])),
        ("stamps", Value::List(vec![map(&[("codebase", "".into()), ("branch", "main".into())])])),
    ]);
    assert_eq!(build.loaded.scripts.render(mail.subject.unwrap(), &facts).as_deref(), Ok("linux 3 main: forced"));
}
