//! One attempt at a message: panics are caught, and what belongs to the attempt is cleaned up after it.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

use super::Layer;
use crate::{
    context::Context,
    contract::{Application, Settlement},
    error::{Disposition, Reason},
};

/// Makes a panic of what is inside a failure that is tried again, as every server does around the whole application: for
/// layers outside of this one.
#[derive(Debug, Clone, Copy, Default)]
pub struct CatchPanic;

impl Layer for CatchPanic {
    async fn message<A: Application>(&self, cx: &Context, next: &A) -> Settlement {
        caught(next.message(cx)).await.unwrap_or_else(|failed| failed)
    }

    async fn batch<A: Application>(&self, contexts: &[Context], settlements: &mut Vec<Settlement>, next: &A) {
        if let Err(failed) = caught(next.batch(contexts, settlements)).await {
            all(settlements, contexts, &failed);
        }
    }
}

/// Lets the application handle the message once. A panic is a failure; sends that were kept are sent and dependencies cleaned
/// up.
#[inline]
pub(crate) async fn attempt<A: Application>(app: &A, cx: &Context) -> Settlement {
    let mut future = pin!(app.message(cx));
    // `caught`, without a result to take apart.
    let settlement = std::future::poll_fn(|task| {
        catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(task)))
            .unwrap_or_else(|panic| Poll::Ready(panicked(panic.as_ref())))
    })
    .await;
    if cx.local().is_used() { finished(cx, settlement).await } else { settlement }
}

/// Settles all messages of a batch that did not end by itself, also those that had ended.
pub(crate) fn all(settlements: &mut Vec<Settlement>, contexts: &[Context], failed: &Settlement) {
    settlements.clear();
    settlements.resize(contexts.len(), failed.clone());
}

/// Ends what belongs to the attempt.
#[cold]
pub(crate) async fn finished(cx: &Context, settlement: Settlement) -> Settlement {
    // Boxed, so that the few messages that need it do not make every attempt larger.
    Box::pin(cx.local().finish(cx, settlement)).await
}

/// What the future gives, or how a message is settled whose handling panicked.
pub(crate) async fn caught<T>(future: impl Future<Output = T>) -> Result<T, Settlement> {
    let mut future = pin!(future);
    std::future::poll_fn(|task| {
        // The future is dropped after a panic and never polled again; what it borrowed is the application's own to guard.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(task))) {
            Ok(poll) => poll.map(Ok),
            Err(panic) => Poll::Ready(Err(panicked(panic.as_ref()))),
        }
    })
    .await
}

#[cold]
fn panicked(panic: &(dyn Any + Send)) -> Settlement {
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    Settlement::Fail { disposition: Disposition::Retry, reason: Reason::Panicked(text) }
}
