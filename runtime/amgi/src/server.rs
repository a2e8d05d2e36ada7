//! What every server shares: retrying, dead-lettering, backoff, and stopping.
//!
//! A server receives, hands each message to [`deliver`] and settles it with the broker by the [`Outcome`]. That keeps the
//! meaning of a [`Disposition`] the same on every broker.

pub mod aws;
mod insist;
mod instance;
mod lanes;
mod policy;
#[cfg(feature = "tls")]
pub mod tls;

use std::{future::Future, pin::Pin, time::Duration};

use tracing::{debug, warn};

#[cfg(feature = "host-name")]
pub use self::instance::host_name;
use self::policy::Rule;
pub use self::{
    insist::{insist, insist_again},
    instance::program_name,
    lanes::{Jobs, Lanes},
    policy::{Exhausted, Policies, Policy, dead_letter_address},
};
use crate::{
    context::Context,
    contract::{Application, Settlement},
    error::{Disposition, Reason},
    layer::{self, Begun, caught, finished, send_dead_letter, stopped, within},
};
pub use crate::{layer::Backoff, stop::Stop};

/// What a server has to tell the broker about a message.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "settle the message with the broker"]
pub enum Outcome {
    /// Acknowledge: the handler is done with it.
    Acked,
    /// Acknowledge: it was given up on purpose, and logged.
    Discarded(Reason),
    /// Acknowledge: it lies under the dead-letter address.
    DeadLettered(Reason),
    /// Do not acknowledge: deliver again, not before the delay if there is one.
    Nacked {
        /// Why.
        reason: Reason,
        /// What the application asked for.
        disposition: Disposition,
    },
    /// Do not acknowledge: the application said nothing.
    Unsettled,
}

impl Outcome {
    /// The outcome of a message that is settled by `settlement` and nothing else.
    fn of(settlement: Settlement) -> Self {
        match settlement {
            Settlement::Ack => Self::Acked,
            Settlement::Unsettled => Self::Unsettled,
            Settlement::Fail { disposition, reason } => Self::Nacked { reason, disposition },
        }
    }

    /// Whether the broker may forget the message.
    pub fn is_acked(&self) -> bool {
        matches!(self, Self::Acked | Self::Discarded(_) | Self::DeadLettered(_))
    }
}

/// An application behind a pointer. What happens to few messages is compiled once, not for every application, and what
/// happens to all of them has one place in the program, where the compiler makes one function of it.
trait Erased: Sync {
    fn handle<'a>(&'a self, cx: &'a Context) -> Pin<Box<dyn Future<Output = Settlement> + Send + 'a>>;
}

impl<A: Application> Erased for A {
    fn handle<'a>(&'a self, cx: &'a Context) -> Pin<Box<dyn Future<Output = Settlement> + Send + 'a>> {
        Box::pin(self.message(cx))
    }
}

/// [`deliver`] for a place where few messages pass: it costs some boxes.
pub(crate) async fn deliver_rarely<A: Application>(app: &A, cx: &Context, policies: &Policies) -> Outcome {
    let rule = policies.of(cx.address());
    if rule.is_guarded() {
        return Box::pin(guarded(app, cx, rule)).await;
    }
    match attempt(app, cx, rule).await {
        Settlement::Fail { disposition, reason } => {
            Box::pin(failed(app, cx, rule, disposition, reason)).await
        }
        settlement => Outcome::of(settlement),
    }
}

/// Gives the message in `cx` to the application until it is settled, by its channel's policy.
///
/// A panic of a handler is a failure like any other. Waiting ends early when the context's [`Stop`] is requested, so that
/// draining is never longer than one attempt.
pub async fn deliver<A: Application>(app: &A, cx: &Context, policies: &Policies) -> Outcome {
    if !policies.is_plain() {
        let rule = policies.of(cx.address());
        if rule.is_guarded() {
            return Box::pin(guarded(app, cx, rule)).await;
        }
    }
    match layer::attempt(app, cx).await {
        Settlement::Ack => Outcome::Acked,
        Settlement::Unsettled => Outcome::Unsettled,
        Settlement::Fail { disposition, reason } => {
            Box::pin(failed(app, cx, policies.of(cx.address()), disposition, reason)).await
        }
    }
}

/// Gives several messages of one channel to the application as a batch, and each that failed once more by itself until it is
/// settled, by the channel's policy. `done` is told the index and outcome of each, in the order of the messages. `settlements`
/// is room that is kept for the next batch.
///
/// A channel whose messages are handled once by a key (`x-amgi-idempotency`) has batches of one.
pub async fn deliver_batch<A: Application>(
    app: &A,
    contexts: &[Context],
    policies: &Policies,
    settlements: &mut Vec<Settlement>,
    mut done: impl FnMut(usize, Outcome),
) {
    settlements.clear();
    let Some(first) = contexts.first() else { return };
    let rule = policies.of(first.address());
    if rule.guard.is_some() {
        for (index, cx) in contexts.iter().enumerate() {
            done(index, guarded(app, cx, rule).await);
        }
        return;
    }
    let permit = match &rule.breaker {
        Some(breaker) => match breaker.enter(first).await {
            Some(permit) => Some(permit),
            None => return (0..contexts.len()).for_each(|index| done(index, Outcome::of(stopped()))),
        },
        None => None,
    };
    let batch = caught(app.batch(contexts, settlements));
    let handled = match rule.policy.timeout {
        Some(limit) => within(limit, batch).await,
        None => batch.await,
    };
    if let Err(failed) = handled {
        layer::all(settlements, contexts, &failed);
    }
    settlements.resize(contexts.len(), Settlement::Unsettled);
    if let Some(permit) = permit {
        // The batch failed when one of its messages did.
        let failed = settlements.iter().find(|settlement| matches!(settlement, Settlement::Fail { .. }));
        permit.leave(failed.unwrap_or(&Settlement::Ack));
    }
    for (index, (cx, settlement)) in contexts.iter().zip(settlements.drain(..)).enumerate() {
        let settlement = if cx.local().is_used() { finished(cx, settlement).await } else { settlement };
        let outcome = match settlement {
            Settlement::Fail { disposition, reason } => {
                Box::pin(failed(app, cx, rule, disposition, reason)).await
            }
            settlement => Outcome::of(settlement),
        };
        done(index, outcome);
    }
}

/// Delivery to a channel that has more to it than attempts.
#[cold]
async fn guarded(app: &dyn Erased, cx: &Context, rule: &Rule) -> Outcome {
    let claim = match &rule.guard {
        Some((location, name, guard)) => match location.read(cx.message()) {
            Some(key) => {
                let key = format!("{name}:{key}");
                match guard.begin(&key).await {
                    Begun::Handle(token) => Some((guard, key, token)),
                    // While another one is being handled, this one waits like one that failed.
                    Begun::Settled(Settlement::Fail { disposition, reason }) => {
                        return match disposition {
                            Disposition::RetryAfter(pause) if !stopped_after(cx, pause).await => {
                                Box::pin(guarded(app, cx, rule)).await
                            }
                            disposition => Outcome::Nacked { reason, disposition },
                        };
                    }
                    Begun::Settled(settlement) => return Outcome::of(settlement),
                }
            }
            None => None,
        },
        None => None,
    };
    let outcome = match once(app, cx, rule).await {
        Settlement::Fail { disposition, reason } => failed(app, cx, rule, disposition, reason).await,
        settlement => Outcome::of(settlement),
    };
    if let Some((guard, key, token)) = claim {
        // What lies under the dead-letter address or was discarded has ended, too.
        guard.end(&key, token, outcome.is_acked()).await;
    }
    outcome
}

/// Waits; true when the server is asked to stop first.
async fn stopped_after(cx: &Context, pause: Duration) -> bool {
    tokio::select! {
        () = tokio::time::sleep(pause) => false,
        () = cx.stop().requested() => true,
    }
}

/// One attempt, by all that the channel's policy says.
async fn once(app: &dyn Erased, cx: &Context, rule: &Rule) -> Settlement {
    let Some(breaker) = &rule.breaker else { return attempt(app, cx, rule).await };
    let Some(permit) = breaker.enter(cx).await else { return stopped() };
    let settlement = attempt(app, cx, rule).await;
    permit.leave(&settlement);
    settlement
}

async fn attempt(app: &dyn Erased, cx: &Context, rule: &Rule) -> Settlement {
    let handled = caught(app.handle(cx));
    let settlement = match rule.policy.timeout {
        Some(limit) => Box::pin(within(limit, handled)).await,
        None => handled.await,
    };
    let settlement = settlement.unwrap_or_else(|failed| failed);
    if cx.local().is_used() { finished(cx, settlement).await } else { settlement }
}

#[cold]
async fn failed(
    app: &dyn Erased,
    cx: &Context,
    rule: &Rule,
    mut disposition: Disposition,
    mut reason: Reason,
) -> Outcome {
    let policy = &rule.policy;
    // Layers may have tried already.
    let mut attempts = cx.attempt();
    let mut tries = if rule.redelivered { attempts } else { 1 };
    loop {
        cx.local().set_failures(attempts);
        let delay = match disposition {
            Disposition::Discard => {
                warn!(address = cx.address(), %reason, "message discarded");
                return Outcome::Discarded(reason);
            }
            Disposition::DeadLetter => return dead_letter(cx, rule, attempts, reason).await,
            Disposition::Retry => policy.backoff.pause(tries),
            Disposition::RetryAfter(delay) => delay,
        };
        // A scaffold does not change while it runs.
        let hopeless = reason == Reason::NotImplemented;
        if tries >= policy.attempts || hopeless {
            if policy.exhausted == Exhausted::DeadLetter && !cx.stop().is_requested() {
                return dead_letter(cx, rule, attempts, reason).await;
            }
            if !hopeless {
                warn!(address = cx.address(), attempts, %reason, "message not handled");
            }
            return Outcome::Nacked { reason, disposition };
        }
        if rule.redelivered {
            debug!(address = cx.address(), attempts, ?delay, %reason, "to be delivered again");
            return Outcome::Nacked { reason, disposition: Disposition::RetryAfter(delay) };
        }
        debug!(address = cx.address(), attempts, ?delay, %reason, "trying again");
        if stopped_after(cx, delay).await {
            return Outcome::Nacked { reason, disposition };
        }
        tries += 1;
        match once(app, cx, rule).await {
            Settlement::Fail { disposition: d, reason: r } => (disposition, reason) = (d, r),
            settlement => return Outcome::of(settlement),
        }
        attempts = cx.attempt();
    }
}

/// Sends the message to its dead-letter address with what, why and how often. If that fails it stays unacknowledged.
async fn dead_letter(cx: &Context, rule: &Rule, attempts: u32, reason: Reason) -> Outcome {
    let address = match &rule.policy.dead_letter {
        Some(address) => address.clone(),
        None if rule.puts_aside => {
            return Outcome::Nacked { reason, disposition: Disposition::DeadLetter };
        }
        None => format!("{}.dlq", cx.address()).into(),
    };
    match send_dead_letter(cx, address, attempts, &reason).await {
        Ok(()) => Outcome::DeadLettered(reason),
        Err(error) => {
            warn!(address = cx.address(), %error, "the dead letter could not be sent; the message stays with the broker");
            Outcome::Nacked { reason, disposition: Disposition::DeadLetter }
        }
    }
}
