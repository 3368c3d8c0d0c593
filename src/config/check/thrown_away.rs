//! Statements that make something and leave it: a step that nothing runs, and an effect of `ctx` that is named and not
//! called. Both would be a build that is green and did nothing.

use starlark::codemap::{Span, Spanned};
use starlark::syntax::ast::{AstNoPayload, DefP, ExprP, StmtP};

use super::known::context;
use super::scope::{of_body, of_parameters};

type Stmt = Spanned<StmtP<AstNoPayload>>;
type Expr = Spanned<ExprP<AstNoPayload>>;

/// Whether whatever a function returns is a step.
pub(super) fn makes_step(def: &DefP<AstNoPayload>, is_maker: impl Fn(&str) -> bool) -> bool {
    let (params, assigned) = (of_parameters(&def.params), of_body(&def.body));
    let is_maker = |name: &str| !params.contains(name) && !assigned.contains(name) && is_maker(name);
    let mut returned = Vec::new();
    returns(&def.body, &mut returned);
    let is_step = |value: Option<&Expr>| value.is_some_and(|value| made_in(value, &is_maker).is_some());
    !returned.is_empty() && returned.into_iter().all(is_step)
}

/// What a function returns, without the functions inside of it.
fn returns<'a>(stmt: &'a Stmt, found: &mut Vec<Option<&'a Expr>>) {
    match &stmt.node {
        StmtP::Return(value) => found.push(value.as_ref()),
        StmtP::Statements(inner) => inner.iter().for_each(|inner| returns(inner, found)),
        StmtP::If(_, then) => returns(then, found),
        StmtP::IfElse(_, branches) => {
            returns(&branches.0, found);
            returns(&branches.1, found);
        }
        StmtP::For(each) => returns(&each.body, found),
        _ => {}
    }
}

/// The step that an expression makes: the place of the call.
fn made_in(value: &Expr, is_maker: &impl Fn(&str) -> bool) -> Option<Span> {
    match &value.node {
        ExprP::Call(function, _) => {
            matches!(&function.node, ExprP::Identifier(name) if is_maker(&name.node.ident)).then_some(value.span)
        }
        _ => None,
    }
}

/// A step, or some of them, that a statement makes and leaves: its place, and what to say of it.
pub(super) fn thrown_away(value: &Expr, is_maker: impl Fn(&str) -> bool) -> Option<(Span, (String, String))> {
    let place = match &value.node {
        ExprP::If(choice) => {
            let (_, left, right) = &**choice;
            made_in(left, &is_maker).or_else(|| made_in(right, &is_maker))
        }
        ExprP::ListComprehension(item, ..) => made_in(item, &is_maker),
        ExprP::List(items) | ExprP::Tuple(items) => items.iter().find_map(|item| made_in(item, &is_maker)),
        _ => made_in(value, &is_maker),
    };
    let hint = "put it into `steps = […]`, or in a function of `ctx` write ctx.step(sh(…)) or ctx.run(…)";
    place.map(|place| (place, ("this step is made and thrown away".to_owned(), hint.to_owned())))
}

/// What to say of an effect of `ctx` that stands alone, without its parentheses; none if it is a value.
pub(super) fn uncalled(member: &str) -> Option<(String, String)> {
    context().get(member)?.as_ref()?;
    Some((format!("`ctx.{member}` is named and not called"), format!("write `ctx.{member}(…)`")))
}

/// What to say of a step whose function returns another step.
pub(super) fn idle(name: &str) -> (String, String) {
    let hint = "write return ctx.step(sh(…)) or return ctx.run(…)";
    (format!("step `{name}` returns a step that nothing runs"), hint.to_owned())
}
