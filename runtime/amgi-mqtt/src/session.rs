//! The session: one connection after the other, what comes in on it and what goes out.
//!
//! What must hold: everything that waits is bounded; the connection is never kept waiting by a handler; when the session ends,
//! what was handled is acknowledged and nothing else.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::Arc,
    time::{Duration, Instant},
};

use amgi::{
    Error, Result,
    server::{Lanes, Stop},
};
use tokio::{
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::{sleep, sleep_until, timeout},
};
use tracing::{debug, info, warn};

use crate::{
    BrokerError, Version,
    config::Config,
    inbox::{Ack, Inbox, Received},
    link::{Link, LinkError, Writer},
    outbox::{Again, Outbox, Request},
    topic::{Found, Routes},
    wire::{ConnAck, Incoming, Outgoing, Publish},
    worker::{Done, Job},
};

/// Bytes that may wait to be written before no more sends are taken.
const WAITING_BYTES: usize = 256 * 1024;
/// Sends on their way at a time, at most.
const SENDS: u16 = 1000;
/// The same on 3.1.1, where the broker cannot say how many it takes: mosquitto closes the connection at more.
const SENDS_311: u16 = 20;
/// A connection that lasted this long was a good one: the next pause is short again.
const GOOD: Duration = Duration::from_secs(5);
/// How long the last acknowledgements may take when the server ends.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// How a connection ended.
enum Ended {
    /// The server is to end, and everything is said.
    Finished,
    /// Another connection may help.
    Lost(LinkError),
    /// Another connection does not help.
    Fatal(Error),
}

impl From<LinkError> for Ended {
    fn from(error: LinkError) -> Self {
        Self::Lost(error)
    }
}

impl From<crate::wire::WireError> for Ended {
    fn from(error: crate::wire::WireError) -> Self {
        Self::Lost(error.into())
    }
}

fn fatal(text: String) -> Ended {
    Ended::Fatal(Error::Broker(Box::new(BrokerError(text))))
}

/// What the broker on the other end can do.
struct Limits {
    sends: usize,
    qos: u8,
    retain: bool,
}

pub(crate) struct Session {
    pub(crate) config: Arc<Config>,
    pub(crate) routes: Arc<Routes>,
    /// None once the server is draining.
    pub(crate) lanes: Option<Lanes<Job>>,
    /// For replies, which handlers wait for, also while the server is draining.
    pub(crate) replies: Lanes<Job>,
    pub(crate) done: mpsc::UnboundedReceiver<Done>,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) workers: JoinSet<()>,
    pub(crate) stop: Stop,
    /// Tells the workers.
    pub(crate) drain: Stop,
    pub(crate) on_ready: Option<Arc<dyn Fn() + Send + Sync>>,
    pub(crate) state: State,
}

#[derive(Default)]
pub(crate) struct State {
    inbox: Inbox,
    outbox: Outbox,
    /// QoS 0: done when that many bytes are written.
    unwritten: VecDeque<(u64, Request)>,
    /// The subscriptions are in place.
    subscribed: bool,
    /// SUBSCRIBE with this packet id waits for its answer until then.
    subscribing: Option<(u16, Instant)>,
    draining: bool,
    deadline: Option<Instant>,
    /// All workers have ended, or were given up.
    idle: bool,
    dropped: u64,
}

impl Session {
    /// Runs until a stop is asked for and everything is finished, or there is no point in going on.
    pub(crate) async fn run(mut self) -> Result<()> {
        let result = self.connections().await;
        self.begin_drain();
        self.requests.close();
        self.state.outbox.close("the server has stopped");
        self.state.unwritten.clear();
        while let Ok(request) = self.requests.try_recv() {
            request.done(Err("the server has stopped".to_owned()));
        }
        // After a fatal error, handlers may still be at work.
        let deadline = self.state.deadline.unwrap_or_else(Instant::now);
        let ended = async { while self.workers.join_next().await.is_some() {} };
        if tokio::time::timeout_at(deadline.into(), ended).await.is_err() {
            self.workers.abort_all();
        }
        result
    }

    async fn connections(&mut self) -> Result<()> {
        let stop = self.stop.clone();
        let opened = tokio::select! {
            opened = Link::open(&self.config) => opened,
            () = stop.requested() => return Ok(()),
        };
        let (mut link, mut ack) = opened.map_err(|error| {
            Error::Broker(Box::new(BrokerError(format!("cannot connect to {}: {error}", self.config.url))))
        })?;
        let mut failures = 0_u32;
        loop {
            let since = Instant::now();
            let error = match self.connected(link, &ack).await {
                Ended::Finished => return Ok(()),
                Ended::Fatal(error) => return Err(error),
                Ended::Lost(error) => error,
            };
            self.disconnected();
            if since.elapsed() >= GOOD {
                failures = 0;
            }
            warn!(url = %self.config.url, %error, "connection lost");
            if failures == 2 {
                let client_id = &self.config.connect.client_id;
                warn!(client_id, "connections do not last; is another client connected with this client id?");
            }
            (link, ack) = loop {
                failures = failures.saturating_add(1);
                match self.reconnect(failures).await {
                    Ok(opened) => break opened,
                    Err(Ended::Lost(error)) => {
                        warn!(url = %self.config.url, %error, failures, "cannot reconnect");
                    }
                    Err(Ended::Finished) => return Ok(()),
                    Err(Ended::Fatal(error)) => return Err(error),
                }
            };
        }
    }

    fn begin_drain(&mut self) {
        if !self.state.draining {
            info!("stopping: finishing what is in flight");
            self.state.draining = true;
            self.state.deadline = Some(Instant::now() + self.config.shutdown_deadline);
            self.lanes = None;
            self.drain.request();
        }
    }

    /// The deadline of a drain has passed.
    fn give_up(&mut self) {
        warn!(
            messages = self.state.inbox.running(),
            "deadline passed; what is still in handlers stays with the broker"
        );
        self.workers.abort_all();
        self.state.deadline = None;
        self.state.idle = true;
    }

    /// A worker has ended.
    fn joined(&mut self, result: Result<(), JoinError>) -> Result<(), Ended> {
        if let Err(error) = result {
            return Err(fatal(format!("a worker broke down: {error}")));
        }
        self.state.idle = self.workers.is_empty();
        Ok(())
    }

    /// Whether handlers are, by so much that nothing more is kept for them.
    fn is_behind(&mut self) -> bool {
        let most = 4 * self.config.inflight;
        self.state.inbox.running() >= most && {
            self.settled();
            self.state.inbox.running() >= most
        }
    }

    /// Takes note of what is over.
    fn settled(&mut self) {
        while let Ok(done) = self.done.try_recv() {
            self.settle(&done);
        }
    }

    fn settle(&mut self, done: &Done) {
        self.state.inbox.settled(done.number, done.acked);
    }

    fn disconnected(&mut self) {
        self.state.inbox.disconnected();
        if let Some((id, _)) = self.state.subscribing.take() {
            self.state.outbox.release(id);
        }
    }

    /// Waits and connects again, and takes note of what is finished meanwhile.
    async fn reconnect(&mut self, failures: u32) -> Result<(Link, ConnAck), Ended> {
        let config = self.config.clone();
        let mut attempt = pin!(async move {
            sleep(config.reconnect.delay(failures)).await;
            Link::open(&config).await
        });
        let stop = self.stop.clone();
        let mut stopped = pin!(stop.requested());
        loop {
            if self.state.idle {
                warn!("ending without a connection; what is not acknowledged stays with the broker");
                return Err(Ended::Finished);
            }
            tokio::select! {
                result = &mut attempt => return Ok(result?),
                Some(done) = self.done.recv() => self.settle(&done),
                Some(result) = self.workers.join_next() => self.joined(result)?,
                () = &mut stopped, if !self.state.draining => self.begin_drain(),
                () = until(self.state.deadline), if self.state.deadline.is_some() => self.give_up(),
            }
        }
    }

    async fn connected(&mut self, mut link: Link, ack: &ConnAck) -> Ended {
        match self.serve(&mut link, ack).await {
            Ok(()) => Ended::Finished,
            Err(ended) => ended,
        }
    }

    async fn serve(&mut self, link: &mut Link, ack: &ConnAck) -> Result<(), Ended> {
        let limits = self.begin(&mut link.writer, ack)?;
        let keep_alive =
            ack.keep_alive.map_or(self.config.keep_alive, |seconds| Duration::from_secs(u64::from(seconds)));
        let mut pulse = Pulse::new(keep_alive, self.config.connect_timeout);
        let mut timer = pin!(sleep_until(self.next_look(&pulse, link).into()));
        let stop = self.stop.clone();
        let mut stopped = pin!(stop.requested());
        loop {
            while let Some(packet) = link.reader.packet()? {
                self.handle(packet, &mut link.writer)?;
            }
            self.settled();
            self.acknowledge(&mut link.writer)?;
            if self.state.idle {
                return Self::say_goodbye(link).await;
            }
            let can_send = self.state.outbox.len() < limits.sends && link.writer.waiting() < WAITING_BYTES;
            // Handlers that wait for the broker must get their answer, whatever comes before it.
            let can_read = self.state.inbox.running() < 2 * self.config.inflight
                || self.state.outbox.len() > 0
                || !self.state.unwritten.is_empty();
            tokio::select! {
                result = link.reader.fill(), if can_read => result?,
                result = link.writer.write(), if !link.writer.is_idle() => {
                    result?;
                    self.written(&link.writer);
                }
                Some(done) = self.done.recv() => self.settle(&done),
                Some(request) = self.requests.recv(), if can_send => {
                    self.send(request, &mut link.writer, &limits);
                    while self.state.outbox.len() < limits.sends && link.writer.waiting() < WAITING_BYTES {
                        let Ok(request) = self.requests.try_recv() else { break };
                        self.send(request, &mut link.writer, &limits);
                    }
                }
                Some(result) = self.workers.join_next() => self.joined(result)?,
                () = &mut stopped, if !self.state.draining => self.begin_drain(),
                () = until(self.state.deadline), if self.state.deadline.is_some() => self.give_up(),
                () = &mut timer => {
                    self.check_subscribing(can_read)?;
                    pulse.beat(link, can_read)?;
                    timer.as_mut().reset(self.next_look(&pulse, link).into());
                }
            }
        }
    }

    /// What is due on a new connection: what was left over, and the subscriptions.
    fn begin(&mut self, writer: &mut Writer, ack: &ConnAck) -> Result<Limits, Ended> {
        let state = &mut self.state;
        info!(
            url = %self.config.url,
            client_id = self.config.connect.client_id,
            session_present = ack.session_present,
            "connected"
        );
        if state.subscribed && !ack.session_present && !self.config.connect.clean {
            warn!("the broker has lost the session; what was published meanwhile is lost");
        }
        if self.config.group.is_some() && ack.shared_subscriptions == Some(false) {
            return Err(fatal(format!("the broker at {} has no shared subscriptions", self.config.url)));
        }
        state.inbox.connected(ack.session_present);
        for again in state.outbox.connected(ack.session_present) {
            match again {
                Again::Pubrel(id) => writer.put(&Outgoing::PubRel(id))?,
                Again::Publish(publish) => {
                    if let Err(error) = writer.put(&Outgoing::Publish(&publish)) {
                        state.outbox.finished(publish.id, Err(error.to_string()));
                    }
                }
            }
        }
        for (_, request) in std::mem::take(&mut state.unwritten) {
            if request.reply.is_closed() {
                continue;
            }
            match writer.put(&Outgoing::Publish(&request.publish)) {
                Ok(()) => state.unwritten.push_back((writer.queued, request)),
                Err(error) => request.done(Err(error.to_string())),
            }
        }
        let filters = self.routes.filters();
        if filters.is_empty() {
            self.state.subscribed = true;
            self.ready();
        } else if !(ack.session_present && state.subscribed) || self.config.version == Version::V5 {
            // A broker that was killed may come back with the session and without its newest subscriptions, mosquitto 2.0.11
            // always without shared ones. On 3.1.1, retained messages would come again each time.
            let id = state.outbox.reserve();
            writer.put(&Outgoing::Subscribe(id, filters))?;
            state.subscribing = Some((id, Instant::now() + self.config.connect_timeout));
        } else {
            self.ready();
        }
        Ok(Limits {
            sends: usize::from(match self.config.version {
                Version::V5 => ack.receive_maximum.unwrap_or(SENDS).min(SENDS),
                Version::V311 => SENDS_311,
            }),
            qos: ack.maximum_qos.unwrap_or(2),
            retain: ack.retain_available.unwrap_or(true),
        })
    }

    fn ready(&self) {
        if let Some(on_ready) = &self.on_ready {
            on_ready();
        }
    }

    /// When to look whether the broker has answered.
    fn next_look(&self, pulse: &Pulse, link: &Link) -> Instant {
        self.state.subscribing.map_or(pulse.next(link), |(_, by)| by.min(pulse.next(link)))
    }

    fn check_subscribing(&mut self, can_read: bool) -> Result<(), Ended> {
        let patience = self.config.connect_timeout;
        match &mut self.state.subscribing {
            // The answer may lie behind messages that are not read while handlers are behind.
            Some((_, by)) if !can_read => *by = Instant::now() + patience,
            Some((_, by)) if *by <= Instant::now() => return Err(LinkError::Timeout(patience).into()),
            _ => {}
        }
        Ok(())
    }

    fn handle(&mut self, packet: Incoming, writer: &mut Writer) -> Result<(), Ended> {
        match packet {
            Incoming::Publish(publish) => self.publish(publish),
            Incoming::PubAck(id, result) => self.state.outbox.finished(id, result),
            Incoming::PubRec(id, Ok(())) => {
                self.state.outbox.received(id);
                writer.put(&Outgoing::PubRel(id))?;
            }
            Incoming::PubRec(id, Err(error)) => self.state.outbox.finished(id, Err(error)),
            Incoming::PubComp(id) => self.state.outbox.finished(id, Ok(())),
            Incoming::PubRel(id) => {
                self.state.inbox.released(id);
                writer.put(&Outgoing::PubComp(id))?;
            }
            Incoming::SubAck(id, codes) => self.subscribed(id, &codes)?,
            Incoming::Disconnect { taken_over: true, .. } => {
                return Err(fatal(format!(
                    "another client has connected to {} as `{}`; every instance needs a client id of its own",
                    self.config.url, self.config.connect.client_id
                )));
            }
            Incoming::Disconnect { reason, .. } => return Err(LinkError::Ended(reason).into()),
            Incoming::ConnAck(_) => return Err(LinkError::NoBroker.into()),
            Incoming::PingResp | Incoming::Other => {}
        }
        Ok(())
    }

    fn subscribed(&mut self, id: u16, codes: &[Result<u8, String>]) -> Result<(), Ended> {
        if self.state.subscribing.is_none_or(|(waiting, _)| waiting != id) {
            return Ok(());
        }
        self.state.subscribing = None;
        self.state.outbox.release(id);
        let mut refused = Vec::new();
        for (filter, code) in self.routes.filters().iter().zip(codes) {
            match code {
                Err(reason) => refused.push(format!("`{}` ({reason})", filter.path)),
                Ok(qos) if *qos < filter.qos => {
                    warn!(
                        filter = filter.path,
                        asked = filter.qos,
                        granted = qos,
                        "the broker grants a lower QoS"
                    );
                }
                Ok(qos) => debug!(filter = filter.path, qos, "subscribed"),
            }
        }
        if !refused.is_empty() {
            let text = format!(
                "the broker at {} refuses the subscription to {}",
                self.config.url,
                refused.join(", ")
            );
            // The first time it is a mistake; later it may be the broker's trouble.
            return Err(if self.state.subscribed { LinkError::Ended(text).into() } else { fatal(text) });
        }
        self.state.subscribed = true;
        self.ready();
        Ok(())
    }

    fn publish(&mut self, publish: Publish) {
        let found = self.routes.address(&publish.topic);
        if let Found::Reply(address) = found {
            if let Received::New(number) = self.state.inbox.received(&publish) {
                self.replies.give(Job { number, address, publish });
            }
            return;
        }
        // The broker keeps it; QoS 0 is as lost as if we had stopped a moment earlier.
        if self.state.draining {
            return;
        }
        if publish.qos == 0 && self.is_behind() {
            self.state.dropped += 1;
            if self.state.dropped.is_power_of_two() {
                warn!(
                    dropped = self.state.dropped,
                    "handlers wait for the broker; messages of QoS 0 are dropped"
                );
            }
            return;
        }
        let Received::New(number) = self.state.inbox.received(&publish) else {
            debug!(topic = %publish.topic, id = publish.id, "delivered again while it is known");
            return;
        };
        match found {
            Found::Address(address) | Found::Reply(address) => {
                // A worker that is gone ends the session by itself.
                if let Some(lanes) = &self.lanes {
                    lanes.give(Job { number, address, publish });
                }
            }
            Found::DeadLetter => {
                debug!(topic = %publish.topic, "a dead letter is not delivered to the channel it comes from");
                self.state.inbox.settled(number, true);
            }
            Found::Nothing => {
                debug!(topic = %publish.topic, "no channel has this address; ignored");
                self.state.inbox.settled(number, true);
            }
        }
    }

    fn acknowledge(&mut self, writer: &mut Writer) -> Result<(), Ended> {
        while let Some(ack) = self.state.inbox.next_ack() {
            writer.put(&match ack {
                Ack::Puback(id) => Outgoing::PubAck(id),
                Ack::Pubrec(id) => Outgoing::PubRec(id),
            })?;
        }
        Ok(())
    }

    fn send(&mut self, mut request: Request, writer: &mut Writer, limits: &Limits) {
        let state = &mut self.state;
        if request.reply.is_closed() {
            return;
        }
        if request.publish.qos > limits.qos {
            let qos = request.publish.qos;
            return request.done(Err(format!("the broker takes QoS {} at most, not {qos}", limits.qos)));
        }
        if request.publish.retain && !limits.retain {
            return request.done(Err("the broker does not retain messages".to_owned()));
        }
        if request.publish.qos > 0 {
            request.publish.id = state.outbox.reserve();
        }
        match writer.put(&Outgoing::Publish(&request.publish)) {
            Ok(()) if request.publish.qos == 0 => state.unwritten.push_back((writer.queued, request)),
            Ok(()) => state.outbox.keep(request),
            Err(error) => {
                state.outbox.release(request.publish.id);
                request.done(Err(error.to_string()));
            }
        }
    }

    fn written(&mut self, writer: &Writer) {
        while self.state.unwritten.front().is_some_and(|(mark, _)| *mark <= writer.written) {
            if let Some((_, request)) = self.state.unwritten.pop_front() {
                request.done(Ok(()));
            }
        }
    }

    async fn say_goodbye(link: &mut Link) -> Result<(), Ended> {
        link.writer.put(&Outgoing::Disconnect)?;
        match timeout(LAST_WORDS, link.writer.finish()).await {
            Ok(Ok(())) => debug!("disconnected"),
            Ok(Err(error)) => warn!(%error, "the last acknowledgements may not have arrived"),
            Err(_) => warn!("the last acknowledgements may not have arrived"),
        }
        Ok(())
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// Keep alive: asks when nothing was heard or said for a while, and gives the connection up when there is no answer.
struct Pulse {
    every: Duration,
    patience: Duration,
    asked: Option<Instant>,
}

impl Pulse {
    fn new(every: Duration, patience: Duration) -> Self {
        // Zero switches it off.
        let every = if every.is_zero() { Duration::from_secs(365 * 24 * 60 * 60) } else { every };
        Self { every, patience, asked: None }
    }

    /// When to look again.
    fn next(&self, link: &Link) -> Instant {
        match self.asked {
            Some(asked) => asked + self.patience,
            None => link.reader.last.min(link.writer.last) + self.every,
        }
    }

    fn beat(&mut self, link: &mut Link, can_read: bool) -> Result<(), Ended> {
        let now = Instant::now();
        if let Some(asked) = self.asked {
            if link.reader.last >= asked {
                self.asked = None;
            } else if !can_read {
                // Nothing is heard while handlers are behind.
                self.asked = Some(now);
            } else if now >= asked + self.patience {
                return Err(LinkError::Timeout(self.patience).into());
            }
        }
        if self.asked.is_none() && now >= link.reader.last.min(link.writer.last) + self.every {
            link.writer.put(&Outgoing::PingReq)?;
            self.asked = Some(now);
        }
        Ok(())
    }
}
