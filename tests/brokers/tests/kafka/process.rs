//! A process that dies, or is asked to end.

use std::{process::Stdio, time::Duration};

use amgi_brokers_tests::{Kafka, within};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(kafka: &Kafka, topic: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_kafka-app"))
            .args([&kafka.url(), topic])
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

    async fn expect(&mut self, texts: &[&str]) {
        for text in texts {
            assert_eq!(self.line().await.as_deref(), Some(*text));
        }
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_the_middle_of_a_handler_loses_nothing() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("killed", 1).await;
    let mut first = Process::start(&kafka, topic);
    first.expect(&["startup", "ready"]).await;
    kafka.write_texts(topic, ["done", "hang", "next"]).await;
    first.expect(&["begin done", "end done", "begin hang"]).await;
    // As long as the commit may take.
    within("the commit", async {
        while kafka.committed(topic, topic, 0) != Some(1) {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    first.signal(Signal::KILL);
    within("its end", first.child.wait()).await.unwrap();
    kafka.write_texts(topic, ["meanwhile"]).await;

    // The group gives the partition away when the session of the first is over.
    let mut second = Process::start(&kafka, topic);
    second.expect(&["startup", "ready", "begin hang"]).await;
    assert_eq!(kafka.committed(topic, topic, 0), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_finishes_what_is_in_flight() {
    let kafka = Kafka::shared();
    let topic = kafka.topic("terminated", 1).await;
    let mut process = Process::start(&kafka, topic);
    process.expect(&["startup", "ready"]).await;
    kafka.write_texts(topic, ["slow", "later"]).await;
    process.expect(&["begin slow"]).await;
    process.signal(Signal::TERM);
    process.expect(&["end slow", "shutdown"]).await;
    assert!(within("its end", process.child.wait()).await.unwrap().success());
    assert_eq!(kafka.committed(topic, topic, 0), Some(1));

    let mut next = Process::start(&kafka, topic);
    next.expect(&["startup", "ready", "begin later", "end later"]).await;
}
