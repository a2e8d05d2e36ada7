//! Streams and their groups.

use std::{sync::Arc, time::Duration};

use amgi::{
    Message, Settlement,
    server::{Exhausted, Policy},
};
use amgi_brokers_tests::{App, RedisServer, init_logs, within};
use amgi_redis::{Fields, Mapping, Start};
use redis::cmd;
use tokio::sync::Semaphore;

use crate::{Hand, Running, channel, content, next, server};

#[tokio::test]
async fn a_new_group_begins_where_it_is_told() {
    let redis = RedisServer::start();
    let mut hand = Hand::of(&redis).await;
    hand.add("orders", &["before"]).await;
    let (app, mut began) = content(&["orders"]);
    let running = Running::start(server(app, redis.url())).await;
    assert_eq!(next(&mut began).await, "before", "nothing is lost by default");
    running.stop().await;

    let (app, mut began) = content(&["orders"]);
    let running = Running::start(server(app, redis.url()).group("late").start(Start::Newest)).await;
    hand.add("orders", &["after"]).await;
    assert_eq!(next(&mut began).await, "after");
    running.stop().await;
}

#[tokio::test]
async fn the_messages_of_a_dead_instance_are_taken_over() {
    init_logs();
    let redis = RedisServer::start();
    let mut hand = Hand::of(&redis).await;
    hand.add("orders", &["1", "2", "3"]).await;
    let (app, mut began) = App::new([channel("orders")], |_| std::future::pending());
    let dying = Running::start(server(app, redis.url()).consumer("dying")).await;
    assert_eq!(next(&mut began).await, "1");
    dying.cut().await;
    let (app, mut began) = content(&["orders"]);
    let running = Running::start(server(app, redis.url()).min_idle(Duration::from_secs(1))).await;
    for wanted in ["1", "2", "3"] {
        assert_eq!(next(&mut began).await, wanted);
    }
    running.stop().await;
    assert_eq!(hand.pending("orders").await, 0);
}

#[tokio::test]
async fn what_is_in_hand_is_not_taken_over_however_long_it_takes() {
    let redis = RedisServer::start();
    let mut hand = Hand::of(&redis).await;
    hand.add("orders", &["slow", "behind it"]).await;
    let idle = Duration::from_secs(1);
    let (app, mut by_slow) = App::new([channel("orders")], |_| async {
        tokio::time::sleep(Duration::from_millis(3500)).await;
        Settlement::Ack
    });
    let slow = Running::start(server(app, redis.url()).consumer("slow").min_idle(idle)).await;
    assert_eq!(next(&mut by_slow).await, "slow");
    let (app, mut by_other) = content(&["orders"]);
    let other = Running::start(server(app, redis.url()).consumer("other").min_idle(idle)).await;
    assert_eq!(next(&mut by_slow).await, "behind it", "it is the first's still");
    slow.stop().await;
    other.stop().await;
    assert!(by_other.try_recv().is_err(), "the other one takes what is in hand");
}

#[tokio::test]
async fn a_stop_gives_back_what_was_not_begun() {
    let redis = RedisServer::start();
    let mut hand = Hand::of(&redis).await;
    hand.add("orders", &["1", "2", "3"]).await;
    let gate = Arc::new(Semaphore::new(0));
    let (app, mut began) = App::new([channel("orders")], {
        let gate = gate.clone();
        move |_| {
            let gate = gate.clone();
            async move {
                let _ = gate.acquire().await;
                Settlement::Ack
            }
        }
    });
    let first = Running::start(server(app, redis.url()).consumer("first")).await;
    assert_eq!(next(&mut began).await, "1");
    first.stop.request();
    gate.add_permits(1);
    first.stop().await;
    assert!(began.try_recv().is_err(), "a message is begun after the stop");
    // With a minute's patience for the dead; these are not.
    let (app, mut began) = content(&["orders"]);
    let second = Running::start(server(app, redis.url()).consumer("second")).await;
    assert_eq!(next(&mut began).await, "2");
    assert_eq!(next(&mut began).await, "3");
    second.stop().await;
    assert_eq!(hand.pending("orders").await, 0);
}

#[tokio::test]
async fn what_ends_every_process_is_given_up() {
    init_logs();
    let redis = RedisServer::start();
    let mut hand = Hand::of(&redis).await;
    hand.add("orders", &["poison", "good"]).await;
    let app = || {
        App::new([channel("orders")], |cx| async move {
            if cx.message().payload.as_deref() == Some(b"poison") {
                std::future::pending::<()>().await;
            }
            Settlement::Ack
        })
    };
    // The first delivery, and those after two deaths.
    for _ in 0..3 {
        let (app, mut began) = app();
        let running = Running::start(server(app, redis.url()).max_deliveries(3)).await;
        assert_eq!(next(&mut began).await, "poison");
        running.cut().await;
    }
    let (app, mut began) = app();
    let running = Running::start(server(app, redis.url()).max_deliveries(3)).await;
    assert_eq!(next(&mut began).await, "good", "the other one was delivered as often, and never begun");
    running.stop().await;
    let letters: Vec<(String, Vec<(String, String)>)> =
        hand.ask(cmd("XRANGE").arg("orders.dlq").arg("-").arg("+")).await;
    let [(_, fields)] = &letters[..] else { panic!("{letters:?}") };
    let field = |name: &str| fields.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    assert_eq!(field("payload"), Some("poison"));
    assert!(
        field("amgi-dead-letter-reason").is_some_and(|reason| reason.contains("delivered 4 times")),
        "{fields:?}"
    );
    assert_eq!(hand.pending("orders").await, 0);
}

#[tokio::test]
async fn what_is_never_to_be_dead_lettered_is_not_given_up() {
    let redis = RedisServer::start();
    let mut hand = Hand::of(&redis).await;
    hand.add("orders", &["stubborn"]).await;
    for _ in 0..4 {
        let (app, mut began) = App::new([channel("orders")], |_| std::future::pending());
        let policy = Policy { exhausted: Exhausted::Nack, ..Policy::default() };
        let running = Running::start(server(app, redis.url()).max_deliveries(1).policy(policy)).await;
        assert_eq!(next(&mut began).await, "stubborn");
        running.cut().await;
    }
    assert_eq!(hand.length("orders.dlq").await, 0);
}

#[tokio::test]
async fn messages_of_one_stream_may_be_handled_at_the_same_time() {
    let redis = RedisServer::start();
    let mut hand = Hand::of(&redis).await;
    let gate = Arc::new(Semaphore::new(0));
    let (app, mut began) = App::new([channel("orders")], {
        let gate = gate.clone();
        move |_| {
            let gate = gate.clone();
            async move {
                let _ = gate.acquire().await;
                Settlement::Ack
            }
        }
    });
    let running = Running::start(server(app, redis.url()).ordered(false).concurrency(3).prefetch(1)).await;
    hand.add("orders", &["1", "2", "3", "4"]).await;
    let mut came = Vec::new();
    for _ in 0..3 {
        came.push(next(&mut began).await);
    }
    came.sort();
    assert_eq!(came, ["1", "2", "3"], "three at a time, behind one gate");
    gate.add_permits(10);
    assert_eq!(next(&mut began).await, "4");
    running.stop().await;
    assert_eq!(hand.pending("orders").await, 0);
}

#[tokio::test]
async fn a_group_that_vanishes_is_made_again() {
    let redis = RedisServer::start();
    let mut hand = Hand::of(&redis).await;
    let (app, mut began) = content(&["orders"]);
    let running = Running::start(server(app, redis.url()).start(Start::Newest)).await;
    hand.add("orders", &["one"]).await;
    assert_eq!(next(&mut began).await, "one");
    let _: redis::Value = hand.ask(&cmd("FLUSHALL")).await;
    hand.add("orders", &["two"]).await;
    assert_eq!(next(&mut began).await, "two", "what came before the group was made again is ours");
    running.stop().await;
}

#[tokio::test]
async fn what_is_sent_may_be_trimmed_and_laid_out_otherwise() {
    let redis = RedisServer::start();
    let mut hand = Hand::of(&redis).await;
    let (app, mut began) = App::new([channel("orders")], |cx| async move {
        for number in 0..1000 {
            let sent = cx.send(Message::new("out").payload(number.to_string())).await;
            assert!(sent.is_ok());
        }
        Settlement::Ack
    });
    let server = server(app, redis.url())
        .max_length(100)
        .mapping(Mapping::prefix("shop:"))
        .fields(Fields::payload_in("data"));
    let running = Running::start(server).await;
    let _: String = hand.ask(cmd("XADD").arg("shop:orders").arg("*").arg("data").arg("go")).await;
    assert_eq!(next(&mut began).await, "go");
    running.stop().await;
    let length = hand.length("shop:out").await;
    assert!((100..400).contains(&length), "{length} entries are kept of 1000");
    let last: Vec<(String, Vec<(String, String)>)> =
        hand.ask(cmd("XREVRANGE").arg("shop:out").arg("+").arg("-").arg("COUNT").arg(1)).await;
    assert_eq!(last[0].1, [("data".to_owned(), "999".to_owned())]);
}

#[tokio::test]
async fn parameters_without_addresses_are_an_error() {
    let redis = RedisServer::start();
    let (app, _) = content(&["user.{id}.events"]);
    let ended = within("an error", server(app, redis.url()).serve()).await;
    let error = ended.expect_err("streams have no wildcards").to_string();
    assert!(error.contains("user.{id}.events") && error.contains(".addresses("), "{error}");
}
