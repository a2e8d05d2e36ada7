//! MQTT 5 at QoS 1 on mosquitto, with a shared subscription.

use std::time::Duration;

use amgi_brokers_tests::Mosquitto;
use rumqttc::v5::{
    AsyncClient, Event, EventLoop, Incoming, MqttOptions,
    mqttbytes::{QoS, v5::ConnectProperties},
};

use tokio::sync::watch;

use super::{Broker, DeadLetters, Kind, Order, Publisher, payload};

/// Longest wait for the service to subscribe again.
const PATIENCE: Duration = Duration::from_secs(30);
/// Pause before a client tries to reconnect.
const PAUSE: Duration = Duration::from_millis(50);

pub(crate) struct Mqtt {
    broker: Mosquitto,
    /// Whether it may be published to.
    open: watch::Sender<bool>,
}

impl Broker for Mqtt {
    const NAME: &'static str = "mqtt";
    // The broker gives a topic's messages to instances in turn.
    const ORDER: Order = Order::Alone;

    async fn start(_: u16, _: Kind) -> Self {
        // Without noise in its log, and without a limit to what it keeps for who is away.
        let broker = Mosquitto::with("allow_anonymous true\nmax_inflight_messages 0\n");
        Self { broker, open: watch::Sender::new(true) }
    }

    fn port(&self) -> u16 {
        self.broker.port()
    }

    fn arguments(&self, port: u16, instance: usize) -> Vec<String> {
        let (url, id) = (format!("mqtt://127.0.0.1:{port}"), format!("numbers-{instance}"));
        [&url, "--group", "numbers", "--client-id", &id, "--keep-alive", "2", "--connect-timeout", "2"]
            .map(str::to_owned)
            .into()
    }

    fn kill(&mut self) {
        self.open.send_replace(false);
        self.broker.kill();
    }

    async fn start_again(&mut self) {
        let known = self.broker.log().len();
        self.broker.start_again();
        // mosquitto 2.0.11 keeps sessions on disk, but not the shared subscriptions in them. What is published before the service
        // has subscribed again goes nowhere, whatever the service does.
        let since = tokio::time::Instant::now();
        while since.elapsed() < PATIENCE && !self.broker.log()[known..].contains(" $share/numbers/") {
            tokio::time::sleep(PAUSE).await;
        }
        self.open.send_replace(true);
    }

    fn publisher(&self) -> impl Publisher + use<> {
        let port = self.port();
        let (client, events) = connect(port, "publisher", true);
        Sequential { port, client, events, open: self.open.subscribe(), repeated: 0 }
    }

    async fn watch(&self) -> DeadLetters {
        let seen = DeadLetters::default();
        let (client, mut events) = connect(self.port(), "dead-letters", false);
        let (watching, into) = (client.clone(), seen.clone());
        let (tell, subscribed) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            let mut tell = Some(tell);
            loop {
                match events.poll().await {
                    Ok(Event::Incoming(Incoming::ConnAck(_))) => {
                        let _ = watching.try_subscribe("failed/numbers", QoS::AtLeastOnce);
                    }
                    Ok(Event::Incoming(Incoming::SubAck(_))) => {
                        tell.take().map(|tell| tell.send(()));
                    }
                    Ok(Event::Incoming(Incoming::Publish(publish))) => into.saw(&publish.payload),
                    Ok(_) => {}
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        });
        // The task lives as long as the runtime.
        let _ = subscribed.await;
        seen
    }
}

fn connect(port: u16, id: &str, clean: bool) -> (AsyncClient, EventLoop) {
    let mut options = MqttOptions::new(id, "127.0.0.1", port);
    options.set_clean_start(clean).set_keep_alive(Duration::from_secs(60));
    options.set_connect_properties(ConnectProperties {
        session_expiry_interval: Some(3600),
        receive_maximum: None,
        max_packet_size: None,
        topic_alias_max: None,
        request_response_info: None,
        request_problem_info: None,
        user_properties: Vec::new(),
        authentication_method: None,
        authentication_data: None,
    });
    AsyncClient::new(options, 16)
}

/// One message after the other.
struct Sequential {
    port: u16,
    client: AsyncClient,
    events: EventLoop,
    open: watch::Receiver<bool>,
    repeated: u64,
}

impl Publisher for Sequential {
    async fn publish(&mut self, lane: u64, id: u64) {
        loop {
            let _ = self.open.wait_for(|open| *open).await;
            let topic = format!("numbers/{lane}");
            let asked = self.client.try_publish(topic, QoS::AtLeastOnce, false, payload(id));
            asked.expect("there is room for one message");
            loop {
                match self.events.poll().await {
                    Ok(Event::Incoming(Incoming::PubAck(_))) => return,
                    Ok(_) => {}
                    Err(_) => break,
                }
            }
            // A client of which we know what it does: that of the last connection would publish again by itself.
            self.repeated += 1;
            tokio::time::sleep(PAUSE).await;
            (self.client, self.events) = connect(self.port, "publisher", true);
        }
    }

    fn repeated(&self) -> u64 {
        self.repeated
    }
}
