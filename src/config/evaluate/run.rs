//! The state of one evaluation: where in the script we are, what it asked for, what it set.
//!
//! Keys are paths of call numbers. A call that asks takes the next number of its level; `ctx.parallel`
//! takes one too, and its branches count below it: call 3, branch 1, call 0 is `3.1.0`. So a branch that
//! waits does not shift the numbers of another one.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use starlark::any::ProvidesStaticType;
use starlark::eval::Evaluator;

use super::stop::Stop;
use crate::model::{
    ASKS_MAX, Answer, Ask, BuildContext, Entry, EvalJob, EvalPart, FileCommand, Journal, Key, Outcome, Plan, Readings,
    Value, Want,
};

/// One evaluation.
#[derive(Debug, ProvidesStaticType)]
pub(super) struct Run {
    pub(super) plan: Arc<Plan>,
    pub(super) context: Arc<BuildContext>,
    pub(super) journal: Arc<Journal>,
    pub(super) readings: Arc<Readings>,
    /// What is lacking of these.
    pub(super) wants: RefCell<Vec<Want>>,
    /// Whether the script may change something: not in `do_if` and `hide_if`, which only look.
    pub(super) may_act: Cell<bool>,
    place: RefCell<Place>,
    asks: RefCell<Vec<(Key, Ask)>>,
    asked: Cell<usize>,
    /// Open steps, the outermost first.
    frames: RefCell<Vec<Frame>>,
    /// Bytes of the properties with which the step began.
    inherited_bytes: usize,
    /// Bytes of log entries so far.
    logged: Cell<usize>,
    /// Bytes of texts for files so far.
    written: Cell<usize>,
}

/// Where we are: the level's path, the next call number in it, and the properties set so far on the way.
#[derive(Clone, Debug, Default)]
pub(super) struct Place {
    pub(super) path: Vec<u32>,
    pub(super) next: u32,
    pub(super) properties: BTreeMap<String, Value>,
    /// Bytes of these.
    pub(super) property_bytes: usize,
}

impl Place {
    /// Takes the properties that a branch set.
    pub(super) fn take_properties(&mut self, branch: Self) {
        for (name, value) in branch.properties {
            self.property_bytes += name.len() + value.bytes();
            let length = name.len();
            if let Some(before) = self.properties.insert(name, value) {
                self.property_bytes -= length + before.bytes();
            }
        }
    }
}

/// A step in progress.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    /// The key of its beginning; none for the step of the list.
    pub(super) key: Option<Key>,
    /// What its children and warnings come to.
    pub(super) verdict: Outcome,
    /// It has warnings, whatever its function returns that is no worse.
    pub(super) warned: bool,
    /// Its line for people.
    pub(super) summary: Option<String>,
    /// Its line if nothing else says one: what it triggered.
    pub(super) usual: Option<String>,
}

impl Frame {
    pub(super) const fn new(key: Option<Key>) -> Self {
        Self { key, verdict: Outcome::Success, warned: false, summary: None, usual: None }
    }
}

impl Run {
    pub(super) fn new(plan: Arc<Plan>, job: &EvalJob) -> Self {
        Self {
            plan,
            context: Arc::clone(&job.context),
            journal: Arc::clone(&job.journal),
            readings: Arc::clone(&job.readings),
            wants: RefCell::default(),
            may_act: Cell::new(job.part == EvalPart::Body),
            place: RefCell::new(Place { path: Key::root_of(job.part), ..Place::default() }),
            asks: RefCell::default(),
            asked: Cell::new(0),
            frames: RefCell::new(vec![Frame::new(None)]),
            inherited_bytes: job
                .context
                .properties
                .0
                .iter()
                .map(|(name, property)| name.len() + property.value.bytes())
                .sum(),
            logged: Cell::new(0),
            written: Cell::new(0),
        }
    }

    /// Counts the bytes of a log entry; how many there are now.
    pub(super) fn log_bytes(&self, bytes: usize) -> usize {
        self.logged.set(self.logged.get().saturating_add(bytes));
        self.logged.get()
    }

    /// Counts the bytes of a text for a file; how many there are now.
    pub(super) fn written_bytes(&self, bytes: usize) -> usize {
        self.written.set(self.written.get().saturating_add(bytes));
        self.written.get()
    }

    /// The run that an evaluator works for.
    pub(super) fn of<'a>(eval: &Evaluator<'_, 'a, '_>) -> anyhow::Result<&'a Self> {
        let run = eval.extra.and_then(|extra| extra.downcast_ref::<Self>());
        run.ok_or_else(|| anyhow::anyhow!("this works in the steps of a build only"))
    }

    /// Asks for something. The answer, if it is recorded; nothing, if it needs none.
    pub(super) fn ask(&self, ask: Ask) -> starlark::Result<Option<Answer>> {
        self.ask_at(ask).map(|(_, answer)| answer)
    }

    /// Asks for something that needs an answer: the ask as it was recorded, and its answer.
    pub(super) fn ask_recorded(&self, ask: Ask) -> starlark::Result<(&Ask, Option<&Answer>)> {
        let key = self.place_ask(ask)?;
        match self.journal.0.get(&key) {
            Some(entry) if entry.answer.is_some() => Ok((&entry.ask, entry.answer.as_ref())),
            _ => Err(Stop::Suspend.error()),
        }
    }

    /// The same as [`Run::ask`], with the key that the ask got.
    pub(super) fn ask_at(&self, ask: Ask) -> starlark::Result<(Key, Option<Answer>)> {
        let immediate = ask.is_immediate();
        let key = self.place_ask(ask)?;
        match self.journal.0.get(&key).and_then(|entry| entry.answer.clone()) {
            None if !immediate => Err(Stop::Suspend.error()),
            answer => Ok((key, answer)),
        }
    }

    /// Gives an ask its key. It is the recorded one, or a new one.
    fn place_ask(&self, ask: Ask) -> starlark::Result<Key> {
        if !self.may_act.get() && !ask.only_looks() {
            let text = "`do_if` and `hide_if` only look: they can use ctx.stat, ctx.glob and ctx.list_dir, but cannot \
                        run commands or change anything";
            return Err(starlark::Error::new_other(anyhow::anyhow!(text)));
        }
        self.asked.set(self.asked.get() + 1);
        if self.asked.get() > ASKS_MAX {
            let text = format!("a step cannot ask for more than {ASKS_MAX} things; split it into several steps");
            return Err(starlark::Error::new_other(anyhow::Error::msg(text)));
        }
        let key = self.take_key();
        match self.journal.0.get(&key) {
            Some(entry) if entry.ask == ask => {}
            Some(entry) => {
                let (recorded, now) = (describe(&entry.ask), describe(&ask));
                return Err(Stop::Changed { key, recorded, now }.error());
            }
            None => self.asks.borrow_mut().push((key.clone(), ask)),
        }
        Ok(key)
    }

    /// What is recorded of the next call of this level.
    pub(super) fn recorded_next(&self) -> Option<&Entry> {
        let place = self.place.borrow();
        let mut key = place.path.clone();
        key.push(place.next);
        self.journal.0.get(&Key(key))
    }

    /// The key of the next call of this level.
    pub(super) fn take_key(&self) -> Key {
        let mut place = self.place.borrow_mut();
        let mut key = place.path.clone();
        key.push(place.next);
        place.next += 1;
        Key(key)
    }

    /// Whether the script goes over what it did in an earlier evaluation: more is recorded from here on.
    pub(super) fn is_replaying(&self) -> bool {
        let place = self.place.borrow();
        let mut key = place.path.clone();
        key.push(place.next);
        let next = self.journal.0.range(Key(key)..).next();
        next.is_some_and(|(key, _)| key.0.starts_with(&place.path) && key.part() == Key(place.path.clone()).part())
    }

    /// Asks that are not in the journal yet, in the script's order.
    pub(super) fn take_asks(&self) -> Vec<(Key, Ask)> {
        self.asks.take()
    }

    pub(super) fn place(&self) -> Place {
        self.place.borrow().clone()
    }

    pub(super) fn set_place(&self, place: Place) -> Place {
        self.place.replace(place)
    }

    /// A property as the build has it now.
    pub(super) fn property(&self, name: &str) -> Option<Value> {
        let own = self.place.borrow().properties.get(name).cloned();
        own.or_else(|| self.context.properties.get(name).cloned())
    }

    /// All of them.
    pub(super) fn properties(&self) -> BTreeMap<String, Value> {
        let inherited = self.context.properties.0.iter();
        let mut all: BTreeMap<_, _> =
            inherited.map(|(name, property)| (name.clone(), property.value.clone())).collect();
        all.extend(self.place.borrow().properties.clone());
        all
    }

    /// Bytes of all properties but the one of this name, as far as they are known here: branches do not see
    /// what the others set.
    pub(super) fn other_property_bytes(&self, name: &str) -> usize {
        let bytes = |value: Option<&Value>| value.map_or(0, |value| name.len() + value.bytes());
        let place = self.place.borrow();
        let own = place.property_bytes - bytes(place.properties.get(name));
        let inherited = self.inherited_bytes - bytes(self.context.properties.get(name));
        own + inherited
    }

    /// How many properties have other names than this one, as far as they are known here.
    pub(super) fn properties_without(&self, name: &str) -> usize {
        let place = self.place.borrow();
        let inherited = &self.context.properties.0;
        let known = inherited.contains_key(name) || place.properties.contains_key(name);
        inherited.len() + place.properties.len() - usize::from(known)
    }

    pub(super) fn set_property(&self, name: &str, value: Value) {
        let mut place = self.place.borrow_mut();
        place.property_bytes += name.len() + value.bytes();
        if let Some(before) = place.properties.insert(name.to_owned(), value) {
            place.property_bytes -= name.len() + before.bytes();
        }
    }

    pub(super) fn push_frame(&self, frame: Frame) {
        self.frames.borrow_mut().push(frame);
    }

    /// Ends the innermost step.
    pub(super) fn pop_frame(&self) -> Frame {
        self.frames.borrow_mut().pop().unwrap_or_else(|| Frame::new(None))
    }

    /// Looks at or changes the innermost step.
    pub(super) fn frame<T>(&self, work: impl FnOnce(&mut Frame) -> T) -> T {
        let mut frames = self.frames.borrow_mut();
        work(frames.last_mut().expect("the step of the list is always there while it runs"))
    }

    /// The child step that we are in; none for the step of the list.
    pub(super) fn step_key(&self) -> Option<Key> {
        self.frame(|frame| frame.key.clone())
    }
}

/// An ask in a few words.
fn describe(ask: &Ask) -> String {
    match ask {
        Ask::Run(spec) => format!("the command `{}`", super::command::words_of(&spec.program)),
        Ask::File(FileCommand::Write(write)) => format!("the text for `{}`", write.path),
        Ask::File(command) => format!("the file command {command:?}"),
        Ask::Wait(span) => format!("a wait of {span}"),
        Ask::Now => "the time".to_owned(),
        Ask::Trigger(trigger) => format!("builds of {}", trigger.schedulers.join(", ")),
        Ask::BeginStep(begin) => format!("the child step `{}`", begin.name),
        Ask::EndStep(end) => format!("the end of a child step with {}", end.outcome),
        Ask::SetProperty { name, value, .. } => format!("property `{name}` = {value}"),
        Ask::SetSummary { text, .. } => format!("the summary `{text}`"),
        Ask::AddUrl { url, .. } => format!("the link {url}"),
        Ask::WriteLog { log, .. } => format!("a line of log `{log}`"),
        Ask::ReadLog { request, .. } => format!("the text of log `{}`", request.log),
        Ask::RecordTests { set, .. } => format!("the test results `{}` ({})", set.name, set.counts.text()),
        Ask::RecordValue { measurement, .. } => format!("the value `{}` = {}", measurement.name, measurement.value),
        Ask::SetData { datum } => format!("the data `{}` ({} bytes)", datum.name, datum.text.bytes),
    }
}
