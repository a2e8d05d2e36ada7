//! A broker that goes away and comes back, and several instances on one broker.

use std::{sync::Arc, time::Duration};

use amgi::Settlement;
use amgi_brokers_tests::{App, Mosquitto, Peer, Running, channel, within};
use amgi_mqtt::Version;
use rumqttc::v5::mqttbytes::QoS;
use tokio::sync::Semaphore;

use crate::{both, server, text};

async fn after_a_restart_of_the_broker_all_goes_on(version: Version) {
    let mut broker = Mosquitto::start();
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let (app, mut began) = App::new([channel("a.{n}", "{}")], move |cx| {
        let gate = waiting.clone();
        async move {
            if text(cx.message()) == "slow" {
                gate.acquire().await.unwrap().forget();
            }
            Settlement::Ack
        }
    });
    let mut running = Running::start(server(&broker, version, app)).await;
    broker.publish("a/1", "slow");
    assert_eq!(text(&within("a message", began.recv()).await.unwrap()), "slow");
    broker.restart();
    // Published perhaps before the server is back: the session is kept for it.
    broker.publish("a/2", "after");
    running.ready().await;
    assert_eq!(text(&within("a message", began.recv()).await.unwrap()), "after");
    gate.add_permits(1);
    broker.publish("a/1", "last");
    assert_eq!(
        text(&within("a message", began.recv()).await.unwrap()),
        "last",
        "`slow` is not handled again"
    );
    running.stop().await;

    let (app, mut began) = App::new([channel("a.{n}", "{}")], |_| async { Settlement::Ack });
    let running = Running::start(server(&broker, version, app)).await;
    broker.publish("a/3", "new");
    assert_eq!(text(&within("a message", began.recv()).await.unwrap()), "new", "all else is acknowledged");
    running.stop().await;
}

async fn a_broker_that_forgets_everything_is_subscribed_to_again(version: Version) {
    let mut broker = Mosquitto::with("allow_anonymous true\npersistent_client_expiration 1h\n");
    let (app, mut began) = App::new([channel("a", "{}")], |_| async { Settlement::Ack });
    let mut running = Running::start(server(&broker, version, app).clean_session(true)).await;
    for n in 0..3 {
        broker.kill();
        broker.start_again();
        running.ready().await;
        broker.publish("a", &n.to_string());
        assert_eq!(text(&within("a message", began.recv()).await.unwrap()), n.to_string());
    }
    running.stop().await;
}

// Of version 5 only: mosquitto 2.0.11 keeps the session of such a client on disk, but not its shared subscriptions.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_is_joined_again_when_the_broker_has_forgotten_it() {
    let mut broker = Mosquitto::start();
    let (app, mut began) = App::new([channel("a", "{}")], |_| async { Settlement::Ack });
    let mut running = Running::start(server(&broker, Version::V5, app).group("g")).await;
    broker.publish("a", "before");
    assert_eq!(text(&within("a message", began.recv()).await.unwrap()), "before");
    broker.restart();
    running.ready().await;
    broker.publish("a", "after");
    assert_eq!(text(&within("a message", began.recv()).await.unwrap()), "after");
    running.stop().await;
}

async fn a_flood_with_restarts_loses_nothing(version: Version) {
    const MESSAGES: usize = 2000;
    let mut broker = Mosquitto::start();
    let (app, mut began) = App::new([channel("n.{lane}", "{}")], |_| async {
        tokio::task::yield_now().await;
        Settlement::Ack
    });
    let mut running = Running::start(server(&broker, version, app)).await;
    let mut seen = vec![0_u32; MESSAGES];
    let mut count = |message: amgi::Message| seen[text(&message).parse::<usize>().unwrap()] += 1;
    for (round, range) in [(0, 0..MESSAGES / 2), (1, MESSAGES / 2..MESSAGES)] {
        let peer = Peer::watch(&broker, "unused").await;
        for n in range.clone() {
            peer.client
                .publish(format!("n/{}", n % 7), QoS::AtLeastOnce, false, n.to_string())
                .await
                .unwrap();
        }
        // The peer's client has handed all of it over when this, which comes after it, arrives.
        let mut watch = Peer::watch(&broker, "done").await;
        peer.client.publish("done", QoS::AtLeastOnce, false, "").await.unwrap();
        watch.next().await;
        drop(peer);
        if round == 0 {
            broker.restart();
            running.ready().await;
        }
    }
    broker.publish("n/end", "0");
    loop {
        let message = within("a message", began.recv()).await.unwrap();
        let end = message.address == "n.end";
        count(message);
        if end {
            break;
        }
    }
    running.stop().await;
    while let Ok(message) = began.try_recv() {
        count(message);
    }
    let missing: Vec<_> = (0..MESSAGES).filter(|&n| seen[n] == 0).collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
}

/// The answer to a subscription may lie behind more messages than are read.
async fn a_backlog_does_not_look_like_a_broker_that_is_silent(version: Version) {
    const MESSAGES: usize = 400;
    // Saving everything after every change takes longer than the test.
    let broker = Mosquitto::with(
        "allow_anonymous true\nmax_inflight_messages 0\nautosave_on_changes false\nautosave_interval 0\n",
    );
    let (app, _) = App::new([channel("a", "{}")], |_| async { Settlement::Ack });
    Running::start(server(&broker, version, app)).await.stop().await;
    // More than one read of the socket.
    let lines = format!("{}\n", "x".repeat(2000)).repeat(MESSAGES);
    broker.publish_lines("a", &lines);
    let gate = Arc::new(Semaphore::new(0));
    let waiting = gate.clone();
    let (app, mut began) = App::new([channel("a", "{}")], move |_| {
        let gate = waiting.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            Settlement::Ack
        }
    });
    let before = broker.log().matches("as server").count();
    let server = server(&broker, version, app)
        .inflight(20)
        .keep_alive(Duration::from_secs(1))
        .connect_timeout(Duration::from_secs(1));
    let stop = amgi::server::Stop::new();
    let serving = tokio::spawn(server.stop(&stop).serve());
    within("a message", began.recv()).await.unwrap();
    // Longer than the broker has for its answers.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    assert_eq!(broker.log().matches("as server").count(), before + 1, "one connection");
    gate.add_permits(MESSAGES);
    for _ in 1..MESSAGES {
        within("a message", began.recv()).await.unwrap();
    }
    stop.request();
    within("its end", serving).await.unwrap().unwrap();
}

both!(
    a_backlog_does_not_look_like_a_broker_that_is_silent,
    after_a_restart_of_the_broker_all_goes_on,
    a_broker_that_forgets_everything_is_subscribed_to_again,
    a_flood_with_restarts_loses_nothing,
);

/// A connection that is there and says nothing is given up after a while.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_broker_is_noticed() {
    let broker = Mosquitto::start();
    let (app, mut began) = App::new([channel("a", "{}")], |_| async { Settlement::Ack });
    let server = server(&broker, Version::V5, app)
        .keep_alive(Duration::from_secs(1))
        .connect_timeout(Duration::from_millis(300));
    let mut running = Running::start(server).await;
    broker.freeze();
    // Only time tells: a second of silence, then no answer for 0.3 s.
    tokio::time::sleep(Duration::from_millis(1600)).await;
    broker.thaw();
    running.ready().await;
    broker.publish("a", "back");
    assert_eq!(text(&within("a message", began.recv()).await.unwrap()), "back");
    running.stop().await;
}
