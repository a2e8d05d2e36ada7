//! The floor: a queue, `serde_json` and a static call, without a framework.

#![allow(missing_docs)] // what the macros write

use std::hint::black_box;

use amgi::Message;
use amgi_bench_harness::{Latch, MESSAGES, config, region, runtime};
use amgi_bench_messages::messages;
use gungraun::prelude::*;
use serde::Deserialize;
use tokio::{runtime::Runtime, sync::mpsc};

#[derive(Deserialize)]
struct Order {
    id: u64,
    quantity: u32,
}

struct Setup {
    runtime: Runtime,
    latch: Latch,
    sender: mpsc::UnboundedSender<Message>,
    receiver: mpsc::UnboundedReceiver<Message>,
    messages: Vec<Message>,
}

fn setup(count: usize) -> Setup {
    let (sender, receiver) = mpsc::unbounded_channel();
    let messages = messages(count, "orders", &[]);
    Setup { runtime: runtime(), latch: Latch::new(count), sender, receiver, messages }
}

fn handle(order: &Order, latch: &Latch) {
    black_box((order.id, order.quantity));
    latch.count_down();
}

#[library_benchmark(config = config())]
#[bench::first(setup(1))]
#[bench::base(setup(MESSAGES))]
#[bench::twice(setup(2 * MESSAGES))]
fn service(setup: Setup) {
    let Setup { runtime, latch, sender, mut receiver, messages } = setup;
    region(|| {
        let latch = latch.clone();
        runtime.spawn(async move {
            while let Some(message) = receiver.recv().await {
                if let Some(Ok(order)) = message.payload.as_deref().map(serde_json::from_slice) {
                    handle(&order, &latch);
                }
            }
        });
        runtime.block_on(tokio::task::yield_now());
    });
    for message in messages {
        assert!(sender.send(message).is_ok(), "the loop has ended before the first message");
    }
    region(|| runtime.block_on(latch.done()));
}

library_benchmark_group!(name = bare, benchmarks = [service]);
main!(library_benchmark_groups = bare);
