//! What the records have that functions of schedulers, builders and rights get: `request`, `worker`, `change`, `user` and
//! `object`.
//!
//! A function is known by the argument that it is given as (`can_start = lambda builder, worker, request: …`), written
//! there or defined at the top of the same file. Names that the function binds anew are left alone.

use std::collections::{BTreeMap, BTreeSet};

use starlark::codemap::{Span, Spanned};
use starlark::syntax::ast::{ArgumentP, AssignTargetP, AstNoPayload, ClauseP, DefP, ExprP, ForClauseP, StmtP};

use super::scope::{of_body, of_clauses, of_parameters};

type Stmt = Spanned<StmtP<AstNoPayload>>;
type Expr = Spanned<ExprP<AstNoPayload>>;
type Argument = Spanned<ArgumentP<AstNoPayload>>;

/// A field of a record: its name, and what it says.
pub(in crate::config) type Field = (&'static str, &'static str);

/// What `request` has in `can_start`, `next_build`, `next_worker` and `collapse`.
pub(in crate::config) const REQUEST: [Field; 12] = [
    ("id", "The request's number."),
    ("buildset", "The number of its buildset."),
    ("builder", "The name of its builder."),
    ("priority", "Its priority; higher goes first."),
    ("submitted", "When it was created, in seconds since 1970."),
    ("reason", "Why it was created, a string."),
    ("scheduler", "The name of the scheduler that created it."),
    ("owner", "The person who requested it, or None."),
    ("properties", "A dict of its properties."),
    ("stamps", "What to check out, for each codebase: `codebase`, `repository`, `project`, `branch`, `revision`."),
    ("changes", "Its newest changes, oldest first: at most 10, each with at most 100 files. See `change`."),
    ("waited_for", "Whether the build that triggered it is waiting for it."),
];

/// What `worker` has in `can_start` and `next_worker`.
pub(in crate::config) const WORKER: [Field; 7] = [
    ("name", "The worker's name."),
    ("tags", "Its tags, a list."),
    ("properties", "A dict of the properties that the configuration gives it."),
    ("system", "\"posix\" or \"nt\"; empty if it is not known."),
    ("slots", "How many builds it may run at a time."),
    ("busy", "How many builds it is running now."),
    ("info", "A dict of what it reported when it connected: `admin`, `host`, `version`, `numcpus`, …."),
];

/// What `change` has in filters, `important` and `properties`.
pub(in crate::config) const CHANGE: [Field; 13] = [
    ("id", "The change's number."),
    ("author", "Its author."),
    ("committer", "Its committer, or None."),
    ("comments", "The commit's message."),
    ("files", "A list of the files that it touches."),
    ("branch", "Its branch; None for the default branch."),
    ("revision", "Its revision, or None."),
    ("revlink", "A link to it, or None."),
    ("category", "Its category, or None."),
    ("repository", "The change's repository."),
    ("project", "The change's project."),
    ("codebase", "The change's codebase."),
    ("properties", "A dict of its properties."),
];

/// What `user` has in the function of `rights`.
pub(in crate::config) const USER: [Field; 7] = [
    ("name", "The name by which they logged in; None if they did not."),
    ("full_name", "Their full name, or None."),
    ("mail", "Their mail address, or None."),
    ("groups", "The groups that the login reports, a list."),
    ("login", "How they logged in: \"none\", \"password\", \"token\", \"proxy\", \"provider\" or \"ldap\"."),
    ("token", "The name of the token that they use, or None."),
    ("kind", "\"person\", \"bot\", \"agent\" or \"fork\"."),
];

/// What `object` has in the function of `rights`.
pub(in crate::config) const OBJECT: [Field; 4] = [
    ("kind", "\"builder\", \"worker\", \"scheduler\", \"source\", \"project\" or \"installation\"."),
    ("name", "Its name; None for the installation."),
    ("owners", "Who requested the build or request in question, a list."),
    ("is_own", "Whether the user is one of them."),
];

/// The fields of what a stamp of a request has.
const STAMP: [Field; 5] = [("codebase", ""), ("repository", ""), ("project", ""), ("branch", ""), ("revision", "")];

/// What a name in a function stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Request,
    Worker,
    Change,
    Stamp,
    User,
    Object,
    Requests,
    Workers,
    Changes,
    Stamps,
    Other,
}

impl Kind {
    const fn record(self) -> Option<(&'static str, &'static [Field])> {
        match self {
            Self::Request => Some(("request", &REQUEST)),
            Self::Worker => Some(("worker", &WORKER)),
            Self::Change => Some(("change", &CHANGE)),
            Self::Stamp => Some(("stamp", &STAMP)),
            Self::User => Some(("user", &USER)),
            Self::Object => Some(("object", &OBJECT)),
            Self::Requests | Self::Workers | Self::Changes | Self::Stamps | Self::Other => None,
        }
    }

    /// The kind of an element of a list of this kind.
    const fn element(self) -> Self {
        match self {
            Self::Requests => Self::Request,
            Self::Workers => Self::Worker,
            Self::Changes => Self::Change,
            Self::Stamps => Self::Stamp,
            Self::Request | Self::Worker | Self::Change | Self::Stamp | Self::User | Self::Object | Self::Other => {
                Self::Other
            }
        }
    }

    /// The kind of a field of a record of this kind.
    fn field(self, name: &str) -> Self {
        match (self, name) {
            (Self::Request, "changes") => Self::Changes,
            (Self::Request, "stamps") => Self::Stamps,
            _ => Self::Other,
        }
    }
}

/// What the parameters of a function are that is given as this argument of this function.
fn parameters_of(callee: &str, argument: &str) -> Option<&'static [Kind]> {
    Some(match argument {
        "can_start" => &[Kind::Other, Kind::Worker, Kind::Request],
        "next_build" => &[Kind::Other, Kind::Requests],
        "next_worker" => &[Kind::Other, Kind::Workers, Kind::Request],
        "collapse" => &[Kind::Other, Kind::Request, Kind::Request],
        "important" => &[Kind::Change],
        "properties" => &[Kind::Other, Kind::Other, Kind::Changes],
        "function" if callee == "change_filter" => &[Kind::Change],
        "function" if callee == "rights" => &[Kind::User, Kind::Other, Kind::Object],
        _ => return None,
    })
}

/// A field that a record does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unknown {
    pub(super) span: Span,
    pub(super) record: &'static str,
    pub(super) name: String,
    pub(super) fields: &'static [Field],
}

/// The functions that a file's top level defines once.
pub(super) fn functions_of(stmt: &Stmt) -> BTreeMap<&str, &DefP<AstNoPayload>> {
    let mut found: BTreeMap<&str, Option<&DefP<AstNoPayload>>> = BTreeMap::new();
    collect(stmt, &mut found);
    found.into_iter().filter_map(|(name, def)| Some((name, def?))).collect()
}

fn collect<'a>(stmt: &'a Stmt, found: &mut BTreeMap<&'a str, Option<&'a DefP<AstNoPayload>>>) {
    match &stmt.node {
        StmtP::Statements(inner) => inner.iter().for_each(|inner| collect(inner, found)),
        StmtP::Def(def) => {
            let again = found.contains_key(def.name.ident.as_str());
            found.insert(&def.name.ident, (!again).then_some(def));
        }
        _ => {}
    }
}

/// What is wrong in the functions that a call is given.
pub(super) fn unknown_fields(
    callee: &str,
    arguments: &[Argument],
    functions: &BTreeMap<&str, &DefP<AstNoPayload>>,
) -> Vec<Unknown> {
    let mut found = Vec::new();
    for argument in arguments {
        let (name, value) = match &argument.node {
            ArgumentP::Named(name, value) => (name.node.as_str(), value),
            // `rights(f)` is how it is usually written.
            ArgumentP::Positional(value) if callee == "rights" => ("function", value),
            _ => continue,
        };
        let Some(kinds) = parameters_of(callee, name) else { continue };
        match &value.node {
            ExprP::Lambda(lambda) => {
                let names = lambda.params.iter().filter_map(|param| param.node.ident().map(|name| name.ident.as_str()));
                let mut walk = Walk::new(names, kinds);
                walk.expr(&lambda.body);
                found.append(&mut walk.found);
            }
            ExprP::Identifier(name) => {
                let Some(def) = functions.get(name.ident.as_str()) else { continue };
                let names = def.params.iter().filter_map(|param| param.node.ident().map(|name| name.ident.as_str()));
                let mut walk = Walk::new(names, kinds);
                for name in of_body(&def.body) {
                    walk.known.remove(&name);
                }
                walk.stmt(&def.body);
                found.append(&mut walk.found);
            }
            _ => {}
        }
    }
    found
}

/// A walk through one function.
struct Walk {
    known: BTreeMap<String, Kind>,
    found: Vec<Unknown>,
}

impl Walk {
    fn new<'n>(names: impl Iterator<Item = &'n str>, kinds: &[Kind]) -> Self {
        let known = names.zip(kinds).map(|(name, kind)| (name.to_owned(), *kind));
        Self { known: known.collect(), found: Vec::new() }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.node {
            StmtP::Statements(inner) => inner.iter().for_each(|inner| self.stmt(inner)),
            StmtP::If(condition, then) => {
                self.expr(condition);
                self.stmt(then);
            }
            StmtP::IfElse(condition, branches) => {
                self.expr(condition);
                self.stmt(&branches.0);
                self.stmt(&branches.1);
            }
            StmtP::For(each) => {
                self.expr(&each.over);
                let kind = self.kind_of(&each.over).element();
                self.bind(&each.var, kind, |walk| walk.stmt(&each.body));
            }
            StmtP::Return(Some(value)) | StmtP::Expression(value) => self.expr(value),
            StmtP::Assign(assign) => self.expr(&assign.rhs),
            StmtP::AssignModify(_, _, value) => self.expr(value),
            // A function inside of this one may be called with anything.
            StmtP::Def(_) | StmtP::Return(None) | StmtP::Break | StmtP::Continue | StmtP::Pass | StmtP::Load(_) => {}
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.node {
            ExprP::Dot(object, name) => {
                if let Some((record, fields)) = self.kind_of(object).record()
                    && !fields.iter().any(|(field, _)| *field == name.node)
                {
                    self.found.push(Unknown { span: name.span, record, name: name.node.clone(), fields });
                }
                self.expr(object);
            }
            ExprP::Lambda(lambda) => {
                let names = of_parameters(&lambda.params);
                self.hiding(&names, |walk| walk.expr(&lambda.body));
            }
            ExprP::Call(function, arguments) => {
                self.expr(function);
                self.arguments(&arguments.args);
            }
            ExprP::ListComprehension(item, first, rest) => self.comprehension(first, rest, |walk| walk.expr(item)),
            ExprP::DictComprehension(entry, first, rest) => self.comprehension(first, rest, |walk| {
                walk.expr(&entry.0);
                walk.expr(&entry.1);
            }),
            other => other.visit_expr(|inner| self.expr(inner)),
        }
    }

    /// Arguments of a call: a `key` function gets the elements of the list beside it.
    fn arguments(&mut self, arguments: &[Argument]) {
        let over = arguments.iter().map(|argument| self.kind_of(argument.expr()).element());
        let over = over.into_iter().find(|kind| *kind != Kind::Other).unwrap_or(Kind::Other);
        for argument in arguments {
            match (&argument.node, &argument.expr().node) {
                (ArgumentP::Named(name, _), ExprP::Lambda(lambda)) if name.node == "key" => {
                    let names: Vec<String> = of_parameters(&lambda.params).into_iter().collect();
                    let before = self.known.clone();
                    if let [name] = names.as_slice() {
                        self.known.insert(name.clone(), over);
                    }
                    self.expr(&lambda.body);
                    self.known = before;
                }
                _ => self.expr(argument.expr()),
            }
        }
    }

    fn comprehension(
        &mut self,
        first: &ForClauseP<AstNoPayload>,
        rest: &[ClauseP<AstNoPayload>],
        item: impl FnOnce(&mut Self),
    ) {
        self.expr(&first.over);
        let kind = self.kind_of(&first.over).element();
        let before = self.known.clone();
        for name in of_clauses(first, rest) {
            self.known.remove(&name);
        }
        if let AssignTargetP::Identifier(name) = &first.var.node {
            self.known.insert(name.ident.clone(), kind);
        }
        for clause in rest {
            match clause {
                ClauseP::For(clause) => {
                    self.expr(&clause.over);
                    if let AssignTargetP::Identifier(name) = &clause.var.node {
                        let kind = self.kind_of(&clause.over).element();
                        self.known.insert(name.ident.clone(), kind);
                    }
                }
                ClauseP::If(condition) => self.expr(condition),
            }
        }
        item(self);
        self.known = before;
    }

    fn bind(&mut self, target: &Spanned<AssignTargetP<AstNoPayload>>, kind: Kind, body: impl FnOnce(&mut Self)) {
        let before = self.known.clone();
        if let AssignTargetP::Identifier(name) = &target.node {
            self.known.insert(name.ident.clone(), kind);
        }
        body(self);
        self.known = before;
    }

    fn hiding(&mut self, names: &BTreeSet<String>, body: impl FnOnce(&mut Self)) {
        let before = self.known.clone();
        self.known.retain(|name, _| !names.contains(name));
        body(self);
        self.known = before;
    }

    fn kind_of(&self, expr: &Expr) -> Kind {
        match &expr.node {
            ExprP::Identifier(name) => self.known.get(&name.ident).copied().unwrap_or(Kind::Other),
            ExprP::Index(parts) => self.kind_of(&parts.0).element(),
            ExprP::Dot(object, name) => self.kind_of(object).field(&name.node),
            ExprP::Call(function, arguments) => match (&function.node, arguments.args.first()) {
                (ExprP::Identifier(name), Some(first))
                    if ["sorted", "reversed", "list"].contains(&name.ident.as_str()) =>
                {
                    self.kind_of(first.expr())
                }
                _ => Kind::Other,
            },
            _ => Kind::Other,
        }
    }
}
