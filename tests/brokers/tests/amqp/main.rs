//! `amgi-amqp` against a real `RabbitMQ`: what the conformance suite does not know of.

mod broker;
mod document;
mod messages;
mod process;
mod requests;
mod secure;

use std::time::Duration;

use amgi::{
    BindingInfo, ChannelInfo, Message, OperationInfo,
    server::{Backoff, Exhausted, Policy},
};
use amgi_amqp::Server;
use amgi_brokers_tests::{App, RabbitMq, Running, init_logs};

/// A server with pauses that a test can wait for, in a group of its own.
fn server(broker: &RabbitMq, app: App) -> Server<App> {
    init_logs();
    Server::new(app).url(broker.url()).group(RabbitMq::name("group")).reconnect(quick()).policy(policy())
}

fn quick() -> Backoff {
    Backoff { first: Duration::from_millis(10), most: Duration::from_millis(100), ..Backoff::default() }
}

fn policy() -> Policy {
    let backoff =
        Backoff { first: Duration::from_millis(10), most: Duration::from_millis(50), ..Backoff::default() };
    Policy { attempts: 3, backoff, exhausted: Exhausted::DeadLetter, ..Policy::default() }
}

async fn start(server: Server<App>) -> Running {
    Running::serve(|stop, ready| server.stop(stop).on_ready(ready).serve()).await
}

/// A channel with these bindings of channel and operation, as JSON.
fn channel(address: &'static str, json: String, operation: &'static str) -> ChannelInfo {
    let binding = |json: String| -> &'static [BindingInfo] {
        Box::leak(Box::new([BindingInfo { protocol: "amqp", json: json.leak() }]))
    };
    let operation = OperationInfo { name: "receive", bindings: binding(operation.to_owned()), messages: &[] };
    ChannelInfo {
        bindings: binding(json),
        operations: Box::leak(Box::new([operation])),
        ..ChannelInfo::new(address, address)
    }
}

fn text(message: &Message) -> &str {
    message.payload.as_deref().map_or("", |payload| std::str::from_utf8(payload).unwrap())
}
