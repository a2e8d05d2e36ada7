//! A process that dies, or is asked to end.

use std::process::Stdio;

use amgi_brokers_tests::{Mosquitto, within};
use amgi_mqtt::Version;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use crate::both;

struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(broker: &Mosquitto, version: Version) -> Self {
        let version = if version == Version::V5 { "5" } else { "3.1.1" };
        let mut child = Command::new(env!("CARGO_BIN_EXE_mqtt-app"))
            .args([broker.url().as_str(), version])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    async fn line(&mut self) -> Option<String> {
        within("a line of the process", self.lines.next_line()).await.unwrap()
    }

    async fn expect(&mut self, text: &str) {
        assert_eq!(self.line().await.as_deref(), Some(text));
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }
}

async fn kill_9_in_the_middle_of_a_handler_loses_nothing(version: Version) {
    let broker = Mosquitto::start();
    let mut first = Process::start(&broker, version);
    first.expect("startup").await;
    first.expect("ready").await;
    broker.publish("work/1", "hang");
    first.expect("begin hang").await;
    broker.publish("work/1", "next");
    first.signal(Signal::KILL);
    within("its end", first.child.wait()).await.unwrap();
    broker.publish("work/1", "meanwhile");

    let mut second = Process::start(&broker, version);
    second.expect("startup").await;
    // The session's messages may come before the subscriptions are confirmed. `hang` blocks its topic, so take it down
    // again and look at what the broker has kept.
    loop {
        match second.line().await.as_deref() {
            Some("ready") => {}
            Some("begin hang") => break,
            other => panic!("{other:?}"),
        }
    }
    assert!(broker.log().contains("Sending PUBLISH to mqtt-app (d1"), "it is delivered again, and says so");
}

async fn sigterm_finishes_what_is_in_flight(version: Version) {
    let broker = Mosquitto::start();
    let mut process = Process::start(&broker, version);
    process.expect("startup").await;
    process.expect("ready").await;
    broker.publish("work/1", "slow");
    process.expect("begin slow").await;
    process.signal(Signal::TERM);
    process.expect("end slow").await;
    process.expect("shutdown").await;
    assert!(within("its end", process.child.wait()).await.unwrap().success());
    broker.publish("work/1", "later");

    let mut next = Process::start(&broker, version);
    next.expect("startup").await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.push(next.line().await.unwrap());
    }
    seen.retain(|line| line != "ready");
    assert_eq!(seen, ["begin later", "end later"], "the first was acknowledged, the second was kept");
}

both!(kill_9_in_the_middle_of_a_handler_loses_nothing, sigterm_finishes_what_is_in_flight);
