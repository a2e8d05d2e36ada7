//! A member of a consumer group: partitions that come and go, what is committed, and the end.
//!
//! What must hold: the group is polled whatever handlers do; a partition is given up only when its loop has ended and what it
//! settled is committed, or the deadline has passed; nothing is committed but offsets up to which all is settled.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use amgi::{Application, Context, Message, MessageSend, Result, State, server::Stop};
use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{CommitMode, Consumer as _, RebalanceProtocol},
    error::{KafkaError, RDKafkaErrorCode},
    message::Message as _,
    topic_partition_list::TopicPartitionListElem,
};
use tokio::{
    sync::mpsc,
    task::{AbortHandle, Id, JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout},
};
use tracing::{debug, info, warn};

use crate::{
    Lag, Ready,
    admin::{Consumer, begin_at_end, blocking_with, broker, there_again},
    callbacks::{Event, give_up},
    config::Config,
    partition::{Shared, Source},
    topic::{Found, Routes, Topics},
};

/// How long the last commit, and leaving the group, may take.
const LAST_WORDS: Duration = Duration::from_secs(5);

pub(crate) type OnLag = Arc<dyn Fn(&Lag) + Send + Sync>;

type Place = (String, i32);

pub(crate) struct Member<A> {
    /// Before the consumer, whose end waits for an answer to a last revocation as long as somebody could give it.
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    pub(crate) config: Arc<Config>,
    pub(crate) group: String,
    pub(crate) consumer: Consumer,
    pub(crate) topics: Arc<Topics>,
    pub(crate) routes: Routes,
    pub(crate) shared: Shared<A>,
    pub(crate) state: State,
    pub(crate) sender: Arc<dyn MessageSend>,
    pub(crate) stop: Stop,
    pub(crate) ready: Arc<Ready>,
    pub(crate) on_lag: Option<OnLag>,
    pub(crate) at: Progress,
}

/// What a member has and does.
#[derive(Default)]
pub(crate) struct Progress {
    partitions: HashMap<Place, Partition>,
    /// Assigned, and nobody's business.
    ignored: HashSet<Place>,
    /// There was an assignment.
    assigned: bool,
    loops: JoinSet<()>,
    places: HashMap<Id, Place>,
    revoking: Option<Revoking>,
    /// All brokers are gone; ends when one is there again.
    missing: JoinSet<()>,
    /// The last commit of a server that ends.
    last: JoinSet<()>,
    /// Since when the server drains, and until when.
    deadline: Option<Instant>,
    draining: bool,
}

/// A partition that is ours.
struct Partition {
    /// What its loop has settled.
    done: Arc<AtomicI64>,
    /// What librdkafka was told of that; it commits what it is told.
    stored: i64,
    stop: Stop,
    task: AbortHandle,
    ended: bool,
}

/// Partitions that the group wants back.
struct Revoking {
    partitions: TopicPartitionList,
    lost: bool,
    until: Instant,
    /// The deadline for their loops has passed.
    aborted: bool,
}

impl<A: Application> Member<A> {
    /// Receives until a stop is requested and everything is finished, or there is no point in going on.
    pub(crate) async fn run(mut self) -> Result<()> {
        let ran = self.receive().await;
        if ran.is_err() {
            self.at.loops.shutdown().await;
        }
        self.close().await;
        ran
    }

    async fn receive(&mut self) -> Result<()> {
        let subscriptions: Vec<String> =
            self.routes.all().iter().map(crate::topic::Route::subscription).collect();
        let subscriptions: Vec<&str> = subscriptions.iter().map(String::as_str).collect();
        self.consumer
            .subscribe(&subscriptions)
            .map_err(|error| broker(format!("cannot subscribe to {}: {error}", subscriptions.join(", "))))?;
        info!(url = %self.config.url, group = self.group, topics = subscriptions.join(", "), "subscribed");
        let consumer = self.consumer.clone();
        let stop = self.stop.clone();
        let mut stopped = std::pin::pin!(stop.requested());
        let mut stores = interval(self.config.commit_interval / 2);
        stores.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.advance();
            if self.at.draining && self.at.loops.is_empty() && self.at.last.is_empty() {
                // Librdkafka commits what it was told once more when partitions are given up.
                self.store();
                match self.settled() {
                    None => return Ok(()),
                    Some(list) => {
                        self.at.deadline = Some(Instant::now() + LAST_WORDS);
                        self.at.last.spawn(commit_last(self.consumer.clone(), list));
                    }
                }
            }
            let revoked_by = self.at.revoking.as_ref().map(|revoking| revoking.until);
            tokio::select! {
                Some(event) = self.events.recv() => self.event(event).await?,
                received = consumer.recv() => match received {
                    Ok(message) => self.stray(message.topic(), message.partition())?,
                    Err(error) => self.failed(&error)?,
                },
                Some(ended) = self.at.loops.join_next_with_id() => self.ended(ended)?,
                Some(_) = self.at.missing.join_next() => {
                    info!(url = %self.config.url, "connected again");
                    self.ready.assigned(false);
                }
                // Confirmed, or there is nothing more to be done.
                Some(_) = self.at.last.join_next() => return Ok(()),
                _ = stores.tick() => self.store(),
                () = &mut stopped, if !self.at.draining => self.drain(),
                () = until(revoked_by), if revoked_by.is_some() => self.overdue(),
                () = until(self.at.deadline), if self.at.deadline.is_some() => self.abandon(),
            }
        }
    }

    async fn event(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Assigned(partitions) => self.assign(partitions).await?,
            Event::Revoked { partitions, lost } => self.revoke(partitions, lost),
            Event::Uncommitted(error) => {
                warn!(group = self.group, %error, "the commit failed; it is tried again");
            }
            Event::Ends(ends) => self.lag(ends),
        }
        Ok(())
    }

    async fn assign(&mut self, mut partitions: TopicPartitionList) -> Result<()> {
        if self.config.start == crate::Start::End && partitions.count() > 0 && !self.at.draining {
            partitions = begin_at_end(&self.config, &self.consumer, partitions).await?;
        }
        let mut ignored = TopicPartitionList::new();
        for element in partitions.elements() {
            let place = place(&element);
            if self.at.draining || !self.begin(&place) {
                ignored.add_partition(&place.0, place.1);
                self.at.ignored.insert(place);
            }
        }
        let done = match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.consumer.incremental_assign(&partitions),
            RebalanceProtocol::Eager | RebalanceProtocol::None => self.consumer.assign(&partitions),
        };
        done.map_err(|error| broker(format!("cannot take partitions: {error}")))?;
        if ignored.count() > 0
            && let Err(error) = self.consumer.pause(&ignored)
        {
            warn!(%error, "topics that no channel wants cannot be paused");
        }
        info!(
            group = self.group,
            new = partitions.count(),
            all = self.at.partitions.len(),
            "partitions assigned"
        );
        if !self.at.draining {
            let first = !std::mem::replace(&mut self.at.assigned, true);
            self.ready.assigned(first);
        }
        Ok(())
    }

    /// Starts the loop of a partition; false when no channel wants it. Its queue is taken before the first message is fetched.
    fn begin(&mut self, place: &Place) -> bool {
        let (topic, number) = place;
        let Found::Address(route, address) = self.topics.address(&self.routes, topic) else {
            debug!(topic, "the subscription takes it, no channel does");
            return false;
        };
        let Some(queue) = self.consumer.split_partition_queue(topic, *number) else { return false };
        let stop = Stop::new();
        let done = Arc::new(AtomicI64::new(-1));
        let batch = self.shared.app.channels()[route.index].batch;
        let source = Source { address, batch, done: done.clone(), stop: stop.clone() };
        let cx = Context::new(Message::default(), self.state.clone(), self.sender.clone());
        let task = self.at.loops.spawn(self.shared.clone().run(queue, source, cx));
        self.at.places.insert(task.id(), place.clone());
        let partition = Partition { done, stored: -1, stop, task, ended: false };
        self.at.partitions.insert(place.clone(), partition);
        true
    }

    fn revoke(&mut self, partitions: TopicPartitionList, lost: bool) {
        info!(
            group = self.group,
            count = partitions.count(),
            lost,
            "partitions revoked: finishing what is in flight"
        );
        for element in partitions.elements() {
            if let Some(partition) = self.at.partitions.get(&place(&element)) {
                partition.stop.request();
            }
        }
        let until = Instant::now() + self.config.revoke_deadline;
        self.at.revoking = Some(Revoking { partitions, lost, until, aborted: false });
    }

    /// Takes a revocation further when its loops have ended.
    fn advance(&mut self) {
        let Some(revoking) = &self.at.revoking else { return };
        let busy =
            |element| self.at.partitions.get(&place(element)).is_some_and(|partition| !partition.ended);
        if !revoking.partitions.elements().iter().any(busy) {
            if !revoking.lost {
                self.store();
            }
            self.give_up();
        }
    }

    /// Lets the revoked partitions go. Librdkafka commits what it was told of them first.
    fn give_up(&mut self) {
        let Some(revoking) = self.at.revoking.take() else { return };
        for element in revoking.partitions.elements() {
            let place = place(&element);
            self.at.partitions.remove(&place);
            self.at.ignored.remove(&place);
        }
        give_up(&*self.consumer, &revoking.partitions);
        info!(group = self.group, count = revoking.partitions.count(), "partitions given up");
    }

    /// The deadline of a revocation has passed.
    fn overdue(&mut self) {
        let Some(revoking) = &mut self.at.revoking else { return };
        if revoking.aborted {
            warn!("a handler blocks its thread; its partition is given up all the same");
            self.store();
            self.give_up();
            return;
        }
        warn!("deadline passed; what is still in handlers of revoked partitions goes to another instance");
        // Their loops end, unless a handler blocks its thread.
        revoking.aborted = true;
        revoking.until = Instant::now() + LAST_WORDS;
        for element in revoking.partitions.elements() {
            if let Some(partition) = self.at.partitions.get(&place(&element)) {
                partition.task.abort();
            }
        }
    }

    fn ended(&mut self, ended: Result<(Id, ()), JoinError>) -> Result<()> {
        let id = match &ended {
            Ok((id, ())) => *id,
            Err(error) => error.id(),
        };
        let Some(place) = self.at.places.remove(&id) else { return Ok(()) };
        // One that was given up meanwhile may have come back.
        if let Some(partition) =
            self.at.partitions.get_mut(&place).filter(|partition| partition.task.id() == id)
        {
            partition.ended = true;
        }
        match ended {
            Err(error) if error.is_panic() => {
                Err(broker(format!("the loop of {}/{} broke down: {error}", place.0, place.1)))
            }
            _ => Ok(()),
        }
    }

    /// Tells librdkafka what was settled since, for its next commit.
    fn store(&mut self) {
        let mut list = TopicPartitionList::new();
        for (place, partition) in &mut self.at.partitions {
            let done = partition.done.load(Ordering::Acquire);
            if done > partition.stored
                && list.add_partition_offset(&place.0, place.1, Offset::Offset(done)).is_ok()
            {
                partition.stored = done;
            }
        }
        if list.count() > 0
            && let Err(error) = self.consumer.store_offsets(&list)
        {
            // Of partitions that are lost already.
            warn!(group = self.group, %error, "what was settled cannot be committed and comes again");
        }
    }

    fn lag(&self, ends: Vec<(String, i32, i64)>) {
        let Some(on_lag) = &self.on_lag else { return };
        for (topic, partition, end) in ends {
            let place = (topic, partition);
            let Some(at) = self.at.partitions.get(&place) else { continue };
            let done = at.done.load(Ordering::Acquire);
            if done >= 0 {
                let messages = u64::try_from(end - done).unwrap_or(0);
                on_lag(&Lag { topic: place.0, partition, messages });
            }
        }
    }

    /// A message that came past the queues of partitions.
    fn stray(&self, topic: &str, partition: i32) -> Result<()> {
        if self.at.draining || !self.at.partitions.contains_key(&(topic.to_owned(), partition)) {
            return Ok(());
        }
        // It would be lost when those behind it are committed. What is not committed comes again.
        Err(broker(format!("a message of {topic}/{partition} came outside of its queue")))
    }

    fn failed(&mut self, error: &KafkaError) -> Result<()> {
        match error {
            KafkaError::MessageConsumptionFatal(code) => {
                let why = self.consumer.context().logs.last_error().unwrap_or_else(|| code.to_string());
                return Err(broker(format!("group `{}`: {why}", self.group)));
            }
            KafkaError::MessageConsumption(RDKafkaErrorCode::AllBrokersDown) => {
                if self.at.missing.is_empty() {
                    warn!(url = %self.config.url, "all brokers are gone; connections are made again");
                    self.at.missing.spawn(there_again(self.config.clone(), self.consumer.clone()));
                }
            }
            KafkaError::MessageConsumption(
                RDKafkaErrorCode::BrokerTransportFailure | RDKafkaErrorCode::Resolve,
            ) => {
                debug!(url = %self.config.url, %error, "connection lost; it is made again");
            }
            error => warn!(group = self.group, %error, "the broker objects"),
        }
        Ok(())
    }

    fn drain(&mut self) {
        info!(group = self.group, "stopping: finishing what is in flight");
        self.at.draining = true;
        self.at.deadline = Some(Instant::now() + self.config.shutdown_deadline);
        for partition in self.at.partitions.values() {
            partition.stop.request();
        }
    }

    /// The deadline of a drain has passed.
    fn abandon(&mut self) {
        self.at.deadline = None;
        if self.at.last.is_empty() {
            warn!("deadline passed; what is still in handlers stays with the broker");
            self.at.loops.abort_all();
        } else {
            warn!("ending without a confirmed commit; what it was about comes again");
            self.at.last.abort_all();
        }
    }

    /// All that was settled of the partitions that are ours; `None` when there is nothing.
    fn settled(&self) -> Option<TopicPartitionList> {
        let mut list = TopicPartitionList::new();
        for ((topic, number), partition) in &self.at.partitions {
            let done = partition.done.load(Ordering::Acquire);
            if done >= 0 && list.add_partition_offset(topic, *number, Offset::Offset(done)).is_err() {
                warn!(topic, number, "what was settled cannot be committed and comes again");
            }
        }
        (list.count() > 0).then_some(list)
    }

    /// Commits and leaves the group. Librdkafka waits for the broker here, so it happens beside.
    async fn close(self) {
        let Self { consumer, events, mut at, .. } = self;
        consumer.context().closing.store(true, Ordering::Release);
        drop(events);
        // They have it, too.
        at.missing.shutdown().await;
        at.last.shutdown().await;
        close(consumer).await;
    }
}

/// Ends a consumer, which may take a moment.
pub(crate) async fn close(consumer: Consumer) {
    let (done, closed) = tokio::sync::oneshot::channel();
    let closing = std::thread::Builder::new().name("amgi-kafka-close".to_owned()).spawn(move || {
        drop(consumer);
        let _ = done.send(());
    });
    if closing.is_ok() && timeout(LAST_WORDS, closed).await.is_err() {
        warn!("the consumer does not end; the group notices by its session timeout");
    }
}

/// Gives a consumer back from a thread that the process waits for at its end. Whoever is the last ends it, for which librdkafka may
/// wait for a broker that is away: that is left to a thread which nobody waits for.
pub(crate) fn let_go(consumer: Consumer) {
    if let Some(last) = Arc::into_inner(consumer) {
        let ending = std::thread::Builder::new().name("amgi-kafka-close".to_owned());
        // Where there is no thread it ends here.
        drop(ending.spawn(move || drop(last)));
    }
}

/// Commits until the broker confirms it. While the group is on its way to a new generation it takes none.
async fn commit_last(consumer: Consumer, list: TopicPartitionList) {
    loop {
        let list = list.clone();
        match blocking_with(&consumer, move |it| it.commit(&list, CommitMode::Sync)).await {
            Ok(Err(error)) => debug!(%error, "the last commit failed; it is tried again"),
            Ok(Ok(())) | Err(_) => return,
        }
        sleep(Duration::from_millis(50)).await;
    }
}

fn place(element: &TopicPartitionListElem<'_>) -> Place {
    (element.topic().to_owned(), element.partition())
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
