//! Work that waits under a key: at most one piece of a key runs at a time, a bounded number in all.
//!
//! Used for polls (key: source), deliveries (key: report) and writes to logs (key: log). Knows nothing of
//! what the work is. What waits here is bounded by whoever orders: a key holds one waiting order
//! ([`KeyedQueue::replace`]), or orders that each hold a permit ([`KeyedQueue::append`]).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Jobs by key, and the bell that announces them.
#[derive(Debug)]
pub(super) struct KeyedQueue<K, J> {
    state: Mutex<QueueState<K, J>>,
    bell: Notify,
}

/// A key is in `slots` as long as it waits or runs, and in `turns` as long as it waits for its turn.
#[derive(Debug)]
struct QueueState<K, J> {
    turns: VecDeque<K>,
    slots: BTreeMap<K, VecDeque<J>>,
}

impl<K: Ord + Clone, J> KeyedQueue<K, J> {
    pub fn new() -> Self {
        Self { state: Mutex::new(QueueState { turns: VecDeque::new(), slots: BTreeMap::new() }), bell: Notify::new() }
    }

    /// Adds work after what waits under the key.
    pub fn append(&self, key: K, job: J) {
        self.order(key, |waiting| waiting.push_back(job));
    }

    /// Puts work in place of what waits under the key; what runs already is not touched.
    pub fn replace(&self, key: K, job: J) {
        self.order(key, |waiting| {
            waiting.clear();
            waiting.push_back(job);
        });
    }

    /// Does the work as it comes, `limit` pieces at a time, until one fails or `stop` is cancelled: then what runs is
    /// finished, and what waits stays. Dropping the future drops what runs.
    pub async fn run<F, E>(
        &self,
        limit: usize,
        stop: &CancellationToken,
        mut work: impl FnMut(K, J) -> F,
    ) -> Result<(), E>
    where
        F: Future<Output = Result<(), E>>,
    {
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < limit
                && !stop.is_cancelled()
                && let Some((key, job)) = self.take()
            {
                let piece = work(key.clone(), job);
                running.push(async move { (key, piece.await) });
            }
            if stop.is_cancelled() && running.is_empty() {
                return Ok(());
            }
            tokio::select! {
                () = stop.cancelled(), if !stop.is_cancelled() => {}
                Some((key, result)) = running.next() => {
                    self.done(key);
                    result?;
                }
                () = self.bell.notified() => {}
            }
        }
    }

    fn order(&self, key: K, put: impl FnOnce(&mut VecDeque<J>)) {
        let mut state = self.state();
        let known = state.slots.contains_key(&key);
        put(state.slots.entry(key.clone()).or_default());
        if !known {
            state.turns.push_back(key);
        }
        drop(state);
        self.bell.notify_one();
    }

    fn take(&self) -> Option<(K, J)> {
        let mut state = self.state();
        let key = state.turns.pop_front()?;
        let job = state.slots.get_mut(&key)?.pop_front()?;
        Some((key, job))
    }

    fn done(&self, key: K) {
        let mut state = self.state();
        if state.slots.get(&key).is_some_and(VecDeque::is_empty) {
            state.slots.remove(&key);
        } else {
            state.turns.push_back(key);
        }
    }

    fn state(&self) -> MutexGuard<'_, QueueState<K, J>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tokio::sync::mpsc;

    use super::*;

    /// Runs jobs that announce themselves and wait for a word, `limit` at a time, beside `story`.
    async fn beside<S: Future<Output = ()>>(
        queue: &KeyedQueue<&'static str, u32>,
        limit: usize,
        story: impl FnOnce(mpsc::UnboundedReceiver<(&'static str, u32)>, std::sync::Arc<Notify>) -> S,
    ) {
        let (started, log) = mpsc::unbounded_channel();
        let word = std::sync::Arc::new(Notify::new());
        let stop = CancellationToken::new();
        let run = queue.run(limit, &stop, |key, job| {
            let (started, word) = (started.clone(), std::sync::Arc::clone(&word));
            async move {
                started.send((key, job)).unwrap();
                word.notified().await;
                Ok::<_, Infallible>(())
            }
        });
        tokio::select! {
            _ = run => unreachable!("the queue runs until dropped"),
            () = story(log, std::sync::Arc::clone(&word)) => {}
        }
    }

    #[tokio::test]
    async fn one_key_runs_once_at_a_time_and_others_go_past_it() {
        let queue = KeyedQueue::new();
        queue.append("a", 1);
        queue.append("a", 2);
        queue.append("b", 3);
        beside(&queue, 2, |mut log, word| async move {
            assert_eq!(log.recv().await, Some(("a", 1)));
            assert_eq!(log.recv().await, Some(("b", 3)));
            assert!(log.try_recv().is_err());
            word.notify_one();
            assert_eq!(log.recv().await, Some(("a", 2)));
        })
        .await;
    }

    #[tokio::test]
    async fn a_newer_order_takes_the_place_of_the_one_that_waits() {
        let queue = KeyedQueue::new();
        queue.replace("a", 1);
        queue.replace("a", 2);
        beside(&queue, 1, |mut log, word| {
            let queue = &queue;
            async move {
                assert_eq!(log.recv().await, Some(("a", 2)));
                queue.replace("a", 3);
                queue.replace("a", 4);
                word.notify_one();
                assert_eq!(log.recv().await, Some(("a", 4)));
            }
        })
        .await;
    }

    #[tokio::test]
    async fn when_told_to_stop_what_runs_is_finished_and_what_waits_stays() {
        let queue = KeyedQueue::new();
        let stop = CancellationToken::new();
        queue.append("a", 1);
        queue.append("b", 2);
        let ended: Result<(), Infallible> = queue
            .run(1, &stop, |key, _job| {
                assert_eq!(key, "a");
                stop.cancel();
                async { Ok(()) }
            })
            .await;
        ended.unwrap();
        assert_eq!(queue.take(), Some(("b", 2)));
    }
}
