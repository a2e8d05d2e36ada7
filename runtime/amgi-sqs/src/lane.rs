//! The loops that hand a channel's messages to the application. They are made when they are needed, `concurrency` at most, and
//! stay.
//!
//! What must hold: a message is settled once, after its handler; of a message group of a FIFO queue one message is handled at a
//! time, in order, and behind one that failed nothing is begun.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use amgi::{
    Application, BatchInfo, ByteString, Context, Disposition, Message,
    server::{Outcome, Stop, deliver, deliver_batch},
};
use aws_sdk_sqs::types::Message as Received;
use tokio::{
    sync::{Notify, OwnedSemaphorePermit},
    task::JoinSet,
    time::timeout_at,
};
use tracing::{debug, error};

use crate::{config::seconds, message::incoming, queue::Queue};

/// A message with what it takes to settle it.
struct Job {
    message: Message,
    queue: Arc<Queue>,
    /// What it is in hand as.
    number: u64,
    delivered: u32,
    /// Set where it has to wait for others.
    group: Option<Group>,
    /// While it is here.
    _room: OwnedSemaphorePermit,
}

/// A queue and a message group of it.
type Group = (ByteString, ByteString);

/// What waits.
#[derive(Default)]
struct Waiting {
    ready: VecDeque<Job>,
    /// What waits behind a message of its group that is ready or being handled.
    behind: HashMap<Group, VecDeque<Job>>,
    /// Loops that wait for messages.
    idle: usize,
    started: usize,
}

/// A channel that is received from.
pub(crate) struct Lane<A> {
    app: Arc<A>,
    /// What every loop's context is made of.
    context: Context,
    batch: Option<BatchInfo>,
    concurrency: usize,
    /// Nothing is begun any more when it is requested.
    stop: Stop,
    waiting: Mutex<Waiting>,
    came: Notify,
    loops: Mutex<JoinSet<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<A: Application> Lane<A> {
    pub(crate) fn new(
        app: &Arc<A>,
        context: Context,
        batch: Option<BatchInfo>,
        concurrency: usize,
        stop: Stop,
    ) -> Arc<Self> {
        Arc::new(Self {
            app: app.clone(),
            context,
            batch,
            concurrency,
            stop,
            waiting: Mutex::default(),
            came: Notify::new(),
            loops: Mutex::default(),
        })
    }

    /// Takes messages that a poll gave; they take their share of `room`.
    pub(crate) fn take(
        self: &Arc<Self>,
        queue: &Arc<Queue>,
        received: Vec<Received>,
        room: &mut OwnedSemaphorePermit,
        asked: Instant,
    ) {
        for received in received {
            let Some(room) = room.split(1) else { return };
            let incoming = incoming(&queue.address, received, queue.enveloped);
            // Batches are handled one after the other where there is an order.
            let group = incoming.group.filter(|_| queue.is_fifo && self.batch.is_none());
            self.enter(Job {
                message: incoming.message,
                number: queue.hold(incoming.receipt, asked),
                queue: queue.clone(),
                delivered: incoming.delivered,
                group: group.map(|group| (queue.address.clone(), group)),
                _room: room,
            });
        }
    }

    fn enter(self: &Arc<Self>, job: Job) {
        let mut waiting = lock(&self.waiting);
        if let Some(group) = &job.group {
            if let Some(behind) = waiting.behind.get_mut(group) {
                behind.push_back(job);
                return;
            }
            waiting.behind.insert(group.clone(), VecDeque::new());
        }
        waiting.ready.push_back(job);
        if waiting.ready.len() > waiting.idle && waiting.started < self.concurrency {
            waiting.started += 1;
            drop(waiting);
            lock(&self.loops).spawn(self.clone().work());
        } else {
            drop(waiting);
            self.came.notify_one();
        }
    }

    /// The next message; `None` when nothing is to be begun any more.
    async fn next(&self) -> Option<Job> {
        loop {
            let came = {
                let mut waiting = lock(&self.waiting);
                if self.stop.is_requested() {
                    return None;
                }
                if let Some(job) = waiting.ready.pop_front() {
                    if !waiting.ready.is_empty() {
                        // Of several that came at once, one loop was told.
                        self.came.notify_one();
                    }
                    return Some(job);
                }
                waiting.idle += 1;
                self.came.notified()
            };
            let idle = Idle(&self.waiting);
            tokio::select! {
                () = came => {}
                () = self.stop.requested() => {}
            }
            drop(idle);
        }
    }

    async fn work(self: Arc<Self>) {
        if let Some(batch) = self.batch {
            return self.batches(batch).await;
        }
        let mut cx = self.context.clone();
        while let Some(mut job) = self.next().await {
            loop {
                put(&mut cx, &mut job);
                let outcome = deliver(&*self.app, &cx, &job.queue.policies).await;
                match self.settle(&job, &outcome) {
                    Some(next) => job = next,
                    None => break,
                }
            }
        }
    }

    /// Settles a message; the next one of its group that is to be handled.
    fn settle(&self, job: &Job, outcome: &Outcome) -> Option<Job> {
        let Some(group) = &job.group else {
            tell(job, outcome, self.stop.is_requested());
            return None;
        };
        let mut waiting = lock(&self.waiting);
        let stopped = self.stop.is_requested();
        let Some(behind) = waiting.behind.get_mut(group) else {
            drop(waiting);
            tell(job, outcome, stopped);
            return None;
        };
        if outcome.is_acked() && !stopped {
            let next = behind.pop_front();
            if next.is_none() {
                waiting.behind.remove(group);
            }
            drop(waiting);
            tell(job, outcome, stopped);
            return next;
        }
        let behind = waiting.behind.remove(group).unwrap_or_default();
        drop(waiting);
        // They are in order again when this one is delivered again. The last one is given back first, and what failed last: while
        // it is hidden, SQS shows nothing of its group.
        for job in behind.into_iter().rev() {
            job.queue.give_back(job.number, 0);
        }
        tell(job, outcome, stopped);
        None
    }

    /// Hands over several messages at a time.
    async fn batches(self: Arc<Self>, batch: BatchInfo) {
        let mut contexts: Vec<Context> = Vec::new();
        let (mut settlements, mut outcomes) = (Vec::new(), Vec::new());
        while let Some(first) = self.next().await {
            let until = tokio::time::Instant::now() + batch.wait;
            let mut jobs = vec![first];
            while jobs.len() < batch.size.max(1) {
                match timeout_at(until, self.next()).await {
                    Ok(Some(job)) => jobs.push(job),
                    Ok(None) | Err(_) => break,
                }
            }
            for (at, job) in jobs.iter_mut().enumerate() {
                if contexts.len() == at {
                    contexts.push(self.context.clone());
                }
                put(&mut contexts[at], job);
            }
            let contexts = &contexts[..jobs.len()];
            let policies = jobs[0].queue.policies.clone();
            let done = |index: usize, outcome| outcomes.push((index, outcome));
            deliver_batch(&*self.app, contexts, &policies, &mut settlements, done).await;
            let stopped = self.stop.is_requested();
            for (index, outcome) in outcomes.drain(..) {
                tell(&jobs[index], &outcome, stopped);
            }
        }
    }

    /// Ends when all loops have.
    pub(crate) async fn ended(&self) {
        loop {
            let mut loops = std::mem::take(&mut *lock(&self.loops));
            if loops.is_empty() {
                return;
            }
            // Dropped with this future: then they are given up.
            while let Some(ended) = loops.join_next().await {
                if let Err(error) = ended
                    && !error.is_cancelled()
                {
                    error!(%error, "a loop broke down");
                }
            }
        }
    }

    /// Gives up what is still in handlers, and forgets what waits.
    pub(crate) async fn abort(&self) {
        let mut loops = std::mem::take(&mut *lock(&self.loops));
        loops.shutdown().await;
        *lock(&self.waiting) = Waiting::default();
    }
}

/// A loop that waits for messages.
struct Idle<'a>(&'a Mutex<Waiting>);

impl Drop for Idle<'_> {
    fn drop(&mut self) {
        lock(self.0).idle -= 1;
    }
}

fn put(cx: &mut Context, job: &mut Job) {
    drop(cx.replace(std::mem::take(&mut job.message)));
    if job.delivered > 1 && job.queue.by_delivery {
        cx.set_redelivered(job.delivered - 1);
    }
}

/// Tells the queue what became of a message.
fn tell(job: &Job, outcome: &Outcome, stopped: bool) {
    if outcome.is_acked() {
        return job.queue.delete(job.number);
    }
    let pause = match outcome {
        Outcome::Nacked { disposition: Disposition::RetryAfter(pause), .. } => *pause,
        _ => job.queue.policies.base().backoff.pause(job.delivered),
    };
    // Others need not wait for what was cut short here.
    let seconds = if stopped { 0 } else { seconds(pause) };
    debug!(address = %job.queue.address, seconds, ?outcome, "left with the queue");
    job.queue.give_back(job.number, seconds);
}
