//! Replies that come by streams: read without a group, for each instance has its own requests.

use std::{sync::Arc, time::Duration};

use amgi::{Application, Context, server::deliver};
use redis::cmd;
use tracing::debug;

use crate::{
    lane::{Shared, by_stream, message},
    parts::Part,
    resp::Reply,
    routes::Stream,
    wire::{Lost, Wire},
};

/// Longest time that a read waits.
const BLOCK: Duration = Duration::from_secs(5);
/// When the process has died, the stream of its replies goes after this many seconds.
const KEPT: u32 = 3600;

pub(crate) struct Replies<A> {
    shared: Arc<Shared<A>>,
    cx: Option<Context>,
    slot: u16,
    /// With the last entry that was read.
    streams: Vec<(Stream, Option<String>)>,
    wire: Option<Wire>,
}

impl<A: Application> Replies<A> {
    /// Replies in streams that are on one server.
    pub(crate) fn new(shared: Arc<Shared<A>>, slot: u16, streams: Vec<Stream>) -> Self {
        let streams = streams.into_iter().map(|stream| (stream, None)).collect();
        Self { shared, cx: None, slot, streams, wire: None }
    }

    /// The context of messages, without which nothing is received.
    pub(crate) fn with_context(mut self, cx: Context) -> Self {
        self.cx = Some(cx);
        self
    }
}

impl<A: Application> Part for Replies<A> {
    async fn connect(&mut self) -> Result<(), Lost> {
        let mut wire = self.shared.config.place.open(self.slot).await?;
        for (stream, last) in &mut self.streams {
            if last.is_none() {
                let newest = wire
                    .call(cmd("XREVRANGE").arg(&stream.key).arg("+").arg("-").arg("COUNT").arg(1))
                    .await?;
                let newest = newest
                    .into_array()
                    .into_iter()
                    .next()
                    .and_then(|entry| entry.into_array().into_iter().next());
                let newest = newest.and_then(Reply::into_text);
                *last = Some(
                    newest.map_or_else(|| "0-0".to_owned(), |id| String::from_utf8_lossy(&id).into_owned()),
                );
            }
        }
        self.wire = Some(wire);
        Ok(())
    }

    async fn receive(&mut self) -> Result<(), Lost> {
        let (Some(wire), Some(cx)) = (&mut self.wire, &mut self.cx) else { return Ok(()) };
        let shared = &self.shared;
        loop {
            let mut read = cmd("XREAD");
            read.arg("COUNT").arg(100).arg("BLOCK").arg(BLOCK.as_secs() * 1000).arg("STREAMS");
            for (stream, _) in &self.streams {
                read.arg(&stream.key);
            }
            for (_, last) in &self.streams {
                read.arg(last.as_deref().unwrap_or("0-0"));
            }
            wire.write(&read.get_packed_command()).await?;
            let reply = match wire.read(BLOCK + shared.config.place.timeout()).await? {
                Reply::Error(text) => return Err(Lost::of(&text)),
                reply => reply,
            };
            for (key, entries) in by_stream(reply) {
                let known = self.streams.iter_mut().find(|(stream, _)| stream.key.as_bytes() == &*key);
                let Some((stream, last)) = known else { continue };
                for entry in entries.into_array() {
                    let mut parts = entry.into_array().into_iter();
                    let (Some(Reply::Text(id)), Some(Reply::Array(fields))) = (parts.next(), parts.next())
                    else {
                        continue;
                    };
                    *last = Some(String::from_utf8_lossy(&id).into_owned());
                    cx.replace(message(&shared.fields, stream, &id, fields));
                    let outcome = deliver(&*shared.app, cx, &shared.policies).await;
                    debug!(address = cx.address(), ?outcome, "a reply");
                }
                if stream.own {
                    wire.call(cmd("EXPIRE").arg(&stream.key).arg(KEPT)).await?;
                }
            }
        }
    }
}
