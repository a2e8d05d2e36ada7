//! How long a message may take.

use std::{future::Future, time::Duration};

use super::{Layer, all};
use crate::{
    context::Context,
    contract::{Application, Settlement},
    error::{Disposition, Reason},
};

/// Gives a message so much time; after that its handler is dropped, and the message has failed and is tried again.
///
/// What is inside is dropped at an await, wherever it is. Clean-up of [dependencies](crate::Dependency) is not inside.
#[derive(Debug, Clone, Copy)]
pub struct Timeout(Duration);

impl Timeout {
    /// So much time for every attempt; for a batch, for all of it.
    pub fn new(limit: Duration) -> Self {
        Self(limit)
    }
}

impl Layer for Timeout {
    async fn message<A: Application>(&self, cx: &Context, next: &A) -> Settlement {
        within(self.0, async { Ok(next.message(cx).await) }).await.unwrap_or_else(|failed| failed)
    }

    async fn batch<A: Application>(&self, contexts: &[Context], settlements: &mut Vec<Settlement>, next: &A) {
        let batch = async {
            next.batch(contexts, settlements).await;
            Ok(())
        };
        if let Err(failed) = within(self.0, batch).await {
            all(settlements, contexts, &failed);
        }
    }
}

/// What the future gives in time, or how a message is settled that took too long.
pub(crate) async fn within<T>(
    limit: Duration,
    future: impl Future<Output = Result<T, Settlement>>,
) -> Result<T, Settlement> {
    tokio::time::timeout(limit, future).await.unwrap_or_else(|_| {
        Err(Settlement::Fail { disposition: Disposition::Retry, reason: Reason::TimedOut(limit) })
    })
}
