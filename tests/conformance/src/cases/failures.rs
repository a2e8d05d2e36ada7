//! Handlers that fail, panic or hang, and messages that do not fit.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use amgi::{ChannelInfo, Context, Disposition, Message, Reason, Rejection, Settlement, error::Part};

use crate::{
    probe::Probe,
    stage::{Outcome, Stage, channel, ensure, failed, text},
    subject::{Ability, Run, Subject},
};

pub(crate) async fn a_failure_is_tried_again<S: Subject>(stage: &Stage<S>) -> Outcome {
    let address = stage.address("in");
    let probe = Probe::new([channel(&address)], |cx| async move {
        let fails = text(cx.message()) == "one" && cx.attempt() < 3;
        if fails { failed(Disposition::Retry) } else { Settlement::Ack }
    });
    let mut run = stage.run();
    run.policy.backoff.first = Duration::from_millis(50);
    let (running, mut seen) = stage.start(probe, run).await?;
    stage.publish_texts(&address, &["one", "behind"]).await?;
    let mut came = Vec::new();
    let mut times = Vec::new();
    for _ in 0..4 {
        let began = seen.began().await?;
        came.push(began.text());
        if began.text() == "one" {
            times.push(began.at);
            let number = times.len();
            ensure!(
                began.attempt as usize == number,
                "attempt {number} says that it is number {}",
                began.attempt
            );
        }
    }
    // A millisecond less than asked for is the clock's.
    for (pair, least) in times.windows(2).zip([49, 99]) {
        let pause = pair[1] - pair[0];
        ensure!(pause.as_millis() >= least, "a pause of {pause:?}, which should grow from 50 ms");
    }
    running.stop().await?;
    came.extend(seen.rest_began());
    // What is delivered again by the broker lets others pass.
    if !stage.keeps_order() || stage.can(Ability::Nack) {
        came.sort_by_key(|text| text != "one");
    }
    ensure!(came == ["one", "one", "one", "behind"], "attempts: {came:?}");
    stage.expect_left(stage.run(), &address, &[]).await
}

/// One message to an application that fails like this: the dead letter, and that the message is over.
async fn dead_lettered<S: Subject, F: Future<Output = Settlement> + Send + 'static>(
    stage: &Stage<S>,
    change: impl FnOnce(&mut ChannelInfo, &mut Run),
    attempts: usize,
    expected: [&str; 2],
    handler: impl Fn(Context) -> F + Send + Sync + 'static,
) -> Outcome {
    let [kind, reason] = expected;
    let address = stage.address("in");
    let (mut channel, mut run) = (channel(&address), stage.run());
    change(&mut channel, &mut run);
    let dead_letters = channel.dead_letter.map_or_else(|| format!("{address}.dlq"), str::to_owned);
    let mut watch = stage.watch(&dead_letters).await?;
    let (running, mut seen) = stage.start(Probe::new([channel], handler), run).await?;
    let mut message = Message::new(address.clone()).payload("poison");
    if stage.can(Ability::Headers) {
        message = message.header("kept", "yes");
    }
    stage.publish(&[message]).await?;
    let letter = stage.arrived(&mut watch, "the dead letter").await?;
    ensure!(text(&letter) == "poison", "the payload of the dead letter is {:?}", letter.payload);
    if stage.can(Ability::Headers) {
        let number = attempts.to_string();
        for (name, wanted) in [
            ("kept", "yes"),
            ("amgi-dead-letter-address", &*address),
            ("amgi-dead-letter-kind", kind),
            ("amgi-dead-letter-reason", reason),
            ("amgi-dead-letter-attempts", number.as_str()),
        ] {
            let value = letter.headers.get(name).map(String::from_utf8_lossy);
            ensure!(
                value.as_deref() == Some(wanted),
                "header {name} of the dead letter is {value:?}, not {wanted:?}"
            );
        }
    }
    running.stop().await?;
    let tried = seen.rest_began().len();
    ensure!(tried == attempts, "{tried} attempts, not {attempts}");
    ensure!(watch.try_next().is_none(), "it is dead-lettered twice");
    stage.expect_left(stage.run(), &address, &[]).await
}

pub(crate) async fn what_keeps_failing_is_dead_lettered<S: Subject>(stage: &Stage<S>) -> Outcome {
    dead_lettered(stage, |_, _| (), 3, ["failed", "no luck"], |_| async { failed(Disposition::Retry) }).await
}

pub(crate) async fn a_dead_letter_says_why<S: Subject>(stage: &Stage<S>) -> Outcome {
    let change = |_: &mut ChannelInfo, run: &mut Run| run.policy.attempts = 1;
    let expected = ["panicked", "handler panicked: a handler that panics, for the conformance suite"];
    dead_lettered(stage, change, 1, expected, |cx| async move {
        assert!(cx.attempt() > 1, "a handler that panics, for the conformance suite");
        Settlement::Ack
    })
    .await
}

pub(crate) async fn what_does_not_fit_is_dead_lettered_at_once<S: Subject>(stage: &Stage<S>) -> Outcome {
    // As generated code says it, to an address that the document names.
    let letters: &'static str = stage.address("rejected").to_string().leak();
    dead_lettered(
        stage,
        |channel, _| channel.dead_letter = Some(letters),
        1,
        ["rejected", "payload `/id`: expected at least 1 (minimum)"],
        |_| async {
            let rejection = Rejection::new(Part::Payload, "/id", "minimum", "at least 1");
            Settlement::Fail { disposition: Disposition::DeadLetter, reason: Reason::Rejected(rejection) }
        },
    )
    .await
}

pub(crate) async fn a_handler_that_hangs_is_timed_out<S: Subject>(stage: &Stage<S>) -> Outcome {
    let change = |_: &mut ChannelInfo, run: &mut Run| {
        run.policy.timeout = Some(Duration::from_millis(50));
        run.policy.attempts = 2;
    };
    let expected = ["timed-out", "handler took longer than 50ms"];
    dead_lettered(stage, change, 2, expected, |_| std::future::pending()).await
}

pub(crate) async fn a_panic_is_a_failure<S: Subject>(stage: &Stage<S>) -> Outcome {
    let address = stage.address("in");
    let probe = Probe::new([channel(&address)], |cx| async move {
        assert!(cx.attempt() > 1, "a handler that panics, for the conformance suite");
        Settlement::Ack
    });
    let (running, mut seen) = stage.start(probe, stage.run()).await?;
    stage.publish_texts(&address, &["one"]).await?;
    for number in 1..=2 {
        let began = seen.began().await?;
        ensure!(began.attempt == number, "attempt {number} says that it is number {}", began.attempt);
    }
    seen.ended().await?;
    running.stop().await?;
    stage.expect_left(stage.run(), &address, &[]).await
}

pub(crate) async fn what_is_discarded_is_over<S: Subject>(stage: &Stage<S>) -> Outcome {
    let address = stage.address("in");
    let mut watch = stage.watch(&format!("{address}.dlq")).await?;
    let probe = Probe::new([channel(&address)], |_| async { failed(Disposition::Discard) });
    let (running, mut seen) = stage.start(probe, stage.run()).await?;
    stage.publish_texts(&address, &["one"]).await?;
    seen.ended().await?;
    running.stop().await?;
    let more = seen.rest_began();
    ensure!(more.is_empty(), "{more:?} is tried again");
    ensure!(watch.try_next().is_none(), "it is dead-lettered");
    stage.expect_left(stage.run(), &address, &[]).await
}

pub(crate) async fn a_dead_letter_that_is_refused_loses_nothing<S: Subject>(stage: &Stage<S>) -> Outcome {
    let Some(refused) = stage.subject.refused() else {
        ensure!(!stage.can(Ability::RefusedSends), "the subject names no address that the broker refuses");
        return Ok(());
    };
    let address = stage.address("in");
    let tries = AtomicU32::new(0);
    let probe = Probe::new([channel(&address)], move |_| {
        tries.fetch_add(1, Ordering::SeqCst);
        async { failed(Disposition::DeadLetter) }
    });
    let mut run = stage.run();
    run.policy.dead_letter = Some(refused);
    let (running, mut seen) = stage.start(probe, run).await?;
    stage.publish_texts(&address, &["one"]).await?;
    seen.ended().await?;
    // Time for an acknowledgement that should not be.
    stage.quiet().await;
    running.stop().await?;
    let left: &[&str] = if stage.can(Ability::Redelivery) { &["one"] } else { &[] };
    stage.expect_left(stage.run(), &address, left).await
}
