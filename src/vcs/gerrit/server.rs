//! Runs commands of a Gerrit server over SSH: never asks a person, and takes no longer than it may.

use tokio::time::Instant;

use crate::base::process::{ProcessError, ProcessSpec, run};
use crate::model::GerritServer;

/// A page of changes with long messages and many files has some megabytes.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// Of the server's own words in an error.
const SAID_CHARS_MAX: usize = 300;

/// The program that runs a command on the server. A connection that went silent ends within a minute and a half.
pub(super) fn ssh(server: &GerritServer, command: &str) -> ProcessSpec {
    let (program, options) =
        server.ssh.split_first().map_or(("ssh", [].as_slice()), |(first, rest)| (first.as_str(), rest));
    let target = server.user.as_ref().map_or_else(|| server.host.clone(), |user| format!("{user}@{}", server.host));
    ProcessSpec::new(program)
        .args(options)
        .args(["-o", "BatchMode=yes", "-o", "ConnectTimeout=20"])
        .args(["-o", "ServerAliveInterval=30", "-o", "ServerAliveCountMax=3"])
        .args(["-p", &server.port.to_string(), &target, command])
        .env("SSH_ASKPASS_REQUIRE", "never")
        .env("LC_ALL", "C")
}

/// What a command writes.
pub(super) async fn ask(server: &GerritServer, command: &str, deadline: Instant) -> Result<String, String> {
    let mut spec = ssh(server, command);
    spec.timeout = deadline.saturating_duration_since(Instant::now());
    spec.output_max = ANSWER_BYTES_MAX;
    let output = match run(&spec).await {
        Ok(output) => output,
        Err(ProcessError::TimedOut { .. }) => return Err("it did not answer in time".to_owned()),
        Err(error) => return Err(crate::base::chain(&error)),
    };
    if !output.ok() {
        return Err(refused(&output.stderr_text()));
    }
    if output.cut {
        return Err(format!("its answer has more than {ANSWER_BYTES_MAX} bytes"));
    }
    Ok(output.stdout_text())
}

/// What the program said, and what would help.
pub(super) fn refused(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let said: String = lines.join("; ").chars().filter(|c| !c.is_control()).take(SAID_CHARS_MAX).collect();
    let advice = if said.contains("Permission denied (") {
        "; the server does not know the key: add it to the account there, or name it, ssh = [\"ssh\", \"-i\", \"/path/to/key\"]"
    } else if said.contains("Host key verification failed") {
        "; the server's key is not known: add it to the known hosts of the master's user"
    } else if said.contains("stream") && said.contains("ermi") {
        "; the account needs the global capability `Stream Events`"
    } else {
        ""
    };
    if said.is_empty() { "the connection ended without a word".to_owned() } else { format!("{said}{advice}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_is_told_whom_to_reach_and_not_to_ask() {
        let server = GerritServer {
            ssh: vec!["/usr/bin/ssh".to_owned(), "-i".to_owned(), "key".to_owned()],
            user: Some("ci".to_owned()),
            host: "review.example.org".to_owned(),
            port: 29418,
        };
        let spec = ssh(&server, "gerrit version");
        let words: Vec<String> = spec.args.iter().map(|word| word.to_string_lossy().into_owned()).collect();
        assert_eq!(spec.program, "/usr/bin/ssh");
        assert_eq!(words[..4], ["-i", "key", "-o", "BatchMode=yes"]);
        assert_eq!(words[words.len() - 4..], ["-p", "29418", "ci@review.example.org", "gerrit version"]);
    }

    #[test]
    fn a_refusal_says_what_would_help() {
        assert!(refused("ci@review: Permission denied (publickey).\n").contains("add it to the account"));
        assert!(refused("Host key verification failed.\r\n").contains("known hosts"));
        assert!(refused("fatal: stream events not permitted").contains("`Stream Events`"));
        assert_eq!(refused(""), "the connection ended without a word");
    }
}
