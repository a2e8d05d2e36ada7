//! The memory server on standard input, as a process of its own.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use amgi::{Application, ChannelInfo, Context, Settlement, memory};
use serde_json::Value;

/// Makes this test binary the server.
const SERVE: &str = "AMGI_TEST_SERVE";

const PATIENCE: Duration = Duration::from_secs(10);

struct Acks;

impl Application for Acks {
    fn channels(&self) -> &[ChannelInfo] {
        &[]
    }

    async fn message(&self, _: &Context) -> Settlement {
        Settlement::Ack
    }
}

/// What the tests below start; nothing by itself.
#[tokio::test]
async fn server() {
    if std::env::var_os(SERVE).is_some() {
        memory::Server::new(Acks).serve().await.unwrap();
    }
}

struct Server {
    process: Child,
    input: Option<ChildStdin>,
    events: mpsc::Receiver<Value>,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["server", "--exact", "--quiet", "--nocapture"])
            .env(SERVE, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = process.stdin.take();
        let output = BufReader::new(process.stdout.take().unwrap());
        let (sender, events) = mpsc::channel();
        // The test harness prints too, but no JSON objects.
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok).filter(|line| line.starts_with('{')) {
                let _ = sender.send(serde_json::from_str(&line).unwrap());
            }
        });
        Self { process, input, events }
    }

    fn write(&mut self, bytes: &[u8]) {
        self.input.as_mut().unwrap().write_all(bytes).unwrap();
    }

    fn event(&self) -> Value {
        self.events.recv_timeout(PATIENCE).unwrap()
    }

    fn assert_ends(mut self) {
        let started = Instant::now();
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return;
            }
            if started.elapsed() > PATIENCE {
                self.process.kill().unwrap();
                panic!("the server does not end");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

#[test]
fn a_line_that_cannot_be_read_is_reported_and_the_next_one_is_read() {
    let mut server = Server::start();
    server.write(b"{\"address\":\"a\xFFb\"}\n\n[\"a\"]\r\n{\"address\":\"a\"}\r\n{\"address\":\"b\"}");
    server.input = None;
    let error = server.event();
    assert_eq!(error["type"], "error");
    let text = error["message"].as_str().unwrap();
    assert!(text.starts_with("not UTF-8") && text.contains("a\u{FFFD}b"), "{text}");
    assert_eq!(server.event()["message"], "no message (not a JSON object): [\"a\"]");
    for address in ["a", "b"] {
        let event = server.event();
        assert_eq!((&event["type"], &event["address"]), (&"message.ack".into(), &address.into()));
    }
    server.assert_ends();
}

#[cfg(unix)]
#[test]
fn a_signal_ends_the_server_while_its_input_is_open() {
    for signal in ["-TERM", "-INT"] {
        let mut server = Server::start();
        server.write(b"{\"address\":\"a\"}\n");
        assert_eq!(server.event()["type"], "message.ack");
        let killed = Command::new("kill").args([signal, &server.process.id().to_string()]).status().unwrap();
        assert!(killed.success());
        server.assert_ends();
    }
}
