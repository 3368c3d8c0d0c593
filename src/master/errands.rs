//! Work that waits under a key: at most one piece of a key runs at a time, a bounded number in all.
//!
//! Used for polls (key: source), deliveries (key: report) and writes to logs (key: log). Knows nothing of
//! what the work is. What waits here is bounded by whoever orders: a key holds one waiting order
//! ([`Errands::replace`]), or orders that each hold a permit ([`Errands::append`]).

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::stream::{FuturesUnordered, StreamExt as _};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// Orders by key, and the bell that announces them.
#[derive(Debug)]
pub(super) struct Errands<K, J> {
    desk: Mutex<Desk<K, J>>,
    bell: Notify,
}

/// A key is in `slots` as long as it waits or runs, and in `turns` as long as it waits for its turn.
#[derive(Debug)]
struct Desk<K, J> {
    turns: VecDeque<K>,
    slots: BTreeMap<K, VecDeque<J>>,
}

impl<K: Ord + Clone, J> Errands<K, J> {
    pub fn new() -> Self {
        Self { desk: Mutex::new(Desk { turns: VecDeque::new(), slots: BTreeMap::new() }), bell: Notify::new() }
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
        let mut desk = self.desk();
        let known = desk.slots.contains_key(&key);
        put(desk.slots.entry(key.clone()).or_default());
        if !known {
            desk.turns.push_back(key);
        }
        drop(desk);
        self.bell.notify_one();
    }

    fn take(&self) -> Option<(K, J)> {
        let mut desk = self.desk();
        let key = desk.turns.pop_front()?;
        let job = desk.slots.get_mut(&key)?.pop_front()?;
        Some((key, job))
    }

    fn done(&self, key: K) {
        let mut desk = self.desk();
        if desk.slots.get(&key).is_some_and(VecDeque::is_empty) {
            desk.slots.remove(&key);
        } else {
            desk.turns.push_back(key);
        }
    }

    fn desk(&self) -> MutexGuard<'_, Desk<K, J>> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tokio::sync::mpsc;

    use super::*;

    /// Runs errands that announce themselves and wait for a word, `limit` at a time, beside `story`.
    async fn beside<S: Future<Output = ()>>(
        errands: &Errands<&'static str, u32>,
        limit: usize,
        story: impl FnOnce(mpsc::UnboundedReceiver<(&'static str, u32)>, std::sync::Arc<Notify>) -> S,
    ) {
        let (started, log) = mpsc::unbounded_channel();
        let word = std::sync::Arc::new(Notify::new());
        let stop = CancellationToken::new();
        let run = errands.run(limit, &stop, |key, job| {
            let (started, word) = (started.clone(), std::sync::Arc::clone(&word));
            async move {
                started.send((key, job)).unwrap();
                word.notified().await;
                Ok::<_, Infallible>(())
            }
        });
        tokio::select! {
            _ = run => unreachable!("errands run until dropped"),
            () = story(log, std::sync::Arc::clone(&word)) => {}
        }
    }

    #[tokio::test]
    async fn one_key_runs_once_at_a_time_and_others_go_past_it() {
        let errands = Errands::new();
        errands.append("a", 1);
        errands.append("a", 2);
        errands.append("b", 3);
        beside(&errands, 2, |mut log, word| async move {
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
        let errands = Errands::new();
        errands.replace("a", 1);
        errands.replace("a", 2);
        beside(&errands, 1, |mut log, word| {
            let errands = &errands;
            async move {
                assert_eq!(log.recv().await, Some(("a", 2)));
                errands.replace("a", 3);
                errands.replace("a", 4);
                word.notify_one();
                assert_eq!(log.recv().await, Some(("a", 4)));
            }
        })
        .await;
    }

    #[tokio::test]
    async fn when_told_to_stop_what_runs_is_finished_and_what_waits_stays() {
        let errands = Errands::new();
        let stop = CancellationToken::new();
        errands.append("a", 1);
        errands.append("b", 2);
        let ended: Result<(), Infallible> = errands
            .run(1, &stop, |key, _job| {
                assert_eq!(key, "a");
                stop.cancel();
                async { Ok(()) }
            })
            .await;
        ended.unwrap();
        assert_eq!(errands.take(), Some(("b", 2)));
    }
}
