//! The threads that evaluate: build scripts, and templates of reports.
//!
//! Two threads with a large stack take work from one queue. A build has at most one evaluation waiting; a
//! newer one takes its place and cancels the one that runs. What runs too long is cancelled; what does not
//! even stop then is given up: the build learns that its script failed, and another thread takes over.
//! Panics become failures of the one piece of work. Knows nothing of the engine but its inputs.

use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::MasterError;
use super::inbox::Inbox;
use super::programs::Programs;
use super::tasks::{Tasks, panic_text};
use crate::config::{Cancel, STACK_BYTES};
use crate::engine::Input;
use crate::model::{BuildId, EvalJob, EvalOutcome};

/// Threads: one slow script leaves one for everybody else, and two cores are what small machines have.
const THREADS: usize = 2;
/// Threads that may be stuck in work that was given up. More than that, and slow work is waited for: each stuck
/// thread may hold a core and a large heap.
const STUCK_MAX: usize = 4;
/// An evaluation takes some 20 µs for a hundred recorded results; one of this length is a fault of the script that its
/// own limits (steps, heap) did not catch.
const EVALUATION_MAX: Duration = Duration::from_secs(10);
/// What does not stop within this after it was cancelled (one huge native call) is given up.
const CANCEL_GRACE: Duration = Duration::from_secs(5);
/// How often the guard looks.
const GUARD_EVERY: Duration = Duration::from_secs(1);

/// The queue and what runs; shared by the threads, the guard and those who order.
#[derive(Debug)]
pub(super) struct Evaluators {
    desk: Mutex<Desk>,
    bell: Condvar,
    programs: Arc<Programs>,
    inbox: Inbox,
    tasks: Tasks,
}

#[derive(Default)]
struct Desk {
    /// Builds with a job, in order of asking.
    turns: VecDeque<BuildId>,
    jobs: BTreeMap<BuildId, Arc<EvalJob>>,
    calls: VecDeque<Box<dyn FnOnce() + Send>>,
    running: BTreeMap<u64, Running>,
    last: u64,
    stuck: usize,
    closed: bool,
}

/// A piece of work in a thread.
#[derive(Debug)]
struct Running {
    since: Instant,
    cancel: Cancel,
    /// The build and turn; none for a call.
    job: Option<(BuildId, u64)>,
}

enum Work {
    Evaluate(BuildId, Arc<EvalJob>),
    Call(Box<dyn FnOnce() + Send>),
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("jobs", &self.jobs.len()).field("running", &self.running).finish_non_exhaustive()
    }
}

impl Evaluators {
    /// Starts the threads and their guard.
    pub fn start(programs: Arc<Programs>, inbox: Inbox, tasks: &Tasks) -> Result<Arc<Self>, MasterError> {
        let evaluators =
            Arc::new(Self { desk: Mutex::default(), bell: Condvar::new(), programs, inbox, tasks: tasks.clone() });
        for _ in 0..THREADS {
            evaluators.start_thread()?;
        }
        let guard = Arc::clone(&evaluators);
        tasks.spawn("evaluation guard", async move { guard.guard().await });
        let closer = Arc::clone(&evaluators);
        let stop = tasks.stop_token().clone();
        tasks.spawn_finite("evaluation closer", async move {
            stop.cancelled().await;
            closer.close();
        });
        Ok(evaluators)
    }

    /// Orders an evaluation; comes back as [`Input::Evaluated`]. An older one of the same build is moot.
    pub fn evaluate(&self, build: BuildId, job: Arc<EvalJob>) {
        let mut desk = self.desk();
        for running in desk.running.values().filter(|running| running.job.is_some_and(|(of, _)| of == build)) {
            cancel(&running.cancel);
        }
        if desk.jobs.insert(build, job).is_none() {
            desk.turns.push_back(build);
        }
        drop(desk);
        self.bell.notify_one();
    }

    /// Calls something that needs a thread like these; none if it panicked, was given up, or the master ends.
    pub async fn call<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        let (sender, result) = oneshot::channel();
        let call = Box::new(move || {
            // An asker that went away needs no answer.
            let _ = sender.send(work());
        });
        self.desk().calls.push_back(call);
        self.bell.notify_one();
        result.await.ok()
    }

    fn start_thread(self: &Arc<Self>) -> Result<(), MasterError> {
        let evaluators = Arc::clone(self);
        self.tasks.thread("evaluator", STACK_BYTES, move || {
            while let Some((number, cancel, work)) = evaluators.take() {
                if !evaluators.perform(number, &cancel, work) {
                    return Ok(());
                }
            }
            Ok(())
        })
    }

    /// Waits for work; none when the master ends. Reports come after builds.
    fn take(&self) -> Option<(u64, Cancel, Work)> {
        let mut desk = self.desk();
        loop {
            if desk.closed {
                return None;
            }
            if let Some(work) = desk.next() {
                return Some(desk.begin(work));
            }
            desk = self.bell.wait(desk).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Does a piece of work; false if it was given up meanwhile and this thread is one too many.
    fn perform(&self, number: u64, cancel: &Cancel, work: Work) -> bool {
        match work {
            Work::Evaluate(build, job) => {
                let outcome = self.outcome(&job, cancel);
                let mine = self.end(number);
                if mine {
                    self.tell(build, job.turn, outcome);
                }
                mine
            }
            Work::Call(call) => {
                if let Err(panic) = catch_unwind(AssertUnwindSafe(call)) {
                    tracing::error!("a call on an evaluation thread failed: {}", panic_text(panic.as_ref()));
                }
                self.end(number)
            }
        }
    }

    fn outcome(&self, job: &EvalJob, cancel: &Cancel) -> EvalOutcome {
        let started = Instant::now();
        let evaluate = || match self.programs.obtain(&job.plan) {
            Ok(loaded) => loaded.scripts.evaluate(job, cancel),
            Err(why) => failed(format!("configuration `{}` cannot be had: {why}", job.plan)),
        };
        match catch_unwind(AssertUnwindSafe(evaluate)) {
            Ok(EvalOutcome::Failed { .. }) if started.elapsed() >= EVALUATION_MAX => failed(too_long()),
            Ok(outcome) => outcome,
            Err(panic) => failed(format!("the evaluation failed, which is a bug: {}", panic_text(panic.as_ref()))),
        }
    }

    /// Takes the work off the list of what runs; false if it was given up before.
    fn end(&self, number: u64) -> bool {
        let mut desk = self.desk();
        let mine = desk.running.remove(&number).is_some();
        if !mine {
            desk.stuck -= 1;
        }
        mine
    }

    /// Only called on our threads and by the guard's own thread, so it may block.
    fn tell(&self, build: BuildId, turn: u64, outcome: EvalOutcome) {
        // When the owner is gone the master ends, and the next one evaluates again.
        let _ = self.inbox.tell_blocking(Input::Evaluated { build, turn, outcome });
    }

    async fn guard(self: Arc<Self>) -> Result<(), MasterError> {
        loop {
            tokio::time::sleep(GUARD_EVERY).await;
            for given_up in self.inspect() {
                self.start_thread()?;
                if let Some((build, turn)) = given_up {
                    let outcome = failed(too_long());
                    let _ = self.inbox.tell(Input::Evaluated { build, turn, outcome }).await;
                }
            }
        }
    }

    /// Cancels what runs too long; gives up, and returns, what did not stop then.
    fn inspect(&self) -> Vec<Option<(BuildId, u64)>> {
        let mut desk = self.desk();
        let mut given_up = Vec::new();
        for (number, running) in &desk.running {
            let elapsed = running.since.elapsed();
            if elapsed >= EVALUATION_MAX {
                cancel(&running.cancel);
            }
            if elapsed >= EVALUATION_MAX + CANCEL_GRACE && desk.stuck + given_up.len() < STUCK_MAX {
                given_up.push(*number);
            }
        }
        desk.stuck += given_up.len();
        given_up.into_iter().filter_map(|number| desk.running.remove(&number)).map(|running| running.job).collect()
    }

    fn close(&self) {
        let mut desk = self.desk();
        desk.closed = true;
        desk.calls.clear();
        desk.running.values().for_each(|running| cancel(&running.cancel));
        drop(desk);
        self.bell.notify_all();
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Desk {
    fn next(&mut self) -> Option<Work> {
        if let Some(build) = self.turns.pop_front() {
            let job = self.jobs.remove(&build).expect("a build with a turn has a job");
            return Some(Work::Evaluate(build, job));
        }
        self.calls.pop_front().map(Work::Call)
    }

    fn begin(&mut self, work: Work) -> (u64, Cancel, Work) {
        let cancel = Cancel::default();
        let job = match &work {
            Work::Evaluate(build, job) => Some((*build, job.turn)),
            Work::Call(_) => None,
        };
        self.last += 1;
        self.running.insert(self.last, Running { since: Instant::now(), cancel: cancel.clone(), job });
        (self.last, cancel, work)
    }
}

fn cancel(cancel: &Cancel) {
    cancel.0.store(true, std::sync::atomic::Ordering::Relaxed);
}

fn failed(message: String) -> EvalOutcome {
    EvalOutcome::Failed { asks: Vec::new(), message }
}

fn too_long() -> String {
    format!("the script ran for more than {} s at a stretch and was stopped", EVALUATION_MAX.as_secs())
}
