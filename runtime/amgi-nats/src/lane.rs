//! The loops that hand a channel's messages to the application.
//!
//! One loop at a time leads: it takes the next message and begins to handle it. Only when the handler has to wait for something
//! does another loop take the lead, so messages that are handled at once cost no change of tasks. Loops are made when they are
//! needed, `concurrency` at most, and stay.
//!
//! What must hold: a message is settled once, after its handler; what was acknowledged is told before anything is waited for that
//! may take long, or anybody else leads; on JetStream, nothing that is here is forgotten by its consumer because it takes long.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::Poll,
    time::{Duration, Instant},
};

use amgi::{
    Application, BatchInfo, Bytes, Context, Disposition, Message,
    server::{Outcome, Policies, deliver, deliver_batch},
};
use async_nats::{Subject, jetstream::AckKind};
use tokio::{
    sync::{MutexGuard as SourceGuard, OwnedSemaphorePermit},
    task::JoinSet,
    time::{sleep, timeout, timeout_at},
};
use tracing::{debug, error, warn};

use crate::{
    link::Link,
    message::{NATS, field, incoming},
    order::Order,
    source::Source,
    subject::Route,
};

/// A handler that keeps its loop this long without waiting gets company from the beginning.
const LONG: Duration = Duration::from_micros(50);
/// Every so many messages, that is measured.
const SAMPLE: u32 = 32;
/// How long acknowledgements wait for others while nothing comes. Each that is told by itself wakes the thread of the connection.
const LINGER: Duration = Duration::from_millis(1);

/// What there is to know of a channel.
pub(crate) struct Setting {
    pub(crate) route: Route,
    pub(crate) policies: Arc<Policies>,
    pub(crate) batch: Option<BatchInfo>,
    /// How many messages are handled at a time.
    pub(crate) concurrency: usize,
    /// Set where messages of a subject are handled one after the other: how many may be here.
    pub(crate) ordered: Option<usize>,
    /// Whether its messages come from a consumer of JetStream.
    pub(crate) jetstream: bool,
    /// How many acknowledgements are told together, at most, while messages are handled at once.
    pub(crate) together: usize,
}

/// A message with what it takes to settle it.
pub(crate) struct Job {
    pub(crate) message: Message,
    /// What comes in on this is in order.
    pub(crate) subject: Subject,
    /// Where it is acknowledged.
    pub(crate) reply: Option<Subject>,
    /// How often it was delivered, this time included.
    delivered: u32,
    /// While it is here.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
}

/// Where what is handled is to be acknowledged.
type Acks = Vec<Subject>;

/// A channel that is received from.
pub(crate) struct Lane<A> {
    app: Arc<A>,
    link: Arc<Link>,
    setting: Setting,
    /// What every loop's context is made of.
    context: Context,
    source: tokio::sync::Mutex<Source>,
    order: Option<Order>,
    workers: Mutex<JoinSet<()>>,
    started: AtomicUsize,
    /// Loops that wait for the lead.
    idle: AtomicUsize,
    /// What each loop has in hand that takes long, by where it is acknowledged.
    in_hand: Mutex<Vec<Vec<Subject>>>,
    /// The broker is to be told of what waits in the source.
    due: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<A: Application> Lane<A> {
    /// Begins to receive.
    pub(crate) fn start(
        app: &Arc<A>,
        link: &Arc<Link>,
        setting: Setting,
        context: Context,
        source: Source,
    ) -> Arc<Self> {
        let lane = Arc::new(Self {
            app: app.clone(),
            link: link.clone(),
            order: setting.ordered.map(Order::new),
            setting,
            context,
            source: tokio::sync::Mutex::new(source),
            workers: Mutex::default(),
            started: AtomicUsize::new(0),
            idle: AtomicUsize::new(0),
            in_hand: Mutex::default(),
            due: AtomicBool::new(false),
        });
        lane.start_loop();
        lane
    }

    fn start_loop(self: &Arc<Self>) {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        lock(&self.in_hand).push(Vec::new());
        lock(&self.workers).spawn(self.clone().work(number));
    }

    /// Sees that somebody takes the lead.
    fn hand_over(self: &Arc<Self>, source: SourceGuard<'_, Source>) {
        drop(source);
        if self.idle.load(Ordering::Relaxed) == 0
            && self.started.load(Ordering::Relaxed) < self.setting.concurrency
        {
            self.start_loop();
        }
    }

    /// Ends when all loops have.
    pub(crate) async fn ended(&self) {
        poll_fn(|task| {
            let mut workers = lock(&self.workers);
            loop {
                match workers.poll_join_next(task) {
                    Poll::Ready(Some(Ok(()))) => {}
                    Poll::Ready(Some(Err(error))) if error.is_cancelled() => {}
                    Poll::Ready(Some(Err(error))) => error!(%error, "a loop broke down"),
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
    }

    /// Gives up what is still in handlers.
    pub(crate) fn abort(&self) {
        lock(&self.workers).abort_all();
    }

    /// Tells the consumer, every so often, that what is here is not forgotten.
    pub(crate) async fn hold(self: Arc<Self>, every: Duration) {
        loop {
            sleep(every).await;
            let mut held: Vec<Subject> = lock(&self.in_hand).iter().flatten().cloned().collect();
            if let Some(order) = &self.order {
                held.extend(order.waiting());
            }
            for reply in held {
                self.tell(reply, AckKind::Progress).await;
            }
            // Whoever leads does it, before the next message.
            match self.source.try_lock() {
                Ok(mut source) => source.hold().await,
                Err(_) => self.due.store(true, Ordering::Relaxed),
            }
        }
    }

    async fn work(self: Arc<Self>, number: usize) {
        if let Some(batch) = self.setting.batch {
            return self.batches(number, batch).await;
        }
        let mut cx = self.context.clone();
        let (mut count, mut long) = (0_u32, false);
        let mut acks = Acks::default();
        'lead: loop {
            let mut source = self.lead().await;
            loop {
                let Some(job) = self.next(&mut source, &mut acks).await else { return };
                // Where order is kept, it waits behind another one of its subject.
                let mut job = match &self.order {
                    None => job,
                    Some(order) => match self.first_telling(&mut acks, order.enter(job)).await {
                        Some(job) => job,
                        None => continue,
                    },
                };
                if self.is_over(&cx) {
                    self.hand_back(job).await;
                    continue;
                }
                self.put(&mut cx, &mut job);
                let kept = {
                    let mut handled = pin!(self.handle(&cx, &job));
                    let began = count.is_multiple_of(SAMPLE).then(Instant::now);
                    count = count.wrapping_add(1);
                    let mut led = Some(source);
                    if long && let Some(source) = led.take() {
                        // Whoever takes the lead may acknowledge what comes behind these.
                        self.acknowledge(&mut acks).await;
                        self.hand_over(source);
                    }
                    let at_once = now(handled.as_mut()).await;
                    if let Some(began) = began {
                        long = began.elapsed() > LONG;
                    }
                    let ack = match at_once {
                        Some(ack) => ack,
                        None => {
                            self.take_in_hand(number, job.reply.iter());
                            if let Some(source) = led.take() {
                                let told = async {
                                    self.acknowledge(&mut acks).await;
                                    self.hand_over(source);
                                };
                                tokio::join!(told, handled).1
                            } else {
                                handled.await
                            }
                        }
                    };
                    acks.extend(ack);
                    led
                };
                if kept.is_none() || acks.len() >= self.setting.together {
                    self.acknowledge(&mut acks).await;
                }
                let Some(lead) = kept else {
                    self.follow(&mut cx, number, &job).await;
                    self.take_in_hand(number, [].iter());
                    continue 'lead;
                };
                // Nobody else took a message meanwhile.
                if let Some(order) = &self.order {
                    order.leave(&job.subject);
                }
                source = lead;
            }
        }
    }

    /// What the future gives. What is acknowledged is told first, unless that is there at once.
    async fn first_telling<T>(&self, acks: &mut Acks, future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        if let Some(given) = now(future.as_mut()).await {
            return given;
        }
        self.acknowledge(acks).await;
        future.await
    }

    /// Waits for the lead.
    async fn lead(&self) -> SourceGuard<'_, Source> {
        self.idle.fetch_add(1, Ordering::Relaxed);
        let source = self.source.lock().await;
        self.idle.fetch_sub(1, Ordering::Relaxed);
        source
    }

    /// The next message of this channel. What is acknowledged is told before that is waited for.
    async fn next(&self, source: &mut Source, acks: &mut Acks) -> Option<Job> {
        loop {
            if self.due.load(Ordering::Relaxed) {
                self.due.store(false, Ordering::Relaxed);
                self.acknowledge(acks).await;
                source.hold().await;
            }
            let message = {
                let mut next = pin!(source.next());
                match now(next.as_mut()).await {
                    Some(message) => message,
                    None if acks.is_empty() => next.await,
                    None => match timeout(LINGER, next.as_mut()).await {
                        Ok(message) => message,
                        Err(_) => {
                            self.acknowledge(acks).await;
                            next.await
                        }
                    },
                }
            };
            let Some(message) = message else {
                self.acknowledge(acks).await;
                return None;
            };
            let async_nats::Message { subject, reply, payload, headers, .. } = message;
            let Some(address) = self.setting.route.address(&subject) else {
                debug!(%subject, "not of this channel; ignored");
                if let (true, Some(reply)) = (self.setting.jetstream, reply) {
                    self.tell(reply, AckKind::Ack).await;
                }
                continue;
            };
            let mut message = incoming(address, payload, headers.as_ref());
            let mut job =
                Job { message: Message::default(), subject, reply: None, delivered: 1, permit: None };
            if let Some(reply) = reply {
                if self.setting.jetstream {
                    job.delivered = source.deliveries.of(&reply);
                    if job.delivered > 1 {
                        message.bindings.set(NATS, field::DELIVERED, job.delivered);
                    }
                    job.reply = Some(reply);
                } else {
                    message.bindings.set(NATS, field::REPLY_TO, reply.as_str());
                }
            }
            job.message = message;
            return Some(job);
        }
    }

    /// Gives a message to the context, in the place of the last one.
    fn put(&self, cx: &mut Context, job: &mut Job) {
        cx.swap(&mut job.message);
        job.message = Message::default();
        if job.delivered > 1 && self.counts_deliveries() {
            cx.set_redelivered(job.delivered - 1);
        }
    }

    /// Whether the broker does the waiting between attempts.
    fn counts_deliveries(&self) -> bool {
        self.setting.jetstream && self.order.is_none()
    }

    /// Handles what waited behind a message that is settled.
    async fn follow(&self, cx: &mut Context, number: usize, job: &Job) {
        let Some(order) = &self.order else { return };
        while let Some(mut next) = order.leave(&job.subject) {
            if self.is_over(cx) {
                return self.hand_back(next).await;
            }
            self.put(cx, &mut next);
            self.take_in_hand(number, next.reply.iter());
            let mut acks: Acks = self.handle(cx, &next).await.into_iter().collect();
            self.acknowledge(&mut acks).await;
        }
    }

    /// Whether nothing is begun any more.
    fn is_over(&self, cx: &Context) -> bool {
        self.setting.jetstream && cx.stop().is_requested()
    }

    /// Gives a message back to the broker, and those that wait behind it.
    async fn hand_back(&self, job: Job) {
        let mut next = Some(job);
        while let Some(job) = next {
            if let Some(reply) = job.reply {
                self.tell(reply, AckKind::Nak(None)).await;
            }
            next = self.order.as_ref().and_then(|order| order.leave(&job.subject));
        }
    }

    fn take_in_hand<'a>(&self, number: usize, replies: impl Iterator<Item = &'a Subject>) {
        if !self.setting.jetstream {
            return;
        }
        if let Some(hand) = lock(&self.in_hand).get_mut(number) {
            hand.clear();
            hand.extend(replies.cloned());
        }
    }

    /// Has a message handled, and tells what became of it, but for an acknowledgement: where that is to go.
    async fn handle(&self, cx: &Context, job: &Job) -> Option<Subject> {
        let outcome = deliver(&*self.app, cx, &self.setting.policies).await;
        match &job.reply {
            None => {
                if !outcome.is_acked() {
                    warn!(
                        address = cx.address(),
                        ?outcome,
                        "message lost: NATS without JetStream does not deliver again"
                    );
                }
                None
            }
            Some(reply) if self.order.is_some() => Box::pin(self.insist(cx, reply, outcome)).await,
            Some(reply) => self.settle(cx.address(), reply.clone(), outcome, job.delivered).await,
        }
    }

    /// Delivers until the message is settled, with growing pauses, so that what comes behind it on its subject waits.
    async fn insist(&self, cx: &Context, reply: &Subject, mut outcome: Outcome) -> Option<Subject> {
        let policy = self.setting.policies.base();
        let mut rounds = 0_u32;
        while !outcome.is_acked() {
            rounds = rounds.saturating_add(1);
            let pause = policy.backoff.pause(policy.attempts.saturating_add(rounds));
            warn!(address = cx.address(), ?pause, ?outcome, "message not settled; it blocks its subject");
            tokio::select! {
                () = sleep(pause) => {}
                () = cx.stop().requested() => break,
            }
            outcome = deliver(&*self.app, cx, &self.setting.policies).await;
        }
        self.settle(cx.address(), reply.clone(), outcome, 1).await
    }

    /// Tells the consumer what became of a message, but for an acknowledgement: where that is to go.
    async fn settle(
        &self,
        address: &str,
        reply: Subject,
        outcome: Outcome,
        delivered: u32,
    ) -> Option<Subject> {
        let kind = match outcome {
            Outcome::Acked | Outcome::DeadLettered(_) => return Some(reply),
            Outcome::Discarded(_) => AckKind::Term,
            Outcome::Nacked { disposition: Disposition::RetryAfter(pause), .. } => AckKind::Nak(Some(pause)),
            Outcome::Nacked { .. } | Outcome::Unsettled => {
                let pause = self.setting.policies.base().backoff.pause(delivered);
                debug!(address, ?pause, ?outcome, "left with the broker");
                AckKind::Nak(Some(pause))
            }
        };
        self.tell(reply, kind).await;
        None
    }

    /// An empty answer acknowledges.
    async fn acknowledge(&self, acks: &mut Acks) {
        for reply in acks.drain(..) {
            if let Err(error) = self.link.client.publish(reply, Bytes::new()).await {
                debug!(%error, "not acknowledged; it will be delivered again");
            }
        }
    }

    async fn tell(&self, reply: Subject, kind: AckKind) {
        if let Err(error) = self.link.client.publish(reply, kind.into()).await {
            debug!(%error, "the broker does not know");
        }
    }

    /// Hands over several messages at a time.
    async fn batches(self: Arc<Self>, number: usize, batch: BatchInfo) {
        let mut contexts: Vec<Context> = Vec::new();
        let (mut jobs, mut settlements, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
        let mut acks = Acks::default();
        loop {
            let mut source = self.lead().await;
            let mut until = None;
            while jobs.len() < batch.size.max(1) {
                let next = self.next(&mut source, &mut acks);
                let next = match until {
                    None => next.await,
                    Some(until) => match timeout_at(until, next).await {
                        Ok(next) => next,
                        Err(_) => break,
                    },
                };
                let Some(mut job) = next else { break };
                until.get_or_insert_with(|| tokio::time::Instant::now() + batch.wait);
                if contexts.len() == jobs.len() {
                    contexts.push(self.context.clone());
                }
                self.put(&mut contexts[jobs.len()], &mut job);
                jobs.push(job);
            }
            if jobs.is_empty() {
                return;
            }
            self.take_in_hand(number, jobs.iter().filter_map(|job| job.reply.as_ref()));
            self.hand_over(source);
            let contexts = &contexts[..jobs.len()];
            let done = |index: usize, outcome| outcomes.push((index, outcome));
            deliver_batch(&*self.app, contexts, &self.setting.policies, &mut settlements, done).await;
            for (index, outcome) in outcomes.drain(..) {
                let address = contexts[index].address();
                match jobs[index].reply.take() {
                    Some(reply) => {
                        acks.extend(self.settle(address, reply, outcome, jobs[index].delivered).await);
                    }
                    None if outcome.is_acked() => {}
                    None => warn!(
                        address,
                        ?outcome,
                        "message lost: NATS without JetStream does not deliver again"
                    ),
                }
            }
            self.acknowledge(&mut acks).await;
            jobs.clear();
            self.take_in_hand(number, [].iter());
        }
    }
}

/// What is ready now.
async fn now<T>(mut future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
    poll_fn(|task| match future.as_mut().poll(task) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}
