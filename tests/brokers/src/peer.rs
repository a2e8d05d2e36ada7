//! Another client of the broker: rumqttc with its own event loop, which shares nothing with the server under test but the codec.

use std::time::Duration;

use rumqttc::v5::{
    AsyncClient, Event, Incoming, MqttOptions,
    mqttbytes::{QoS, v5::PublishProperties},
};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{Mosquitto, within};

/// A message that a [`Peer`] saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Topic.
    pub topic: String,
    /// Payload as text.
    pub payload: String,
    /// Quality of service at which it came.
    pub qos: u8,
    /// Whether it was kept for us.
    pub retain: bool,
    /// Everything else.
    pub properties: PublishProperties,
}

impl Seen {
    /// Value of the first user property of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.properties.user_properties.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }
}

/// Watches a topic filter at QoS 2.
pub struct Peer {
    /// To publish with.
    pub client: AsyncClient,
    seen: mpsc::UnboundedReceiver<Seen>,
    task: JoinHandle<()>,
}

impl Peer {
    /// Subscribes; returns when the broker has confirmed it.
    ///
    /// # Panics
    /// When the broker cannot be reached.
    pub async fn watch(broker: &Mosquitto, filter: &str) -> Self {
        let id = format!("peer-{}-{filter}", std::process::id());
        let mut options = MqttOptions::new(id, "127.0.0.1", broker.port());
        options.set_max_packet_size(Some(16 * 1024 * 1024));
        options.set_keep_alive(Duration::from_secs(60));
        let (client, mut events) = AsyncClient::new(options, 100);
        client.subscribe(filter, QoS::ExactlyOnce).await.expect("a request to subscribe");
        let (saw, seen) = mpsc::unbounded_channel();
        let (confirm, mut confirmed) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            // Ends when the broker goes away; a test that restarts its broker watches anew.
            while let Ok(event) = events.poll().await {
                match event {
                    Event::Incoming(Incoming::SubAck(_)) => {
                        let _ = confirm.send(());
                    }
                    Event::Incoming(Incoming::Publish(publish)) => {
                        let _ = saw.send(Seen {
                            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                            payload: String::from_utf8_lossy(&publish.payload).into_owned(),
                            qos: publish.qos as u8,
                            retain: publish.retain,
                            properties: publish.properties.unwrap_or_default(),
                        });
                    }
                    _ => {}
                }
            }
        });
        within("the peer's subscription", confirmed.recv()).await.expect("the broker confirms");
        Self { client, seen, task }
    }

    /// The next message.
    ///
    /// # Panics
    /// When none comes.
    pub async fn next(&mut self) -> Seen {
        within("a message at the peer", self.seen.recv()).await.expect("the peer is connected")
    }

    /// What is here already.
    pub fn seen(&mut self) -> Vec<Seen> {
        std::iter::from_fn(|| self.seen.try_recv().ok()).collect()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}
