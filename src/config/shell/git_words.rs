//! Words of the git program that it executes: settings that name a command, and options that take one.

use super::word::{PLACE, Word};

/// Beginnings of settings that hold commands, or lead to some.
const SPACES: [&str; 9] =
    ["alias.", "browser.", "include.", "includeif.", "man.", "pager.", "protocol.", "sendemail.", "url."];
/// Last parts of settings that hold commands, or name files with some.
const LEAVES: [&str; 24] = [
    "askpass",
    "browser",
    "clean",
    "cmd",
    "command",
    "driver",
    "editor",
    "external",
    "fsmonitor",
    "gitproxy",
    "helper",
    "hookspath",
    "packobjectshook",
    "pager",
    "path",
    "process",
    "program",
    "receivepack",
    "smudge",
    "sshcommand",
    "textconv",
    "update",
    "uploadpack",
    "vcs",
];
/// Global options whose value is the next word.
const VALUES: [&str; 5] = ["-C", "--git-dir", "--work-tree", "--namespace", "--config-env"];
/// Options of subcommands that take a command: behind `=`, or as the next word.
const COMMANDS: [&str; 5] = ["--exec", "--exec-path", "--upload-pack", "--receive-pack", "--config"];

/// The places behind the word `git` that git executes, or takes its settings from.
pub(super) fn executed(words: &[Word]) -> Vec<usize> {
    let mut found = Vec::new();
    let mut subcommand: Option<&str> = None;
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let text = word.text.as_str();
        let option = text.split('=').next().unwrap_or_default();
        match text {
            "-c" | "--config" if subcommand.is_none_or(|name| name == "clone") => {
                found.extend(rest.next().filter(|setting| is_executed(setting)).map(places).unwrap_or_default());
            }
            "-x" if subcommand == Some("rebase") => found.extend(rest.next().map(places).unwrap_or_default()),
            "foreach" if subcommand == Some("submodule") => {
                return found.into_iter().chain(rest.flat_map(places)).collect();
            }
            _ if VALUES.contains(&text) && subcommand.is_none() => drop(rest.next()),
            _ if COMMANDS.contains(&text) => found.extend(rest.next().map(places).unwrap_or_default()),
            _ if COMMANDS.contains(&option) => found.extend(places(word)),
            _ if subcommand.is_none() && !text.starts_with('-') => subcommand = Some(text),
            _ => {}
        }
    }
    found
}

fn places(word: &Word) -> Vec<usize> {
    word.places.clone()
}

/// Whether a place in `KEY=VALUE` names the setting, or is the value of one that git executes.
fn is_executed(setting: &Word) -> bool {
    let Some((key, _)) = setting.text.split_once('=') else { return !setting.places.is_empty() };
    let key = key.to_lowercase();
    let leaf = key.rsplit('.').next().unwrap_or_default();
    key.contains(PLACE) || SPACES.iter().any(|space| key.starts_with(space)) || LEAVES.contains(&leaf)
}
