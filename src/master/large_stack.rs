//! Work on a thread of its own with the stack that evaluation needs.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tokio::sync::oneshot;

use super::tasks::panic_text;

/// Stack of threads that read messages of evaluators or the state of the engine: values may be nested a thousand deep.
pub(super) const STACK_BYTES: usize = 16 << 20;

/// Runs the work and returns its result; the text says why there is none (it panicked, or there is no thread to be had).
pub(super) async fn on_large_stack<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, String> {
    let (sender, result) = oneshot::channel();
    let thread = std::thread::Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(move || {
        // An asker that went away needs no answer.
        let _ = sender.send(catch_unwind(AssertUnwindSafe(work)));
    });
    thread.map_err(|error| format!("failed to start a thread: {error}"))?;
    match result.await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(panic)) => Err(panic_text(panic.as_ref())),
        Err(_) => Err("its thread vanished".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_comes_back_as_a_text() {
        assert_eq!(on_large_stack("t", || 1).await, Ok(1));
        assert_eq!(on_large_stack("t", || -> u8 { panic!("oops") }).await, Err("it panicked: oops".to_owned()));
    }
}
