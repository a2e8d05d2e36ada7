//! What becomes of messages, beyond what the conformance suite asks of every server.

use std::time::Duration;

use amgi::{Settlement, server::Policy};
use amgi_brokers_tests::{App, Mosquitto, Peer, Running, channel, rejected, within};
use amgi_mqtt::Version;

use crate::{binding, both, policy, server, text};

async fn what_comes_again_says_so(version: Version) {
    let broker = Mosquitto::start();
    let (app, mut began) = App::new([channel("a", "{}")], |_| std::future::pending());
    let running = Running::start(server(&broker, version, app)).await;
    broker.publish("a", "one");
    let message = within("a message", began.recv()).await.unwrap();
    assert_eq!(binding(&message, "dup"), None);
    running.cut();

    let (app, mut again) = App::new([channel("a", "{}")], |_| async { Settlement::Ack });
    let running = Running::start(server(&broker, version, app)).await;
    let message = within("a redelivery", again.recv()).await.unwrap();
    assert_eq!(text(&message), "one");
    assert_eq!(binding(&message, "dup").and_then(amgi::BindingValue::as_bool), Some(true));
    running.stop().await;
}

async fn a_dead_letter_goes_where_the_policy_says_at_qos_1(version: Version) {
    let broker = Mosquitto::start();
    let mut peer = Peer::watch(&broker, "bin").await;
    let (app, _) =
        App::new([channel("job.{id}", r#"{"qos":0}"#)], |_| async { rejected("/lumens", "an integer") });
    let policy = Policy { dead_letter: Some("bin".into()), ..policy() };
    let running = Running::start(server(&broker, version, app).policy(policy)).await;
    broker.mosquitto_pub(&["-q", "0", "-t", "job/1", "-m", "much"]);
    let letter = peer.next().await;
    assert_eq!((letter.payload.as_str(), letter.qos), ("much", 1));
    running.stop().await;
}

async fn only_so_many_are_taken_at_a_time(version: Version) {
    let broker = Mosquitto::start();
    let (app, mut began) = App::new([channel("a.{n}", r#"{"qos":0}"#)], |_| std::future::pending());
    let mut running = Running::start(
        server(&broker, version, app).concurrency(2).inflight(3).shutdown_deadline(Duration::ZERO),
    )
    .await;
    // QoS 0 knows no limit of its own: what is beyond twice the limit stays in the sockets.
    for n in 0..50 {
        broker.mosquitto_pub(&["-q", "0", "-t", &format!("a/{n}"), "-m", "x"]);
    }
    for _ in 0..2 {
        within("a message", began.recv()).await.unwrap();
    }
    assert!(began.try_recv().is_err(), "two topics at a time");
    running.stop.request();
    running.ended().await.unwrap();
}

both!(
    what_comes_again_says_so,
    a_dead_letter_goes_where_the_policy_says_at_qos_1,
    only_so_many_are_taken_at_a_time,
);
