//! MQTT over TLS, over websockets, and over both.

use std::{fs, time::Duration};

use amgi::{Message, Settlement};
use amgi_brokers_tests::{App, Authority, Mosquitto, Peer, Running, WebSockets, channel, within};
use amgi_mqtt::{Server, Version};
use rumqttc::v5::mqttbytes::QoS;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::{both, server};

/// An application that sends what it gets on to `out`.
fn echo() -> (App, UnboundedReceiver<Message>) {
    App::new([channel("in", "{}")], |cx| async move {
        let payload = cx.message().payload.clone().unwrap_or_default();
        match cx.send(Message::new("out").payload(payload)).await {
            Ok(()) => Settlement::Ack,
            Err(error) => amgi_brokers_tests::failed(&error.to_string()),
        }
    })
}

/// What is sent to the application comes back, small and large, and many at once.
async fn goes_there_and_back(broker: &Mosquitto, name: &str) {
    let mut peer = Peer::watch(broker, "out").await;
    let large = format!("{name} {}", "x".repeat(1_000_000));
    let payloads = [format!("{name} first"), large, format!("{name} last")];
    let payloads: Vec<String> = payloads.into_iter().chain((0..50).map(|n| format!("{name} {n}"))).collect();
    for payload in &payloads {
        peer.client.publish("in", QoS::AtLeastOnce, false, payload.clone()).await.unwrap();
    }
    for payload in &payloads {
        let mut seen = within("what was sent on", peer.next()).await;
        // What a broker had not saved when it was killed may come twice.
        while !seen.payload.starts_with(name) {
            seen = within("what was sent on", peer.next()).await;
        }
        assert!(seen.payload == *payload, "{} bytes came back, not {}", seen.payload.len(), payload.len());
    }
}

/// Works, and works again after the broker was away.
async fn works_and_works_again(broker: &mut Mosquitto, server: Server<App>) {
    let mut running = Running::start(server).await;
    goes_there_and_back(broker, "first").await;
    broker.kill();
    broker.start_again();
    running.ready().await;
    goes_there_and_back(broker, "after a restart").await;
    running.stop().await;
}

/// Why the server does not start.
async fn error_of(server: Server<App>) -> String {
    within("the server's end", server.serve()).await.unwrap_err().to_string()
}

async fn tls_with_a_private_authority(version: Version) {
    let authority = Authority::new();
    let mut broker = Mosquitto::with_tls(&authority.broker(&["localhost", "127.0.0.1"]), None);
    for host in ["localhost", "127.0.0.1"] {
        let url = format!("mqtts://{host}:{}", broker.tls_port());
        let server = server(&broker, version, echo().0).url(url).ca_file(authority.file());
        works_and_works_again(&mut broker, server).await;
    }
}

async fn tls_with_certificates_of_clients(version: Version) {
    let authority = Authority::new();
    let mut broker = Mosquitto::with_tls(&authority.broker(&["127.0.0.1"]), Some(&authority.file()));
    let url = format!("mqtts://127.0.0.1:{}", broker.tls_port());
    let secure =
        |broker: &Mosquitto| server(broker, version, echo().0).url(url.as_str()).ca_file(authority.file());
    let client = authority.client();
    let with = secure(&broker).client_certificate(&client.certificate, &client.key);
    works_and_works_again(&mut broker, with).await;

    let error = error_of(secure(&broker)).await;
    assert!(error.contains(&url) && error.contains("a certificate of this client"), "{error}");
    let strangers = Authority::new();
    let stranger = strangers.client();
    let error = error_of(secure(&broker).client_certificate(&stranger.certificate, &stranger.key)).await;
    assert!(error.contains(&url) && error.contains("the certificate of this client"), "{error}");
    let error = error_of(secure(&broker).client_certificate(&client.certificate, &stranger.key)).await;
    assert!(error.contains("does not go with key-file"), "{error}");
}

both!(tls_with_a_private_authority, tls_with_certificates_of_clients, websockets, websockets_over_tls);

#[tokio::test]
async fn a_broker_that_is_not_to_be_trusted_is_a_clear_error() {
    let authority = Authority::new();
    let here = |broker: &Mosquitto| {
        server(broker, Version::V5, echo().0).url(format!("mqtts://127.0.0.1:{}", broker.tls_port()))
    };
    let broker = Mosquitto::with_tls(&authority.broker(&["127.0.0.1"]), None);
    let error = error_of(here(&broker)).await;
    assert!(error.contains("mqtts://127.0.0.1:") && error.contains("the system trusts"), "{error}");
    let other = Authority::new();
    let error = error_of(here(&broker).ca_file(other.file())).await;
    assert!(error.contains(&format!("ca-file `{}`", other.file().display())), "{error}");

    let broker = Mosquitto::with_tls(&authority.broker(&["broker.example"]), None);
    let error = error_of(here(&broker).ca_file(authority.file())).await;
    assert!(error.contains("127.0.0.1") && error.contains("broker.example"), "{error}");

    let broker = Mosquitto::with_tls(&authority.expired(&["127.0.0.1"]), None);
    let error = error_of(here(&broker).ca_file(authority.file())).await;
    assert!(error.contains("expired"), "{error}");

    let plain = format!("mqtts://127.0.0.1:{}", broker.port());
    let error = error_of(here(&broker).url(plain).connect_timeout(Duration::from_secs(2))).await;
    assert!(error.contains("is it another port that speaks TLS"), "{error}");
}

#[tokio::test]
async fn certificates_may_be_renewed_while_the_server_runs() {
    let (old, new) = (Authority::new(), Authority::new());
    let certified = old.broker(&["127.0.0.1"]);
    let client = old.client();
    let mut broker = Mosquitto::with_tls(&certified, Some(&old.file()));
    let server = server(&broker, Version::V5, echo().0)
        .url(format!("mqtts://127.0.0.1:{}", broker.tls_port()))
        .ca_file(old.file())
        .client_certificate(&client.certificate, &client.key);
    let mut running = Running::start(server).await;
    broker.stop();
    new.broker(&["127.0.0.1"]).replace(&certified);
    new.client().replace(&client);
    fs::copy(new.file(), old.file()).unwrap();
    broker.start_again();
    running.ready().await;
    goes_there_and_back(&broker, "renewed").await;
    running.stop().await;
}

async fn websockets(version: Version) {
    let mut broker = Mosquitto::start();
    let sockets = WebSockets::start(broker.port(), "/mqtt", None).await;
    let url = format!("ws://127.0.0.1:{}", sockets.port());
    let served = server(&broker, version, echo().0).url(url.as_str());
    works_and_works_again(&mut broker, served).await;
    assert!(sockets.pongs() > 0, "no ping was answered");

    let mut running = Running::start(server(&broker, version, echo().0).url(url.as_str())).await;
    sockets.cut();
    running.ready().await;
    goes_there_and_back(&broker, "after a cut").await;
    running.stop().await;

    let error = error_of(server(&broker, version, echo().0).url(format!("{url}/elsewhere"))).await;
    assert!(error.contains("/elsewhere: no websocket: ") && error.contains("404"), "{error}");
}

async fn websockets_over_tls(version: Version) {
    let authority = Authority::new();
    let mut broker = Mosquitto::start();
    let certified = authority.broker(&["127.0.0.1"]);
    let sockets = WebSockets::start(broker.port(), "/a/b?key=secret", Some(certified.acceptor())).await;
    let url = format!("wss://127.0.0.1:{}/a/b?key=secret", sockets.port());
    let secure = |broker: &Mosquitto| server(broker, version, echo().0).url(url.as_str());
    let served = secure(&broker).ca_file(authority.file());
    works_and_works_again(&mut broker, served).await;

    let mut running = Running::start(secure(&broker).ca_file(authority.file())).await;
    sockets.cut();
    running.ready().await;
    goes_there_and_back(&broker, "after a cut").await;
    running.stop().await;

    let others = Authority::new();
    let error = error_of(secure(&broker).ca_file(others.file())).await;
    assert!(error.contains("was not issued by those in ca-file") && !error.contains("secret"), "{error}");
}

#[tokio::test]
async fn a_handshake_that_hangs_is_an_error_in_time() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = Authority::new();
    let port = listener.local_addr().unwrap().port();
    for scheme in ["mqtts", "wss", "ws"] {
        let mut server = Server::new(echo().0)
            .url(format!("{scheme}://127.0.0.1:{port}"))
            .connect_timeout(Duration::from_millis(200));
        if scheme != "ws" {
            server = server.ca_file(authority.file());
        }
        let error = error_of(server).await;
        assert!(error.contains("no answer within 200ms"), "{scheme}: {error}");
    }
}
