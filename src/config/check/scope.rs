//! Which names a function or comprehension makes its own, so that they hide outer ones.

use std::collections::BTreeSet;

use starlark::codemap::Spanned;
use starlark::syntax::ast::{AssignTargetP, AstNoPayload, ClauseP, ForClauseP, ParameterP, StmtP};

type Stmt = Spanned<StmtP<AstNoPayload>>;
type Target = Spanned<AssignTargetP<AstNoPayload>>;
type Parameter = Spanned<ParameterP<AstNoPayload>>;

/// The names of parameters.
pub(super) fn of_parameters(params: &[Parameter]) -> BTreeSet<String> {
    params.iter().filter_map(|param| param.node.ident().map(|name| name.ident.clone())).collect()
}

/// The names that a body assigns, without those of functions inside of it.
pub(super) fn of_body(body: &Stmt) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    collect(body, &mut names);
    names
}

/// The names that a comprehension's clauses bind.
pub(super) fn of_clauses(first: &ForClauseP<AstNoPayload>, rest: &[ClauseP<AstNoPayload>]) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    bind(&first.var, &mut names);
    for clause in rest {
        if let ClauseP::For(clause) = clause {
            bind(&clause.var, &mut names);
        }
    }
    names
}

fn collect(stmt: &Stmt, names: &mut BTreeSet<String>) {
    match &stmt.node {
        StmtP::Assign(assign) => bind(&assign.lhs, names),
        StmtP::AssignModify(target, _, _) => bind(target, names),
        StmtP::Def(def) => drop(names.insert(def.name.ident.clone())),
        StmtP::For(each) => {
            bind(&each.var, names);
            collect(&each.body, names);
        }
        StmtP::Statements(inner) => inner.iter().for_each(|inner| collect(inner, names)),
        StmtP::If(_, then) => collect(then, names),
        StmtP::IfElse(_, branches) => {
            collect(&branches.0, names);
            collect(&branches.1, names);
        }
        StmtP::Break | StmtP::Continue | StmtP::Pass | StmtP::Return(_) | StmtP::Expression(_) | StmtP::Load(_) => {}
    }
}

fn bind(target: &Target, names: &mut BTreeSet<String>) {
    match &target.node {
        AssignTargetP::Identifier(name) => drop(names.insert(name.ident.clone())),
        AssignTargetP::Tuple(parts) => parts.iter().for_each(|part| bind(part, names)),
        AssignTargetP::Index(_) | AssignTargetP::Dot(..) => {}
    }
}
