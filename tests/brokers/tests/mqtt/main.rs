//! `amgi-mqtt` against a real mosquitto, in both versions of MQTT: what is its own. What every server must do, the conformance
//! suite tests.

mod broker;
mod handling;
mod mapping;
mod process;
mod sending;
mod startup;
mod transport;

use amgi::{BindingValue, Message, server::Backoff};
use amgi_brokers_tests::{App, Mosquitto, init_logs};
use amgi_mqtt::{Server, Version};
use std::time::Duration;

/// Makes a test of each version out of one function.
macro_rules! both {
    ($($name:ident),* $(,)?) => {
        mod v5 {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(amgi_mqtt::Version::V5).await }
            )*
        }
        mod v311 {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() { super::$name(amgi_mqtt::Version::V311).await }
            )*
        }
    };
}
use both;

/// A server with pauses that a test can wait for.
fn server(broker: &Mosquitto, version: Version, app: App) -> Server<App> {
    init_logs();
    let quick =
        Backoff { first: Duration::from_millis(10), most: Duration::from_millis(100), ..Backoff::default() };
    Server::new(app).url(broker.url()).version(version).client_id("server").reconnect(quick).policy(policy())
}

fn policy() -> amgi::server::Policy {
    amgi::server::Policy {
        attempts: 3,
        backoff: Backoff {
            first: Duration::from_millis(10),
            most: Duration::from_millis(50),
            ..Backoff::default()
        },
        exhausted: amgi::server::Exhausted::DeadLetter,
        ..amgi::server::Policy::default()
    }
}

fn text(message: &Message) -> &str {
    message.payload.as_deref().map_or("", |payload| std::str::from_utf8(payload).unwrap())
}

fn binding<'m>(message: &'m Message, field: &str) -> Option<&'m BindingValue> {
    message.bindings.get("mqtt", field)
}
