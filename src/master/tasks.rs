//! Keeps the tasks and threads of a master together: each has a name, is told to stop, is joined; one that
//! ends early ends the master with an error that names it.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::MasterError;
use crate::base::chain;

/// A group of tasks of one master; cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Tasks {
    runtime: tokio::runtime::Handle,
    tracker: TaskTracker,
    stop: CancellationToken,
    /// Parent of the stop tokens of all groups.
    end: CancellationToken,
    running: Arc<Mutex<BTreeMap<u64, &'static str>>>,
    failure: watch::Sender<Option<Arc<MasterError>>>,
}

impl Tasks {
    /// Tasks will run on the present runtime.
    pub fn new() -> Self {
        let end = CancellationToken::new();
        Self {
            runtime: tokio::runtime::Handle::current(),
            tracker: TaskTracker::new(),
            stop: end.child_token(),
            end,
            running: Arc::default(),
            failure: watch::Sender::new(None),
        }
    }

    /// Another group, which is stopped and joined on its own; a failure in one ends all.
    pub fn group(&self) -> Self {
        Self {
            runtime: self.runtime.clone(),
            tracker: TaskTracker::new(),
            stop: self.end.child_token(),
            end: self.end.clone(),
            running: Arc::default(),
            failure: self.failure.clone(),
        }
    }

    /// Cancelled when tasks have to end.
    pub fn stop_token(&self) -> &CancellationToken {
        &self.stop
    }

    /// Starts a task that lasts until the stop token is cancelled: if it ends before, the master ends. When the token
    /// is cancelled the task is dropped where it waits.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = Result<(), MasterError>> + Send + 'static) {
        let (tasks, stop) = (self.clone(), self.stop.clone());
        self.track(name, async move {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                result = AssertUnwindSafe(task).catch_unwind() => tasks.ended(name, result),
            }
        });
    }

    /// The same for a task that has to finish something when the token is cancelled: it looks at the token itself and is
    /// waited for.
    pub fn spawn_last(&self, name: &'static str, task: impl Future<Output = Result<(), MasterError>> + Send + 'static) {
        let tasks = self.clone();
        self.track(name, async move {
            let result = AssertUnwindSafe(task).catch_unwind().await;
            tasks.ended(name, result);
        });
    }

    /// Starts a task that may end at any time. It is not dropped when the token is cancelled, but waited for.
    pub fn spawn_finite(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let tasks = self.clone();
        self.track(name, async move {
            if let Err(panic) = AssertUnwindSafe(task).catch_unwind().await {
                tasks.fail(MasterError::Task { name, why: panic_text(panic.as_ref()) });
            }
        });
    }

    /// Starts a thread, which has to look by itself when to end; an error or a panic in it ends the master.
    pub fn thread(
        &self,
        name: &'static str,
        stack_bytes: usize,
        work: impl FnOnce() -> Result<(), MasterError> + Send + 'static,
    ) -> Result<(), MasterError> {
        let (sender, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name(name.to_owned())
            .stack_size(stack_bytes)
            .spawn(move || {
                let result = std::panic::catch_unwind(AssertUnwindSafe(work));
                // The tracking task below is there as long as this sender is.
                let _ = sender.send(result);
            })
            .map_err(|source| MasterError::Thread { name, source })?;
        let tasks = self.clone();
        self.track(name, async move {
            match ended.await {
                Ok(Ok(Ok(()))) | Err(_) => {}
                Ok(Ok(Err(error))) => tasks.fail(error),
                Ok(Err(panic)) => tasks.fail(MasterError::Task { name, why: panic_text(panic.as_ref()) }),
            }
        });
        Ok(())
    }

    /// The first failure, as soon as there is one.
    pub async fn failed(&self) -> Arc<MasterError> {
        let mut failure = self.failure.subscribe();
        match failure.wait_for(Option::is_some).await {
            Ok(error) => error.clone().expect("waited until it is there"),
            Err(_) => unreachable!("we hold a sender"),
        }
    }

    /// Tells all to end and waits for them, at most so long; the names of those that did not end.
    pub async fn join(&self, bound: Duration) -> Vec<&'static str> {
        self.stop.cancel();
        self.tracker.close();
        match tokio::time::timeout(bound, self.tracker.wait()).await {
            Ok(()) => Vec::new(),
            Err(_) => self.running.lock().unwrap_or_else(PoisonError::into_inner).values().copied().collect(),
        }
    }

    fn track(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let running = Arc::clone(&self.running);
        let number = {
            let mut running = running.lock().unwrap_or_else(PoisonError::into_inner);
            let number = running.last_key_value().map_or(0, |(last, _)| last + 1);
            running.insert(number, name);
            number
        };
        let task = async move {
            task.await;
            running.lock().unwrap_or_else(PoisonError::into_inner).remove(&number);
        };
        self.tracker.spawn_on(task, &self.runtime);
    }

    fn ended(&self, name: &'static str, result: Result<Result<(), MasterError>, Box<dyn Any + Send>>) {
        match result {
            Ok(Ok(())) if self.stop.is_cancelled() => {}
            Ok(Ok(())) => self.fail(MasterError::Task { name, why: "it returned".to_owned() }),
            Ok(Err(error)) => self.fail(error),
            Err(panic) => self.fail(MasterError::Task { name, why: panic_text(panic.as_ref()) }),
        }
    }

    /// The first failure counts; everything ends because of it.
    fn fail(&self, error: MasterError) {
        tracing::error!(error = %chain(&error), "the master ends");
        self.failure.send_if_modified(|failure| {
            let first = failure.is_none();
            failure.get_or_insert_with(|| Arc::new(error));
            first
        });
        self.end.cancel();
    }
}

/// What a panic said.
pub(super) fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("it panicked: {}", text.unwrap_or("without a text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn a_task_that_ends_early_is_an_error_with_its_name() {
        let tasks = Tasks::new();
        tasks.spawn("short-lived", async { Ok(()) });
        assert!(tasks.failed().await.to_string().contains("task `short-lived`"));
        assert!(tasks.join(BOUND).await.is_empty());
    }

    #[tokio::test]
    async fn a_panic_in_a_thread_ends_the_master_and_not_the_process() {
        let tasks = Tasks::new();
        tasks.thread("clumsy", 1 << 20, || panic!("oops")).unwrap();
        assert!(tasks.failed().await.to_string().contains("it panicked: oops"));
        assert!(tasks.stop_token().is_cancelled());
    }

    #[tokio::test]
    async fn tasks_are_joined_and_those_that_hang_are_named() {
        let tasks = Tasks::new();
        tasks.spawn("patient", std::future::pending());
        tasks.spawn_finite("stubborn", std::future::pending());
        tasks.spawn_finite("quick", async {});
        assert!(tasks.join(Duration::ZERO).await.contains(&"stubborn"));
    }
}
