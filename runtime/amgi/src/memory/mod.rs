#![doc = include_str!("README.md")]

mod hub;
mod line;
mod queue;

use std::{pin::pin, sync::Arc};

use tokio::task::unconstrained;
use tracing::warn;

pub(crate) use self::line::example_message;
#[cfg(feature = "cli")]
pub(crate) use self::line::sent_line;
pub use self::{hub::Hub, queue::Queue};
use self::{hub::OnReply, queue::Stopped};
use crate::{
    Result,
    channels::ChannelMap,
    client::ReplySlot,
    context::Context,
    contract::{Application, Message, MessageSend, State},
    error::Reason,
    lifespan,
    sender::SendFuture,
    server::{Outcome, Policies, Policy, Stop, deliver, deliver_batch, deliver_rarely},
};

/// What happened on the server, for an observer.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// A message is about to be given to the application.
    Received(&'a Message),
    /// The application sent a message.
    Sent(&'a Message),
    /// A message was settled.
    Settled(&'a Message, &'a Outcome),
    /// A line of the input is no message.
    Unreadable(&'a str),
}

type Observer = Arc<dyn Fn(Event<'_>) + Send + Sync>;

/// The in-memory server.
///
/// ```
/// # use amgi::{Application, ChannelInfo, Context, Message, Settlement, memory::{Event, Queue, Server}};
/// # struct App;
/// # impl Application for App {
/// #     fn channels(&self) -> &[ChannelInfo] { &[] }
/// #     async fn message(&self, _: &Context) -> Settlement { Settlement::Ack }
/// # }
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> amgi::Result<()> {
/// let queue = Queue::new();
/// queue.push(Message::new("user.created").payload(r#"{"id":1}"#));
/// queue.close();
/// Server::new(App)
///     .queue(&queue)
///     .observe(|event| if let Event::Settled(message, outcome) = event {
///         assert!(outcome.is_acked(), "{message:?}");
///     })
///     .serve()
///     .await
/// # }
/// ```
pub struct Server<A> {
    app: A,
    source: Source,
    observer: Option<Observer>,
    policy: Policy,
    stop: Stop,
}

enum Source {
    Examples,
    Lines,
    Queue(Queue),
    Hub(Hub),
}

/// What the in-memory server reads and prints.
#[cfg(feature = "cli")]
pub(crate) const LINES: &str = "\
The in-memory server reads messages from standard input, one JSON object a line:
  {\"address\": \"user.created\", \"headers\": {\"correlation-id\": \"c-1\"}, \"payload\": {\"id\": 1}}
and prints what the application sends and how each message was settled, one JSON object a line.

Members of a message: address (required), headers (an object, or a list of [name, value]), payload (any JSON, null
too), payload_text or payload_base64 (bytes that are not JSON), bindings ({protocol: {field: value}}).";

impl<A: Application> Server<A> {
    /// A server for `app` that reads standard input and prints to standard output.
    pub fn new(app: A) -> Self {
        // One attempt more than one shows what a retry does without making a demonstration slow.
        let policy = Policy { attempts: 2, ..Policy::default() };
        Self { app, source: Source::Lines, observer: None, policy, stop: Stop::new() }
    }

    /// Delivers every message example of the document.
    #[must_use]
    pub fn examples(mut self) -> Self {
        self.source = Source::Examples;
        self
    }

    /// Delivers what is put into `queue`, until it is closed.
    #[must_use]
    pub fn queue(mut self, queue: &Queue) -> Self {
        self.source = Source::Queue(queue.clone());
        self
    }

    /// Connects this server to others in the process: delivers what they send to the application's channels, and what it
    /// sends to them, until a stop is asked for.
    #[must_use]
    pub fn hub(mut self, hub: &Hub) -> Self {
        self.source = Source::Hub(hub.clone());
        self
    }

    /// Tells `observer` what happens, instead of printing it.
    #[must_use]
    pub fn observe(mut self, observer: impl Fn(Event<'_>) + Send + Sync + 'static) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// How failed messages are treated. Default: two attempts.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// A handle that stops this server, beside SIGTERM and Ctrl-C.
    #[must_use]
    pub fn stop(mut self, stop: &Stop) -> Self {
        self.stop = stop.clone();
        self
    }

    /// Runs startup, delivers until the source ends or a stop is asked for, and runs shutdown.
    pub async fn serve(self) -> Result<()> {
        self.stop.on_signal()?;
        let observer = self.observer.clone().unwrap_or_else(|| Arc::new(line::print));
        let hub = match &self.source {
            Source::Hub(hub) => Some(hub),
            _ => None,
        };
        let sender: Arc<dyn MessageSend> = Arc::new(Observed(observer.clone(), hub.cloned()));
        let mut state = State::default();
        let subscribed = hub.map(|hub| self.subscribe(hub, &observer, &mut state));
        let queue = match (&subscribed, &self.source) {
            (Some((queue, _)), _) | (None, Source::Queue(queue)) => Some(queue.clone()),
            (None, Source::Examples) => Some(self.examples_queue()),
            _ => None,
        };
        let ran = self.run(sender, &observer, state, queue.as_ref()).await;
        if let (Some(hub), Some((queue, reply))) = (hub, &subscribed) {
            hub.unsubscribe(queue, reply);
        }
        ran
    }

    /// Connects to the hub: messages are queued; replies go to who waits for them, of whom the application tells at startup.
    fn subscribe(&self, hub: &Hub, observer: &Observer, state: &mut State) -> (Queue, OnReply) {
        let (replies, others): (Vec<_>, Vec<_>) =
            self.app.channels().iter().cloned().partition(|channel| channel.replies);
        let waiting = ReplySlot::default();
        state.insert(waiting.clone());
        let observer = observer.clone();
        let reply: OnReply = Arc::new(move |message| {
            observer(Event::Received(&message));
            let outcome = waiting.take(&message);
            observer(Event::Settled(&message, &outcome));
        });
        hub.on_reply(&replies, &reply);
        (hub.subscribe(&others), reply)
    }

    async fn run(
        &self,
        sender: Arc<dyn MessageSend>,
        observer: &Observer,
        state: State,
        queue: Option<&Queue>,
    ) -> Result<()> {
        let state = lifespan::startup_with(&self.app, sender.clone(), state).await?;
        // Startup may have put another in its place.
        let sender = state.sender().cloned().unwrap_or(sender);
        let policies = Policies::new(self.app.channels(), self.policy.clone());
        let mut cx = Context::new(Message::default(), state, sender).with_stop(&self.stop);
        let worked = match queue {
            Some(queue) if self.app.channels().iter().any(|channel| channel.batch.is_some()) => {
                Box::pin(self.batches(&cx, queue, observer, &policies)).await;
                Ok(())
            }
            Some(queue) => {
                // Boxed, once: large handlers make it large.
                Box::pin(self.messages(&mut cx, queue, observer, &policies)).await;
                Ok(())
            }
            None => self.lines(&mut cx, observer, &policies).await,
        };
        let ended = lifespan::shutdown(&self.app).await;
        worked.and(ended)
    }

    /// The examples of the document, and no more.
    fn examples_queue(&self) -> Queue {
        let queue = Queue::new();
        let messages = examples(&self.app);
        if messages.is_empty() {
            warn!("the document has no examples of messages that are received, so nothing is delivered");
        }
        for message in messages {
            queue.push(message);
        }
        queue.close();
        queue
    }

    /// Delivers one message after the other. This is the one place where messages are many.
    async fn messages(&self, cx: &mut Context, queue: &Queue, observer: &Observer, policies: &Policies) {
        let requested = pin!(unconstrained(self.stop.requested()));
        let mut stopped = Stopped::new(&self.stop, requested);
        loop {
            match queue.try_pop(&self.stop, cx.message_mut()) {
                Some(true) => {}
                None if queue.pop(&mut stopped, cx.message_mut()).await => {}
                Some(false) | None => return,
            }
            observer(Event::Received(cx.message()));
            let outcome = deliver(&self.app, cx, policies).await;
            observer(Event::Settled(cx.message(), &outcome));
        }
    }

    /// Delivers what comes on standard input.
    async fn lines(&self, cx: &mut Context, observer: &Observer, policies: &Policies) -> Result<()> {
        let mut lines = line::stdin();
        loop {
            let next = tokio::select! {
                biased;
                () = self.stop.requested() => None,
                next = lines.recv() => next,
            };
            let Some(line) = next.transpose()? else { return Ok(()) };
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            match line::parse(line) {
                Ok(message) => {
                    cx.replace(message);
                    self.handle_rarely(cx, observer, policies).await;
                }
                Err(error) => {
                    let text = String::from_utf8_lossy(line);
                    observer(Event::Unreadable(&format!("{error}: {text}")));
                }
            }
        }
    }

    /// Delivers messages of channels that ask for it together.
    async fn batches(&self, cx: &Context, queue: &Queue, observer: &Observer, policies: &Policies) {
        let channels = self.app.channels();
        let map = ChannelMap::new(channels);
        // A clone shares what belongs to a message with the context that it is a clone of, until it gets one of its own.
        let mut contexts = vec![cx.clone()];
        let mut settlements = Vec::new();
        let requested = pin!(unconstrained(self.stop.requested()));
        let mut stopped = Stopped::new(&self.stop, requested);
        loop {
            match queue.try_pop(&self.stop, contexts[0].message_mut()) {
                Some(true) => {}
                None if queue.pop(&mut stopped, contexts[0].message_mut()).await => {}
                Some(false) | None => return,
            }
            let channel = map.find(contexts[0].address());
            let Some(batch) = channel.and_then(|index| channels[index].batch) else {
                self.handle_rarely(&contexts[0], observer, policies).await;
                continue;
            };
            let address = contexts[0].message().address.clone();
            let same = |other: &str| address == other || map.find(other) == channel;
            let mut count = 1;
            let until = tokio::time::Instant::now() + batch.wait;
            while count < batch.size.max(1) {
                if contexts.len() == count {
                    contexts.push(cx.clone());
                }
                if queue.pop_if(same, contexts[count].message_mut()) {
                    count += 1;
                    continue;
                }
                if batch.wait.is_zero() || !queue.is_empty() || queue.is_closed() {
                    break;
                }
                tokio::select! {
                    () = queue.filled() => {}
                    () = tokio::time::sleep_until(until) => break,
                    () = self.stop.requested() => break,
                }
            }
            let contexts = &contexts[..count];
            for cx in contexts {
                observer(Event::Received(cx.message()));
            }
            let settled =
                |index: usize, outcome| observer(Event::Settled(contexts[index].message(), &outcome));
            deliver_batch(&self.app, contexts, policies, &mut settlements, settled).await;
        }
    }

    async fn handle_rarely(&self, cx: &Context, observer: &Observer, policies: &Policies) {
        observer(Event::Received(cx.message()));
        let outcome = deliver_rarely(&self.app, cx, policies).await;
        observer(Event::Settled(cx.message(), &outcome));
    }
}

/// Every message example of the channels that `app` receives from, as a message.
pub fn examples<A: Application>(app: &A) -> Vec<Message> {
    let mut out: Vec<Message> = Vec::new();
    for channel in app.channels() {
        for message in channel.operations.iter().flat_map(|operation| operation.messages) {
            for example in message.examples {
                let message = example_message(&channel.example_address, example);
                // A message under several operations is delivered once.
                if !out.contains(&message) {
                    out.push(message);
                }
            }
        }
    }
    out
}

/// Whether the outcome is a scaffold's, which the demonstration forgives.
fn is_scaffold(outcome: &Outcome) -> bool {
    matches!(outcome, Outcome::Nacked { reason: Reason::NotImplemented, .. })
}

struct Observed(Observer, Option<Hub>);

impl MessageSend for Observed {
    fn send(&self, message: Message) -> SendFuture<'_> {
        (self.0)(Event::Sent(&message));
        match &self.1 {
            Some(hub) => hub.send(message),
            None => SendFuture::ready(Ok(())),
        }
    }
}
