//! What declarations add up to while files are evaluated: a plan in the making, the problems so far, and
//! the names that have to be checked once everything is declared.
//!
//! Reached by natives through the evaluator's `extra`. Holds plain data only; functions are kept by the
//! [`Registry`](super::registry::Registry) of the module that names them.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use starlark::any::ProvidesStaticType;
use starlark::eval::Evaluator;

use super::place::CallSite;
use super::problem::NOTED_MAX;
use super::texts::Texts;
use crate::model::{FnId, Plan, SourcePlace};

/// A problem whose line is looked up later.
#[derive(Clone, Debug)]
pub(super) struct UnplacedProblem {
    pub(super) site: CallSite,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// A kind of thing that is declared and referred to by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Worker,
    Builder,
    Scheduler,
    ChangeSource,
    Notifier,
    Lock,
    Property,
    Hook,
    Role,
    Project,
    Codebase,
    Login,
    /// A declaration that may be made once: `master`, `web`, ….
    Once,
}

impl Kind {
    /// The word for people.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Builder => "builder",
            Self::Scheduler => "scheduler",
            Self::ChangeSource => "change source",
            Self::Notifier => "notifier",
            Self::Lock => "lock",
            Self::Property => "property",
            Self::Hook => "change hook",
            Self::Role => "role",
            Self::Project => "project",
            Self::Codebase => "codebase",
            Self::Login => "login",
            Self::Once => "declaration",
        }
    }
}

/// A name that something else must have declared.
#[derive(Clone, Debug)]
pub(super) struct Reference {
    /// Who refers: "builder `linux`".
    pub(super) by: String,
    pub(super) wanted: ReferenceKind,
    pub(super) name: String,
    pub(super) site: CallSite,
}

/// A shell pattern that something else should match.
#[derive(Clone, Debug)]
pub(super) struct NamePattern {
    /// Who has it: "`allow`".
    pub(super) by: String,
    /// The argument: "builders".
    pub(super) of: &'static str,
    pub(super) pattern: String,
    pub(super) site: CallSite,
}

/// What a reference may mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReferenceKind {
    /// A worker's name or tag.
    WorkerOrTag,
    Worker,
    Builder,
    /// A tag of some builder.
    BuilderTag,
    Scheduler,
    /// A scheduler that builds can trigger.
    Triggerable,
    Lock,
    Project,
}

/// The state of loading.
#[derive(Debug, Default, ProvidesStaticType)]
pub(super) struct Collector {
    pub(super) plan: RefCell<Plan>,
    pub(super) problems: RefCell<Vec<UnplacedProblem>>,
    /// What is probably not meant, but refuses nothing.
    pub(super) warnings: RefCell<Vec<UnplacedProblem>>,
    pub(super) references: RefCell<Vec<Reference>>,
    pub(super) patterns: RefCell<Vec<NamePattern>>,
    declared: RefCell<BTreeMap<(Kind, String), CallSite>>,
    secrets: RefCell<BTreeSet<String>>,
    files: RefCell<BTreeSet<Arc<str>>>,
    functions: Cell<u64>,
    /// The directory that holds the configuration.
    pub(super) directory: RefCell<Option<String>>,
    /// What the load reads from; none outside of a load.
    pub(super) texts: RefCell<Option<Rc<RefCell<Texts>>>>,
    /// Whether the configuration asked for it.
    pub(super) directory_asked: Cell<bool>,
}

impl Collector {
    /// The collector of the load in progress; none in a build, a question or a template.
    pub(super) fn of<'a>(eval: &Evaluator<'_, 'a, '_>) -> Option<&'a Self> {
        eval.extra.and_then(|extra| extra.downcast_ref::<Self>())
    }

    /// Reads files of the configuration.
    pub(super) fn texts<T>(&self, read: impl FnOnce(&mut Texts) -> anyhow::Result<T>) -> anyhow::Result<T> {
        match &*self.texts.borrow() {
            Some(texts) => read(&mut texts.borrow_mut()),
            None => anyhow::bail!("no configuration is being loaded"),
        }
    }

    /// Notes a problem.
    pub(super) fn note(&self, site: CallSite, message: impl Into<String>, hint: Option<String>) {
        keep(&self.problems, UnplacedProblem { site, message: message.into(), hint });
    }

    /// Notes what is probably not meant.
    pub(super) fn warn(&self, site: CallSite, message: impl Into<String>, hint: Option<String>) {
        keep(&self.warnings, UnplacedProblem { site, message: message.into(), hint });
    }

    /// Declares a name; a second time it is a problem.
    pub(super) fn declare(&self, kind: Kind, name: &str, site: &CallSite) {
        let mut declared = self.declared.borrow_mut();
        let Some(first) = declared.get(&(kind, name.to_owned())) else {
            declared.insert((kind, name.to_owned()), site.clone());
            return;
        };
        let place = first.place();
        let hint = format!("the first one is in {}, line {}", place.file, place.line);
        let message = match kind {
            Kind::Once => format!("`{name}` is called a second time"),
            _ => format!("there are two {}s named `{name}`", kind.word()),
        };
        self.note(site.clone(), message, Some(hint));
    }

    /// Where a name was declared first.
    pub(super) fn spot_of(&self, kind: Kind, name: &str) -> CallSite {
        let declared = self.declared.borrow();
        declared.get(&(kind, name.to_owned())).cloned().unwrap_or(CallSite { span: None, argument: None })
    }

    /// File, line and column of a site.
    pub(super) fn place_of(&self, site: &CallSite) -> SourcePlace {
        site.place_among(&mut self.files.borrow_mut())
    }

    /// Remembers a name to be checked at the end.
    pub(super) fn refer(&self, by: &str, wanted: ReferenceKind, name: &str, site: CallSite) {
        let reference = Reference { by: by.to_owned(), wanted, name: name.to_owned(), site };
        self.references.borrow_mut().push(reference);
    }

    /// Remembers a pattern that is to match something at the end.
    pub(super) fn expect_match(&self, pattern: NamePattern) {
        self.patterns.borrow_mut().push(pattern);
    }

    /// The id for one more function.
    pub(super) fn next_function(&self) -> FnId {
        let id = self.functions.get();
        self.functions.set(id + 1);
        FnId(id)
    }

    /// Remembers that the configuration names a secret.
    pub(super) fn name_secret(&self, name: &str) {
        let mut secrets = self.secrets.borrow_mut();
        if !secrets.contains(name) {
            secrets.insert(name.to_owned());
        }
    }

    /// Takes the plan, as far as single declarations made it.
    pub(super) fn take_plan(&self) -> Plan {
        let mut plan = self.plan.take();
        plan.secrets.names = self.secrets.take().into_iter().collect();
        plan
    }
}

fn keep(noted: &RefCell<Vec<UnplacedProblem>>, one: UnplacedProblem) {
    let mut noted = noted.borrow_mut();
    if noted.len() < NOTED_MAX {
        noted.push(one);
    }
}
