//! What git's messages mean for the person who has to put it right.

use crate::base::process::{ProcessError, ProcessOutput};

/// Words of git itself that are shown with the explanation.
const SAID_CHARS_MAX: usize = 300;

/// A piece of what git says, what is wrong then, and what would do. The first that fits counts: the more special
/// come first.
const MEANINGS: &[(&str, &str, &str)] = &[
    (
        "terminal prompts disabled",
        "the server wants a login, and git has none for it",
        "set up a credential helper, or use an SSH address with a key, for the user that runs the master",
    ),
    (
        "could not read Username",
        "the server wants a login, and git has none for it",
        "set up a credential helper, or use an SSH address with a key, for the user that runs the master",
    ),
    (
        "could not read Password",
        "the server wants a password, and git has none for it",
        "set up a credential helper for the user that runs the master",
    ),
    (
        "Authentication failed",
        "the server refused the login that git has for it",
        "renew it in the credential helper of the user that runs the master",
    ),
    (
        "Host key verification failed",
        "SSH does not know the server's key",
        "connect to it once by hand (`ssh HOST`) as the user that runs the master, and accept its key",
    ),
    (
        "Permission denied (",
        "the server refused our SSH key",
        "give the user that runs the master a key that may read the repository; one with a passphrase must be in an agent",
    ),
    (
        "detected dubious ownership",
        "git refuses a repository that belongs to another user",
        "as the user that runs the master, call the command below, or change the owner",
    ),
    ("Could not resolve host", "its host name is not known", "check the address and the name service"),
    ("Name or service not known", "its host name is not known", "check the address and the name service"),
    (
        "SSL certificate problem",
        "the server's certificate is not trusted",
        "add its authority to the system's certificates",
    ),
    (
        "server certificate verification failed",
        "the server's certificate is not trusted",
        "add its authority to the system's certificates",
    ),
    (
        "The requested URL returned error: 403",
        "the server forbids reading it",
        "check the rights of the login that git has for it",
    ),
    (
        "Repository not found",
        "there is no such repository, or the login may not see it",
        "check the address and the rights",
    ),
    (
        "repository not found",
        "there is no such repository, or the login may not see it",
        "check the address and the rights",
    ),
    ("' not found", "there is no such repository, or the login may not see it", "check the address and the rights"),
    (
        "does not appear to be a git repository",
        "there is no git repository at that address",
        "check the address; a path must exist on the master's machine",
    ),
    ("couldn't find remote ref", "a branch went away while it was fetched", "nothing to do, the next poll looks again"),
    ("No space left on device", "the disk of the cache directory is full", "free some space"),
    ("Connection refused", "nothing listens at that address", "check the address, and whether the server runs"),
    ("Failed to connect", "the server cannot be reached", "check the address and the network"),
    ("Connection timed out", "the server cannot be reached", "check the address and the network"),
    ("Network is unreachable", "the server cannot be reached", "check the network"),
    ("No route to host", "the server cannot be reached", "check the network"),
    (
        "Could not read from remote repository",
        "the server did not give the repository",
        "check the address and the rights",
    ),
];

/// What git says if the server does not take the login that an address holds: it would ask for another one.
const NO_LOGIN: &str = "the server wants a login, and git has none for it; set up a credential helper, or use an SSH \
                        address with a key, for the user that runs the master";

/// The cause in the case of an address that holds a login.
pub(super) fn with_login(cause: &str) -> String {
    let refused = "the server refused the login that git has for it; renew it in the address, and see that git on the \
                   master is 2.31 or newer";
    cause.replace(NO_LOGIN, refused)
}

/// Signs of a cache that is broken, as opposed to a server that is: lines of the server begin with `remote:`.
const BROKEN_CACHE: &[&str] = &[
    "not a git repository",
    "corrupt",
    "is empty",
    "bad object",
    "bad ref",
    "bad config",
    "bad tree",
    "unable to read",
    "unable to parse",
    "Unable to create",
    "cannot lock ref",
    "inflate:",
    "hash mismatch",
    "did not send all necessary objects",
    "unresolved delta",
    "invalid object",
    "missing necessary objects",
    "multi-pack-index",
    "pack has",
];

/// Cause and cure of a git that could not be run, or did not end.
pub(super) fn not_run(error: &ProcessError, doing: &str) -> String {
    match error {
        ProcessError::NotFound { program } => {
            format!("the program `{program}` is not installed on the master, or not in its PATH; install git")
        }
        ProcessError::TimedOut { .. } => not_in_time(doing),
        ProcessError::NoDirectory { .. } | ProcessError::Start { .. } | ProcessError::Follow { .. } => {
            format!("git cannot be run: {}", crate::base::chain(error))
        }
    }
}

/// Cause and cure of a part of a poll that took too long.
pub(super) fn not_in_time(doing: &str) -> String {
    format!(
        "{doing} did not end in time; give `git_poller` a longer `timeout` (the first fetch of a large repository takes \
         longest), or check the server"
    )
}

/// Cause and cure of a git that failed.
pub(super) fn failed(output: &ProcessOutput, doing: &str) -> String {
    let stderr = output.stderr_text();
    let said = said(&stderr);
    let Some((_, cause, cure)) = MEANINGS.iter().find(|(sign, ..)| stderr.contains(sign)) else {
        let code = output.code.map_or_else(|| "a signal".to_owned(), |code| format!("exit code {code}"));
        return if said.is_empty() { format!("{doing} ended with {code}") } else { format!("{doing} failed: {said}") };
    };
    match stderr.lines().map(str::trim).find(|line| line.starts_with("git config --global --add safe.directory")) {
        Some(command) => format!("{cause}; {}", cure.replace("the command below", &format!("`{command}`"))),
        None => format!("{cause}; {cure} (git said: {said})"),
    }
}

/// Whether the cache is to blame, and a new one may help.
pub(super) fn is_broken_cache(output: &ProcessOutput) -> bool {
    let stderr = output.stderr_text();
    let ours = || stderr.lines().filter(|line| !line.starts_with("remote:"));
    let cut_off = ["early EOF", "hung up", "disconnect", "No space left"].iter().any(|sign| stderr.contains(sign));
    !cut_off && ours().any(|line| BROKEN_CACHE.iter().any(|sign| line.contains(sign)))
}

/// The lines that tell most: what git calls fatal or an error, else its last.
fn said(stderr: &str) -> String {
    let lines = || stderr.lines().map(str::trim).filter(|line| !line.is_empty());
    let telling: Vec<&str> = lines()
        .filter(|line| {
            ["fatal:", "error:", "ERROR:", "remote: "].iter().any(|sign| line.starts_with(sign))
                || line.contains("Permission denied")
        })
        .collect();
    let text =
        if telling.is_empty() { lines().next_back().unwrap_or_default().to_owned() } else { telling.join(" / ") };
    text.chars().filter(|c| !c.is_control()).take(SAID_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(stderr: &str) -> ProcessOutput {
        ProcessOutput { code: Some(128), stderr: stderr.into(), ..ProcessOutput::default() }
    }

    #[test]
    fn what_git_says_becomes_cause_and_cure() {
        for (stderr, words) in [
            (
                "fatal: could not read Username for 'https://x': terminal prompts disabled\n",
                "set up a credential helper",
            ),
            (
                "remote: Invalid username or password.\nfatal: Authentication failed for 'https://x/'\n",
                "refused the login",
            ),
            (
                "git@x: Permission denied (publickey).\nfatal: Could not read from remote repository.\n",
                "refused our SSH key",
            ),
            ("Host key verification failed.\nfatal: Could not read from remote repository.\n", "`ssh HOST`"),
            ("fatal: unable to access 'https://x/': Could not resolve host: x\n", "host name is not known"),
            ("fatal: unable to access 'http://x/': Failed to connect to x port 1 after 0 ms\n", "cannot be reached"),
            ("remote: Repository not found.\nfatal: repository 'https://x/' not found\n", "no such repository"),
            ("fatal: something new\n", "listing failed: fatal: something new"),
        ] {
            let text = failed(&output(stderr), "listing");
            assert!(text.contains(words), "{stderr}: {text}");
        }
        assert_eq!(failed(&output(""), "listing"), "listing ended with exit code 128");
    }

    #[test]
    fn a_repository_of_another_user_is_explained_with_the_command_to_call() {
        let stderr = "fatal: detected dubious ownership in repository at '/srv/r'\nTo add an exception for this directory, call:\n\n\tgit config --global --add safe.directory /srv/r\nfatal: Could not read from remote repository.\n";
        assert_eq!(
            failed(&output(stderr), "listing"),
            "git refuses a repository that belongs to another user; as the user that runs the master, call `git config \
             --global --add safe.directory /srv/r`, or change the owner"
        );
    }

    #[test]
    fn a_broken_cache_is_told_from_a_broken_server() {
        assert!(is_broken_cache(&output(
            "error: object file ./objects/aa/bb is empty\nfatal: loose object aa is corrupt\n"
        )));
        assert!(is_broken_cache(&output("fatal: Unable to create '/c/shallow.lock': File exists.\n")));
        assert!(!is_broken_cache(&output("remote: error: object file is empty\nfatal: the remote end hung up\n")));
        assert!(!is_broken_cache(&output("fatal: unable to access 'https://x/': Could not resolve host\n")));
    }
}
