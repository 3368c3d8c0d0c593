//! Runs the git program: never asks a person, never outlives its deadline, never sees a repository that we were
//! started in.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use tokio::time::Instant;

use crate::base::environment::variable;
use crate::base::process::{ProcessError, ProcessOutput, ProcessSpec, run};

/// Variables that would point git at another repository than ours, as a hook that started the master may have them.
const FOREIGN: [&str; 11] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_OBJECT_DIRECTORY",
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_QUARANTINE_PATH",
    "GIT_NAMESPACE",
    "GIT_SHALLOW_FILE",
    "GIT_PREFIX",
    "GIT_CONFIG",
];

/// The list of branches of the largest repositories has some ten megabytes.
const OUTPUT_BYTES_MAX: usize = 32 << 20;

/// Which git to run, and with what variables.
#[derive(Clone, Debug)]
pub struct GitProgram {
    /// The program, looked for in `PATH`.
    pub program: OsString,
    /// Variables to set (or, with none, to remove) beside our own.
    pub env: BTreeMap<String, Option<OsString>>,
}

impl Default for GitProgram {
    fn default() -> Self {
        Self { program: "git".into(), env: BTreeMap::new() }
    }
}

impl GitProgram {
    /// The same with further variables.
    pub(super) fn with(&self, more: BTreeMap<String, Option<OsString>>) -> Self {
        let env = self.env.clone().into_iter().chain(more).collect();
        Self { program: self.program.clone(), env }
    }

    /// Runs git on the cache until `deadline`.
    pub(super) async fn run(
        &self,
        cache: &Path,
        args: Vec<OsString>,
        deadline: Instant,
    ) -> Result<ProcessOutput, ProcessError> {
        let mut git_dir = OsString::from("--git-dir=");
        git_dir.push(cache);
        let mut spec = ProcessSpec::new(&self.program).args([git_dir]).args(args);
        spec.timeout = deadline.saturating_duration_since(Instant::now());
        spec.output_max = OUTPUT_BYTES_MAX;
        spec.env = self.environment();
        run(&spec).await
    }

    fn environment(&self) -> BTreeMap<String, Option<OsString>> {
        let mut env: BTreeMap<String, Option<OsString>> =
            FOREIGN.iter().map(|name| ((*name).to_owned(), None)).collect();
        let mut set = |name: &str, value: &str| env.insert(name.to_owned(), Some(value.into()));
        // Nobody is there to be asked: fail at once and say why.
        set("GIT_TERMINAL_PROMPT", "0");
        set("GCM_INTERACTIVE", "never");
        set("SSH_ASKPASS", "");
        set("SSH_ASKPASS_REQUIRE", "never");
        // Its words are read, so they must not depend on the user's language.
        set("LC_ALL", "C");
        set("LANGUAGE", "C");
        if let Some(command) = self.ssh_command() {
            set("GIT_SSH_COMMAND", &command);
        }
        env.extend(self.env.iter().filter(|(name, _)| *name != "GIT_SSH_COMMAND").map(|(n, v)| (n.clone(), v.clone())));
        env
    }

    /// The user's SSH command, told not to ask for passwords. None when the user has chosen a program of which we
    /// do not know how to say that.
    fn ssh_command(&self) -> Option<String> {
        let own = self.env.get("GIT_SSH_COMMAND").cloned().flatten().and_then(|value| value.into_string().ok());
        let chosen = own.or_else(|| variable("GIT_SSH_COMMAND"));
        if chosen.is_none() && variable("GIT_SSH").is_some() {
            return None;
        }
        let configured = || git2::Config::open_default().and_then(|config| config.get_string("core.sshCommand")).ok();
        let command = chosen.or_else(configured).unwrap_or_else(|| "ssh".to_owned());
        Some(if is_ssh(&command) { format!("{command} -o BatchMode=yes") } else { command })
    }
}

/// Whether a command line starts OpenSSH itself and not some wrapper.
fn is_ssh(command: &str) -> bool {
    let first = command.split_whitespace().next().unwrap_or_default().trim_matches(['"', '\'']);
    Path::new(first).file_stem().is_some_and(|stem| stem == "ssh")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openssh_is_told_not_to_ask() {
        let mut program = GitProgram::default();
        program.env.insert("GIT_SSH_COMMAND".into(), Some("/usr/bin/ssh -i key".into()));
        assert_eq!(program.ssh_command().unwrap(), "/usr/bin/ssh -i key -o BatchMode=yes");
        program.env.insert("GIT_SSH_COMMAND".into(), Some("plink -batch".into()));
        assert_eq!(program.ssh_command().unwrap(), "plink -batch");
    }

    #[test]
    fn the_repository_that_we_were_started_in_is_not_seen() {
        let env = GitProgram::default().environment();
        assert_eq!(env["GIT_DIR"], None);
        assert_eq!(env["GIT_TERMINAL_PROMPT"], Some("0".into()));
    }
}
