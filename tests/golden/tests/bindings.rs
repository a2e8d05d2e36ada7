//! What becomes of the bindings of `specs/bindings.yaml`: on what is sent, and for servers.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use amgi::{
    Application, BindingValue, Context, Message, MessageSend, SendFuture, TypedMessage,
    bindings::{Amqp, Http, Kafka, Mqtt, Nats, Sns, Sqs},
};

/// Generated from `bindings.yaml`.
#[allow(dead_code, unreachable_pub)]
#[path = "../expected/bindings.rs"]
#[rustfmt::skip]
mod bindings;

use bindings::*;

/// Keeps what is sent.
#[derive(Default)]
struct Broker(Mutex<Vec<Message>>);

impl MessageSend for Broker {
    fn send(&self, message: Message) -> SendFuture<'_> {
        self.0.lock().unwrap().push(message);
        SendFuture::ready(Ok(()))
    }
}

struct Sorter;

impl ParcelsHandler for Sorter {
    type Error = Infallible;

    async fn on_parcel(&self, _: Parcel, _: &Context) -> Result<(), Infallible> {
        Ok(())
    }
}

fn parcel() -> Parcel {
    Parcel {
        payload: types::ParcelPayload { id: 7 },
        bindings: ParcelBindings {
            kafka_key: Some("k".to_owned()),
            mqtt_correlation_data: Some("c".to_owned()),
            mqtt_response_topic: Some("answers/7".to_owned()),
            http_headers: Some(types::ParcelHttpHeaders { x_post: "yes".to_owned() }),
            http_query: Some(types::ParcelHttpQuery { express: Some(true) }),
        },
    }
}

/// Everything of one protocol, by name.
fn of(message: &Message, protocol: &str) -> Vec<(String, BindingValue)> {
    let own = message.bindings.iter().filter(|binding| binding.protocol == protocol);
    let mut all: Vec<_> = own.map(|binding| (binding.field.to_string(), binding.value.clone())).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    all
}

fn named<const N: usize>(fields: [(&str, BindingValue); N]) -> Vec<(String, BindingValue)> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn bytes(text: &'static str) -> BindingValue {
    text.as_bytes().into()
}

#[tokio::test]
async fn a_send_has_what_the_document_and_the_message_say() {
    let broker = Arc::new(Broker::default());
    let sender = Sender::new(broker.clone());
    sender.send_parcel(parcel()).await.expect("it is sent");
    let sent = broker.0.lock().unwrap().pop().expect("a message");
    assert_eq!(of(&sent, "kafka"), named([("key", bytes("k"))]));
    assert_eq!(
        of(&sent, "mqtt"),
        named([
            ("content_type", "application/json".into()),
            ("correlation_data", bytes("c")),
            ("message_expiry_interval", 60.into()),
            ("payload_format_indicator", 1.into()),
            ("qos", 2.into()),
            ("response_topic", bytes("answers/7")),
            ("retain", true.into()),
        ])
    );
    assert_eq!(
        of(&sent, "amqp"),
        named([
            ("cc", "copies".into()),
            ("content_encoding", "identity".into()),
            ("delivery_mode", 2.into()),
            ("exchange", "post".into()),
            ("expiration", 5000.into()),
            ("priority", 3.into()),
            ("type", "parcel".into()),
            ("user_id", "post".into()),
        ])
    );
    assert_eq!(of(&sent, "sqs"), named([("delay_seconds", 5.into())]));
    assert_eq!(
        of(&sent, "http"),
        named([
            ("headers", bytes(r#"{"x-post":"yes"}"#)),
            ("method", "PUT".into()),
            ("query", bytes(r#"{"express":true}"#)),
            ("status_code", 202.into()),
        ])
    );
    // And the call has the last word.
    sender.send_parcel(parcel()).qos(0).await.expect("it is sent");
    let sent = broker.0.lock().unwrap().pop().expect("a message");
    assert_eq!(sent.bindings.get("mqtt", "qos"), Some(&0.into()));
}

#[tokio::test]
async fn what_does_not_apply_is_left_out() {
    let broker = Arc::new(Broker::default());
    let sender = Sender::new(broker.clone());
    sender.send_ordered(parcel()).await.expect("it is sent");
    let sent = broker.0.lock().unwrap().pop().expect("a message");
    assert_eq!(of(&sent, "sqs"), [], "a FIFO queue takes no delay of a message");
    assert_eq!(sent.bindings.get("amqp", "exchange"), None, "a queue is no exchange");
    assert_eq!(sent.bindings.get("mqtt", "message_expiry_interval"), Some(&30.into()));
    // Of several messages each has its own.
    let arrival = Arrival { payload: types::ArrivalPayload { at: 1 } };
    let departure = Departure { payload: types::DeparturePayload { to: "x".to_owned() } };
    sender.send_moves(arrival).await.expect("it is sent");
    sender.send_moves(departure).await.expect("it is sent");
    let sent = std::mem::take(&mut *broker.0.lock().unwrap());
    assert_eq!(of(&sent[0], "amqp"), named([("type", "arrival".into())]));
    assert_eq!(of(&sent[1], "amqp"), named([("type", "departure".into())]));
}

#[tokio::test]
async fn typed_fields_are_read_back_and_checked() {
    let sent = parcel().to_message("parcels").expect("it can be sent");
    assert_eq!(Parcel::decode(&sent).expect("it is what it was"), parcel());
    let mut wrong = parcel();
    wrong.bindings.mqtt_response_topic = Some("elsewhere".to_owned());
    let error = wrong.to_message("parcels").expect_err("it does not fit").source.to_string();
    assert!(error.contains("/mqtt/response_topic"), "{error}");
}

#[test]
fn servers_get_them_typed() {
    let app = app(Sorter);
    let server = |name: &str| app.servers().iter().find(|server| server.name == name).expect("it is there");
    let kafka = server("kafka").typed::<Kafka>().unwrap();
    assert_eq!(kafka.schema_registry_vendor.as_deref(), Some("apicurio"));
    let mqtt = server("mqtt").typed::<Mqtt>().unwrap();
    assert_eq!((mqtt.client_id.as_deref(), mqtt.keep_alive), (Some("parcels"), Some(20)));
    assert_eq!(mqtt.maximum_packet_size.and_then(|size| size.value()), Some(65_536));
    assert_eq!(mqtt.last_will.and_then(|will| will.message).as_deref(), Some("gone"));
    // Of protocols that nobody serves they are data.
    let solace =
        server("mqtt").bindings.iter().find(|binding| binding.protocol == "solace").expect("it is there");
    assert_eq!(solace.field("msgVpn"), Some("parcels".into()));

    let [channel] = app.channels() else { panic!("one channel is received from") };
    let topic = channel.typed::<Kafka>().unwrap();
    assert_eq!((topic.topic.as_deref(), topic.partitions), (Some("parcels-v1"), Some(6)));
    assert_eq!(topic.topic_configuration.and_then(|topic| topic.retention_ms), Some(86_400_000));
    assert_eq!(channel.typed::<Amqp>().unwrap().exchange.and_then(|exchange| exchange.durable), Some(true));
    assert_eq!(channel.typed::<Sqs>().unwrap().queue.and_then(|queue| queue.delivery_delay), Some(5));
    assert_eq!(channel.typed::<Sns>().unwrap().name.as_deref(), Some("parcels"));

    let [operation] = channel.operations else { panic!("one operation") };
    let kafka = operation.typed::<Kafka>().unwrap();
    assert_eq!(
        kafka.group_id.and_then(|group| group.value()).as_deref(),
        Some("sorters"),
        "behind its reference"
    );
    assert_eq!(kafka.client_id.and_then(|client| client.value()).as_deref(), Some("one"));
    assert_eq!(operation.typed::<Nats>().unwrap().queue.as_deref(), Some("sorters"));
    assert_eq!(operation.typed::<Mqtt>().unwrap().qos, Some(1));
    assert_eq!(operation.typed::<Sqs>().unwrap().queues.map(|queues| queues.len()), Some(1));

    let [message] = operation.messages else { panic!("one message") };
    assert_eq!(message.typed::<Http>().unwrap().status_code, Some(202));
    assert_eq!(message.typed::<Amqp>().unwrap().message_type.as_deref(), Some("parcel"));
    assert_eq!(message.typed::<Mqtt>().unwrap().content_type.as_deref(), Some("application/json"));
}
