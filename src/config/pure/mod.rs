//! Helpers without effects: the same arguments always give the same value, in time linear in their
//! size. What could take long or much (patterns, repetitions, ranges) has a bound.

mod address;
mod duration;
mod glob;
mod guard;
mod json;
mod library_author;
mod path;
mod regex;
mod xml;

use starlark::environment::GlobalsBuilder;

pub(super) use glob::globs;
pub(super) use guard::guard_operators;

/// Adds all of them to the globals.
pub(super) fn pure_functions(globals: &mut GlobalsBuilder) {
    globals.namespace("regex", regex::functions);
    globals.namespace("json", json::functions);
    globals.namespace("glob", glob::functions);
    globals.namespace("duration", duration::functions);
    globals.namespace("path", path::functions);
    globals.namespace("xml", xml::functions);
    globals.namespace("address", address::functions);
    guard::functions(globals);
    library_author::functions(globals);
}

#[cfg(test)]
mod tests {
    use crate::config::{Sources, library, load_sources};

    /// What an expression gives, or why it fails.
    fn value(expression: &str) -> Result<String, String> {
        let text = format!("property(\"x\", {expression})\n");
        let sources = Sources { main: "master.star".to_owned(), files: library::with_main(&text) };
        let loaded = load_sources(sources).map_err(|refused| refused.problems[0].message.clone())?;
        Ok(loaded.plan.properties.get("x").unwrap().to_string())
    }

    #[test]
    fn regular_expressions_match_search_replace_and_split() {
        for (expression, wanted) in [
            ("regex.match('a+', 'aab').text", "aa"),
            ("regex.match('b', 'aab')", "null"),
            ("regex.search('(?P<n>[0-9]+)(x)?', 'v12').named['n']", "12"),
            ("regex.search('([0-9]+)(x)?', 'v12').groups", "[\"12\",null]"),
            ("[m.start for m in regex.find_all('a', 'banana')]", "[1,3,5]"),
            ("regex.replace('([a-z])([0-9])', '$2$1', 'a1 b2')", "1a 2b"),
            ("regex.split(', *', 'a,b,  c')", "[\"a\",\"b\",\"c\"]"),
            ("regex.escape('a.b')", "a\\.b"),
        ] {
            assert_eq!(value(expression).as_deref(), Ok(wanted), "{expression}");
        }
        assert!(
            value("regex.match('(', 'x')").unwrap_err().contains("is not a valid regular expression: unclosed group")
        );
        assert!(value("regex.match('(a{1000}){1000}', 'x')").unwrap_err().contains("size limit"));
    }

    #[test]
    fn json_goes_both_ways() {
        for (expression, wanted) in [
            ("json.encode({'b': [1, 2.5, None], 'a': True})", "{\"a\":true,\"b\":[1,2.5,null]}"),
            ("json.decode('{\"a\": [1, 2.0, \"x\"]}')['a']", "[1,2.0,\"x\"]"),
            ("json.decode('no', default = 'other')", "other"),
            ("json.decode('no', default = None)", "null"),
        ] {
            assert_eq!(value(expression).as_deref(), Ok(wanted), "{expression}");
        }
        assert!(value("json.decode('{')").unwrap_err().contains("is no JSON"));
        assert!(value("json.encode(secret('x'))").unwrap_err().contains("not plain data"));
    }

    #[test]
    fn addresses_are_taken_apart() {
        for (expression, wanted) in [
            ("address.plain('https://ann:pw@example.org/r.git')", "https://example.org/r.git"),
            ("address.normal('https://ann:pw@example.org/r.git')", "example.org/r"),
            ("address.normal(concat('https://ann:', secret('t'), '@example.org/r.git'))", "example.org/r"),
            ("address.name('git@example.org:team/app.git')", "app"),
            ("address.server('https://example.org/r')", "https://example.org/"),
            ("address.login_header('https://example.org/r')", ""),
            ("type(address.login_header('https://ann:pw@example.org/r'))", "secret_text"),
            ("address.shown(concat('https://ann:', secret('t'), '@example.org/r.git'))", "https://example.org/r.git"),
        ] {
            assert_eq!(value(expression).as_deref(), Ok(wanted), "{expression}");
        }
    }

    #[test]
    fn globs_paths_and_lengths_of_time() {
        for (expression, wanted) in [
            ("glob.match('src/*.rs', 'src/a.rs')", "true"),
            ("glob.match('src/*.rs', 'src/b/a.rs')", "false"),
            ("glob.filter(['**/*.rs', 'a'], ['a', 'x/y.rs', 'b'])", "[\"a\",\"x/y.rs\"]"),
            ("path.join('a', '', 'b/', 'c')", "a/b/c"),
            ("path.join('a', '/b')", "/b"),
            ("path.base('a/b.txt') + path.ext('a/b.txt') + path.ext('.bashrc')", "b.txt.txt"),
            ("[path.dir('a/b'), path.dir('a'), path.dir('/a')]", "[\"a\",\"\",\"/\"]"),
            ("[path.normalize(p) for p in ['a/./b/../c', '../x', '/..', '']]", "[\"a/c\",\"../x\",\"/\",\".\"]"),
            ("duration.seconds('1h30m')", "5400.0"),
            ("duration.text(5400)", "1h 30m"),
            ("[duration.is_valid(t) for t in ['5m', '5 minutes']]", "[true,false]"),
        ] {
            assert_eq!(value(expression).as_deref(), Ok(wanted), "{expression}");
        }
    }

    #[test]
    fn guarded_operators_still_multiply_and_count() {
        for (expression, wanted) in [
            ("2 * 3.5", "7.0"),
            ("'ab' * 3 + 2 * 'c'", "abababcc"),
            ("[1] * 2", "[1,1]"),
            ("'x' * -1", ""),
            ("list(range(3)) + list(range(5, 0, -2))", "[0,1,2,5,3,1]"),
        ] {
            assert_eq!(value(expression).as_deref(), Ok(wanted), "{expression}");
        }
        assert!(value("'a' * 'b'").is_err());
        assert!(value("list(range(1, 2, 0))").unwrap_err().contains("must not be 0"));
    }
}
