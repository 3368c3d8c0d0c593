//! The threads that have build scripts evaluated, each with evaluator processes of its own.
//!
//! ```text
//!   evaluate ──► queue ──► lane ──► evaluator of the build's configuration ──► Input::Evaluated
//!                  ▲         │ none there
//!                  └─────────┴── once its template is loaded
//! ```
//! A build has at most one evaluation waiting; a newer one takes its place. An evaluation that kills or outlasts its
//! process is told as such, and the next has a new one. A lane never waits for a configuration to be loaded. Knows
//! nothing of the engine but its inputs.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::MasterError;
use super::inbox::Inbox;
use super::large_stack::STACK_BYTES;
use super::programs::Programs;
use super::tasks::Tasks;
use crate::engine::Input;
use crate::evaluator::{Evaluator, Killer, Readiness};
use crate::model::{BuildId, EvalJob, EvalOutcome};

/// Lanes: one slow script leaves one for everybody else, and two cores are what small machines have.
const LANES: usize = 2;
/// Evaluators that a lane keeps, one for each configuration: usually one is in force, and one about to go.
const EVALUATORS_MAX: usize = 3;
/// An evaluator that has had nothing to do for so long ends, and its template may.
const IDLE_MAX: Duration = Duration::from_mins(1);
/// How often a lane without work looks for those.
const TIDY_EVERY: Duration = Duration::from_secs(20);
/// A process that was killed from outside is no fault of the script: it is evaluated again, but not for ever.
const TRIES_MAX: usize = 3;

/// The queue and what runs; shared by the lanes and those who order.
#[derive(Debug)]
pub(super) struct Evaluators {
    desk: Mutex<Desk>,
    bell: Condvar,
    programs: Arc<Programs>,
    inbox: Inbox,
}

#[derive(Debug, Default)]
struct Desk {
    /// Builds with a job, in order of asking.
    turns: VecDeque<BuildId>,
    jobs: BTreeMap<BuildId, Arc<EvalJob>>,
    /// Ends what each lane waits for.
    running: BTreeMap<usize, Killer>,
    closed: bool,
}

/// What one thread has.
struct Lane {
    number: usize,
    evaluators: Vec<Evaluator>,
}

/// What there is to do.
enum Work {
    Job(BuildId, Arc<EvalJob>),
    Tidy,
    End,
}

/// What became of a job.
enum Done {
    Outcome(EvalOutcome),
    /// It comes again when its configuration is loaded.
    Later,
}

impl Evaluators {
    /// Starts the lanes.
    pub fn start(programs: Arc<Programs>, inbox: Inbox, tasks: &Tasks) -> Result<Arc<Self>, MasterError> {
        let evaluators = Arc::new(Self { desk: Mutex::default(), bell: Condvar::new(), programs, inbox });
        for number in 0..LANES {
            let evaluators = Arc::clone(&evaluators);
            tasks.thread("evaluator", STACK_BYTES, move || {
                evaluators.serve(&mut Lane { number, evaluators: Vec::new() });
                Ok(())
            })?;
        }
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
        if desk.jobs.insert(build, job).is_none() {
            desk.turns.push_back(build);
        }
        drop(desk);
        self.bell.notify_one();
    }

    /// Puts a job that had to wait back into the queue, unless there is a newer one.
    fn again(&self, build: BuildId, job: Arc<EvalJob>) {
        let newer = self.desk().jobs.get(&build).is_some_and(|known| known.turn > job.turn);
        if !newer {
            self.evaluate(build, job);
        }
    }

    fn serve(self: &Arc<Self>, lane: &mut Lane) {
        loop {
            match self.take() {
                Work::Job(build, job) => {
                    let done = self.perform(lane, build, &job);
                    self.desk().running.remove(&lane.number);
                    if let Done::Outcome(outcome) = done {
                        self.tell(build, job.turn, outcome);
                    }
                }
                Work::Tidy => {
                    lane.evaluators.retain(|evaluator| evaluator.idle() < IDLE_MAX);
                    drop(self.programs.templates().tidy());
                }
                Work::End => return,
            }
        }
    }

    /// Waits for work.
    fn take(&self) -> Work {
        let mut desk = self.desk();
        loop {
            if desk.closed {
                return Work::End;
            }
            if let Some(build) = desk.turns.pop_front() {
                let job = desk.jobs.remove(&build).expect("a build with a turn has a job");
                return Work::Job(build, job);
            }
            let (waited, late) = self.bell.wait_timeout(desk, TIDY_EVERY).unwrap_or_else(PoisonError::into_inner);
            if late.timed_out() && waited.turns.is_empty() && !waited.closed {
                return Work::Tidy;
            }
            desk = waited;
        }
    }

    fn perform(self: &Arc<Self>, lane: &mut Lane, build: BuildId, job: &Arc<EvalJob>) -> Done {
        let mut tries = 0;
        loop {
            tries += 1;
            let mut evaluator = match self.evaluator(lane, build, job) {
                Ok(evaluator) => evaluator,
                Err(done) => return done,
            };
            if !self.begin(lane.number, evaluator.killer()) {
                return Done::Later;
            }
            match evaluator.turn(build, job) {
                Ok(outcome) => {
                    lane.keep(evaluator);
                    return Done::Outcome(outcome);
                }
                Err(lost) if lost.killed && tries < TRIES_MAX => {}
                Err(lost) => {
                    let (builder, number) = (&job.context.builder, job.context.number);
                    tracing::warn!(builder, number, "the evaluation of a build script was lost: {}", lost.message);
                    return Done::Outcome(EvalOutcome::Lost { message: lost.message });
                }
            }
        }
    }

    /// The lane's evaluator of the job's configuration, or a new one.
    fn evaluator(self: &Arc<Self>, lane: &mut Lane, build: BuildId, job: &Arc<EvalJob>) -> Result<Evaluator, Done> {
        if let Some(known) = lane.take(job) {
            return Ok(known);
        }
        let again = (Arc::clone(self), Arc::clone(job));
        match self.programs.templates().obtain(&job.plan, move || again.0.again(build, again.1)) {
            Readiness::Ready(template) => {
                template.evaluator().map_err(|lost| Done::Outcome(EvalOutcome::Lost { message: lost.message }))
            }
            Readiness::Starting => Err(Done::Later),
            Readiness::Failed(why) => {
                let message = format!("configuration `{}` cannot be had: {why}", job.plan);
                Err(Done::Outcome(EvalOutcome::Failed { asks: Vec::new(), message }))
            }
        }
    }

    /// A lane waits for a process from now on; false if the master ends.
    fn begin(&self, lane: usize, killer: Option<Killer>) -> bool {
        let mut desk = self.desk();
        desk.running.extend(killer.map(|killer| (lane, killer)));
        !desk.closed
    }

    /// Only called on our threads, so it may block.
    fn tell(&self, build: BuildId, turn: u64, outcome: EvalOutcome) {
        // When the owner is gone the master ends, and the next one evaluates again.
        let _ = self.inbox.tell_blocking(Input::Evaluated { build, turn, outcome });
    }

    fn close(&self) {
        let mut desk = self.desk();
        desk.closed = true;
        let running = std::mem::take(&mut desk.running);
        drop(desk);
        running.into_values().for_each(|killer| killer.kill());
        self.bell.notify_all();
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    /// The evaluator of the job's configuration, if there is a living one.
    fn take(&mut self, job: &EvalJob) -> Option<Evaluator> {
        let place = self.evaluators.iter().position(|evaluator| *evaluator.template().digest() == job.plan)?;
        Some(self.evaluators.remove(place)).filter(|evaluator| !evaluator.is_dead())
    }

    /// Keeps an evaluator for the next job; the one that was used longest ago goes, if there are too many.
    fn keep(&mut self, evaluator: Evaluator) {
        self.evaluators.push(evaluator);
        if self.evaluators.len() > EVALUATORS_MAX {
            self.evaluators.remove(0);
        }
    }
}
