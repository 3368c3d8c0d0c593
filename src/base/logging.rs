//! Sets up logging: to standard error, as text or as JSON.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use super::environment::variable_os;

/// The format of log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogForm {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// Starts logging. `STARWRIGHT_LOG` (`info`, `starwright::worker=debug`, …) is the filter; without it,
/// `default` is. Later calls have no effect.
pub fn init(form: LogForm, default: &str) {
    let filter = EnvFilter::try_from_env("STARWRIGHT_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    // Colours are for people who watch: in a file or a pipe they are noise.
    let colours = std::io::stderr().is_terminal() && variable_os("NO_COLOR").is_none_or(|value| value.is_empty());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(std::io::stderr);
    // A second call finds the first one's subscriber in place: that one stays.
    let _already_set = match form {
        LogForm::Text => builder.with_target(false).try_init(),
        LogForm::Json => builder.json().try_init(),
    };
}
