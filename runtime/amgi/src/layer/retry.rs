//! Trying again.

use std::time::Duration;

use tracing::debug;

use super::{Layer, attempt};
use crate::{
    context::Context,
    contract::{Application, Settlement},
    error::Disposition,
};

/// Growing pauses between attempts: `first`, doubled each time, never above `most`.
///
/// ```
/// use std::time::Duration;
///
/// let backoff = amgi::server::Backoff::default();
/// assert_eq!(backoff.delay(1), Duration::from_millis(100));
/// assert_eq!(backoff.delay(2), Duration::from_millis(200));
/// assert_eq!(backoff.delay(99), Duration::from_secs(30));
/// assert!(backoff.pause(2) >= Duration::from_millis(100) && backoff.pause(2) <= Duration::from_millis(200));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Pause after the first failure. Default 100 ms.
    pub first: Duration,
    /// Longest pause. Default 30 s.
    pub most: Duration,
    /// Whether pauses are shortened at random, down to half of them, so that what failed together does not come back
    /// together. Default true.
    pub jitter: bool,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(100), most: Duration::from_secs(30), jitter: true }
    }
}

impl Backoff {
    /// Longest pause after failure number `failures`, which counts from one.
    pub fn delay(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.most)
    }

    /// A pause after failure number `failures`.
    pub fn pause(&self, failures: u32) -> Duration {
        let delay = self.delay(failures);
        if self.jitter { delay.mul_f64(0.5 + fastrand::f64() / 2.0) } else { delay }
    }
}

/// Tries a message again that failed with [`Retry`](Disposition::Retry) or [`RetryAfter`](Disposition::RetryAfter), in
/// process. What still fails then is dead-lettered by the server.
///
/// Every attempt has its own [dependencies](crate::Dependency). A server that is asked to stop does not wait: the message
/// stays with the broker.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    attempts: u32,
    backoff: Backoff,
    then: Disposition,
}

impl Retry {
    /// So many attempts, the first included.
    pub fn new(attempts: u32) -> Self {
        Self { attempts, backoff: Backoff::default(), then: Disposition::DeadLetter }
    }

    /// Pauses between attempts.
    #[must_use]
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// What the server does with a message that failed every time. Default: [`DeadLetter`](Disposition::DeadLetter); with
    /// [`Retry`](Disposition::Retry) its own attempts begin.
    #[must_use]
    pub fn then(mut self, disposition: Disposition) -> Self {
        self.then = disposition;
        self
    }
}

impl Layer for Retry {
    async fn message<A: Application>(&self, cx: &Context, next: &A) -> Settlement {
        let before = cx.local().failures();
        let mut failures = 0;
        loop {
            let settlement = attempt(next, cx).await;
            let pause = match &settlement {
                Settlement::Fail { disposition: Disposition::Retry, .. } => self.backoff.pause(failures + 1),
                Settlement::Fail { disposition: Disposition::RetryAfter(delay), .. } => *delay,
                _ => return settlement,
            };
            failures += 1;
            let Settlement::Fail { reason, .. } = settlement else { return settlement };
            if failures >= self.attempts {
                return Settlement::Fail { disposition: self.then, reason };
            }
            debug!(address = cx.address(), failures, ?pause, %reason, "trying again");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = cx.stop().requested() => return Settlement::Fail { disposition: Disposition::Retry, reason },
            }
            cx.local().set_failures(before + failures);
        }
    }
}
