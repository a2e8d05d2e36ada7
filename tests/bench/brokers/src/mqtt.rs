//! MQTT 5 on mosquitto.

use std::time::Duration;

use amgi::{Application, server::Stop};
use amgi_brokers_tests::Mosquitto;
use rumqttc::v5::{
    AsyncClient, Event, EventLoop, Incoming, MqttOptions,
    mqttbytes::{
        QoS,
        v5::{ConnectProperties, ConnectReturnCode},
    },
};

use crate::{Broker, LANES, measured::Meter, payload};

/// Messages on their way without an acknowledgement: the default of our server.
const INFLIGHT: u16 = 100;
const CLIENT: &str = "measured";
/// Messages a second at QoS 0, in parts of so many.
const RATE: u64 = 5000;
const PART: u64 = 10;

/// At QoS 1. The broker has put all messages aside for the client that is measured.
pub(crate) struct Mqtt(Mosquitto);

impl Broker for Mqtt {
    const NAME: &'static str = "mqtt";

    async fn start() -> Self {
        Self(mosquitto())
    }

    fn url(&self) -> String {
        self.0.url()
    }

    async fn fill(&self, messages: u64) -> Result<(), String> {
        // The session is there, and nobody in it.
        let (client, mut events) = connect(&self.url(), CLIENT, true, 3600);
        subscribe(&client, &mut events, QoS::AtLeastOnce).await?;
        client.try_disconnect().map_err(|error| error.to_string())?;
        while events.poll().await.is_ok() {}
        publish(&self.url(), messages, QoS::AtLeastOnce).await
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

    async fn start() -> Self {
        Self(mosquitto())
    }

    fn url(&self) -> String {
        self.0.url()
    }

    async fn fill(&self, messages: u64) -> Result<(), String> {
        publish(&self.url(), messages, QoS::AtMostOnce).await
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
    client.try_subscribe("numbers/+", qos).map_err(|error| error.to_string())?;
    while !matches!(poll(events).await?, Event::Incoming(Incoming::SubAck(_))) {}
    Ok(())
}

/// Publishes all, and returns when the broker has them. At QoS 0 not faster than any way can take them, since the broker
/// throws away what is not taken.
async fn publish(url: &str, messages: u64, qos: QoS) -> Result<(), String> {
    let (client, mut events) = connect(url, "publisher", true, 0);
    let publishing = tokio::spawn(async move {
        let began = tokio::time::Instant::now();
        for id in 0..messages {
            if qos == QoS::AtMostOnce && id % PART == 0 {
                tokio::time::sleep_until(began + Duration::from_micros(id * 1_000_000 / RATE)).await;
            }
            client.publish(format!("numbers/{}", id % LANES), qos, false, payload(id)).await?;
        }
        // Confirmed, after all that came before it.
        client.publish("end", QoS::AtLeastOnce, false, "").await?;
        Ok::<_, rumqttc::v5::ClientError>(client)
    });
    let mut open = 1 + if qos == QoS::AtMostOnce { 0 } else { messages };
    while open > 0 {
        open -= u64::from(matches!(poll(&mut events).await?, Event::Incoming(Incoming::PubAck(_))));
    }
    publishing.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    Ok(())
}

async fn receive(client: &AsyncClient, events: &mut EventLoop, meter: &Meter) -> Result<(), String> {
    loop {
        if let Event::Incoming(Incoming::Publish(publish)) = poll(events).await? {
            let done = meter.decode(&publish.payload);
            client.try_ack(&publish).map_err(|error| error.to_string())?;
            if done {
                return Ok(());
            }
        }
    }
}

async fn poll(events: &mut EventLoop) -> Result<Event, String> {
    let event = events.poll().await.map_err(|error| error.to_string())?;
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
