//! Has a configuration loaded by a child, in as many attempts as make sense.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::super::message::LoadedConfig;
use super::abnormal_exit::AbnormalExit;
use super::abort::Abort;
use super::attempt::{Attempt, FailedAttempt, Loading};
use super::launcher::{Launcher, Mode};
use super::process::Process;
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

impl Loading<'_> {
    /// Loads, by another attempt where one failed for a reason that may pass.
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
                Attempt::Died(FailedAttempt { exit, doing: Some((Phase::Types, file)) })
                    if exit != AbnormalExit::Killed && request.untyped.len() < UNTYPED_MAX =>
                {
                    request.untyped.insert(file, exit.words());
                }
                Attempt::Died(FailedAttempt { exit: AbnormalExit::Killed, .. }) if killed + 1 < KILLED_MAX => {
                    killed += 1;
                }
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
        refused(format!("{work} {}", self.exit.words()), self.exit.hint().map(str::to_owned))
    }
}

fn refused(message: String, hint: Option<String>) -> Load {
    Load::Refused(Refused { problems: vec![Problem::placeless(message, hint)] })
}
