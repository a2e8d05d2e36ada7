//! From start to stop: what is connected, what runs, and in which order it ends.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use amgi::{
    Application, Context, Error, Message, MessageSend, Result, lifespan,
    server::{Lanes, Stop},
};
use redis::cmd;
use tokio::{sync::Semaphore, task::JoinSet};
use tracing::{debug, info, warn};

use crate::{
    config::Config,
    fresh::keep_fresh,
    lane::{Lane, Shared},
    link::Link,
    parts::{Part, Parts, run},
    pubsub::{self, Job, Subscriber},
    replies::Replies,
    routes::{Routes, Stream},
    sender::Sender,
    wire::Lost,
};

/// How long the last word may take.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A server whose options are settled.
pub(crate) struct Running {
    pub(crate) routes: Arc<Routes>,
    pub(crate) stop: Stop,
    pub(crate) on_ready: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// Streams by the server that they are on.
fn by_slot(streams: &[Stream], config: &Config) -> BTreeMap<u16, Vec<Stream>> {
    let mut slots: BTreeMap<u16, Vec<Stream>> = BTreeMap::new();
    for stream in streams {
        slots.entry(config.place.slot(stream.key.as_bytes())).or_default().push(stream.clone());
    }
    slots
}

/// What each lane reads: its consumer, the slot and the streams.
fn divide(streams: &[Stream], config: &Config) -> Vec<(String, u16, Vec<Stream>)> {
    let mut lanes = Vec::new();
    for (slot, streams) in by_slot(streams, config) {
        if config.ordered {
            let count = if config.place.is_cluster() { 1 } else { config.concurrency.min(streams.len()) };
            let mut divided = vec![Vec::new(); count];
            for (index, stream) in streams.into_iter().enumerate() {
                divided[index % count].push(stream);
            }
            lanes.extend(divided.into_iter().map(|streams| (config.consumer.clone(), slot, streams)));
        } else {
            // Each is a consumer: what one has in hand is not what another has left over.
            let lane = |number| (format!("{}-{number}", config.consumer), slot, streams.clone());
            lanes.extend((0..config.concurrency).map(lane));
        }
    }
    lanes
}

/// What is connected before the application starts.
struct Connected<A> {
    lanes: Vec<Lane<A>>,
    published: Option<Subscriber>,
    /// What is published in reply to requests.
    replies: Option<Subscriber>,
    streams: Vec<Replies<A>>,
}

/// What runs.
#[derive(Default)]
struct Tasks {
    /// The end of these is the end of a drain.
    workers: JoinSet<()>,
    /// These are needed until then.
    background: JoinSet<()>,
    /// Published messages that were not begun.
    dropped: Arc<AtomicU64>,
}

impl Running {
    pub(crate) async fn serve<A: Application>(
        self,
        mut shared: Shared<A>,
        sender: Arc<Sender>,
    ) -> Result<()> {
        let config = shared.config.clone();
        let lanes = divide(&self.routes.streams, &config);
        if lanes.len() > config.concurrency {
            shared.permits = Some(Arc::new(Semaphore::new(config.concurrency)));
        }
        let shared = Arc::new(shared);
        let connected = tokio::select! {
            connected = self.connect(lanes, &shared) => connected,
            () = self.stop.requested() => return Ok(()),
        };
        let connected = connected
            .map_err(|error| Error::Broker(format!("cannot connect to {}: {error}", config.place).into()))?;

        let sender: Arc<dyn MessageSend> = sender;
        let state = lifespan::startup(&*shared.app, sender.clone()).await?;
        // Startup may have put another in its place.
        let sender = state.sender().cloned().unwrap_or(sender);
        let cx = Context::new(Message::default(), state, sender);
        let mut tasks = Tasks::default();
        let parts = self.spawn(connected, &shared, &cx, &mut tasks);
        info!(url = %config.place, group = config.group, consumer = config.consumer, "connected");
        parts.tell();

        let ran = self.wait(&mut tasks.workers).await;
        shared.drain.request();
        drain(&mut tasks.workers, config.shutdown_deadline).await;
        tasks.background.shutdown().await;
        let dropped = tasks.dropped.load(Ordering::Relaxed);
        if dropped > 0 {
            warn!(dropped, "published messages waited for handlers when the server stopped: they are lost");
        }
        self.forget_own(&shared.link).await;
        let shut_down = lifespan::shutdown(&*shared.app).await;
        ran.and(shut_down)
    }

    /// Connects everything for the first time.
    async fn connect<A: Application>(
        &self,
        lanes: Vec<(String, u16, Vec<Stream>)>,
        shared: &Arc<Shared<A>>,
    ) -> Result<Connected<A>, Lost> {
        let place = &shared.config.place;
        // Where nothing is received, Redis must be there all the same.
        place.open(0).await?.call(&cmd("PING")).await?;
        let mut connected =
            Connected { lanes: Vec::new(), published: None, replies: None, streams: Vec::new() };
        for (consumer, slot, streams) in lanes {
            let mut lane = Lane::new(shared.clone(), consumer, slot, streams);
            lane.connect().await?;
            connected.lanes.push(lane);
        }
        if !self.routes.subscriptions.is_empty() {
            let mut subscriber = self.subscriber(shared, false);
            subscriber.connect().await?;
            connected.published = Some(subscriber);
        }
        if !self.routes.reply_subscriptions.is_empty() {
            let mut subscriber = self.subscriber(shared, true);
            subscriber.connect().await?;
            connected.replies = Some(subscriber);
        }
        for (slot, streams) in by_slot(&self.routes.reply_streams, &shared.config) {
            let mut replies = Replies::new(shared.clone(), slot, streams);
            replies.connect().await?;
            connected.streams.push(replies);
        }
        Ok(connected)
    }

    fn subscriber<A>(&self, shared: &Shared<A>, replies: bool) -> Subscriber {
        let config = &shared.config;
        let buffer = config.buffer.min(Semaphore::MAX_PERMITS);
        Subscriber {
            place: config.place.clone(),
            routes: self.routes.clone(),
            replies,
            lanes: None,
            early: Vec::new(),
            room: Arc::new(Semaphore::new(buffer)),
            buffer,
            // Replies are waited for while the server drains.
            stop: if replies { Stop::ignoring_signals() } else { shared.drain.clone() },
            wire: None,
            connected: false,
        }
    }

    /// Begins to receive.
    fn spawn<A: Application>(
        &self,
        connected: Connected<A>,
        shared: &Arc<Shared<A>>,
        cx: &Context,
        tasks: &mut Tasks,
    ) -> Arc<Parts> {
        let config = &shared.config;
        let all = connected.lanes.len() + usize::from(connected.published.is_some());
        let parts = Arc::new(Parts { all, up: AtomicUsize::new(all), on_ready: self.on_ready.clone() });
        let held = connected.lanes.iter().map(Lane::held).collect();
        tasks.background.spawn(keep_fresh(held, config.clone(), shared.link.clone()));
        let work = |cx: Context, jobs| {
            pubsub::work(shared.app.clone(), cx, shared.policies.clone(), jobs, tasks.dropped.clone())
        };
        if let Some(mut subscriber) = connected.replies {
            let lanes = Lanes::start(1, Job::address, &mut tasks.background, |jobs| work(cx.clone(), jobs));
            subscriber.begin(lanes);
            let config = config.clone();
            tasks.background.spawn(async move {
                let (parts, stop) = (Parts::none(), subscriber.stop.clone());
                run(&mut subscriber, &parts, &stop, &config.place, config.reconnect, "replies").await;
            });
        }
        for replies in connected.streams {
            let (mut replies, shared) = (replies.with_context(cx.clone()), shared.clone());
            tasks.background.spawn(async move {
                let (parts, stop, config) = (Parts::none(), Stop::ignoring_signals(), &shared.config);
                run(&mut replies, &parts, &stop, &config.place, config.reconnect, "replies").await;
            });
        }
        let cx = cx.clone().with_stop(&shared.drain);
        for lane in connected.lanes {
            let (mut lane, parts, shared) = (lane.with_context(cx.clone()), parts.clone(), shared.clone());
            tasks.workers.spawn(async move {
                let config = &shared.config;
                run(&mut lane, &parts, &shared.drain, &config.place, config.reconnect, "streams").await;
                lane.finish().await;
            });
        }
        if let Some(mut subscriber) = connected.published {
            let lanes = Lanes::start(config.concurrency, Job::address, &mut tasks.workers, |jobs| {
                work(cx.clone(), jobs)
            });
            subscriber.begin(lanes);
            let (parts, shared) = (parts.clone(), shared.clone());
            tasks.workers.spawn(async move {
                let config = &shared.config;
                run(&mut subscriber, &parts, &shared.drain, &config.place, config.reconnect, "subscriptions")
                    .await;
            });
        }
        parts
    }

    /// Until a stop is asked for, or a worker breaks down.
    async fn wait(&self, workers: &mut JoinSet<()>) -> Result<()> {
        tokio::select! {
            () = self.stop.requested() => Ok(()),
            Some(ended) = workers.join_next() => Err(Error::Broker(match ended {
                Err(error) => format!("a worker broke down: {error}").into(),
                Ok(()) => "a worker has ended by itself".into(),
            })),
        }
    }

    /// Removes the streams that nobody else knows.
    async fn forget_own(&self, link: &Link) {
        for stream in self.routes.reply_streams.iter().filter(|stream| stream.own) {
            let slot = link.place().slot(stream.key.as_bytes());
            if let Err(error) = link.call(slot, cmd("DEL").arg(&stream.key), LAST_WORDS).await {
                debug!(%error, stream = stream.key, "the stream of replies is left behind");
            }
        }
    }
}

/// Waits for workers, but not beyond the deadline.
async fn drain(workers: &mut JoinSet<()>, deadline: Duration) {
    info!("stopping: finishing what is in flight");
    let by = Instant::now() + deadline;
    let ended = async { while workers.join_next().await.is_some() {} };
    if tokio::time::timeout_at(by.into(), ended).await.is_err() {
        warn!(workers = workers.len(), "deadline passed; what is still in handlers stays in its stream");
        workers.shutdown().await;
    }
}
