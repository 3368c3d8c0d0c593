//! The order for a runner, as it is stored in the spool: the specification of a command, and what the worker adds.
//!
//! Invariant: what [`Order::without_secrets`] leaves holds no secret value and no text for standard input.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::base::Span;
use crate::base::process::users_umask;
use crate::model::{CommandSpec, EnvValue, LogFileSpec, OnLost, Outcome, Program, Text};
use crate::protocol::{EnvEntry, ProgramArg, RunArgs, ShellArgs};

/// A command to run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Order {
    /// The command's id.
    pub id: String,
    /// What to run; its `workdir` is absolute.
    pub spec: CommandSpec,
    /// List the environment in the log.
    pub show_env: bool,
    pub stop: StopWay,
    /// The values of the secrets that the specification names.
    pub secrets: BTreeMap<String, String>,
    /// Names and values of what is masked in all output.
    pub masks: Vec<(String, String)>,
    /// Something was left out, because it must not be on the disk: a runner that has only this cannot run it.
    pub withheld: bool,
    /// The mask of the files that the command makes; none for the runner's.
    pub umask: Option<u32>,
    /// Which start of the machine it was accepted in: what "exactly once" holds for.
    pub boot: String,
}

/// How to stop a command.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StopWay {
    /// The first signal, by name.
    pub first: String,
    /// Time until the next.
    pub grace: Span,
    /// The second signal, by name; usually `KILL`. Whatever survives it is killed.
    pub second: String,
}

/// After the signal that a master chose instead of KILL: time until KILL.
const GRACE_AFTER_SIGNAL: Span = Span::from_seconds(5);

const KILL: &str = "KILL";

impl StopWay {
    /// TERM, and KILL after the grace; with no grace KILL at once.
    fn of(grace: Span) -> Self {
        let first = if grace > Span::ZERO { "TERM" } else { KILL };
        Self { first: first.to_owned(), grace, second: KILL.to_owned() }
    }

    /// As a stock master describes it.
    fn of_stock(args: &ShellArgs) -> Self {
        let signal = args.interrupt_signal.clone();
        match args.sigterm_time {
            Some(seconds) => Self { first: "TERM".to_owned(), grace: span(seconds), second: signal },
            None => Self { first: signal, grace: GRACE_AFTER_SIGNAL, second: KILL.to_owned() },
        }
    }
}

impl Order {
    /// The order of a command from one of our masters.
    pub fn new(id: &str, args: RunArgs, boot: &str) -> Self {
        let RunArgs { spec, secrets, masks } = args;
        let stop = StopWay::of(spec.grace);
        Self { secrets, masks, show_env: false, ..Self::of_spec(id, spec, stop, boot) }
    }

    /// The order of a `shell` command from a stock master.
    pub fn of_stock(id: &str, args: &ShellArgs, boot: &str) -> Self {
        let spec = CommandSpec {
            program: match &args.command {
                ProgramArg::Argv(words) => Program::Argv(words.iter().map(Text::plain).collect()),
                ProgramArg::Line(line) => Program::Shell(Text::plain(line)),
            },
            workdir: args.workdir.clone(),
            env: args.env.iter().map(|(name, entry)| (name.clone(), variable(entry))).collect(),
            idle_timeout: args.timeout.map(span),
            total_timeout: args.max_time.map(span),
            lines_max: args.max_lines,
            log: "stdio".to_owned(),
            log_files: (args.logfiles.iter())
                .map(|(name, file)| (name.clone(), LogFileSpec { path: file.filename.clone(), follow: file.follow }))
                .collect(),
            stdin: args.initial_stdin.as_ref().map(Text::plain),
            // What an end means is for the master to say, and so is what follows from a lost worker.
            exit_codes: BTreeMap::from([(0, Outcome::Success)]),
            on_lost: OnLost::default(),
            want_output: false,
            log_stdout: args.want_stdout,
            log_stderr: args.want_stderr,
            pty: args.use_pty,
            grace: args.sigterm_time.map_or(Span::ZERO, span),
            output: Box::default(),
        };
        Self { show_env: args.log_environ, ..Self::of_spec(id, spec, StopWay::of_stock(args), boot) }
    }

    fn of_spec(id: &str, mut spec: CommandSpec, stop: StopWay, boot: &str) -> Self {
        for limit in [&mut spec.idle_timeout, &mut spec.total_timeout] {
            *limit = limit.filter(|limit| *limit > Span::ZERO);
        }
        spec.pty &= spec.stdin.is_none();
        Self {
            id: id.to_owned(),
            spec,
            show_env: false,
            stop,
            secrets: BTreeMap::new(),
            masks: Vec::new(),
            withheld: false,
            umask: users_umask(),
            boot: boot.to_owned(),
        }
    }

    /// A text of the specification with its secrets filled in.
    pub fn fill(&self, text: &Text) -> Result<String, String> {
        text.reveal(&mut |name: &str| self.secrets.get(name).cloned())
    }

    /// What may be written to the disk.
    pub fn without_secrets(&self) -> Self {
        let mut public = self.clone();
        public.spec.stdin = None;
        public.secrets.clear();
        public.masks.clear();
        public.withheld = self.spec.stdin.is_some() || !self.secrets.is_empty() || !self.masks.is_empty();
        public
    }
}

fn variable(entry: &EnvEntry) -> EnvValue {
    match entry {
        EnvEntry::Set(value) => EnvValue::Set(Text::plain(value)),
        EnvEntry::Join(values) => EnvValue::Join(values.iter().map(Text::plain).collect()),
        EnvEntry::Unset => EnvValue::Unset,
    }
}

/// Seconds of the protocol; NaN and negative numbers count as 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, which is what is wanted")]
fn span(seconds: f64) -> Span {
    Span::from_millis((seconds * 1000.0).ceil().max(0.0) as u64)
}

/// The order of a line of shell, for tests.
#[cfg(test)]
pub(super) fn line_order(line: &str) -> Order {
    let args = ShellArgs::new(ProgramArg::Line(line.to_owned()), "/w");
    Order::of_stock("1", &args, "boot")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Piece;

    #[test]
    fn an_order_without_secrets_is_stored_whole() {
        let mut order = line_order("make");
        order.spec.total_timeout = Some(Span::from_seconds(1));
        assert_eq!(order.without_secrets(), order);
    }

    #[test]
    fn secrets_are_left_out_wherever_they_stand() {
        let secret = Text(vec![Piece::Plain("x:".to_owned()), Piece::Secret("token".to_owned())]);
        let mut spec = line_order("curl").spec;
        spec.program = Program::Argv(vec![secret.clone()]);
        spec.env.insert("URL".to_owned(), EnvValue::Join(vec![secret.clone()]));
        spec.stdin = Some(Text::plain("typed"));
        let mut args = RunArgs::new(spec);
        args.secrets.insert("token".to_owned(), "hunter22".to_owned());
        args.masks = vec![("earlier".to_owned(), "of another command".to_owned())];
        let order = Order::new("1", args, "boot");
        assert_eq!(order.fill(&secret).as_deref(), Ok("x:hunter22"));
        let public = order.without_secrets();
        let shown = format!("{public:?}");
        assert!(public.withheld);
        for value in ["hunter22", "of another command", "typed"] {
            assert!(!shown.contains(value), "{value} in {shown}");
        }
        assert!(public.fill(&secret).is_err());
    }

    #[test]
    fn a_command_is_stopped_as_the_master_says() {
        let way = |sigterm_time, signal: &str| {
            let args = ShellArgs::new(ProgramArg::Line(String::new()), "/w");
            StopWay::of_stock(&ShellArgs { sigterm_time, interrupt_signal: signal.to_owned(), ..args })
        };
        let wanted = |first: &str, seconds| StopWay {
            first: first.to_owned(),
            grace: Span::from_seconds(seconds),
            second: KILL.to_owned(),
        };
        assert_eq!(way(Some(2.0), "KILL"), wanted("TERM", 2));
        assert_eq!(way(None, "INT"), wanted("INT", 5));
        assert_eq!(StopWay::of(Span::from_seconds(3)), wanted("TERM", 3));
        assert_eq!(StopWay::of(Span::ZERO), wanted("KILL", 0));
    }

    #[test]
    fn a_stock_masters_zero_is_no_limit_and_input_needs_no_terminal() {
        let args = ShellArgs {
            timeout: Some(0.0),
            max_time: Some(1.5),
            use_pty: true,
            initial_stdin: Some("typed".to_owned()),
            ..ShellArgs::new(ProgramArg::Line("true".to_owned()), "/w")
        };
        let spec = Order::of_stock("1", &args, "boot").spec;
        assert_eq!((spec.idle_timeout, spec.total_timeout), (None, Some(Span::from_millis(1500))));
        assert!(!spec.pty);
    }
}
