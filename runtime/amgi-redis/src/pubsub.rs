//! What is published: subscribed to by a connection of its own, and spread over loops.
//!
//! What must hold: what waits for handlers has a bound in bytes, beyond which the socket is not read; messages of one address
//! are handled one after the other.

use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use amgi::{
    Application, ByteString, Bytes, Context, Message,
    server::{Jobs, Lanes, Policies, Stop, deliver},
};
use redis::cmd;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep},
};
use tracing::{debug, warn};

use crate::{
    parts::Part,
    place::Place,
    resp::Reply,
    routes::{Routes, Subscription},
    wire::{Lost, Wire},
};

/// What a message takes beside its payload.
const OVERHEAD: usize = 128;

/// A message on its way to a loop.
pub(crate) struct Job {
    address: ByteString,
    payload: Bytes,
    /// Its part of the room there is.
    room: OwnedSemaphorePermit,
}

impl Job {
    /// What is published to one address is handled in order.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

pub(crate) struct Subscriber {
    pub(crate) place: Place,
    pub(crate) routes: Arc<Routes>,
    /// Those of replies, or the others.
    pub(crate) replies: bool,
    /// None before startup.
    pub(crate) lanes: Option<Lanes<Job>>,
    /// What came before it.
    pub(crate) early: Vec<Job>,
    pub(crate) room: Arc<Semaphore>,
    /// Bytes.
    pub(crate) buffer: usize,
    pub(crate) stop: Stop,
    pub(crate) wire: Option<Wire>,
    pub(crate) connected: bool,
}

impl Subscriber {
    fn subscriptions(&self) -> &[Subscription] {
        if self.replies { &self.routes.reply_subscriptions } else { &self.routes.subscriptions }
    }

    /// From now on messages are handled.
    pub(crate) fn begin(&mut self, lanes: Lanes<Job>) {
        self.early.drain(..).for_each(|job| lanes.give(job));
        self.lanes = Some(lanes);
    }

    /// Hands a message on, and waits for room when there is none.
    async fn publish(&mut self, channel: &Bytes, filter: &Bytes, payload: Bytes) {
        let (Ok(channel), Ok(filter)) = (std::str::from_utf8(channel), std::str::from_utf8(filter)) else {
            return;
        };
        let Some(address) = self.routes.published(self.subscriptions(), channel, filter) else {
            debug!(channel, filter, "for no channel, or another subscription brings it; ignored");
            return;
        };
        let size = u32::try_from((payload.len() + OVERHEAD).min(self.buffer)).unwrap_or(u32::MAX);
        let room = match self.room.clone().try_acquire_many_owned(size) {
            Ok(room) => room,
            Err(_) => {
                debug!("handlers are behind: nothing is read until there is room");
                // Nobody closes it.
                let Ok(room) = self.room.clone().acquire_many_owned(size).await else { return };
                room
            }
        };
        let job = Job { address, payload, room };
        match &self.lanes {
            // A loop that is gone ends the server by itself.
            Some(lanes) => lanes.give(job),
            None => self.early.push(job),
        }
    }
}

impl Part for Subscriber {
    async fn connect(&mut self) -> Result<(), Lost> {
        if self.connected {
            warn!("what was published since the connection was lost is lost");
        }
        let mut wire = self.place.open(0).await?;
        let mut packed = Vec::new();
        let mut wanted = 0;
        for (name, is_pattern) in [("SUBSCRIBE", false), ("PSUBSCRIBE", true)] {
            let mut subscribe = cmd(name);
            let mut filters: Vec<&str> = self
                .subscriptions()
                .iter()
                .filter(|one| one.is_pattern == is_pattern)
                .map(|one| one.filter.as_str())
                .collect();
            filters.dedup();
            if !filters.is_empty() {
                wanted += filters.len();
                subscribe.arg(filters).write_packed_command(&mut packed);
            }
        }
        wire.write(&packed).await?;
        while wanted > 0 {
            match wire.read(self.place.timeout()).await? {
                Reply::Error(text) => return Err(Lost::of(&text)),
                reply => {
                    let mut parts = reply.into_array().into_iter();
                    match parts.next().and_then(Reply::into_text).as_deref() {
                        Some(b"subscribe" | b"psubscribe") => wanted -= 1,
                        kind => self.take(kind, parts).await,
                    }
                }
            }
        }
        self.wire = Some(wire);
        self.connected = true;
        Ok(())
    }

    async fn receive(&mut self) -> Result<(), Lost> {
        let Some(mut wire) = self.wire.take() else { return Ok(()) };
        let stop = self.stop.clone();
        let patience = self.place.timeout();
        let received = async {
            // One timer, not one for each message.
            let mut timer = pin!(sleep(patience));
            let (mut heard, mut asked) = (false, false);
            loop {
                let reply = tokio::select! {
                    biased;
                    reply = wire.next() => reply?,
                    () = &mut timer => {
                        if asked {
                            return Err(Lost::Timeout(patience));
                        }
                        if !heard {
                            wire.write(&cmd("PING").get_packed_command()).await?;
                            asked = true;
                        }
                        heard = false;
                        timer.as_mut().reset(Instant::now() + patience);
                        continue;
                    }
                };
                (heard, asked) = (true, false);
                if let Reply::Error(text) = reply {
                    return Err(Lost::of(&text));
                }
                let mut parts = reply.into_array().into_iter();
                let kind = parts.next().and_then(Reply::into_text);
                self.take(kind.as_deref(), parts).await;
            }
        };
        tokio::select! {
            received = received => received,
            () = stop.requested() => Ok(()),
        }
    }
}

impl Subscriber {
    async fn take(&mut self, kind: Option<&[u8]>, parts: impl Iterator<Item = Reply>) {
        let mut parts = parts.map_while(Reply::into_text);
        match kind {
            Some(b"message") => {
                if let (Some(channel), Some(payload)) = (parts.next(), parts.next()) {
                    self.publish(&channel, &channel, payload).await;
                }
            }
            Some(b"pmessage") => {
                if let (Some(filter), Some(channel), Some(payload)) =
                    (parts.next(), parts.next(), parts.next())
                {
                    self.publish(&channel, &filter, payload).await;
                }
            }
            _ => {}
        }
    }
}

/// Handles one job after the other until there are no more; at a stop the rest is counted and gone.
pub(crate) async fn work<A: Application>(
    app: Arc<A>,
    mut cx: Context,
    policies: Arc<Policies>,
    mut jobs: Jobs<Job>,
    dropped: Arc<AtomicU64>,
) {
    while let Some(Job { address, payload, room }) = jobs.next().await {
        if cx.stop().is_requested() {
            dropped.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        cx.replace(Message::new(address).payload(payload));
        let outcome = deliver(&*app, &cx, &policies).await;
        if !outcome.is_acked() {
            warn!(
                address = cx.address(),
                ?outcome,
                "not handled, and what is published comes only once: it is lost"
            );
        }
        drop(room);
    }
}
