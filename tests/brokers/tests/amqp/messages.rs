//! Messages in both directions: types of headers, properties, requests and replies, sends that fail.

use amgi::{
    ChannelInfo, Message, Settlement,
    reply::{Location, ReplyInfo},
};
use amgi_brokers_tests::{App, RabbitMq, within};
use futures_util::StreamExt as _;
use lapin::{
    BasicProperties,
    options::{BasicConsumeOptions, BasicPublishOptions, QueueDeclareOptions},
    types::{AMQPValue, FieldArray, FieldTable},
};

use crate::{server, start, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn values_of_headers_become_text_and_lists_repeat() {
    let broker = RabbitMq::shared();
    let address = RabbitMq::name("headers");
    let (app, mut began) = App::new([ChannelInfo::new("in", address)], |_| async { Settlement::Ack });
    let running = start(server(&broker, app)).await;
    let mut table = FieldTable::default();
    for (name, value) in [
        ("a-text", AMQPValue::LongString("text".into())),
        ("bytes", AMQPValue::LongString(vec![0xff, 0].into())),
        ("flag", AMQPValue::Boolean(true)),
        (
            "list",
            AMQPValue::FieldArray(FieldArray::from(vec![
                AMQPValue::LongInt(1),
                AMQPValue::LongString("2".into()),
            ])),
        ),
        ("money", AMQPValue::DecimalValue(lapin::types::DecimalValue { scale: 2, value: 5 })),
        ("negative", AMQPValue::LongLongInt(-7)),
        ("ratio", AMQPValue::Double(0.5)),
        ("table", AMQPValue::FieldTable(FieldTable::default())),
        ("time", AMQPValue::Timestamp(1_700_000_000)),
    ] {
        table.insert(name.into(), value);
    }
    let properties = BasicProperties::default()
        .with_headers(table)
        .with_type("kind".into())
        .with_app_id("app".into())
        .with_user_id("guest".into())
        .with_timestamp(1_700_000_000)
        .with_expiration("60000".into())
        .with_content_encoding("identity".into());
    broker.publish("", address, "x", properties).await;
    let message = within("a message", began.recv()).await.unwrap();
    let headers: Vec<_> = message
        .headers
        .iter()
        .map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec()))
        .collect();
    let expected: Vec<(String, Vec<u8>)> = [
        ("a-text", &b"text"[..]),
        ("bytes", &[0xff, 0]),
        ("flag", b"true"),
        ("list", b"1"),
        ("list", b"2"),
        ("money", b"0.05"),
        ("negative", b"-7"),
        ("ratio", b"0.5"),
        ("time", b"1700000000"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_vec()))
    .into();
    assert_eq!(headers, expected);
    let get = |field| message.bindings.get("amqp", field).cloned();
    for (field, value) in
        [("type", "kind"), ("app_id", "app"), ("user_id", "guest"), ("content_encoding", "identity")]
    {
        assert_eq!(get(field), Some(value.into()), "{field}");
    }
    assert_eq!(get("timestamp"), Some(1_700_000_000_i64.into()));
    assert_eq!(get("expiration"), Some(60_000_i64.into()));
    assert_eq!(get("redelivered"), Some(false.into()));
    running.stop().await;
}

/// Sends `messages` one after the other, and gives what became of each.
async fn sent(broker: &RabbitMq, messages: Vec<Message>) -> Vec<Result<(), String>> {
    let start_at = RabbitMq::name("start");
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    let (app, _began) = App::new([ChannelInfo::new("in", start_at)], move |cx| {
        let (messages, tell) = (messages.clone(), tell.clone());
        async move {
            for message in messages {
                let _ = tell.send(cx.send(message).await.map_err(|error| error.to_string()));
            }
            Settlement::Ack
        }
    });
    let running = start(server(broker, app)).await;
    broker.publish("", start_at, "x", BasicProperties::default()).await;
    while broker.waiting(start_at).await > 0 {}
    running.stop().await;
    let mut results = Vec::new();
    while let Ok(result) = told.try_recv() {
        results.push(result);
    }
    results
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_send_has_the_properties_that_its_bindings_say() {
    let broker = RabbitMq::shared();
    let (queue, copies) = (RabbitMq::name("out"), RabbitMq::name("copies"));
    for queue in [queue, copies] {
        broker.queue(queue, FieldTable::default()).await;
    }
    let message = Message::new(queue)
        .payload("x")
        .header("reply-to", "answers")
        .header("twice", "1")
        .header("twice", &b"\xff"[..])
        .binding("amqp", "correlation_id", "c-1")
        .binding("amqp", "message_id", "m-1")
        .binding("amqp", "type", "kind")
        .binding("amqp", "priority", 4)
        .binding("amqp", "expiration", 60_000)
        .binding("amqp", "delivery_mode", 1)
        .binding("amqp", "timestamp", true)
        .binding("amqp", "user_id", "guest")
        .binding("amqp", "cc", copies)
        .binding("kafka", "key", "ignored");
    assert_eq!(sent(&broker, vec![message]).await, [Ok(())]);
    let delivery = broker.take(queue).await;
    let properties = &delivery.properties;
    assert_eq!(properties.correlation_id(), &Some("c-1".into()));
    assert_eq!(properties.reply_to(), &Some("answers".into()), "the header stands for it");
    assert_eq!(properties.message_id(), &Some("m-1".into()));
    assert_eq!(properties.kind(), &Some("kind".into()));
    assert_eq!((*properties.priority(), *properties.delivery_mode()), (Some(4), Some(1)));
    assert_eq!(properties.expiration(), &Some("60000".into()));
    assert_eq!(properties.user_id(), &Some("guest".into()));
    assert!(properties.timestamp().is_some());
    let twice = properties.headers().as_ref().unwrap().inner().get("twice").cloned();
    let list = vec![AMQPValue::LongString("1".into()), AMQPValue::ByteArray(vec![0xff].into())];
    assert_eq!(twice, Some(AMQPValue::FieldArray(list.into())));
    assert_eq!(broker.take(copies).await.data, b"x");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_broker_takes_amiss_is_an_error_of_its_own_sender() {
    let broker = RabbitMq::shared();
    let queue = RabbitMq::name("out");
    broker.queue(queue, FieldTable::default()).await;
    let good = || Message::new(queue).payload("good");
    let results = sent(
        &broker,
        vec![
            Message::new(RabbitMq::name("nowhere")).payload("x"),
            good(),
            // These close the channel.
            good().binding("amqp", "exchange", "there-is-no-such-exchange"),
            good().binding("amqp", "user_id", "somebody-else"),
            good(),
            good().binding("amqp", "priority", 300),
            good().header("long", "x".repeat(200_000)),
            Message::new("x".repeat(300)),
            good().binding("amqp", "mandatory", false),
            Message::new(RabbitMq::name("nowhere")).binding("amqp", "mandatory", false),
            good(),
        ],
    )
    .await;
    let failed: Vec<usize> =
        results.iter().enumerate().filter(|(_, result)| result.is_err()).map(|(index, _)| index).collect();
    assert_eq!(failed, [0, 2, 3, 5, 6, 7], "{results:?}");
    assert!(results[0].as_ref().unwrap_err().contains("NO_ROUTE"), "{results:?}");
    assert!(results[2].as_ref().unwrap_err().contains("there-is-no-such-exchange"), "{results:?}");
    assert_eq!(broker.waiting(queue).await, 4, "{results:?}");
}

/// The document says: the answer goes where the header says, with the correlation id of the question.
const REPLY: ReplyInfo = ReplyInfo {
    location: Some(Location::Header("reply-to")),
    address: None,
    correlation: Some((Location::Header("correlation-id"), Location::Header("correlation-id"))),
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_rabbitmq_get_their_replies_directly_and_by_queue() {
    let broker = RabbitMq::shared();
    let questions = RabbitMq::name("questions");
    let (app, _began) = App::new([ChannelInfo::new("in", questions)], |cx| async move {
        let request = cx.message();
        let mut reply =
            Message::new(REPLY.address(request).unwrap()).payload(format!("re: {}", text(request)));
        REPLY.correlate(request, &mut reply);
        cx.send(reply).await.unwrap();
        Settlement::Ack
    });
    let running = start(server(&broker, app)).await;
    for direct in [true, false] {
        let (_connection, channel) = broker.client().await;
        let queue = if direct {
            "amq.rabbitmq.reply-to".into()
        } else {
            let options = QueueDeclareOptions { exclusive: true, ..QueueDeclareOptions::default() };
            channel.queue_declare("".into(), options, FieldTable::default()).await.unwrap().name().clone()
        };
        let options = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
        let replies = channel.basic_consume(queue.clone(), "".into(), options, FieldTable::default()).await;
        let properties = BasicProperties::default().with_reply_to(queue).with_correlation_id("c-7".into());
        let options = BasicPublishOptions::default();
        let asked = channel.basic_publish("".into(), questions.into(), options, b"why", properties).await;
        asked.unwrap().await.unwrap();
        let reply = within("the reply", replies.unwrap().next()).await.unwrap().unwrap();
        assert_eq!(reply.data, b"re: why");
        assert_eq!(reply.properties.correlation_id(), &Some("c-7".into()), "direct: {direct}");
    }
    running.stop().await;
}
