//! The applications as processes: keys, headers and parameters arrive, the lifespan runs, sends keep their bindings and go to the
//! broker that the router says.

use std::{fs, path::Path, process::Stdio, time::Duration};

use amgi_brokers_tests::{Mosquitto, Peer, RedisServer, within};
use redis::Commands as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::AsyncWriteExt as _,
    process::{Child, Command},
};

/// Runs a program with these lines on standard input until it ends; its standard output and error.
async fn run(mut command: Command, lines: &str) -> (String, String) {
    let command =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("the program is started");
    let mut stdin = child.stdin.take().expect("a pipe");
    stdin.write_all(lines.as_bytes()).await.expect("it reads");
    drop(stdin);
    let output = within("its end", child.wait_with_output()).await.expect("its output");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{}", text(&output.stderr));
    (text(&output.stdout), text(&output.stderr))
}

async fn stop(mut child: Child) {
    let pid = i32::try_from(child.id().expect("it runs")).ok().and_then(Pid::from_raw).expect("a pid");
    kill_process(pid, Signal::TERM).expect("it can be asked to end");
    let status = within("its end", child.wait()).await.expect("its status");
    assert!(status.success(), "{status}");
}

async fn subscribed(broker: &Mosquitto, filter: &str) {
    let there = async {
        while !broker.log().lines().any(|line| line.contains(filter)) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within("a subscription", there).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_are_kept_under_their_kafka_key() {
    let redis = RedisServer::start();
    let mut command = Command::new(env!("CARGO_BIN_EXE_orders"));
    command.env("REDIS_URL", redis.url());
    let order = r#"{"items":[{"sku_id":"pen","amount":2}],"status":"new"}"#;
    let lines = format!(
        "{{\"address\":\"order\",\"bindings\":{{\"kafka\":{{\"key\":\"o-1\"}}}},\"payload\":{order}}}\n\
         {{\"address\":\"order\",\"payload\":{order}}}\n"
    );
    let (out, _) = run(command, &lines).await;
    let out: Vec<&str> = out.lines().collect();
    assert_eq!(out[0], r#"{"type":"message.ack","address":"order"}"#);
    assert!(out[1].contains("an order without a key"), "{out:?}");
    let mut client =
        redis::Client::open(redis.url()).expect("a URL").get_connection().expect("redis answers");
    let kept: String = client.get("order:o-1").expect("it was kept");
    assert_eq!(kept, order);
    // Startup counted up, and shutdown down again.
    let running: Option<i64> = client.get("orders:running").expect("redis answers");
    assert_eq!(running, Some(0));

    // Without Redis nothing is received, and the program says why.
    let mut command = Command::new(env!("CARGO_BIN_EXE_orders"));
    command.env("REDIS_URL", "redis://127.0.0.1:1").kill_on_drop(true);
    let output = within("its end", command.stdin(Stdio::null()).output()).await.expect("it runs");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("startup failed"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_says_who_registers() {
    let command = Command::new(env!("CARGO_BIN_EXE_register"));
    let (out, log) = run(command, "{\"address\":\"register.42\"}\n").await;
    assert_eq!(out.trim(), r#"{"type":"message.ack","address":"register.42"}"#);
    assert!(log.contains("user_id=\"42\""), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_send_goes_to_its_own_broker() {
    let (orders, shipping) = (Mosquitto::start(), Mosquitto::start());
    let (mut at_orders, mut at_shipping) =
        (Peer::watch(&orders, "#").await, Peer::watch(&shipping, "#").await);
    let mut command = Command::new(env!("CARGO_BIN_EXE_router"));
    command.env("ORDERS_URL", orders.url()).env("SHIPPING_URL", shipping.url()).env_remove("AMGI_MQTT_URL");
    let child = command.kill_on_drop(true).spawn().expect("the program is started");
    subscribed(&orders, " orders").await;

    for status in ["processing", "cancelled"] {
        let payload = format!(r#"{{"items":[{{"sku_id":"pen","amount":2}}],"status":"{status}"}}"#);
        let property = ["-D", "publish", "user-property", "order-id", status];
        orders.mosquitto_pub(
            &[&["-V", "5", "-q", "1", "-t", "orders", "-m", &payload], &property[..]].concat(),
        );
    }
    let email = loop {
        let seen = at_orders.next().await;
        if seen.topic != "orders" {
            break seen;
        }
    };
    assert_eq!((email.topic.as_str(), email.qos), ("order-email-processing-order", 1));
    assert_eq!(email.header("order-id"), Some("processing"));
    assert!(email.payload.contains(r#""status":"processing""#), "{}", email.payload);
    let cancel = at_shipping.next().await;
    assert_eq!((cancel.topic.as_str(), cancel.qos, cancel.payload.as_str()), ("cancel-shipping", 2, ""));
    assert_eq!(cancel.header("order-id"), Some("cancelled"));
    // The mail was retained, as the document says: who comes later sees it, too.
    let later = Peer::watch(&orders, "order-email-processing-order").await.next().await;
    assert!(later.retain, "{later:?}");

    stop(child).await;
    assert!(at_orders.seen().iter().all(|seen| seen.topic == "orders"));
    assert!(at_shipping.seen().is_empty());
}

#[test]
fn each_has_less_than_sixty_lines_by_hand() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bin");
    let mut count = 0;
    for entry in fs::read_dir(folder).expect("the applications") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("a text");
        let lines =
            text.lines().filter(|line| !line.trim().is_empty() && !line.trim().starts_with("//")).count();
        assert!(lines < 60, "{} has {lines} lines", path.display());
        count += 1;
    }
    assert_eq!(count, 3);
}
