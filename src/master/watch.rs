//! Watches the files of the configuration and asks for a reload when one changed.
//!
//! The directories are watched, not the files, because editors replace files. A burst of events makes one
//! reload. Knows nothing of what is in the files; whether anything differs is the reloader's judgement.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use notify::{EventKind, RecursiveMode, Watcher as _};
use tokio::sync::{mpsc, watch};

use super::reload::{Reload, Reloads};
use super::{Alerts, MasterError, ShuttingDown};
use crate::model::{AlertSubject, Cause};

/// Quiet time that ends a burst of events: an editor's save is over by then, and nobody waits noticeably.
const QUIET: Duration = Duration::from_millis(200);
/// A burst without an end (something writes all the time) is cut here.
const BURST_MAX: Duration = Duration::from_secs(2);
/// When to look again for a directory that was not there.
const MISSING_AGAIN: Duration = Duration::from_secs(5);
/// Paths that wait to be looked at; when full the rest is dropped, because what is there makes a reload already.
const EVENTS_MAX: usize = 256;

/// Runs as long as the master. `files` names what to watch, anew after each load.
pub(super) async fn run(
    main: PathBuf,
    mut files: watch::Receiver<Vec<PathBuf>>,
    reloads: Reloads,
    alerts: Alerts,
) -> Result<(), MasterError> {
    let (mut watcher, mut events) = match FileWatcher::open() {
        Ok(watcher) => watcher,
        Err(error) => {
            let text = format!("cannot watch the files of the configuration: {error}");
            let hint = "use `starwright reload` after a change".to_owned();
            alerts.raise(AlertSubject::Configuration, "watch", text, Some(hint));
            return std::future::pending().await;
        }
    };
    let mut refused = false;
    let mut noted = None;
    // The load that was asked for last. A newer one takes its place: it is what supersedes a load that hangs.
    let mut asked: Option<Answer> = None;
    loop {
        let watched = WatchedFiles::new(&main, &files.borrow_and_update());
        watcher.heed(&watched, refused);
        let cause = if watcher.look_at(&watched.directories) {
            // What changed between the load and now was not seen.
            "watch".to_owned()
        } else {
            tokio::select! {
                cause = changed(&mut events, &mut noted, &watched, refused) => cause,
                reload = answered(&mut asked) => match reload {
                    Ok(reload) => {
                        refused = matches!(reload, Reload::Refused { .. });
                        continue;
                    }
                    Err(_gone) => return std::future::pending().await,
                },
                _ = files.changed() => continue,
                () = tokio::time::sleep(MISSING_AGAIN), if !watcher.sees(&watched.directories) => continue,
            }
        };
        let reloads = reloads.clone();
        asked = Some(Box::pin(async move { reloads.request(cause, Cause::Configuration).await }));
    }
}

type Answer = Pin<Box<dyn Future<Output = Result<Reload, ShuttingDown>> + Send>>;

/// Waits for the answer to what was asked, once.
async fn answered(asked: &mut Option<Answer>) -> Result<Reload, ShuttingDown> {
    let Some(answer) = asked else { return std::future::pending().await };
    let reload = answer.await;
    *asked = None;
    reload
}

/// What counts.
#[derive(Clone, Debug, Default)]
struct WatchedFiles {
    names: BTreeSet<PathBuf>,
    directories: BTreeSet<PathBuf>,
}

impl WatchedFiles {
    fn new(main: &Path, files: &[PathBuf]) -> Self {
        let names: BTreeSet<PathBuf> = files.iter().cloned().chain([main.to_owned()]).collect();
        let directories = names.iter().filter_map(|file| file.parent()).map(Path::to_owned).collect();
        Self { names, directories }
    }

    /// One of the files, any Starlark file, or the link that a mounted configuration is switched by.
    fn covers(&self, path: &Path) -> bool {
        self.names.iter().any(|name| name.file_name() == path.file_name())
            || path.extension() == Some(OsStr::new("star"))
            || path.file_name() == Some(OsStr::new("..data"))
    }
}

/// Waits for a change that counts, then for the end of the burst; the cause in words. While the last load was refused
/// everything counts, because the file that was missing may have any name. Whoever drops the wait loses nothing: what
/// was seen stays in `noted` for the next one.
async fn changed(
    events: &mut mpsc::Receiver<PathBuf>,
    noted: &mut Option<PathBuf>,
    watched: &WatchedFiles,
    refused: bool,
) -> String {
    while noted.is_none() {
        let Some(path) = events.recv().await else { return std::future::pending().await };
        *noted = Some(path).filter(|path| refused || watched.covers(path));
    }
    let burst = async {
        while let Ok(Some(path)) = tokio::time::timeout(QUIET, events.recv()).await {
            // Editors write temporary files first, whose names tell nobody anything.
            if watched.covers(&path) && !noted.as_ref().is_some_and(|noted| watched.covers(noted)) {
                *noted = Some(path);
            }
        }
    };
    // Both ends are fine: the burst is over, or long enough.
    let _ = tokio::time::timeout(BURST_MAX, burst).await;
    match noted.take().filter(|path| watched.covers(path)) {
        Some(path) => format!("{} changed", path.file_name().unwrap_or(path.as_os_str()).to_string_lossy()),
        None => "a file in the directory of the configuration changed".to_owned(),
    }
}

/// The operating system's watch over directories.
struct FileWatcher {
    watcher: notify::RecommendedWatcher,
    filter: Arc<Mutex<WatchFilter>>,
    /// What is watched, and which directory had the name then.
    directories: BTreeMap<PathBuf, Identity>,
}

/// What wakes us: a file that is written all the time beside the configuration does not.
#[derive(Debug, Default)]
struct WatchFilter {
    watched: WatchedFiles,
    /// Everything does.
    all: bool,
}

/// Tells a directory from another one that took its name later.
type Identity = (u64, u64);

#[cfg(unix)]
fn identity(directory: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(directory).ok().map(|facts| (facts.dev(), facts.ino()))
}

#[cfg(not(unix))]
fn identity(directory: &Path) -> Option<Identity> {
    directory.is_dir().then_some((0, 0))
}

impl FileWatcher {
    fn open() -> Result<(Self, mpsc::Receiver<PathBuf>), notify::Error> {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        let filter = Arc::<Mutex<WatchFilter>>::default();
        let counts = Arc::clone(&filter);
        let watcher = notify::recommended_watcher(move |event: Result<notify::Event, notify::Error>| {
            let Ok(event) = event else { return };
            // Our own reading is an access, too.
            if !matches!(event.kind, EventKind::Access(_)) {
                let filter = counts.lock().unwrap_or_else(PoisonError::into_inner);
                for path in event.paths.into_iter().filter(|path| filter.all || filter.watched.covers(path)) {
                    // When full there is enough to cause a reload.
                    let _ = sender.try_send(path);
                }
            }
        })?;
        Ok((Self { watcher, filter, directories: BTreeMap::new() }, events))
    }

    /// Says what counts from now on.
    fn heed(&self, watched: &WatchedFiles, all: bool) {
        *self.filter.lock().unwrap_or_else(PoisonError::into_inner) = WatchFilter { watched: watched.clone(), all };
    }

    /// Watches exactly these directories; true if some are new. What is watched already is left alone: watching it again
    /// would lose what happens meanwhile.
    fn look_at(&mut self, wanted: &BTreeSet<PathBuf>) -> bool {
        for gone in self.directories.keys().filter(|directory| !wanted.contains(*directory)) {
            // A directory that was removed is not watched any more.
            let _ = self.watcher.unwatch(gone);
        }
        self.directories.retain(|directory, _| wanted.contains(directory));
        let mut new = false;
        for directory in wanted {
            let Some(now) = identity(directory) else {
                self.directories.remove(directory);
                continue;
            };
            if self.directories.get(directory) == Some(&now) {
                continue;
            }
            match self.watcher.watch(directory, RecursiveMode::NonRecursive) {
                Ok(()) => new |= self.directories.insert(directory.clone(), now) != Some(now),
                Err(error) => {
                    tracing::debug!(directory = %directory.display(), %error, "a directory cannot be watched");
                }
            }
        }
        new
    }

    /// Whether each of these is watched.
    fn sees(&self, wanted: &BTreeSet<PathBuf>) -> bool {
        wanted.iter().all(|directory| self.directories.contains_key(directory))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_wait_that_is_given_up_loses_no_change() {
        let (sender, mut events) = mpsc::channel(4);
        let main = PathBuf::from("/conf/master.star");
        let watched = WatchedFiles::new(&main, &[]);
        let mut noted = None;
        sender.try_send(main.clone()).unwrap();
        // Given up in the middle of the burst.
        assert_eq!(changed(&mut events, &mut noted, &watched, false).now_or_never(), None);
        assert_eq!(changed(&mut events, &mut noted, &watched, false).await, "master.star changed");
        assert_eq!(noted, None);
    }

    #[tokio::test]
    async fn temporary_files_of_an_editor_are_not_named() {
        let watched = WatchedFiles::new(Path::new("/c/master.star"), &[]);
        for (names, cause) in [
            (&[".master.star.swp", "4913", "master.star", "4914"][..], "master.star changed"),
            (&[".master.star.swp"], "a file in the directory of the configuration changed"),
        ] {
            let (sender, mut events) = mpsc::channel(8);
            names.iter().for_each(|name| sender.try_send(Path::new("/c").join(name)).unwrap());
            // The burst ends with its sender.
            drop(sender);
            assert_eq!(changed(&mut events, &mut None, &watched, true).await, cause);
        }
    }

    #[test]
    fn files_of_the_configuration_count_and_their_neighbours_do_not() {
        let watched = WatchedFiles::new(Path::new("/c/master.star"), &[PathBuf::from("/c/lib/words.txt")]);
        for (path, counts) in [
            ("/c/master.star", true),
            ("/c/lib/words.txt", true),
            ("/c/new.star", true),
            ("/c/..data", true),
            ("/c/state.db", false),
            ("/c/master.star.swp", false),
        ] {
            assert_eq!(watched.covers(Path::new(path)), counts, "{path}");
        }
        assert_eq!(watched.directories.len(), 2);
    }
}
