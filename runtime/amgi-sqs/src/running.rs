//! From start to stop: what runs, and in which order it ends.

use std::{sync::Arc, time::Duration};

use amgi::{
    Application, Context, Message, MessageSend, Result, State, lifespan,
    server::{Policy, Stop},
};
use tokio::{task::JoinSet, time::timeout};
use tracing::{debug, info, warn};

use crate::{
    config::Config,
    lane::Lane,
    link::Link,
    outbox::Outbox,
    poller::{Health, TEN, poll},
    queue::{Queue, Setting},
    routes::{Receives, Routes},
    startup::{Found, Startup},
};

/// How long the last deletes may take when the server ends.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// A server whose options are settled.
pub(crate) struct Running {
    pub(crate) config: Config,
    pub(crate) routes: Arc<Routes>,
    pub(crate) policy: Policy,
    pub(crate) stop: Stop,
    pub(crate) on_ready: Option<Arc<dyn Fn() + Send + Sync>>,
}

/// Channels of one kind, and what runs for them.
struct Part<A> {
    lanes: Vec<Arc<Lane<A>>>,
    queues: Vec<Arc<Queue>>,
    pollers: JoinSet<()>,
    /// They end when everything is told.
    tellers: JoinSet<()>,
    keepers: JoinSet<()>,
    /// URLs of queues that nobody else knows.
    own: Vec<String>,
}

impl<A> Default for Part<A> {
    fn default() -> Self {
        Self {
            lanes: Vec::new(),
            queues: Vec::new(),
            pollers: JoinSet::new(),
            tellers: JoinSet::new(),
            keepers: JoinSet::new(),
            own: Vec::new(),
        }
    }
}

impl Running {
    pub(crate) async fn serve<A: Application>(self, app: A, receives: Vec<Receives>) -> Result<()> {
        let Self { config, routes, policy, .. } = &self;
        let channels = app.channels().to_vec();
        let opened = async {
            let link = Link::open(config).await?;
            let startup = Startup { link: &link, config, routes, policy, channels: &channels };
            let found = startup.find(&receives).await?;
            Ok((link, found))
        };
        let opened: Result<(Link, Vec<Vec<Found>>)> = tokio::select! {
            opened = opened => opened,
            () = self.stop.requested() => return Ok(()),
        };
        let (link, found) = opened?;
        let sender: Arc<dyn MessageSend> = Arc::new(Outbox::new(
            &link,
            routes.clone(),
            config.numbers.clone(),
            config.send_timeout,
            config.reconnect,
        ));
        let app = Arc::new(app);
        let state = match lifespan::startup(&*app, sender.clone()).await {
            Ok(state) => state,
            Err(error) => {
                let own = found.iter().flatten().filter(|found| found.source.own);
                forget(&link, own.map(|found| found.known.url.clone()).collect()).await;
                return Err(error);
            }
        };
        // Startup may have put another in its place.
        let sender = state.sender().cloned().unwrap_or(sender);
        let ran = self.run(&app, &link, state, sender, receives.into_iter().zip(found).collect()).await;
        let ended = lifespan::shutdown(&*app).await;
        ran.and(ended)
    }

    async fn run<A: Application>(
        &self,
        app: &Arc<A>,
        link: &Link,
        state: State,
        sender: Arc<dyn MessageSend>,
        channels: Vec<(Receives, Vec<Found>)>,
    ) -> Result<()> {
        let health = Arc::new(Health::new(self.on_ready.clone()));
        let (mut work, mut replies) = (Part::default(), Part::default());
        for (receives, found) in channels {
            let is_reply = receives.channel.replies;
            // Replies are handed over as long as anybody may wait for one.
            let stop = if is_reply { Stop::ignoring_signals() } else { self.stop.clone() };
            let cx = Context::new(Message::default(), state.clone(), sender.clone()).with_stop(&stop);
            let part = if is_reply { &mut replies } else { &mut work };
            self.start(part, app, link, &cx, &stop, receives, found, &health);
        }
        info!(url = %self.config.url, queues = work.queues.len(), "receiving");
        health.tell();
        self.stop.requested().await;
        info!("stopping: finishing what is in flight");
        let ended = async {
            for lane in &work.lanes {
                lane.ended().await;
            }
        };
        if timeout(self.config.shutdown_deadline, ended).await.is_err() {
            warn!("deadline passed; what is still in handlers is given up");
        }
        work.end().await;
        let own = std::mem::take(&mut replies.own);
        replies.end().await;
        forget(link, own).await;
        Ok(())
    }

    #[allow(clippy::too_many_arguments)] // All of them are needed, once.
    fn start<A: Application>(
        &self,
        part: &mut Part<A>,
        app: &Arc<A>,
        link: &Link,
        cx: &Context,
        stop: &Stop,
        receives: Receives,
        found: Vec<Found>,
        health: &Arc<Health>,
    ) {
        let config = &self.config;
        let channel = receives.channel;
        let one_by_one = channel.batch.is_some() && found.iter().any(|found| found.source.place.is_fifo());
        let concurrency = if one_by_one { 1 } else { config.concurrency };
        let lane = Lane::new(app, cx.clone(), channel.batch, concurrency, stop.clone());
        // What is being handled, and what the polls may give meanwhile.
        let room = concurrency * channel.batch.map_or(1, |batch| batch.size.max(1)) + TEN * config.pollers;
        for Found { source, known, policies, by_delivery } in found {
            let visibility =
                config.visibility.or(source.wanted.visibility_timeout).filter(|seconds| *seconds > 0);
            let setting = Setting {
                address: source.address,
                is_fifo: source.place.is_fifo(),
                visibility: visibility.unwrap_or(known.visibility),
                wait: config.wait.or(source.wanted.receive_message_wait_time).unwrap_or(20).min(20),
                enveloped: config.envelopes || source.enveloped,
                policies,
                by_delivery,
                room,
                url: known.url,
            };
            if source.own {
                part.own.push(setting.url.clone());
            }
            let queue = Queue::new(setting, link, config, &mut part.tellers);
            part.keepers.spawn(queue.clone().keep_hidden());
            for _ in 0..config.pollers {
                let polls = poll(lane.clone(), queue.clone(), health.clone(), config.reconnect, stop.clone());
                part.pollers.spawn(polls);
            }
            part.queues.push(queue);
        }
        part.lanes.push(lane);
    }
}

impl<A: Application> Part<A> {
    /// Ends what runs, gives back what is still here, and tells AWS the rest.
    async fn end(mut self) {
        // Whoever polls still gives back what he gets as long as handlers finish.
        self.pollers.shutdown().await;
        for lane in &self.lanes {
            lane.abort().await;
        }
        self.keepers.shutdown().await;
        for queue in &self.queues {
            queue.give_all_back();
        }
        drop((self.lanes, self.queues));
        let told = async { while self.tellers.join_next().await.is_some() {} };
        if timeout(LAST_WORDS, told).await.is_err() {
            warn!("what was handled last may come again: AWS was not told in time");
        }
    }
}

/// Removes queues that nobody else knows.
async fn forget(link: &Link, urls: Vec<String>) {
    for url in urls {
        if let Err(error) = link.ask(Duration::ZERO, link.sqs.delete_queue().queue_url(&url).send()).await {
            debug!(%error, url, "the queue of replies is left behind");
        }
    }
}
