//! A loop that fetches from streams by a connection of its own, and hands one message after the other to the application.
//!
//! What must hold: an entry is acknowledged after it was handled and not before; what this consumer was given and has not
//! acknowledged comes before anything new, in order; entries in hand stay fresh, so that no other instance takes them; a stop
//! gives back what was not begun.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use amgi::{
    Application, Bytes, ChannelInfo, Context, Disposition, Message, Reason, Settlement,
    server::{Exhausted, Policies, Stop, deliver_batch, insist, insist_again},
};
use redis::{Cmd, cmd};
use tokio::sync::Semaphore;
use tracing::{debug, info, warn};

use crate::{
    Fields, Start,
    config::Config,
    fresh::{Held, IDS, claim_again, milliseconds},
    link::Link,
    parts::Part,
    resp::Reply,
    routes::Stream,
    wire::{Lost, Wire},
};

/// Longest time that a fetch waits for messages, and between two looks for entries of the dead.
const BLOCK: Duration = Duration::from_secs(5);

/// What several lanes have in common.
pub(crate) struct Shared<A> {
    pub(crate) app: Arc<A>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) config: Arc<Config>,
    pub(crate) fields: Fields,
    pub(crate) link: Link,
    /// Requested when nothing more is to be begun.
    pub(crate) drain: Stop,
    /// How many lanes may be at work, where there are more of them.
    pub(crate) permits: Option<Arc<Semaphore>>,
}

/// A stream of a lane.
struct Source {
    stream: Stream,
    /// What was handled, and Redis does not know it yet.
    acks: Vec<Bytes>,
    /// Fetched, and not begun when the stop came.
    rest: Vec<Bytes>,
    /// There may be entries that this consumer was given before.
    recover: bool,
    /// Where the search for entries of the dead goes on.
    cursor: Bytes,
}

/// An entry as it came; fields are missing when the stream was trimmed meanwhile.
struct Entry {
    id: Bytes,
    fields: Option<Vec<Reply>>,
}

pub(crate) struct Lane<A> {
    shared: Arc<Shared<A>>,
    consumer: String,
    slot: u16,
    sources: Vec<Source>,
    held: Held,
    /// One, but for batches.
    contexts: Vec<Context>,
    settlements: Vec<Settlement>,
    wire: Option<Wire>,
    /// What Redis calls the connection.
    client: i64,
    /// When entries of the dead are looked for again.
    claim_at: Instant,
    flushed_at: Instant,
    start: Start,
}

/// The application of messages that have ended too many processes: it gives them up.
struct GivenUp(u32);

impl Application for GivenUp {
    fn channels(&self) -> &[ChannelInfo] {
        &[]
    }

    async fn message(&self, _: &Context) -> Settlement {
        let reason = format!("delivered {} times, and no process has settled it", self.0);
        Settlement::Fail { disposition: Disposition::DeadLetter, reason: Reason::Failed(reason) }
    }
}

fn entries(reply: Reply) -> Vec<Entry> {
    let entry = |entry: Reply| {
        let mut parts = entry.into_array().into_iter();
        let id = parts.next()?.into_text()?;
        let fields = match parts.next() {
            Some(Reply::Array(fields)) => Some(fields),
            _ => None,
        };
        Some(Entry { id, fields })
    };
    reply.into_array().into_iter().filter_map(entry).collect()
}

/// `XREAD`'s and `XREADGROUP`'s answer by stream.
pub(crate) fn by_stream(reply: Reply) -> impl Iterator<Item = (Bytes, Reply)> {
    reply.into_array().into_iter().filter_map(|stream| {
        let mut parts = stream.into_array().into_iter();
        Some((parts.next()?.into_text()?, parts.next()?))
    })
}

/// The message of an entry.
pub(crate) fn message(fields: &Fields, stream: &Stream, id: &Bytes, pairs: Vec<Reply>) -> Message {
    let mut message = Message::new(stream.address.clone());
    message.headers.reserve((pairs.len() / 2).saturating_sub(1));
    let mut pairs = pairs.into_iter().map_while(Reply::into_text);
    while let (Some(name), Some(value)) = (pairs.next(), pairs.next()) {
        fields.field(&mut message, name, value);
    }
    if let Ok(id) = amgi::ByteString::try_from(id.clone()) {
        let [protocol, field] = ["redis", "id"].map(amgi::ByteString::from_static);
        message.bindings.set(protocol, field, id);
    }
    message
}

impl<A: Application> Lane<A> {
    /// A lane for streams that are on one server.
    pub(crate) fn new(shared: Arc<Shared<A>>, consumer: String, slot: u16, streams: Vec<Stream>) -> Self {
        let source = |stream| Source {
            stream,
            acks: Vec::new(),
            rest: Vec::new(),
            recover: true,
            cursor: Bytes::from_static(b"0-0"),
        };
        Self {
            start: shared.config.start,
            shared,
            consumer,
            slot,
            sources: streams.into_iter().map(source).collect(),
            held: Held::default(),
            contexts: Vec::new(),
            settlements: Vec::new(),
            wire: None,
            client: 0,
            claim_at: Instant::now(),
            flushed_at: Instant::now(),
        }
    }

    /// What it has in hand, and where that is.
    pub(crate) fn held(&self) -> (u16, String, Held) {
        (self.slot, self.consumer.clone(), self.held.clone())
    }

    /// The context of messages, without which nothing is received; the lane is connected before there is one.
    pub(crate) fn with_context(mut self, cx: Context) -> Self {
        self.contexts = vec![cx];
        self
    }

    fn wire(&mut self) -> Result<&mut Wire, Lost> {
        self.wire.as_mut().ok_or_else(|| Lost::Refused("there is no connection".to_owned()))
    }

    fn hold(&self, held: Vec<(String, Vec<Bytes>)>) {
        *self.held.lock().unwrap_or_else(PoisonError::into_inner) = held;
    }

    /// Makes the groups, and streams that are not there yet.
    async fn make_groups(&mut self) -> Result<(), Lost> {
        let from = if self.start == Start::Oldest { "0" } else { "$" };
        for index in 0..self.sources.len() {
            let mut create = cmd("XGROUP");
            create.arg("CREATE").arg(&self.sources[index].stream.key).arg(&self.shared.config.group);
            create.arg(from).arg("MKSTREAM");
            match self.wire()?.call(&create).await {
                Err(error) if error.is("BUSYGROUP") => {}
                Err(error) => return Err(error),
                Ok(_) => info!(
                    stream = self.sources[index].stream.key,
                    group = self.shared.config.group,
                    "the group is new"
                ),
            }
        }
        // A group that vanishes later took with it what was for us.
        self.start = Start::Oldest;
        Ok(())
    }

    /// Packs what is to be acknowledged; how many commands it is.
    fn pack_acks(&self, out: &mut Vec<u8>) -> usize {
        let mut commands = 0;
        for source in &self.sources {
            for ids in source.acks.chunks(IDS) {
                let mut ack = cmd("XACK");
                ack.arg(&source.stream.key).arg(&self.shared.config.group);
                for id in ids {
                    ack.arg(&**id);
                }
                ack.write_packed_command(out);
                commands += 1;
            }
        }
        commands
    }

    /// Acknowledges what was handled, and asks something else with it, whose answer is next on the wire.
    async fn flush(&mut self, with: Option<&Cmd>) -> Result<(), Lost> {
        let mut packed = Vec::new();
        let acks = self.pack_acks(&mut packed);
        if let Some(command) = with {
            command.write_packed_command(&mut packed);
        }
        self.flushed_at = Instant::now();
        if packed.is_empty() {
            return Ok(());
        }
        let patience = self.shared.config.place.timeout();
        let wire = self.wire()?;
        wire.write(&packed).await?;
        let mut refused = None;
        for _ in 0..acks {
            if let Reply::Error(text) = wire.read(patience).await? {
                refused = Some(Lost::of(&text));
            }
        }
        match refused {
            // There is nothing any more that could be acknowledged.
            Some(error) if error.is("NOGROUP") || error.is("WRONGTYPE") => {
                warn!(%error, "what was handled could not be acknowledged");
            }
            Some(error) => return Err(error),
            None => {}
        }
        self.sources.iter_mut().for_each(|source| source.acks.clear());
        Ok(())
    }

    /// The same, with the answer.
    async fn ask(&mut self, command: &Cmd) -> Result<Reply, Lost> {
        self.flush(Some(command)).await?;
        let patience = self.shared.config.place.timeout();
        match self.wire()?.read(patience).await? {
            Reply::Error(text) => Err(Lost::of(&text)),
            reply => Ok(reply),
        }
    }

    fn read_group(&self) -> Cmd {
        let mut read = cmd("XREADGROUP");
        read.arg("GROUP").arg(&self.shared.config.group).arg(&self.consumer).arg("COUNT");
        read
    }

    /// Waits for new messages, and acknowledges those that were handled.
    async fn fetch(&mut self) -> Result<Reply, Lost> {
        let block = self.claim_at.saturating_duration_since(Instant::now()).min(BLOCK);
        let mut read = self.read_group();
        read.arg(self.shared.config.prefetch).arg("BLOCK").arg(milliseconds(block)).arg("STREAMS");
        for source in &self.sources {
            read.arg(&source.stream.key);
        }
        for _ in &self.sources {
            read.arg(">");
        }
        self.flush(Some(&read)).await?;
        let patience = self.shared.config.place.timeout();
        let (shared, client, slot) = (self.shared.clone(), self.client, self.slot);
        let wire = self.wire()?;
        let reply = tokio::select! {
            biased;
            reply = wire.read(block + patience) => reply?,
            () = shared.drain.requested() => {
                // It must not be given more when nobody is there to take it.
                let mut unblock = cmd("CLIENT");
                unblock.arg("UNBLOCK").arg(client);
                if let Err(error) = shared.link.call(slot, &unblock, patience).await {
                    debug!(%error, "the fetch ends by itself");
                }
                wire.read(block + patience).await?
            }
        };
        match reply {
            Reply::Error(text) => Err(Lost::of(&text)),
            reply => Ok(reply),
        }
    }

    /// Handles what this consumer was given before and has not acknowledged: one after the other, so that the count of
    /// deliveries is that of attempts.
    async fn recover(&mut self) -> Result<(), Lost> {
        for index in 0..self.sources.len() {
            while self.sources[index].recover && !self.shared.drain.is_requested() {
                let mut read = self.read_group();
                read.arg(1).arg("STREAMS").arg(&self.sources[index].stream.key).arg("0");
                let reply = self.ask(&read).await?;
                let Some(entry) = by_stream(reply).flat_map(|(_, reply)| entries(reply)).next() else {
                    self.sources[index].recover = false;
                    break;
                };
                self.once_more(index, entry).await?;
            }
        }
        self.hold(Vec::new());
        Ok(())
    }

    async fn once_more(&mut self, index: usize, entry: Entry) -> Result<(), Lost> {
        let shared = self.shared.clone();
        let key = self.sources[index].stream.key.clone();
        let Some(fields) = entry.fields else {
            warn!(
                stream = key,
                id = %String::from_utf8_lossy(&entry.id),
                "the stream was trimmed before this message was handled: it is lost"
            );
            self.sources[index].acks.push(entry.id);
            return Ok(());
        };
        let mut pending = cmd("XPENDING");
        pending.arg(&key).arg(&shared.config.group).arg(&*entry.id).arg(&*entry.id).arg(1);
        let reply = self.ask(&pending).await?;
        let count =
            reply.into_array().into_iter().next().and_then(|entry| entry.into_array().get(3)?.as_int());
        let deliveries = count.and_then(|count| u32::try_from(count).ok()).unwrap_or(1);
        self.hold(vec![(key, vec![entry.id.clone()])]);
        let message = message(&shared.fields, &self.sources[index].stream, &entry.id, fields);
        let most = shared.config.max_deliveries;
        let acked = {
            let _permit = permit(&shared).await;
            self.contexts[0].replace(message);
            if most > 0 && deliveries > most && shared.policies.base().exhausted == Exhausted::DeadLetter {
                warn!(
                    address = self.contexts[0].address(),
                    deliveries, "given up: it was delivered too often"
                );
                insist(&GivenUp(deliveries), &self.contexts[0], &shared.policies).await
            } else {
                self.contexts[0].set_redelivered(deliveries.saturating_sub(1));
                match self.sources[index].stream.batch {
                    Some(_) => self.batch(1).await[0],
                    None => insist(&*shared.app, &self.contexts[0], &shared.policies).await,
                }
            }
        };
        if acked {
            self.sources[index].acks.push(entry.id);
        }
        Ok(())
    }

    /// Takes over entries whose consumers are silent for too long.
    async fn claim(&mut self) -> Result<(), Lost> {
        let shared = self.shared.clone();
        self.claim_at = Instant::now() + (shared.config.min_idle / 2).min(BLOCK);
        for index in 0..self.sources.len() {
            let source = &self.sources[index];
            let mut claim = cmd("XAUTOCLAIM");
            claim.arg(&source.stream.key).arg(&shared.config.group).arg(&self.consumer);
            claim.arg(milliseconds(shared.config.min_idle)).arg(&*source.cursor);
            claim.arg("COUNT").arg(IDS).arg("JUSTID");
            let mut parts = self.ask(&claim).await?.into_array().into_iter();
            let source = &mut self.sources[index];
            source.cursor = parts.next().and_then(Reply::into_text).unwrap_or_default();
            if *source.cursor != *b"0-0" {
                self.claim_at = Instant::now();
            }
            let claimed = parts.next().map_or(0, |ids| ids.into_array().len());
            if claimed > 0 {
                info!(
                    stream = source.stream.key,
                    claimed, "taking over messages of a consumer that is silent"
                );
                source.recover = true;
            }
        }
        Ok(())
    }

    fn source(&self, key: &[u8]) -> Option<usize> {
        self.sources.iter().position(|source| source.stream.key.as_bytes() == key)
    }

    /// Handles what was fetched.
    async fn handle(&mut self, reply: Reply) -> Result<(), Lost> {
        let mut fetched: Vec<(usize, Vec<Entry>)> =
            by_stream(reply).filter_map(|(key, reply)| Some((self.source(&key)?, entries(reply)))).collect();
        self.hold_all(&fetched);
        let shared = self.shared.clone();
        let _permit = permit(&shared).await;
        for (index, entries) in &mut fetched {
            let (index, entries) = (*index, std::mem::take(entries));
            if self.sources[index].stream.batch.is_some() {
                self.batches(index, entries).await?;
                continue;
            }
            for Entry { id, fields } in entries {
                if shared.drain.is_requested() {
                    self.sources[index].rest.push(id);
                    continue;
                }
                let message =
                    message(&shared.fields, &self.sources[index].stream, &id, fields.unwrap_or_default());
                self.contexts[0].replace(message);
                if insist(&*shared.app, &self.contexts[0], &shared.policies).await {
                    self.sources[index].acks.push(id);
                }
                if self.flushed_at.elapsed() >= shared.config.linger {
                    self.flush(None).await?;
                }
            }
        }
        Ok(())
    }

    fn hold_all(&self, fetched: &[(usize, Vec<Entry>)]) {
        let ids = |entries: &[Entry]| entries.iter().map(|entry| entry.id.clone()).collect();
        self.hold(
            fetched.iter().map(|(index, all)| (self.sources[*index].stream.key.clone(), ids(all))).collect(),
        );
    }

    /// Handles entries of one stream together, as the document asks for, and waits for more as long as it allows.
    async fn batches(&mut self, index: usize, entries: Vec<Entry>) -> Result<(), Lost> {
        let shared = self.shared.clone();
        let Some(info) = self.sources[index].stream.batch else { return Ok(()) };
        let (size, by) = (info.size.max(1), Instant::now() + info.wait);
        let mut waiting = entries;
        while waiting.len() < size && !shared.drain.is_requested() {
            let left = by.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let mut read = self.read_group();
            read.arg(size - waiting.len()).arg("BLOCK").arg(milliseconds(left)).arg("STREAMS");
            read.arg(&self.sources[index].stream.key).arg(">");
            self.flush(Some(&read)).await?;
            let patience = left + shared.config.place.timeout();
            match self.wire()?.read(patience).await? {
                Reply::Error(text) => return Err(Lost::of(&text)),
                reply => waiting.extend(by_stream(reply).flat_map(|(_, reply)| self::entries(reply))),
            }
            let ids = waiting.iter().map(|entry| entry.id.clone()).collect();
            self.hold(vec![(self.sources[index].stream.key.clone(), ids)]);
        }
        let mut waiting = waiting.into_iter().peekable();
        while waiting.peek().is_some() {
            if shared.drain.is_requested() {
                self.sources[index].rest.extend(waiting.map(|entry| entry.id));
                break;
            }
            let mut ids = Vec::with_capacity(size);
            for (at, Entry { id, fields }) in waiting.by_ref().take(size).enumerate() {
                if self.contexts.len() == at {
                    let cx = self.contexts[0].clone();
                    self.contexts.push(cx);
                }
                let stream = &self.sources[index].stream;
                let message = message(&shared.fields, stream, &id, fields.unwrap_or_default());
                self.contexts[at].replace(message);
                ids.push(id);
            }
            let acked = self.batch(ids.len()).await;
            let acked = ids.into_iter().zip(acked).filter_map(|(id, acked)| acked.then_some(id));
            self.sources[index].acks.extend(acked);
            if self.flushed_at.elapsed() >= shared.config.linger {
                self.flush(None).await?;
            }
        }
        Ok(())
    }

    /// Delivers the messages in the first contexts together, and each that is not settled once more by itself; which of them
    /// may be acknowledged.
    async fn batch(&mut self, count: usize) -> Vec<bool> {
        let shared = self.shared.clone();
        let contexts = &self.contexts[..count];
        let mut acked = vec![false; count];
        deliver_batch(&*shared.app, contexts, &shared.policies, &mut self.settlements, |index, outcome| {
            acked[index] = outcome.is_acked();
        })
        .await;
        for (cx, acked) in contexts.iter().zip(&mut acked) {
            if !*acked {
                *acked = insist_again(&*shared.app, cx, &shared.policies).await;
            }
        }
        acked
    }

    /// Acknowledges what was handled, and gives back what was not begun, so that others need not wait for it.
    pub(crate) async fn finish(&mut self) {
        if self.wire.is_none() {
            return;
        }
        if let Err(error) = self.give_back().await {
            warn!(%error, "what was handled last may come again");
        }
    }

    async fn give_back(&mut self) -> Result<(), Lost> {
        let config = self.shared.config.clone();
        self.flush(None).await?;
        for index in 0..self.sources.len() {
            let rest = std::mem::take(&mut self.sources[index].rest);
            for ids in rest.chunks(IDS) {
                let mut claim =
                    claim_again(&self.sources[index].stream.key, &config.group, &self.consumer, ids);
                claim
                    .arg("IDLE")
                    .arg(milliseconds(config.min_idle * 2))
                    .arg("RETRYCOUNT")
                    .arg(0)
                    .arg("JUSTID");
                self.ask(&claim).await?;
            }
        }
        Ok(())
    }

    /// Makes groups again that have vanished: Redis has lost its data, or somebody has removed them.
    async fn work(&mut self) -> Result<(), Lost> {
        if self.sources.iter().any(|source| source.recover) {
            self.recover().await?;
        }
        if self.claim_at <= Instant::now() {
            return self.claim().await;
        }
        let reply = self.fetch().await?;
        self.handle(reply).await
    }
}

impl<A: Application> Part for Lane<A> {
    async fn connect(&mut self) -> Result<(), Lost> {
        self.wire = None;
        // What was fetched and not handled is fetched again.
        self.hold(Vec::new());
        for source in &mut self.sources {
            source.rest.clear();
            source.recover = true;
        }
        let mut wire = self.shared.config.place.open(self.slot).await?;
        self.client = wire.call(cmd("CLIENT").arg("ID")).await?.as_int().unwrap_or_default();
        self.wire = Some(wire);
        self.make_groups().await
    }

    async fn receive(&mut self) -> Result<(), Lost> {
        while !self.shared.drain.is_requested() {
            match self.work().await {
                Err(error) if error.is("NOGROUP") => {
                    warn!(%error, "the group has vanished; it is made again");
                    self.make_groups().await?;
                }
                other => other?,
            }
        }
        Ok(())
    }
}

/// The right to be at work.
async fn permit<A>(shared: &Shared<A>) -> Option<tokio::sync::OwnedSemaphorePermit> {
    // Nobody closes it.
    shared.permits.clone()?.acquire_owned().await.ok()
}
