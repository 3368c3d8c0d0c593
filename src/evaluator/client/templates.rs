//! The templates at hand, by digest. One that is wanted and not there is started beside everything else; one that nobody
//! has used for a while ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::launcher::Launcher;
use super::load::{Load, load_kept};
use super::template::Template;
use crate::config::Sources;
use crate::model::ConfigDigest;

/// Templates at the same time. Each holds a configuration's heap; open work of more configurations takes turns.
const TEMPLATES_MAX: usize = 8;
/// How long a template that nobody uses is kept: builds ask again within that as long as they do anything.
const IDLE_MAX: Duration = Duration::from_mins(2);

/// Keeps the sources of configurations.
pub trait TemplateOrigin: Send + Sync {
    /// The sources of a configuration.
    ///
    /// # Errors
    /// Why they cannot be had.
    fn sources(&self, digest: &ConfigDigest) -> Result<Sources, String>;
}

/// Whether a template is there.
#[derive(Clone, Debug)]
pub enum Readiness {
    /// It is.
    Ready(Arc<Template>),
    /// It is being started.
    Starting,
    /// It cannot be had: why.
    Failed(String),
}

type Waiter = Box<dyn FnOnce() + Send>;

/// The table.
pub struct Templates {
    launcher: Launcher,
    origin: Box<dyn TemplateOrigin>,
    table: Mutex<BTreeMap<ConfigDigest, Slot>>,
}

struct Slot {
    state: State,
    used: Instant,
    /// The one in force: it stays.
    kept: bool,
}

enum State {
    Ready(Arc<Template>),
    Starting(Vec<Waiter>),
    Failed(String),
}

/// Templates that were let go. Those that nobody uses any more end when this is dropped, which takes a moment.
pub struct RetiredTemplates(Vec<Slot>);

impl RetiredTemplates {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Templates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Templates").field("launcher", &self.launcher).finish_non_exhaustive()
    }
}

impl Templates {
    /// An empty table.
    pub fn new(launcher: Launcher, origin: impl TemplateOrigin + 'static) -> Self {
        Self { launcher, origin: Box::new(origin), table: Mutex::default() }
    }

    /// How its children are started.
    pub fn launcher(&self) -> &Launcher {
        &self.launcher
    }

    /// Puts a template into the table.
    pub fn insert(&self, template: Arc<Template>) {
        let digest = template.digest().clone();
        let slot = Slot { state: State::Ready(template), used: Instant::now(), kept: false };
        let mut table = self.table();
        let old = table.insert(digest.clone(), slot);
        let gone = make_room(&mut table, &digest);
        drop(table);
        if let Some(Slot { state: State::Starting(waiters), .. }) = old {
            waiters.into_iter().for_each(|waiter| waiter());
        }
        drop(gone);
    }

    /// This one stays until another one does.
    pub fn keep(&self, digest: &ConfigDigest) {
        for (known, slot) in self.table().iter_mut() {
            slot.kept = known == digest;
        }
    }

    /// Lets go of all but these.
    pub fn retain(&self, needed: &BTreeSet<ConfigDigest>) -> RetiredTemplates {
        self.let_go(|digest, _| needed.contains(digest))
    }

    /// Lets go of those that nobody used for a while.
    pub fn tidy(&self) -> RetiredTemplates {
        self.let_go(|_, slot| slot.kept || slot.used.elapsed() < IDLE_MAX)
    }

    fn let_go(&self, stays: impl Fn(&ConfigDigest, &Slot) -> bool) -> RetiredTemplates {
        let mut table = self.table();
        let busy = |slot: &Slot| matches!(slot.state, State::Starting(_));
        let gone: Vec<ConfigDigest> =
            table.iter().filter(|(digest, slot)| !busy(slot) && !stays(digest, slot)).map(|(d, _)| d.clone()).collect();
        RetiredTemplates(gone.iter().filter_map(|digest| table.remove(digest)).collect())
    }

    /// The template, if it is there. If not, it is started, and `then` called when it is there or cannot be had.
    pub fn obtain(self: &Arc<Self>, digest: &ConfigDigest, then: impl FnOnce() + Send + 'static) -> Readiness {
        let mut table = self.table();
        if let Some(slot) = table.get_mut(digest) {
            slot.used = Instant::now();
            match &mut slot.state {
                State::Ready(template) if template.is_alive() => return Readiness::Ready(Arc::clone(template)),
                State::Ready(_) => {}
                State::Failed(why) => return Readiness::Failed(why.clone()),
                State::Starting(waiters) => {
                    waiters.push(Box::new(then));
                    return Readiness::Starting;
                }
            }
        }
        let kept = table.get(digest).is_some_and(|slot| slot.kept);
        let state = State::Starting(vec![Box::new(then)]);
        let old = table.insert(digest.clone(), Slot { state, used: Instant::now(), kept });
        drop(table);
        drop(old);
        self.start(digest.clone())
    }

    /// The same, waited for.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn obtain_now(self: &Arc<Self>, digest: &ConfigDigest) -> Result<Arc<Template>, String> {
        loop {
            let (sender, ready) = channel();
            let then = move || {
                // Nobody waits any more if this fails.
                let _ = sender.send(());
            };
            match self.obtain(digest, then) {
                Readiness::Ready(template) => return Ok(template),
                Readiness::Failed(why) => return Err(why),
                Readiness::Starting => {
                    // An end without a word is the end of the start, too.
                    let _ = ready.recv();
                }
            }
        }
    }

    fn start(self: &Arc<Self>, digest: ConfigDigest) -> Readiness {
        let templates = Arc::clone(self);
        let wanted = digest.clone();
        let thread = std::thread::Builder::new().name("template start".to_owned());
        match thread.spawn(move || {
            let loaded = templates.load(&wanted);
            templates.settle(&wanted, loaded);
        }) {
            Ok(_) => Readiness::Starting,
            Err(error) => {
                let why = format!("failed to start a thread: {error}");
                self.settle(&digest, Err(why.clone()));
                Readiness::Failed(why)
            }
        }
    }

    fn load(&self, digest: &ConfigDigest) -> Result<Arc<Template>, String> {
        let sources = self.origin.sources(digest)?;
        match load_kept(&self.launcher, sources) {
            Load::Loaded(loaded) if loaded.plan.digest == *digest => Ok(loaded.template),
            Load::Loaded(loaded) => Err(format!("its sources are those of `{}`", loaded.plan.digest)),
            Load::Refused(refused) => Err(format!("this version of Starwright rejects it:\n{refused}")),
            Load::Aborted => Err("its load was aborted".to_owned()),
        }
    }

    fn settle(&self, digest: &ConfigDigest, loaded: Result<Arc<Template>, String>) {
        let mut table = self.table();
        let kept = table.get(digest).is_some_and(|slot| slot.kept);
        let state = match loaded {
            Ok(template) => State::Ready(template),
            Err(why) => State::Failed(why),
        };
        let old = table.insert(digest.clone(), Slot { state, used: Instant::now(), kept });
        let gone = make_room(&mut table, digest);
        drop(table);
        if let Some(Slot { state: State::Starting(waiters), .. }) = old {
            waiters.into_iter().for_each(|waiter| waiter());
        }
        drop(gone);
    }

    fn table(&self) -> MutexGuard<'_, BTreeMap<ConfigDigest, Slot>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes out what was used longest ago, if there are too many.
fn make_room(table: &mut BTreeMap<ConfigDigest, Slot>, new: &ConfigDigest) -> Vec<Slot> {
    let mut gone = Vec::new();
    while table.len() > TEMPLATES_MAX {
        let idle = |(digest, slot): &(&ConfigDigest, &Slot)| {
            !slot.kept && *digest != new && !matches!(slot.state, State::Starting(_))
        };
        let oldest = table.iter().filter(idle).min_by_key(|(_, slot)| slot.used).map(|(digest, _)| digest.clone());
        let Some(oldest) = oldest else { break };
        gone.extend(table.remove(&oldest));
    }
    gone
}
