//! How many files and connections this process may have open.

/// The least that we want, for connections of workers and browsers and for files of the store. Many systems start
/// programs with a limit of 1,024, which programs may raise.
#[cfg(unix)]
const WANTED: u64 = 8_192;

/// Raises the limit as far as necessary and possible, and returns it; none if there is no limit.
#[cfg(unix)]
#[must_use]
pub fn open_files_max() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let current = limit.current?;
    if current >= WANTED {
        return Some(current);
    }
    let wanted = limit.maximum.map_or(WANTED, |most| most.min(WANTED));
    let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    Some(if raised.is_ok() { wanted } else { current })
}

/// Where there is no such limit.
#[cfg(not(unix))]
#[must_use]
pub const fn open_files_max() -> Option<u64> {
    None
}

#[cfg(all(test, unix))]
mod tests {
    #[test]
    fn the_limit_is_known_and_stays_once_raised() {
        let first = super::open_files_max();
        assert!(first.is_none_or(|files| files > 100));
        assert_eq!(super::open_files_max(), first);
    }
}
