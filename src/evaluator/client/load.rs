//! Has a configuration loaded by a child, and hands it the files that it asks for.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::limits::{FILES_ASKED_MAX, LOAD_WALL};
use super::super::message::{ChildReply, ChildRequest, LoadedConfig};
use super::death::{Bounds, Death};
use super::launcher::{Launcher, Mode};
use super::link::{LinkError, within};
use super::process::{Body, Process, end_child};
use super::template::Template;
use crate::config::{ConfigDirectory, LoadFrom, LoadRequest, Phase, Problem, Refused, Sources};
use crate::model::Plan;

/// Files whose types cannot be inferred, each found by a load that takes its time.
const UNTYPED_MAX: usize = 10;
/// A load that was killed from outside is begun once more.
const KILLED_MAX: usize = 2;

/// A configuration that is right.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub plan: Arc<Plan>,
    /// Its texts.
    pub sources: Arc<Sources>,
    /// Files on disk that it consists of, to watch.
    pub watch: Vec<PathBuf>,
    /// Remarks that refuse nothing.
    pub warnings: Vec<Problem>,
    /// What it printed, within a bound.
    pub printed: String,
    /// Its functions.
    pub template: Arc<Template>,
}

/// What a load came to.
#[derive(Clone, Debug)]
pub enum Load {
    /// It is right.
    Loaded(Loaded),
    /// It is not, or its load died: all problems.
    Refused(Refused),
    /// Somebody wanted it no more.
    Aborted,
}

/// Ends a load from another thread; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Abort {
    wanted: Arc<AtomicBool>,
    /// The texts that the load has read so far.
    read: Arc<Mutex<BTreeMap<String, String>>>,
    child: Arc<Mutex<Option<Arc<Mutex<Child>>>>>,
}

impl Abort {
    /// Kills the load's process; what it came to is [`Load::Aborted`].
    pub fn abort(&self) {
        self.wanted.store(true, Ordering::SeqCst);
        if let Some(child) = self.child().take() {
            end_child(&child);
        }
    }

    /// Whether a load of this file that began now would read something else than this one has read so far. If not, this one
    /// does as well: whatever it reads from here on is no older.
    pub fn is_outdated(&self, path: &Path) -> bool {
        let Ok(directory) = ConfigDirectory::of(path) else { return true };
        let files = self.read.lock().unwrap_or_else(PoisonError::into_inner).clone();
        !directory.holds(&Sources { main: directory.main().to_owned(), files })
    }

    fn note_read(&self, name: &str, text: &str) {
        self.read.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), text.to_owned());
    }

    fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::SeqCst)
    }

    /// From now on it is this child that is to be ended.
    fn watch(&self, process: &Process) {
        if let Body::Own(child) = &process.body {
            *self.child() = Some(Arc::clone(child));
        }
        if self.is_wanted() {
            self.abort();
        }
    }

    fn child(&self) -> MutexGuard<'_, Option<Arc<Mutex<Child>>>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Loads a configuration from disk. Blocks.
pub fn load(launcher: &Launcher, path: &Path, abort: &Abort) -> Load {
    match ConfigDirectory::of(path) {
        Ok(directory) => {
            let from = LoadFrom::Host { main: directory.main().to_owned(), directory: directory.path() };
            Loading { launcher, directory: Some(directory), abort }.run(from)
        }
        Err(refused) => Load::Refused(refused),
    }
}

/// Loads one from its kept sources. Blocks.
pub(super) fn load_kept(launcher: &Launcher, sources: Sources) -> Load {
    Loading { launcher, directory: None, abort: &Abort::default() }.run(LoadFrom::Kept(sources))
}

/// How one attempt ended without a result.
struct FailedAttempt {
    death: Death,
    doing: Option<(Phase, String)>,
}

enum Attempt {
    Loaded(Box<LoadedConfig>),
    Refused(Vec<Problem>),
    Died(FailedAttempt),
}

struct Loading<'a> {
    launcher: &'a Launcher,
    directory: Option<ConfigDirectory>,
    abort: &'a Abort,
}

impl Loading<'_> {
    fn run(&self, from: LoadFrom) -> Load {
        let mut request = LoadRequest { from, untyped: BTreeMap::new() };
        let mut killed = 0;
        loop {
            let child = match self.start() {
                Ok(child) => child,
                Err(error) => {
                    return refused(format!("failed to start a process for the configuration: {error}"), None);
                }
            };
            let (mut process, socket) = child;
            let attempt = self.attempt(&mut process, &request);
            if self.abort.is_wanted() {
                return Load::Aborted;
            }
            match attempt {
                Attempt::Loaded(reply) => return Load::Loaded(self.loaded(*reply, process, socket, &request)),
                Attempt::Refused(problems) => return Load::Refused(Refused { problems }),
                Attempt::Died(FailedAttempt { death, doing: Some((Phase::Types, file)) })
                    if death != Death::Killed && request.untyped.len() < UNTYPED_MAX =>
                {
                    request.untyped.insert(file, death.words());
                }
                Attempt::Died(FailedAttempt { death: Death::Killed, .. }) if killed + 1 < KILLED_MAX => killed += 1,
                Attempt::Died(died) => return died.refused(),
            }
        }
    }

    #[cfg(target_os = "linux")]
    fn start(&self) -> std::io::Result<(Process, Option<std::os::unix::net::UnixStream>)> {
        match self.launcher.mode {
            Mode::Fork => self.launcher.template().map(|(process, socket)| (process, Some(socket))),
            Mode::Plain => Ok((self.launcher.plain()?, None)),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn start(&self) -> std::io::Result<(Process, Option<std::convert::Infallible>)> {
        Ok((self.launcher.plain()?, None))
    }

    fn attempt(&self, process: &mut Process, request: &LoadRequest) -> Attempt {
        self.abort.watch(process);
        let mut doing = None;
        let limits = self.launcher.limits;
        match self.converse(process, request, &mut doing) {
            Ok(attempt) => attempt,
            Err(broken) => {
                let inferring = matches!(doing, Some((Phase::Types, _)));
                let processor = if inferring { limits.types } else { limits.load };
                let death = process.bury(&broken, Bounds { processor, wall: LOAD_WALL });
                Attempt::Died(FailedAttempt { death, doing })
            }
        }
    }

    /// Answers the child until it has a result.
    fn converse(
        &self,
        process: &mut Process,
        request: &LoadRequest,
        doing: &mut Option<(Phase, String)>,
    ) -> Result<Attempt, LinkError> {
        let until = within(LOAD_WALL);
        let limits = self.launcher.limits;
        let (micros, types_micros) = (limits.load.as_micros() as u64, limits.types.as_micros() as u64);
        process.link.send(&ChildRequest::Load { request: Cow::Borrowed(request), micros, types_micros }, until)?;
        let mut asked = 0;
        loop {
            match process.link.receive(until)? {
                ChildReply::Begins(phase, file) => *doing = Some((phase, file)),
                ChildReply::Read(name) => {
                    asked += 1;
                    let directory =
                        self.directory.as_ref().filter(|_| asked <= FILES_ASKED_MAX).ok_or(LinkError::Closed)?;
                    let text = directory.read(&name);
                    if let Ok(text) = &text {
                        self.abort.note_read(&name, text);
                    }
                    process.link.send(&ChildRequest::Text(text), until)?;
                }
                ChildReply::Loaded(reply) => return Ok(Attempt::Loaded(reply)),
                ChildReply::Refused(problems) => return Ok(Attempt::Refused(problems)),
                _ => return Err(LinkError::Closed),
            }
        }
    }

    fn loaded(
        &self,
        reply: LoadedConfig,
        process: Process,
        #[cfg(target_os = "linux")] socket: Option<std::os::unix::net::UnixStream>,
        #[cfg(not(target_os = "linux"))] _: Option<std::convert::Infallible>,
        request: &LoadRequest,
    ) -> Loaded {
        self.abort.child().take();
        for line in reply.printed.lines() {
            tracing::info!("the configuration printed: {line}");
        }
        let (mut plan, sources) = (reply.plan, reply.sources);
        Arc::make_mut(&mut plan).share();
        // Only where each evaluator loads by itself are the texts needed once more.
        let again = || LoadRequest { from: LoadFrom::Kept((*sources).clone()), untyped: request.untyped.clone() };
        #[cfg(target_os = "linux")]
        let template = match socket {
            Some(socket) => Template::forking(plan.clone(), self.launcher, process, socket),
            None => Template::plain(plan.clone(), self.launcher, process, again()),
        };
        #[cfg(not(target_os = "linux"))]
        let template = Template::plain(plan.clone(), self.launcher, process, again());
        let watch = self.directory.as_ref().map(|directory| directory.watch(sources.files.keys())).unwrap_or_default();
        Loaded { plan, sources, watch, warnings: reply.warnings, printed: reply.printed, template: Arc::new(template) }
    }
}

impl FailedAttempt {
    fn refused(self) -> Load {
        let work = match &self.doing {
            None => "loading the configuration".to_owned(),
            Some((Phase::Parse, file)) => format!("parsing `{file}`"),
            Some((Phase::Types, file)) => format!("inferring the types in `{file}`"),
            Some((Phase::Evaluate, file)) => format!("evaluating `{file}`"),
            Some((Phase::Finish, _)) => "adding the declarations up".to_owned(),
        };
        refused(format!("{work} {}", self.death.words()), self.death.hint().map(str::to_owned))
    }
}

fn refused(message: String, hint: Option<String>) -> Load {
    Load::Refused(Refused { problems: vec![Problem::placeless(message, hint)] })
}

/// Brings a fresh plain process to where the configuration is loaded.
pub(super) fn prepare(launcher: &Launcher, request: &LoadRequest) -> Result<Process, String> {
    let mut process = launcher.plain().map_err(|error| error.to_string())?;
    let loading = Loading { launcher, directory: None, abort: &Abort::default() };
    match loading.attempt(&mut process, request) {
        Attempt::Loaded(_) => Ok(process),
        Attempt::Refused(problems) => Err(Refused { problems }.to_string()),
        Attempt::Died(FailedAttempt { death, .. }) => Err(format!("loading the configuration {}", death.words())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_load_is_outdated_once_a_text_that_it_read_has_changed() {
        let place = tempfile::tempdir().unwrap();
        let main = place.path().join("master.star");
        std::fs::write(&main, "one").unwrap();
        let load = Abort::default();
        assert!(!load.is_outdated(&main), "it has read nothing yet");
        load.note_read("master.star", "one");
        std::fs::write(place.path().join("other.star"), "").unwrap();
        assert!(!load.is_outdated(&main));
        std::fs::write(&main, "two").unwrap();
        assert!(load.is_outdated(&main));
        std::fs::remove_file(&main).unwrap();
        assert!(load.is_outdated(&main));
    }
}
