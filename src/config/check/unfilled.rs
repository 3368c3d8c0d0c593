//! Texts that look like templates and are not, and fields of results that have another name here: what Buildbot and
//! Python made a habit, and what would go wrong silently or late.

use std::sync::OnceLock;

use regex::Regex;
use starlark::codemap::{Span, Spanned};
use starlark::syntax::AstModule;
use starlark::syntax::ast::{ArgumentP, AstLiteral, AstNoPayload, ExprP};

use super::super::place::CallSite;
use super::super::problem::Problem;

type Expr = Spanned<ExprP<AstNoPayload>>;

/// Functions whose texts may hold places.
const FILLERS: [&str; 3] = ["interpolate", "fail", "print"];
/// What Python calls the exit code of a command.
const EXIT_CODES: [&str; 3] = ["returncode", "exitcode", "exit_code"];

/// What is probably not meant in a file.
pub(in crate::config) fn unfilled(ast: &AstModule) -> Vec<Problem> {
    let mut warnings = Vec::new();
    ast.statement().visit_expr(|expr| visit(ast, expr, &mut warnings));
    warnings
}

fn visit(ast: &AstModule, expr: &Expr, warnings: &mut Vec<Problem>) {
    let mut warn = |span: Span, message: String, hint: &str| {
        warnings.push(CallSite::of_span(ast.file_span(span)).problem(message, Some(hint.to_owned())));
    };
    match &expr.node {
        ExprP::Call(function, arguments) if !FILLERS.contains(&called(function)) => {
            for argument in &arguments.args {
                let value = match &argument.node {
                    ArgumentP::Positional(value) | ArgumentP::Named(_, value) => value,
                    ArgumentP::Args(_) | ArgumentP::KwArgs(_) => continue,
                };
                for (span, place) in places(value) {
                    let message = format!("`{place}` is not filled in: this is a plain text");
                    warn(span, message, "write interpolate(\"…\"), with load(\"@stdlib//text.star\", \"interpolate\")");
                }
            }
        }
        ExprP::Dot(_, field) if EXIT_CODES.contains(&field.node.as_str()) => {
            let message = format!("the result of a command has no `{}`", field.node);
            warn(field.span, message, "the exit code is `.rc`; `.ok` says whether the command succeeded");
        }
        _ => {}
    }
    expr.visit_expr(|inner| visit(ast, inner, warnings));
}

fn called(function: &Expr) -> &str {
    match &function.node {
        ExprP::Identifier(name) => &name.node.ident,
        ExprP::Dot(_, name) => &name.node,
        _ => "",
    }
}

/// Places such as `%(prop:version)s` in a text, or in the texts of a list.
fn places(value: &Expr) -> Vec<(Span, String)> {
    static PLACE: OnceLock<Regex> = OnceLock::new();
    let place = PLACE
        .get_or_init(|| Regex::new(r"%\((prop|src|kw|secret|worker|builder)(:[^)]*)\)s").expect("a right pattern"));
    match &value.node {
        ExprP::Literal(AstLiteral::String(text)) => {
            place.find(&text.node).map(|found| (value.span, found.as_str().to_owned())).into_iter().collect()
        }
        ExprP::List(items) | ExprP::Tuple(items) => items.iter().flat_map(places).collect(),
        _ => Vec::new(),
    }
}
