//! One attempt of a child to load a configuration: hands it the files that it asks for, until it has a result or dies.

use std::borrow::Cow;

use super::super::limits::{FILES_ASKED_MAX, LOAD_WALL};
use super::super::message::{ChildReply, ChildRequest, LoadedConfig};
use super::abnormal_exit::{AbnormalExit, Bounds};
use super::abort::Abort;
use super::launcher::Launcher;
use super::link::{LinkError, within};
use super::process::Process;
use crate::config::{ConfigDirectory, LoadRequest, Phase, Problem, Refused};

/// How one attempt ended without a result.
pub(super) struct FailedAttempt {
    pub exit: AbnormalExit,
    pub doing: Option<(Phase, String)>,
}

/// What one attempt came to.
pub(super) enum Attempt {
    Loaded(Box<LoadedConfig>),
    Refused(Vec<Problem>),
    Died(FailedAttempt),
}

/// What a load works with.
pub(super) struct Loading<'a> {
    pub launcher: &'a Launcher,
    pub directory: Option<ConfigDirectory>,
    pub abort: &'a Abort,
}

impl Loading<'_> {
    /// Has a child load.
    pub fn attempt(&self, process: &mut Process, request: &LoadRequest) -> Attempt {
        self.abort.watch(process);
        let mut doing = None;
        let limits = self.launcher.limits;
        match self.converse(process, request, &mut doing) {
            Ok(attempt) => attempt,
            Err(broken) => {
                let inferring = matches!(doing, Some((Phase::Types, _)));
                let processor = if inferring { limits.types } else { limits.load };
                let exit = process.reap(&broken, Bounds { processor, wall: LOAD_WALL });
                Attempt::Died(FailedAttempt { exit, doing })
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
}

/// Brings a fresh plain process to where the configuration is loaded.
pub(super) fn prepare(launcher: &Launcher, request: &LoadRequest) -> Result<Process, String> {
    let mut process = launcher.plain().map_err(|error| error.to_string())?;
    let loading = Loading { launcher, directory: None, abort: &Abort::default() };
    match loading.attempt(&mut process, request) {
        Attempt::Loaded(_) => Ok(process),
        Attempt::Refused(problems) => Err(Refused { problems }.to_string()),
        Attempt::Died(FailedAttempt { exit, .. }) => Err(format!("loading the configuration {}", exit.words())),
    }
}
