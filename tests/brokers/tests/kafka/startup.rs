//! What happens before the first message: brokers, topics, where a group begins.

use std::time::{Duration, Instant};

use amgi::{BindingInfo, ChannelInfo, Error, Message, ServerInfo, Settlement};
use amgi_brokers_tests::{App, Kafka, within};
use amgi_kafka::Start;
use rdkafka::consumer::Consumer as _;

use super::{channel, server, start, text};

fn app(channels: impl IntoIterator<Item = ChannelInfo>) -> App {
    App::new(channels, |_| async { Settlement::Ack }).0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_that_are_missing_are_named() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("there", 1).await;
    let missing = ["missing.one", "missing.two"].map(|what| &*Kafka::name(what).leak());
    let app = app([topic, missing[0], missing[1]].map(channel));
    let error = within("an error", server(&kafka, topic, app).serve()).await.unwrap_err();
    assert!(matches!(error, Error::Broker(_)), "{error}");
    let error = error.to_string();
    assert!(missing.iter().all(|topic| error.contains(topic)) && !error.contains(topic), "{error}");
    assert!(error.contains("create_topics(true)"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_are_made_as_the_document_says() {
    let kafka = Kafka::shared();
    let topic: &'static str = Kafka::name("made").leak();
    let json = r#"{"partitions":3,"replicas":1,"topicConfiguration":{"cleanup.policy":["compact","delete"],"retention.ms":3600000}}"#;
    let bindings: &'static [BindingInfo] = Box::leak(Box::new([BindingInfo { protocol: "kafka", json }]));
    let app = app([ChannelInfo { bindings, ..channel(topic) }]);
    let running = start(server(&kafka, topic, app).create_topics(true)).await;
    let consumer: rdkafka::consumer::BaseConsumer = kafka.client().create().unwrap();
    let found = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).unwrap();
    assert_eq!(found.topics()[0].partitions().len(), 3);
    let admin: rdkafka::admin::AdminClient<_> = kafka.client().create().unwrap();
    let resource = rdkafka::admin::ResourceSpecifier::Topic(topic);
    let told = admin.describe_configs([&resource], &rdkafka::admin::AdminOptions::new()).await.unwrap();
    let told = told.into_iter().next().unwrap().unwrap();
    let value = |name| told.get(name).and_then(|entry| entry.value.clone());
    assert_eq!(value("cleanup.policy").as_deref(), Some("compact,delete"));
    assert_eq!(value("retention.ms").as_deref(), Some("3600000"));
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_not_there_is_an_error_without_the_password() {
    let server = amgi_kafka::Server::new(app([channel("a")]))
        .url("kafka://ada:secret@127.0.0.1:1")
        .connect_timeout(Duration::from_secs(2));
    let since = Instant::now();
    let error = within("an error", server.serve()).await.unwrap_err().to_string();
    assert!(
        error.contains("cannot connect to kafka://ada@127.0.0.1:1") && !error.contains("secret"),
        "{error}"
    );
    assert!(since.elapsed() < Duration::from_secs(6));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn properties_that_do_not_exist_are_errors() {
    let kafka = Kafka::shared();
    let server = amgi_kafka::Server::new(app([channel("a")])).url(kafka.url()).property("fetch.size", "1");
    let error = server.serve().await.unwrap_err();
    assert!(matches!(&error, Error::Config(text) if text.contains("fetch.size")), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_begins_at_the_beginning_or_at_the_end_and_loses_nothing() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("start", 1).await;
    kafka.write_texts(topic, ["old"]).await;
    let (probe, mut seen) = App::new([channel(topic)], |_| async { Settlement::Ack });
    let running = start(server(&kafka, "from-the-beginning", probe).group(Kafka::name("beginning"))).await;
    assert_eq!(text(&within("the old one", seen.recv()).await.unwrap()), "old");
    running.stop().await;

    let group = Kafka::name("end");
    let running = start(server(&kafka, &group, app([channel(topic)])).start(Start::End)).await;
    // It dies before it has settled anything.
    running.cut();
    kafka.write_texts(topic, ["new"]).await;
    let (probe, mut seen) = App::new([channel(topic)], |_| async { Settlement::Ack });
    let running = start(server(&kafka, &group, probe).start(Start::End)).await;
    assert_eq!(text(&within("the new one", seen.recv()).await.unwrap()), "new");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_documents_server_and_topic_are_used() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("bound", 1).await;
    let json: &'static str = format!(r#"{{"topic":"{topic}"}}"#).leak();
    let bindings: &'static [BindingInfo] = Box::leak(Box::new([BindingInfo { protocol: "kafka", json }]));
    let (probe, mut seen) =
        App::new([ChannelInfo { bindings, ..channel("orders/new") }], |_| async { Settlement::Ack });
    let host = kafka.servers().to_owned().leak();
    let document = ServerInfo { name: "main", protocol: "kafka", scheme: "", host, path: "", bindings: &[] };
    let running = start(amgi_kafka::Server::new(probe.with_server(document)).group(topic)).await;
    kafka.write_texts(topic, ["x"]).await;
    let message: Message = within("the message", seen.recv()).await.unwrap();
    assert_eq!(message.address, "orders/new");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_topics_and_partitions_are_found() {
    let kafka = Kafka::shared();
    let first = kafka.topic("found", 1).await;
    let pattern: &'static str = format!("{first}-{{more}}.x").leak();
    let (probe, mut seen) = App::new([channel(first), channel(pattern)], |_| async { Settlement::Ack });
    let quick = server(&kafka, first, probe).property("topic.metadata.refresh.interval.ms", "500");
    let running = start(quick).await;
    let second = format!("{first}-7.x");
    kafka.create(&second, 1).await;
    kafka.create(&format!("{first}-7.y"), 1).await;
    kafka.write_texts(&format!("{first}-7.y"), ["not this"]).await;
    kafka.write_texts(&second, ["in a new topic"]).await;
    let message = within("a new topic", seen.recv()).await.unwrap();
    assert_eq!((&*message.address, text(&message)), (second.as_str(), "in a new topic"));
    kafka.partitions(first, 2).await;
    kafka.write(super::record(first, "in a new partition").partition(1)).await;
    assert_eq!(text(&within("a new partition", seen.recv()).await.unwrap()), "in a new partition");
    running.stop().await;
}
