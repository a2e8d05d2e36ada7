//! A broker that is not there, goes away or returns, and several instances on one.

use std::{sync::Arc, time::Duration};

use amgi::{Error, Message, Settlement};
use tokio::sync::Semaphore;

use crate::{
    probe::Probe,
    stage::{Broken, Outcome, Stage, channel, ensure, text},
    subject::{Ability, Run, Subject},
};

pub(crate) async fn a_broker_missing_at_startup_is_an_error<S: Subject>(stage: &Stage<S>) -> Outcome {
    if !stage.can(Ability::BrokerLoss) {
        return Ok(());
    }
    let address = stage.address("in");
    stage.within("the broker's end", stage.subject.break_broker()).await?;
    let (probe, _seen) = Probe::content([channel(&address)]);
    let ended = stage.launch(probe, stage.run()).ended().await;
    stage.within("the broker's return", stage.subject.restore_broker()).await?;
    ensure!(
        matches!(ended?, Err(Error::Broker(_) | Error::Io(_))),
        "a broker that is missing is no error of the broker"
    );
    Ok(())
}

pub(crate) async fn a_broker_that_returns_is_used_again<S: Subject>(stage: &Stage<S>) -> Outcome {
    if !stage.can(Ability::BrokerLoss) {
        return Ok(());
    }
    let address = stage.address("in");
    let gate = Arc::new(Semaphore::new(0));
    let probe = Probe::new([channel(&address)], {
        let gate = gate.clone();
        move |cx| {
            let gate = gate.clone();
            async move {
                if text(cx.message()) == "slow" {
                    let _ = gate.acquire().await;
                }
                Settlement::Ack
            }
        }
    });
    let (mut running, mut seen) = stage.start(probe, stage.run()).await?;
    stage.publish_texts(&address, &["slow"]).await?;
    seen.began().await?;
    stage.within("the broker's end", stage.subject.break_broker()).await?;
    gate.add_permits(10);
    stage.within("the broker's return", stage.subject.restore_broker()).await?;
    running.ready_again().await?;
    stage.publish_texts(&address, &["after"]).await?;
    loop {
        // The slow one may come again: its acknowledgement had nowhere to go.
        if seen.ended().await? == "after" {
            break;
        }
    }
    running.stop().await?;
    stage.expect_left(stage.run(), &address, &[]).await
}

pub(crate) async fn instances_of_a_group_share_the_work<S: Subject>(stage: &Stage<S>) -> Outcome {
    const ROUND: usize = 60;
    /// A busy instance may have all of a round before the other looks.
    const ROUNDS: usize = 10;
    let shares = stage.can(Ability::SharedWork);
    let pattern = stage.address("work.{n}");
    let addresses: Vec<_> = (0..20).map(|n| stage.address(&format!("work.{n}"))).collect();
    let run = |name: &str| {
        let mut run = Run::new(format!("{}-{name}", stage.run().name));
        run.group = shares.then(|| stage.run().name);
        run.addresses.clone_from(&addresses);
        run
    };
    let probe = || {
        Probe::new([channel(&pattern)], |_| async {
            // Time for the other one to take some.
            tokio::time::sleep(Duration::from_millis(10)).await;
            Settlement::Ack
        })
    };
    let (first, mut by_first) = stage.start(probe(), run("one")).await?;
    let (second, mut by_second) = stage.start(probe(), run("two")).await?;
    let (mut one, mut two, mut messages) = (Vec::new(), Vec::new(), 0);
    for _ in 0..ROUNDS {
        // Spread over whatever divides the work.
        let message = |n: usize| {
            let number = n.to_string();
            stage.keyed(Message::new(addresses[n % 20].clone()).payload(number.clone()), &number)
        };
        stage.publish(&(messages..messages + ROUND).map(message).collect::<Vec<_>>()).await?;
        messages += ROUND;
        let total = if shares { messages } else { 2 * messages };
        while one.len() + two.len() < total {
            tokio::select! {
                began = by_first.began() => one.push(began?.text()),
                began = by_second.began() => two.push(began?.text()),
            }
        }
        if !(one.is_empty() || two.is_empty()) {
            break;
        }
    }
    stage.quiet().await;
    one.extend(by_first.rest_began());
    two.extend(by_second.rest_began());
    first.stop().await?;
    second.stop().await?;
    let all: Vec<String> = (0..messages).map(|n| n.to_string()).collect();
    let whole = |mut came: Vec<String>| {
        came.sort_by_key(|text| text.parse::<usize>().unwrap_or(messages));
        (came == all).then_some(()).ok_or_else(|| Broken::new(format!("not each came once: {came:?}")))
    };
    if !shares {
        whole(one)?;
        return whole(two);
    }
    ensure!(!one.is_empty() && !two.is_empty(), "one does {} and the other {}", one.len(), two.len());
    whole([one, two].concat())
}
