//! MQTT 5 at QoS 1 on mosquitto. The broker has put all messages aside for the client that is measured.

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

pub(crate) struct Mqtt(Mosquitto);

impl Broker for Mqtt {
    const NAME: &'static str = "mqtt";

    async fn start() -> Self {
        let without_disk = "autosave_on_changes false\nautosave_interval 3600\nlog_type none\n";
        let without_limits = "max_inflight_messages 0\nmax_queued_messages 0\n";
        Self(Mosquitto::with(&format!("allow_anonymous true\n{without_disk}{without_limits}")))
    }

    fn url(&self) -> String {
        self.0.url()
    }

    async fn fill(&self, messages: u64) -> Result<(), String> {
        // The session is there, and nobody in it.
        let (client, mut events) = connect(&self.url(), CLIENT, true, 3600);
        client.try_subscribe("numbers/+", QoS::AtLeastOnce).map_err(|error| error.to_string())?;
        while !matches!(poll(&mut events).await?, Event::Incoming(Incoming::SubAck(_))) {}
        client.try_disconnect().map_err(|error| error.to_string())?;
        while events.poll().await.is_ok() {}

        let (client, mut events) = connect(&self.url(), "publisher", true, 0);
        let publishing = tokio::spawn(async move {
            for id in 0..messages {
                let topic = format!("numbers/{}", id % LANES);
                client.publish(topic, QoS::AtLeastOnce, false, payload(id)).await?;
            }
            Ok::<_, rumqttc::v5::ClientError>(client)
        });
        let mut confirmed = 0;
        while confirmed < messages {
            confirmed += u64::from(matches!(poll(&mut events).await?, Event::Incoming(Incoming::PubAck(_))));
        }
        publishing.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
        Ok(())
    }

    async fn raw(url: &str, meter: Meter) -> Result<(), String> {
        let (client, mut events) = connect(url, CLIENT, false, 3600);
        client.try_subscribe("numbers/+", QoS::AtLeastOnce).map_err(|error| error.to_string())?;
        loop {
            if let Event::Incoming(Incoming::Publish(publish)) = poll(&mut events).await? {
                let done = meter.decode(&publish.payload);
                client.try_ack(&publish).map_err(|error| error.to_string())?;
                if done {
                    return Ok(());
                }
            }
        }
    }

    async fn serve<A: Application>(url: &str, app: A, stop: &Stop) -> amgi::Result<()> {
        amgi_mqtt::Server::new(app).url(url).client_id(CLIENT).inflight(INFLIGHT).stop(stop).serve().await
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
