//! A broker that dies and returns, and queues that go away.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use amgi::{ChannelInfo, Message, Settlement};
use amgi_brokers_tests::{App, RabbitMq, within};
use lapin::{BasicProperties, options::QueueDeleteOptions, types::FieldTable};

use crate::{server, start, text};

fn persistent() -> BasicProperties {
    BasicProperties::default().with_delivery_mode(2)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_and_returns_has_everything_and_gets_everything() {
    let mut broker = RabbitMq::start();
    broker.queue("out", FieldTable::default()).await;
    let held = Arc::new(AtomicBool::new(true));
    let wait = held.clone();
    let (app, mut began) = App::new([ChannelInfo::new("work", "work.{n}")], move |cx| {
        let held = wait.clone();
        async move {
            while held.load(Ordering::SeqCst) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let sent = cx.send(Message::new("out").payload(text(cx.message()).to_owned())).await;
            sent.map_or_else(|error| amgi_brokers_tests::failed(&error.to_string()), |()| Settlement::Ack)
        }
    });
    let mut running = start(server(&broker, app).concurrency(4)).await;
    for n in 0..10 {
        broker.publish("amq.topic", &format!("work.{n}"), &n.to_string(), persistent()).await;
    }
    within("a message", began.recv()).await.unwrap();
    broker.kill();
    // Handlers that send now wait for the broker.
    held.store(false, Ordering::SeqCst);
    broker.start_again();
    running.ready().await;
    let mut came = BTreeSet::new();
    while came.len() < 10 {
        came.insert(String::from_utf8(broker.take("out").await.data).unwrap());
    }
    running.stop().await;
    let all: BTreeSet<_> = (0..10).map(|n| n.to_string()).collect();
    assert_eq!(came, all);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_queue_that_is_deleted_is_made_again() {
    let broker = RabbitMq::shared();
    let queue = RabbitMq::name("deleted");
    let (app, mut began) = App::new([ChannelInfo::new("work", queue)], |_| async { Settlement::Ack });
    let mut running = start(server(&broker, app)).await;
    let (_connection, channel) = broker.client().await;
    channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
    running.ready().await;
    broker.publish("", queue, "again", persistent()).await;
    assert_eq!(text(&within("a message", began.recv()).await.unwrap()), "again");
    running.stop().await;
}
