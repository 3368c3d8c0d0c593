//! Reads a configuration's files, evaluates them, and makes the plan.
//!
//! Files are loaded once each, in the order in which they are first asked for. Knows where files are;
//! what they mean is the declarations' business. Nothing outside the configuration's directory is read.

use std::cell::RefCell;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use starlark::docs::DocModule;
use starlark::environment::{FrozenModule, Module};
use starlark::eval::{Evaluator, ReturnFileLoader};
use starlark::syntax::AstModule;
use starlark::typing::Interface;
use starlark::values::FrozenHeapName;

use super::check;
use super::collect::Collector;
use super::fault::problem_of;
use super::files::{Files, ReadError};
use super::globals::globals;
use super::library;
use super::limits::{LOAD, STACK_BYTES};
use super::narrow::reports_of;
use super::parse::parse;
use super::place::CallSite;
use super::problem::{Problem, Refused};
use super::pure::guard_operators;
use super::registry;
use super::scripts::{Cancel, Scripts};
use super::sources::{CONFIG_DIR_FACT, Sources};
use super::texts::{LoadHost, Phase, Texts};
use crate::model::Plan;

/// Loads inside loads: each is a level of native recursion.
const LOAD_DEPTH_MAX: usize = 50;

/// A configuration that is right.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub plan: Arc<Plan>,
    /// Its functions.
    pub scripts: Arc<Scripts>,
    /// Its texts.
    pub sources: Arc<Sources>,
    /// Files on disk that it consists of, to watch.
    pub watch: Vec<PathBuf>,
    /// Remarks that refuse nothing (lint).
    pub warnings: Vec<Problem>,
}

/// Loads a configuration from disk. Blocks; evaluates on a thread of its own.
///
/// # Errors
/// All problems of the configuration.
pub fn load(path: &Path) -> Result<Loaded, Refused> {
    let files = Files::on_disk(path).map_err(|problem| Refused { problems: vec![problem] })?;
    on_big_stack(|| Loader::new(files).run())
}

/// Loads one from its kept sources.
///
/// # Errors
/// All problems of the configuration.
pub fn load_sources(sources: Sources) -> Result<Loaded, Refused> {
    on_big_stack(|| Loader::new(Files::kept(sources)).run())
}

/// What to load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LoadRequest {
    /// Where its texts are.
    pub from: LoadFrom,
    /// Files whose types are not checked, and why not.
    pub untyped: BTreeMap<String, String>,
}

/// Where the texts of a configuration are.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum LoadFrom {
    /// The host is asked for each. `directory` is the absolute path.
    Host { main: String, directory: Option<String> },
    /// They were kept.
    Kept(Sources),
}

/// Loads on the present thread, which needs a large stack.
///
/// # Errors
/// All problems of the configuration.
pub fn load_for(request: LoadRequest, host: Box<dyn LoadHost>) -> Result<Loaded, Refused> {
    let files = match request.from {
        LoadFrom::Host { main, directory } => Files::Asked { main, directory },
        LoadFrom::Kept(sources) => Files::kept(sources),
    };
    let mut loader = Loader::new(files);
    loader.texts.borrow_mut().host = host;
    loader.untyped = request.untyped;
    loader.run()
}

/// A load in the process that ordered it.
struct NoHost;

impl LoadHost for NoHost {
    fn read(&mut self, name: &str) -> Result<String, ReadError> {
        Err(ReadError::new(format!("nobody was asked for `{name}`"), None))
    }

    fn begins(&mut self, _: Phase, _: &str) {}
}

/// What the library's files say of themselves, in order of their names.
pub(super) fn library_documentation() -> Vec<(String, DocModule)> {
    let files = library::names().filter_map(|name| Some((name.clone(), library::text(&name)?.to_owned())));
    let mut loader = Loader::new(Files::kept(Sources { main: String::new(), files: files.collect() }));
    let each = library::names().filter_map(|name| {
        loader.file(&name).ok()?;
        let module = loader.modules.get(&name)?.as_ref()?;
        Some((name, module.documentation()))
    });
    each.collect()
}

/// Runs on a thread whose stack holds the parser's and evaluator's recursion.
fn on_big_stack<T: Send>(work: impl FnOnce() -> Result<T, Refused> + Send) -> Result<T, Refused> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("config".to_owned()).stack_size(STACK_BYTES);
        match thread.spawn_scoped(scope, work) {
            Ok(running) => running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => {
                let message = format!("failed to start a thread for the configuration: {error}");
                Err(Refused { problems: vec![Problem::placeless(message, None)] })
            }
        }
    })
}

/// The load in progress.
struct Loader {
    /// What was read; shared with the natives that read while a file is evaluated.
    texts: Rc<RefCell<Texts>>,
    /// Files whose types are not checked, and why not.
    untyped: BTreeMap<String, String>,
    collector: Collector,
    /// Finished files by name; none for one with an error.
    modules: HashMap<String, Option<FrozenModule>>,
    /// Finished files in the order of loading.
    order: Vec<FrozenModule>,
    interfaces: HashMap<String, Interface>,
    signatures: check::Signatures,
    /// Files being loaded, outermost first.
    chain: Vec<String>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// Wrong calls were found without running them.
    miscalled: bool,
    /// Some file ended early, so what it would have declared is unknown.
    incomplete: bool,
}

impl Loader {
    fn new(files: Files) -> Self {
        let collector = Collector::default();
        *collector.directory.borrow_mut() = files.directory();
        let texts = Rc::new(RefCell::new(Texts::new(files, Box::new(NoHost))));
        *collector.texts.borrow_mut() = Some(Rc::clone(&texts));
        Self {
            texts,
            untyped: BTreeMap::new(),
            collector,
            modules: HashMap::new(),
            order: Vec::new(),
            interfaces: HashMap::new(),
            signatures: check::Signatures::default(),
            chain: Vec::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
            miscalled: false,
            incomplete: false,
        }
    }

    fn run(mut self) -> Result<Loaded, Refused> {
        let main = self.texts.borrow().files().main().to_owned();
        if let Err(error) = self.file(&main) {
            self.problems.push(error.at(None));
        }
        self.finish(main)
    }

    /// Loads one file, once.
    fn file(&mut self, name: &str) -> Result<(), ReadError> {
        if self.modules.contains_key(name) {
            return Ok(());
        }
        let text = self.texts.borrow_mut().read(name)?;
        self.chain.push(name.to_owned());
        let module = self.evaluate(name, &text);
        self.chain.pop();
        self.incomplete |= module.is_none();
        self.order.extend(module.clone());
        self.modules.insert(name.to_owned(), module);
        Ok(())
    }

    /// Parses, checks and evaluates a text; none if that ended early.
    fn evaluate(&mut self, name: &str, text: &str) -> Option<FrozenModule> {
        self.texts.borrow_mut().begins(Phase::Parse, name);
        let ast = match parse(name, text) {
            Ok(ast) => ast,
            Err(problem) => {
                self.problems.push(problem);
                return None;
            }
        };
        let loads = self.loads(name, &ast);
        self.check(name, &ast, &loads);
        // Without all that it loads the file cannot run; what is missing was told at its `load`.
        if ast.loads().iter().any(|load| !loads.contains_key(load.module_id)) {
            return None;
        }
        let missing = check::missing_symbols(&ast, |asked| self.modules.get(loads.get(asked)?)?.as_ref());
        if !missing.is_empty() {
            self.problems.extend(missing);
            return None;
        }
        let mut modules: HashMap<&str, &FrozenModule> = HashMap::new();
        #[expect(clippy::iter_over_hash_type, reason = "the order of inserting into a map shows nowhere")]
        for (asked, found) in &loads {
            modules.insert(asked, self.modules.get(found)?.as_ref()?);
        }
        self.texts.borrow_mut().begins(Phase::Evaluate, name);
        match run_module(name, ast, &modules, &self.collector) {
            Ok(module) => Some(module),
            // The evaluator stops at the first of the wrong calls that were found without running any.
            Err(fault) => {
                if !(self.miscalled && fault.of_call) {
                    self.problems.push(fault.problem);
                }
                None
            }
        }
    }

    /// Loads what a file loads; the whole name of each.
    fn loads(&mut self, name: &str, ast: &AstModule) -> HashMap<String, String> {
        let wanted: Vec<_> = ast.loads().iter().map(|load| (load.module_id.to_owned(), load.span.clone())).collect();
        let mut found = HashMap::new();
        for (asked, span) in wanted {
            let resolved = self.texts.borrow().files().resolve(name, &asked);
            let result = resolved.and_then(|other| self.nested(&other).map(|()| other));
            match result {
                Ok(other) => drop(found.insert(asked, other)),
                Err(error) => {
                    self.incomplete = true;
                    self.problems.push(error.at(Some(CallSite::of_span(span))));
                }
            }
        }
        found
    }

    fn nested(&mut self, other: &str) -> Result<(), ReadError> {
        if let Some(begin) = self.chain.iter().position(|name| name == other) {
            let mut circle: Vec<&str> = self.chain[begin..].iter().map(String::as_str).collect();
            circle.push(other);
            let hint = "move what both need into a third file".to_owned();
            return Err(ReadError::new(
                format!("files load each other in a circle: {}", circle.join(" -> ")),
                Some(hint),
            ));
        }
        if self.chain.len() >= LOAD_DEPTH_MAX {
            return Err(ReadError::new(format!("files load each other more than {LOAD_DEPTH_MAX} deep"), None));
        }
        self.file(other)
    }

    /// What can be known of a file without running it.
    fn check(&mut self, name: &str, ast: &AstModule, loads: &HashMap<String, String>) {
        self.signatures.learn(name, ast, loads);
        if library::is_library(name) {
            return;
        }
        let check::Calls { problems, warnings, secrets } = self.signatures.check_calls(name, ast);
        self.warnings.extend(warnings);
        self.miscalled |= !problems.is_empty();
        self.problems.extend(problems);
        secrets.iter().for_each(|secret| self.collector.name_secret(secret));
        self.warnings.extend(check::lint(ast));
        self.problems.extend(check::step_words(ast));
        self.problems.extend(check::requests(ast));
        self.warnings.extend(check::unfilled(ast));
        let (problems, warnings) = check::shell_texts(ast);
        self.problems.extend(problems);
        self.warnings.extend(warnings);
        if let Some(why) = self.untyped.get(name) {
            self.warnings.push(untyped(name, why));
            return;
        }
        self.texts.borrow_mut().begins(Phase::Types, name);
        let interfaces = loads
            .iter()
            .filter_map(|(asked, other)| Some((asked.clone(), self.interfaces.get(other)?.clone())))
            .collect();
        let (interface, problems) = check::types(ast, &interfaces);
        self.interfaces.insert(name.to_owned(), interface);
        self.problems.extend(problems);
    }

    fn finish(mut self, main: String) -> Result<Loaded, Refused> {
        self.texts.borrow_mut().begins(Phase::Finish, &main);
        let mut plan = check::finish_plan(&self.collector, !self.incomplete);
        let noted = self.collector.problems.take();
        self.problems.extend(reports_of(noted));
        self.warnings.extend(reports_of(self.collector.warnings.take()));
        if !self.problems.is_empty() {
            return Err(Refused { problems: in_order(self.problems, &main) });
        }
        let mut files = self.texts.borrow_mut().take();
        if self.collector.directory_asked.get()
            && let Some(directory) = self.collector.directory.take()
        {
            files.insert(CONFIG_DIR_FACT.to_owned(), directory);
        }
        let watch = self.texts.borrow().files().watch(files.keys());
        let sources = Sources { main, files };
        plan.digest = sources.digest();
        let plan = Arc::new(plan);
        let scripts = Scripts::gather(Arc::clone(&plan), &self.order);
        let warnings = bounded(in_order(self.warnings, &sources.main));
        Ok(Loaded { plan, scripts: Arc::new(scripts), sources: Arc::new(sources), watch, warnings })
    }
}

/// The remark on a file whose types could not be inferred.
fn untyped(name: &str, why: &str) -> Problem {
    let hint = "a value that grows in a loop, such as `x = (x, n)`, has a type without end: build a list instead";
    Problem::placeless(format!("the types in `{name}` are not checked: inferring them {why}"), Some(hint.to_owned()))
}

/// Warnings that one load gives. Each reload logs them again.
const WARNINGS_MAX: usize = 100;

/// The first warnings, and how many more there are.
fn bounded(mut warnings: Vec<Problem>) -> Vec<Problem> {
    let more = warnings.len().saturating_sub(WARNINGS_MAX);
    warnings.truncate(WARNINGS_MAX);
    if more > 0 {
        warnings.push(Problem::placeless(format!("there are {more} more warnings, which are not shown"), None));
    }
    warnings
}

/// Problems by file (the main one first) and line, each once; of two that say the same, the one with a hint.
fn in_order(mut problems: Vec<Problem>, main: &str) -> Vec<Problem> {
    let key = |problem: &Problem| {
        let place = problem.place.clone();
        place.map(|place| (*place.file != *main, place.file, place.line, place.column))
    };
    problems.sort_by_key(key);
    let mut out: Vec<Problem> = Vec::new();
    // What was said of this place so far, and where. A loop may say thousands of things of one line.
    let mut said: HashMap<String, usize> = HashMap::new();
    for problem in problems {
        if out.last().is_none_or(|last| last.place != problem.place) {
            said.clear();
        }
        match said.entry(gist(&problem).to_owned()) {
            Entry::Occupied(same) => {
                let other = &mut out[*same.get()];
                other.hint = other.hint.take().or(problem.hint);
            }
            Entry::Vacant(new) => {
                new.insert(out.len());
                out.push(problem);
            }
        }
    }
    out
}

/// A message without the function that it is about: an argument that a library function hands on is
/// unknown to both.
fn gist(problem: &Problem) -> &str {
    let message = problem.message.as_str();
    message.find(" has no argument ").map_or(message, |begin| &message[begin..])
}

/// Why a file did not come to its end.
struct FileFailure {
    problem: Problem,
    /// A function was called with wrong arguments.
    of_call: bool,
}

impl FileFailure {
    #[expect(clippy::unnecessary_box_returns, reason = "boxed as the error of a `Result`, which stays small")]
    fn of(error: &starlark::Error) -> Box<Self> {
        let of_call = matches!(error.kind(), starlark::ErrorKind::Function(_));
        Box::new(Self { problem: problem_of(error, LOAD), of_call })
    }
}

fn run_module(
    name: &str,
    mut ast: AstModule,
    modules: &HashMap<&str, &FrozenModule>,
    collector: &Collector,
) -> Result<FrozenModule, Box<FileFailure>> {
    Module::with_temp_heap(|module| {
        registry::install(&module);
        {
            let loader = ReturnFileLoader { modules };
            let mut eval = Evaluator::new(&module);
            LOAD.apply(&mut eval, Cancel::default());
            eval.set_print_handler(&super::evaluate::Printer);
            eval.set_loader(&loader);
            eval.extra = Some(collector);
            guard_operators(&mut ast);
            eval.eval_module(ast, globals()).map_err(|error| FileFailure::of(&error))?;
        }
        let heap = FrozenHeapName::User(Box::new(name.to_owned()));
        module.freeze_named(heap).map_err(|error| {
            let problem = Problem::placeless(format!("failed to finish `{name}`: {error:?}"), None);
            Box::new(FileFailure { problem, of_call: false })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load_text(text: &str) -> Result<Loaded, Refused> {
        load_sources(Sources { main: "master.star".to_owned(), files: crate::config::library::with_main(text) })
    }

    #[test]
    fn small_configuration_becomes_a_plan() {
        let text = r#"
load("@stdlib//steps.star", "sh")
load("@stdlib//schedulers.star", "force", "periodic")
worker("linux-1", tags = ["linux"], slots = 2)
def decide(ctx):
    return ctx.run("true")
builder("b", workers = ["linux"], steps = [sh("make", name = "compile"), decide])
periodic("often", builders = ["b"], every = "12h")
force("by-hand", builders = ["b"])
"#;
        let loaded = load_text(text).unwrap_or_else(|refused| panic!("{refused}"));
        assert_eq!(loaded.plan.builders["b"].workers, ["linux-1"]);
        assert_eq!(loaded.plan.builders["b"].steps[1].name, "decide");
        assert_eq!(loaded.plan.builders["b"].steps[1].place.line, 7);
        assert_eq!(loaded.plan.schedulers.len(), 2);
    }

    #[test]
    fn all_problems_are_told_at_once() {
        let text = "worker(\"w\", slts = 1)\nbuilder(\"b\", workers = [\"x\"], steps = [1])\nworker(\"w\")\n";
        let refused = load_text(text).unwrap_err();
        assert_eq!(refused.problems.len(), 4, "{refused}");
    }
}
