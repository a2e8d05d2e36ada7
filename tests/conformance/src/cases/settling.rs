//! When a message is acknowledged, and what becomes of one that is not.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use amgi::{BatchInfo, Disposition, Settlement, server::Exhausted};
use tokio::sync::Semaphore;

use crate::{
    probe::{Event, Probe, Seen},
    stage::{Outcome, Stage, channel, ensure, failed, text},
    subject::{Ability, Subject},
};

pub(crate) async fn an_acknowledgement_follows_the_handler<S: Subject>(stage: &Stage<S>) -> Outcome {
    let address = stage.address("in");
    let probe = Probe::new([channel(&address)], |_| std::future::pending());
    let (running, mut seen) = stage.start(probe, stage.run()).await?;
    stage.publish_texts(&address, &["one", "two"]).await?;
    seen.began().await?;
    // Time for an acknowledgement that comes too early.
    stage.quiet().await;
    running.cut().await;
    let left: &[&str] = if stage.can(Ability::Redelivery) { &["one", "two"] } else { &[] };
    stage.expect_left(stage.run(), &address, left).await
}

pub(crate) async fn what_is_acknowledged_is_over<S: Subject>(stage: &Stage<S>) -> Outcome {
    let address = stage.address("in");
    let (running, mut seen) = stage.start(Probe::content([channel(&address)]), stage.run()).await?;
    stage.publish_texts(&address, &["one", "two", "three"]).await?;
    let mut ended = Vec::new();
    for _ in 0..3 {
        ended.push(seen.ended().await?);
    }
    running.stop().await?;
    ended.extend(seen.rest_began());
    ended.sort();
    ensure!(ended == ["one", "three", "two"], "handled: {ended:?}");
    stage.expect_left(stage.run(), &address, &[]).await
}

pub(crate) async fn messages_wait_for_the_server<S: Subject>(stage: &Stage<S>) -> Outcome {
    let address = stage.address("in");
    let (running, _seen) = stage.start(Probe::content([channel(&address)]), stage.run()).await?;
    running.stop().await?;
    stage.publish_texts(&address, &["one", "two"]).await?;
    let left: &[&str] = if stage.can(Ability::Queueing) { &["one", "two"] } else { &[] };
    stage.expect_left(stage.run(), &address, left).await
}

fn nothing_more(seen: &mut Seen) -> Outcome {
    let more = seen.rest_began();
    ensure!(more.is_empty(), "{more:?} comes after it was acknowledged, or was given up");
    Ok(())
}

pub(crate) async fn what_nobody_settles_is_not_acknowledged<S: Subject>(stage: &Stage<S>) -> Outcome {
    let address = stage.address("in");
    let probe = Probe::new([channel(&address)], |_| async { Settlement::Unsettled });
    let (running, mut seen) = stage.start(probe, stage.run()).await?;
    stage.publish_texts(&address, &["one", "two"]).await?;
    seen.ended().await?;
    if !stage.can(Ability::Redelivery) {
        // It is gone, and the next one comes.
        seen.ended().await?;
    }
    stage.quiet().await;
    running.stop().await?;
    if !stage.can(Ability::Redelivery) {
        nothing_more(&mut seen)?;
    }
    if stage.can(Ability::Redelivery) && !stage.can(Ability::Nack) && stage.keeps_order() {
        let passed = seen.rest_began().into_iter().any(|text| text == "two");
        ensure!(!passed, "the second is handled before the first is settled");
    }
    let left: &[&str] = if stage.can(Ability::Redelivery) { &["one", "two"] } else { &[] };
    stage.expect_left(stage.run(), &address, left).await
}

pub(crate) async fn what_is_nacked_comes_again<S: Subject>(stage: &Stage<S>) -> Outcome {
    let address = stage.address("in");
    let tries = AtomicU32::new(0);
    let probe = Probe::new([channel(&address)], move |cx| {
        let fails = text(cx.message()) == "one" && tries.fetch_add(1, Ordering::SeqCst) < 2;
        async move { if fails { failed(Disposition::Retry) } else { Settlement::Ack } }
    });
    let mut run = stage.run();
    run.concurrency = 1;
    run.policy.attempts = 1;
    run.policy.exhausted = Exhausted::Nack;
    let (running, mut seen) = stage.start(probe, run).await?;
    stage.publish_texts(&address, &["one"]).await?;
    let times = if stage.can(Ability::Redelivery) { 3 } else { 1 };
    for _ in 0..times {
        let text = seen.ended().await?;
        ensure!(text == "one", "{text:?}");
    }
    stage.publish_texts(&address, &["two"]).await?;
    let text = seen.ended().await?;
    ensure!(text == "two", "{text:?} comes after it was acknowledged, or was given up");
    stage.quiet().await;
    running.stop().await?;
    nothing_more(&mut seen)?;
    stage.expect_left(stage.run(), &address, &[]).await
}

pub(crate) async fn what_is_nacked_lets_others_pass<S: Subject>(stage: &Stage<S>) -> Outcome {
    let address = stage.address("in");
    let passed = Arc::new(AtomicU32::new(0));
    let probe = Probe::new([channel(&address)], {
        let tries = AtomicU32::new(0);
        let (others_may, passed) = (stage.can(Ability::Nack), passed.clone());
        move |cx| {
            let first = text(cx.message()) == "one";
            if !first {
                passed.fetch_add(1, Ordering::SeqCst);
            }
            // Where others pass, it fails until one has.
            let fails = first && {
                let tries = tries.fetch_add(1, Ordering::SeqCst);
                if others_may { tries < 100 && passed.load(Ordering::SeqCst) == 0 } else { tries < 2 }
            };
            async move { if fails { failed(Disposition::Retry) } else { Settlement::Ack } }
        }
    });
    let mut run = stage.run();
    run.concurrency = 1;
    run.policy.attempts = 1;
    run.policy.exhausted = Exhausted::Nack;
    let (running, mut seen) = stage.start(probe, run).await?;
    stage.publish_texts(&address, &["one", "two"]).await?;
    let mut ended = Vec::new();
    while !ended.contains(&"two".to_owned()) {
        ended.push(seen.ended().await?);
    }
    let ones = ended.len() - 1;
    if stage.can(Ability::Nack) {
        ensure!(ones < 50, "what was nacked comes {ones} times before another one passes");
        while seen.ended().await? != "one" {}
    } else if stage.can(Ability::Redelivery) {
        ensure!(
            ones == 3 || !stage.keeps_order(),
            "the second is handled after {ones} attempts at the first, not after 3"
        );
        // Where there is no order it may be tried still.
        for _ in ones..3 {
            let text = seen.ended().await?;
            ensure!(text == "one", "{text:?} comes after it was acknowledged");
        }
    }
    running.stop().await?;
    stage.expect_left(stage.run(), &address, &[]).await
}

pub(crate) async fn a_batch_settles_each_message<S: Subject>(stage: &Stage<S>) -> Outcome {
    const MESSAGES: usize = 10;
    let address = stage.address("in");
    let mut watch = stage.watch(&format!("{address}.dlq")).await?;
    let gate = Arc::new(Semaphore::new(0));
    let channel = amgi::ChannelInfo {
        batch: Some(BatchInfo { size: 5, wait: std::time::Duration::from_millis(200) }),
        ..channel(&address)
    };
    let probe = Probe::new([channel], {
        let gate = gate.clone();
        move |cx| {
            let gate = gate.clone();
            async move {
                match text(cx.message()).as_str() {
                    // What is behind it gathers.
                    "0" => {
                        let _ = gate.acquire().await;
                        Settlement::Ack
                    }
                    "3" => failed(Disposition::DeadLetter),
                    "5" => failed(Disposition::Discard),
                    _ => Settlement::Ack,
                }
            }
        }
    });
    let mut run = stage.run();
    run.concurrency = 1;
    let (running, mut seen) = stage.start(probe, run).await?;
    let payloads: Vec<String> = (0..MESSAGES).map(|n| n.to_string()).collect();
    let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
    stage.publish_texts(&address, &payloads).await?;
    stage.quiet().await;
    gate.add_permits(1);
    let (mut most, mut came) = (0, Vec::new());
    while came.len() < MESSAGES {
        let began = seen.began().await?;
        most = most.max(began.batch);
        came.push(began.text());
    }
    came.sort();
    ensure!(came == payloads, "handled: {came:?}");
    if stage.can(Ability::Batches) {
        ensure!((2..=5).contains(&most), "the largest batch has {most} messages; at most 5 are asked for");
    } else {
        ensure!(most == 1, "a batch of {most}, and the subject says that there are none");
    }
    let letter = stage.arrived(&mut watch, "the dead letter").await?;
    ensure!(text(&letter) == "3", "{letter:?} is dead-lettered");
    running.stop().await?;
    ensure!(watch.try_next().is_none(), "another one is dead-lettered");
    let twice = seen.rest().into_iter().any(|event| matches!(event, Event::Began(_)));
    ensure!(!twice, "one is handled twice");
    stage.expect_left(stage.run(), &address, &[]).await
}
