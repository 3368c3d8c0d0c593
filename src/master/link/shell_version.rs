//! Options of a command that an old stock worker ignores silently (docs/reference/worker-protocol.md#versions).

use crate::engine::{CommandOrder, Work};
use crate::protocol::WorkerInfo;

/// The version of a worker's `shell` command, and whether it runs on Windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ShellVersion {
    number: Option<(u64, u64)>,
    windows: bool,
}

/// The first version that supports `max_lines`.
const COUNTS_LINES: (u64, u64) = (3, 3);

impl ShellVersion {
    /// As the worker reports it.
    pub fn of(info: &WorkerInfo) -> Self {
        let version = info.worker_commands.get("shell").and_then(|version| {
            let mut numbers = version.split('.').map(str::parse);
            Some((numbers.next()?.ok()?, numbers.next().unwrap_or(Ok(0)).ok()?))
        });
        Self { number: version, windows: info.system == "nt" }
    }

    /// A line for the log for each option of a command that the worker ignores.
    pub fn ignored(self, order: &CommandOrder) -> String {
        let Work::Run(spec) = &order.work else { return String::new() };
        let mut lines = String::new();
        if let (Some(most), Some(number)) = (spec.lines_max, self.number)
            && number < COUNTS_LINES
        {
            lines += &format!(
                " warning: this worker is too old to stop after {most} lines; `lines_max` needs buildbot-worker 4.1 or newer\n"
            );
        }
        if let Some(encoding) = &spec.output.encoding {
            lines += &format!(
                " warning: this worker decodes its output itself; for {encoding}, set `unicode_encoding` in its buildbot.tac\n"
            );
        }
        if spec.pty && self.windows {
            lines += " warning: this worker has no terminals; `pty` is ignored on Windows\n";
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> ShellVersion {
        let worker_commands = [("shell".to_owned(), text.to_owned())].into();
        ShellVersion::of(&WorkerInfo { worker_commands, ..WorkerInfo::default() })
    }

    #[test]
    fn versions_are_compared_number_by_number() {
        assert!(version("3.2").number < Some(COUNTS_LINES));
        assert!(version("3.10").number > Some(COUNTS_LINES));
        assert_eq!(version("4").number, Some((4, 0)));
        assert_eq!(version("new").number, None);
        assert_eq!(ShellVersion::of(&WorkerInfo::default()).number, None);
    }
}
