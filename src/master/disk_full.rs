//! Waiting for room on the disk.
//!
//! A full disk passes, so it ends nothing: what is to become durable waits, and whoever wants to hear of it waits with it. The
//! store refuses before anything is written, so the same work can be asked for again and again.

use std::time::Duration;

use super::Alerts;
use crate::base::chain;
use crate::model::AlertSubject;
use crate::store::StoreError;

/// Between two tries: builds go on at once, as people see it, when there is room again.
const AGAIN: Duration = Duration::from_secs(1);

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
                let text = format!("{what} wait until there is room; nothing is lost");
                alerts.raise(AlertSubject::Master, what, text, Some(chain(&error)));
            }
            result => {
                if waited {
                    alerts.clear(&AlertSubject::Master, what);
                    if result.is_ok() {
                        tracing::warn!("there is room again; {what} are durable");
                    }
                }
                return result;
            }
        }
        tokio::time::sleep(pause).await;
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
    async fn another_failure_is_told_at_once() {
        let alerts = Alerts::new(Arc::new(SystemClock));
        let failed = retry_every(Duration::ZERO, &alerts, "facts", || async { Err::<(), _>(StoreError::Closed) });
        assert!(matches!(failed.await, Err(StoreError::Closed)));
    }
}
