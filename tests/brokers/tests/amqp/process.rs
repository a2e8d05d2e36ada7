//! A process that dies, or is asked to end.

use std::process::Stdio;

use amgi_brokers_tests::{RabbitMq, within};
use lapin::{BasicProperties, types::FieldTable};
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
    fn start(broker: &RabbitMq, queue: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_amqp-app"))
            .args([broker.url().as_str(), queue])
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

    /// Messages may come before it says that it is ready.
    async fn expect(&mut self, text: &str) {
        let mut line = self.line().await;
        if line.as_deref() == Some("ready") && text != "ready" {
            line = self.line().await;
        }
        assert_eq!(line.as_deref(), Some(text));
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_the_middle_of_a_handler_loses_nothing() {
    let broker = RabbitMq::shared();
    let queue = RabbitMq::name("work");
    let mut first = Process::start(&broker, queue);
    first.expect("startup").await;
    first.expect("ready").await;
    broker.publish("", queue, "done", BasicProperties::default()).await;
    first.expect("begin done").await;
    first.expect("end done").await;
    // Its acknowledgement may wait for others a little.
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    broker.publish("", queue, "hang", BasicProperties::default()).await;
    broker.publish("", queue, "next", BasicProperties::default()).await;
    first.expect("begin hang").await;
    first.signal(Signal::KILL);
    within("its end", first.child.wait()).await.unwrap();
    broker.publish("", queue, "meanwhile", BasicProperties::default()).await;
    for payload in ["hang", "next", "meanwhile"] {
        let delivery = broker.take(queue).await;
        assert_eq!(delivery.data, payload.as_bytes());
        assert_eq!(delivery.redelivered, payload != "meanwhile");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_finishes_what_is_in_flight() {
    let broker = RabbitMq::shared();
    let queue = RabbitMq::name("work");
    broker.queue(queue, FieldTable::default()).await;
    let mut process = Process::start(&broker, queue);
    process.expect("startup").await;
    process.expect("ready").await;
    broker.publish("", queue, "slow", BasicProperties::default()).await;
    process.expect("begin slow").await;
    broker.publish("", queue, "later", BasicProperties::default()).await;
    process.signal(Signal::TERM);
    process.expect("end slow").await;
    process.expect("shutdown").await;
    assert!(within("its end", process.child.wait()).await.unwrap().success());
    assert_eq!(broker.take(queue).await.data, b"later", "the first was acknowledged, the second was kept");
    assert_eq!(broker.waiting(queue).await, 0);
}
