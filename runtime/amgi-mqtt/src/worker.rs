//! The loops that hand messages to the application.
//!
//! What must hold: a topic belongs to one loop, so its messages are handled one after the other, or together as a batch; a loop
//! never passes over a message that is not settled.

use std::sync::Arc;

use amgi::{
    Application, ByteString, ChannelMap, Context,
    server::{Jobs, Outcome, Policies, Stop, deliver_batch, insist, insist_again},
};
use tokio::{
    sync::mpsc::UnboundedSender,
    time::{Instant, sleep_until},
};

use crate::{inbox, message, wire::Publish};

/// A message on its way to a loop.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) number: inbox::Job,
    pub(crate) address: ByteString,
    pub(crate) publish: Publish,
}

impl Job {
    /// What comes to one topic is handled in order.
    pub(crate) fn topic(&self) -> &str {
        &self.publish.topic
    }
}

/// A job that is over.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) number: inbox::Job,
    /// Whether the broker may forget the message.
    pub(crate) acked: bool,
}

/// Handles one job after the other until the session closes the lane. When a drain is asked for, what is not begun yet stays
/// with the broker, unless the broker has forgotten it already (QoS 0).
pub(crate) async fn work<A: Application>(
    app: Arc<A>,
    mut cx: Context,
    policies: Arc<Policies>,
    mut jobs: Jobs<Job>,
    done: UnboundedSender<Done>,
) {
    if app.channels().iter().any(|channel| channel.batch.is_some()) {
        return Box::pin(batches(&*app, cx, &policies, jobs, &done)).await;
    }
    while let Some(job) = jobs.next().await {
        if !one(&*app, &mut cx, &policies, job, &done).await {
            break;
        }
    }
}

/// Handles a job; false when nobody wants to know how it ended.
async fn one<A: Application>(
    app: &A,
    cx: &mut Context,
    policies: &Policies,
    Job { number, address, publish }: Job,
    done: &UnboundedSender<Done>,
) -> bool {
    let acked = if cx.stop().is_requested() && publish.qos > 0 {
        false
    } else {
        cx.replace(message::incoming(address, publish));
        // MQTT has no nack. At a drain the message stays with the broker.
        insist(app, cx, policies).await
    };
    done.send(Done { number, acked }).is_ok()
}

/// [`work`] where channels ask for batches: what comes one after the other in the lane, and belongs to the same channel, is
/// handled together.
async fn batches<A: Application>(
    app: &A,
    cx: Context,
    policies: &Policies,
    mut jobs: Jobs<Job>,
    done: &UnboundedSender<Done>,
) {
    let channels = app.channels();
    let map = ChannelMap::new(channels);
    let stop = cx.stop().clone();
    let (mut contexts, mut numbers, mut settlements) = (vec![cx], Vec::new(), Vec::new());
    // What came behind a batch and is not part of it.
    let mut behind: Option<Job> = None;
    loop {
        let job = match behind.take() {
            Some(job) => job,
            None => match jobs.next().await {
                Some(job) => job,
                None => return,
            },
        };
        let channel = map.find(&job.address);
        let batch = channel.and_then(|index| channels[index].batch).filter(|_| !stop.is_requested());
        let Some(batch) = batch else {
            if !one(app, &mut contexts[0], policies, job, done).await {
                return;
            }
            continue;
        };
        put(&mut contexts, &mut numbers, job);
        let until = Instant::now() + batch.wait;
        while numbers.len() < batch.size {
            match another(&mut jobs, &stop, until).await {
                Some(job) if map.find(&job.address) == channel => put(&mut contexts, &mut numbers, job),
                other => {
                    behind = other;
                    break;
                }
            }
        }
        let mut left = Vec::new();
        let settled = |index: usize, outcome: Outcome| {
            if outcome.is_acked() {
                // The session looks at its workers itself.
                let _ = done.send(Done { number: numbers[index], acked: true });
            } else {
                left.push(index);
            }
        };
        deliver_batch(app, &contexts, policies, &mut settlements, settled).await;
        for index in left {
            let acked = insist_again(app, &contexts[index], policies).await;
            let _ = done.send(Done { number: numbers[index], acked });
        }
        numbers.clear();
        // The messages of a large batch are not kept until there is another one.
        contexts.truncate(1);
    }
}

/// Puts one more message into a batch.
fn put(contexts: &mut Vec<Context>, numbers: &mut Vec<inbox::Job>, Job { number, address, publish }: Job) {
    let message = message::incoming(address, publish);
    if numbers.is_empty() {
        contexts[0].replace(message);
    } else {
        // A clone that gets a message of its own shares nothing with the one it is a clone of.
        let mut cx = contexts[0].clone();
        cx.replace(message);
        contexts.push(cx);
    }
    numbers.push(number);
}

/// The next job of the lane, if there is one by then, and before a drain is asked for.
async fn another(jobs: &mut Jobs<Job>, stop: &Stop, until: Instant) -> Option<Job> {
    tokio::select! {
        biased;
        () = stop.requested() => None,
        job = jobs.next() => job,
        () = sleep_until(until) => None,
    }
}
