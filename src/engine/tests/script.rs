//! Build scripts as tables: a step is a list of items, evaluated as the real evaluator does it - from the start, against
//! the journal, until something has no answer yet.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::base::Span;
use crate::engine::state::Fingerprint;
use crate::model::{
    Answer, Ask, BeginStep, CommandResult, CommandSpec, ConfigDigest, Decision, EndStep, EvalJob, EvalOutcome,
    EvalPart, FileCommand, FnId, Journal, Key, LockAccess, OnLost, Outcome, Program, Question, Script, Text,
    TriggerSpec, Undecided, Value,
};

/// One thing that a script does.
#[derive(Clone, Debug)]
pub enum Item {
    Run(Box<CommandSpec>),
    File(FileCommand),
    Wait(Span),
    Now,
    Trigger(TriggerSpec),
    Child {
        name: String,
        locks: Vec<LockAccess>,
        items: Vec<Item>,
    },
    /// A child step that the script forgets to end.
    OpenChild(String),
    Parallel(Vec<Vec<Item>>),
    Set(String, Value),
    Summary(String),
    Url(String, String),
    Log(String, String),
    /// The script itself fails.
    Break(String),
    /// Ends the step like this.
    End(Outcome),
    /// Waits for nothing.
    Stuck,
}

/// A command of this line.
pub fn run(line: &str) -> Item {
    Item::Run(Box::new(command(line)))
}

/// A command that is stopped with this grace, and does this if its worker is lost.
pub fn run_with(line: &str, change: impl FnOnce(&mut CommandSpec)) -> Item {
    let mut spec = command(line);
    change(&mut spec);
    Item::Run(Box::new(spec))
}

/// A child step.
pub fn child(name: &str, items: impl Into<Vec<Item>>) -> Item {
    Item::Child { name: name.into(), locks: vec![], items: items.into() }
}

/// A trigger of these schedulers.
pub fn trigger(schedulers: &[&str], wait: bool) -> Item {
    Item::Trigger(TriggerSpec {
        schedulers: schedulers.iter().map(|&name| name.to_owned()).collect(),
        wait,
        properties: crate::model::Properties::default(),
        stamps: vec![],
    })
}

fn command(line: &str) -> CommandSpec {
    CommandSpec {
        program: Program::Shell(Text::plain(line)),
        workdir: "build".into(),
        env: BTreeMap::new(),
        idle_timeout: None,
        total_timeout: None,
        lines_max: None,
        log: "stdio".into(),
        log_files: BTreeMap::new(),
        stdin: None,
        exit_codes: BTreeMap::from([(0, Outcome::Success), (2, Outcome::Warnings)]),
        want_output: false,
        log_stdout: true,
        log_stderr: true,
        pty: false,
        grace: Span::from_seconds(10),
        on_lost: OnLost::RetryBuild,
        output: Box::default(),
    }
}

/// The line of a command.
pub fn line_of(spec: &CommandSpec) -> String {
    match &spec.program {
        Program::Shell(text) => text.masked(),
        Program::Argv(words) => words.iter().map(Text::masked).collect::<Vec<_>>().join(" "),
    }
}

type Decide = Arc<dyn Fn(&Question) -> Decision + Send + Sync>;

/// All functions of a configuration.
#[derive(Clone, Default)]
pub struct Functions {
    bodies: Vec<Vec<Item>>,
    decisions: BTreeMap<FnId, Decide>,
    truths: BTreeMap<FnId, Result<bool, String>>,
}

impl Functions {
    /// A step's body.
    pub fn body(&mut self, items: Vec<Item>) -> FnId {
        self.bodies.push(items);
        FnId(self.bodies.len() as u64 - 1)
    }

    /// A condition of a step.
    pub fn truth(&mut self, truth: Result<bool, String>) -> FnId {
        let id = self.body(vec![]);
        self.truths.insert(id, truth);
        id
    }

    /// A function that answers questions.
    pub fn decision(&mut self, decide: impl Fn(&Question) -> Decision + Send + Sync + 'static) -> FnId {
        let id = self.body(vec![]);
        self.decisions.insert(id, Arc::new(decide));
        id
    }

    /// What the bodies say, for digests.
    pub fn text(&self) -> String {
        format!("{:?}", self.bodies)
    }

    /// One evaluation of this function.
    pub fn evaluate(&self, function: Option<FnId>, job: &EvalJob) -> EvalOutcome {
        let Some(function) = function else { return failed("there is no such function", vec![]) };
        match job.part {
            EvalPart::DoIf | EvalPart::HideIf => match self.truths.get(&function) {
                Some(Ok(truth)) => EvalOutcome::Decided(*truth),
                Some(Err(message)) => failed(message, vec![]),
                None => failed("it is no condition", vec![]),
            },
            EvalPart::Body => {
                let items = usize::try_from(function.0).ok().and_then(|at| self.bodies.get(at));
                evaluate_body(items.map_or(&[][..], Vec::as_slice), &job.journal)
            }
        }
    }
}

impl Script for Functions {
    fn decide(&self, _: &ConfigDigest, function: FnId, question: &Question) -> Decision {
        self.decisions.get(&function).map_or_else(
            || Err(Undecided::Failed { message: "there is no such function".into() }),
            |decide| decide(question),
        )
    }
}

fn failed(message: &str, asks: Vec<(Key, Ask)>) -> EvalOutcome {
    EvalOutcome::Failed { asks, message: message.into() }
}

/// How a branch of a script came out.
enum Flow {
    Went(Outcome),
    Ended(Outcome),
    Suspended,
    Broke(String),
}

struct Evaluation<'a> {
    journal: &'a Journal,
    asks: Vec<(Key, Ask)>,
    summary: Option<String>,
}

fn evaluate_body(items: &[Item], journal: &Journal) -> EvalOutcome {
    let mut evaluation = Evaluation { journal, asks: vec![], summary: None };
    let flow = evaluation.branch(items, &[], None);
    let Evaluation { asks, summary, .. } = evaluation;
    match flow {
        Flow::Went(outcome) | Flow::Ended(outcome) => EvalOutcome::Done { asks, outcome, summary },
        Flow::Suspended => EvalOutcome::Suspended { asks },
        Flow::Broke(message) => EvalOutcome::Failed { asks, message },
    }
}

impl Evaluation<'_> {
    fn branch(&mut self, items: &[Item], path: &[u32], parent: Option<&Key>) -> Flow {
        let mut call = 0;
        self.items(items, path, &mut call, parent)
    }

    fn items(&mut self, items: &[Item], path: &[u32], call: &mut u32, parent: Option<&Key>) -> Flow {
        let mut worst = Outcome::Success;
        for item in items {
            match self.item(item, path, call, parent) {
                Flow::Went(outcome) => {
                    worst = worst.worse(outcome);
                    if !worst.is_ok() {
                        return Flow::Went(worst);
                    }
                }
                other => return other,
            }
        }
        Flow::Went(worst)
    }

    fn item(&mut self, item: &Item, path: &[u32], call: &mut u32, parent: Option<&Key>) -> Flow {
        *call += 1;
        let mut key = path.to_vec();
        key.push(*call);
        let key = Key(key);
        let now = |ask| (key.clone(), ask);
        match item {
            Item::Run(spec) => self.wait_for(now(Ask::Run(*spec.clone()))),
            Item::File(file) => self.wait_for(now(Ask::File(file.clone()))),
            Item::Wait(span) => self.wait_for(now(Ask::Wait(*span))),
            Item::Now => self.wait_for(now(Ask::Now)),
            Item::Trigger(ask) => self.wait_for(now(Ask::Trigger(ask.clone()))),
            Item::Child { name, locks, items } => self.child(&key, name, locks, items, path, call, parent),
            Item::OpenChild(name) => self.at_once(now(Ask::BeginStep(begin(name, &[], parent)))),
            Item::Parallel(branches) => self.parallel(branches, &key, parent),
            Item::Set(name, value) => {
                let (name, value) = (name.clone(), value.clone());
                self.at_once(now(Ask::SetProperty { name, value, source: "script".into() }))
            }
            Item::Summary(text) => self.at_once(now(Ask::SetSummary { step: parent.cloned(), text: text.clone() })),
            Item::Url(name, url) => {
                let (name, url) = (name.clone(), url.clone());
                self.at_once(now(Ask::AddUrl { step: parent.cloned(), name, url }))
            }
            Item::Log(log, text) => {
                let (log, text) = (log.clone(), text.clone());
                self.at_once(now(Ask::WriteLog { step: parent.cloned(), log, html: false, text }))
            }
            Item::Break(message) => Flow::Broke(message.clone()),
            Item::End(outcome) => Flow::Ended(*outcome),
            Item::Stuck => Flow::Suspended,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "the state of an evaluation, taken apart")]
    fn child(
        &mut self,
        key: &Key,
        name: &str,
        locks: &[LockAccess],
        items: &[Item],
        path: &[u32],
        call: &mut u32,
        parent: Option<&Key>,
    ) -> Flow {
        let begun = (key.clone(), Ask::BeginStep(begin(name, locks, parent)));
        let begun = if locks.is_empty() { self.at_once(begun) } else { self.wait_for(begun) };
        if !matches!(begun, Flow::Went(_)) {
            return begun;
        }
        let flow = self.items(items, path, call, Some(key));
        let (Flow::Went(outcome) | Flow::Ended(outcome)) = flow else { return flow };
        *call += 1;
        let mut end = path.to_vec();
        end.push(*call);
        let ask = Ask::EndStep(EndStep { begun: key.clone(), outcome, summary: None, hidden: false });
        self.at_once((Key(end), ask));
        flow
    }

    fn parallel(&mut self, branches: &[Vec<Item>], key: &Key, parent: Option<&Key>) -> Flow {
        let (mut worst, mut suspended, mut broke) = (Outcome::Success, false, None);
        for (number, items) in branches.iter().enumerate() {
            let mut path = key.0.clone();
            path.push(u32::try_from(number).unwrap());
            match self.branch(items, &path, parent) {
                Flow::Went(outcome) | Flow::Ended(outcome) => worst = worst.worse(outcome),
                Flow::Suspended => suspended = true,
                Flow::Broke(message) => broke = Some(message),
            }
        }
        match broke {
            Some(message) => Flow::Broke(message),
            None if suspended => Flow::Suspended,
            None => Flow::Went(worst),
        }
    }

    /// An ask that the script does not wait for.
    fn at_once(&mut self, (key, ask): (Key, Ask)) -> Flow {
        if !self.is_recorded(&key, &ask) {
            self.asks.push((key, ask));
        }
        Flow::Went(Outcome::Success)
    }

    fn wait_for(&mut self, (key, ask): (Key, Ask)) -> Flow {
        if !self.is_recorded(&key, &ask) {
            self.asks.push((key, ask));
            return Flow::Suspended;
        }
        match self.journal.0.get(&key).and_then(|entry| entry.answer.as_ref()) {
            None => Flow::Suspended,
            Some(Answer::Command(CommandResult { outcome, .. })) => Flow::Went(*outcome),
            Some(Answer::Triggered(triggered)) => Flow::Went(triggered.outcome),
            Some(Answer::Done | Answer::Time(_)) => Flow::Went(Outcome::Success),
        }
    }

    fn is_recorded(&self, key: &Key, ask: &Ask) -> bool {
        let Some(entry) = self.journal.0.get(key) else { return false };
        let same = entry.ask == *ask;
        assert!(same, "at {key:?} the script asked for {:?}, and now for {ask:?}", entry.ask);
        true
    }
}

fn begin(name: &str, locks: &[LockAccess], parent: Option<&Key>) -> BeginStep {
    BeginStep { name: name.into(), parent: parent.cloned(), locks: locks.to_vec() }
}

/// A digest that follows from the content of a plan.
pub fn digest_of(content: &impl serde::Serialize) -> ConfigDigest {
    ConfigDigest(format!("{:?}", Fingerprint::of(content)))
}
