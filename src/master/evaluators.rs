//! The tasks that have build scripts evaluated, each with evaluator processes of its own.
//!
//! ```text
//!   evaluate ──► queue ──► lane ──► evaluator of the build's configuration ──► Input::Evaluated
//!                  ▲         │ none there
//!                  └─────────┴── once its template is loaded
//! ```
//! A build has at most one evaluation waiting; a newer one takes its place. An evaluation that kills or outlasts its
//! process is told as such, and the next has a new one. A lane never waits for a configuration to be loaded. Knows
//! nothing of the engine but its inputs.
//!
//! The lanes run on the engine task's thread: most evaluations take a tenth of a millisecond, and handing them to a thread and
//! back takes as long. Only what may take longer, a large job or the end of a process, goes to a thread.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::configurations::Configurations;
use super::inbox::Inbox;
use super::tasks::Tasks;
use super::{ShuttingDown, reading};
use crate::engine::Input;
#[cfg(unix)]
use crate::evaluator::{Awaited, Evaluation};
use crate::evaluator::{Evaluator, KillHandle, Lost, Readiness};
use crate::model::{BuildId, EvalJob, EvalOutcome, Want};
use crate::store::History;

/// Lanes: one slow script leaves one for everybody else, and two cores are what small machines have.
const LANES: usize = 2;
/// Evaluators that a lane keeps, one for each configuration: usually one is in force, and one about to go.
const EVALUATORS_MAX: usize = 3;
/// An evaluator that has had nothing to do for so long ends, and its template may.
const IDLE_MAX: Duration = Duration::from_mins(1);
/// How often a lane without work looks for those.
const TIDY_EVERY: Duration = Duration::from_secs(20);
/// When the system refuses to tell of a pipe: time until it is looked at again.
#[cfg(unix)]
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// A process that was killed from outside is no fault of the script: it is evaluated again, but not for ever.
const TRIES_MAX: usize = 3;
/// Times that one job may want more to read: a script that looks at log after log is evaluated again for each.
const READINGS_MAX: usize = 100;

/// The queue and what runs; shared by the lanes and those who order.
#[derive(Debug)]
pub(super) struct Evaluators {
    queue: Mutex<JobQueue>,
    wake: Notify,
    configurations: Arc<Configurations>,
    /// Where the logs are that scripts read.
    history: Arc<dyn History>,
    inbox: Inbox,
}

#[derive(Debug, Default)]
struct JobQueue {
    /// Builds with a job, in order of asking.
    turns: VecDeque<BuildId>,
    jobs: BTreeMap<BuildId, Arc<EvalJob>>,
    /// Ends what each lane waits for.
    running: BTreeMap<usize, KillHandle>,
    closed: bool,
}

/// What one task has.
struct EvaluatorThread {
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
enum JobResult {
    Outcome(EvalOutcome),
    /// It comes again when its configuration is loaded.
    Later,
}

impl Evaluators {
    /// Those who order may do so at once; [`Evaluators::start_lanes`] makes them be served.
    pub fn new(
        configurations: Arc<Configurations>,
        history: Arc<dyn History>,
        inbox: Inbox,
        tasks: &Tasks,
    ) -> Arc<Self> {
        let evaluators =
            Arc::new(Self { queue: Mutex::default(), wake: Notify::new(), configurations, history, inbox });
        let closer = Arc::clone(&evaluators);
        let stop = tasks.stop_token().clone();
        tasks.spawn_finite("evaluation closer", async move {
            stop.cancelled().await;
            closer.close();
        });
        evaluators
    }

    /// Starts the lanes on the present runtime, whose threads need [`STACK_BYTES`]. They end when the master does.
    ///
    /// [`STACK_BYTES`]: super::large_stack::STACK_BYTES
    pub fn start_lanes(self: &Arc<Self>) -> JoinSet<()> {
        let mut lanes = JoinSet::new();
        for number in 0..LANES {
            lanes.spawn(Arc::clone(self).serve(EvaluatorThread { number, evaluators: Vec::new() }));
        }
        lanes
    }

    /// Whether the lanes are to end.
    pub fn is_closed(&self) -> bool {
        self.queue().closed
    }

    /// Orders an evaluation; comes back as [`Input::Evaluated`]. An older one of the same build is moot.
    pub fn evaluate(&self, build: BuildId, job: Arc<EvalJob>) {
        let mut queue = self.queue();
        if queue.jobs.insert(build, job).is_none() {
            queue.turns.push_back(build);
        }
        drop(queue);
        self.wake.notify_one();
    }

    /// Puts a job that had to wait back into the queue, unless there is a newer one.
    fn again(&self, build: BuildId, job: Arc<EvalJob>) {
        let newer = self.queue().jobs.get(&build).is_some_and(|known| known.turn > job.turn);
        if !newer {
            self.evaluate(build, job);
        }
    }

    async fn serve(self: Arc<Self>, mut lane: EvaluatorThread) {
        loop {
            match self.take().await {
                Work::Job(build, job) => {
                    let done = self.perform(&mut lane, build, &job).await;
                    self.queue().running.remove(&lane.number);
                    if let JobResult::Outcome(outcome) = done {
                        // When the engine task is gone the master ends, and the next one evaluates again.
                        let _ = self.inbox.tell(Input::Evaluated { build, turn: job.turn, outcome }).await;
                    }
                }
                Work::Tidy => {
                    let all = lane.evaluators.into_iter();
                    let (kept, idle): (Vec<_>, Vec<_>) = all.partition(|evaluator| evaluator.idle() < IDLE_MAX);
                    lane.evaluators = kept;
                    let configurations = Arc::clone(&self.configurations);
                    aside(move || {
                        drop(idle);
                        drop(configurations.templates().tidy());
                    })
                    .await
                    .unwrap_or_default();
                }
                Work::End => return,
            }
        }
    }

    /// Waits for work.
    async fn take(&self) -> Work {
        loop {
            {
                let mut queue = self.queue();
                if queue.closed {
                    return Work::End;
                }
                if let Some(build) = queue.turns.pop_front() {
                    let job = queue.jobs.remove(&build).expect("a build with a turn has a job");
                    if !queue.turns.is_empty() {
                        // Of several rings that nobody waited for only one is heard.
                        self.wake.notify_one();
                    }
                    return Work::Job(build, job);
                }
            }
            if tokio::time::timeout(TIDY_EVERY, self.wake.notified()).await.is_err() {
                return Work::Tidy;
            }
        }
    }

    async fn perform(self: &Arc<Self>, lane: &mut EvaluatorThread, build: BuildId, job: &Arc<EvalJob>) -> JobResult {
        let mut job = Arc::clone(job);
        let (mut deaths, mut readings) = (0, 0);
        loop {
            let evaluator = match self.evaluator(lane, build, &job).await {
                Ok(evaluator) => evaluator,
                Err(done) => return done,
            };
            if !self.begin(lane.number, evaluator.kill_handle()) {
                return JobResult::Later;
            }
            match turn(evaluator, build, &job).await {
                Ok((evaluator, EvalOutcome::Wants(wants))) => {
                    lane.keep(evaluator);
                    readings += 1;
                    if readings > READINGS_MAX {
                        return failed(format!(
                            "a script cannot read more than {READINGS_MAX} logs without asking for \
                                               something else in between"
                        ));
                    }
                    match self.read(build, &job, wants).await {
                        Ok(Ok(read)) => job = read,
                        Ok(Err(message)) => return failed(message),
                        Err(ShuttingDown) => return JobResult::Later,
                    }
                }
                Ok((evaluator, outcome)) => {
                    lane.keep(evaluator);
                    return JobResult::Outcome(outcome);
                }
                Err(lost) if lost.killed && deaths + 1 < TRIES_MAX => deaths += 1,
                Err(lost) => {
                    let (builder, number) = (&job.context.builder, job.context.number);
                    tracing::warn!(builder, number, "lost the evaluation of a build script: {}", lost.message);
                    return JobResult::Outcome(EvalOutcome::Lost { message: lost.message });
                }
            }
        }
    }

    /// The job with what it lacks; or why that cannot be read.
    async fn read(
        &self,
        build: BuildId,
        job: &Arc<EvalJob>,
        wants: Vec<Want>,
    ) -> Result<Result<Arc<EvalJob>, String>, ShuttingDown> {
        if wants.iter().any(|want| matches!(want, Want::Log(_))) {
            // An evaluation may run ahead of the disk. Behind this input, what it can know of is there.
            self.inbox.tell_durably(Input::Woke).await?;
        }
        let (history, job) = (Arc::clone(&self.history), Arc::clone(job));
        let read = aside(move || {
            let mut readings = job.readings.as_ref().clone();
            for want in wants {
                reading::satisfy(&*history, build, want, &mut readings)?;
            }
            Ok(Arc::new(EvalJob { readings: Arc::new(readings), ..job.as_ref().clone() }))
        });
        Ok(read.await.unwrap_or_else(|lost| Err(lost.message)))
    }

    /// The lane's evaluator of the job's configuration, or a new one.
    async fn evaluator(
        self: &Arc<Self>,
        lane: &mut EvaluatorThread,
        build: BuildId,
        job: &Arc<EvalJob>,
    ) -> Result<Evaluator, JobResult> {
        if let Some(known) = lane.take(job).await {
            return Ok(known);
        }
        let again = (Arc::clone(self), Arc::clone(job));
        match self.configurations.templates().obtain(&job.plan, move || again.0.again(build, again.1)) {
            Readiness::Ready(template) => aside(move || template.evaluator())
                .await
                .and_then(|evaluator| evaluator)
                .map_err(|lost| JobResult::Outcome(EvalOutcome::Lost { message: lost.message })),
            Readiness::Starting => Err(JobResult::Later),
            Readiness::Failed(why) => Err(failed(format!("configuration `{}` cannot be had: {why}", job.plan))),
        }
    }

    /// A lane waits for a process from now on; false if the master ends.
    fn begin(&self, lane: usize, kill_handle: Option<KillHandle>) -> bool {
        let mut queue = self.queue();
        queue.running.extend(kill_handle.map(|kill_handle| (lane, kill_handle)));
        !queue.closed
    }

    fn close(&self) {
        let mut queue = self.queue();
        queue.closed = true;
        let running = std::mem::take(&mut queue.running);
        drop(queue);
        running.into_values().for_each(|kill_handle| kill_handle.kill());
        self.wake.notify_waiters();
        // For a lane that was about to wait.
        self.wake.notify_one();
    }

    fn queue(&self) -> MutexGuard<'_, JobQueue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn failed(message: String) -> JobResult {
    JobResult::Outcome(EvalOutcome::Failed { asks: Vec::new(), message })
}

/// Has an evaluator evaluate a job; it is gone if it did not.
async fn turn(evaluator: Evaluator, build: BuildId, job: &Arc<EvalJob>) -> Result<(Evaluator, EvalOutcome), Lost> {
    #[cfg(unix)]
    if Evaluation::is_small(job) {
        let mut turn = Evaluation::begin(evaluator, build, job);
        loop {
            match turn.outcome(job) {
                Ok(Some(outcome)) => return Ok((turn.into_evaluator(), outcome)),
                Ok(None) if turn.is_lost() => break,
                Ok(None) => {}
                Err(odd) => {
                    aside(move || drop(turn)).await?;
                    return Err(odd);
                }
            }
            if tokio::time::timeout_at(turn.until().into(), ready(turn.awaited())).await.is_err() {
                break;
            }
        }
        return Err(aside(move || turn.reap()).await.unwrap_or_else(|lost| lost));
    }
    let (mut evaluator, job) = (evaluator, Arc::clone(job));
    aside(move || {
        let outcome = evaluator.turn(build, &job)?;
        Ok((evaluator, outcome))
    })
    .await?
}

/// Waits until a pipe can be read or written, or for a moment if the system refuses to tell.
#[cfg(unix)]
async fn ready(awaited: Awaited<'_>) {
    use tokio::net::unix::pipe::{Receiver, Sender};

    let waited = match awaited {
        Awaited::Room(end) => match end.try_clone_to_owned().and_then(Sender::from_owned_fd) {
            Ok(end) => end.writable().await,
            Err(error) => Err(error),
        },
        Awaited::Reply(end) => match end.try_clone_to_owned().and_then(Receiver::from_owned_fd) {
            Ok(end) => end.readable().await,
            Err(error) => Err(error),
        },
    };
    if let Err(error) = waited {
        tracing::debug!(%error, "a pipe cannot be waited for");
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

/// Does what may take a while on a thread of its own.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Lost> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Lost { message: format!("it could not be done: {error}"), killed: false })
}

impl EvaluatorThread {
    /// The evaluator of the job's configuration, if there is a living one.
    async fn take(&mut self, job: &EvalJob) -> Option<Evaluator> {
        let place = self.evaluators.iter().position(|evaluator| *evaluator.template().digest() == job.plan)?;
        let known = self.evaluators.remove(place);
        if known.is_dead() {
            // If it cannot be done, the master ends.
            let _ = aside(move || drop(known)).await;
            return None;
        }
        Some(known)
    }

    /// Keeps an evaluator for the next job; the one that was used longest ago goes, if there are too many.
    fn keep(&mut self, evaluator: Evaluator) {
        self.evaluators.push(evaluator);
        if self.evaluators.len() > EVALUATORS_MAX {
            let oldest = self.evaluators.remove(0);
            drop(tokio::task::spawn_blocking(move || drop(oldest)));
        }
    }
}
