//! Checks calls without running them: names of arguments, missing and surplus ones, what `ctx` has.
//!
//! Running a file stops at its first wrong call of a library function, and shows nothing of functions
//! that only run in builds. This finds all of them. It speaks only where it is sure which function is
//! meant; a name that is bound twice, or hidden by another one, is left alone.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use starlark::codemap::{Span, Spanned};
use starlark::syntax::AstModule;
use starlark::syntax::ast::{ArgumentP, AstLiteral, AstNoPayload, ClauseP, DefP, ExprP, ForClauseP, StmtP};

use super::super::args::{is_meant, missing_argument, surplus_argument, unknown_argument, unknown_hint};
use super::super::foreign;
use super::super::library;
use super::super::place::CallSite;
use super::super::problem::Problem;
use super::known::{Known, Takes, context, natives};
use super::records::{functions_of, unknown_fields};
use super::scope::{of_body, of_clauses, of_parameters};
use super::thrown_away::{idle, makes_step, thrown_away, uncalled};

type Stmt = Spanned<StmtP<AstNoPayload>>;
type Expr = Spanned<ExprP<AstNoPayload>>;
type Argument = Spanned<ArgumentP<AstNoPayload>>;

/// The name under which step functions get the build.
const CONTEXT: &str = "ctx";

/// Arguments that hold steps, or the function of one.
const STEPS: [&str; 2] = ["steps", "run"];

/// What is known of the functions of all files so far.
#[derive(Debug, Default)]
pub(in crate::config) struct Signatures {
    files: HashMap<String, BTreeMap<String, Known>>,
}

impl Signatures {
    /// Learns what a file's top level names; files that it loads must be known already.
    pub(in crate::config) fn learn(&mut self, name: &str, ast: &AstModule, loads: &HashMap<String, String>) {
        let mut known = BTreeMap::new();
        let mut bound: BTreeMap<String, usize> = BTreeMap::new();
        for stmt in top_level(ast.statement()) {
            match &stmt.node {
                StmtP::Load(load) => {
                    let theirs = loads.get(&load.module.node).and_then(|file| self.files.get(file));
                    for argument in &load.args {
                        let local = &argument.local.ident;
                        *bound.entry(local.clone()).or_default() += 1;
                        if let Some(found) = theirs.and_then(|theirs| theirs.get(&argument.their.node)) {
                            known.insert(local.clone(), found.clone());
                        }
                    }
                }
                StmtP::Def(def) => {
                    *bound.entry(def.name.ident.clone()).or_default() += 1;
                    let mut takes = Takes::of_def(def, library::is_library(name));
                    takes.makes_step =
                        makes_step(def, |name| is_maker(known.get(name).or_else(|| natives().get(name))));
                    known.insert(def.name.ident.clone(), Known::Function(takes));
                }
                _ => of_body(stmt).into_iter().for_each(|name| *bound.entry(name).or_default() += 1),
            }
        }
        known.retain(|name, _| bound.get(name) == Some(&1));
        for name in bound.keys().filter(|name| natives().contains_key(*name)) {
            known.entry(name.clone()).or_insert(Known::Space(BTreeMap::new()));
        }
        self.files.insert(name.to_owned(), known);
    }

    /// What is wrong with the calls of a file that was learnt; and the secrets that it names.
    pub(in crate::config) fn check_calls(&self, name: &str, ast: &AstModule) -> Calls {
        let own = self.files.get(name);
        let functions = functions_of(ast.statement());
        let mut walk = Walk {
            ast,
            own,
            functions,
            hidden: Vec::new(),
            contexts: Vec::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
            secrets: Vec::new(),
        };
        walk.stmt(ast.statement());
        Calls { problems: walk.problems, warnings: walk.warnings, secrets: walk.secrets }
    }
}

/// The statements of the top level, those of its `if` and `for` as one each.
fn top_level(stmt: &Stmt) -> Vec<&Stmt> {
    match &stmt.node {
        StmtP::Statements(inner) => inner.iter().flat_map(top_level).collect(),
        _ => vec![stmt],
    }
}

/// What is known of the calls of a file without running it.
pub(in crate::config) struct Calls {
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
    /// The secrets that it names.
    pub secrets: Vec<String>,
}

struct Walk<'a> {
    ast: &'a AstModule,
    own: Option<&'a BTreeMap<String, Known>>,
    /// The file's own functions.
    functions: BTreeMap<&'a str, &'a DefP<AstNoPayload>>,
    /// Names that functions and comprehensions around us make their own.
    hidden: Vec<BTreeSet<String>>,
    /// For each function around us: whether `ctx` is its parameter (true) or some other thing (false).
    contexts: Vec<bool>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    secrets: Vec<String>,
}

impl<'a> Walk<'a> {
    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.node {
            StmtP::Def(def) => {
                def.params.iter().for_each(|param| param.node.visit_expr(|expr| self.expr(expr)));
                let params = of_parameters(&def.params);
                let assigned = of_body(&def.body);
                self.function(&params, &assigned, |walk| walk.stmt(&def.body));
            }
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
                self.stmt(&each.body);
            }
            StmtP::Return(Some(value)) => self.expr(value),
            StmtP::Expression(value) => {
                self.thrown_away(value);
                self.expr(value);
            }
            StmtP::Assign(assign) => self.expr(&assign.rhs),
            StmtP::AssignModify(_, _, value) => self.expr(value),
            StmtP::Return(None) | StmtP::Break | StmtP::Continue | StmtP::Pass | StmtP::Load(_) => {}
        }
    }

    /// A statement that does nothing, though it looks as if it did.
    fn thrown_away(&mut self, value: &Expr) {
        let found = match &value.node {
            ExprP::Dot(object, member) if self.is_ctx(object) => uncalled(&member.node).map(|told| (value.span, told)),
            _ => thrown_away(value, |name| is_maker(self.visible(name))),
        };
        if let Some((span, (message, hint))) = found {
            self.warnings.push(CallSite::of_span(self.ast.file_span(span)).problem(message, Some(hint)));
        }
    }

    fn function(&mut self, params: &BTreeSet<String>, assigned: &BTreeSet<String>, body: impl FnOnce(&mut Self)) {
        let before = self.contexts.last().copied().unwrap_or(false);
        let own = if assigned.contains(CONTEXT) { false } else { before || params.contains(CONTEXT) };
        self.contexts.push(own);
        self.hidden.push(params.union(assigned).cloned().collect());
        body(self);
        self.hidden.pop();
        self.contexts.pop();
    }

    /// Functions of `ctx` that are steps, and that make a step where they should do something.
    fn idle_steps(&mut self, value: &Expr) {
        match &value.node {
            ExprP::List(items) => items.iter().for_each(|item| self.idle_steps(item)),
            ExprP::Identifier(name) => {
                let Some(Known::Function(takes)) = self.visible(&name.ident) else { return };
                if takes.makes_step && takes.is_of(CONTEXT) {
                    let (message, hint) = idle(&name.ident);
                    self.warnings.push(CallSite::of_span(self.ast.file_span(value.span)).problem(message, Some(hint)));
                }
            }
            _ => {}
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.node {
            ExprP::Lambda(lambda) => {
                let params = of_parameters(&lambda.params);
                self.function(&params, &BTreeSet::new(), |walk| walk.expr(&lambda.body));
            }
            ExprP::ListComprehension(item, first, rest) => self.comprehension(first, rest, |walk| walk.expr(item)),
            ExprP::DictComprehension(entry, first, rest) => self.comprehension(first, rest, |walk| {
                walk.expr(&entry.0);
                walk.expr(&entry.1);
            }),
            ExprP::Call(function, arguments) => {
                self.call(expr, function, &arguments.args);
                if !matches!(function.node, ExprP::Dot(..)) || !self.is_context(function) {
                    self.expr(function);
                }
                arguments.args.iter().for_each(|argument| self.expr(argument.expr()));
            }
            ExprP::Dot(object, name) => {
                if self.is_ctx(object) && !context().contains_key(&name.node) {
                    self.unknown_member(name.span, &name.node);
                }
                self.expr(object);
            }
            other => other.visit_expr(|inner| self.expr(inner)),
        }
    }

    fn comprehension(
        &mut self,
        first: &ForClauseP<AstNoPayload>,
        rest: &[ClauseP<AstNoPayload>],
        item: impl FnOnce(&mut Self),
    ) {
        self.expr(&first.over);
        self.hidden.push(of_clauses(first, rest));
        for clause in rest {
            match clause {
                ClauseP::For(clause) => self.expr(&clause.over),
                ClauseP::If(condition) => self.expr(condition),
            }
        }
        item(self);
        self.hidden.pop();
    }

    /// Whether an expression is the build's `ctx`.
    fn is_ctx(&self, expr: &Expr) -> bool {
        matches!(&expr.node, ExprP::Identifier(name) if name.ident == CONTEXT) && self.contexts.last() == Some(&true)
    }

    /// Whether an expression is a member of `ctx`, which `call` has looked at.
    fn is_context(&self, expr: &Expr) -> bool {
        matches!(&expr.node, ExprP::Dot(object, _) if self.is_ctx(object))
    }

    fn visible(&self, name: &str) -> Option<&'a Known> {
        if self.hidden.iter().any(|names| names.contains(name)) {
            return None;
        }
        self.own.and_then(|own| own.get(name)).or_else(|| natives().get(name))
    }

    fn call(&mut self, call: &Expr, function: &Expr, arguments: &[Argument]) {
        match &function.node {
            ExprP::Identifier(name) => {
                self.records(&name.ident, arguments);
                if let Some(Known::Function(takes)) = self.visible(&name.ident) {
                    self.arguments(call.span, &name.ident, takes, arguments);
                }
                if name.ident == "secret" {
                    self.secrets.extend(literal(arguments));
                }
            }
            ExprP::Dot(object, member) if self.is_ctx(object) => match context().get(&member.node) {
                Some(Some(takes)) => self.arguments(call.span, &format!("ctx.{}", member.node), takes, arguments),
                Some(None) => {
                    let message = format!("`ctx.{}` is a value, not a function", member.node);
                    self.note(function.span, message, Some("leave the parentheses out".to_owned()));
                }
                None => self.unknown_member(member.span, &member.node),
            },
            ExprP::Dot(object, member) => self.member_call(call, object, member, arguments),
            _ => {}
        }
    }

    /// A call such as `regex.match(…)`.
    fn member_call(&mut self, call: &Expr, object: &Expr, member: &Spanned<String>, arguments: &[Argument]) {
        let ExprP::Identifier(space) = &object.node else { return };
        let Some(Known::Space(functions)) = self.visible(&space.ident) else { return };
        if functions.is_empty() {
            return;
        }
        match functions.get(&member.node) {
            Some(takes) => self.arguments(call.span, &format!("{}.{}", space.ident, member.node), takes, arguments),
            None => {
                let hint = unknown_hint(&member.node, functions.keys().map(String::as_str));
                let message = format!("`{}` has no function `{}`", space.ident, member.node);
                self.note(member.span, message, Some(hint));
            }
        }
    }

    fn arguments(&mut self, call: Span, function: &str, takes: &Takes, arguments: &[Argument]) {
        let spread = arguments.iter().any(|arg| matches!(arg.node, ArgumentP::Args(_) | ArgumentP::KwArgs(_)));
        let title = format!("`{function}`");
        let positional = arguments.iter().filter(|arg| matches!(arg.node, ArgumentP::Positional(_))).count();
        if positional > takes.positional.len() && !takes.more {
            let next = takes.named.first().map(|arg| arg.name.as_str());
            let (message, hint) = surplus_argument(&title, takes.positional.len(), positional, next);
            self.note(call, message, hint);
        }
        let mut unknown = Vec::new();
        for argument in arguments {
            let ArgumentP::Named(name, value) = &argument.node else { continue };
            if STEPS.contains(&name.node.as_str()) {
                self.idle_steps(value);
            }
            if !takes.anything && !takes.names().any(|known| known == name.node) {
                let (message, hint) = unknown_argument(&title, &name.node, takes.names());
                self.note(name.span, message, Some(hint));
                unknown.push(name.node.as_str());
            }
        }
        if !spread {
            let named: BTreeSet<&str> = arguments.iter().filter_map(|arg| arg.name()).collect();
            let left = takes.positional.iter().skip(positional).chain(&takes.named);
            let missing: Vec<&str> = left
                .filter(|arg| arg.required && !named.contains(arg.name.as_str()))
                .filter(|arg| !is_meant(&arg.name, unknown.iter().copied()))
                .map(|arg| arg.name.as_str())
                .collect();
            for name in missing {
                let hint = (name == CONTEXT).then(|| {
                    let name = title.trim_matches('`');
                    format!("write `{name}`, not `{name}()`: a build calls it with its `ctx`")
                });
                self.note(call, missing_argument(&title, name), hint);
            }
        }
    }

    /// Fields that the records do not have which functions get.
    fn records(&mut self, callee: &str, arguments: &[Argument]) {
        for unknown in unknown_fields(callee, arguments, &self.functions) {
            let hint = unknown_hint(&unknown.name, unknown.fields.iter().map(|(field, _)| *field));
            let message = format!("`{}` has no `{}`", unknown.record, unknown.name);
            // A warning, as the line may never be reached; if it is, the decision fails, and an alert says so.
            self.warnings.push(CallSite::of_span(self.ast.file_span(unknown.span)).problem(message, Some(hint)));
        }
    }

    fn unknown_member(&mut self, span: Span, name: &str) {
        let hint = foreign::member(name).unwrap_or_else(|| unknown_hint(name, context().keys().map(String::as_str)));
        self.note(span, format!("`ctx` has no `{name}`"), Some(hint));
    }

    fn note(&mut self, span: Span, message: String, hint: Option<String>) {
        self.problems.push(CallSite::of_span(self.ast.file_span(span)).problem(message, hint));
    }
}

/// Whether what a name stands for makes a step.
fn is_maker(known: Option<&Known>) -> bool {
    matches!(known, Some(Known::Function(takes)) if takes.makes_step)
}

/// The text of a single literal argument.
fn literal(arguments: &[Argument]) -> Option<String> {
    let [argument] = arguments else { return None };
    match &argument.expr().node {
        ExprP::Literal(AstLiteral::String(text)) => Some(text.node.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::parse::parse;
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        let ast = parse("x.star", text).unwrap();
        let mut signatures = Signatures::default();
        signatures.learn("x.star", &ast, &HashMap::new());
        let calls = signatures.check_calls("x.star", &ast);
        calls.problems.into_iter().chain(calls.warnings).map(|problem| problem.message).collect()
    }

    #[test]
    fn arguments_of_natives_own_functions_and_ctx_are_known() {
        assert_eq!(messages("worker('w', slts = 1)\n"), ["`worker` has no argument `slts`"]);
        assert_eq!(messages("def f(a, *, b = 1): pass\nf(1, 2)\nf(c = 1)\n").len(), 3);
        assert_eq!(
            messages("def f(ctx):\n    ctx.run('x', tiemout = '1m')\n"),
            ["`ctx.run` has no argument `tiemout`"]
        );
        assert_eq!(messages("def f(workers): pass\nf(worker = 1)\n"), ["`f` has no argument `worker`"]);
        assert_eq!(messages("x = lambda ctx: ctx.brnch\n"), ["`ctx` has no `brnch`"]);
        assert_eq!(messages("regex.serach('a', 'b')\n"), ["`regex` has no function `serach`"]);
        assert_eq!(messages("len()\nsecret()\n").len(), 2);
    }

    #[test]
    fn fields_of_records_are_known() {
        for (text, message) in [
            ("builder(can_start = lambda b, w, r: w.nmae == 'x')", "`worker` has no `nmae`"),
            ("builder(can_start = lambda builder, worker, request: request.branch)", "`request` has no `branch`"),
            ("builder(next_build = lambda b, requests: requests[0].brnch)", "`request` has no `brnch`"),
            (
                "builder(next_build = lambda b, rs: sorted(rs, key = lambda r: r.stamps[0].brnch)[0])",
                "`stamp` has no `brnch`",
            ),
            ("builder(next_worker = lambda b, ws, r: [w for w in ws if w.lod < 1][0])", "`worker` has no `lod`"),
            ("master(collapse = lambda b, x, y: x.sha == y.id)", "`request` has no `sha`"),
            ("any_branch('a', important = lambda change: change.file)", "`change` has no `file`"),
            ("change_filter(function = lambda c: c.who == 'ann')", "`change` has no `who`"),
            (
                "def can(b, w, r):\n    for c in r.changes:\n        if c.message: return True\nbuilder(can_start = can)",
                "`change` has no `message`",
            ),
        ] {
            let found = messages(&format!("{text}\n"));
            assert!(found.contains(&message.to_owned()), "{text}: {found:?}");
        }
    }

    #[test]
    fn steps_that_nothing_runs_are_told() {
        let made = "this step is made and thrown away";
        for text in [
            "step('a', run = f)\n",
            "def f(ctx):\n    if ctx.branch:\n        for x in ['a']:\n            step(x, run = g)\n",
            "def sh(x): return step(x, run = f)\ndef g(ctx):\n    sh('make')\n",
            "def f(ctx):\n    [step(x, run = g) for x in ['a']]\n",
            "def f(ctx):\n    step('a', run = g) if ctx.branch else None\n",
        ] {
            assert_eq!(messages(text), [made], "{text}");
        }
        assert_eq!(messages("def f(ctx):\n    ctx.fail\n"), ["`ctx.fail` is named and not called"]);
        let text = "def f(ctx): return step('a', run = g)\nstep('b', run = f)\ns = step('b', run = f)\n";
        assert_eq!(
            messages(text),
            [made, "step `f` returns a step that nothing runs", "step `f` returns a step that nothing runs"]
        );
    }

    #[test]
    fn what_is_not_certain_is_left_alone() {
        for text in [
            "def f(ctx):\n    ctx.step(step('a', run = g))\n    ctx.branch\n",
            "def sh(x):\n    if x: return step(x, run = f)\n    return None\nsh('make')\n",
            "def f(step):\n    step('a')\n",
            "def f(worker):\n    worker(1, 2, 3)\n",
            "def worker(): pass\nworker = len\nworker([])\n",
            "[worker(1, 2) for worker in []]\n",
            "def f(**kwargs): pass\nf(x = 1)\nworker(**{})\n",
            "def f(ctx):\n    ctx = 1\n    return ctx.nothing\n",
            "def can(b, w, r):\n    w = struct(x = 1)\n    return w.x\nf(can_start = can)\n",
            "f(can_start = lambda b, w, r: [w.x for w in []])\n",
            "f(next_build = lambda b, rs: sorted(other(), key = lambda r: r.x))\n",
            "def g(run):\n    def f(ctx):\n        return [ctx.run('x') for run in []]\n",
        ] {
            assert_eq!(messages(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn secrets_of_functions_that_have_not_run_are_found() {
        let ast = parse("x.star", "f = lambda ctx: secret('deep')\n").unwrap();
        assert_eq!(Signatures::default().check_calls("x.star", &ast).secrets, ["deep"]);
    }
}
