//! Waiting for room on the disk.
//!
//! A full disk passes, so it ends nothing: what is to become durable waits, and whoever wants to hear of it waits with it. The
//! store refuses before anything is written, so the same work can be asked for again and again.

use std::time::Duration;

use crate::base::chain;
use crate::store::StoreError;

/// Between two tries: builds go on at once, as people see it, when there is room again.
const AGAIN: Duration = Duration::from_secs(1);
/// Tries between two lines in the log.
const TRIES_PER_LINE: u64 = 60;

/// Does the work, as often as the disk is full, until it is done or fails otherwise. `what` names in the log what waits.
pub(super) async fn with_room<T, F>(what: &'static str, work: impl FnMut() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    with_room_every(AGAIN, what, work).await
}

async fn with_room_every<T, F>(
    pause: Duration,
    what: &'static str,
    mut work: impl FnMut() -> F,
) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let mut tries = 0;
    loop {
        match work().await {
            Err(error) if error.is_full() => {
                if tries % TRIES_PER_LINE == 0 {
                    tracing::error!(error = %chain(&error), "{what} wait until there is room; nothing is lost");
                }
                tries += 1;
            }
            result => {
                if tries > 0 && result.is_ok() {
                    tracing::warn!("there is room again; {what} are durable");
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

    use super::*;

    fn full() -> StoreError {
        StoreError::Full { dir: "store".into(), free_mib: 3 }
    }

    #[tokio::test]
    async fn work_that_finds_the_disk_full_is_done_when_there_is_room() {
        let tries = Cell::new(0);
        let done = with_room_every(Duration::ZERO, "facts", || async {
            tries.set(tries.get() + 1);
            if tries.get() < 5 { Err(full()) } else { Ok("done") }
        });
        assert_eq!((done.await.unwrap(), tries.get()), ("done", 5));
    }

    #[tokio::test]
    async fn another_failure_is_told_at_once() {
        let failed = with_room_every(Duration::ZERO, "facts", || async { Err::<(), _>(StoreError::Closed) });
        assert!(matches!(failed.await, Err(StoreError::Closed)));
    }
}
