//! What is published and subscribed to.

use std::{
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use amgi::{ChannelInfo, Settlement};
use amgi_brokers_tests::{App, RedisServer, init_logs, within};
use amgi_redis::Via;
use redis::{Pipeline, cmd};

use crate::{Hand, Running, channel, content, next, server};

const BURST: usize = 200_000;

/// Publishes as fast as Redis takes it, some 300 bytes each.
async fn burst(hand: &mut Hand, channel: &str) {
    let note = "n".repeat(280);
    for chunk in 0..BURST / 1000 {
        let mut all = Pipeline::new();
        for number in chunk * 1000..(chunk + 1) * 1000 {
            all.cmd("PUBLISH")
                .arg(format!("{channel}.{}", number % 8))
                .arg(format!("{number} {note}"))
                .ignore();
        }
        all.exec_async(&mut hand.0).await.expect("Redis takes them");
    }
}

/// Counts what comes, and waits a little now and then.
fn counting(every: usize) -> (App, Arc<AtomicUsize>) {
    let count = Arc::new(AtomicUsize::new(0));
    let (app, began) = App::new([channel("burst.{lane}")], {
        let count = count.clone();
        move |_| {
            let number = count.fetch_add(1, Ordering::Relaxed);
            async move {
                if number.is_multiple_of(every) {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Settlement::Ack
            }
        }
    });
    drop(began);
    (app, count)
}

async fn reaches(count: &AtomicUsize, wanted: usize) {
    let reached = async {
        while count.load(Ordering::Relaxed) < wanted {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let all = tokio::time::timeout(Duration::from_secs(60), reached).await;
    assert!(all.is_ok(), "{} of {wanted} came", count.load(Ordering::Relaxed));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_200_000_is_handled_whole() {
    init_logs();
    let redis = RedisServer::start();
    let mut hand = Hand::of(&redis).await;
    let (app, count) = counting(100);
    let running = Running::start(server(app, redis.url()).pubsub()).await;
    burst(&mut hand, "burst").await;
    reaches(&count, BURST).await;
    running.stop().await;
    assert_eq!(count.load(Ordering::Relaxed), BURST);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_redis_gives_up_comes_back() {
    init_logs();
    let redis = RedisServer::start();
    let mut hand = Hand::of(&redis).await;
    let _: String =
        hand.ask(cmd("CONFIG").arg("SET").arg("client-output-buffer-limit").arg("pubsub 1mb 1mb 0")).await;
    let (app, count) = counting(1);
    // Room for little: the rest waits at Redis, which has no room either.
    let mut running = Running::start(server(app, redis.url()).pubsub().buffer(64 * 1024)).await;
    burst(&mut hand, "burst").await;
    running.ready().await;
    let lost = count.load(Ordering::Relaxed);
    assert!(lost < BURST, "Redis has kept all of it");
    within("a message after the burst", async {
        loop {
            let before = count.load(Ordering::Relaxed);
            let heard: usize = hand.ask(cmd("PUBLISH").arg("burst.1").arg("after")).await;
            tokio::time::sleep(Duration::from_millis(50)).await;
            if heard == 1 && count.load(Ordering::Relaxed) > before {
                return;
            }
        }
    })
    .await;
    running.stop().await;
}

#[tokio::test]
async fn a_restart_of_redis_brings_the_subscriptions_back() {
    let mut redis = RedisServer::start();
    let (app, mut began) = content(&["user.{id}", "user.created"]);
    let mut running = Running::start(server(app, redis.url()).pubsub()).await;
    for _ in 0..2 {
        let mut hand = Hand::of(&redis).await;
        for (channel, payload) in [("user.created", "new"), ("user.7", "seven"), ("user.7.x", "not ours")] {
            let _: usize = hand.ask(cmd("PUBLISH").arg(channel).arg(payload)).await;
        }
        let mut came = vec![next(&mut began).await, next(&mut began).await];
        came.sort();
        assert_eq!(came, ["new", "seven"], "each once, though two subscriptions take one of them");
        redis.kill();
        redis.start_again();
        running.ready().await;
    }
    assert!(began.try_recv().is_err());
    running.stop().await;
}

#[tokio::test]
async fn a_channel_may_be_published_beside_streams() {
    let redis = RedisServer::start();
    let mut hand = Hand::of(&redis).await;
    let (app, mut began) =
        App::new([ChannelInfo::new("ticks", "ticks.{id}"), channel("orders")], |cx| async move {
            if cx.address() == "orders" {
                let tick = amgi::Message::new("ticks.1").payload("tick");
                assert!(cx.send(tick).await.is_ok());
            }
            Settlement::Ack
        });
    let running = Running::start(server(app, redis.url()).via("ticks", Via::PubSub)).await;
    hand.add("orders", &["order"]).await;
    assert_eq!(next(&mut began).await, "order");
    assert_eq!(next(&mut began).await, "tick");
    assert_eq!(hand.length("ticks.1").await, 0);
    running.stop().await;
}
