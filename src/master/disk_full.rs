//! Waiting for room on the disk.
//!
//! A full disk passes, so it ends nothing: what is to become durable waits, and whoever wants to hear of it waits with it. The
//! store refuses before anything is written, so the same work can be asked for again and again. People do not wait: what they
//! order is not begun on a full disk.

use std::time::Duration;

use super::Alerts;
use crate::base::{Explained as _, chain};
use crate::model::AlertSubject;
use crate::store::StoreError;

/// Between two tries: builds go on at once, as people see it, when there is room again.
pub(super) const AGAIN: Duration = Duration::from_secs(1);

/// Does the work, as often as the disk is full, until it is done or fails otherwise. `what` names what waits, in an alert.
pub(super) async fn retry_while_disk_full<T, F>(
    alerts: &Alerts,
    what: &'static str,
    work: impl FnMut() -> F,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    retry_every(AGAIN, alerts, what, work).await
}

async fn retry_every<T, F>(
    pause: Duration,
    alerts: &Alerts,
    what: &'static str,
    mut work: impl FnMut() -> F,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut waited = false;
    loop {
        match work().await {
            Err(error) if error.is_full() => {
                waited = true;
                let text = format!("{what} cannot be saved until there is disk space; nothing is lost");
                let why = chain(&error);
                let hint = error.hint().map_or_else(|| why.clone(), |hint| format!("{why}; {hint}"));
                alerts.raise(AlertSubject::Master, what, text, Some(hint));
            }
            result => {
                if waited {
                    alerts.clear(&AlertSubject::Master, what);
                    if result.is_ok() {
                        tracing::warn!("the disk has space again; {what} were saved");
                    }
                }
                return result;
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// Work that has to be recorded, and the disk is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoom {
    /// It was not begun.
    NotBegun,
    /// It was begun, and will be recorded when there is room.
    Waiting,
}

/// Begins the work only if there is room, and waits for it only while there is.
pub(super) async fn while_there_is_room<T>(
    pause: Duration,
    has_room: impl Fn() -> bool,
    work: impl Future<Output = T>,
) -> Result<T, NoRoom> {
    if !has_room() {
        return Err(NoRoom::NotBegun);
    }
    let mut work = std::pin::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return Ok(done),
            () = tokio::time::sleep(pause) => if !has_room() {
                return Err(NoRoom::Waiting);
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;

    use super::*;
    use crate::base::SystemClock;

    fn full() -> StoreError {
        StoreError::Full { dir: "store".into(), free_mib: 3 }
    }

    #[tokio::test]
    async fn work_that_finds_the_disk_full_is_done_when_there_is_room() {
        let (tries, alerts) = (Cell::new(0), Alerts::new(Arc::new(SystemClock)));
        let done = retry_every(Duration::ZERO, &alerts, "facts", || async {
            tries.set(tries.get() + 1);
            assert_eq!(alerts.list().len(), usize::from(tries.get() > 1), "as long as it waits");
            if tries.get() < 5 { Err(full()) } else { Ok("done") }
        });
        assert_eq!((done.await.unwrap(), tries.get()), ("done", 5));
        assert_eq!(alerts.list(), []);
    }

    #[tokio::test]
    async fn nobody_waits_for_a_full_disk() {
        let (room, begun) = (Cell::new(false), Cell::new(0));
        let work = || async {
            begun.set(begun.get() + 1);
            room.set(begun.get() > 1);
            tokio::task::yield_now().await;
            if begun.get() == 1 { std::future::pending().await } else { "done" }
        };
        let order = || while_there_is_room(Duration::ZERO, || room.get(), work());
        assert_eq!((order().await, begun.get()), (Err(NoRoom::NotBegun), 0));
        room.set(true);
        assert_eq!((order().await, begun.get()), (Err(NoRoom::Waiting), 1));
        room.set(true);
        assert_eq!((order().await, begun.get()), (Ok("done"), 2));
    }

    #[tokio::test]
    async fn another_failure_is_told_at_once() {
        let alerts = Alerts::new(Arc::new(SystemClock));
        let failed = retry_every(Duration::ZERO, &alerts, "facts", || async { Err::<(), _>(StoreError::Closed) });
        assert!(matches!(failed.await, Err(StoreError::Closed)));
    }
}
