//! What the runner itself writes into the log: for people, not to be parsed.

use std::ffi::OsStr;
use std::fmt::Write as _;

use super::command::{Command, CommandLine};
use super::environment::MARKER;
use crate::base::Span;
use crate::base::process::tree::signal_name;
use crate::worker::order::Order;

/// The lines before the command's output.
pub(super) fn begin(order: &Order, command: &Command<'_>) -> String {
    let spec = &order.spec;
    let mut text = match &command.line {
        CommandLine::Shell(line) => line.clone(),
        CommandLine::Words(words) => typed(words),
    };
    write!(text, "\n in {}", spec.workdir).expect(NEVER);
    let limits = [("without output", spec.idle_timeout), ("in total", spec.total_timeout)];
    for (what, limit) in limits {
        if let Some(limit) = limit {
            write!(text, ", at most {limit} {what}").expect(NEVER);
        }
    }
    if let Some(lines) = spec.lines_max {
        write!(text, ", at most {lines} lines").expect(NEVER);
    }
    text.push('\n');
    for (name, file) in &spec.log_files {
        writeln!(text, " log `{name}` from {}", file.path).expect(NEVER);
    }
    if let Some(stdin) = &command.stdin {
        writeln!(text, " {} bytes to its standard input", stdin.len()).expect(NEVER);
    }
    if spec.pty {
        text.push_str(" in a terminal\n");
    }
    if order.show_env {
        text.push_str(" environment:\n");
        for (name, value) in command.env.iter().filter(|(name, _)| *name != OsStr::new(MARKER)) {
            writeln!(text, "  {}={}", name.display(), value.display()).expect(NEVER);
        }
    }
    text
}

/// The line after the command's output.
pub(super) fn end(code: Option<i64>, signal: Option<i64>, elapsed: Span) -> String {
    match (code, signal) {
        (Some(code), _) => format!("exit code {code} after {elapsed}\n"),
        (None, Some(signal)) => {
            let name = signal_name(signal).map(|name| format!(" ({name})")).unwrap_or_default();
            format!("killed by signal {signal}{name} after {elapsed}\n")
        }
        (None, None) => format!("did not end when killed, given up after {elapsed}\n"),
    }
}

const NEVER: &str = "writing to a string does not fail";

/// Words as one would type them into a shell.
pub(super) fn typed(words: &[String]) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "-_./:=@%+,~^".contains(letter);
    let quoted = |word: &String| match word.as_str() {
        "" => "''".to_owned(),
        word if word.chars().all(plain) => word.to_owned(),
        word => format!("'{}'", word.replace('\'', r"'\''")),
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::protocol::{LogFileArg, ProgramArg, ShellArgs};
    use crate::worker::runner::environment::Environment;

    #[test]
    fn words_are_quoted_where_a_shell_needs_it() {
        let words = ["make", "X=1", "it's", "", "a b", "$HOME"].map(str::to_owned);
        assert_eq!(typed(&words), r"make X=1 'it'\''s' '' 'a b' '$HOME'");
    }

    #[test]
    fn the_head_of_a_log_tells_command_directory_and_limits() {
        let args = ShellArgs {
            timeout: Some(1200.0),
            max_time: Some(3600.0),
            max_lines: Some(10),
            initial_stdin: Some("abc".to_owned()),
            logfiles: BTreeMap::from([("test".to_owned(), LogFileArg { filename: "t.log".to_owned(), follow: false })]),
            ..ShellArgs::new(ProgramArg::Line("make check".to_owned()), "/w/b")
        };
        let order = Order::of_stock("c", &args, "");
        let env = Environment::from([("A".into(), "1".into()), (MARKER.into(), "c".into())]);
        let mut command = Command::new(&order, std::path::Path::new("/s")).unwrap();
        command.env = env;
        let want = "make check\n in /w/b, at most 20m without output, at most 1h in total, at most 10 lines\n \
                    log `test` from t.log\n 3 bytes to its standard input\n environment:\n  A=1\n";
        assert_eq!(begin(&order, &command), want);
    }

    #[test]
    fn the_foot_of_a_log_tells_the_end() {
        let elapsed = Span::from_millis(1500);
        assert_eq!(end(Some(2), None, elapsed), "exit code 2 after 1.5s\n");
        assert_eq!(end(None, Some(9), elapsed), "killed by signal 9 (KILL) after 1.5s\n");
        assert_eq!(end(None, Some(64), elapsed), "killed by signal 64 after 1.5s\n");
    }
}
