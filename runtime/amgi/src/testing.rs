//! Tests of an application without a broker.
//!
//! ```
//! # use amgi::{Application, ChannelInfo, Context, Message, Settlement};
//! # struct App;
//! # impl Application for App {
//! #     fn channels(&self) -> &[ChannelInfo] { &[] }
//! #     async fn message(&self, cx: &Context) -> Settlement {
//! #         match cx.send(Message::new("user.welcome").payload("{}")).await {
//! #             Ok(()) => Settlement::Ack,
//! #             Err(_) => Settlement::Unsettled,
//! #         }
//! #     }
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! use amgi::testing::TestApp;
//!
//! let app = TestApp::start(App).await.unwrap();
//! let delivered = app.deliver(Message::new("user.created").payload(r#"{"id":1}"#)).await;
//! delivered.assert_acked();
//! assert_eq!(delivered.sent_to("user.welcome").len(), 1);
//! app.stop().await.unwrap();
//! # }
//! ```

use std::sync::{Arc, Mutex, PoisonError};

use bytestring::ByteString;

use crate::{
    client::Replies,
    codegen::TypedMessage,
    context::Context,
    contract::{Application, Extensions, Message, MessageSend, Settlement, State},
    error::{Disposition, Error, Reason, Rejection, SendError},
    layer::{attempt, finished},
    lifespan,
    sender::SendFuture,
};

/// An application that runs in the test's own process. Every delivery is one attempt.
pub struct TestApp<A> {
    app: A,
    state: State,
    extensions: Extensions,
    sends: Arc<Recorder>,
}

impl<A: Application> TestApp<A> {
    /// Runs the application's startup.
    pub async fn start(app: A) -> Result<Self, Error> {
        let sends = Arc::<Recorder>::default();
        let state = lifespan::startup(&app, sends.clone()).await?;
        *lock(&sends.state) = Some(state.clone());
        Ok(Self { app, state, extensions: Extensions::default(), sends })
    }

    /// Declares an extension that the application will see.
    #[must_use]
    pub fn extension(mut self, name: impl Into<String>, value: serde_json::Value) -> Self {
        self.extensions.insert(name, value);
        self
    }

    /// Puts a value into the state, over one of the same type that startup put there. An `Arc<T>` of a
    /// [dependency](crate::Dependency) `T` is taken instead of making one.
    #[must_use]
    pub fn provide<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.state.insert(value);
        self
    }

    /// Answers what the application sends to `address`, as the other side would: requests get their reply. A correlation id that
    /// request and reply hold in the same header is copied where `reply` leaves it out.
    ///
    /// ```
    /// # use amgi::{Application, ChannelInfo, Context, Message, Settlement, testing::TestApp};
    /// # async fn example(app: impl Application) -> amgi::Result<()> {
    /// let app = TestApp::start(app).await?.answer("user.find", |_| Message::new("user.found").payload(r#"{"id":1}"#));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn answer(
        self,
        address: impl Into<ByteString>,
        reply: impl Fn(&Message) -> Message + Send + Sync + 'static,
    ) -> Self {
        lock(&self.sends.answers).push((address.into(), Box::new(reply)));
        self
    }

    /// Lets every send from now on fail with this text, or succeed again with `None`.
    pub fn fail_sends(&self, text: Option<&str>) {
        *lock(&self.sends.failing) = text.map(str::to_owned);
    }

    /// Delivers a raw message.
    pub async fn deliver(&self, message: Message) -> Delivered {
        let cx = self.context(message);
        let settlement = attempt(&self.app, &cx).await;
        Delivered { settlement, sends: std::mem::take(&mut *lock(&self.sends.sent)) }
    }

    /// Delivers messages of one channel as a batch; what is sent is told with the first.
    pub async fn deliver_batch(&self, messages: impl IntoIterator<Item = Message>) -> Vec<Delivered> {
        let contexts: Vec<Context> = messages.into_iter().map(|message| self.context(message)).collect();
        let mut settlements = Vec::new();
        self.app.batch(&contexts, &mut settlements).await;
        let mut delivered = Vec::with_capacity(contexts.len());
        for (cx, settlement) in contexts.iter().zip(settlements) {
            let settlement = finished(cx, settlement).await;
            delivered.push(Delivered { settlement, sends: Vec::new() });
        }
        if let Some(first) = delivered.first_mut() {
            first.sends = std::mem::take(&mut *lock(&self.sends.sent));
        }
        delivered
    }

    fn context(&self, message: Message) -> Context {
        // Startup may have put another in its place.
        let sender = self.state.sender().cloned().unwrap_or_else(|| self.sends.clone());
        Context::new(message, self.state.clone(), sender).with_extensions(self.extensions.clone())
    }

    /// Delivers a typed message.
    ///
    /// # Panics
    /// When the message does not fit its own schema.
    pub async fn deliver_typed<M: TypedMessage>(
        &self,
        address: impl Into<ByteString>,
        message: &M,
    ) -> Delivered {
        match message.to_message(address) {
            Ok(message) => self.deliver(message).await,
            Err(error) => panic!("the message of the test cannot be delivered: {error}"),
        }
    }

    /// The application itself.
    pub fn app(&self) -> &A {
        &self.app
    }

    /// Runs the application's shutdown.
    pub async fn stop(self) -> Result<(), Error> {
        lifespan::shutdown(&self.app).await
    }
}

#[derive(Default)]
struct Recorder {
    sent: Mutex<Vec<Message>>,
    failing: Mutex<Option<String>>,
    answers: Mutex<Vec<(ByteString, Answer)>>,
    /// The application's state, in which the requests are that wait.
    state: Mutex<Option<State>>,
}

type Answer = Box<dyn Fn(&Message) -> Message + Send + Sync>;

impl Recorder {
    /// Gives a request the reply that the test has for it.
    fn answer(&self, request: &Message) {
        let answers = lock(&self.answers);
        let Some((_, answer)) = answers.iter().find(|(address, _)| *address == request.address) else {
            return;
        };
        let reply = answer(request);
        let state = lock(&self.state).clone();
        if let Some(replies) = state.as_ref().and_then(State::get::<Replies>) {
            replies.answer(request, reply);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MessageSend for Recorder {
    fn send(&self, message: Message) -> SendFuture<'_> {
        SendFuture::ready(if let Some(text) = lock(&self.failing).clone() {
            Err(SendError::new(message.address.to_string(), text))
        } else {
            self.answer(&message);
            lock(&self.sent).push(message);
            Ok(())
        })
    }
}

/// Delivers every message example of the document to the application, as a test of both.
///
/// # Panics
/// When an example was not acknowledged, with all of them and why. A handler that is still the scaffold is passed over.
pub async fn assert_examples<A: Application>(app: A) {
    let app = match TestApp::start(app).await {
        Ok(app) => app,
        Err(error) => panic!("{error}"),
    };
    let mut failed = Vec::new();
    for message in crate::memory::examples(app.app()) {
        let delivered = app.deliver(message.clone()).await;
        match delivered.settlement {
            Settlement::Ack | Settlement::Fail { reason: Reason::NotImplemented, .. } => {}
            Settlement::Fail { reason, .. } => failed.push(format!("{message:?}: {reason}")),
            Settlement::Unsettled => failed.push(format!("{message:?}: not settled")),
        }
    }
    assert!(failed.is_empty(), "{} examples were not handled:\n{}", failed.len(), failed.join("\n"));
}

/// What became of a message.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivered {
    /// How the application settled it.
    pub settlement: Settlement,
    /// What it sent meanwhile, in order.
    pub sends: Vec<Message>,
}

impl Delivered {
    /// # Panics
    /// Unless the message was acknowledged.
    #[track_caller]
    pub fn assert_acked(&self) -> &Self {
        assert!(self.settlement == Settlement::Ack, "expected an ack, got {:?}", self.settlement);
        self
    }

    /// # Panics
    /// Unless the message was nacked, with `text` in the reason.
    #[track_caller]
    pub fn assert_nacked(&self, text: &str) -> &Self {
        match &self.settlement {
            Settlement::Fail { reason, .. } if reason.to_string().contains(text) => self,
            other => panic!("expected a nack that says `{text}`, got {other:?}"),
        }
    }

    /// # Panics
    /// Unless the message was nacked with this disposition.
    #[track_caller]
    pub fn assert_disposition(&self, expected: Disposition) -> &Self {
        match &self.settlement {
            Settlement::Fail { disposition, .. } if *disposition == expected => self,
            other => panic!("expected a nack with {expected:?}, got {other:?}"),
        }
    }

    /// The rejection of a message that does not fit the document.
    ///
    /// # Panics
    /// Unless it was rejected for what is at this JSON Pointer, among other things perhaps.
    #[track_caller]
    pub fn assert_rejected(&self, pointer: &str) -> &Rejection {
        match &self.settlement {
            Settlement::Fail { reason: Reason::Rejected(rejection), .. }
                if rejection.violations().iter().any(|violation| violation.pointer == pointer) =>
            {
                rejection
            }
            other => panic!("expected a rejection at `{pointer}`, got {other:?}"),
        }
    }

    /// # Panics
    /// Unless messages were sent to exactly these addresses, in this order.
    #[track_caller]
    pub fn assert_sends<'a>(&self, addresses: impl IntoIterator<Item = &'a str>) -> &Self {
        assert_eq!(self.addresses(), addresses.into_iter().collect::<Vec<_>>(), "addresses of sends");
        self
    }

    /// # Panics
    /// Unless messages were sent to exactly these addresses, in whichever order.
    #[track_caller]
    pub fn assert_sends_in_any_order<'a>(&self, addresses: impl IntoIterator<Item = &'a str>) -> &Self {
        let (mut sent, mut expected) = (self.addresses(), addresses.into_iter().collect::<Vec<_>>());
        sent.sort_unstable();
        expected.sort_unstable();
        assert_eq!(sent, expected, "addresses of sends");
        self
    }

    /// # Panics
    /// When anything was sent.
    #[track_caller]
    pub fn assert_no_sends(&self) -> &Self {
        self.assert_sends([])
    }

    fn addresses(&self) -> Vec<&str> {
        self.sends.iter().map(|message| &*message.address).collect()
    }

    /// What was sent to an address.
    pub fn sent_to(&self, address: &str) -> Vec<&Message> {
        self.sends.iter().filter(|message| message.address == address).collect()
    }

    /// Reads what was sent to an address as a typed message.
    ///
    /// # Panics
    /// Unless exactly one such message was sent and it fits.
    #[track_caller]
    pub fn assert_sent<M: TypedMessage>(&self, address: &str) -> M {
        let sends = self.sent_to(address);
        assert!(sends.len() == 1, "expected one send to `{address}`, got {}: {:?}", sends.len(), self.sends);
        match M::decode(sends[0]) {
            Ok(message) => message,
            Err(rejection) => panic!("what was sent to `{address}` is no {}: {rejection}", M::NAME),
        }
    }
}
