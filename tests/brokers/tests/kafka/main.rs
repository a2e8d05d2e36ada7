//! `amgi-kafka` against a real Kafka.

mod group;
mod handling;
mod process;
mod secure;
mod sending;
mod startup;

use std::time::Duration;

use amgi::{
    BindingValue, ChannelInfo, Message,
    server::{Backoff, Exhausted, Policy},
};
use amgi_brokers_tests::{App, Kafka, Running, init_logs};
use amgi_kafka::Server;
use rdkafka::producer::FutureRecord;

/// A server with pauses that a test can wait for.
fn server(kafka: &Kafka, group: &str, app: App) -> Server<App> {
    init_logs();
    Server::new(app)
        .url(kafka.url())
        .group(group)
        .commit_interval(Duration::from_millis(50))
        .session_timeout(Duration::from_secs(6))
        .property("heartbeat.interval.ms", "300")
        .policy(policy())
}

fn policy() -> Policy {
    Policy {
        attempts: 3,
        backoff: Backoff {
            first: Duration::from_millis(10),
            most: Duration::from_millis(50),
            ..Backoff::default()
        },
        exhausted: Exhausted::DeadLetter,
        ..Policy::default()
    }
}

async fn start(server: Server<App>) -> Running {
    Running::serve(|stop, ready| server.stop(stop).on_ready(ready).serve()).await
}

fn channel(address: &'static str) -> ChannelInfo {
    ChannelInfo::new(address, address)
}

fn text(message: &Message) -> &str {
    message.payload.as_deref().map_or("", |payload| std::str::from_utf8(payload).unwrap())
}

fn binding<'m>(message: &'m Message, field: &str) -> Option<&'m BindingValue> {
    message.bindings.get("kafka", field)
}

fn record<'a>(topic: &'a str, payload: &'a str) -> FutureRecord<'a, [u8], [u8]> {
    FutureRecord::to(topic).payload(payload.as_bytes())
}
