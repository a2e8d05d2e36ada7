//! How much is handled at a time, and in which order.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use amgi::{ByteString, Bytes, ChannelInfo, Disposition, Message, Settlement};
use tokio::sync::Semaphore;

use crate::{
    probe::{Event, Probe},
    stage::{Broken, Outcome, Stage, channel, ensure, text},
    subject::{Ability, Order, Run, Subject},
};

/// Channel, run and messages of several lanes: what is in one lane is in order.
struct Lanes<'a, S> {
    stage: &'a Stage<S>,
    channel: ChannelInfo,
    addresses: Vec<ByteString>,
}

impl<'a, S: Subject> Lanes<'a, S> {
    fn new(stage: &'a Stage<S>, lanes: usize) -> Self {
        if stage.can(Ability::Order) && stage.subject.order() != Order::Address {
            let address = stage.address("lanes");
            return Self { stage, channel: channel(&address), addresses: vec![address; lanes] };
        }
        let addresses = (0..lanes).map(|lane| stage.address(&format!("lane.{lane}"))).collect();
        Self { stage, channel: channel(&stage.address("lane.{lane}")), addresses }
    }

    fn run(&self, concurrency: usize) -> Run {
        let mut run = self.stage.run();
        run.addresses.clone_from(&self.addresses);
        run.addresses.dedup();
        run.concurrency = concurrency;
        run
    }

    /// `LANE/NUMBER` in that lane.
    fn message(&self, lane: usize, number: usize) -> Message {
        let message = Message::new(self.addresses[lane].clone()).payload(format!("{lane}/{number}"));
        self.stage.keyed(message, &format!("lane-{lane}"))
    }
}

/// Lane and number of a payload.
fn place(text: &str) -> Outcome<(usize, usize)> {
    let parse = || {
        let (lane, number) = text.split_once('/')?;
        Some((lane.parse().ok()?, number.parse().ok()?))
    };
    parse().ok_or_else(|| Broken::new(format!("{text:?} was never published")))
}

pub(crate) async fn order_is_kept<S: Subject>(stage: &Stage<S>) -> Outcome {
    const LANES: usize = 5;
    const MESSAGES: usize = 30;
    let lanes = Lanes::new(stage, LANES);
    let probe = Probe::new([lanes.channel.clone()], |cx| async move {
        // Longer for the earlier ones, so that later ones overtake them if they can.
        let (lane, number) = place(&text(cx.message())).unwrap_or_default();
        tokio::time::sleep(Duration::from_millis(4 - (number as u64 + lane as u64) % 4)).await;
        Settlement::Ack
    });
    let (running, mut seen) = stage.start(probe, lanes.run(4)).await?;
    let number = |number| (0..LANES).map(move |lane| (lane, number));
    let messages: Vec<_> =
        (0..MESSAGES).flat_map(number).map(|(lane, number)| lanes.message(lane, number)).collect();
    stage.publish(&messages).await?;
    let mut came: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut busy = BTreeMap::new();
    let mut ended = 0;
    while ended < LANES * MESSAGES {
        match seen.event().await? {
            Event::Began(began) => {
                let (lane, number) = place(&began.text())?;
                if stage.can(Ability::Order)
                    && let Some(other) = busy.insert(lane, number)
                {
                    return Err(Broken::new(format!(
                        "lane {lane}: {number} begins while {other} is handled"
                    )));
                }
                came.entry(lane).or_default().push(number);
            }
            Event::Ended(text) => {
                busy.remove(&place(&text)?.0);
                ended += 1;
            }
            Event::Startup | Event::Shutdown => {}
        }
    }
    running.stop().await?;
    for (lane, mut numbers) in came {
        if !stage.can(Ability::Order) {
            numbers.sort_unstable();
        }
        let all: Vec<usize> = (0..MESSAGES).collect();
        ensure!(numbers == all, "lane {lane} came as {numbers:?}");
    }
    Ok(())
}

pub(crate) async fn so_many_are_handled_at_a_time<S: Subject>(stage: &Stage<S>) -> Outcome {
    const LANES: usize = 40;
    const AT_A_TIME: usize = 3;
    let lanes = Lanes::new(stage, LANES);
    let gate = Arc::new(Semaphore::new(0));
    let probe = Probe::new([lanes.channel.clone()], {
        let gate = gate.clone();
        move |_| {
            let gate = gate.clone();
            async move {
                let _ = gate.acquire().await;
                Settlement::Ack
            }
        }
    });
    let wanted = if stage.can(Ability::Concurrency) { AT_A_TIME } else { 1 };
    let (running, mut seen) = stage.start(probe, lanes.run(AT_A_TIME)).await?;
    let messages: Vec<_> = (0..LANES).map(|lane| lanes.message(lane, 0)).collect();
    stage.publish(&messages).await?;
    let work = seen.work.clone();
    let together = async {
        while work.now() < wanted {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    stage.within(&format!("{wanted} messages at a time"), together).await?;
    stage.quiet().await;
    gate.add_permits(LANES);
    for _ in 0..LANES {
        seen.ended().await?;
    }
    running.stop().await?;
    ensure!(work.most() == wanted, "{} messages at a time, and {wanted} are asked for", work.most());
    Ok(())
}

pub(crate) async fn a_retry_does_not_block_others<S: Subject>(stage: &Stage<S>) -> Outcome {
    const LANES: usize = 40;
    const ATTEMPTS: u32 = 20;
    let lanes = Lanes::new(stage, LANES);
    let passed = Arc::new(AtomicUsize::new(0));
    let probe = Probe::new([lanes.channel.clone()], {
        let (passed, waits) = (passed.clone(), stage.can(Ability::Concurrency));
        move |cx| {
            let first = text(cx.message()).starts_with("0/");
            if !first {
                passed.fetch_add(1, Ordering::SeqCst);
            }
            let again = first && if waits { passed.load(Ordering::SeqCst) == 0 } else { cx.attempt() < 3 };
            async move {
                if !again {
                    return Settlement::Ack;
                }
                crate::stage::failed(Disposition::RetryAfter(Duration::from_millis(20)))
            }
        }
    });
    let mut run = lanes.run(4);
    run.policy.attempts = ATTEMPTS;
    let (running, mut seen) = stage.start(probe, run).await?;
    stage.publish(&[lanes.message(0, 0)]).await?;
    seen.began().await?;
    let messages: Vec<_> = (1..LANES).map(|lane| lanes.message(lane, 0)).collect();
    stage.publish(&messages).await?;
    let mut acked = 0;
    let mut tries = 0;
    while acked < LANES - 1 {
        if seen.ended().await?.starts_with("0/") {
            tries += 1;
            ensure!(tries < ATTEMPTS, "nothing is handled while a message waits to be tried again");
        } else {
            acked += 1;
        }
    }
    running.stop().await
}

/// Memory of this process that is in use, in KiB.
fn resident() -> Option<usize> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().trim_end_matches(" kB").parse().ok()
}

pub(crate) async fn what_is_too_much_waits_at_the_broker<S: Subject>(stage: &Stage<S>) -> Outcome {
    const MESSAGES: usize = 100_000;
    const CHUNK: usize = 1_000;
    /// Half of what all of them would take.
    const MOST_KIB: usize = 50 * 1024;
    if !stage.can(Ability::BackPressure) {
        return Ok(());
    }
    let address = stage.address("in");
    let (running, _seen) = stage.start(Probe::content([channel(&address)]), stage.run()).await?;
    running.stop().await?;
    let payload = Bytes::from(vec![b'x'; 1024]);
    let chunk = vec![Message::new(address.clone()).payload(payload); CHUNK];
    for _ in 0..MESSAGES / CHUNK {
        stage.publish(&chunk).await?;
    }
    let before = resident();
    let probe = Probe::new([channel(&address)], |_| std::future::pending());
    // A server that reads no more may not hear that it is ready.
    let (probe, mut seen) = probe;
    let running = stage.launch(probe, stage.run());
    stage.within("the first of many messages", seen.began()).await??;
    // Time to take more than is good.
    tokio::time::sleep(stage.subject.quiet().max(Duration::from_secs(2))).await;
    let grown = resident().zip(before).map(|(after, before)| after.saturating_sub(before));
    running.cut().await;
    ensure!(
        grown.is_none_or(|grown| grown < MOST_KIB),
        "the process grows by {grown:?} KiB while {MESSAGES} messages of 1 KiB wait"
    );
    Ok(())
}
