//! The in-memory server, on a hub of its own.

use amgi::{
    Application, Bindings, ChannelInfo, Context, Layer, Message, MessageSend, Settlement, StartupError,
    State,
    memory::{Hub, Server},
    server::Stop,
};
use amgi_conformance::{Abilities, Ability, Order, Ready, Run, Subject, Watch};
use tokio::sync::{mpsc, oneshot};

/// The in-memory server on a [`Hub`].
#[derive(Default)]
pub struct Memory(Hub);

impl Memory {
    /// A hub without servers.
    pub fn new() -> Self {
        Self::default()
    }
}

/// Tells when a server is ready: it has subscribed before startup.
struct Tells(Ready);

impl Layer for Tells {
    async fn startup<A: Application>(&self, state: &mut State, next: &A) -> Result<(), StartupError> {
        next.startup(state).await?;
        self.0.tell();
        Ok(())
    }

    async fn message<A: Application>(&self, cx: &Context, next: &A) -> Settlement {
        next.message(cx).await
    }

    async fn batch<A: Application>(&self, contexts: &[Context], settlements: &mut Vec<Settlement>, next: &A) {
        next.batch(contexts, settlements).await;
    }
}

/// Hands on what it gets.
struct Watcher([ChannelInfo; 1], mpsc::UnboundedSender<Message>);

impl Application for Watcher {
    fn channels(&self) -> &[ChannelInfo] {
        &self.0
    }

    async fn message(&self, cx: &Context) -> Settlement {
        let _ = self.1.send(cx.message().clone());
        Settlement::Ack
    }
}

/// Stops a watch when it is dropped.
struct Ends(Stop);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.request();
    }
}

impl Subject for Memory {
    fn name(&self) -> &'static str {
        "in memory"
    }

    fn abilities(&self) -> Abilities {
        Abilities::all()
            .without(Ability::Redelivery, "Nothing is delivered again: what was nacked, or was in a handler when the process died, is gone.")
            .without(Ability::Queueing, "What is sent while no server is there is gone.")
            .without(Ability::Nack, "A nack is told to the observer, or printed; the message does not come again.")
            .without(Ability::Concurrency, "One message is handled at a time.")
            .without(Ability::BackPressure, "Queues have no bound: who fills them decides how far ahead it runs.")
            .without(Ability::Deadline, "A stop waits for the handler that is at work, however long it takes.")
            .without(Ability::RefusedSends, "Every send is taken.")
            .without(Ability::SharedWork, "Every server of a hub gets every message of its channels; there are no groups.")
            .without(Ability::BrokerLoss, "There is no broker that could go away.")
    }

    fn order(&self) -> Order {
        Order::Total
    }

    fn bindings(&self) -> Bindings {
        let mut bindings = Bindings::default();
        bindings.set("kafka", "key", b"k".to_vec());
        bindings
    }

    async fn serve<A: Application>(&self, app: A, run: Run) -> amgi::Result<()> {
        let app = app.layer(Tells(run.ready));
        Server::new(app).hub(&self.0).policy(run.policy).stop(&run.stop).observe(|_| ()).serve().await
    }

    async fn publish(&self, messages: &[Message]) {
        for message in messages {
            self.0.send(message.clone()).await.expect("a hub takes everything");
        }
    }

    async fn watch(&self, address: &str) -> Watch {
        let (saw, messages) = mpsc::unbounded_channel();
        let (tell, told) = oneshot::channel();
        let channel = ChannelInfo::new("watched", address.to_owned());
        let stop = Stop::ignoring_signals();
        let tell = std::sync::Mutex::new(Some(tell));
        let app = Watcher([channel], saw).layer(Started(tell));
        tokio::spawn(Server::new(app).hub(&self.0).stop(&stop).observe(|_| ()).serve());
        told.await.expect("the watch begins");
        Watch::new(messages, Ends(stop))
    }
}

/// Tells once that a watch has begun.
struct Started(std::sync::Mutex<Option<oneshot::Sender<()>>>);

impl Layer for Started {
    async fn startup<A: Application>(&self, state: &mut State, next: &A) -> Result<(), StartupError> {
        if let Some(tell) = self.0.lock().expect("nobody panics").take() {
            let _ = tell.send(());
        }
        next.startup(state).await
    }

    async fn message<A: Application>(&self, cx: &Context, next: &A) -> Settlement {
        next.message(cx).await
    }
}
