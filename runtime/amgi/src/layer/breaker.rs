//! Not handling anything for a while.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};
use tracing::{info, warn};

use super::Layer;
use crate::{
    context::Context,
    contract::{Application, Settlement},
    error::{Disposition, Reason},
};

/// After some failures in a row, handles nothing for a while: what all messages need is probably broken, and trying makes it
/// worse. Messages wait meanwhile, none of their attempts is used, and the broker sees back-pressure. After the pause one
/// message is tried: when it succeeds all go on, else the pause begins again.
///
/// Failures are those that would be tried again, panics and timeouts too; a message that is rejected, dead-lettered or
/// discarded says nothing about others.
#[derive(Debug)]
pub struct CircuitBreaker(Breaker);

impl CircuitBreaker {
    /// Opens after so many failures in a row, for so long.
    pub fn new(failures: u32, pause: Duration) -> Self {
        Self(Breaker::new(failures, pause))
    }
}

impl Layer for CircuitBreaker {
    async fn message<A: Application>(&self, cx: &Context, next: &A) -> Settlement {
        let Some(permit) = self.0.enter(cx).await else { return stopped() };
        let settlement = next.message(cx).await;
        permit.leave(&settlement);
        settlement
    }
}

/// How a message is settled that waits when the server stops.
pub(crate) fn stopped() -> Settlement {
    let reason = Reason::Failed("the server stops while the circuit breaker is open".to_owned());
    Settlement::Fail { disposition: Disposition::Retry, reason }
}

#[derive(Debug)]
pub(crate) struct Breaker {
    /// Failures in a row that open it, at least one.
    most: u32,
    pause: Duration,
    state: Mutex<State>,
    /// Tells those who wait that the state has changed.
    changed: Notify,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Messages pass; so many failures in a row.
    Closed(u32),
    /// None passes until then.
    Open(Instant),
    /// One is being tried.
    Trying,
}

impl Breaker {
    pub(crate) fn new(failures: u32, pause: Duration) -> Self {
        Self { most: failures.max(1), pause, state: Mutex::new(State::Closed(0)), changed: Notify::new() }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a message may be handled; `None` when the server stops first.
    pub(crate) async fn enter(&self, cx: &Context) -> Option<Permit<'_>> {
        loop {
            // Before the state is read, so that no change after it is missed.
            let changed = self.changed.notified();
            let until = {
                let mut state = self.lock();
                match *state {
                    State::Closed(_) => return Some(Permit(Some(self))),
                    State::Open(until) if until <= Instant::now() => {
                        *state = State::Trying;
                        return Some(Permit(Some(self)));
                    }
                    State::Open(until) => Some(until),
                    State::Trying => None,
                }
            };
            if cx.stop().is_requested() {
                return None;
            }
            let pause = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = pause => {}
                () = changed => {}
                () = cx.stop().requested() => return None,
            }
        }
    }

    fn end(&self, failed: bool) {
        let mut state = self.lock();
        let next = match (*state, failed) {
            (State::Closed(_) | State::Trying, false) => State::Closed(0),
            (State::Closed(failures), true) if failures + 1 < self.most => State::Closed(failures + 1),
            (State::Closed(_) | State::Trying, true) => State::Open(Instant::now() + self.pause),
            // What began before it opened ends after that.
            (open @ State::Open(_), _) => open,
        };
        match (*state, next) {
            (State::Closed(_), State::Open(_)) => {
                warn!(failures = self.most, pause = ?self.pause, "circuit breaker opened");
            }
            (State::Trying, State::Closed(_)) => info!("circuit breaker closed"),
            _ => {}
        }
        *state = next;
        drop(state);
        self.changed.notify_waiters();
    }
}

/// Leave to handle one message.
#[derive(Debug)]
pub(crate) struct Permit<'a>(Option<&'a Breaker>);

impl Permit<'_> {
    /// Says how it went.
    pub(crate) fn leave(mut self, settlement: &Settlement) {
        let failed = matches!(
            settlement,
            Settlement::Fail { disposition: Disposition::Retry | Disposition::RetryAfter(_), .. }
        );
        if let Some(breaker) = self.0.take() {
            breaker.end(failed);
        }
    }
}

impl Drop for Permit<'_> {
    /// A handler that was dropped or panicked has failed.
    fn drop(&mut self) {
        if let Some(breaker) = self.0.take() {
            breaker.end(true);
        }
    }
}
