//! Startup, shutdown, and stops in between.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use amgi::{Error, Message, Settlement};
use tokio::sync::Semaphore;

use crate::{
    probe::{Event, Probe},
    stage::{Outcome, Stage, channel, ensure, text},
    subject::{Ability, Subject},
};

pub(crate) async fn startup_is_first_and_shutdown_last<S: Subject>(stage: &Stage<S>) -> Outcome {
    let address = stage.address("in");
    let (running, _seen) = stage.start(Probe::content([channel(&address)]), stage.run()).await?;
    running.stop().await?;
    // These wait where the broker keeps them; one that comes in any case is published when the server is ready.
    stage.publish_texts(&address, &["one", "two"]).await?;
    let (mut probe, seen) = Probe::new([channel(&address)], |cx| async move {
        let takes = if text(cx.message()) == "last" { 500 } else { 20 };
        tokio::time::sleep(Duration::from_millis(takes)).await;
        Settlement::Ack
    });
    probe.startup_takes = Duration::from_millis(100);
    let (running, mut seen) = stage.start((probe, seen), stage.run()).await?;
    stage.publish_texts(&address, &["last"]).await?;
    let mut events = Vec::new();
    loop {
        let event = seen.event().await?;
        let last = matches!(&event, Event::Began(began) if began.text() == "last");
        events.push(event);
        if last {
            break;
        }
    }
    // In the middle of the last one.
    running.stop().await?;
    events.extend(seen.rest());
    let startups = events.iter().filter(|event| matches!(event, Event::Startup)).count();
    let shutdowns = events.iter().filter(|event| matches!(event, Event::Shutdown)).count();
    ensure!((startups, shutdowns) == (1, 1), "{startups} startups and {shutdowns} shutdowns");
    ensure!(matches!(events.first(), Some(Event::Startup)), "before startup: {:?}", events.first());
    ensure!(matches!(events.last(), Some(Event::Shutdown)), "after shutdown: {:?}", events.last());
    let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
    let (began, ended) =
        (count(|event| matches!(event, Event::Began(_))), count(|event| matches!(event, Event::Ended(..))));
    ensure!(began == ended, "{began} handlers began and {ended} ended before shutdown");
    Ok(())
}

pub(crate) async fn a_startup_that_fails_ends_the_server<S: Subject>(stage: &Stage<S>) -> Outcome {
    let address = stage.address("in");
    let (running, _seen) = stage.start(Probe::content([channel(&address)]), stage.run()).await?;
    running.stop().await?;
    stage.publish_texts(&address, &["one"]).await?;
    let (mut probe, mut seen) = Probe::content([channel(&address)]);
    probe.startup_fails = Some("no database");
    let ended = stage.launch(probe, stage.run()).ended().await?;
    let Err(error) = ended else {
        return Err(crate::stage::Broken::new("startup fails, and the server ends well"));
    };
    ensure!(matches!(error, Error::Startup(_)), "startup fails, and the error is another one: {error}");
    ensure!(error.to_string().contains("no database"), "the error does not say why: {error}");
    let events = seen.rest();
    ensure!(events.is_empty(), "after a startup that failed: {events:?}");
    let left: &[&str] = if stage.can(Ability::Queueing) { &["one"] } else { &[] };
    stage.expect_left(stage.run(), &address, left).await
}

pub(crate) async fn a_shutdown_that_fails_is_told<S: Subject>(stage: &Stage<S>) -> Outcome {
    let (mut probe, seen) = Probe::content([channel(&stage.address("in"))]);
    probe.shutdown_fails = Some("still busy");
    let (mut running, _seen) = stage.start((probe, seen), stage.run()).await?;
    running.stop.request();
    let ended = running.ended().await?;
    ensure!(
        matches!(&ended, Err(Error::Shutdown(error)) if error.to_string().contains("still busy")),
        "shutdown fails, and the server ends with {ended:?}"
    );
    Ok(())
}

pub(crate) async fn a_stop_finishes_what_has_begun<S: Subject>(stage: &Stage<S>) -> Outcome {
    let (address, out) = (stage.address("in"), stage.address("out"));
    let gate = Arc::new(Semaphore::new(0));
    let probe = Probe::new([channel(&address)], {
        let (gate, out) = (gate.clone(), out.clone());
        move |cx| {
            let (gate, out) = (gate.clone(), out.clone());
            async move {
                let _ = gate.acquire().await;
                // Sends work to the end.
                match cx.send(Message::new(out).payload("finished")).await {
                    Ok(()) => Settlement::Ack,
                    Err(_) => Settlement::Unsettled,
                }
            }
        }
    });
    let mut watch = stage.watch(&out).await?;
    let mut run = stage.run();
    run.concurrency = 1;
    let (mut running, mut seen) = stage.start(probe, run).await?;
    stage.publish_texts(&address, &["one", "two"]).await?;
    let first = seen.began().await?.text();
    let other = if first == "one" { "two" } else { "one" };
    if !stage.can(Ability::ImmediateStop) {
        // The other is delivered too.
        stage.quiet().await;
    }
    running.stop.request();
    stage.publish_texts(&address, &["three"]).await?;
    stage.quiet().await;
    gate.add_permits(10);
    running.ended_well().await?;
    let events = seen.rest();
    let begun = events.iter().filter_map(|event| match event {
        Event::Began(seen) => Some(seen.text()),
        _ => None,
    });
    let more: Vec<String> = begun.collect();
    if stage.can(Ability::ImmediateStop) {
        ensure!(more.is_empty(), "a message is begun after the stop: {more:?}");
    } else {
        ensure!(more.iter().any(|text| text == other), "what was delivered is not handled: {more:?}");
    }
    let finished = events.iter().any(|event| matches!(event, Event::Ended(..)));
    ensure!(finished, "the handler that had begun did not finish");
    let sent = stage.arrived(&mut watch, "what the handler sends during the stop").await?;
    ensure!(text(&sent) == "finished", "{sent:?}");
    let left: &[&str] = if stage.can(Ability::Redelivery) { &[other, "three"] } else { &[] };
    stage.expect_left(stage.run(), &address, left).await
}

pub(crate) async fn a_stop_does_not_wait_beyond_the_deadline<S: Subject>(stage: &Stage<S>) -> Outcome {
    let address = stage.address("in");
    let probe = Probe::new([channel(&address)], |_| std::future::pending());
    let mut run = stage.run();
    let deadline = Duration::from_secs(1);
    run.shutdown_deadline = deadline;
    let (mut running, mut seen) = stage.start(probe, run).await?;
    stage.publish_texts(&address, &["one"]).await?;
    seen.began().await?;
    let since = Instant::now();
    running.stop.request();
    if !stage.can(Ability::Deadline) {
        tokio::time::sleep(deadline).await;
        stage.quiet().await;
        let ended = seen.rest().iter().any(|event| matches!(event, Event::Shutdown));
        ensure!(!ended, "the handler is not waited for, and the subject says that it is");
        running.cut().await;
        return Ok(());
    }
    running.ended_well().await?;
    let took = since.elapsed();
    // The broker is told goodbye in the rest of it.
    ensure!(took < Duration::from_secs(6), "a stop with a deadline of 1 s takes {took:?}");
    ensure!(took > Duration::from_millis(900), "the handler gets only {took:?} of the second that it has");
    let left: &[&str] = if stage.can(Ability::Redelivery) { &["one"] } else { &[] };
    stage.expect_left(stage.run(), &address, left).await
}
