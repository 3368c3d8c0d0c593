//! Paths with values from outside: a value must not lead out of the directory that the configuration names.

use crate::config::shell::Part;

/// Letters of a path in a message.
const SHOWN_MAX: usize = 60;

/// What is wrong with a path whose values lead out of the directory before them, and what would do.
///
/// What stands before the first value is the configuration's own choice, and may be any directory.
pub(super) fn leads_out(argument: &str, parts: &[Part]) -> Option<(String, String)> {
    let (own, rest, place) = split(parts)?;
    let is_out = own.is_empty() && is_absolute(&rest) || climbs(&rest, &['/']) || climbs(&rest, &['/', '\\']);
    is_out.then(|| {
        let whole = format!("{own}{rest}");
        let shown: String = whole.chars().take(SHOWN_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect();
        let directory = if own.is_empty() { "the builder's directory".to_owned() } else { format!("`{own}`") };
        let message =
            format!("`{argument}`: the value of `{place}` makes the path `{shown}`, which leads out of {directory}");
        (message, "values in paths must be relative and must not climb with `..`".to_owned())
    })
}

/// The directory before the first value, the path from there, and how the first value's place is written.
fn split(parts: &[Part]) -> Option<(String, String, &str)> {
    let mut whole = String::new();
    let mut first: Option<(usize, &str)> = None;
    for part in parts {
        match part {
            Part::Syntax(text) => whole += text,
            Part::Value { value, place } => {
                first.get_or_insert((whole.len(), place));
                whole += &value.masked();
            }
        }
    }
    let (at, place) = first?;
    let rest = whole.split_off(whole[..at].rfind(['/', '\\']).map_or(0, |slash| slash + 1));
    Some((whole, rest, place))
}

/// Whether some system takes the path as one from a root or a drive.
fn is_absolute(path: &str) -> bool {
    let mut letters = path.chars();
    match letters.next() {
        Some('/' | '\\') => true,
        Some(drive) => drive.is_ascii_alphabetic() && letters.next() == Some(':'),
        None => false,
    }
}

/// Whether the path is above its beginning anywhere on its way.
fn climbs(path: &str, separators: &[char]) -> bool {
    let mut depth = 0_usize;
    for name in path.split(separators) {
        // Windows passes over blanks and dots at the end of a name.
        match name.trim_end_matches(' ') {
            "" | "." => {}
            ".." if depth == 0 => return true,
            ".." => depth -= 1,
            name if name.trim_end_matches(['.', ' ']).is_empty() => return true,
            _ => depth += 1,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Text;

    /// The finding for a path whose places, written `@`, have this value.
    fn found(path: &str, value: &str) -> Option<String> {
        let mut parts = Vec::new();
        for (index, text) in path.split('@').enumerate() {
            if index > 0 {
                parts.push(Part::Value { value: Text::plain(value), place: "%(prop:x)s".to_owned() });
            }
            parts.push(Part::Syntax(text.to_owned()));
        }
        leads_out("workdir", &parts).map(|(message, _)| message)
    }

    #[test]
    fn a_value_that_leads_out_is_found() {
        for (path, value) in [
            ("@", ".."),
            ("@", "../x"),
            ("@", "a/../../x"),
            ("@", "/etc"),
            ("@", "C:\\x"),
            ("@", "c:x"),
            ("@", "\\\\host\\share"),
            ("@", "..\\x"),
            ("@", "a\\b/../../x"),
            ("@", ".. /x"),
            ("@", ".../x"),
            ("@/etc", ""),
            ("build/@", ".."),
            ("build/@/x", "../../x"),
            ("build\\@", "..\\.."),
            (".@", "./x"),
            ("a@", "/../../x"),
            ("@/../x", "."),
            ("/srv/@", "../etc"),
        ] {
            assert!(found(path, value).is_some(), "{path} {value}");
        }
        let message = found("build/@", "../x").unwrap();
        assert!(message.contains("`%(prop:x)s`") && message.contains("leads out of `build/`"), "{message}");
    }

    #[test]
    fn other_values_and_the_paths_of_the_configuration_itself_pass() {
        for (path, value) in [
            ("@", "main"),
            ("@", "feature/x"),
            ("@", "..x/y.."),
            ("@", "a/../b"),
            ("@", ""),
            ("build/@", "/x"),
            ("out/@", "image:tag"),
            ("/srv/@", "x"),
            ("../shared/@", "x"),
            ("@/../x", "a"),
            ("../x", ""),
            ("/etc", ""),
        ] {
            assert_eq!(found(path, value), None, "{path} {value}");
        }
    }
}
