//! Commands that functions make of what comes from outside.
//!
//! A text for a shell that is put together from a branch, a revision, a change or a property lets whoever
//! pushes a commit or fills in a form write commands. This finds such texts, without running anything, where it
//! can see where a value comes from; and templates that are turned into plain text, or cannot be filled in.

use std::collections::{BTreeMap, BTreeSet};

use starlark::codemap::{Span, Spanned};
use starlark::syntax::AstModule;
use starlark::syntax::ast::{
    ArgumentP, AssignTargetP, AstLiteral, AstNoPayload, BinOp, ClauseP, DefP, ExprP, ForClauseP, ParameterP, StmtP,
};

use super::super::place::CallSite;
use super::super::problem::Problem;
use super::super::template::check_literal;

type Stmt = Spanned<StmtP<AstNoPayload>>;
type Expr = Spanned<ExprP<AstNoPayload>>;
type Argument = Spanned<ArgumentP<AstNoPayload>>;
type Target = Spanned<AssignTargetP<AstNoPayload>>;

/// The name under which step functions get the build.
const CONTEXT: &str = "ctx";

/// What of `ctx` other people write.
const OUTSIDE: [&str; 8] =
    ["branch", "revision", "repository", "changes", "stamps", "reason", "property", "properties"];

/// Library functions whose first argument is a command.
const COMMANDS: [&str; 2] = ["sh", "set_property_from_command"];

/// Functions and methods that make nothing dangerous of a value.
const HARMLESS: [&str; 12] = [
    "len",
    "int",
    "bool",
    "float",
    "type",
    "hash",
    "shell_quote",
    "interpolate",
    "count",
    "find",
    "startswith",
    "endswith",
];

/// Functions that hand on what they are given.
const CARRIERS: [&str; 12] =
    ["str", "repr", "list", "tuple", "dict", "set", "sorted", "reversed", "enumerate", "zip", "concat", "map"];

/// What is found in a file: problems, and warnings.
pub(in crate::config) fn shell_texts(ast: &AstModule) -> (Vec<Problem>, Vec<Problem>) {
    let mut walk = Walk::new(ast);
    walk.learn(ast.statement());
    walk.stmt(ast.statement());
    (walk.problems, walk.warnings)
}

/// A template that is known as it stands.
#[derive(Clone, Debug)]
struct Literal {
    text: String,
    names: Vec<String>,
    positions: usize,
}

/// What is known of the names of a function.
#[derive(Clone, Debug, Default)]
struct Names {
    /// Names that hold something from outside, and where it comes from.
    outside: BTreeMap<String, String>,
    lists: BTreeSet<String>,
    templates: BTreeMap<String, Option<Literal>>,
    /// Names that are something else here than outside of the function.
    own: BTreeSet<String>,
    has_ctx: bool,
}

struct Walk<'a> {
    ast: &'a AstModule,
    /// What names of the library are called here.
    loaded: BTreeMap<String, String>,
    /// Functions whose result is a command.
    command_functions: BTreeSet<String>,
    scopes: Vec<Names>,
    /// The function that is walked makes a command of what it returns.
    returns_command: bool,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl<'a> Walk<'a> {
    fn new(ast: &'a AstModule) -> Self {
        Self {
            ast,
            loaded: BTreeMap::new(),
            command_functions: BTreeSet::new(),
            scopes: vec![Names::default()],
            returns_command: false,
            problems: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Learns what the file loads, and which functions it hands over as commands.
    fn learn(&mut self, stmt: &Stmt) {
        match &stmt.node {
            StmtP::Load(load) if load.module.node.starts_with("@stdlib//") => {
                for argument in &load.args {
                    self.loaded.insert(argument.local.ident.clone(), argument.their.node.clone());
                }
            }
            StmtP::Statements(inner) => inner.iter().for_each(|inner| self.learn(inner)),
            _ => {}
        }
        let mut found = BTreeSet::new();
        let loaded = self.loaded.clone();
        stmt.visit_expr(|expr| command_names(expr, &loaded, &mut found));
        self.command_functions.extend(found);
    }

    fn library(&self, name: &str) -> Option<&str> {
        self.loaded.get(name).map(String::as_str)
    }

    fn stmt(&mut self, stmt: &Stmt) {
        match &stmt.node {
            StmtP::Def(def) => self.def(def),
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
                self.bind_from(&each.var, &each.over);
                self.stmt(&each.body);
            }
            StmtP::Return(Some(value)) => {
                if self.returns_command {
                    self.command(value);
                }
                self.expr(value);
            }
            StmtP::Expression(value) => self.expr(value),
            StmtP::Assign(assign) => {
                self.expr(&assign.rhs);
                self.bind_from(&assign.lhs, &assign.rhs);
            }
            StmtP::AssignModify(target, _, value) => {
                self.expr(value);
                self.bind_more(target, value);
            }
            StmtP::Return(None) | StmtP::Break | StmtP::Continue | StmtP::Pass | StmtP::Load(_) => {}
        }
    }

    fn def(&mut self, def: &DefP<AstNoPayload>) {
        let returns = self.command_functions.contains(&def.name.ident);
        let before = std::mem::replace(&mut self.returns_command, returns);
        self.function(&def.params, |walk| {
            // Twice: what is assigned in one turn of a loop may be used in the next.
            let (problems, warnings) = (walk.problems.len(), walk.warnings.len());
            walk.stmt(&def.body);
            walk.problems.truncate(problems);
            walk.warnings.truncate(warnings);
            walk.stmt(&def.body);
        });
        self.returns_command = before;
    }

    fn function(&mut self, params: &[Spanned<ParameterP<AstNoPayload>>], body: impl FnOnce(&mut Self)) {
        let own: BTreeSet<String> =
            params.iter().filter_map(|param| param.node.ident().map(|name| name.ident.clone())).collect();
        let outer = self.scopes.last().is_some_and(|names| names.has_ctx);
        let has_ctx = outer || own.contains(CONTEXT);
        self.scopes.push(Names { own, has_ctx, ..Names::default() });
        body(self);
        self.scopes.pop();
    }

    fn look<T>(&self, name: &str, find: impl Fn(&Names) -> Option<T>) -> Option<T> {
        for names in self.scopes.iter().rev() {
            if let Some(found) = find(names) {
                return Some(found);
            }
            if names.own.contains(name) {
                return None;
            }
        }
        None
    }

    fn has_ctx(&self) -> bool {
        self.scopes.last().is_some_and(|names| names.has_ctx)
    }

    fn bind_from(&mut self, target: &Target, value: &Expr) {
        let outside = self.outside(value);
        let (is_list, template) = (self.is_list(value), self.template(value));
        self.bind(target, outside, is_list, template);
    }

    fn bind_more(&mut self, target: &Target, value: &Expr) {
        let AssignTargetP::Identifier(name) = &target.node else { return };
        let Some(outside) = self.outside(value) else { return };
        let names = self.scopes.last_mut().expect("the file's own scope is always there");
        names.outside.entry(name.ident.clone()).or_insert(outside);
    }

    #[expect(clippy::option_option, reason = "whether it is a template, and its text if that is known")]
    fn bind(&mut self, target: &Target, outside: Option<String>, is_list: bool, template: Option<Option<Literal>>) {
        match &target.node {
            AssignTargetP::Identifier(name) => {
                let names = self.scopes.last_mut().expect("the file's own scope is always there");
                let name = name.ident.clone();
                names.own.insert(name.clone());
                if is_list {
                    names.lists.insert(name.clone());
                }
                if let Some(template) = template {
                    names.templates.insert(name.clone(), template);
                }
                if let Some(outside) = outside {
                    names.outside.insert(name, outside);
                }
            }
            AssignTargetP::Tuple(parts) => {
                parts.iter().for_each(|part| self.bind(part, outside.clone(), false, None));
            }
            AssignTargetP::Index(_) | AssignTargetP::Dot(..) => {}
        }
    }

    fn expr(&mut self, expr: &Expr) {
        match &expr.node {
            ExprP::Lambda(lambda) => self.function(&lambda.params, |walk| walk.expr(&lambda.body)),
            ExprP::ListComprehension(item, first, rest) => self.clauses(first, rest, |walk| walk.expr(item)),
            ExprP::DictComprehension(entry, first, rest) => self.clauses(first, rest, |walk| {
                walk.expr(&entry.0);
                walk.expr(&entry.1);
            }),
            ExprP::Call(function, arguments) => {
                self.call(function, &arguments.args);
                self.expr(function);
                arguments.args.iter().for_each(|argument| self.expr(argument.expr()));
            }
            ExprP::FString(text) => {
                if let Some(inner) = text.expressions.iter().find(|inner| self.template(inner).is_some()) {
                    self.flattened(inner.span, "an f-string");
                }
                text.expressions.iter().for_each(|inner| self.expr(inner));
            }
            ExprP::Op(left, BinOp::Percent, right) => {
                let parts: Vec<&Expr> = match &right.node {
                    ExprP::Tuple(items) => items.iter().collect(),
                    _ => vec![right],
                };
                if let Some(inner) = parts.into_iter().find(|inner| self.template(inner).is_some()) {
                    self.flattened(inner.span, "`%`");
                }
                self.expr(left);
                self.expr(right);
            }
            other => other.visit_expr(|inner| self.expr(inner)),
        }
    }

    fn clauses(
        &mut self,
        first: &ForClauseP<AstNoPayload>,
        rest: &[ClauseP<AstNoPayload>],
        item: impl FnOnce(&mut Self),
    ) {
        let has_ctx = self.has_ctx();
        self.scopes.push(Names { has_ctx, ..Names::default() });
        self.expr(&first.over);
        self.bind_from(&first.var, &first.over);
        for clause in rest {
            match clause {
                ClauseP::For(clause) => {
                    self.expr(&clause.over);
                    self.bind_from(&clause.var, &clause.over);
                }
                ClauseP::If(condition) => self.expr(condition),
            }
        }
        item(self);
        self.scopes.pop();
    }

    /// A template becomes a plain text here.
    fn flattened(&mut self, span: Span, what: &str) {
        let message = format!("{what} cannot hold a template: its places would not be filled in");
        let hint = "join with `+`, or write the whole text in interpolate(\"…\")".to_owned();
        self.problems.push(self.problem(span, message, hint));
    }

    fn problem(&self, span: Span, message: String, hint: String) -> Problem {
        CallSite::of_span(self.ast.file_span(span)).problem(message, Some(hint))
    }

    fn call(&mut self, function: &Expr, arguments: &[Argument]) {
        let first = arguments.iter().find_map(|argument| match &argument.node {
            ArgumentP::Positional(value) => Some(value),
            ArgumentP::Named(name, value) if name.node == "command" => Some(value),
            _ => None,
        });
        match &function.node {
            ExprP::Dot(object, member) if is_ctx(object) && member.node == "run" && self.has_ctx() => {
                if let Some(command) = first {
                    self.command(command);
                }
            }
            ExprP::Dot(_, member) if member.node == "format" => {
                let parts = arguments.iter().map(ExprOf::expr_of);
                if let Some(inner) = parts.into_iter().find(|inner| self.template(inner).is_some()) {
                    self.flattened(inner.span, "`format`");
                }
            }
            ExprP::Identifier(name) if self.library(&name.ident).is_some_and(|name| COMMANDS.contains(&name)) => {
                let Some(command) = first else { return };
                match &command.node {
                    ExprP::Lambda(lambda) => {
                        self.function(&lambda.params, |walk| walk.command(&lambda.body));
                    }
                    // At top level the function itself looks at its templates.
                    _ if self.has_ctx() => self.command(command),
                    _ => {}
                }
            }
            _ => {}
        }
    }

    /// Looks at a command that a function makes.
    fn command(&mut self, command: &Expr) {
        if let ExprP::If(parts) = &command.node {
            self.command(&parts.1);
            self.command(&parts.2);
            return;
        }
        if let Some(Some(literal)) = self.template(command)
            && let Some((message, hint)) = check_literal(&literal.text, &literal.names, literal.positions)
        {
            let problem = CallSite::of_span(self.ast.file_span(command.span)).problem(message, hint);
            return self.problems.push(problem);
        }
        if self.is_list(command) {
            return self.words(command);
        }
        if let Some(source) = self.outside(command) {
            self.warn(command.span, &source, "the command is a text");
        }
    }

    /// A list of words that starts a shell with a line of its own.
    fn words(&mut self, command: &Expr) {
        const SHELLS: [&str; 9] = ["sh", "bash", "dash", "zsh", "ksh", "ssh", "cmd", "powershell", "pwsh"];
        let ExprP::List(items) = &command.node else { return };
        let text = |item: &Expr| literal(item).map(|text| text.rsplit('/').next().unwrap_or_default().to_owned());
        let Some(shell) = items.iter().position(|item| text(item).is_some_and(|text| SHELLS.contains(&text.as_str())))
        else {
            return;
        };
        let is_ssh = text(&items[shell]).as_deref() == Some("ssh");
        let option = items[shell..].iter().position(|item| {
            literal(item).is_some_and(|text| {
                text.to_lowercase().trim_start_matches(['-', '/']).starts_with('c')
                    || text.ends_with('c') && text.starts_with('-')
            })
        });
        let code = match (is_ssh, option) {
            (true, _) => items.get(shell + 2..).unwrap_or_default(),
            (false, Some(option)) => items.get(shell + option + 1..shell + option + 2).unwrap_or_default(),
            (false, None) => &[],
        };
        let found = code.iter().find_map(|item| Some((item.span, self.outside(item)?)));
        if let Some((span, source)) = found {
            self.warn(span, &source, "this word is a line for another shell");
        }
    }

    fn warn(&mut self, span: Span, source: &str, what: &str) {
        let message =
            format!("{what} made of `{source}`, which comes from outside: a shell would execute commands in it");
        let hint = "write the command as a list of words, hand the value over in `env`, wrap it in shell_quote(…), or use interpolate(\"…\")".to_owned();
        let warning = self.problem(span, message, hint);
        self.warnings.push(warning);
    }

    /// Where a value comes from, if it comes from outside.
    fn outside(&self, expr: &Expr) -> Option<String> {
        match &expr.node {
            ExprP::Identifier(name) => self.look(&name.ident, |names| names.outside.get(&name.ident).cloned()),
            ExprP::Dot(object, member) if is_ctx(object) => {
                (self.has_ctx() && OUTSIDE.contains(&member.node.as_str())).then(|| format!("ctx.{}", member.node))
            }
            ExprP::Dot(object, _) => self.outside(object),
            ExprP::Call(function, arguments) => self.outside_of_call(function, &arguments.args),
            // What a number can be added to is a number.
            ExprP::Op(left, BinOp::Add, right) if is_number(left) || is_number(right) => None,
            ExprP::Op(
                left,
                BinOp::Add | BinOp::Percent | BinOp::Or | BinOp::And | BinOp::Multiply | BinOp::BitOr,
                right,
            ) => self.outside(left).or_else(|| self.outside(right)),
            ExprP::Index(parts) => self.outside(&parts.0),
            ExprP::Slice(object, ..) => self.outside(object),
            ExprP::If(parts) => self.outside(&parts.1).or_else(|| self.outside(&parts.2)),
            ExprP::FString(text) => text.expressions.iter().find_map(|inner| self.outside(inner)),
            ExprP::List(items) | ExprP::Tuple(items) => items.iter().find_map(|item| self.outside(item)),
            ExprP::Dict(entries) => entries.iter().find_map(|(_, value)| self.outside(value)),
            ExprP::ListComprehension(item, first, _) => self.outside_of_item(item, first),
            _ => None,
        }
    }

    /// An element of a comprehension: its variable holds what it goes over.
    fn outside_of_item(&self, item: &Expr, first: &ForClauseP<AstNoPayload>) -> Option<String> {
        let over = self.outside(&first.over);
        let mut inner = Walk { loaded: self.loaded.clone(), scopes: self.scopes.clone(), ..Walk::new(self.ast) };
        inner.scopes.push(Names { has_ctx: self.has_ctx(), ..Names::default() });
        inner.bind(&first.var, over, false, None);
        inner.outside(item)
    }

    fn outside_of_call(&self, function: &Expr, arguments: &[Argument]) -> Option<String> {
        let of_arguments = || arguments.iter().find_map(|argument| self.outside(argument.expr_of()));
        match &function.node {
            ExprP::Identifier(name) => {
                let name = self.library(&name.ident).unwrap_or(&name.ident);
                // A function of somebody's own may well make the value safe.
                CARRIERS.contains(&name).then(of_arguments).flatten()
            }
            ExprP::Dot(_, member) if HARMLESS.contains(&member.node.as_str()) => None,
            ExprP::Dot(object, member) if is_ctx(object) => {
                let shown = if member.node == "property" {
                    arguments
                        .first()
                        .and_then(|argument| literal(argument.expr_of()))
                        .map_or_else(|| "ctx.property(…)".to_owned(), |name| format!("ctx.property(\"{name}\")"))
                } else {
                    "ctx.properties()".to_owned()
                };
                (self.has_ctx() && ["property", "properties"].contains(&member.node.as_str())).then_some(shown)
            }
            // `regex.replace` and its like are how values are made safe.
            ExprP::Dot(object, _) if matches!(&object.node, ExprP::Identifier(name) if name.ident == "regex") => None,
            ExprP::Dot(object, _) => self.outside(object).or_else(of_arguments),
            _ => None,
        }
    }

    fn is_list(&self, expr: &Expr) -> bool {
        match &expr.node {
            ExprP::List(_) | ExprP::Tuple(_) | ExprP::ListComprehension(..) => true,
            ExprP::Op(left, BinOp::Add, right) => self.is_list(left) || self.is_list(right),
            ExprP::Identifier(name) => {
                self.look(&name.ident, |names| names.lists.contains(&name.ident).then_some(())).is_some()
            }
            ExprP::Call(function, _) => {
                matches!(&function.node, ExprP::Identifier(name) if ["list", "sorted", "tuple"].contains(&name.ident.as_str()))
                    || matches!(&function.node, ExprP::Dot(_, member) if member.node.ends_with("split"))
            }
            ExprP::If(parts) => self.is_list(&parts.1) && self.is_list(&parts.2),
            _ => false,
        }
    }

    /// Whether an expression is a template; and its text, if that is known.
    #[expect(clippy::option_option, reason = "whether it is a template, and its text if that is known")]
    fn template(&self, expr: &Expr) -> Option<Option<Literal>> {
        match &expr.node {
            ExprP::Identifier(name) => self.look(&name.ident, |names| names.templates.get(&name.ident).cloned()),
            ExprP::Op(left, BinOp::Add, right) => self.template(left).or_else(|| self.template(right)).map(|_| None),
            ExprP::Call(function, arguments) => {
                let ExprP::Identifier(name) = &function.node else { return None };
                if self.library(&name.ident) != Some("interpolate") {
                    return None;
                }
                Some(literal_template(&arguments.args))
            }
            _ => None,
        }
    }
}

/// The text and arguments of an `interpolate(…)` whose text is a literal.
fn literal_template(arguments: &[Argument]) -> Option<Literal> {
    let mut positions = arguments.iter().filter_map(|argument| match &argument.node {
        ArgumentP::Positional(value) => Some(value),
        _ => None,
    });
    let text = literal(positions.next()?)?;
    if arguments.iter().any(|argument| matches!(argument.node, ArgumentP::Args(_) | ArgumentP::KwArgs(_))) {
        return None;
    }
    let names = arguments.iter().filter_map(|argument| argument.name().map(str::to_owned)).collect();
    Some(Literal { text, names, positions: positions.count() })
}

/// The functions that library calls get as their commands.
fn command_names(expr: &Expr, loaded: &BTreeMap<String, String>, found: &mut BTreeSet<String>) {
    if let ExprP::Call(function, arguments) = &expr.node
        && let ExprP::Identifier(name) = &function.node
        && loaded.get(&name.ident).is_some_and(|name| COMMANDS.contains(&name.as_str()))
        && let Some(ArgumentP::Positional(first)) = arguments.args.first().map(|argument| &argument.node)
        && let ExprP::Identifier(command) = &first.node
    {
        found.insert(command.ident.clone());
    }
    expr.visit_expr(|inner| command_names(inner, loaded, found));
}

fn is_number(expr: &Expr) -> bool {
    matches!(expr.node, ExprP::Literal(AstLiteral::Int(_) | AstLiteral::Float(_)))
}

fn is_ctx(expr: &Expr) -> bool {
    matches!(&expr.node, ExprP::Identifier(name) if name.ident == CONTEXT)
}

fn literal(expr: &Expr) -> Option<String> {
    match &expr.node {
        ExprP::Literal(AstLiteral::String(text)) => Some(text.node.clone()),
        _ => None,
    }
}

/// The value of an argument, however it is given.
trait ExprOf {
    fn expr_of(&self) -> &Expr;
}

impl ExprOf for Argument {
    fn expr_of(&self) -> &Expr {
        match &self.node {
            ArgumentP::Positional(value)
            | ArgumentP::Named(_, value)
            | ArgumentP::Args(value)
            | ArgumentP::KwArgs(value) => value,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::parse::parse;
    use super::*;

    const HEAD: &str = "load('@stdlib//steps.star', 'sh')\nload('@stdlib//text.star', 'interpolate', 'shell_quote')\n";

    fn found(text: &str) -> (usize, usize) {
        let ast = parse("x.star", &format!("{HEAD}{text}\n")).unwrap();
        let (problems, warnings) = shell_texts(&ast);
        (problems.len(), warnings.len())
    }

    #[test]
    fn texts_made_of_what_comes_from_outside_are_warned_of() {
        for text in [
            "def f(ctx):\n    ctx.run(f'make {ctx.branch}')",
            "def f(ctx):\n    ctx.run('make ' + ctx.revision)",
            "def f(ctx):\n    ctx.run('make %s' % ctx.property('x'))",
            "def f(ctx):\n    ctx.run('make {}'.format(ctx.properties()['x']))",
            "def f(ctx):\n    ctx.run(' '.join(['make', ctx.changes[0].author]))",
            "def f(ctx):\n    b = ctx.branch or 'main'\n    c = 'make ' + b.strip()\n    return ctx.run(c)",
            "def f(ctx):\n    for change in ctx.changes:\n        ctx.run('echo ' + change.comments)",
            "def f(ctx):\n    c = 'make'\n    c += ' ' + ctx.branch\n    ctx.run(c)",
            "def f(ctx):\n    ctx.run(' '.join([c.author for c in ctx.changes]))",
            "def f(ctx):\n    def g():\n        ctx.run('make ' + ctx.branch)\n    g()",
            "x = sh(lambda ctx: 'make ' + ctx.branch)",
            "def f(ctx):\n    return 'make ' + ctx.branch\nx = sh(f)",
            "def f(ctx):\n    ctx.step(sh('make ' + ctx.branch))",
            "def f(ctx):\n    ctx.run(['bash', '-c', 'make ' + ctx.branch])",
            "def f(ctx):\n    ctx.run('a' if ctx.branch else 'b ' + ctx.revision)",
            "def f(ctx):\n    ctx.run(ctx.property('command'))",
        ] {
            assert_eq!(found(text), (0, 1), "{text}");
        }
    }

    #[test]
    fn what_is_safe_is_left_alone() {
        for text in [
            "def f(ctx):\n    ctx.run(['make', ctx.branch])",
            "def f(ctx):\n    words = ['make'] + [c.author for c in ctx.changes]\n    ctx.run(words)",
            "def f(ctx):\n    ctx.run('make ' + shell_quote(ctx.branch))",
            "def f(ctx):\n    ctx.run('make', env = {'B': ctx.branch})",
            "def f(ctx):\n    ctx.run(interpolate('make %(kw:b)s', b = ctx.branch))",
            "def f(ctx):\n    ctx.run('make -j{}'.format(len(ctx.changes)))",
            "def f(ctx):\n    ctx.run('a' if ctx.branch == 'main' else 'b')",
            "def f(ctx):\n    ctx.run('make {}'.format(ctx.number))",
            "def f(ctx):\n    ctx.run('tail -n {}'.format(ctx.property('keep') + 1))",
            "def f(branch):\n    return 'x ' + branch",
            "def f(ctx):\n    ctx.run('make ' + regex.replace('[^a-z]', '-', ctx.branch))",
            "def f(ctx):\n    ctx.log('x', 'on ' + ctx.branch)",
            "def f(ctx):\n    ctx.run(['sh', 'build.sh', ctx.branch])",
        ] {
            assert_eq!(found(text), (0, 0), "{text}");
        }
    }

    #[test]
    fn templates_that_cannot_work_are_found_in_functions() {
        for text in [
            "def f(ctx):\n    ctx.run(interpolate('echo $(cat %(prop:x)s)'))",
            "T = interpolate('echo `%(prop:x)s`')\ndef f(ctx):\n    ctx.run(T)",
            "def f(ctx):\n    ctx.run(interpolate('echo %(prp:x)s'))",
            "x = sh(lambda ctx: interpolate('eval %(prop:x)s'))",
            "T = interpolate('%(prop:x)s')\nx = f'make {T}'",
            "x = 'make {}'.format(interpolate('%(prop:x)s'))",
            "x = 'make %s' % interpolate('%(prop:x)s')",
        ] {
            assert_eq!(found(text), (1, 0), "{text}");
        }
        assert_eq!(found("def f(ctx):\n    ctx.run('make ' + interpolate('%(prop:x)s'))"), (0, 0));
    }
}
