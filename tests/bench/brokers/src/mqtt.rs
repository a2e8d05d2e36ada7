//! MQTT 5 on mosquitto.

use std::{ops::Range, time::Duration};

use amgi::{Application, server::Stop};
use amgi_bench_measured::Meter;
use amgi_brokers_tests::Mosquitto;
use rumqttc::v5::{
    AsyncClient, Event, EventLoop, Incoming, MqttOptions,
    mqttbytes::{
        QoS,
        v5::{ConnectProperties, ConnectReturnCode},
    },
};

use crate::{Broker, LANES, Publisher, payload, text};

/// Messages on their way without an acknowledgement: the default of our server.
const INFLIGHT: u16 = 100;
const CLIENT: &str = "measured";
/// Messages that are published before a confirmation is waited for.
const TOGETHER: u64 = 10_000;

/// At QoS 1. The broker has put all messages aside for the client that is measured.
pub(crate) struct Mqtt(Mosquitto);

impl Broker for Mqtt {
    const NAME: &'static str = "mqtt";
    const MESSAGES: u64 = 50_000;

    type Publisher = Session;

    async fn start() -> Self {
        Self(mosquitto())
    }

    fn url(&self) -> String {
        self.0.url()
    }

    async fn publisher(&self) -> Result<Session, String> {
        // The session is there, and nobody in it.
        let (client, mut events) = connect(&self.url(), CLIENT, true, 3600);
        subscribe(&client, &mut events, QoS::AtLeastOnce).await?;
        client.try_disconnect().map_err(text)?;
        while events.poll().await.is_ok() {}
        Ok(Session::new(&self.url(), QoS::AtLeastOnce))
    }

    async fn raw(url: &str, meter: &Meter, ready: fn()) -> Result<(), String> {
        let (client, mut events) = connect(url, CLIENT, false, 3600);
        // It is subscribed; messages come with the connection.
        ready();
        receive(&client, &mut events, meter).await
    }

    async fn serve<A: Application>(url: &str, app: A, stop: &Stop, ready: fn()) -> amgi::Result<()> {
        ready();
        amgi_mqtt::Server::new(app).url(url).client_id(CLIENT).inflight(INFLIGHT).stop(stop).serve().await
    }
}

/// At QoS 0.
pub(crate) struct AtMostOnce(Mosquitto);

impl Broker for AtMostOnce {
    const NAME: &'static str = "mqtt-qos0";
    const LIVE: bool = true;
    const MESSAGES: u64 = 50_000;
    const PYTHON: Option<f64> = Some(10.0);

    type Publisher = Session;

    async fn start() -> Self {
        Self(mosquitto())
    }

    fn url(&self) -> String {
        self.0.url()
    }

    async fn publisher(&self) -> Result<Session, String> {
        Ok(Session::new(&self.url(), QoS::AtMostOnce))
    }

    async fn raw(url: &str, meter: &Meter, ready: fn()) -> Result<(), String> {
        let (client, mut events) = connect(url, CLIENT, true, 0);
        subscribe(&client, &mut events, QoS::AtMostOnce).await?;
        ready();
        receive(&client, &mut events, meter).await
    }

    async fn serve<A: Application>(url: &str, app: A, stop: &Stop, ready: fn()) -> amgi::Result<()> {
        let server = amgi_mqtt::Server::new(app).url(url).client_id(CLIENT).clean_session(true);
        server.on_ready(ready).stop(stop).serve().await
    }
}

fn mosquitto() -> Mosquitto {
    let without_disk = "autosave_on_changes false\nautosave_interval 3600\nlog_type none\n";
    let without_limits = "max_inflight_messages 0\nmax_queued_messages 0\n";
    Mosquitto::with(&format!("allow_anonymous true\n{without_disk}{without_limits}"))
}

async fn subscribe(client: &AsyncClient, events: &mut EventLoop, qos: QoS) -> Result<(), String> {
    client.try_subscribe("numbers/+", qos).map_err(text)?;
    while !matches!(poll(events).await?, Event::Incoming(Incoming::SubAck(_))) {}
    Ok(())
}

/// What publishes.
pub(crate) struct Session {
    client: AsyncClient,
    events: EventLoop,
    qos: QoS,
}

impl Session {
    fn new(url: &str, qos: QoS) -> Self {
        let (client, events) = connect(url, "publisher", true, 0);
        Self { client, events, qos }
    }

    async fn confirmed(&mut self, mut open: u64) -> Result<(), String> {
        while open > 0 {
            open -= u64::from(matches!(poll(&mut self.events).await?, Event::Incoming(Incoming::PubAck(_))));
        }
        Ok(())
    }
}

impl Publisher for Session {
    async fn publish(&mut self, numbers: Range<u64>) -> Result<(), String> {
        let (mut open, end) = (0, numbers.end);
        for id in numbers {
            let topic = format!("numbers/{}", id % LANES);
            self.client.try_publish(topic, self.qos, false, payload(id)).map_err(text)?;
            open += 1;
            if open == TOGETHER || id + 1 == end {
                if self.qos == QoS::AtMostOnce {
                    // Confirmed, after all that came before it.
                    self.client.try_publish("end", QoS::AtLeastOnce, false, "").map_err(text)?;
                    open = 1;
                }
                self.confirmed(std::mem::take(&mut open)).await?;
            }
        }
        Ok(())
    }
}

async fn receive(client: &AsyncClient, events: &mut EventLoop, meter: &Meter) -> Result<(), String> {
    loop {
        if let Event::Incoming(Incoming::Publish(publish)) = poll(events).await? {
            let done = meter.decode(&publish.payload);
            client.try_ack(&publish).map_err(text)?;
            if done {
                return Ok(());
            }
        }
    }
}

async fn poll(events: &mut EventLoop) -> Result<Event, String> {
    let event = events.poll().await.map_err(text)?;
    match &event {
        Event::Incoming(Incoming::ConnAck(ack)) if ack.code != ConnectReturnCode::Success => {
            Err(format!("the broker refuses: {:?}", ack.code))
        }
        _ => Ok(event),
    }
}

fn connect(url: &str, id: &str, clean: bool, expiry: u32) -> (AsyncClient, EventLoop) {
    let port = url.rsplit(':').next().and_then(|port| port.parse().ok()).unwrap_or(1883);
    let mut options = MqttOptions::new(id, "127.0.0.1", port);
    options.set_clean_start(clean).set_keep_alive(Duration::from_secs(60)).set_manual_acks(true);
    options.set_connect_properties(ConnectProperties {
        session_expiry_interval: Some(expiry),
        receive_maximum: Some(INFLIGHT),
        max_packet_size: None,
        topic_alias_max: None,
        request_response_info: None,
        request_problem_info: None,
        user_properties: Vec::new(),
        authentication_method: None,
        authentication_data: None,
    });
    // Room for the acknowledgements of all that one read of the socket may bring.
    AsyncClient::new(options, 100_000)
}
