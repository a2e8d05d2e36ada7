//! The loops that hand messages to the application.
//!
//! What must hold: an address belongs to one loop, so its messages are handled one after the other; what was delivered on a
//! connection that is gone is not begun, since it comes again.

use std::{sync::Arc, time::Duration};

use amgi::{
    Application, BatchInfo, Context, Disposition, Message,
    server::{Jobs, Outcome, Policies, deliver, deliver_batch},
};
use tokio::time::{Instant, timeout_at};
use tracing::{debug, warn};

use crate::ticket::Ticket;

/// A message on its way to a loop.
pub(crate) struct Job {
    pub(crate) message: Message,
    /// How often it was delivered before.
    pub(crate) before: u32,
    pub(crate) ticket: Ticket,
}

impl Job {
    /// What comes to one address is handled in order.
    pub(crate) fn address(&self) -> &str {
        &self.message.address
    }
}

/// What the broker is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Ack,
    /// It goes back to its queue after a pause.
    Nack(Duration),
}

/// A loop, and what it works with.
pub(crate) struct Worker<A> {
    pub(crate) app: Arc<A>,
    pub(crate) cx: Context,
    pub(crate) policies: Arc<Policies>,
}

impl<A: Application> Worker<A> {
    /// Handles one job after the other until there can be no more. When a drain is asked for, what is not begun yet stays with
    /// the broker.
    pub(crate) async fn work(mut self, mut jobs: Jobs<Job>) {
        while let Some(Job { message, before, ticket }) = jobs.next().await {
            if ticket.is_void() || self.cx.stop().is_requested() {
                continue;
            }
            take(&mut self.cx, message, before);
            let outcome = deliver(&*self.app, &self.cx, &self.policies).await;
            ticket.settle(verdict(&outcome, &self.cx, &self.policies, before));
        }
    }

    /// The same for a channel whose messages are handled together.
    pub(crate) async fn batches(self, info: BatchInfo, mut jobs: Jobs<Job>) {
        let mut contexts = vec![self.cx.clone()];
        let mut settlements = Vec::new();
        let mut tickets = Vec::new();
        while let Some(job) = jobs.next().await {
            tickets.clear();
            let until = Instant::now() + info.wait;
            let mut next = Some(job);
            while let Some(Job { message, before, ticket }) = next.take() {
                if !ticket.is_void() && !self.cx.stop().is_requested() {
                    if contexts.len() == tickets.len() {
                        contexts.push(self.cx.clone());
                    }
                    take(&mut contexts[tickets.len()], message, before);
                    tickets.push((Some(ticket), before));
                }
                if tickets.len() >= info.size.max(1) {
                    break;
                }
                next = match jobs.try_next() {
                    None if !tickets.is_empty() => tokio::select! {
                        job = timeout_at(until, jobs.next()) => job.ok().flatten(),
                        () = self.cx.stop().requested() => None,
                    },
                    job => job,
                };
            }
            let contexts = &contexts[..tickets.len()];
            deliver_batch(&*self.app, contexts, &self.policies, &mut settlements, |index, outcome| {
                let (ticket, before) = &mut tickets[index];
                let verdict = verdict(&outcome, &contexts[index], &self.policies, *before);
                if let Some(ticket) = ticket.take() {
                    ticket.settle(verdict);
                }
            })
            .await;
        }
    }
}

/// Puts a message into a context.
fn take(cx: &mut Context, message: Message, before: u32) {
    cx.replace(message);
    if before > 0 {
        cx.set_redelivered(before);
    }
}

fn verdict(outcome: &Outcome, cx: &Context, policies: &Policies, before: u32) -> Verdict {
    if outcome.is_acked() {
        return Verdict::Ack;
    }
    if cx.stop().is_requested() {
        debug!(address = cx.address(), "left with the broker");
        return Verdict::Nack(Duration::ZERO);
    }
    let policy = policies.base();
    let pause = match outcome {
        Outcome::Nacked { disposition: Disposition::RetryAfter(pause), .. } => *pause,
        _ => policy.backoff.pause(policy.attempts.saturating_add(before)),
    };
    warn!(address = cx.address(), ?pause, "message not settled; it goes back to its queue");
    Verdict::Nack(pause)
}
