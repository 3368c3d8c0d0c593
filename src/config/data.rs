//! `data`: the content of a data file beside the configuration.

use starlark::environment::GlobalsBuilder;
use starlark::eval::Evaluator;
use starlark::starlark_module;
use starlark::values::Value as Star;
use starlark::values::none::NoneOr;

use super::collect::Collector;
use super::convert::to_starlark;
use super::library;
use crate::base::nearest;
use crate::model::Value;

/// A format of data files, and the endings of names that mean it.
struct Format {
    name: &'static str,
    endings: &'static [&'static str],
    /// The value, or what is wrong and in which line.
    read: fn(&str) -> Result<Value, String>,
}

const FORMATS: [Format; 5] = [
    Format { name: "json", endings: &["json"], read: json },
    Format { name: "toml", endings: &["toml"], read: toml },
    Format { name: "yaml", endings: &["yaml", "yml"], read: yaml },
    Format { name: "ini", endings: &["ini", "cfg", "conf"], read: ini },
    Format { name: "text", endings: &[], read: |text| Ok(Value::Str(text.to_owned())) },
];

#[starlark_module]
pub(super) fn data_functions(builder: &mut GlobalsBuilder) {
    /// Reads a data file beside the configuration: `targets = data("targets.json")`.
    ///
    /// The path is relative to the file that calls it, or to the configuration's directory (`//lib/targets.json`); it stays
    /// inside that directory. The file's ending says the format: `.json`, `.toml`, `.yaml` and `.yml`, `.ini`, `.cfg` and
    /// `.conf`; everything else is text, given as one string. `format` ("json", "toml", "yaml", "ini" or "text")
    /// overrides the ending. An INI file becomes a dict of sections, each a dict of strings; what stands before the first
    /// section is in the section "". The file is part of the configuration: when it changes, the configuration is loaded
    /// again, and a running build keeps what it began with. `data` can only be called at top level, but builds can use
    /// the value. The file must be UTF-8 and at most 16 MiB.
    fn data<'v>(
        #[starlark(require = pos)] path: &str,
        #[starlark(require = named, default = NoneOr::None)] format: NoneOr<&str>,
        eval: &mut Evaluator<'v, '_, '_>,
    ) -> anyhow::Result<Star<'v>> {
        let Some(collector) = Collector::of(eval) else {
            anyhow::bail!(
                "data files are read when the configuration is loaded\nhint: call data(…) at top level, and use its value here"
            );
        };
        let importer = importer(eval);
        let format = format_of(path, format.into_option())?;
        let value = collector.texts(|texts| {
            let name = texts.files().resolve_data(&importer, path)?;
            Ok(texts.read(&name)?)
        })?;
        match (format.read)(&value) {
            Ok(value) => Ok(to_starlark(&value, eval.heap())),
            Err(why) => anyhow::bail!("`{path}` is no valid {}: {why}", format.name.to_uppercase()),
        }
    }
}

/// The file that calls; a function of the library reads from the configuration's directory.
fn importer(eval: &Evaluator<'_, '_, '_>) -> String {
    let file = eval.call_stack_top_location().map(|span| span.filename().to_owned()).unwrap_or_default();
    if library::is_library(&file) { String::new() } else { file }
}

fn format_of(path: &str, asked: Option<&str>) -> anyhow::Result<&'static Format> {
    let Some(asked) = asked else {
        let last = path.rsplit('/').next().unwrap_or(path);
        let ending = last.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase()).unwrap_or_default();
        let found = FORMATS.iter().find(|format| format.endings.contains(&ending.as_str()));
        return Ok(found.unwrap_or(&FORMATS[FORMATS.len() - 1]));
    };
    FORMATS.iter().find(|format| format.name == asked).ok_or_else(|| {
        let names = FORMATS.map(|format| format.name);
        let hint = nearest(asked, names).map_or_else(
            || format!("the formats are {}", names.join(", ")),
            |meant| format!("did you mean `{meant}`?"),
        );
        anyhow::anyhow!("`format` is `{asked}`, which is no format of data files\nhint: {hint}")
    })
}

fn json(text: &str) -> Result<Value, String> {
    serde_json::from_str::<serde_json::Value>(text).map(|json| Value::from_json(&json)).map_err(|why| why.to_string())
}

fn yaml(text: &str) -> Result<Value, String> {
    // `no` is a country, `on` is a key of GitHub's workflows: only `true` and `false` are booleans, as in YAML 1.2.
    let options = serde_saphyr::options! { strict_booleans: true };
    let read = serde_saphyr::from_str_with_options::<serde_json::Value>(text, options);
    read.map(|json| Value::from_json(&json)).map_err(|why| first_line(&why.to_string()))
}

fn toml(text: &str) -> Result<Value, String> {
    let table: toml::Table = text.parse().map_err(|why: toml::de::Error| {
        let line =
            why.span().map_or(0, |span| text.as_bytes()[..span.start.min(text.len())].split(|b| *b == b'\n').count());
        format!("{}, in line {line}", why.message())
    })?;
    Ok(of_toml(toml::Value::Table(table)))
}

/// Dates and times become strings, as TOML writes them.
fn of_toml(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::Str(text),
        toml::Value::Integer(number) => Value::Int(number),
        toml::Value::Float(number) => Value::Float(number),
        toml::Value::Boolean(yes) => Value::Bool(yes),
        toml::Value::Datetime(time) => Value::Str(time.to_string()),
        toml::Value::Array(items) => Value::List(items.into_iter().map(of_toml).collect()),
        toml::Value::Table(items) => Value::Map(items.into_iter().map(|(key, value)| (key, of_toml(value))).collect()),
    }
}

fn ini(text: &str) -> Result<Value, String> {
    let mut reader = configparser::ini::Ini::new_cs();
    reader.set_default_section("");
    let sections = reader.read(text.to_owned()).map_err(|why| first_line(&why))?;
    let of_section = |entries: std::collections::HashMap<String, Option<String>>| {
        Value::Map(entries.into_iter().map(|(key, value)| (key, value.map_or(Value::Null, Value::Str))).collect())
    };
    Ok(Value::Map(sections.into_iter().map(|(name, entries)| (name, of_section(entries))).collect()))
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Sources, load_sources};

    fn shown(format: &str, text: &str) -> Result<String, String> {
        (format_of("", Some(format)).unwrap().read)(text).map(|value| value.to_string())
    }

    #[test]
    fn each_format_gives_plain_values() {
        for (format, text, wanted) in [
            ("json", "{\"b\": [1, 2.5, null, true]}", r#"{"b":[1,2.5,null,true]}"#),
            (
                "toml",
                "n = 1\n[t]\nwhen = 2026-01-02\nxs = [\"a\"]\n",
                r#"{"n":1,"t":{"when":"2026-01-02","xs":["a"]}}"#,
            ),
            ("yaml", "a: &x [1, yes]\nb: *x\n", r#"{"a":[1,"yes"],"b":[1,"yes"]}"#),
            (
                "ini",
                "top = 1\n[Mixed Case]\nKey: a = b\n; said\nbare\n",
                r#"{"":{"top":"1"},"Mixed Case":{"Key":"a = b","bare":null}}"#,
            ),
            ("text", "a\nb", "a\nb"),
        ] {
            assert_eq!(shown(format, text).as_deref(), Ok(wanted), "{format}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (format, text, wanted) in [
            ("json", "{\n\"a\": }", "line 2"),
            ("toml", "a = 1\nb = = 2\n", "line 2"),
            ("yaml", "a: [1\nb: 2\n", "line 2"),
            ("ini", "[a\n", "line 1"),
        ] {
            let why = shown(format, text).unwrap_err();
            assert!(why.contains(wanted), "{format}: {why}");
            assert!(!why.contains('\n'), "{format}: {why}");
        }
    }

    #[test]
    fn files_are_read_beside_the_file_that_asks_and_nowhere_else() {
        let load = |expression: &str| {
            let mut files = library::with_main(&format!("property(\"x\", {expression})\n"));
            files.insert("targets.json".to_owned(), "[\"a\"]".to_owned());
            files.insert("lib/notes".to_owned(), "text\n".to_owned());
            let loaded = load_sources(Sources { main: "master.star".to_owned(), files });
            let loaded =
                loaded.map_err(|refused| (refused.problems[0].message.clone(), refused.problems[0].hint.clone()))?;
            assert!(!loaded.sources.files.contains_key("other.json"));
            Ok::<_, (String, Option<String>)>(loaded.plan.properties.get("x").unwrap().to_string())
        };
        for (expression, wanted) in [
            ("data('targets.json')", "[\"a\"]"),
            ("data('//lib/notes')", "text\n"),
            ("data('targets.json', format = 'text')", "[\"a\"]"),
        ] {
            assert_eq!(load(expression).as_deref(), Ok(wanted), "{expression}");
        }
        for (expression, wanted) in [
            ("data('../targets.json')", "is outside the configuration's directory"),
            ("data('/etc/passwd')", "is not a relative path"),
            ("data('x.star')", "is a Starlark file"),
            ("data('other.json')", "has no file `other.json`"),
            ("data('lib/notes', format = 'json')", "`lib/notes` is no valid JSON"),
        ] {
            let (message, _) = load(expression).unwrap_err();
            assert!(message.contains(wanted), "{expression}: {message}");
        }
        assert_eq!(load("data('a', format = 'jsn')").unwrap_err().1.as_deref(), Some("did you mean `json`?"));
    }

    /// Aliases of aliases, which would grow to more values than there are atoms.
    #[test]
    fn a_small_file_cannot_grow_without_bound() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..30 {
            let before = level - 1;
            text += &format!("a{level}: &a{level} [*a{before}, *a{before}, *a{before}, *a{before}, *a{before}]\n");
        }
        shown("yaml", &text).unwrap_err();
        shown("yaml", &"[".repeat(100_000)).unwrap_err();
        shown("json", &"[".repeat(100_000)).unwrap_err();
        shown("toml", &format!("a = {}", "[".repeat(100_000))).unwrap_err();
    }

    #[test]
    fn the_ending_says_the_format() {
        for (path, wanted) in
            [("a.json", "json"), ("x/y.YML", "yaml"), ("a.conf", "ini"), ("README", "text"), ("a.b", "text")]
        {
            assert_eq!(format_of(path, None).unwrap().name, wanted, "{path}");
        }
        assert!(format_of("a", Some("jsn")).err().unwrap().to_string().ends_with("did you mean `json`?"));
    }
}
