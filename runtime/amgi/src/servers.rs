//! One application on several servers: started once, receiving from all of them, shut down once.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use tokio::{
    sync::{Notify, OnceCell, SetOnce},
    task::JoinSet,
};
use tracing::{debug, error};

use crate::{
    Result,
    context::Context,
    contract::{Application, ChannelInfo, Message, MessageSend, ServerInfo, Settlement, State},
    error::{SendError, StartupError},
    lifespan,
    sender::SendFuture,
    server::Stop,
};

/// Several servers of one process with one application.
///
/// Startup runs once, before the first message of any server, and shutdown once, after the last message of all of them.
/// When a server fails, the others are stopped, and its error is what [`serve`](Self::serve) ends with. All stop together at
/// SIGTERM, Ctrl-C or by [`stop`](Self::stop).
///
/// A server that is called as one of the document's is subscribed only to the channels that the document puts there. What a
/// handler sends goes to the server that its message came from, unless the document puts the channel on other servers: then
/// to the first of those that runs here. A send to a server that has stopped already is an error.
///
/// A server may be there [for sends alone](Self::sender): then what handlers send goes to the first such server that the document
/// puts the channel on. They stop after the others, so that what is being handled then can still send.
///
/// ```
/// # use amgi::{Application, ChannelInfo, Context, Message, Settlement};
/// # struct App;
/// # impl Application for App {
/// #     fn channels(&self) -> &[ChannelInfo] { &[] }
/// #     async fn message(&self, _: &Context) -> Settlement { Settlement::Ack }
/// # }
/// use amgi::{Servers, memory::{Queue, Server}};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> amgi::Result<()> {
/// let (one, two) = (Queue::new(), Queue::new());
/// # one.close();
/// # two.close();
/// Servers::new(App)
///     .server("one", move |app, stop| Server::new(app).queue(&one).stop(&stop).serve())
///     .server("two", move |app, stop| Server::new(app).queue(&two).stop(&stop).serve())
///     .serve()
///     .await
/// # }
/// ```
#[must_use = "servers do nothing until they are served"]
pub struct Servers<A> {
    app: A,
    members: Vec<(String, Kind, Start<A>)>,
    stop: Stop,
}

/// What a server is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Receives and sends.
    Whole,
    /// Sends, from the start.
    Sender,
    /// Sends, and is started when something is sent to it.
    LazySender,
}

type Serving = Pin<Box<dyn Future<Output = Result<()>> + Send>>;
type Start<A> = Box<dyn FnOnce(Shared<A>, Stop) -> Serving + Send>;

impl<A: Application> Servers<A> {
    /// For this application; there is no server yet.
    pub fn new(app: A) -> Self {
        Self { app, members: Vec::new(), stop: Stop::new() }
    }

    /// Adds a server. `name` is one of the document's, or any other, which then gets all channels; `start` makes the server
    /// for the application that it is given, with the handle that stops it, and serves.
    pub fn server<F>(
        mut self,
        name: impl Into<String>,
        start: impl FnOnce(Shared<A>, Stop) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.push(name.into(), Kind::Whole, start);
        self
    }

    /// Adds a server for sends alone: of its channels it receives only replies to requests of this application. `name` and `start`
    /// are those of [`server`](Self::server).
    ///
    /// ```
    /// # use amgi::{Application, ChannelInfo, Context, Message, Settlement};
    /// # struct App;
    /// # impl Application for App {
    /// #     fn channels(&self) -> &[ChannelInfo] { &[] }
    /// #     async fn message(&self, cx: &Context) -> Settlement {
    /// #         cx.send(Message::new("copies")).await.unwrap();
    /// #         Settlement::Ack
    /// #     }
    /// # }
    /// use amgi::{Servers, memory::{Hub, Queue, Server}};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> amgi::Result<()> {
    /// let (queue, hub) = (Queue::new(), Hub::new());
    /// # queue.push(Message::new("orders"));
    /// # queue.close();
    /// Servers::new(App)
    ///     .server("from", move |app, stop| Server::new(app).queue(&queue).stop(&stop).serve())
    ///     .sender("to", move |app, stop| Server::new(app).hub(&hub).stop(&stop).serve())
    ///     .serve()
    ///     .await
    /// # }
    /// ```
    pub fn sender<F>(
        mut self,
        name: impl Into<String>,
        start: impl FnOnce(Shared<A>, Stop) -> F + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.push(name.into(), Kind::Sender, start);
        self
    }

    /// Adds a server of a kind.
    pub(crate) fn push<F>(
        &mut self,
        name: String,
        kind: Kind,
        start: impl FnOnce(Shared<A>, Stop) -> F + Send + 'static,
    ) where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        self.members.push((name, kind, Box::new(move |app, stop| Box::pin(start(app, stop)))));
    }

    /// Stops all of them when this handle is asked to. Default: a handle of its own.
    pub fn stop(mut self, stop: &Stop) -> Self {
        self.stop = stop.clone();
        self
    }

    /// Serves until all have ended, and runs shutdown.
    ///
    /// # Errors
    /// The first error of a server, else that of shutdown.
    pub async fn serve(self) -> Result<()> {
        let members = self.members.iter();
        let members = members.map(|(name, kind, _)| Member {
            name: name.clone(),
            sends_only: *kind != Kind::Whole,
            wanted: Notify::new(),
            sender: SetOnce::new(),
        });
        let all = Arc::new(All { members: members.collect(), stop: self.stop.clone() });
        let once = Arc::new(Once { app: self.app, started: OnceCell::new() });
        // What is being handled when the others stop may still send.
        let last = Stop::ignoring_signals();
        let mut receiving = self.members.iter().filter(|(_, kind, _)| *kind == Kind::Whole).count();
        let mut running = JoinSet::new();
        for (index, (name, kind, start)) in self.members.into_iter().enumerate() {
            let app = Shared::new(once.clone(), all.clone(), index);
            let stop = if kind == Kind::Whole { self.stop.clone() } else { last.clone() };
            let all = all.clone();
            running.spawn(async move {
                if kind == Kind::LazySender {
                    tokio::select! {
                        () = all.members[index].wanted.notified() => {}
                        () = stop.requested() => return (name, kind, Ok(())),
                    }
                }
                (name, kind, start(app, stop).await)
            });
        }
        let several = all.members.len() > 1;
        let mut result = Ok(());
        if receiving == 0 {
            last.request();
        }
        while let Some(ended) = running.join_next().await {
            match ended {
                Ok((name, kind, ended)) => {
                    if kind == Kind::Whole {
                        receiving -= 1;
                        if receiving == 0 {
                            last.request();
                        }
                    }
                    match ended {
                        Ok(()) => debug!(server = name, "server ended"),
                        Err(error) => {
                            // Only the first error is given back.
                            if several {
                                error!(server = name, %error, "server failed");
                            }
                            self.stop.request();
                            result = result.and(Err(error));
                        }
                    }
                }
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // Nobody cancels them.
                    Err(_) => self.stop.request(),
                },
            }
        }
        match once.started.get() {
            Some(Ok(_)) => result.and(lifespan::shutdown(&once.app).await),
            _ => result,
        }
    }
}

impl<A> fmt::Debug for Servers<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.members.iter().map(|(name, ..)| name)).finish()
    }
}

/// The application, and what its one startup made.
struct Once<A> {
    app: A,
    started: OnceCell<Result<Started, String>>,
}

/// What startup left, and the sender that it was given.
struct Started {
    state: State,
    given: Option<Arc<dyn MessageSend>>,
}

struct All {
    members: Box<[Member]>,
    stop: Stop,
}

/// A server, and its `send` once it has begun.
struct Member {
    name: String,
    sends_only: bool,
    /// Something is to be sent to it.
    wanted: Notify,
    sender: SetOnce<Arc<dyn MessageSend>>,
}

/// An application that several servers share, as one of them sees it: see [`Servers`].
pub struct Shared<A> {
    once: Arc<Once<A>>,
    all: Arc<All>,
    index: usize,
    channels: Vec<ChannelInfo>,
    servers: Vec<ServerInfo>,
}

impl<A: Application> Shared<A> {
    fn new(once: Arc<Once<A>>, all: Arc<All>, index: usize) -> Self {
        let Member { name, sends_only, .. } = &all.members[index];
        let document = once.app.servers();
        let mut servers: Vec<ServerInfo> =
            document.iter().filter(|server| server.name == *name).cloned().collect();
        let is_here = |channel: &&ChannelInfo| {
            (servers.is_empty() || is_on(channel.servers, name)) && (channel.replies || !sends_only)
        };
        let channels = once.app.channels().iter().filter(is_here).cloned().collect();
        if servers.is_empty() {
            // A server that is none of the document's may want to know which of them it can send to.
            let is_sender = |server: &&ServerInfo| {
                all.members.iter().any(|member| member.sends_only && member.name == server.name)
            };
            servers = document.iter().filter(is_sender).cloned().collect();
        }
        Self { once, all, index, channels, servers }
    }
}

/// Whether a channel on these servers is on the one of that name.
fn is_on(servers: &[&str], name: &str) -> bool {
    servers.is_empty() || servers.contains(&name)
}

impl<A: Application> Application for Shared<A> {
    fn channels(&self) -> &[ChannelInfo] {
        &self.channels
    }

    fn servers(&self) -> &[ServerInfo] {
        &self.servers
    }

    async fn startup(&self, state: &mut State) -> Result<(), StartupError> {
        let own = state.sender().cloned();
        if let Some(own) = &own {
            // A server that starts a second time keeps its first sender.
            let _ = self.all.members[self.index].sender.set(own.clone());
            if self.all.members.len() > 1 {
                let others = Others { own: own.clone(), all: self.all.clone(), index: self.index };
                state.insert::<Arc<dyn MessageSend>>(Arc::new(others));
            }
        }
        let mine = state.sender().cloned();
        let mut error = None;
        let started = self.once.started.get_or_init(async || {
            let mut first = state.clone();
            match self.once.app.startup(&mut first).await {
                Ok(()) => Ok(Started { state: first, given: mine.clone() }),
                Err(problem) => {
                    let text = problem.to_string();
                    error = Some(problem);
                    Err(text)
                }
            }
        });
        let started = match started.await {
            Ok(started) => started,
            Err(text) => return Err(error.unwrap_or_else(|| StartupError::new(text.clone()))),
        };
        *state = started.state.clone();
        // What the application itself has put there is for all servers.
        if let (Some(left), Some(given), Some(mine)) = (state.sender(), &started.given, mine)
            && Arc::ptr_eq(left, given)
        {
            state.insert(mine);
        }
        Ok(())
    }

    async fn message(&self, cx: &Context) -> Settlement {
        self.once.app.message(cx).await
    }

    async fn batch(&self, contexts: &[Context], settlements: &mut Vec<Settlement>) {
        self.once.app.batch(contexts, settlements).await;
    }
}

impl<A> fmt::Debug for Shared<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Shared").field(&self.all.members[self.index].name).finish()
    }
}

/// Sends of the handlers on one of several servers.
struct Others {
    own: Arc<dyn MessageSend>,
    all: Arc<All>,
    index: usize,
}

impl Others {
    /// The server that a send is for; `None` for this one.
    fn meant(&self, servers: &'static [&'static str]) -> Result<Option<&Member>, String> {
        let (members, own) = (&self.all.members, &self.all.members[self.index]);
        let sender = members.iter().find(|member| member.sends_only && is_on(servers, &member.name));
        // Where there are servers for it, nobody else sends what they can.
        if is_on(servers, &own.name) && (own.sends_only || sender.is_none()) {
            return Ok(None);
        }
        let named = || servers.iter().find_map(|name| members.iter().find(|member| member.name == *name));
        sender.or_else(named).map(Some).ok_or_else(|| {
            let running: Vec<&str> = members.iter().map(|member| member.name.as_str()).collect();
            format!("its channel is on {}, and here run {}", list(servers), list(&running))
        })
    }
}

impl MessageSend for Others {
    fn send(&self, message: Message) -> SendFuture<'_> {
        self.send_on(&[], message)
    }

    fn send_on(&self, servers: &'static [&'static str], message: Message) -> SendFuture<'_> {
        let member = match self.meant(servers) {
            Ok(None) => return self.own.send(message),
            Ok(Some(member)) => member,
            Err(text) => return SendFuture::ready(Err(SendError::new(message.address.to_string(), text))),
        };
        if let Some(sender) = member.sender.get() {
            return sender.send(message);
        }
        member.wanted.notify_one();
        SendFuture::pending(async move {
            tokio::select! {
                sender = member.sender.wait() => sender.send(message).await,
                () = self.all.stop.requested() => {
                    let text = format!("server `{}` has not begun", member.name);
                    Err(SendError::new(message.address.to_string(), text))
                }
            }
        })
    }
}

fn list(names: &[&str]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}
