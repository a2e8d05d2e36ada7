//! A process that dies, or is asked to end.

use amgi_brokers_tests::{Mosquitto, Process};
use amgi_mqtt::Version;

use crate::both;

fn worker(broker: &Mosquitto, version: Version) -> Process {
    let server = if version == Version::V5 { "mqtt-5" } else { "mqtt-3.1.1" };
    Process::start(env!("CARGO_BIN_EXE_worker"), &[server, &broker.url(), "work.{id}"])
}

async fn kill_9_in_the_middle_of_a_handler_loses_nothing(version: Version) {
    let broker = Mosquitto::start();
    let mut first = worker(&broker, version);
    first.expect(&["startup", "ready"]).await;
    broker.publish("work/1", "hang");
    first.expect(&["begin hang"]).await;
    broker.publish("work/1", "next");
    first.kill().await;
    broker.publish("work/1", "meanwhile");

    let mut second = worker(&broker, version);
    second.expect(&["startup"]).await;
    // The session's messages may come before the subscriptions are confirmed. `hang` blocks its topic, so take it down
    // again and look at what the broker has kept.
    loop {
        match second.line().await.as_deref() {
            Some("ready") => {}
            Some("begin hang") => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(broker.log().contains("Sending PUBLISH to worker (d1"), "it is delivered again, and says so");
}

async fn sigterm_finishes_what_is_in_flight(version: Version) {
    let broker = Mosquitto::start();
    let mut process = worker(&broker, version);
    process.expect(&["startup", "ready"]).await;
    broker.publish("work/1", "slow");
    process.expect(&["begin slow"]).await;
    process.terminate();
    process.expect(&["end slow", "shutdown"]).await;
    assert!(process.ended().await.success());
    broker.publish("work/1", "later");

    let mut next = worker(&broker, version);
    next.expect(&["startup"]).await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.push(next.line().await.unwrap());
    }
    seen.retain(|line| line != "ready");
    assert_eq!(seen, ["begin later", "end later"], "the first was acknowledged, the second was kept");
}

both!(kill_9_in_the_middle_of_a_handler_loses_nothing, sigterm_finishes_what_is_in_flight);
