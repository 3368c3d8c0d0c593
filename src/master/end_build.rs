//! Ends a build while no master runs: the engine is restored, gets one input, and what follows becomes durable. So
//! requests, buildsets, reports and indexes are as if a master had done it.

use std::path::Path;
use std::sync::Arc;

use super::configurations::Configurations;
use crate::base::{Explained, Fault, Timestamp, host_name};
use crate::engine::{Effect, Engine, Input, Reply, RestoreError, Ticket};
use crate::evaluator::Launcher;
use crate::model::{
    Actor, BuildId, BuildRecord, ConfigDigest, Decision, FnId, Order, Question, Script, Undecided, Via,
};
use crate::store::{Journal, Store, StoreError};

/// A build that was ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndedBuild {
    /// Its builder's name.
    pub builder: String,
    /// Its number.
    pub number: u64,
}

/// Why a build was not ended.
#[derive(Debug, thiserror::Error)]
pub enum EndBuildError {
    /// The store cannot be opened, read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no such build.
    #[error("find build `{build}`: there is none")]
    Unknown {
        /// As it was named.
        build: String,
    },
    /// It ended by itself.
    #[error("end build `{build}`: it is not running")]
    Over {
        /// As it was named.
        build: String,
    },
    /// The state of open work cannot be restored.
    #[error("restore open work")]
    Restore(#[from] RestoreError),
}

impl Explained for EndBuildError {
    fn fault(&self) -> Fault {
        match self {
            Self::Store(error) => error.fault(),
            Self::Unknown { .. } | Self::Over { .. } => Fault::Environment,
            Self::Restore(_) => Fault::Bug,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Store(error) => error.hint(),
            Self::Unknown { .. } | Self::Over { .. } => {
                Some("give BUILDER/NUMBER or the build's id; the pages show both".to_owned())
            }
            Self::Restore(_) => None,
        }
    }
}

/// Ends a build of a store that no master holds. Everything is durable when it returns. Blocks.
pub fn end_build_offline(
    data: &Path,
    launcher: Launcher,
    build: &str,
    why: &str,
    now: Timestamp,
) -> Result<EndedBuild, EndBuildError> {
    let store = Store::open(data)?;
    let ended = end(&store, launcher, build, why, data, now);
    store.close()?;
    ended
}

fn end(
    store: &Store,
    launcher: Launcher,
    name: &str,
    why: &str,
    data: &Path,
    now: Timestamp,
) -> Result<EndedBuild, EndBuildError> {
    let found = find(store, name)?.ok_or_else(|| EndBuildError::Unknown { build: name.to_owned() })?;
    let builder = store.builder(found.builder)?.map(|builder| builder.name).unwrap_or_default();
    let mut engine = restore(store, launcher)?;
    let started = format!("{}:{} (store end-build)", host_name(), data.display());
    let mut steps = vec![Input::Started { name: started, installation: store.installation() }];
    let order = Order::EndBuild { build: found.id, why: why.to_owned() };
    let by = Actor::person("", Via::CommandLine);
    steps.push(Input::Ordered { order, by, ticket: Some(Ticket(1)) });
    steps.push(Input::Stopping);
    let mut facts = Vec::new();
    let mut over = false;
    for input in steps {
        let turn = engine.handle(now, input, &NoScript);
        facts.extend(turn.facts);
        // Orders are given again by the next master, which finds them in the state.
        over |= turn.effects.iter().any(|effect| matches!(effect, Effect::Reply { reply: Reply::Unknown(_), .. }));
    }
    if over {
        return Err(EndBuildError::Over { build: name.to_owned() });
    }
    store.commit_blocking(facts)?;
    Ok(EndedBuild { builder, number: found.number })
}

fn restore(store: &Store, launcher: Launcher) -> Result<Engine, EndBuildError> {
    let configurations = Configurations::new(Arc::new(store.clone()), launcher);
    let recovered = Journal::recover(store)?;
    let mut plans = |digest: &ConfigDigest| configurations.obtain(digest);
    let snapshot = recovered.snapshot.as_ref().map(|(_, bytes)| bytes.as_slice());
    Ok(Engine::restore(snapshot, &recovered.facts, &mut plans)?)
}

/// The build of an id, or of a builder and a number.
fn find(store: &Store, name: &str) -> Result<Option<BuildRecord>, StoreError> {
    if let Ok(id) = name.parse() {
        return store.build(BuildId(id));
    }
    let Some((builder, number)) = name.rsplit_once('/') else { return Ok(None) };
    let Ok(number) = number.parse() else { return Ok(None) };
    let known = store.builders()?.into_iter().find(|known| known.name == builder);
    known.map_or(Ok(None), |known| store.build_by_number(known.id, number))
}

/// Answers nothing: what has to be decided is decided by the next master.
struct NoScript;

impl Script for NoScript {
    fn decide(&self, _: &ConfigDigest, _: FnId, _: &Question) -> Decision {
        Err(Undecided::Postponed)
    }
}
