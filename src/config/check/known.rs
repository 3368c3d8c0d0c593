//! What functions take, and whether they make steps, as far as it can be known without running anything: natives by their tables or
//! documentation, functions of files by their definitions.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use starlark::docs::{DocFunction, DocItem, DocMember, DocParam};
use starlark::syntax::ast::{AstNoPayload, DefP, ParameterP};

use super::super::declare;
use super::super::evaluate::context_members;
use super::super::globals::globals;
use super::super::signature::{Native, Param};

/// The native function that makes a step.
const STEP: &str = "step";

/// What a function takes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::config) struct Takes {
    /// Arguments that may be given without their names, in order.
    pub(super) positional: Vec<Argument>,
    /// Arguments that only go with their names.
    pub(super) named: Vec<Argument>,
    /// Any number of further arguments without names.
    pub(super) more: bool,
    /// Any further arguments with names.
    pub(super) anything: bool,
    /// What it returns is a step, which does nothing unless something runs it.
    pub(super) makes_step: bool,
}

/// An argument of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Argument {
    pub(super) name: String,
    pub(super) required: bool,
    /// Goes without its name only.
    pub(super) nameless: bool,
}

impl Argument {
    fn new(name: &str, required: bool) -> Self {
        Self { name: name.to_owned(), required, nameless: false }
    }
}

impl Takes {
    /// The names that arguments can be given with.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> + Clone {
        self.positional.iter().chain(&self.named).filter(|arg| !arg.nameless).map(|arg| arg.name.as_str())
    }

    /// Whether one argument is needed, and no other one.
    pub(super) fn is_of(&self, name: &str) -> bool {
        self.positional.first().is_some_and(|first| first.name == name)
            && self.positional.iter().skip(1).chain(&self.named).all(|arg| !arg.required)
    }

    fn of_table(native: &Native) -> Self {
        // What only some kind needs is missed when the kind is known.
        let needed = |param: &Param| param.default.is_none() && native.belongs(param.name, None);
        let arguments = native.params.iter().map(|param| Argument::new(param.name, needed(param)));
        let mut positional: Vec<Argument> = arguments.collect();
        let named = positional.split_off(native.positional);
        Self { positional, named, makes_step: native.name == STEP, ..Self::default() }
    }

    fn of_doc(function: &DocFunction) -> Self {
        let argument = |param: &DocParam| Argument::new(&param.name, param.default_value.is_none());
        let params = &function.params;
        let nameless = params.pos_only.iter().map(|param| Argument { nameless: true, ..argument(param) });
        Self {
            positional: nameless.chain(params.pos_or_named.iter().map(argument)).collect(),
            named: params.named_only.iter().map(argument).collect(),
            more: params.args.is_some(),
            anything: params.kwargs.is_some(),
            makes_step: false,
        }
    }

    /// What a `def` takes. In library files `**flags` stands for the flags of `step`, and `**common` for
    /// what all schedulers take: see their docstrings.
    pub(super) fn of_def(def: &DefP<AstNoPayload>, library: bool) -> Self {
        let mut takes = Self::default();
        let mut names_only = false;
        for param in &def.params {
            match &param.node {
                ParameterP::Slash => takes.positional.iter_mut().for_each(|arg| arg.nameless = true),
                ParameterP::NoArgs => names_only = true,
                ParameterP::Args(..) => (takes.more, names_only) = (true, true),
                ParameterP::KwArgs(name, _) => match forwarded(&name.ident).filter(|_| library) {
                    Some(arguments) => takes.named.extend(arguments),
                    None => takes.anything = true,
                },
                ParameterP::Normal(name, _, default) => {
                    let argument = Argument::new(&name.ident, default.is_none());
                    if names_only { takes.named.push(argument) } else { takes.positional.push(argument) }
                }
            }
        }
        takes
    }
}

/// What the library's `**flags` and `**common` stand for.
fn forwarded(name: &str) -> Option<Vec<Argument>> {
    let names = match name {
        "flags" => declare::step_flags(),
        "common" => declare::scheduler_common(),
        _ => return None,
    };
    Some(names.into_iter().map(|name| Argument::new(name, false)).collect())
}

/// Something that has a name in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum Known {
    Function(Takes),
    /// A namespace such as `regex`.
    Space(BTreeMap<String, Takes>),
}

/// The names that every file sees.
pub(super) fn natives() -> &'static BTreeMap<String, Known> {
    static NATIVES: OnceLock<BTreeMap<String, Known>> = OnceLock::new();
    NATIVES.get_or_init(|| {
        let documentation = globals().documentation();
        let documented = documentation.members.iter();
        let mut known: BTreeMap<String, Known> =
            documented.filter_map(|(name, item)| Some((name.clone(), of_item(item)?))).collect();
        known
            .extend(declare::tables().map(|native| (native.name.to_owned(), Known::Function(Takes::of_table(native)))));
        known
    })
}

fn of_item(item: &DocItem) -> Option<Known> {
    match item {
        DocItem::Member(DocMember::Function(function)) => Some(Known::Function(Takes::of_doc(function))),
        DocItem::Module(module) => {
            let functions = module.members.iter().filter_map(|(name, item)| match of_item(item)? {
                Known::Function(takes) => Some((name.clone(), takes)),
                Known::Space(_) => None,
            });
            Some(Known::Space(functions.collect()))
        }
        _ => None,
    }
}

/// What `ctx` has: effects with what they take, and plain attributes (none).
pub(super) fn context() -> &'static BTreeMap<String, Option<Takes>> {
    static CONTEXT: OnceLock<BTreeMap<String, Option<Takes>>> = OnceLock::new();
    CONTEXT.get_or_init(|| {
        let members = context_members();
        let each = members.members.iter().map(|(name, member)| match member {
            DocMember::Function(function) => (name.clone(), Some(Takes::of_doc(function))),
            DocMember::Property(_) => (name.clone(), None),
        });
        each.collect()
    })
}
