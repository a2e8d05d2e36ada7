//! `amgi-mqtt` on a mosquitto of its own, at QoS 1.

use std::{sync::Mutex, time::Duration};

use amgi::{Application, Bindings, ByteString, Message, server::Backoff};
use amgi_conformance::{Abilities, Ability, Run, Subject, Watch};
use amgi_mqtt::{Server, Version};
use rumqttc::v5::{
    AsyncClient, Event, Incoming, MqttOptions,
    mqttbytes::{QoS, v5::PublishProperties},
};
use tokio::{sync::mpsc, task::JoinHandle};

use super::Placed;
use crate::Mosquitto;

/// `amgi-mqtt` in one version of MQTT.
pub struct Mqtt {
    version: Version,
    /// Started when it is first needed.
    broker: Mutex<Option<Mosquitto>>,
}

impl Mqtt {
    /// On a broker that is started when it is first needed.
    pub fn new(version: Version) -> Self {
        Self { version, broker: Mutex::new(None) }
    }

    fn broker<T>(&self, with: impl FnOnce(&mut Mosquitto) -> T) -> T {
        let mut broker = self.broker.lock().expect("nobody panics");
        // Sends to `refused/…` are; saving after every change is too slow for 100,000 of them; how many messages are under way is
        // the server's business, not the broker's.
        with(broker.get_or_insert_with(|| {
            let rules = "topic readwrite #\ntopic deny refused/#\n";
            let config = "allow_anonymous true\nacl_file {file}\nautosave_on_changes false\nautosave_interval 0\n\
                          max_inflight_messages 0\n";
            Mosquitto::with_file(config, "acl", rules)
        }))
    }

    fn options(&self, name: &str) -> MqttOptions {
        let id = format!("{name}-{:x}", fastrand::u64(..));
        let mut options = MqttOptions::new(id, "127.0.0.1", self.broker(|broker| broker.port()));
        options.set_max_packet_size(Some(16 * 1024 * 1024));
        options.set_keep_alive(Duration::from_secs(60));
        options
    }
}

/// Ends a client when it is dropped.
struct Client(JoinHandle<()>);

impl Drop for Client {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn topic(address: &str) -> String {
    address.replace('.', "/")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the suite knows that headers are texts")
}

fn properties(message: &Message) -> PublishProperties {
    let binding = |field: &str| message.bindings.get("mqtt", field).and_then(|value| value.as_str());
    PublishProperties {
        user_properties: message.headers.iter().map(|(name, value)| (text(name), text(value))).collect(),
        content_type: binding("content_type").map(str::to_owned),
        response_topic: binding("response_topic").map(str::to_owned),
        ..PublishProperties::default()
    }
}

impl Subject for Mqtt {
    fn name(&self) -> &'static str {
        match self.version {
            Version::V5 => "MQTT 5",
            Version::V311 => "MQTT 3.1.1",
        }
    }

    fn abilities(&self) -> Abilities {
        let both = Abilities::all()
            .without(Ability::AbsentPayload, "A payload cannot be absent: MQTT knows only empty ones.")
            .without(
                Ability::Nack,
                "MQTT has no negative acknowledgement: what keeps being nacked blocks its topic.",
            );
        match self.version {
            Version::V5 => both.without(
                Ability::BinaryHeaders,
                "User properties of MQTT 5 are UTF-8: a send with another header is an error.",
            ),
            Version::V311 => both
                .without(Ability::Headers, "MQTT 3.1.1 has no headers: sends leave them out, with one warning, so a dead letter there does not say why.")
                .without(
                    Ability::RefusedSends,
                    "A broker of MQTT 3.1.1 cannot say that it refuses a message.",
                )
                .without(
                    Ability::SharedWork,
                    "MQTT 3.1.1 has no shared subscriptions: every instance gets every message.",
                ),
        }
    }

    fn bindings(&self) -> Bindings {
        let mut bindings = Bindings::default();
        bindings.set("mqtt", "qos", 1);
        if self.version == Version::V5 {
            bindings.set("mqtt", "content_type", "application/json");
            bindings.set("mqtt", "response_topic", "somewhere/else");
        }
        bindings
    }

    fn refused(&self) -> Option<ByteString> {
        (self.version == Version::V5).then(|| "refused.here".into())
    }

    async fn serve<A: Application>(&self, app: A, run: Run) -> amgi::Result<()> {
        let quick =
            Backoff { first: Duration::from_millis(10), most: Duration::from_millis(100), jitter: false };
        let mut server = Server::new(app)
            .url(self.broker(|broker| broker.url()))
            .version(self.version)
            .client_id(&*run.name)
            .concurrency(run.concurrency)
            .policy(run.policy)
            .shutdown_deadline(run.shutdown_deadline)
            .send_timeout(run.send_timeout)
            .reconnect(quick)
            .stop(&run.stop)
            .on_ready(move || run.ready.tell());
        if let Some(group) = run.group {
            server = server.group(&*group);
        }
        server.serve().await
    }

    async fn publish(&self, messages: &[Message]) {
        let (client, mut events) = AsyncClient::new(self.options("publisher"), messages.len().max(1));
        for message in messages {
            let payload = message.payload.clone().unwrap_or_default();
            client
                .publish_with_properties(
                    topic(&message.address),
                    QoS::AtLeastOnce,
                    false,
                    payload,
                    properties(message),
                )
                .await
                .expect("room for it");
        }
        let mut acknowledged = 0;
        while acknowledged < messages.len() {
            if let Event::Incoming(Incoming::PubAck(_)) = events.poll().await.expect("a broker") {
                acknowledged += 1;
            }
        }
    }

    async fn watch(&self, address: &str) -> Watch {
        let (client, mut events) = AsyncClient::new(self.options("watcher"), 10);
        client.subscribe(topic(address), QoS::ExactlyOnce).await.expect("room for it");
        let (saw, seen) = mpsc::unbounded_channel();
        let (confirm, mut confirmed) = mpsc::unbounded_channel();
        let address = ByteString::from(address);
        let task = tokio::spawn(async move {
            while let Ok(event) = events.poll().await {
                match event {
                    Event::Incoming(Incoming::SubAck(_)) => {
                        let _ = confirm.send(());
                    }
                    Event::Incoming(Incoming::Publish(publish)) => {
                        let mut message = Message::new(address.clone()).payload(publish.payload);
                        message.bindings.set("mqtt", "qos", publish.qos as u8);
                        let properties = publish.properties.unwrap_or_default();
                        for (field, value) in [
                            ("content_type", properties.content_type),
                            ("response_topic", properties.response_topic),
                        ] {
                            if let Some(value) = value {
                                message.bindings.set("mqtt", field, value);
                            }
                        }
                        message.headers = properties.user_properties.into_iter().collect();
                        let _ = saw.send(message);
                    }
                    _ => {}
                }
            }
        });
        confirmed.recv().await.expect("the broker confirms");
        Watch::new(seen, (client, Client(task)))
    }

    async fn break_broker(&self) {
        self.broker(Mosquitto::stop);
    }

    async fn restore_broker(&self) {
        self.broker(Mosquitto::start_again);
    }
}

impl Placed for Mqtt {
    async fn place(&self, _: &[&str]) -> String {
        self.broker(|broker| broker.url())
    }
}
