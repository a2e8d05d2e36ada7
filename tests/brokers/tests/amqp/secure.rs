//! TLS, and who may come in.

use std::time::Duration;

use amgi::{ChannelInfo, Message, Settlement};
use amgi_brokers_tests::{App, Authority, RabbitMq, failed, within};
use lapin::{BasicProperties, types::FieldTable};

use crate::{server, start};

/// Sends on to `out` what comes to `in`.
fn echo() -> App {
    let (app, _) = App::new([ChannelInfo::new("in", "in")], |cx| async move {
        let payload = cx.message().payload.clone().unwrap_or_default();
        let sent = cx.send(Message::new("out").payload(payload)).await;
        sent.map_or_else(|error| failed(&error.to_string()), |()| Settlement::Ack)
    });
    app
}

async fn error_of(server: amgi_amqp::Server<App>) -> String {
    let server = server.connect_timeout(Duration::from_secs(5));
    within("the server's end", server.serve()).await.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_with_an_authority_and_certificates_of_clients() {
    let (authority, strangers) = (Authority::new(), Authority::new());
    let mut broker = RabbitMq::with_tls(&authority.broker(&["localhost"]), &authority.file());
    broker.queue("out", FieldTable::default()).await;
    let url = format!("amqps://localhost:{}", broker.tls_port());
    let (client, stranger) = (authority.client(), strangers.client());
    let at = |url: &str| server(&broker, echo()).url(url);
    let trusting = || at(&url).ca_file(authority.file());
    let secure = || trusting().client_certificate(&client.certificate, &client.key);

    // Each says what is wrong, and never the password.
    for (wrong, expected) in [
        (trusting(), "a certificate of this client"),
        (
            trusting().client_certificate(&stranger.certificate, &stranger.key),
            "the certificate of this client",
        ),
        (
            at(&url).ca_file(strangers.file()).client_certificate(&client.certificate, &client.key),
            "the broker's certificate was not issued by those in ca-file",
        ),
        (
            at(&url).client_certificate(&client.certificate, &client.key),
            "was not issued by those whom the system trusts; `ca-file` names others",
        ),
        (secure().url(format!("amqps://127.0.0.1:{}", broker.tls_port())), "the broker's certificate: "),
        (secure().url(format!("amqps://localhost:{}", broker.port())), "the broker does not speak TLS there"),
        (secure().credentials("guest", "s3cret"), "ACCESS_REFUSED"),
        (at(&broker.url()).credentials("guest", "s3cret"), "ACCESS_REFUSED"),
        (at(&broker.url()).ca_file(authority.file()), "is without; use amqps://"),
        (trusting().ca_file("missing.pem"), "ca-file `missing.pem`: "),
        (trusting().client_certificate(&client.certificate, &stranger.key), "does not go with key-file"),
    ] {
        let error = error_of(wrong).await;
        assert!(error.contains(expected) && !error.contains("s3cret"), "{expected}: {error}");
    }

    let mut running = start(secure()).await;
    broker.publish("", "in", "one", BasicProperties::default()).await;
    assert_eq!(broker.take("out").await.data, b"one");
    broker.kill();
    broker.start_again();
    running.ready().await;
    let large = "x".repeat(1_000_000);
    broker.publish("", "in", &large, BasicProperties::default()).await;
    let mut came = broker.take("out").await.data;
    while came == b"one" {
        // What a broker had not written down when it was killed comes again.
        came = broker.take("out").await.data;
    }
    assert!(came == large.as_bytes(), "{} bytes came", came.len());
    running.stop().await;
}
