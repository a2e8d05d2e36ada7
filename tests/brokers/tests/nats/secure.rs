//! TLS, and who may come in.

use amgi::{Message, Settlement};
use amgi_brokers_tests::{App, Authority, NatsServer, failed, within};
use amgi_nats::Server;

use crate::{channel, heard, payload, server, start};

/// Sends on to `out` what comes to `in`.
fn echo() -> App {
    let (app, _) = App::new([channel("in")], |cx| async move {
        let payload = cx.message().payload.clone().unwrap_or_default();
        let sent = cx.send(Message::new("out").payload(payload)).await;
        sent.map_or_else(|error| failed(&error.to_string()), |()| Settlement::Ack)
    });
    app
}

/// What somebody who logs in as `options` sends to `in` comes back.
async fn works(server: Server<App>, url: &str, options: async_nats::ConnectOptions) {
    let running = start(server).await;
    let client = options.connect(url).await.expect("another client");
    let mut out = client.subscribe("out").await.expect("a subscription");
    client.publish("in", "there and back".into()).await.expect("a connection");
    assert_eq!(payload(&heard(&mut out).await), "there and back");
    running.stop().await;
}

async fn error_of(server: Server<App>) -> String {
    within("the server's end", server.serve()).await.unwrap_err().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_with_an_authority_and_certificates_of_clients() {
    let (authority, strangers) = (Authority::new(), Authority::new());
    let certified = authority.broker(&["localhost"]);
    let broker = NatsServer::with(&format!(
        "tls {{ cert_file: \"{}\", key_file: \"{}\", ca_file: \"{}\", verify: true }}\n",
        certified.certificate.display(),
        certified.key.display(),
        authority.file().display()
    ));
    let (client, stranger) = (authority.client(), strangers.client());
    let url = format!("tls://localhost:{}", broker.port());
    let at = |url: &str| server(&broker, echo()).url(url);
    let trusting = || at(&url).ca_file(authority.file());
    let secure = || trusting().client_certificate(&client.certificate, &client.key);

    // Each says what is wrong.
    for (wrong, expected) in [
        (trusting(), "a certificate of this client"),
        (
            trusting().client_certificate(&stranger.certificate, &stranger.key),
            "the certificate of this client",
        ),
        (secure().ca_file(strangers.file()), "the broker's certificate was not issued by those in ca-file"),
        (at(&url), "was not issued by those whom the system trusts; `ca-file` names others"),
        (secure().url(broker.url()), "the broker's certificate: "),
        (trusting().ca_file("missing.pem"), "ca-file `missing.pem`: "),
        (trusting().client_certificate(&client.certificate, &stranger.key), "does not go with key-file"),
    ] {
        let error = error_of(wrong).await;
        assert!(error.contains(expected), "{expected}: {error}");
    }

    // The broker asks for TLS where the URL does not.
    for url in [&url, &format!("nats://localhost:{}", broker.port())] {
        let options = async_nats::ConnectOptions::new()
            .add_root_certificates(authority.file())
            .add_client_certificate(client.certificate.clone(), client.key.clone());
        works(secure().url(url.as_str()), url, options).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_that_the_broker_does_not_speak_is_an_error() {
    let broker = NatsServer::start();
    let url = format!("tls://localhost:{}", broker.port());
    let error = error_of(server(&broker, echo()).url(url)).await;
    assert!(error.contains("cannot connect to tls://localhost") && error.contains("TLS"), "{error}");
}

/// The key pair of the documentation of NATS.
const PUBLIC: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
const SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn passwords_tokens_and_key_pairs() {
    type Login = fn(Server<App>) -> Server<App>;
    let cases: [(&str, Login, Login, async_nats::ConnectOptions); 3] = [
        (
            "user: ada, password: \"s3cret\"",
            |server| server.credentials("ada", "s3cret"),
            |server| server.credentials("ada", "wr0ng"),
            async_nats::ConnectOptions::with_user_and_password("ada".into(), "s3cret".into()),
        ),
        (
            "token: \"s3cret\"",
            |server| server.token("s3cret"),
            |server| server.token("wr0ng"),
            async_nats::ConnectOptions::with_token("s3cret".into()),
        ),
        (
            &format!("users: [{{ nkey: {PUBLIC} }}]"),
            |server| server.nkey(SEED),
            |server| server.token("wr0ng"),
            async_nats::ConnectOptions::with_nkey(SEED.into()),
        ),
    ];
    for (authorization, right, wrong, options) in cases {
        let broker = NatsServer::with(&format!("authorization {{ {authorization} }}\n"));
        let error = error_of(wrong(server(&broker, echo()))).await;
        assert!(error.contains("authorization violation") && !error.contains("wr0ng"), "{error}");
        works(right(server(&broker, echo())), &broker.url(), options).await;
    }
    let broker = NatsServer::start();
    let error = error_of(server(&broker, echo()).credentials_file("missing.creds")).await;
    assert!(error.contains("missing.creds"), "{error}");
}
