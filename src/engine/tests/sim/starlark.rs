//! Drafts as Starlark: the same builders and steps, evaluated by the real evaluator.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::super::script::Item;
use super::draft::{BuilderDraft, Draft, StepDraft};
use crate::config::{Loaded, Sources, load_sources};
use crate::model::{CommandSpec, FileCommand, LockAccess, LockMode, OnLost, Outcome};

/// The configuration of a draft's builders, loaded.
pub fn load(draft: &Draft) -> Loaded {
    let mut text = Text::default();
    for lock in &draft.locks {
        let scope = if lock.on_worker { "worker" } else { "master" };
        text.line(&format!("{0} = lock(\"{0}\", count = {1}, scope = \"{scope}\")", lock.name, lock.count));
        text.counts.insert(lock.name.clone(), lock.count);
    }
    for worker in &draft.workers {
        text.line(&format!("worker(\"{}\", password = \"x\")", worker.name));
    }
    for builder in &draft.builders {
        text.builder(draft, builder);
    }
    text.line(&format!("property(\"edition\", {})", draft.edition));
    let files = BTreeMap::from([("master.star".to_owned(), text.text.clone())]);
    let sources = Sources { main: "master.star".to_owned(), files };
    load_sources(sources).unwrap_or_else(|refused| panic!("the simulator's configuration:\n{refused}\n{}", text.text))
}

#[derive(Default)]
#[expect(clippy::struct_field_names, reason = "the text of a configuration")]
struct Text {
    text: String,
    functions: u64,
    counts: BTreeMap<String, u64>,
}

impl Text {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn builder(&mut self, draft: &Draft, builder: &BuilderDraft) {
        let steps: Vec<String> = builder.steps.iter().map(|step| self.step(step)).collect();
        let there: Vec<&String> =
            builder.workers.iter().filter(|name| draft.workers.iter().any(|worker| worker.name == **name)).collect();
        // A builder without a worker is refused; the draft's own list comes into force.
        let workers = if there.is_empty() { vec![&draft.workers[0].name] } else { there };
        self.line(&format!("builder(\"{}\", workers = {workers:?}, steps = [{}])", builder.name, steps.join(", ")));
    }

    fn step(&mut self, step: &StepDraft) -> String {
        let run = self.function(&step.items);
        let truth = |truth: bool| if truth { "True" } else { "False" };
        let mut made = format!(
            "step(\"{}\", run = {run}, always_run = {}, halt_on_failure = {}, retries = {}, retry_delay = \"20s\", locks = [{}]",
            step.name,
            truth(step.always),
            truth(step.halt),
            step.retries,
            self.locks(&step.locks),
        );
        if let Some(yes) = step.do_if {
            let _ = write!(made, ", do_if = lambda ctx: {}", truth(yes));
        }
        if let Some(yes) = step.hide_if {
            let _ = write!(made, ", hide_if = lambda ctx, outcome: {}", truth(yes));
        }
        made + ")"
    }

    fn locks(&self, locks: &[LockAccess]) -> String {
        let one = |access: &LockAccess| match access.mode {
            LockMode::Exclusive => format!("{}.exclusive()", access.lock),
            LockMode::Counting(units) => format!("{}.shared({})", access.lock, units.min(self.counts[&access.lock])),
        };
        locks.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// Defines a function that does all of this; its name.
    fn function(&mut self, items: &[Item]) -> String {
        let body: Vec<String> = items.iter().map(|item| self.item(item)).collect();
        self.functions += 1;
        let name = format!("f{}", self.functions);
        self.line(&format!("def {name}(ctx):"));
        self.line("    ctx.property(\"buildername\")");
        for line in body {
            self.line(&format!("    {line}"));
        }
        name
    }

    fn item(&mut self, item: &Item) -> String {
        match item {
            Item::Run(spec) => command(spec),
            Item::File(FileCommand::MakeDirs(paths)) => format!("ctx.mkdir({:?})", paths[0]),
            Item::File(FileCommand::Upload(upload)) => format!("ctx.upload({:?})", upload.name),
            Item::File(_) => "ctx.stat(\"x\")".to_owned(),
            Item::Wait(span) => format!("ctx.wait(\"{}s\")", span.as_millis() / 1000),
            Item::Now => "ctx.now()".to_owned(),
            Item::Trigger(ask) => {
                format!("ctx.trigger({:?}, wait = {})", ask.schedulers, if ask.wait { "True" } else { "False" })
            }
            Item::Child { name, locks, items } => {
                let run = self.function(items);
                format!("ctx.step(step(\"{name}\", run = {run}, locks = [{}]))", self.locks(locks))
            }
            Item::Parallel(branches) => {
                let steps: Vec<String> = branches
                    .iter()
                    .enumerate()
                    .map(|(number, items)| format!("step(\"p{number}\", run = {})", self.function(items)))
                    .collect();
                format!("ctx.parallel([{}])", steps.join(", "))
            }
            Item::Set(name, value) => format!("ctx.set_property(\"{name}\", \"{value}\")"),
            Item::Summary(text) => format!("ctx.set_summary(\"{text}\")"),
            Item::Url(name, url) => format!("ctx.add_url(\"{name}\", \"{url}\")"),
            Item::Log(log, text) => format!("ctx.log(\"{log}\", \"{text}\")"),
            Item::Break(message) => format!("fail(\"{message}\")"),
            Item::End(Outcome::Success) => "return".to_owned(),
            Item::End(_) => "ctx.fail(\"enough\")".to_owned(),
            Item::OpenChild(_) | Item::Stuck => "pass".to_owned(),
        }
    }
}

fn command(spec: &CommandSpec) -> String {
    let on_lost = match spec.on_lost {
        OnLost::RetryBuild => "retry",
        OnLost::RunAgain => "run_again",
        OnLost::Fail => "fail",
    };
    let files = if spec.log_files.is_empty() { "{}" } else { "{\"trace\": \"trace\"}" };
    let (line, grace) = (super::super::script::line_of(spec), spec.grace.as_millis() / 1000);
    format!("ctx.run(\"{line}\", on_lost = \"{on_lost}\", grace = \"{grace}s\", log_files = {files})")
}
