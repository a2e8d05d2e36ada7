//! The endpoint over HTTP.
#![cfg(feature = "prometheus")]

use std::{net::TcpListener, sync::Arc};

use amgi::{Application, ChannelInfo, Context, Message, Settlement, State, server::Stop, testing::TestApp};
use amgi_telemetry::{Error, Telemetry};

struct App;

impl Application for App {
    fn channels(&self) -> &[ChannelInfo] {
        &[]
    }

    async fn message(&self, cx: &Context) -> Settlement {
        match cx.send(Message::new("user.welcome")).await {
            Ok(()) => Settlement::Ack,
            Err(_) => Settlement::Unsettled,
        }
    }
}

/// Status and body.
async fn get(telemetry: &Telemetry, path: &'static str) -> (u16, String) {
    let address = telemetry.address().expect("it listens");
    let fetched = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
        let mut response = agent.get(format!("http://{address}{path}")).call().expect("an answer");
        (response.status().as_u16(), response.body_mut().read_to_string().expect("text"))
    });
    fetched.await.expect("the client does not panic")
}

fn telemetry() -> Telemetry {
    Telemetry::from_env()
        .prometheus()
        .listen("127.0.0.1:0")
        .span_exporter(amgi_telemetry::opentelemetry_sdk::trace::InMemorySpanExporter::default())
        .build()
        .expect("it listens")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_follows_startup_and_shutdown() {
    let telemetry = telemetry();
    assert_eq!(get(&telemetry, "/health/live").await, (200, "alive\n".to_owned()));
    assert_eq!(get(&telemetry, "/health/ready").await, (503, "not started\n".to_owned()));
    let app = TestApp::start(App.layer(telemetry.layer())).await.expect("it starts");
    assert_eq!(get(&telemetry, "/health/ready").await, (200, "ready\n".to_owned()));
    app.stop().await.expect("it stops");
    assert_eq!(get(&telemetry, "/health/ready").await, (503, "not started\n".to_owned()));
    assert_eq!(get(&telemetry, "/health").await.0, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_drains_is_not_ready() {
    let telemetry = telemetry();
    let app = App.layer(telemetry.layer());
    app.startup(&mut State::default()).await.expect("it starts");
    let stop = Stop::new();
    let cx = Context::new(Message::new("a"), State::default(), Arc::new(amgi::NoSender)).with_stop(&stop);
    let _ = app.message(&cx).await;
    assert_eq!(get(&telemetry, "/health/ready").await.0, 200);
    stop.request();
    assert_eq!(get(&telemetry, "/health/ready").await, (503, "stopping\n".to_owned()));
    app.shutdown().await.expect("it shuts down");
    assert_eq!(get(&telemetry, "/health/ready").await, (503, "not started\n".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn prometheus_reads_the_metrics() {
    let telemetry = telemetry();
    let app = TestApp::start(App.layer(telemetry.layer())).await.expect("it starts");
    app.deliver(Message::new("user.created")).await.assert_acked();
    let (status, text) = get(&telemetry, "/metrics").await;
    assert_eq!(status, 200);
    for line in [
        "# TYPE messaging_process_duration_seconds histogram",
        "# TYPE messaging_client_consumed_messages_total counter",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
    }
    for (begin, end) in [
        (
            "messaging_process_duration_seconds_bucket{messaging_destination_name=\"user.created\"",
            "le=\"0.005\"} 1",
        ),
        ("messaging_client_sent_messages_total{messaging_destination_name=\"user.welcome\"", " 1"),
        (
            "messaging_client_operation_duration_seconds_count{messaging_destination_name=\"user.welcome\"",
            " 1",
        ),
    ] {
        let found = text.lines().any(|line| line.starts_with(begin) && line.ends_with(end));
        assert!(found, "{begin}…{end} is not in\n{text}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_said() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    let exporter = amgi_telemetry::opentelemetry_sdk::trace::InMemorySpanExporter::default();
    let error = Telemetry::from_env().prometheus().span_exporter(exporter).listen(&address).build();
    let error = error.expect_err("somebody listens there");
    assert!(matches!(error, Error::Listen { .. }));
    let text = amgi::Error::from(error).to_string();
    assert!(
        text.starts_with(&format!(
            "configuration: telemetry: the health endpoint cannot listen on `{address}`: "
        )),
        "{text}"
    );
}

#[test]
fn without_a_runtime_there_is_no_endpoint() {
    let exporter = amgi_telemetry::opentelemetry_sdk::trace::InMemorySpanExporter::default();
    let error = Telemetry::from_env().prometheus().span_exporter(exporter).listen("127.0.0.1:0").build();
    assert!(matches!(error, Err(Error::NoRuntime)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lag_of_a_partition_is_a_metric() {
    let telemetry = telemetry();
    telemetry.lag("user.created", 3, 9);
    telemetry.lag("user.created", 3, 7);
    let (_, metrics) = get(&telemetry, "/metrics").await;
    let line = metrics.lines().find(|line| line.starts_with("kafka_consumer_group_lag{")).expect(&metrics);
    for part in [
        "messaging_destination_name=\"user.created\"",
        "messaging_destination_partition_id=\"3\"",
        "messaging_system=\"kafka\"",
    ] {
        assert!(line.contains(part), "{line}");
    }
    assert!(line.ends_with("} 7"), "{line}");
}
