//! Queues, exchanges and keys as the document has them, made or found.

use amgi::{ChannelInfo, Message, Settlement};
use amgi_brokers_tests::{App, RabbitMq, failed, within};
use lapin::{
    BasicProperties,
    options::{ExchangeDeclareOptions, QueueBindOptions},
    types::{AMQPValue, FieldTable},
};

use crate::{channel, policy, server, start, text};

fn plain() -> BasicProperties {
    BasicProperties::default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_routing_key_on_the_documents_exchange_is_received_and_sent_to() {
    let broker = RabbitMq::shared();
    let exchange = RabbitMq::name("post");
    let binding = format!(
        r#"{{"is":"routingKey","exchange":{{"name":"{exchange}","type":"topic","autoDelete":true}}}}"#
    );
    let (app, mut began) = App::new([channel("parcel.{id}.sent", binding, "{}")], |cx| async move {
        if text(cx.message()) == "first" {
            cx.send(Message::new("parcel.8.sent").payload("second")).await.unwrap();
        }
        Settlement::Ack
    });
    let running = start(server(&broker, app)).await;
    broker.publish(exchange, "parcel.7.sent", "first", plain()).await;
    for (address, payload) in [("parcel.7.sent", "first"), ("parcel.8.sent", "second")] {
        let message = within("a message", began.recv()).await.unwrap();
        assert_eq!((&*message.address, text(&message)), (address, payload));
        let get = |field| message.bindings.get("amqp", field).and_then(|value| value.as_str());
        assert_eq!((get("exchange"), get("routing_key")), (Some(exchange), Some(address)));
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_of_the_document_has_its_name_and_what_comes_is_its_channels() {
    let broker = RabbitMq::shared();
    let queue = RabbitMq::name("parcels");
    let binding = format!(r#"{{"is":"queue","queue":{{"name":"{queue}","durable":true}}}}"#);
    let (app, mut began) = App::new([channel("parcels.ordered", binding, "{}")], |cx| async move {
        if text(cx.message()) == "first" {
            cx.send(Message::new("parcels.ordered").payload("second")).await.unwrap();
        }
        Settlement::Ack
    });
    let running = start(server(&broker, app)).await;
    broker.publish("", queue, "first", plain()).await;
    for payload in ["first", "second"] {
        let message = within("a message", began.recv()).await.unwrap();
        assert_eq!((&*message.address, text(&message)), ("parcels.ordered", payload));
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn groups_each_get_every_message_and_instances_share_them() {
    let broker = RabbitMq::shared();
    let (one, two) = (RabbitMq::name("one"), RabbitMq::name("two"));
    let address = format!("{}.{{n}}", RabbitMq::name("shared")).leak();
    let app = || App::new([ChannelInfo::new("channel", &*address)], |_| async { Settlement::Ack });
    let mut running = Vec::new();
    let mut seen = Vec::new();
    for group in [one, one, two] {
        let (app, began) = app();
        running.push(start(server(&broker, app).group(group)).await);
        seen.push(began);
    }
    for n in 0..20 {
        broker.publish("amq.topic", &address.replace("{n}", &n.to_string()), "x", plain()).await;
    }
    for running in running {
        running.stop().await;
    }
    let counts: Vec<usize> =
        seen.iter_mut().map(|began| std::iter::from_fn(|| began.try_recv().ok()).count()).collect();
    // What a stop has left is taken by the next one of the group; the last of all has finished everything it began.
    assert!(counts[0] > 0 && counts[1] > 0, "{counts:?}");
    let left =
        broker.waiting(&format!("{one}.{address}")).await + broker.waiting(&format!("{two}.{address}")).await;
    assert_eq!(counts.iter().sum::<usize>() + left as usize, 40, "{counts:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_there_is_used_as_it_is_but_an_exchange_of_another_type_is_an_error() {
    let broker = RabbitMq::shared();
    let (queue, exchange) = (RabbitMq::name("limited"), RabbitMq::name("direct"));
    let mut arguments = FieldTable::default();
    arguments.insert("x-max-length".into(), AMQPValue::LongInt(1000));
    broker.queue(queue, arguments).await;
    let app = |json: String| App::new([channel("a.b", json, "{}")], |_| async { Settlement::Ack });
    let (found, mut began) = app(format!(r#"{{"is":"queue","queue":{{"name":"{queue}"}}}}"#));
    let running = start(server(&broker, found)).await;
    broker.publish("", queue, "one", plain()).await;
    assert_eq!(text(&within("a message", began.recv()).await.unwrap()), "one");
    running.stop().await;

    let (_connection, channel) = broker.client().await;
    let options = ExchangeDeclareOptions { auto_delete: true, ..ExchangeDeclareOptions::default() };
    let kind = lapin::ExchangeKind::Direct;
    channel.exchange_declare(exchange.into(), kind, options, FieldTable::default()).await.unwrap();
    let (app, _) = app(format!(r#"{{"exchange":{{"name":"{exchange}","type":"topic"}}}}"#));
    let error = server(&broker, app).serve().await.unwrap_err().to_string();
    assert!(error.contains(exchange) && error.contains("type"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_made_where_nothing_is_to_be_declared() {
    let broker = RabbitMq::shared();
    let queue: &'static str = RabbitMq::name("missing");
    let app = || App::new([ChannelInfo::new("channel", queue)], |_| async { Settlement::Ack });
    let error = server(&broker, app().0).declare(false).serve().await.unwrap_err().to_string();
    assert!(error.contains(&format!("queue `{queue}` is not there")), "{error}");
    broker.queue(queue, FieldTable::default()).await;
    let (app, mut began) = app();
    let running = start(server(&broker, app).declare(false)).await;
    broker.publish("", queue, "one", plain()).await;
    within("a message", began.recv()).await.unwrap();
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_alias_is_the_name_for_receives_and_sends() {
    let broker = RabbitMq::shared();
    let key = RabbitMq::name("v1");
    let (app, mut began) = App::new([ChannelInfo::new("events", "user.{id}.events")], |cx| async move {
        if cx.address() == "user.7.events" {
            cx.send(Message::new("user.8.events").payload("x")).await.unwrap();
        }
        Settlement::Ack
    });
    let server = server(&broker, app).address("events", format!("{key}.{{id}}.out"));
    let running = start(server).await;
    broker.publish("amq.topic", &format!("{key}.7.out"), "x", plain()).await;
    for address in ["user.7.events", "user.8.events"] {
        assert_eq!(&*within("a message", began.recv()).await.unwrap().address, address);
    }
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dead_letters_go_to_the_dead_letter_exchange_under_their_key() {
    let broker = RabbitMq::shared();
    let (exchange, graveyard, address) =
        (RabbitMq::name("dlx"), RabbitMq::name("graveyard"), RabbitMq::name("job"));
    broker.queue(graveyard, FieldTable::default()).await;
    let (_connection, channel) = broker.client().await;
    let options = ExchangeDeclareOptions { auto_delete: true, ..ExchangeDeclareOptions::default() };
    let kind = lapin::ExchangeKind::Direct;
    channel.exchange_declare(exchange.into(), kind, options, FieldTable::default()).await.unwrap();
    let options = QueueBindOptions::default();
    channel
        .queue_bind(graveyard.into(), exchange.into(), address.into(), options, FieldTable::default())
        .await
        .unwrap();
    let (app, _began) = App::new([ChannelInfo::new("job", address)], |_| async { failed("no luck") });
    let running = start(server(&broker, app).dead_letter_exchange(exchange)).await;
    broker.publish("", address, "poison", plain().with_expiration("60000".into())).await;
    let letter = broker.take(graveyard).await;
    assert_eq!((letter.data.as_slice(), letter.routing_key.as_str()), (&b"poison"[..], address));
    assert_eq!(letter.properties.expiration(), &None, "it stays");
    let headers = letter.properties.headers().as_ref().unwrap().inner();
    assert_eq!(headers.get("amgi-dead-letter-reason"), Some(&AMQPValue::LongString("no luck".into())));
    running.stop().await;

    // What the broker gives up goes there, too: the queue was made so.
    let (app, _began) = App::new([ChannelInfo::new("job", address)], |_| async { Settlement::Ack });
    drop(app);
    broker.publish("", address, "late", plain().with_expiration("1".into())).await;
    assert_eq!(broker.take(graveyard).await.data, b"late");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_quorum_queue_counts_deliveries_and_ends_them() {
    let broker = RabbitMq::shared();
    let (address, graveyard) = (RabbitMq::name("quorum"), RabbitMq::name("over"));
    broker.queue(graveyard, FieldTable::default()).await;
    let (app, mut began) = App::new([ChannelInfo::new("job", address)], |_| async { failed("no luck") });
    let policy = amgi::server::Policy { attempts: 1, exhausted: amgi::server::Exhausted::Nack, ..policy() };
    let running = start(
        server(&broker, app)
            .policy(policy)
            .queue_argument("x-queue-type", "quorum")
            .queue_argument("x-delivery-limit", 2)
            .queue_argument("x-dead-letter-exchange", "")
            .queue_argument("x-dead-letter-routing-key", graveyard),
    )
    .await;
    broker.publish("", address, "poison", plain()).await;
    let mut counts = Vec::new();
    for _ in 0..3 {
        let message = within("a delivery", began.recv()).await.unwrap();
        counts.push(
            message.bindings.get("amqp", "delivery_count").and_then(amgi::BindingValue::as_int).unwrap_or(0),
        );
    }
    assert_eq!(counts, [0, 1, 2]);
    assert_eq!(broker.take(graveyard).await.data, b"poison");
    running.stop().await;
}
