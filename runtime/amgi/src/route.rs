//! Sends that go to different brokers, by their address.

use std::{cmp::Reverse, fmt, sync::Arc};

use crate::{
    address::{Pattern, PatternError},
    context::Context,
    contract::{Application, ChannelInfo, Message, MessageSend, ServerInfo, Settlement, State},
    error::{SendError, StartupError},
    sender::SendFuture,
};

/// Sends messages to different servers, by the pattern that their address fits.
///
/// Of several patterns the closest wins: the one that is the address itself, else the one with the most characters that
/// are no parameter, the first of them at a tie. What fits none takes the route of [`otherwise`](Self::otherwise).
///
/// ```
/// use std::sync::{Arc, Mutex};
/// use amgi::{Message, MessageSend, SendFuture, SendRouter};
///
/// #[derive(Default)]
/// struct Broker(Mutex<Vec<String>>);
///
/// impl MessageSend for Broker {
///     fn send(&self, message: Message) -> SendFuture<'_> {
///         self.0.lock().unwrap().push(message.address.to_string());
///         SendFuture::ready(Ok(()))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (lamps, rest) = (Arc::new(Broker::default()), Arc::new(Broker::default()));
/// let router = SendRouter::new().route("lamps.{id}.switch", lamps.clone())?.otherwise(rest.clone());
/// router.send(Message::new("lamps.7.switch")).await?;
/// router.send(Message::new("orders.new")).await?;
/// assert_eq!(*lamps.0.lock().unwrap(), ["lamps.7.switch"]);
/// assert_eq!(*rest.0.lock().unwrap(), ["orders.new"]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct SendRouter {
    routes: Vec<Route>,
    otherwise: Option<Arc<dyn MessageSend>>,
}

#[derive(Clone)]
struct Route {
    pattern: Pattern,
    /// No parameters at all, then the characters that are none.
    closeness: (bool, usize),
    sender: Arc<dyn MessageSend>,
}

impl SendRouter {
    /// A router without routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends to addresses that fit `pattern` take this way.
    ///
    /// # Errors
    /// When `pattern` cannot be read.
    pub fn route(mut self, pattern: &str, sender: Arc<dyn MessageSend>) -> Result<Self, PatternError> {
        let pattern = Pattern::parse(pattern)?;
        let closeness = (pattern.parameters().next().is_none(), pattern.literal_chars());
        self.routes.push(Route { pattern, closeness, sender });
        Ok(self)
    }

    /// The way of all other sends. Without it they are an error, or, [`around`](Self::around) an application, go to the
    /// server that its message came from.
    #[must_use]
    pub fn otherwise(mut self, sender: Arc<dyn MessageSend>) -> Self {
        self.otherwise = Some(sender);
        self
    }

    /// The application with this router for everything that its handlers send.
    pub fn around<A: Application>(self, app: A) -> Routed<A> {
        Routed { app, router: self }
    }

    fn find(&self, address: &str) -> Option<&Arc<dyn MessageSend>> {
        let fitting = self.routes.iter().filter(|route| route.pattern.matches(address));
        fitting.min_by_key(|route| Reverse(route.closeness)).map(|route| &route.sender)
    }

    fn lost<'a>(message: &Message) -> SendFuture<'a> {
        SendFuture::ready(Err(SendError::new(message.address.to_string(), "no route leads there")))
    }
}

impl MessageSend for SendRouter {
    fn send(&self, message: Message) -> SendFuture<'_> {
        match self.find(&message.address).or(self.otherwise.as_ref()) {
            Some(sender) => sender.send(message),
            None => Self::lost(&message),
        }
    }

    fn send_on(&self, servers: &'static [&'static str], message: Message) -> SendFuture<'_> {
        match (self.find(&message.address), &self.otherwise) {
            (Some(sender), _) => sender.send(message),
            (None, Some(sender)) => sender.send_on(servers, message),
            (None, None) => Self::lost(&message),
        }
    }
}

impl fmt::Debug for SendRouter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let patterns = self.routes.iter().map(|route| route.pattern.to_string());
        f.debug_list().entries(patterns).finish()
    }
}

/// An application whose handlers send through a [`SendRouter`], see [`SendRouter::around`].
#[derive(Debug)]
pub struct Routed<A> {
    app: A,
    router: SendRouter,
}

impl<A: Application> Application for Routed<A> {
    fn channels(&self) -> &[ChannelInfo] {
        self.app.channels()
    }

    fn servers(&self) -> &[ServerInfo] {
        self.app.servers()
    }

    async fn startup(&self, state: &mut State) -> Result<(), StartupError> {
        let mut router = self.router.clone();
        router.otherwise = router.otherwise.or_else(|| state.sender().cloned());
        state.insert::<Arc<dyn MessageSend>>(Arc::new(router));
        self.app.startup(state).await
    }

    async fn message(&self, cx: &Context) -> Settlement {
        self.app.message(cx).await
    }

    async fn batch(&self, contexts: &[Context], settlements: &mut Vec<Settlement>) {
        self.app.batch(contexts, settlements).await;
    }

    async fn shutdown(&self) -> Result<(), StartupError> {
        self.app.shutdown().await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone)]
    struct Noted(&'static str, Arc<Mutex<Vec<String>>>);

    impl MessageSend for Noted {
        fn send(&self, message: Message) -> SendFuture<'_> {
            self.1.lock().unwrap().push(format!("{} {}", self.0, message.address));
            SendFuture::ready(Ok(()))
        }

        fn send_on(&self, servers: &'static [&'static str], message: Message) -> SendFuture<'_> {
            self.1.lock().unwrap().push(format!("{} {} on {servers:?}", self.0, message.address));
            SendFuture::ready(Ok(()))
        }
    }

    struct Sends;

    impl Application for Sends {
        fn channels(&self) -> &[ChannelInfo] {
            &[]
        }

        async fn message(&self, cx: &Context) -> Settlement {
            let sent = cx.send(Message::new(format!("copy.{}", cx.address()))).await;
            if sent.is_ok() { Settlement::Ack } else { Settlement::Unsettled }
        }
    }

    #[tokio::test]
    async fn the_closest_pattern_wins() {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let to = |name| -> Arc<dyn MessageSend> { Arc::new(Noted(name, seen.clone())) };
        let router = SendRouter::new()
            .route("{a}.{b}", to("any"))
            .and_then(|r| r.route("user.{id}", to("user")))
            .and_then(|r| r.route("{x}.new", to("first")))
            .and_then(|r| r.route("user.created", to("exact")))
            .and_then(|r| r.route("{y}.new", to("second")))
            .unwrap();
        for address in ["a.b", "user.1", "order.new", "user.created"] {
            router.send(Message::new(address)).await.unwrap();
        }
        assert_eq!(
            *seen.lock().unwrap(),
            ["any a.b", "user user.1", "first order.new", "exact user.created"]
        );
        let error = router.send(Message::new("x")).await.unwrap_err();
        assert_eq!(error.to_string(), "could not send to `x`: no route leads there");
        assert!(SendRouter::new().route("{", to("none")).is_err());

        let router = router.otherwise(to("rest"));
        router.send_on(&["b"], Message::new("x")).await.unwrap();
        router.send_on(&["b"], Message::new("user.1")).await.unwrap();
        assert_eq!(seen.lock().unwrap()[4..], ["rest x on [\"b\"]", "user user.1"]);
    }

    #[tokio::test]
    async fn what_handlers_send_is_routed() {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let router = SendRouter::new().route("copy.a", Arc::new(Noted("other", seen.clone()))).unwrap();
        let app = crate::testing::TestApp::start(router.around(Sends)).await.unwrap();
        let delivered = app.deliver(Message::new("a")).await;
        delivered.assert_acked();
        assert!(delivered.sent_to("copy.a").is_empty(), "it went the other way");
        assert_eq!(*seen.lock().unwrap(), ["other copy.a"]);
        assert_eq!(app.deliver(Message::new("b")).await.sent_to("copy.b").len(), 1);
    }
}
