//! What every server shares: retrying, dead-lettering, backoff, and stopping.
//!
//! A server receives, hands each message to [`deliver`] and settles it with the broker by the [`Outcome`]. That keeps the
//! meaning of a [`Disposition`] the same on every broker.

use std::{
    cmp::Reverse,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::Poll,
    time::Duration,
};

use bytestring::ByteString;
use tokio::sync::watch;
use tracing::{debug, warn};

use crate::{
    address::{Part, Pattern},
    context::Context,
    contract::{Application, ChannelInfo, Settlement},
    error::{Disposition, Reason},
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
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Pause after the first failure. Default 100 ms.
    pub first: Duration,
    /// Longest pause. Default 30 s.
    pub most: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(100), most: Duration::from_secs(30) }
    }
}

impl Backoff {
    /// Pause after failure number `failures`, which counts from one.
    pub fn delay(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.most)
    }
}

/// What becomes of a message when its attempts are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Exhausted {
    /// It is nacked: the broker delivers it again.
    #[default]
    Nack,
    /// It goes to the dead-letter address: for brokers that know no nack.
    DeadLetter,
}

/// How failed messages are treated in process.
#[derive(Debug, Clone)]
pub struct Policy {
    /// How often a message is tried before it is [`Exhausted`]. Default 5.
    pub attempts: u32,
    /// Pauses between attempts.
    pub backoff: Backoff,
    /// What happens then.
    pub exhausted: Exhausted,
    /// Dead-letter address for every channel, over the document's; `<address>.dlq` where neither says one.
    pub dead_letter: Option<ByteString>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { attempts: 5, backoff: Backoff::default(), exhausted: Exhausted::default(), dead_letter: None }
    }
}

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
    /// Whether the broker may forget the message.
    pub fn is_acked(&self) -> bool {
        matches!(self, Self::Acked | Self::Discarded(_) | Self::DeadLettered(_))
    }
}

/// Gives the message in `cx` to the application until it is settled, by `policy`.
///
/// A panic of a handler is a failure like any other. Retries end early when `stop` is requested, so that draining is
/// never longer than one attempt.
pub async fn deliver<A: Application>(app: &A, cx: &Context, policy: &Policy, stop: &Stop) -> Outcome {
    match attempt(app, cx).await {
        Settlement::Ack => Outcome::Acked,
        Settlement::Unsettled => Outcome::Unsettled,
        Settlement::Fail { disposition, reason } => {
            Box::pin(failed(app, cx, policy, stop, disposition, reason)).await
        }
    }
}

#[cold]
async fn failed<A: Application>(
    app: &A,
    cx: &Context,
    policy: &Policy,
    stop: &Stop,
    mut disposition: Disposition,
    mut reason: Reason,
) -> Outcome {
    let mut attempts = 1;
    loop {
        let delay = match disposition {
            Disposition::Discard => {
                warn!(address = cx.address(), %reason, "message discarded");
                return Outcome::Discarded(reason);
            }
            Disposition::DeadLetter => return dead_letter(app, cx, policy, attempts, reason).await,
            Disposition::Retry => policy.backoff.delay(attempts),
            Disposition::RetryAfter(delay) => delay,
        };
        // A scaffold does not change while it runs.
        let hopeless = reason == Reason::NotImplemented;
        if attempts >= policy.attempts || hopeless {
            if policy.exhausted == Exhausted::DeadLetter && !stop.is_requested() {
                return dead_letter(app, cx, policy, attempts, reason).await;
            }
            if !hopeless {
                warn!(address = cx.address(), attempts, %reason, "message not handled");
            }
            return Outcome::Nacked { reason, disposition };
        }
        debug!(address = cx.address(), attempts, ?delay, %reason, "trying again");
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = stop.requested() => return Outcome::Nacked { reason, disposition },
        }
        attempts += 1;
        match attempt(app, cx).await {
            Settlement::Ack => return Outcome::Acked,
            Settlement::Unsettled => return Outcome::Unsettled,
            Settlement::Fail { disposition: d, reason: r } => (disposition, reason) = (d, r),
        }
    }
}

/// Sends the message to its dead-letter address with what, why and how often. If that fails it stays unacknowledged.
async fn dead_letter<A: Application>(
    app: &A,
    cx: &Context,
    policy: &Policy,
    attempts: u32,
    reason: Reason,
) -> Outcome {
    let original = cx.message();
    let address =
        policy.dead_letter.clone().unwrap_or_else(|| dead_letter_address(app.channels(), &original.address));
    let mut message = original.clone();
    message.address = address;
    message.headers.push("amgi-dead-letter-address", original.address.to_string());
    message.headers.push("amgi-dead-letter-reason", reason.to_string());
    message.headers.push("amgi-dead-letter-attempts", attempts.to_string());
    warn!(address = cx.address(), to = %message.address, attempts, %reason, "message dead-lettered");
    match cx.send(message).await {
        Ok(()) => Outcome::DeadLettered(reason),
        Err(error) => {
            warn!(address = cx.address(), %error, "the dead letter could not be sent; the message stays with the broker");
            Outcome::Nacked { reason, disposition: Disposition::DeadLetter }
        }
    }
}

/// The document's `x-amgi-dead-letter` of the channel that `address` belongs to, else `<address>.dlq`.
///
/// Of several channels that `address` fits, it belongs to the one with exactly that address, else to the one whose
/// pattern has the most literal characters, the first of them at a tie.
pub fn dead_letter_address(channels: &[ChannelInfo], address: &str) -> ByteString {
    let exact = channels.iter().find(|channel| channel.address == address);
    exact
        .or_else(|| {
            channels
                .iter()
                .filter_map(|channel| Some((literals_of_match(&channel.address, address)?, channel)))
                .min_by_key(|(literals, _)| Reverse(*literals))
                .map(|(_, channel)| channel)
        })
        .and_then(|channel| channel.dead_letter)
        .map_or_else(|| format!("{address}.dlq").into(), ByteString::from_static)
}

/// How many characters of `pattern` stand as they are, if `address` fits it.
fn literals_of_match(pattern: &str, address: &str) -> Option<usize> {
    let pattern = Pattern::parse(pattern).ok().filter(|pattern| pattern.matches(address))?;
    let literals = pattern.parts().iter().map(|part| match part {
        Part::Literal(text) => text.chars().count(),
        Part::Parameter(_) => 0,
    });
    Some(literals.sum())
}

/// One attempt; a panic becomes a failure.
async fn attempt<A: Application>(app: &A, cx: &Context) -> Settlement {
    let mut future = pin!(app.message(cx));
    std::future::poll_fn(|task| {
        // The future is dropped after a panic and never polled again; what it borrowed is the application's own to guard.
        catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(task)))
            .unwrap_or_else(|panic| Poll::Ready(panicked(panic.as_ref())))
    })
    .await
}

#[cold]
fn panicked(panic: &(dyn std::any::Any + Send)) -> Settlement {
    let text = panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned());
    Settlement::Fail { disposition: Disposition::Retry, reason: Reason::Panicked(text) }
}

/// Asks a server to stop: no new messages, those in flight are finished. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop(Arc<Request>);

#[derive(Debug)]
struct Request {
    /// What `tell` says too; asked before every message, so it must cost nothing.
    made: AtomicBool,
    tell: watch::Sender<bool>,
}

impl Default for Stop {
    fn default() -> Self {
        Self(Arc::new(Request { made: AtomicBool::new(false), tell: watch::Sender::new(false) }))
    }
}

impl Stop {
    /// A handle that nobody has used yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks every server that holds this handle to stop.
    pub fn request(&self) {
        self.0.made.store(true, Ordering::Release);
        self.0.tell.send_replace(true);
    }

    /// Whether it was asked.
    pub fn is_requested(&self) -> bool {
        self.0.made.load(Ordering::Acquire)
    }

    /// Ends when it is asked.
    pub async fn requested(&self) {
        // The sender is `self`, so waiting cannot fail.
        let _ = self.0.tell.subscribe().wait_for(|stop| *stop).await;
    }

    /// Requests a stop at SIGTERM or Ctrl-C. Call it within a tokio runtime.
    pub fn on_signal(&self) -> std::io::Result<()> {
        let stop = self.clone();
        let interrupted = tokio::signal::ctrl_c();
        #[cfg(unix)]
        let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::spawn(async move {
            #[cfg(unix)]
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
            #[cfg(not(unix))]
            let _ = interrupted.await;
            debug!("stop requested by signal");
            stop.request();
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(address: &'static str, dead_letter: Option<&'static str>) -> ChannelInfo {
        ChannelInfo {
            name: address,
            address: address.into(),
            servers: &[],
            bindings: &[],
            operations: &[],
            example_address: address.into(),
            dead_letter,
        }
    }

    #[test]
    fn the_dead_letter_address_is_that_of_the_closest_channel() {
        let channels = [
            channel("{any}.{id}", Some("any")),
            channel("user.{id}", Some("user")),
            channel("{kind}.new", None),
            channel("user.created", Some("created")),
            channel("{x}.y", Some("first")),
            channel("x.{y}", Some("second")),
        ];
        let address = |address| dead_letter_address(&channels, address);
        assert_eq!(address("user.created"), "created");
        assert_eq!(address("user.42"), "user");
        assert_eq!(address("order.42"), "any");
        assert_eq!(address("order.new"), "order.new.dlq");
        assert_eq!(address("x.y"), "first");
        assert_eq!(address("user"), "user.dlq");
    }
}
