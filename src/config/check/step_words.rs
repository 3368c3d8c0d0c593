//! Words that steps use wrongly and that could be known before they run: outcomes that functions return, what exit
//! codes mean, and functions that decide by Buildbot's numbers.

use std::collections::BTreeSet;

use starlark::codemap::Spanned;
use starlark::syntax::AstModule;
use starlark::syntax::ast::{ArgumentP, AstLiteral, AstNoPayload, BinOp, DefP, ExprP, StmtP};

use super::super::place::CallSite;
use super::super::problem::Problem;
use crate::base::nearest;
use crate::model::Outcome;

type Stmt = Spanned<StmtP<AstNoPayload>>;
type Expr = Spanned<ExprP<AstNoPayload>>;
type Argument = Spanned<ArgumentP<AstNoPayload>>;

/// Arguments that hold steps, or the function of one.
const STEPS: [&str; 2] = ["steps", "run"];

/// What is wrong in a file.
pub(in crate::config) fn step_words(ast: &AstModule) -> Vec<Problem> {
    let mut steps = BTreeSet::new();
    let mut walk = Walk { ast, deep: false, problems: Vec::new() };
    walk.look(ast.statement(), &mut steps);
    walk.stmt(ast.statement(), &steps);
    walk.problems
}

struct Walk<'a> {
    ast: &'a AstModule,
    /// We are in a function, whose calls do not run while the file is loaded.
    deep: bool,
    problems: Vec<Problem>,
}

impl Walk<'_> {
    fn look(&mut self, stmt: &Stmt, steps: &mut BTreeSet<String>) {
        match &stmt.node {
            StmtP::Statements(inner) => inner.iter().for_each(|inner| self.look(inner, steps)),
            StmtP::Def(def) => self.within(|walk| def.body.visit_expr(|expr| walk.expr(expr, steps))),
            _ => stmt.visit_expr(|expr| self.expr(expr, steps)),
        }
    }

    fn within(&mut self, work: impl FnOnce(&mut Self)) {
        let before = std::mem::replace(&mut self.deep, true);
        work(self);
        self.deep = before;
    }

    /// Looks at calls, and collects the functions that are steps.
    fn expr(&mut self, expr: &Expr, steps: &mut BTreeSet<String>) {
        if let ExprP::Call(function, arguments) = &expr.node {
            for argument in &arguments.args {
                self.argument(function, argument, steps);
            }
        }
        match &expr.node {
            ExprP::Lambda(lambda) => self.within(|walk| walk.expr(&lambda.body, steps)),
            other => other.visit_expr(|inner| self.expr(inner, steps)),
        }
    }

    fn argument(&mut self, function: &Expr, argument: &Argument, steps: &mut BTreeSet<String>) {
        match (&argument.node, called(function)) {
            (ArgumentP::Named(name, value), _) if STEPS.contains(&name.node.as_str()) => self.step(value, steps),
            (ArgumentP::Positional(value), "step" | "parallel" | "group") => self.step(value, steps),
            (ArgumentP::Named(name, value), _) if name.node == "exit_codes" && self.deep => self.exit_codes(value),
            (ArgumentP::Named(name, value), _) if name.node == "hide_if" => self.hide_if(value),
            _ => {}
        }
    }

    /// A step, or a list of them.
    fn step(&mut self, value: &Expr, steps: &mut BTreeSet<String>) {
        match &value.node {
            ExprP::List(items) | ExprP::Tuple(items) => items.iter().for_each(|item| self.step(item, steps)),
            ExprP::Op(left, BinOp::Add, right) => {
                self.step(left, steps);
                self.step(right, steps);
            }
            ExprP::Identifier(name) => drop(steps.insert(name.ident.clone())),
            ExprP::Lambda(lambda) => self.returned(&lambda.body),
            _ => {}
        }
    }

    fn stmt(&mut self, stmt: &Stmt, steps: &BTreeSet<String>) {
        match &stmt.node {
            StmtP::Def(def) => {
                if steps.contains(&def.name.ident) && takes_one(def) {
                    self.body(&def.body);
                }
                self.stmt(&def.body, steps);
            }
            StmtP::Statements(inner) => inner.iter().for_each(|inner| self.stmt(inner, steps)),
            StmtP::If(_, then) => self.stmt(then, steps),
            StmtP::IfElse(_, branches) => {
                self.stmt(&branches.0, steps);
                self.stmt(&branches.1, steps);
            }
            StmtP::For(each) => self.stmt(&each.body, steps),
            _ => {}
        }
    }

    /// What a step's function returns, without the functions inside of it.
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
            ExprP::Literal(AstLiteral::String(text)) if Outcome::from_word(&text.node).is_none() => {
                let message = format!("a step cannot end with \"{}\"", text.node);
                self.note(value, message, meant(&text.node));
            }
            ExprP::Literal(AstLiteral::Int(_)) => {
                let hint = "return ctx.run(…), True or False, or one of the words: ".to_owned() + &all();
                self.note(value, "a step cannot end with a number".to_owned(), hint);
            }
            _ => {}
        }
    }

    fn exit_codes(&mut self, value: &Expr) {
        let ExprP::Dict(entries) = &value.node else { return };
        for (_, word) in entries {
            let ExprP::Literal(AstLiteral::String(text)) = &word.node else { continue };
            if Outcome::from_word(&text.node).is_none() {
                let message = format!("`exit_codes`: \"{}\" is not an outcome", text.node);
                self.note(word, message, meant(&text.node));
            }
        }
    }

    /// Buildbot's functions get `(results, step)`; ours get the build and a word.
    fn hide_if(&mut self, value: &Expr) {
        let ExprP::Lambda(lambda) = &value.node else { return };
        let names: Vec<&str> =
            lambda.params.iter().filter_map(|param| Some(param.node.ident()?.ident.as_str())).collect();
        let swapped = ["results", "result"].contains(names.first().unwrap_or(&""));
        if swapped || names.get(1).is_some_and(|name| compares_number(&lambda.body, name)) {
            let message = "`hide_if` gets the build and the outcome's word, not results and a step".to_owned();
            self.note(value, message, "write hide_if = lambda ctx, outcome: outcome == \"skipped\"".to_owned());
        }
    }

    fn note(&mut self, at: &Expr, message: String, hint: String) {
        self.problems.push(CallSite::of_span(self.ast.file_span(at.span)).problem(message, Some(hint)));
    }
}

/// The last name of what is called: `parallel` for `ctx.parallel`.
fn called(function: &Expr) -> &str {
    match &function.node {
        ExprP::Identifier(name) => &name.ident,
        ExprP::Dot(_, name) => &name.node,
        _ => "",
    }
}

fn takes_one(def: &DefP<AstNoPayload>) -> bool {
    def.params.len() == 1
}

fn compares_number(expr: &Expr, name: &str) -> bool {
    let is_name = |side: &Expr| matches!(&side.node, ExprP::Identifier(other) if other.ident == name);
    let is_number = |side: &Expr| matches!(side.node, ExprP::Literal(AstLiteral::Int(_)));
    let mut found = match &expr.node {
        ExprP::Op(left, BinOp::Equal | BinOp::NotEqual, right) => {
            is_name(left) && is_number(right) || is_number(left) && is_name(right)
        }
        _ => false,
    };
    expr.visit_expr(|inner| found |= compares_number(inner, name));
    found
}

fn all() -> String {
    Outcome::ALL.map(Outcome::word).join(", ")
}

/// The outcome that was probably meant.
fn meant(word: &str) -> String {
    // How other systems call them.
    const OTHERS: [(&str, &str); 11] = [
        ("ok", "success"),
        ("pass", "success"),
        ("passed", "success"),
        ("warn", "warnings"),
        ("warning", "warnings"),
        ("error", "failure"),
        ("fail", "failure"),
        ("failed", "failure"),
        ("skip", "skipped"),
        ("cancel", "cancelled"),
        ("canceled", "cancelled"),
    ];
    let lower = word.to_lowercase();
    let known = OTHERS.iter().find(|(other, _)| *other == lower).map(|(_, outcome)| *outcome);
    match known.or_else(|| nearest(&lower, Outcome::ALL.map(Outcome::word))) {
        Some(outcome) => format!("did you mean \"{outcome}\"?"),
        None => format!("there are: {}", all()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::parse::parse;
    use super::*;

    fn hints(text: &str) -> Vec<String> {
        let ast = parse("x.star", &format!("{text}\n")).unwrap();
        step_words(&ast).into_iter().filter_map(|problem| problem.hint).collect()
    }

    #[test]
    fn wrong_words_are_found_before_a_build() {
        for (text, wanted) in [
            ("def f(ctx):\n    if ctx.number:\n        return 'warning'\nbuilder('b', steps = [f])", "warnings"),
            ("builder('b', steps = [sh('a')] + [lambda ctx: 'Failed'])", "failure"),
            ("def f(ctx):\n    return 'ok' if ctx.number else 'success'\nstep('s', run = f)", "success"),
            ("def f(ctx):\n    ctx.run('x', exit_codes = {0: 'success', 5: 'warning'})", "warnings"),
            ("def g(ctx):\n    return 0\ndef f(ctx):\n    ctx.parallel([g])", "True or False"),
            ("sh('a', hide_if = lambda results, step: results == 3)", "outcome =="),
            ("sh('a', hide_if = lambda c, o: o == 3)", "outcome =="),
        ] {
            let found = hints(text);
            assert!(found.len() == 1 && found[0].contains(wanted), "{text}: {found:?}");
        }
    }

    #[test]
    fn other_functions_return_what_they_like() {
        for text in [
            "def f(ctx):\n    return 'word'\nsh(f)",
            "def f(ctx):\n    def g():\n        return 'word'\n    return 'success'\nbuilder('b', steps = [f])",
            "builder('b', steps = [f], hide_if = lambda ctx, outcome: outcome == 'skipped')",
        ] {
            assert_eq!(hints(text), Vec::<String>::new(), "{text}");
        }
    }
}
