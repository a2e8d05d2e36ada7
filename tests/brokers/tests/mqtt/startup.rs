//! What is wrong from the start is said clearly.

use std::time::{Duration, Instant};

use amgi::{Error, Settlement};
use amgi_brokers_tests::{App, Mosquitto, Peer, Running, channel, init_logs, within};
use amgi_mqtt::{LastWill, Server, Version};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::both;

async fn error_of(server: Server<App>) -> String {
    init_logs();
    let error = within("the server's end", server.serve()).await.unwrap_err();
    assert!(matches!(error, Error::Broker(_) | Error::Config(_)), "{error:?}");
    error.to_string()
}

fn app() -> App {
    App::new([channel("a", "{}")], |_| async { Settlement::Ack }).0
}

async fn a_broker_that_is_not_there_is_a_clear_error(version: Version) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("mqtt://me:secret@127.0.0.1:{port}");
    let error = error_of(Server::new(app()).url(url).version(version)).await;
    assert!(error.contains(&format!("mqtt://me@127.0.0.1:{port}")), "{error}");
    assert!(error.contains("refused") && !error.contains("secret"), "{error}");
}

async fn a_broker_that_does_not_answer_is_a_clear_error(version: Version) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("mqtt://{}", listener.local_addr().unwrap());
    let since = Instant::now();
    let server = Server::new(app()).url(url).version(version).connect_timeout(Duration::from_millis(200));
    let error = error_of(server).await;
    assert!(error.contains("no answer within 200ms"), "{error}");
    assert!(since.elapsed() < Duration::from_secs(2));
}

async fn a_wrong_password_is_a_clear_error(version: Version) {
    let broker = Mosquitto::with_file("allow_anonymous false\npassword_file {file}\n", "passwords", "");
    let server = Server::new(app()).url(broker.url()).version(version).credentials("me", "secret");
    let error = error_of(server).await;
    assert!(error.contains("refused the connection: Not authorized"), "{error}");
    assert!(!error.contains("secret"), "{error}");
}

async fn a_refused_subscription_is_a_clear_error(version: Version) {
    // mosquitto has no way to refuse one by configuration, so this broker is played.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("mqtt://{}", listener.local_addr().unwrap());
    let broker = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 1024];
        let count = socket.read(&mut buffer).await.unwrap();
        assert!(count > 0 && buffer[0] == 0x10, "CONNECT");
        let accepted: &[u8] = if version == Version::V5 { &[0x20, 3, 0, 0, 0] } else { &[0x20, 2, 0, 0] };
        socket.write_all(accepted).await.unwrap();
        let count = socket.read(&mut buffer).await.unwrap();
        assert!(count > 0 && buffer[0] == 0x82, "SUBSCRIBE");
        let (high, low) = (buffer[2], buffer[3]);
        let refused: &[u8] =
            if version == Version::V5 { &[0x90, 4, high, low, 0, 0x87] } else { &[0x90, 3, high, low, 0x80] };
        socket.write_all(refused).await.unwrap();
        socket
    };
    let (_socket, error) =
        tokio::join!(broker, error_of(Server::new(app()).url(url.as_str()).version(version)));
    assert!(error.contains("refuses the subscription to `a`") && error.contains(&url), "{error}");
    assert!(version == Version::V311 || error.contains("Not authorized"), "{error}");
}

const DOCUMENT: &str = r#"{
    "clientId": "documented", "cleanSession": true, "keepAlive": 7,
    "lastWill": {"topic": "status", "qos": 1, "message": "gone", "retain": true}
}"#;

async fn the_server_of_the_document_configures_the_connection(version: Version) {
    init_logs();
    let broker = Mosquitto::start();
    let host = format!("127.0.0.1:{}", broker.port());
    let mut peer = Peer::watch(&broker, "status").await;
    let running = Running::start(Server::new(app().on_server(host.clone(), DOCUMENT)).version(version)).await;
    let protocol = if version == Version::V5 { 5 } else { 2 };
    let connected = |id: &str, rest: &str| format!("as {id} (p{protocol}, {rest})");
    assert!(broker.log().contains(&connected("documented", "c1, k7")), "{}", broker.log());
    // Lost without a goodbye.
    running.cut();
    let will = within("the last will", peer.next()).await;
    assert_eq!((&*will.topic, &*will.payload, will.qos), ("status", "gone", 1));

    // What the builder says counts more.
    let server = Server::new(app().on_server(host, DOCUMENT))
        .version(version)
        .client_id("built")
        .clean_session(false)
        .keep_alive(Duration::from_secs(9))
        .last_will(LastWill::new("status", "built is gone"));
    let running = Running::start(server).await;
    assert!(broker.log().contains(&connected("built", "c0, k9")), "{}", broker.log());
    running.cut();
    let will = within("the last will", peer.next()).await;
    assert_eq!((&*will.payload, will.qos, will.retain), ("built is gone", 0, false));
}

both!(
    the_server_of_the_document_configures_the_connection,
    a_broker_that_is_not_there_is_a_clear_error,
    a_broker_that_does_not_answer_is_a_clear_error,
    a_wrong_password_is_a_clear_error,
    a_refused_subscription_is_a_clear_error,
);

#[tokio::test]
async fn mistakes_in_the_configuration_are_clear_errors() {
    for (server, expected) in [
        (
            Server::new(app()).url("mqtts://localhost").ca_file("missing.pem"),
            "ca-file `missing.pem`: No such file",
        ),
        (
            Server::new(app()).url("ws://localhost").ca_file("missing.pem"),
            "`ws://localhost:80/mqtt` is without",
        ),
        (Server::new(app()).url("http://localhost"), "scheme"),
        (Server::new(app()).server("missing"), "no server `missing`"),
        (Server::new(app()).group("g").version(Version::V311), "3.1.1"),
        (Server::new(app()).address("a", "b/{c}"), "same parameters"),
        (Server::new(app()).qos(3), "qos 3"),
    ] {
        let error = error_of(server).await;
        assert!(error.contains(expected), "{error}");
    }
}

/// mosquitto 2.0.11 closes the connection without a word; other brokers say why, and then coming back would only fight.
#[tokio::test]
async fn two_instances_with_one_client_id_are_a_clear_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("mqtt://{}", listener.local_addr().unwrap());
    let broker = async {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut buffer = [0; 1024];
        assert!(socket.read(&mut buffer).await.unwrap() > 0);
        socket.write_all(&[0x20, 3, 0, 0, 0, 0xe0, 1, 0x8e]).await.unwrap();
        socket
    };
    let server = Server::new(app()).url(url.as_str()).client_id("me");
    let (_socket, error) = tokio::join!(broker, error_of(server));
    assert!(error.contains("as `me`") && error.contains("client id of its own"), "{error}");
}
