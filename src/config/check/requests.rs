//! Functions that make requests of reports, `http(request = …)`: misspelt keys of the dicts that they return, where these
//! are written out.

use std::collections::BTreeSet;

use starlark::codemap::Spanned;
use starlark::syntax::AstModule;
use starlark::syntax::ast::{ArgumentP, AstLiteral, AstNoPayload, ExprP, StmtP};

use super::super::place::CallSite;
use super::super::problem::Problem;
use crate::base::nearest;
use crate::model::HTTP_REQUEST_KEYS;

type Stmt = Spanned<StmtP<AstNoPayload>>;
type Expr = Spanned<ExprP<AstNoPayload>>;

/// What takes such a function.
const CALLS: [&str; 2] = ["http", "notifier"];

/// What is wrong in a file.
pub(in crate::config) fn requests(ast: &AstModule) -> Vec<Problem> {
    let mut walk = Walk { ast, functions: BTreeSet::new(), problems: Vec::new() };
    walk.look(ast.statement());
    walk.stmt(ast.statement());
    walk.problems
}

struct Walk<'a> {
    ast: &'a AstModule,
    /// Names of functions that make requests.
    functions: BTreeSet<String>,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    /// Collects the functions that make requests.
    fn look(&mut self, stmt: &Stmt) {
        match &stmt.node {
            StmtP::Statements(inner) => inner.iter().for_each(|inner| self.look(inner)),
            StmtP::Def(def) => self.look(&def.body),
            _ => stmt.visit_expr(|expr| self.expr(expr)),
        }
    }

    fn expr(&mut self, expr: &Expr) {
        if let ExprP::Call(function, arguments) = &expr.node
            && matches!(&function.node, ExprP::Identifier(name) if CALLS.contains(&name.ident.as_str()))
        {
            for argument in &arguments.args {
                match &argument.node {
                    ArgumentP::Named(name, value) if name.node == "request" => self.maker(value),
                    _ => {}
                }
            }
        }
        expr.visit_expr(|inner| self.expr(inner));
    }

    fn maker(&mut self, value: &Expr) {
        match &value.node {
            ExprP::Identifier(name) => drop(self.functions.insert(name.ident.clone())),
            ExprP::Lambda(lambda) => self.returned(&lambda.body),
            _ => {}
        }
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.node {
            StmtP::Def(def) => {
                if self.functions.contains(&def.name.ident) {
                    self.body(&def.body);
                }
                self.stmt(&def.body);
            }
            StmtP::Statements(inner) => inner.iter().for_each(|inner| self.stmt(inner)),
            _ => {}
        }
    }

    /// What such a function returns, without the functions inside of it.
    fn body(&mut self, stmt: &Stmt) {
        match &stmt.node {
            StmtP::Return(Some(value)) => self.returned(value),
            StmtP::Statements(inner) => inner.iter().for_each(|inner| self.body(inner)),
            StmtP::If(_, then) => self.body(then),
            StmtP::IfElse(_, branches) => {
                self.body(&branches.0);
                self.body(&branches.1);
            }
            StmtP::For(each) => self.body(&each.body),
            _ => {}
        }
    }

    fn returned(&mut self, value: &Expr) {
        match &value.node {
            ExprP::If(parts) => {
                self.returned(&parts.1);
                self.returned(&parts.2);
            }
            ExprP::List(items) => items.iter().for_each(|item| self.returned(item)),
            ExprP::Dict(entries) => entries.iter().for_each(|(key, _)| self.key(key)),
            _ => {}
        }
    }

    fn key(&mut self, key: &Expr) {
        let ExprP::Literal(AstLiteral::String(text)) = &key.node else { return };
        if HTTP_REQUEST_KEYS.contains(&text.node.as_str()) {
            return;
        }
        let hint = match nearest(&text.node, HTTP_REQUEST_KEYS) {
            Some(like) => format!("did you mean \"{like}\"?"),
            None => format!("a request has: {}", HTTP_REQUEST_KEYS.join(", ")),
        };
        let message = format!("\"{}\" is not part of a request", text.node);
        self.problems.push(CallSite::of_span(self.ast.file_span(key.span)).problem(message, Some(hint)));
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::parse::parse;
    use super::*;

    fn hints(text: &str) -> Vec<String> {
        let ast = parse("x.star", &format!("{text}\n")).unwrap();
        requests(&ast).into_iter().filter_map(|problem| problem.hint).collect()
    }

    #[test]
    fn misspelt_keys_are_found_before_a_report() {
        for (text, wanted) in [
            ("http('u', request = lambda m: {'metod': 'PUT'})", "\"method\""),
            (
                "def f(m):\n    if m['outcome']:\n        return [{'url': '/a', 'jsn': 1}]\nhttp('u', request = f)",
                "\"json\"",
            ),
            ("def f(m):\n    return {'zzz': 1} if m else None\nnotifier('n', 'http', request = f)", "a request has"),
        ] {
            let found = hints(text);
            assert!(found.len() == 1 && found[0].contains(wanted), "{text}: {found:?}");
        }
    }

    #[test]
    fn other_dicts_have_the_keys_that_they_like() {
        for text in [
            "http('u', json = lambda m: {'metod': 'PUT'})",
            "def f(m):\n    return {'metod': 1}\nother('u', request = f)",
            "http('u', request = lambda m: {'url': '/a', 'json': {'anything': 1}, m['x']: 1})",
        ] {
            assert_eq!(hints(text), Vec::<String>::new(), "{text}");
        }
    }
}
