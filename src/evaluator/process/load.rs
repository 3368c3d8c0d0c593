//! Loads a configuration in the child: files come from the other end, which hears what is being done.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::super::message::{LoadedReply, Order, Reply};
use super::{Ends, allow, spent};
use crate::config::{self, LoadHost, Loaded, Phase, ReadError};

/// The other end, as the loader sees it.
struct Host {
    ends: Arc<Mutex<Ends>>,
    micros: u64,
    types_micros: u64,
}

/// Takes the first order, and carries it out; none if it was refused, or nobody is there.
pub(super) fn load(ends: &Arc<Mutex<Ends>>) -> Option<Loaded> {
    let Some(Order::Load { ask, micros, types_micros }) = lock(ends).hear() else { return None };
    allow(micros);
    let host = Host { ends: Arc::clone(ends), micros, types_micros };
    let result = config::load_for(ask.into_owned(), Box::new(host));
    let reply = match &result {
        Ok(loaded) => Reply::Loaded(Box::new(LoadedReply {
            plan: Arc::clone(&loaded.plan),
            sources: Arc::clone(&loaded.sources),
            warnings: loaded.warnings.clone(),
            printed: config::take_printed(),
        })),
        Err(refused) => Reply::Refused(refused.problems.clone()),
    };
    let heard = lock(ends).say(&reply);
    allow(0);
    result.ok().filter(|_| heard)
}

impl LoadHost for Host {
    fn read(&mut self, name: &str) -> Result<String, ReadError> {
        let mut ends = lock(&self.ends);
        if ends.say(&Reply::Read(name.to_owned()))
            && let Some(Order::Text(text)) = ends.hear()
        {
            return text;
        }
        // Nobody is there who wants to know.
        std::process::exit(0);
    }

    fn begins(&mut self, phase: Phase, file: &str) {
        // If nobody is there, the reply will find out.
        lock(&self.ends).say(&Reply::Begins(phase, file.to_owned()));
        let rest = self.micros.saturating_sub(spent()).max(1);
        allow(match phase {
            Phase::Types => self.types_micros.min(rest),
            Phase::Parse | Phase::Evaluate | Phase::Finish => rest,
        });
    }
}

/// One thread has the ends at a time anyway.
pub(super) fn lock(ends: &Mutex<Ends>) -> MutexGuard<'_, Ends> {
    ends.lock().unwrap_or_else(PoisonError::into_inner)
}
