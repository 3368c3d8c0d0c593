//! Loads a configuration in the child: files come from the other end, which hears what is being done.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::message::{ChildReply, ChildRequest, LoadedConfig};
use super::{Pipes, allow, spent};
use crate::config::{self, LoadHost, Loaded, Phase, ReadError};

/// The other end, as the loader sees it.
struct Host {
    pipes: Arc<Mutex<Pipes>>,
    micros: u64,
    types_micros: u64,
}

/// Takes the first order, and carries it out; none if it was refused, or nobody is there.
pub(super) fn load(pipes: &Arc<Mutex<Pipes>>) -> Option<Loaded> {
    let Some(ChildRequest::Load { request, micros, types_micros }) = lock(pipes).hear() else { return None };
    allow(micros);
    let host = Host { pipes: Arc::clone(pipes), micros, types_micros };
    let result = config::load_for(request.into_owned(), Box::new(host));
    let reply = match &result {
        Ok(loaded) => ChildReply::Loaded(Box::new(LoadedConfig {
            plan: Arc::clone(&loaded.plan),
            sources: Arc::clone(&loaded.sources),
            warnings: loaded.warnings.clone(),
            printed: config::take_printed(),
        })),
        Err(refused) => ChildReply::Refused(refused.problems.clone()),
    };
    let heard = lock(pipes).say(&reply);
    allow(0);
    result.ok().filter(|_| heard)
}

impl LoadHost for Host {
    fn read(&mut self, name: &str) -> Result<String, ReadError> {
        let mut pipes = lock(&self.pipes);
        if pipes.say(&ChildReply::Read(name.to_owned()))
            && let Some(ChildRequest::Text(text)) = pipes.hear()
        {
            return text;
        }
        // Nobody is there who wants to know.
        std::process::exit(0);
    }

    fn begins(&mut self, phase: Phase, file: &str) {
        // If nobody is there, the reply will find out.
        lock(&self.pipes).say(&ChildReply::Begins(phase, file.to_owned()));
        let rest = self.micros.saturating_sub(spent()).max(1);
        allow(match phase {
            Phase::Types => self.types_micros.min(rest),
            Phase::Parse | Phase::Evaluate | Phase::Finish => rest,
        });
    }
}

/// One thread has the pipes at a time anyway.
pub(super) fn lock(pipes: &Mutex<Pipes>) -> MutexGuard<'_, Pipes> {
    pipes.lock().unwrap_or_else(PoisonError::into_inner)
}
