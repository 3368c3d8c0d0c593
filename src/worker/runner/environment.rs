//! The environment of a command: the worker's own with the order's changes
//! (docs/reference/worker-protocol.md#environment).

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::model::EnvValue;
use crate::worker::order::Order;

/// In the environment of every command: its file in the spool, which no other command of the machine has. Finds what
/// is left of a command whose runner is gone.
pub(in crate::worker) const MARKER: &str = "STARWRIGHT_COMMAND";

/// Settings of the worker itself begin so; they are not the commands' business, and may hold its password.
const OUR_PREFIX: &[u8] = b"STARWRIGHT_";

/// Separates the directories of variables like `PATH`.
const PATH_SEPARATOR: &str = if cfg!(windows) { ";" } else { ":" };

/// All variables of a process.
pub(super) type Environment = BTreeMap<OsString, OsString>;

/// The variables of a worker that its commands may see.
pub(in crate::worker) fn without_ours(mut own: Environment) -> Environment {
    own.retain(|name, _| !name.as_encoded_bytes().starts_with(OUR_PREFIX));
    own
}

/// The variables of a command of a worker with the variables `own`. An error says which secret cannot be filled in.
pub(super) fn merge(own: Environment, order: &Order, spool: &Path) -> Result<Environment, String> {
    let own = without_ours(own);
    let mut merged = own.clone();
    for (name, change) in &order.spec.env {
        let text = match change {
            EnvValue::Set(text) => order.fill(text)?,
            EnvValue::Join(texts) => {
                texts.iter().map(|text| order.fill(text)).collect::<Result<Vec<_>, _>>()?.join(PATH_SEPARATOR)
            }
            EnvValue::Unset => {
                merged.remove(OsStr::new(name));
                continue;
            }
        };
        let mut value = expand(&text, &own);
        if name == "PYTHONPATH" {
            value.push(PATH_SEPARATOR);
            value.push(own.get(OsStr::new(name)).cloned().unwrap_or_default());
        }
        merged.insert(name.into(), value);
    }
    merged.insert("PWD".into(), order.spec.workdir.clone().into());
    merged.insert(MARKER.into(), spool.into());
    Ok(merged)
}

/// Replaces each `${NAME}` (letters, digits, underscore) by the variable, or by nothing.
fn expand(text: &str, own: &Environment) -> OsString {
    let mut out = OsString::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let inside = &rest[at + 2..];
        let name = inside.trim_start_matches(|letter: char| letter.is_ascii_alphanumeric() || letter == '_');
        let length = inside.len() - name.len();
        if name.starts_with('}') {
            out.push(&rest[..at]);
            out.push(own.get(OsStr::new(&inside[..length])).cloned().unwrap_or_default());
            rest = &inside[length + 1..];
        } else {
            out.push(&rest[..at + 2]);
            rest = inside;
        }
    }
    out.push(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Text;
    use crate::worker::order::line_order;

    fn merged(env: &[(&str, EnvValue)]) -> BTreeMap<String, String> {
        let own = [("HOME", "/home/ci"), ("PATH", "/bin"), ("PYTHONPATH", "/py"), ("STARWRIGHT_LOG", "x")];
        let own = own.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
        let mut order = line_order("true");
        order.spec.env = env.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect();
        order.spec.workdir = "/w/build".to_owned();
        let text = |os: OsString| os.into_string().unwrap();
        let merged = merge(own, &order, Path::new("/s/c-1")).unwrap();
        merged.into_iter().map(|(name, value)| (text(name), text(value))).collect()
    }

    fn set(value: &str) -> EnvValue {
        EnvValue::Set(Text::plain(value))
    }

    #[test]
    fn without_changes_the_workers_environment_holds_but_not_its_settings() {
        let env = merged(&[]);
        let names: Vec<&str> = env.keys().map(String::as_str).collect();
        assert_eq!(names, ["HOME", "PATH", "PWD", "PYTHONPATH", "STARWRIGHT_COMMAND"]);
        assert_eq!((env["PWD"].as_str(), env["STARWRIGHT_COMMAND"].as_str()), ("/w/build", "/s/c-1"));
    }

    #[test]
    fn variables_of_the_worker_are_filled_in() {
        let changes = [
            ("A", set("${HOME}/x:${NONE}:${HOME}")),
            ("B", set("$HOME ${NO-SUCH} ${ ${}")),
            ("C", set("${A}")),
            ("PATH", EnvValue::Join(["/mine", "${PATH}"].map(Text::plain).to_vec())),
            ("PWD", set("elsewhere")),
        ];
        let env = merged(&changes);
        assert_eq!(env["A"], "/home/ci/x::/home/ci");
        assert_eq!(env["B"], "$HOME ${NO-SUCH} ${ ");
        assert_eq!(env["C"], "", "other changes are not seen");
        assert_eq!(env["PATH"], "/mine:/bin");
        assert_eq!(env["PWD"], "/w/build");
    }

    #[test]
    fn a_python_path_is_put_before_the_workers_and_a_variable_can_be_removed() {
        let env = merged(&[("PYTHONPATH", set("/lib")), ("HOME", EnvValue::Unset)]);
        assert_eq!(env["PYTHONPATH"], "/lib:/py");
        assert!(!env.contains_key("HOME"));
    }
}
