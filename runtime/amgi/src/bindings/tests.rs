use super::*;
use crate::error::Error;

fn server(bindings: &'static [BindingInfo]) -> ServerInfo {
    ServerInfo { name: "s", protocol: "p", scheme: "", host: "h", path: "", bindings }
}

fn operation(bindings: &'static [BindingInfo]) -> OperationInfo {
    OperationInfo { name: "o", bindings, messages: &[] }
}

fn message(bindings: &'static [BindingInfo]) -> MessageInfo {
    MessageInfo { name: "m", content_type: "", headers: &[], bindings, examples: &[] }
}

fn channel(bindings: &'static [BindingInfo]) -> ChannelInfo {
    ChannelInfo { bindings, ..ChannelInfo::new("a", "a") }
}

macro_rules! binding {
    ($protocol:literal, $json:literal) => {
        &[BindingInfo { protocol: $protocol, json: $json }]
    };
}

#[test]
fn kafka() {
    let channel = channel(binding!(
        "kafka",
        r#"{"topic":"t","partitions":3,"topicConfiguration":{"cleanup.policy":["compact"],"retention.ms":-1},"x":1}"#
    ));
    let typed = channel.typed::<Kafka>().unwrap();
    assert_eq!((typed.topic.as_deref(), typed.partitions, typed.replicas), (Some("t"), Some(3), None));
    let topic = typed.topic_configuration.unwrap();
    assert_eq!((topic.cleanup_policy, topic.retention_ms), (Some(vec!["compact".to_owned()]), Some(-1)));
    let operation = operation(binding!(
        "kafka",
        r#"{"groupId":{"type":"string","const":"g"},"clientId":{"type":"string"}}"#
    ));
    let typed = operation.typed::<Kafka>().unwrap();
    assert_eq!(typed.group_id.unwrap().value().as_deref(), Some("g"));
    assert_eq!(typed.client_id.unwrap().value(), None);
    let server = server(binding!("kafka", r#"{"schemaRegistryUrl":"https://r"}"#));
    assert_eq!(server.typed::<Kafka>().unwrap().schema_registry_url.as_deref(), Some("https://r"));
    let message = message(binding!("kafka", r#"{"key":{"type":"string"},"schemaIdLocation":"header"}"#));
    assert_eq!(message.typed::<Kafka>().unwrap().schema_id_location.as_deref(), Some("header"));
}

#[test]
fn mqtt_has_two_names() {
    let server = server(&[
        BindingInfo { protocol: "kafka", json: r#"{"clientId":"k"}"# },
        BindingInfo { protocol: "mqtt5", json: r#"{"sessionExpiryInterval":60,"clientId":"five"}"# },
        BindingInfo {
            protocol: "mqtt",
            json: r#"{"clientId":"c","lastWill":{"topic":"t","qos":1,"message":"m","retain":true},"maximumPacketSize":{"default":9}}"#,
        },
    ]);
    let typed = server.typed::<Mqtt>().unwrap();
    assert_eq!(typed.client_id.as_deref(), Some("c"));
    assert_eq!(typed.session_expiry_interval, Some(Or::Value(60)));
    assert_eq!(typed.maximum_packet_size.and_then(|size| size.value()), Some(9));
    let will = typed.last_will.unwrap();
    assert_eq!((will.topic.as_deref(), will.qos, will.retain), (Some("t"), Some(1), Some(true)));
    let operation = operation(binding!("mqtt", r#"{"qos":2,"messageExpiryInterval":5}"#));
    let typed = operation.typed::<Mqtt>().unwrap();
    assert_eq!((typed.qos, typed.message_expiry_interval), (Some(2), Some(Or::Value(5))));
    let message = message(binding!("mqtt", r#"{"payloadFormatIndicator":1,"responseTopic":"r"}"#));
    let typed = message.typed::<Mqtt>().unwrap();
    assert_eq!(
        (typed.payload_format_indicator, typed.response_topic.unwrap().value()),
        (Some(1), Some("r".into()))
    );
}

#[test]
fn sqs_and_sns() {
    let queue = channel(binding!(
        "sqs",
        r#"{"queue":{"name":"q","fifoQueue":true,"redrivePolicy":{"deadLetterQueue":{"name":"d"},"maxReceiveCount":3},"tags":{"a":"b"}}}"#
    ));
    let typed = queue.typed::<Sqs>().unwrap().queue.unwrap();
    assert_eq!((typed.name.as_deref(), typed.fifo_queue), (Some("q"), Some(true)));
    let redrive = typed.redrive_policy.unwrap();
    assert_eq!(redrive.dead_letter_queue.unwrap().name.as_deref(), Some("d"));
    let queues = operation(binding!("sqs", r#"{"queues":[{"name":"a"},{"name":"b"}]}"#));
    assert_eq!(queues.typed::<Sqs>().unwrap().queues.unwrap().len(), 2);
    let topic = channel(binding!("sns", r#"{"name":"t","ordering":{"type":"FIFO"}}"#));
    assert_eq!(topic.typed::<Sns>().unwrap().ordering.unwrap().r#type.as_deref(), Some("FIFO"));
    let consumers = operation(binding!(
        "sns",
        r#"{"topic":{"arn":"a"},"consumers":[{"protocol":"sqs","deliveryPolicy":{"numRetries":3}}]}"#
    ));
    let typed = consumers.typed::<Sns>().unwrap().consumers.unwrap();
    assert_eq!(typed[0].delivery_policy.as_ref().unwrap().num_retries, Some(3));
}

#[test]
fn amqp_nats_http_and_redis() {
    let exchange = channel(binding!("amqp", r#"{"is":"routingKey","exchange":{"name":"e","type":"topic"}}"#));
    let typed = exchange.typed::<Amqp>().unwrap().exchange.unwrap();
    assert_eq!((typed.name.as_deref(), typed.r#type.as_deref()), (Some("e"), Some("topic")));
    let amqp = operation(binding!("amqp", r#"{"deliveryMode":2,"cc":["a"]}"#));
    assert_eq!(amqp.typed::<Amqp>().unwrap().delivery_mode, Some(2));
    let amqp = message(binding!("amqp", r#"{"messageType":"t"}"#));
    assert_eq!(amqp.typed::<Amqp>().unwrap().message_type.as_deref(), Some("t"));
    let nats = operation(binding!("nats", r#"{"queue":"q"}"#));
    assert_eq!(nats.typed::<Nats>().unwrap().queue.as_deref(), Some("q"));
    let http = operation(binding!("http", r#"{"method":"PUT","query":{"type":"object"}}"#));
    assert_eq!(http.typed::<Http>().unwrap().method.as_deref(), Some("PUT"));
    let http = message(binding!("http", r#"{"statusCode":201}"#));
    assert_eq!(http.typed::<Http>().unwrap().status_code, Some(201));
    assert_eq!(server(binding!("redis", "{}")).typed::<Redis>().unwrap(), Nothing {});
}

#[test]
fn no_binding_is_an_empty_one_and_a_wrong_one_is_an_error() {
    assert_eq!(server(&[]).typed::<Mqtt>().unwrap(), mqtt::Server::default());
    for json in [r#"{"keepAlive":"long"}"#, "[]", "{"] {
        let bindings = vec![BindingInfo { protocol: "mqtt", json }].leak();
        let error = server(bindings).typed::<Mqtt>().unwrap_err();
        assert!(matches!(&error, Error::Config(text) if text.starts_with("server `s`")), "{error}");
    }
}
