//! TLS and SASL, and who may come in.

use std::time::{Duration, Instant};

use amgi::{Message, Settlement};
use amgi_brokers_tests::{App, Authority, Kafka, SecureKafka, failed, init_logs, within};
use amgi_kafka::Server;

use super::{channel, start, text};

/// Sends on to `out` what comes to `topic`.
fn echo(topic: &'static str, out: &'static str) -> App {
    let (app, _) = App::new([channel(topic)], move |cx| async move {
        let sent = cx.send(Message::new(out).payload(text(cx.message()).to_owned())).await;
        sent.map_or_else(|error| failed(&error.to_string()), |()| Settlement::Ack)
    });
    app
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_and_passwords() {
    init_logs();
    let (authority, strangers) = (Authority::new(), Authority::new());
    let broker = SecureKafka::start(&authority);
    let kafka = broker.open();
    let (topic, out) = (kafka.topic("in", 1).await, kafka.topic("out", 1).await);
    let (client, stranger) = (authority.client(), strangers.client());
    let (certified, login, plain) = (broker.certified(), broker.login(), broker.plain());
    let at = |url: String| {
        Server::new(echo(topic, out))
            .url(url)
            .group(Kafka::name("secure"))
            .connect_timeout(Duration::from_secs(8))
    };
    let trusting = |host: &str, port: u16| {
        at(format!("kafka-secure://{host}:{port}")).ca_file(authority.file().display().to_string())
    };
    let file = |path: &std::path::Path| path.display().to_string();
    let of_client =
        |server: Server<App>| server.client_certificate(file(&client.certificate), file(&client.key));
    let of_ada =
        |server: Server<App>, mechanism: &str| server.credentials("ada", "s3cret").mechanism(mechanism);

    // Each says what is wrong, soon, and never the password.
    let wrong = [
        (trusting("localhost", certified), "wants a certificate of this client"),
        (
            trusting("localhost", certified)
                .client_certificate(file(&stranger.certificate), file(&stranger.key)),
            "wants a certificate of this client that it trusts",
        ),
        (of_client(at(format!("kafka-secure://localhost:{certified}"))), "`ca-file`"),
        (of_client(trusting("localhost", certified)).ca_file(file(&strangers.file())), "`ca-file`"),
        (of_client(trusting("127.0.0.1", certified)), "certificate verify failed"),
        (trusting("localhost", login).credentials("ada", "wr0ng"), "uthentication failed"),
        (
            trusting("localhost", login).credentials("ada", "wr0ng").mechanism("SCRAM-SHA-256"),
            "uthentication failed",
        ),
        (trusting("localhost", login).credentials("ada", "wr0ng").mechanism("GSSAPI"), "GSSAPI"),
        (at(format!("kafka://ada:wr0ng@localhost:{plain}")), "uthentication failed"),
        (of_client(trusting("localhost", certified)).ca_file("missing.pem"), "missing.pem"),
    ];
    for (server, expected) in wrong {
        let since = Instant::now();
        let error = within("an error", server.serve()).await.unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("wr0ng"), "{expected}: {error}");
        assert!(since.elapsed() < Duration::from_secs(4), "{error}");
    }

    let mut sent = 0;
    for server in [
        of_client(trusting("localhost", certified)),
        of_ada(trusting("localhost", login), "PLAIN"),
        of_ada(trusting("localhost", login), "SCRAM-SHA-256"),
        of_ada(trusting("localhost", login), "SCRAM-SHA-512"),
        at(format!("kafka://ada:s3cret@localhost:{plain}")),
        of_ada(at(format!("kafka://localhost:{plain}")), "SCRAM-SHA-256"),
    ] {
        let running = start(server.start(amgi_kafka::Start::End)).await;
        let payload = sent.to_string();
        kafka.write_texts(topic, [&payload]).await;
        sent += 1;
        let out = kafka.read(out, sent).await;
        assert_eq!(rdkafka::Message::payload(&out[sent - 1]), Some(payload.as_bytes()));
        running.stop().await;
    }
}
