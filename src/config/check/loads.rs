//! Names that a file wants of another one, and that are not there.

use starlark::codemap::Spanned;
use starlark::environment::FrozenModule;
use starlark::syntax::AstModule;
use starlark::syntax::ast::{AstNoPayload, StmtP};

use super::super::foreign;
use super::super::library;
use super::super::place::CallSite;
use super::super::problem::Problem;
use crate::base::nearest;

type Stmt = Spanned<StmtP<AstNoPayload>>;

/// Names that are listed when none is near.
const LISTED_MAX: usize = 40;

/// What is wrong with the names that a file loads; `module` gives a loaded file by the name that was asked for.
pub(in crate::config) fn missing_symbols<'m>(
    ast: &AstModule,
    module: impl Fn(&str) -> Option<&'m FrozenModule>,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    visit(ast, ast.statement(), &module, &mut problems);
    problems
}

fn visit<'m>(
    ast: &AstModule,
    stmt: &Stmt,
    module: &impl Fn(&str) -> Option<&'m FrozenModule>,
    problems: &mut Vec<Problem>,
) {
    match &stmt.node {
        StmtP::Statements(inner) => inner.iter().for_each(|inner| visit(ast, inner, module, problems)),
        StmtP::Load(load) => {
            let Some(found) = module(&load.module.node) else { return };
            let names: Vec<String> = found.names().map(|name| name.as_str().to_owned()).collect();
            for argument in &load.args {
                let name = argument.their.node.as_str();
                if !names.iter().any(|known| known == name) {
                    let (message, hint) = missing(&load.module.node, name, &names);
                    problems.push(CallSite::of_span(ast.file_span(argument.their.span)).problem(message, Some(hint)));
                }
            }
        }
        _ => {}
    }
}

fn missing(file: &str, name: &str, names: &[String]) -> (String, String) {
    let message = format!("`{file}` has no `{name}`");
    if name.starts_with('_') {
        return (message, "names that begin with `_` belong to their file".to_owned());
    }
    if let Some(home) = library::load_line(name).filter(|_| library::is_library(file)) {
        return (message, format!("write {home}"));
    }
    if let Some(known) = foreign::word(name).filter(|_| library::is_library(file)) {
        return (message, known);
    }
    let mut public: Vec<&str> = names.iter().map(String::as_str).filter(|name| !name.starts_with('_')).collect();
    public.sort_unstable();
    let begins = |known: &&str| known.len() > 1 && (name.starts_with(known) || known.starts_with(name));
    let meant = nearest(name, public.iter().copied()).or_else(|| public.iter().copied().find(begins));
    if let Some(meant) = meant {
        return (message, format!("did you mean `{meant}`?"));
    }
    if public.is_empty() {
        return (message, "the file defines no names for others".to_owned());
    }
    let more = if public.len() > LISTED_MAX { ", …" } else { "" };
    public.truncate(LISTED_MAX);
    (message, format!("there are: {}{more}", public.join(", ")))
}
