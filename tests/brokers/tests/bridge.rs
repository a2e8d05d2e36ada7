//! One generated application on two real mosquittos, by its command line.

use std::{
    path::Path,
    process::{Output, Stdio},
};

use amgi_brokers_tests::{Mosquitto, Peer, within};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

fn command(args: &[&str]) -> Command {
    let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_bridge")));
    command.args(args).kill_on_drop(true).env_remove("AMGI_MQTT_URL").env_remove("ORDERS_ADDRESS");
    command
}

/// Runs it with this standard input until it ends.
async fn run(args: &[&str], input: &str) -> Output {
    let mut child = command(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the bridge is started");
    let mut stdin = child.stdin.take().expect("a pipe");
    // It may end without reading.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    within("the end of the bridge", child.wait_with_output()).await.expect("its output")
}

fn error(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().filter(|line| !line.contains(" INFO ")).collect::<Vec<_>>().join("\n")
}

struct Bridge(Child, Lines<BufReader<ChildStdout>>);

impl Bridge {
    async fn start(args: &[&str]) -> Self {
        let mut child = command(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("the bridge is started");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut bridge = Self(child, lines);
        bridge.says("startup").await;
        bridge
    }

    async fn says(&mut self, expected: &str) {
        let line = within(expected, self.1.next_line()).await.expect("its output");
        assert_eq!(line.as_deref(), Some(expected));
    }

    async fn stop(mut self) {
        let pid = i32::try_from(self.0.id().expect("it runs")).ok().and_then(Pid::from_raw).expect("a pid");
        kill_process(pid, Signal::TERM).expect("it can be asked to end");
        let status = within("its end", self.0.wait()).await.expect("its status");
        assert!(status.success(), "{status}");
        assert_eq!(self.1.next_line().await.expect("its output"), None, "it says nothing more");
    }
}

/// Waits until a broker has a client that has subscribed to so many filters.
async fn subscribed(broker: &Mosquitto, filter: &str) {
    let there = async {
        while !broker.log().lines().any(|line| line.contains("bridge-1") && line.contains(filter)) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    within("a subscription", there).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_application_on_two_brokers() {
    let (plant, office) = (Mosquitto::start(), Mosquitto::start());
    let mut at_office = Peer::watch(&office, "alarms/#").await;
    let mut at_plant = Peer::watch(&plant, "alarms/#").await;
    let (one, two) = (format!("plant={}?qos=0", plant.url()), format!("office={}", office.url()));
    let args = ["run", &one, &two, "--client-id", "bridge-1", "--address", "orders=office.orders"];
    let mut bridge = Bridge::start(&args).await;
    subscribed(&plant, "plant/+/measured").await;
    subscribed(&office, "office/orders").await;
    assert!(
        !office.log().contains("plant/+/measured"),
        "that channel is not on this server:\n{}",
        office.log()
    );
    assert!(!plant.log().contains("office/orders"), "that channel is not on this server:\n{}", plant.log());

    // From one broker to the other: the document says where alarms go.
    plant.publish("plant/north/measured", r#"{"celsius":120.5}"#);
    bridge.says("measured north 120.5").await;
    let alarm = at_office.next().await;
    assert_eq!(
        (alarm.topic.as_str(), alarm.payload.as_str()),
        ("alarms/north", r#"{"text":"120.5 degrees"}"#)
    );
    office.publish("office/orders", r#"{"limit":10}"#);
    bridge.says("limit 10").await;
    plant.publish("plant/south/measured", r#"{"celsius":11}"#);
    bridge.says("measured south 11").await;
    assert_eq!(at_office.next().await.topic, "alarms/south");

    // By hand, beside the service that runs.
    let server = format!("office={}", office.url());
    let sent = run(
        &["send", "alarm", "--param", "line=west", "--server", &server, "--header", "by=hand"],
        r#"{"text":"Lunch."}"#,
    )
    .await;
    assert!(sent.status.success(), "{}", error(&sent));
    let alarm = at_office.next().await;
    assert_eq!(
        (alarm.topic.as_str(), alarm.payload.as_str(), alarm.qos),
        ("alarms/west", r#"{"text":"Lunch."}"#, 1)
    );
    assert_eq!(alarm.header("by"), Some("hand"));

    assert_eq!(at_plant.seen(), [], "nothing of this went to the wrong broker");
    bridge.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_missing_ends_all() {
    let plant = Mosquitto::start();
    let mut gone = Mosquitto::start();
    let (one, two) = (format!("plant={}", plant.url()), format!("office={}", gone.url()));
    gone.kill();
    let args = ["run", &one, &two, "--client-id", "bridge-1", "--address", "orders=o"];
    let output = run(&args, "").await;
    assert_eq!(output.status.code(), Some(1));
    let expected = format!("error: cannot connect to {}", gone.url());
    assert!(error(&output).contains(&expected), "{}", error(&output));

    // The same for a send by hand, which says why and not only that it ended.
    let args = ["send", "alarm", "--param", "line=west", "--server", &two];
    let output = run(&args, r#"{"text":"Lunch."}"#).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(error(&output).contains(&expected), "{}", error(&output));
}

#[tokio::test]
async fn wrong_command_lines_say_what_there_is() {
    for (args, code, expected) in [
        (
            &["run"][..],
            1,
            "the document has several servers, say which: `plant` (mqtt), `office` (mqtt), a URL, or `memory`",
        ),
        (&["run", "plnt"], 1, "the document has no server `plnt`; did you mean `plant`?"),
        (
            &["run", "plant"],
            1,
            "the document does not say the address of channel `orders`: set ORDERS_ADDRESS, or write",
        ),
        (
            &["run", "plant", "--address", "order=x"],
            1,
            "no channel `order` needs one; did you mean `orders`?",
        ),
        (&["run", "amqp://x"], 1, "no server here knows URLs with `amqp://`; there is `mqtt`"),
        (&["run", "plant?qso=1"], 1, "`plant?qso=1`: no option is called `qso`; did you mean `qos`?"),
        (&["run", "plant?qos=9", "--address", "orders=o"], 1, "qos 9 does not exist"),
        (&["run", "plant", "--qos", "x", "--address", "orders=o"], 1, "error: --qos: `x` cannot be read"),
        (
            &["run", "plant", "office", "--url", "mqtt://x"],
            1,
            "--url: `mqtt://x` cannot be meant for several servers",
        ),
        (&["run", "plant", "--qso", "1"], 2, "unexpected argument '--qso'"),
        (&["send", "alrm"], 2, "a similar value exists: 'alarm'"),
        (&["send", "alarm"], 1, "`alarms.{line}` needs --param line=…"),
        (&["send", "alarm", "--param", "lane=a"], 1, "has no parameter `lane`; did you mean `line`?"),
        (
            &["send", "alarm", "--param", "line=a", "--message", "raise"],
            1,
            "there is no message `raise` here; did you mean `raised`?",
        ),
        (
            &["send", "alarm", "--param", "line=a", "--binding", "qos=1"],
            1,
            "is not of the form PROTOCOL.FIELD=VALUE",
        ),
    ] {
        let output = run(args, "{}").await;
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", error(&output));
        assert!(error(&output).contains(expected), "{args:?}: {}", error(&output));
    }
}
