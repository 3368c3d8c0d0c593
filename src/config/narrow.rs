//! Reports of what declarations noted, at the argument that each is about.
//!
//! Which argument is meant is found by parsing the file again: once for all reports, whose number may be that of the calls.

use std::collections::{BTreeMap, HashMap};

use starlark::codemap::{FileSpan, Span, Spanned};
use starlark::syntax::AstModule;
use starlark::syntax::ast::{ArgumentP, AstLiteral, AstNoPayload, ExprP};

use super::collect::UnplacedProblem;
use super::parse::DIALECT;
use super::place::{ArgRef, Part};
use super::problem::Problem;

type Expr = Spanned<ExprP<AstNoPayload>>;
type Argument = Spanned<ArgumentP<AstNoPayload>>;

/// The reports, in the order of the notes.
pub(super) fn reports_of(noted: Vec<UnplacedProblem>) -> Vec<Problem> {
    let mut inner: Vec<Option<Span>> = vec![None; noted.len()];
    for (file, places) in by_file(&noted) {
        let Ok(ast) = AstModule::parse(file.filename(), file.file.source().to_owned(), &DIALECT) else { continue };
        let calls = calls_of(&ast);
        for place in places {
            inner[place] = narrowed(&noted[place], &calls);
        }
    }
    let reports = noted.into_iter().zip(inner);
    reports.map(|(noted, inner)| noted.site.problem_at(inner, noted.message, noted.hint)).collect()
}

/// A place in each file, and which notes are about an argument in it.
fn by_file(noted: &[UnplacedProblem]) -> Vec<(&FileSpan, Vec<usize>)> {
    let mut files: BTreeMap<&str, (&FileSpan, Vec<usize>)> = BTreeMap::new();
    for (place, noted) in noted.iter().enumerate() {
        if let (Some(call), Some(_)) = (&noted.site.span, &noted.site.argument) {
            files.entry(call.filename()).or_insert((call, Vec::new())).1.push(place);
        }
    }
    files.into_values().collect()
}

/// The arguments of every call of a file, by where the call begins and ends.
type Calls<'a> = HashMap<(u32, u32), &'a [Argument]>;

fn calls_of(ast: &AstModule) -> Calls<'_> {
    let mut calls = HashMap::new();
    ast.statement().visit_expr(|expr| visit(expr, &mut calls));
    calls
}

fn visit<'a>(expr: &'a Expr, calls: &mut Calls<'a>) {
    if let ExprP::Call(_, arguments) = &expr.node {
        calls.insert(key(expr.span), &arguments.args);
    }
    expr.visit_expr(|inner| visit(inner, calls));
}

fn key(span: Span) -> (u32, u32) {
    (span.begin().get(), span.end().get())
}

fn narrowed(noted: &UnplacedProblem, calls: &Calls<'_>) -> Option<Span> {
    let arguments = calls.get(&key(noted.site.span.as_ref()?.span))?;
    locate(arguments, noted.site.argument.as_ref()?)
}

fn locate(arguments: &[Argument], wanted: &ArgRef) -> Option<Span> {
    let named = arguments.iter().find(|argument| argument.name() == Some(&wanted.name));
    let by_place = || {
        let argument = arguments.get(wanted.position?)?;
        matches!(argument.node, ArgumentP::Positional(_)).then_some(argument)
    };
    let argument = named.or_else(by_place)?;
    if let (ArgumentP::Named(name, _), true) = (&argument.node, wanted.is_name) {
        return Some(name.span);
    }
    let mut expr = argument.expr();
    for part in &wanted.parts {
        match inner(expr, part) {
            Some(next) => expr = next,
            None => break,
        }
    }
    Some(expr.span)
}

fn inner<'a>(expr: &'a Expr, part: &Part) -> Option<&'a Expr> {
    match (&expr.node, part) {
        (ExprP::List(items) | ExprP::Tuple(items), Part::Item(index)) => items.get(*index),
        (ExprP::Dict(entries), Part::Key(key)) => entries
            .iter()
            .find(|(name, _)| matches!(&name.node, ExprP::Literal(AstLiteral::String(text)) if text.node == *key))
            .map(|(_, value)| value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::place::CallSite;
    use super::*;

    #[test]
    fn each_note_is_narrowed_to_its_argument() {
        let text = "f(a = 1)\ng(b = [2, 3])\n";
        let ast = AstModule::parse("x.star", text.to_owned(), &DIALECT).unwrap();
        let mut calls: Vec<Span> = Vec::new();
        ast.statement().visit_expr(|expr| calls.push(expr.span));
        let note = |call: usize, argument: ArgRef| UnplacedProblem {
            site: CallSite::of_span(ast.file_span(calls[call])).at(argument),
            message: String::new(),
            hint: None,
        };
        let noted = vec![note(0, ArgRef::named("a")), note(1, ArgRef::named("b").item(1)), note(0, ArgRef::named("z"))];
        let columns: Vec<(u32, u32)> = reports_of(noted)
            .into_iter()
            .map(|report| report.place.map(|place| (place.line, place.column)).unwrap())
            .collect();
        assert_eq!(columns, [(1, 7), (2, 11), (1, 1)]);
    }
}
