//! Sending from outside of handlers, and requests that wait for their reply.
//!
//! A [`Client`] is an application that receives nothing but replies, on any server, in the background. Generated senders
//! stand on it as they stand on a handler's context:
//!
//! ```text
//! let client = Client::start(user::replies(), |app, stop| {
//!     amgi_mqtt::Server::new(app).url("mqtt://localhost:1883").stop(&stop).serve()
//! })
//! .await?;
//! let found = user::Sender::from(&client).find_user(request).timeout(Duration::from_secs(5)).await?;
//! client.close().await?;
//! ```

use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    future::{IntoFuture, poll_fn},
    marker::PhantomData,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    task::{Poll, Waker},
    time::Duration,
};

use bytestring::ByteString;
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    codegen::TypedMessage,
    context::Context,
    contract::{Application, ChannelInfo, Message, MessageSend, ServerInfo, Settlement, State},
    error::{Disposition, Error, Reason, Rejection, Result, SendError, StartupError},
    reply::{Location, ReplyInfo},
    sender::Outgoing,
    server::Outcome,
    stop::Stop,
};

/// How long a request waits unless it or the document says something else.
pub const TIMEOUT: Duration = Duration::from_secs(30);

/// Requests that wait for their reply. Cheap to clone; the clones are one.
///
/// As an [`Application`] it receives replies and nothing else. Generated applications that send requests have one.
#[derive(Clone, Default)]
pub struct Replies(Arc<Inner>);

#[derive(Default)]
struct Inner {
    channels: Vec<ChannelInfo>,
    servers: &'static [ServerInfo],
    /// Addresses where nothing but replies comes.
    own: Vec<ByteString>,
    /// Where replies hold the correlation id.
    locations: Vec<Location>,
    /// Where replies go whose address the document leaves to the request; empty when there are none.
    inbox: ByteString,
    /// What correlation ids begin with, different in every process; their number follows.
    prefix: String,
    waiting: Mutex<Waiting>,
    /// Told the server's `send` at startup.
    started: Mutex<Option<oneshot::Sender<State>>>,
}

#[derive(Default)]
struct Waiting {
    /// Requests so far.
    count: u64,
    /// By the number in the correlation id, which is ours. Numbers grow, so they are in order.
    by_number: VecDeque<(u64, Arc<dyn Waits>)>,
    /// By correlation ids that others chose.
    by_id: BTreeMap<ByteString, Arc<dyn Waits>>,
    /// Requests of operations without a correlation id, by the address of the reply, the first first.
    in_order: VecDeque<(u64, ByteString, Arc<dyn Waits>)>,
}

impl Waiting {
    fn next(&mut self) -> u64 {
        self.count += 1;
        self.count
    }

    fn remove(&mut self, number: u64) -> Option<Arc<dyn Waits>> {
        let place = self.by_number.binary_search_by_key(&number, |(number, _)| *number).ok()?;
        self.by_number.remove(place).map(|(_, waits)| waits)
    }
}

/// Whoever waits for a reply, whatever its type.
trait Waits: Send + Sync {
    /// Reads the reply.
    fn answer(&self, reply: &Message);
}

/// Where a reply is put.
struct Slot<R>(Mutex<Place<R>>);

struct Place<R> {
    reply: Option<Result<R, Rejection>>,
    waiting: Option<Waker>,
}

impl<R: TypedMessage + Send> Waits for Slot<R> {
    fn answer(&self, reply: &Message) {
        let read = R::decode(reply);
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.reply = Some(read);
        if let Some(waker) = slot.waiting.take() {
            waker.wake();
        }
    }
}

impl<R> Slot<R> {
    async fn answered(&self) -> Result<R, Rejection> {
        poll_fn(|task| {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match slot.reply.take() {
                Some(reply) => Poll::Ready(reply),
                None => {
                    slot.waiting = Some(task.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }
}

impl Replies {
    /// What waits for replies that come from `channels`, or `inbox`, on one of `servers`. Of the channels, `handled` are
    /// received from by handlers too. Replies hold their correlation ids at `locations`.
    pub(crate) fn new(
        mut channels: Vec<ChannelInfo>,
        handled: &[&str],
        servers: &'static [ServerInfo],
        locations: &[Location],
        inbox: bool,
    ) -> Self {
        let prefix = format!("{:016x}", fastrand::u64(..));
        let mut address = ByteString::new();
        if inbox {
            address = format!("amgi.reply.{prefix}").into();
            let inbox = ChannelInfo::new("amgi.reply", address.to_string());
            channels.push(ChannelInfo { replies: true, ..inbox });
        }
        let own = channels.iter().filter(|channel| !handled.contains(&&*channel.address));
        Self(Arc::new(Inner {
            own: own.map(|channel| ByteString::from(&*channel.address)).collect(),
            channels,
            servers,
            locations: locations.to_vec(),
            inbox: address,
            prefix: prefix + "-",
            ..Inner::default()
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Channels that replies come from.
    pub fn channels(&self) -> &[ChannelInfo] {
        &self.0.channels
    }

    /// Those of them that no handler receives from.
    pub(crate) fn only(&self) -> impl Iterator<Item = &ChannelInfo> {
        self.0.channels.iter().filter(|channel| self.0.own.iter().any(|own| channel.address == **own))
    }

    /// Where replies go whose address the document leaves to the request.
    pub fn inbox(&self) -> &str {
        &self.0.inbox
    }

    /// How many requests wait.
    pub fn waiting(&self) -> usize {
        let waiting = self.lock();
        waiting.by_number.len() + waiting.by_id.len() + waiting.in_order.len()
    }

    /// Settles a message if it is a reply; `None` leaves it to the handlers.
    pub(crate) fn take(&self, message: &Message) -> Option<Settlement> {
        if let Some(waits) = self.find(message) {
            waits.answer(message);
            return Some(Settlement::Ack);
        }
        self.0.own.contains(&message.address).then(|| Settlement::Fail {
            disposition: Disposition::Discard,
            reason: Reason::Failed("nobody waits for this reply any more".to_owned()),
        })
    }

    fn find(&self, message: &Message) -> Option<Arc<dyn Waits>> {
        let mut waiting = self.lock();
        if waiting.by_number.is_empty() && waiting.by_id.is_empty() && waiting.in_order.is_empty() {
            return None;
        }
        for location in &self.0.locations {
            let Some(id) = location.read(message) else { continue };
            let number = id.strip_prefix(self.0.prefix.as_str()).and_then(|number| number.parse().ok());
            let waits = match number {
                Some(number) => waiting.remove(number),
                None => waiting.by_id.remove(&*id),
            };
            if waits.is_some() {
                return waits;
            }
        }
        let place = waiting.in_order.iter().position(|(_, address, _)| *address == message.address)?;
        waiting.in_order.remove(place).map(|(.., waits)| waits)
    }

    /// Gives `request` a reply, with its correlation id where the reply has none.
    pub(crate) fn answer(&self, request: &Message, mut reply: Message) {
        for location in &self.0.locations {
            if let Location::Header(name) = location
                && reply.headers.get(name).is_none()
                && let Some(id) = request.headers.get_bytes(name)
            {
                reply.headers.push(*name, id.clone());
            }
        }
        if let Some(waits) = self.find(&reply) {
            waits.answer(&reply);
        }
    }

    /// Prepares a request: address of the reply and correlation id are in it, and `waits` gets the reply.
    fn prepare(
        &self,
        info: &ReplyInfo,
        request: &mut Message,
        waits: Arc<dyn Waits>,
    ) -> Result<Wait<'_>, RequestError> {
        let mut address = info.address.map(ByteString::from_static);
        if let Some(location) = info.location {
            match location.read(request).filter(|text| !text.is_empty()) {
                Some(given) => address = Some(ByteString::from(&*given)),
                None => {
                    let own = address.get_or_insert_with(|| self.0.inbox.clone()).clone();
                    set(request, location, own)?;
                }
            }
        }
        let address = address.unwrap_or_else(|| self.0.inbox.clone());
        if !self.0.channels.iter().any(|channel| channel.address == *address) {
            return Err(RequestError::NotReceived(address.to_string()));
        }
        let Some((location, _)) = info.correlation else {
            let mut waiting = self.lock();
            let number = waiting.next();
            waiting.in_order.push_back((number, address, waits));
            return Ok(Wait { replies: self, key: Key::InOrder(number) });
        };
        if let Some(id) = location.read(request).filter(|id| !id.is_empty()) {
            let id = ByteString::from(&*id);
            if self.lock().by_id.insert(id.clone(), waits).is_some() {
                return Err(RequestError::Twice(id.to_string()));
            }
            return Ok(Wait { replies: self, key: Key::Id(id) });
        }
        // Numbered where they are put in order.
        let number = {
            let mut waiting = self.lock();
            let number = waiting.next();
            waiting.by_number.push_back((number, waits));
            number
        };
        let wait = Wait { replies: self, key: Key::Number(number) };
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(number);
        let mut id = String::with_capacity(self.0.prefix.len() + digits.len());
        id.push_str(&self.0.prefix);
        id.push_str(digits);
        set(request, location, id.into())?;
        Ok(wait)
    }
}

/// Where a server that hands replies over at once finds who waits for them: it puts this into the state before startup, and the
/// application its requests into this.
#[derive(Clone, Default)]
pub(crate) struct ReplySlot(Arc<OnceLock<Replies>>);

impl ReplySlot {
    /// Gives a reply to who waits for it.
    pub(crate) fn take(&self, reply: &Message) -> Outcome {
        match self.0.get().and_then(|replies| replies.take(reply)) {
            Some(Settlement::Ack) => Outcome::Acked,
            Some(Settlement::Fail { reason, .. }) => Outcome::Discarded(reason),
            Some(Settlement::Unsettled) | None => Outcome::Unsettled,
        }
    }
}

/// Puts a text where a message says it.
fn set(message: &mut Message, location: Location, text: ByteString) -> Result<(), RequestError> {
    match location {
        Location::Header(name) => {
            // An empty one gives way.
            if message.headers.get(name).is_some() {
                message.headers.remove(name);
            }
            message.headers.push(name, text.into_bytes());
            Ok(())
        }
        Location::Payload(pointer) => {
            let set = || {
                let mut value: serde_json::Value = serde_json::from_slice(message.payload.as_ref()?).ok()?;
                let (parent, member) = pointer.rsplit_once('/')?;
                let member = member.replace("~1", "/").replace("~0", "~");
                value.pointer_mut(parent)?.as_object_mut()?.insert(member, text.to_string().into());
                serde_json::to_vec(&value).ok()
            };
            let payload = set().ok_or_else(|| RequestError::Unaddressed(pointer))?;
            message.payload = Some(payload.into());
            Ok(())
        }
    }
}

impl fmt::Debug for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replies")
            .field("own", &self.0.own)
            .field("waiting", &self.waiting())
            .finish_non_exhaustive()
    }
}

impl Application for Replies {
    fn channels(&self) -> &[ChannelInfo] {
        &self.0.channels
    }

    fn servers(&self) -> &[ServerInfo] {
        self.0.servers
    }

    async fn startup(&self, state: &mut State) -> Result<(), StartupError> {
        state.insert(self.clone());
        if let Some(slot) = state.get::<ReplySlot>() {
            // A second startup has the same requests.
            let _ = slot.0.set(self.clone());
        }
        let started = self.0.started.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(started) = started {
            // A client that is gone needs no sender.
            let _ = started.send(state.clone());
        }
        Ok(())
    }

    async fn message(&self, cx: &Context) -> Settlement {
        self.take(cx.message()).unwrap_or_else(|| crate::codegen::no_channel(cx))
    }
}

/// Waits for one reply; when it is dropped nobody does.
struct Wait<'a> {
    replies: &'a Replies,
    key: Key,
}

enum Key {
    /// The reply is there.
    Done,
    Id(ByteString),
    Number(u64),
    InOrder(u64),
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        match &self.key {
            Key::Done => {}
            Key::Id(id) => drop(self.replies.lock().by_id.remove(id)),
            Key::Number(number) => drop(self.replies.lock().remove(*number)),
            Key::InOrder(number) => self.replies.lock().in_order.retain(|(other, ..)| other != number),
        }
    }
}

/// Why a request has no reply.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The request could not be sent.
    #[error(transparent)]
    Send(#[from] SendError),
    /// No reply came in time.
    #[error("no reply within {0:?}")]
    TimedOut(Duration),
    /// The reply does not fit its schema.
    #[error("the reply: {0}")]
    Rejected(#[from] Rejection),
    /// This sender's server receives no replies: the sender was made of something that only sends.
    #[error("nothing receives replies here; make the sender of a handler's context or of a client")]
    NoReplies,
    /// The reply goes to an address that nothing receives from.
    #[error("nothing receives replies from `{0}`")]
    NotReceived(String),
    /// Another request with this correlation id waits.
    #[error("another request with the correlation id `{0}` waits")]
    Twice(String),
    /// The payload has no place for the address of the reply or the correlation id.
    #[error("the request has no place `{0}`")]
    Unaddressed(&'static str),
}

/// A request that is about to be sent. Awaiting it sends it and waits for the reply.
///
/// Where the document says so, the address of the reply and a correlation id are put into the request, unless they are
/// there.
#[must_use = "nothing is sent until this is awaited"]
pub struct Request<'a, R> {
    outgoing: Outgoing<'a>,
    replies: Option<&'a Replies>,
    info: &'static ReplyInfo,
    timeout: Duration,
    reply: PhantomData<fn() -> R>,
}

impl<'a, R: TypedMessage + Send + 'static> Request<'a, R> {
    /// A request that is answered as `info` says.
    pub fn new(outgoing: Outgoing<'a>, replies: Option<&'a Replies>, info: &'static ReplyInfo) -> Self {
        Self { outgoing, replies, info, timeout: TIMEOUT, reply: PhantomData }
    }

    /// How long to wait for the reply. Default: what the document says (`x-amgi-timeout`), else 30 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Changes the send: its headers and bindings.
    pub fn with(mut self, change: impl FnOnce(Outgoing<'a>) -> Outgoing<'a>) -> Self {
        self.outgoing = change(self.outgoing);
        self
    }

    /// Sends without waiting for the reply.
    pub fn send_only(self) -> Outgoing<'a> {
        self.outgoing
    }

    async fn ask(self) -> Result<R, RequestError> {
        let replies = self.replies.ok_or(RequestError::NoReplies)?;
        let (way, message) = self.outgoing.into_parts();
        let mut message = message?;
        let slot = Arc::new(Slot(Mutex::new(Place { reply: None, waiting: None })));
        let mut wait = replies.prepare(self.info, &mut message, slot.clone())?;
        let answered = async {
            way.sender.send_on(way.servers, message).await?;
            Ok::<_, RequestError>(slot.answered().await?)
        };
        let reply = tokio::time::timeout(self.timeout, answered).await;
        if let Ok(reply) = reply {
            if !matches!(reply, Err(RequestError::Send(_))) {
                wait.key = Key::Done;
            }
            return reply;
        }
        Err(RequestError::TimedOut(self.timeout))
    }
}

impl<'a, R: TypedMessage + Send + 'static> IntoFuture for Request<'a, R> {
    type Output = Result<R, RequestError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.ask())
    }
}

/// A server in the background that sends, and receives replies; see the [module](self).
///
/// SIGTERM and Ctrl-C do not stop it: who sends with it does, by [`close`](Self::close).
#[derive(Debug)]
pub struct Client {
    state: State,
    replies: Replies,
    stop: Stop,
    server: JoinHandle<Result<()>>,
}

impl Client {
    /// Starts the server that `serve` makes of the application and the handle that stops it. `replies` are those of the generated
    /// module, or `Replies::default()` for a client that only sends.
    ///
    /// # Errors
    /// What the server ends with before it has started. A broker that cannot be reached later is an error of the sends.
    pub async fn start<F, Fut>(replies: Replies, serve: F) -> Result<Self>
    where
        F: FnOnce(Replies, Stop) -> Fut,
        Fut: Future<Output = Result<()>> + Send + 'static,
    {
        let (started, state) = oneshot::channel();
        *replies.0.started.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
        // A service that sends with it stops first.
        let stop = Stop::ignoring_signals();
        let mut server = tokio::spawn(serve(replies.clone(), stop.clone()));
        let ended = tokio::select! {
            biased;
            state = state => match state {
                Ok(state) => return Ok(Self { state, replies, stop, server }),
                Err(_) => (&mut server).await,
            },
            ended = &mut server => ended,
        };
        *replies.0.started.lock().unwrap_or_else(PoisonError::into_inner) = None;
        match ended {
            Ok(Ok(())) => Err(Error::Config("the server ended before it started".to_owned())),
            Ok(Err(error)) => Err(error),
            Err(error) => Err(Error::Broker(error.into())),
        }
    }

    /// The server's `send`.
    pub fn sender(&self) -> &Arc<dyn MessageSend> {
        static NONE: std::sync::LazyLock<Arc<dyn MessageSend>> =
            std::sync::LazyLock::new(|| Arc::new(crate::NoSender));
        self.state.sender().unwrap_or(&NONE)
    }

    /// The requests that wait.
    pub fn replies(&self) -> &Replies {
        &self.replies
    }

    /// Stops the server and waits until it has ended.
    ///
    /// # Errors
    /// What the server ended with.
    pub async fn close(self) -> Result<()> {
        self.stop.request();
        self.server.await.unwrap_or_else(|error| Err(Error::Broker(error.into())))
    }
}
