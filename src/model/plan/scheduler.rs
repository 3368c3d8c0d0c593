//! What makes buildsets: schedulers, their filters and forms.

use serde::{Deserialize, Serialize};

use super::{Policy, SourcePlace};
use crate::base::Span;
use crate::model::{FnId, Properties, StampSpec, Value};

/// Which values of a change's attribute are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Matcher {
    /// One of these; none stands for an absent value.
    OneOf(Vec<Option<String>>),
    /// Any text that this regular expression matches at its start.
    Regex(String),
    /// Not one of these.
    NoneOf(Vec<Option<String>>),
}

/// Which changes a scheduler takes; all given parts must agree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeFilter {
    pub branch: Option<Matcher>,
    pub project: Option<Matcher>,
    pub repository: Option<Matcher>,
    pub codebase: Option<Matcher>,
    pub category: Option<Matcher>,
    /// Glob patterns; at least one file of the change must match one of them.
    pub files: Vec<String>,
    pub function: Option<FnId>,
}

/// Which changes are important enough to start a build; the others go along with the next one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImportantFiles {
    /// Those with a file that matches `include` and not `exclude` (glob patterns; empty `include`
    /// matches all).
    Globs {
        include: Vec<String>,
        exclude: Vec<String>,
    },
    Function(FnId),
}

impl SchedulerKind {
    /// The scheduler whose builds it waits for.
    #[must_use]
    pub const fn upstream(&self) -> Option<&str> {
        match self {
            Self::Dependent { upstream } => Some(upstream.as_str()),
            Self::Branch { .. }
            | Self::AnyBranch { .. }
            | Self::Periodic { .. }
            | Self::Nightly { .. }
            | Self::Triggerable
            | Self::Force { .. } => None,
        }
    }
}

/// A codebase of a scheduler: what to check out when no change says otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CodebasePlan {
    pub stamp: StampSpec,
}

/// A scheduler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulerPlan {
    pub name: String,
    /// Builder names, in the order given.
    pub builders: Vec<String>,
    /// Properties of its buildsets, source `Scheduler`.
    pub properties: Properties,
    /// Further properties from a user function.
    pub properties_fn: Option<FnId>,
    /// Source trees of its builds; at least one, usually with codebase `""`.
    pub codebases: Vec<CodebasePlan>,
    pub priority: Option<Policy<i64>>,
    /// The text of the buildsets; none for the kind's usual one.
    pub reason: Option<String>,
    pub kind: SchedulerKind,
    pub place: SourcePlace,
}

/// What makes a scheduler start builds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SchedulerKind {
    /// Changes of one branch (by its filter), together, after a quiet period without further ones.
    Branch { filter: ChangeFilter, quiet: Span, important: Option<ImportantFiles>, only_important: bool },
    /// Changes of every branch, each branch on its own, after its quiet period.
    AnyBranch { filter: ChangeFilter, quiet: Span, important: Option<ImportantFiles>, only_important: bool },
    /// At a fixed interval.
    Periodic { every: Span, filter: ChangeFilter, important: Option<ImportantFiles>, only_if_changed: bool },
    /// By a cron expression in a time zone.
    Nightly {
        cron: String,
        /// IANA name.
        zone: String,
        filter: ChangeFilter,
        important: Option<ImportantFiles>,
        only_if_changed: bool,
    },
    /// When all builds of another scheduler's buildset succeeded (or ended with warnings).
    Dependent { upstream: String },
    /// When a build's script asks.
    Triggerable,
    /// When a person asks.
    Force { label: String, button: String, params: Vec<ForceParam> },
}

/// A parameter of a force scheduler (docs/reference/rest-api-v2.md#force).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForceParam {
    pub name: String,
    pub label: String,
    pub tooltip: String,
    pub kind: ForceParamKind,
    pub default: Value,
    pub required: bool,
    /// Several values make a list.
    pub multiple: bool,
    /// Anchored at the start.
    pub regex: Option<String>,
    pub length_max: Option<u64>,
    pub hidden: bool,
}

/// The type of a parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ForceParamKind {
    Text,
    TextArea { rows: u64, columns: u64 },
    Int,
    Bool,
    Choice { choices: Vec<String>, strict: bool },
    Fixed,
}

/// The name of a force form's field for a codebase, as requests give it.
#[must_use]
pub fn full_name(codebase: &str, name: &str) -> String {
    if codebase.is_empty() { name.to_owned() } else { format!("{codebase}_{name}") }
}
