//! Replies to requests of this process: every instance reads all partitions of their topics by itself, from where they end at
//! startup, and commits nothing.

use std::sync::{Arc, atomic::Ordering};

use amgi::{
    Application, ByteString, Context, Message, MessageSend, Result, State,
    server::{Policies, Stop, deliver},
};
use rdkafka::{
    Offset, TopicPartitionList,
    admin::{NewTopic, TopicReplication},
    consumer::Consumer as _,
    message::Message as _,
};
use tracing::warn;

use crate::{
    admin::{self, Consumer, broker},
    config::Config,
    member, message,
    topic::{Found, Routes, Topics},
};

/// Key of the channel where replies come whose address the document leaves to the request. Its topic is of this process.
const INBOX: &str = "amgi.reply";

pub(crate) struct Replies<A> {
    pub(crate) config: Arc<Config>,
    pub(crate) consumer: Consumer,
    pub(crate) topics: Arc<Topics>,
    pub(crate) routes: Routes,
    pub(crate) app: Arc<A>,
    pub(crate) policies: Arc<Policies>,
    pub(crate) state: State,
    pub(crate) sender: Arc<dyn MessageSend>,
}

impl<A: Application> Replies<A> {
    /// Begins to read; what is sent to these topics from here on arrives.
    pub(crate) async fn begin(&self) -> Result<()> {
        for topic in self.inboxes() {
            let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(-1)).set("retention.ms", "3600000");
            admin::create(&self.config, &[new]).await?;
            admin::shows(&self.config, &self.consumer, &topic).await?;
        }
        admin::check(&self.config, &self.consumer, self.routes.all()).await?;
        let mut all = TopicPartitionList::new();
        for route in self.routes.all() {
            let Some(topic) = route.single() else {
                return Err(amgi::Error::Config(format!(
                    "channel `{}`: replies come to it, so its address cannot have parameters on Kafka",
                    route.name
                )));
            };
            let count = admin::partitions(&self.config, &self.consumer, &topic).await?.unwrap_or(0);
            for partition in 0..i32::try_from(count).unwrap_or(0) {
                all.add_partition(&topic, partition);
            }
        }
        let within = self.config.connect_timeout;
        admin::blocking_with(&self.consumer, move |consumer| {
            let mut places = TopicPartitionList::new();
            for element in all.elements() {
                let (topic, partition) = (element.topic(), element.partition());
                let end = admin::end(consumer, topic, partition, within)?;
                places.add_partition_offset(topic, partition, Offset::Offset(end))?;
            }
            consumer.assign(&places)
        })
        .await?
        .map_err(|error| broker(format!("where replies begin: {error}")))
    }

    fn inboxes(&self) -> Vec<String> {
        self.routes
            .all()
            .iter()
            .filter(|route| route.name == INBOX)
            .filter_map(crate::topic::Route::single)
            .collect()
    }

    /// Hands replies over until `stop` is requested, which is after the last handler has ended.
    pub(crate) async fn run(self, stop: Stop) {
        let mut cx = Context::new(Message::default(), self.state.clone(), self.sender.clone());
        loop {
            let received = tokio::select! {
                biased;
                received = self.consumer.recv() => received,
                () = stop.requested() => break,
            };
            match received {
                Ok(message) => {
                    if let Some(address) = self.address(message.topic()) {
                        let mut incoming = Message::default();
                        message::incoming(&address, &message, &mut incoming);
                        drop(message);
                        cx.replace(incoming);
                        // A reply that nobody waits for is discarded and logged.
                        let _ = deliver(&*self.app, &cx, &self.policies).await;
                    }
                }
                Err(error) => warn!(%error, "replies cannot be read; it is tried again"),
            }
        }
        for topic in self.inboxes() {
            admin::delete(&self.config, &topic).await;
        }
        self.consumer.context().closing.store(true, Ordering::Release);
        member::close(self.consumer).await;
    }

    fn address(&self, topic: &str) -> Option<ByteString> {
        match self.topics.address(&self.routes, topic) {
            Found::Address(_, address) => Some(address),
            _ => None,
        }
    }
}
