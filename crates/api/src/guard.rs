//! A handler that panics answers 500, and the connection lives on.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// Runs `future` to its end, or to its panic, of which it answers the message.
pub(crate) async fn guarded<T>(future: impl Future<Output = T>) -> Result<T, String> {
    let mut future = pin!(future);
    poll_fn(
        // Nothing of the future is looked at after a panic: it is dropped, and so what it left
        // half done is seen by nobody here. Locks that it held are poisoned, and their users know.
        |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(message(&*panic))),
        },
    )
    .await
}

fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_answer() {
        assert_eq!(guarded(async { 1 }).await, Ok(1));
        let broken = guarded(async {
            tokio::task::yield_now().await;
            panic!("broken {}", 1)
        });
        assert_eq!(broken.await, Err::<(), _>("broken 1".into()));
    }
}
