//! Two generated services in two processes, a broker between them, and one trace across both.

use std::{path::Path, process::Stdio};

use amgi_brokers_tests::{Collector, Mosquitto, Span, within};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Lines},
    net::TcpStream,
    process::{Child, ChildStdout, Command},
};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";

struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(role: &str, broker: &Mosquitto, collector: &Collector, log: &Path) -> Self {
        let log = std::fs::File::create(log).expect("a file for its log");
        let mut child = Command::new(env!("CARGO_BIN_EXE_traced"))
            .args([role, &broker.url()])
            .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())
            .env("OTEL_SERVICE_NAME", role)
            .env("OTEL_METRICS_EXPORTER", "otlp,prometheus")
            .env("AMGI_TELEMETRY_LISTEN", "127.0.0.1:0")
            .env("RUST_LOG", "info")
            .stdout(Stdio::piped())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .expect("it is started");
        let lines = BufReader::new(child.stdout.take().expect("its output")).lines();
        Self { child, lines }
    }

    async fn line(&mut self) -> String {
        within("a line", self.lines.next_line()).await.expect("it is text").expect("it has not ended")
    }

    async fn stop(mut self) {
        let pid = i32::try_from(self.child.id().expect("it runs")).expect("a pid");
        kill_process(Pid::from_raw(pid).expect("a pid"), Signal::TERM).expect("it is told");
        assert!(within("its end", self.child.wait()).await.expect("its state").success());
    }
}

/// The answer to a request, head and body.
async fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("it reads");
    let mut answer = String::new();
    within("an answer", stream.read_to_string(&mut answer)).await.expect("it is text");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_goes_across_two_services() {
    let broker = Mosquitto::start();
    let collector = Collector::start().await;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let log = dir.path().join("log");
    let mut devices = Process::start("devices", &broker, &collector, &dir.path().join("other"));
    assert_eq!(devices.line().await, "ready");
    let mut lamps = Process::start("lamps", &broker, &collector, &log);
    let address = lamps.line().await.strip_prefix("listens ").expect("an address").to_owned();
    assert_eq!(lamps.line().await, "ready");
    assert!(get(&address, "/health/ready").await.starts_with("HTTP/1.1 200"));

    let traceparent = format!("00-{TRACE}-{PARENT}-01");
    broker.mosquitto_pub(&[
        "-V",
        "5",
        "-q",
        "1",
        "-t",
        "lamps/south/8/light",
        "-m",
        r#"{"lumens":0}"#,
        "-D",
        "publish",
        "user-property",
        "traceparent",
        &traceparent,
    ]);
    assert_eq!(devices.line().await, "switched 8 On");
    // The other service may have the message before its sender knows that the broker has it.
    let sent = "messaging_client_sent_messages_total{";
    let counted = async {
        while !get(&address, "/metrics").await.contains(sent) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    within(sent, counted).await;

    // What was not exported yet is exported at the end.
    lamps.stop().await;
    devices.stop().await;
    let spans: Vec<Span> = collector.spans().into_iter().filter(|span| span.trace_id == TRACE).collect();
    let find = |service: &str, name: &str| {
        spans
            .iter()
            .find(|span| span.service == service && span.name == name)
            .unwrap_or_else(|| panic!("no `{name}` of {service} in {spans:#?}"))
    };
    let received = find("lamps", "process lamps/{district}/{lampId}/light");
    let sent = find("lamps", "send lamps/{district}/{lampId}/switch");
    let switched = find("devices", "process lamps/{district}/{lampId}/switch");
    assert_eq!(spans.len(), 3, "{spans:#?}");
    assert_eq!(received.parent, PARENT);
    assert_eq!(sent.parent, received.span_id);
    assert_eq!(switched.parent, sent.span_id);
    assert_eq!([received.kind, sent.kind, switched.kind], [5, 4, 5]);
    for span in &spans {
        assert_eq!(span.attribute("messaging.system"), Some("mqtt"));
    }
    assert_eq!(switched.attribute("messaging.destination.name"), Some("lamps/south/8/switch"));

    for (service, metric) in [
        ("lamps", "messaging.client.sent.messages"),
        ("lamps", "messaging.client.operation.duration"),
        ("devices", "messaging.client.consumed.messages"),
        ("devices", "messaging.process.duration"),
    ] {
        let metrics = collector.metrics(service);
        assert!(metrics.iter().any(|name| name == metric), "{service} has {metrics:?}");
    }

    let log = std::fs::read_to_string(log).expect("its log");
    let line = log.lines().find(|line| line.contains("measured")).unwrap_or_else(|| panic!("{log}"));
    for part in
        [r#"channel="lightMeasured" address="lamps/south/8/light""#, &format!("trace_id={TRACE}"), "lumens=0"]
    {
        assert!(line.contains(part), "{line}");
    }
    assert!(!line.contains("otel."), "{line}");
}
