//! Identities, each its own type, so that a build number and a builder id never change places.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! number_ids {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub u64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

number_ids! {
    /// A change, counted from 1 in order of arrival.
    ChangeId,
    /// A source stamp; identical stamps share one.
    SourceStampId,
    /// A set of build requests made for one reason.
    BuildsetId,
    /// A build request.
    RequestId,
    /// A build, unique over all builders.
    BuildId,
    /// A builder's name, numbered when it is first configured and never reused.
    BuilderId,
    /// A worker's name, numbered when it is first configured and never reused.
    WorkerId,
    /// A scheduler's name, numbered when it is first configured and never reused.
    SchedulerId,
    /// A change source's name, numbered when it is first configured and never reused.
    ChangeSourceId,
    /// A project's name, numbered when it is first configured and never reused.
    ProjectId,
    /// A codebase's name, numbered when it is first declared and never reused.
    CodebaseId,
    /// A step of any build.
    StepId,
    /// A log of any step.
    LogId,
    /// A report in the outbox.
    ReportId,
    /// A master; this version runs one, numbered 1.
    MasterId,
    /// A user function of one configuration, by its place in that configuration's table.
    FnId,
}

/// A command sent to a worker: unique for all time, over restarts and reinstallations
/// (a reused id makes a stock worker lose the newer command's end, docs/reference/worker-protocol.md#command-ids).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CommandId(pub String);

impl fmt::Display for CommandId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Names a configuration by its content: SHA-256 over the sources and their names, in hex.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ConfigDigest(pub String);

impl fmt::Display for ConfigDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
