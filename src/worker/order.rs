//! The order for a runner, as it is stored in the spool.
//!
//! Invariant: what [`Order::without_secrets`] leaves holds no secret value and no text for standard input.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::process::users_umask;
use crate::protocol::{EnvEntry, ProgramArg, ShellArgs};
use crate::secrets::Redactor;

/// A complete command: program, directory, environment, limits.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "options of the protocol, each a switch of its own")]
pub(super) struct Order {
    /// The command's id.
    pub id: String,
    pub program: Program,
    /// Absolute; made if missing.
    pub folder: String,
    pub env: BTreeMap<String, EnvChange>,
    /// `${NAME}` in `env` stands for itself.
    pub env_literal: bool,
    /// List the environment in the log.
    pub show_env: bool,
    /// Whether stdout and stderr go to the log.
    pub log_stdout: bool,
    pub log_stderr: bool,
    /// By log name.
    pub log_files: BTreeMap<String, LogFile>,
    pub limits: Limits,
    pub stop: StopWay,
    pub pty: bool,
    pub stdin: Option<String>,
    /// Bytes of the heads of stdout and stderr for the result.
    pub output_max: u64,
    /// Name and value.
    pub secrets: Vec<(String, String)>,
    /// Something was left out, because it must not be on the disk: a runner that has only this cannot run it.
    pub withheld: bool,
    /// The mask of the files that the command makes; none for the runner's.
    #[serde(default)]
    pub umask: Option<u32>,
    /// Which start of the machine it was accepted in: what "exactly once" holds for.
    pub boot: String,
}

/// What to execute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Program {
    Argv(Vec<String>),
    Line(String),
}

/// What to do with a variable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum EnvChange {
    Set(String),
    Join(Vec<String>),
    Unset,
}

/// A file to follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LogFile {
    pub path: String,
    pub follow: bool,
}

/// When to stop a command; none for no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Limits {
    pub idle_ms: Option<u64>,
    pub total_ms: Option<u64>,
    pub lines: Option<u64>,
}

/// How to stop a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StopWay {
    /// The first signal, by name.
    pub first: String,
    /// Time until the next.
    pub grace_ms: u64,
    /// The second signal, by name; usually `KILL`. Whatever survives it is killed.
    pub second: String,
}

/// After the signal that a master chose instead of KILL: time until KILL.
const GRACE_AFTER_SIGNAL_MS: u64 = 5_000;

impl Order {
    /// The order of a `shell` command.
    pub fn new(id: &str, args: &ShellArgs, boot: &str) -> Self {
        let stop = match args.sigterm_time {
            Some(seconds) => {
                StopWay { first: "TERM".to_owned(), grace_ms: millis(seconds), second: args.interrupt_signal.clone() }
            }
            None => StopWay {
                first: args.interrupt_signal.clone(),
                grace_ms: GRACE_AFTER_SIGNAL_MS,
                second: "KILL".to_owned(),
            },
        };
        Self {
            id: id.to_owned(),
            program: match &args.command {
                ProgramArg::Argv(words) => Program::Argv(words.clone()),
                ProgramArg::Line(line) => Program::Line(line.clone()),
            },
            folder: args.workdir.clone(),
            env: args.env.iter().map(|(name, entry)| (name.clone(), EnvChange::from(entry))).collect(),
            env_literal: args.env_literal,
            show_env: args.log_environ,
            log_stdout: args.want_stdout,
            log_stderr: args.want_stderr,
            log_files: args
                .logfiles
                .iter()
                .map(|(name, file)| (name.clone(), LogFile { path: file.filename.clone(), follow: file.follow }))
                .collect(),
            limits: Limits {
                idle_ms: args.timeout.map(millis).filter(|limit| *limit > 0),
                total_ms: args.max_time.map(millis).filter(|limit| *limit > 0),
                lines: args.max_lines,
            },
            stop,
            pty: args.use_pty && args.initial_stdin.is_none(),
            stdin: args.initial_stdin.clone(),
            output_max: args.output_max,
            secrets: args.secrets.clone(),
            withheld: false,
            umask: users_umask(),
            boot: boot.to_owned(),
        }
    }

    /// What may be written to the disk. `secret_env` are the names of variables that hold secrets.
    pub fn without_secrets(&self, secret_env: &[String]) -> Self {
        let redactor = Redactor::new(self.secrets.iter().cloned());
        let hide = |text: &String| redactor.redact_str(text).into_owned();
        let mut public = self.clone();
        public.env.retain(|name, _| !secret_env.contains(name));
        public.env.values_mut().for_each(|change| match change {
            EnvChange::Set(value) => *value = hide(value),
            EnvChange::Join(values) => values.iter_mut().for_each(|value| *value = hide(value)),
            EnvChange::Unset => {}
        });
        public.program = match &self.program {
            Program::Argv(words) => Program::Argv(words.iter().map(hide).collect()),
            Program::Line(line) => Program::Line(hide(line)),
        };
        public.folder = hide(&self.folder);
        public.stdin = None;
        public.secrets.clear();
        public.withheld = public != *self;
        public
    }
}

impl From<&EnvEntry> for EnvChange {
    fn from(entry: &EnvEntry) -> Self {
        match entry {
            EnvEntry::Set(value) => Self::Set(value.clone()),
            EnvEntry::Join(values) => Self::Join(values.clone()),
            EnvEntry::Unset => Self::Unset,
        }
    }
}

/// Seconds of the protocol in milliseconds; NaN and negative numbers count as 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is what is wanted")]
fn millis(seconds: f64) -> u64 {
    (seconds * 1000.0).ceil().max(0.0) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args() -> ShellArgs {
        ShellArgs {
            timeout: Some(0.0),
            max_time: Some(1.5),
            ..ShellArgs::new(ProgramArg::Line("curl -u me:hunter22 x".to_owned()), "/w")
        }
    }

    #[test]
    fn an_order_without_secrets_is_stored_whole() {
        let order = Order::new("1", &args(), "boot");
        assert_eq!(order.without_secrets(&[]), order);
        assert_eq!(order.limits, Limits { idle_ms: None, total_ms: Some(1500), lines: None });
    }

    #[test]
    fn secrets_are_left_out_wherever_they_stand() {
        let mut args = args();
        args.secrets = vec![("password".to_owned(), "hunter22".to_owned())];
        args.secret_env = vec!["TOKEN".to_owned()];
        args.env.insert("TOKEN".to_owned(), EnvEntry::Set("token value".to_owned()));
        args.env.insert("URL".to_owned(), EnvEntry::Join(vec!["x:hunter22".to_owned()]));
        args.initial_stdin = Some("typed".to_owned());
        let public = Order::new("1", &args, "boot").without_secrets(&args.secret_env);
        let shown = format!("{public:?}");
        assert!(public.withheld);
        for secret in ["hunter22", "token value", "typed"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }

    #[test]
    fn a_command_is_stopped_as_the_master_says() {
        let way = |sigterm, signal: &str| {
            let args = ShellArgs { sigterm_time: sigterm, interrupt_signal: signal.to_owned(), ..args() };
            Order::new("1", &args, "").stop
        };
        assert_eq!(way(Some(2.0), "KILL"), StopWay { first: "TERM".into(), grace_ms: 2000, second: "KILL".into() });
        assert_eq!(way(None, "INT"), StopWay { first: "INT".into(), grace_ms: 5000, second: "KILL".into() });
    }
}
