//! What every case works with: the subject, addresses of its own, servers that run.

use std::{collections::BTreeSet, fmt, future::Future, sync::Arc, time::Duration};

use amgi::{
    Application, ByteString, Bytes, ChannelInfo, Disposition, Message, Reason, Settlement, server::Stop,
};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    probe::{Probe, Seen},
    subject::{Abilities, Ability, Order, Ready, Run, Subject, Watch},
};

/// Why a server does not keep a promise.
#[derive(Clone, PartialEq, Eq)]
pub struct Broken(String);

impl Broken {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// Tests print it.
impl fmt::Debug for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Broken {}

/// What a case ends with.
pub(crate) type Outcome<T = ()> = Result<T, Broken>;

/// Ends the case unless this holds.
macro_rules! ensure {
    ($holds:expr, $($text:tt)+) => {
        if !$holds {
            return Err($crate::stage::Broken::new(format!($($text)+)));
        }
    };
}
pub(crate) use ensure;

/// The payload as text.
pub(crate) fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.payload.as_deref().unwrap_or_default()).into_owned()
}

/// A failure with that disposition.
pub(crate) fn failed(disposition: Disposition) -> Settlement {
    Settlement::Fail { disposition, reason: Reason::Failed("no luck".to_owned()) }
}

/// A channel of that address.
pub(crate) fn channel(address: &ByteString) -> ChannelInfo {
    ChannelInfo::new("channel", address.to_string())
}

pub(crate) struct Stage<S> {
    pub(crate) subject: Arc<S>,
    abilities: Abilities,
    id: String,
}

impl<S: Subject> Stage<S> {
    pub(crate) fn new(subject: Arc<S>) -> Self {
        let id = format!("c{:08x}", fastrand::u32(..));
        Self { abilities: subject.abilities(), subject, id }
    }

    pub(crate) fn can(&self, ability: Ability) -> bool {
        self.abilities.has(ability)
    }

    /// Whether messages of one address are in order, all of them.
    pub(crate) fn keeps_order(&self) -> bool {
        self.can(Ability::Order) && !matches!(self.subject.order(), Order::Binding(..))
    }

    /// `message` with this key, where a binding keeps messages in order: bytes as Kafka has them, else text.
    pub(crate) fn keyed(&self, message: Message, key: &str) -> Message {
        match self.subject.order() {
            Order::Binding("kafka", field) => message.binding("kafka", field, key.as_bytes().to_vec()),
            Order::Binding(protocol, field) => message.binding(protocol, field, key),
            Order::Total | Order::Address => message,
        }
    }

    /// An address that no other case has.
    pub(crate) fn address(&self, what: &str) -> ByteString {
        format!("amgi.{}.{what}", self.id).into()
    }

    /// The run of this case's server.
    pub(crate) fn run(&self) -> Run {
        Run::new(format!("amgi-{}", self.id))
    }

    /// Waits for what must happen.
    pub(crate) async fn within<T>(&self, what: &str, future: impl Future<Output = T>) -> Outcome<T> {
        let patience = self.subject.patience();
        tokio::time::timeout(patience, future)
            .await
            .map_err(|_| Broken::new(format!("{what}: not within {patience:?}")))
    }

    /// Waits to see what must not happen.
    pub(crate) async fn quiet(&self) {
        tokio::time::sleep(self.subject.quiet()).await;
    }

    pub(crate) async fn publish(&self, messages: &[Message]) -> Outcome {
        self.within("the test's own publishing", self.subject.publish(messages)).await
    }

    /// Publishes payloads at one address.
    pub(crate) async fn publish_texts(&self, address: &ByteString, payloads: &[&str]) -> Outcome {
        let message = |payload: &&str| {
            Message::new(address.clone()).payload(Bytes::copy_from_slice(payload.as_bytes()))
        };
        self.publish(&payloads.iter().map(message).collect::<Vec<_>>()).await
    }

    pub(crate) async fn watch(&self, address: &str) -> Outcome<Watch> {
        self.within("the test's own watching", self.subject.watch(address)).await
    }

    /// The next message of a watch.
    pub(crate) async fn arrived(&self, watch: &mut Watch, what: &str) -> Outcome<Message> {
        let message = self.within(what, watch.next()).await?;
        message.ok_or_else(|| Broken::new(format!("{what}: the test's own watch ended")))
    }

    /// Serves, and returns when messages arrive.
    pub(crate) async fn start<A: Application>(
        &self,
        (app, mut seen): (A, Seen),
        run: Run,
    ) -> Outcome<(Running, Seen)> {
        let mut running = self.launch(app, run);
        let ready = self.within("the server is ready", running.ready.recv()).await?;
        if ready.is_none() {
            let ended = running.ended().await?;
            return Err(Broken::new(format!("the server ends at once: {ended:?}")));
        }
        seen.patience = self.subject.patience();
        Ok((running, seen))
    }

    /// Serves.
    pub(crate) fn launch<A: Application>(&self, app: A, mut run: Run) -> Running {
        let (tell, ready) = mpsc::unbounded_channel();
        run.ready = Ready::new(move || {
            let _ = tell.send(());
        });
        for channel in app.channels() {
            let address = ByteString::from(&*channel.address);
            if !address.contains('{') && !run.addresses.contains(&address) {
                run.addresses.push(address);
            }
        }
        let stop = run.stop.clone();
        let subject = self.subject.clone();
        let task = tokio::spawn(async move { subject.serve(app, run).await });
        Running { stop, task, ready, patience: self.subject.patience() }
    }

    /// Runs the server of `run` once more: of what was published at `address`, exactly this is there still.
    pub(crate) async fn expect_left(&self, run: Run, address: &ByteString, left: &[&str]) -> Outcome {
        const END: &str = "the end";
        let (running, mut seen) = self.start(Probe::content([channel(address)]), run).await?;
        self.publish_texts(address, &[END]).await?;
        let mut wanted: BTreeSet<&str> = left.iter().copied().chain([END]).collect();
        let mut came = Vec::new();
        while !wanted.is_empty() {
            let message = seen.began().await.map_err(|error| {
                Broken::new(format!("{wanted:?} should come in the next run, and {came:?} did: {error}"))
            })?;
            wanted.remove(message.text().as_str());
            came.push(message.text());
        }
        // Behind the last one nothing can come where there is an order.
        if !self.keeps_order() {
            self.quiet().await;
            came.extend(seen.rest_began());
        }
        running.stop().await?;
        came.retain(|text| text != END && !left.contains(&text.as_str()));
        ensure!(came.is_empty(), "{came:?} was settled, and comes again in the next run");
        Ok(())
    }
}

/// A server in a task. Dropping it ends the server as if its process had died.
pub(crate) struct Running {
    pub(crate) stop: Stop,
    task: JoinHandle<amgi::Result<()>>,
    ready: mpsc::UnboundedReceiver<()>,
    patience: Duration,
}

impl Running {
    /// Waits until messages arrive once more.
    pub(crate) async fn ready_again(&mut self) -> Outcome {
        match tokio::time::timeout(self.patience, self.ready.recv()).await {
            Ok(Some(())) => Ok(()),
            Ok(None) => Err(Broken::new("the server ended, and should be ready again")),
            Err(_) => Err(Broken::new(format!("the server is not ready again within {:?}", self.patience))),
        }
    }

    /// Waits until it ends.
    pub(crate) async fn ended(&mut self) -> Outcome<amgi::Result<()>> {
        match tokio::time::timeout(self.patience, &mut self.task).await {
            Ok(Ok(result)) => Ok(result),
            Ok(Err(error)) => Err(Broken::new(format!("the server breaks down: {error}"))),
            Err(_) => Err(Broken::new(format!("the server does not end within {:?}", self.patience))),
        }
    }

    /// Waits until it ends, and it must end well.
    pub(crate) async fn ended_well(&mut self) -> Outcome {
        self.ended().await?.map_err(|error| Broken::new(format!("the server ends with an error: {error}")))
    }

    /// Stops it and waits until it has ended.
    pub(crate) async fn stop(mut self) -> Outcome {
        self.stop.request();
        self.ended_well().await
    }

    /// Ends it in the middle of whatever it does.
    pub(crate) async fn cut(mut self) {
        self.task.abort();
        let _ = (&mut self.task).await;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}
