//! The peer, ruststream 0.7.7: services on its in-memory broker, with the payload, the latch, the runtime and the regions
//! of our own benchmarks.

use std::{convert::Infallible, future::Future, pin::Pin};

use amgi_bench_harness::{Latch, PAYLOAD, region};
use ruststream::{
    OutgoingMessage,
    memory::{MemoryPublisher, prelude::*},
    runtime::{self, Identity, PublishIdentity, RustStreamError},
};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

/// Where every message comes from.
pub const ADDRESS: &str = "orders";

/// What is received.
#[derive(Debug, Serialize, Deserialize)]
pub struct Order {
    /// Number of the order.
    pub id: u64,
    /// How many were ordered.
    pub quantity: u32,
}

/// The headers, received and sent.
#[derive(Debug, Serialize, Deserialize)]
pub struct Meta {
    /// Number of the task.
    pub task_id: u64,
    /// Number of the part.
    pub chunk_no: u32,
}

/// A service that was not started yet.
pub type Start = Pin<Box<dyn Future<Output = Result<RunningApp, RustStreamError>> + Send>>;

/// A service on its broker, and how many messages it will get.
pub struct Setup {
    runtime: Runtime,
    latch: Latch,
    publisher: MemoryPublisher,
    start: Start,
    count: usize,
    headers: &'static [(&'static str, &'static str)],
}

/// Prepares a run of `count` messages; `service` makes the service of a broker and the latch, which is its state.
pub fn setup(
    count: usize,
    headers: &'static [(&'static str, &'static str)],
    service: impl FnOnce(MemoryBroker, Latch) -> Start,
) -> Setup {
    let (latch, broker) = (Latch::new(count), MemoryBroker::new());
    let publisher = broker.publisher();
    let start = service(broker, latch.clone());
    Setup { runtime: amgi_bench_harness::runtime(), latch, publisher, start, count, headers }
}

/// A service without handlers, whose state is the latch.
pub fn service(latch: Latch) -> RustStream<Identity, Latch, PublishIdentity, runtime::Setup> {
    RustStream::new(AppInfo::new("bench", "1.0.0")).on_startup(async move |()| Ok::<_, Infallible>(latch))
}

/// Starts the service (counted), fills its queue (not counted) and lets it handle everything (counted).
///
/// # Panics
/// When the service does not start, or handles messages before counting began.
pub fn run(setup: Setup) {
    let Setup { runtime, latch, publisher, start, count, headers } = setup;
    let service = region(|| runtime.block_on(start)).expect("the service starts");
    runtime.block_on(async {
        for _ in 0..count {
            let mut message = OutgoingMessage::new(ADDRESS, PAYLOAD.as_bytes());
            if !headers.is_empty() {
                let headers =
                    headers.iter().map(|(name, value)| (Str::from_static(name), (*value).to_owned()));
                message = message.with_headers(headers.collect());
            }
            publisher.publish(message, None).await.expect("the broker takes it");
        }
    });
    assert_eq!(latch.left(), count, "messages were handled before counting began");
    region(|| runtime.block_on(latch.done()));
    drop(service);
}
