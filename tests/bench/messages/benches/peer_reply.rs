//! The peer, answering.

#![allow(missing_docs)] // what the macros write

use std::hint::black_box;

use amgi_bench_harness::{Latch, MESSAGES, config};
use amgi_bench_peer::{Order, Setup};
use gungraun::prelude::*;
use ruststream::memory::prelude::*;
use serde::Serialize;

#[derive(Debug, Serialize, Outgoing)]
#[outgoing(name = "confirmations")]
struct Confirmation {
    id: u64,
}

#[subscriber("orders", reply)]
async fn confirm_order(order: &Order, cx: &mut Context<'_, (), Latch>) -> Confirmation {
    let (id, _) = black_box((order.id, order.quantity));
    cx.state().count_down();
    Confirmation { id }
}

fn setup(count: usize) -> Setup {
    amgi_bench_peer::setup(count, &[], |broker, latch| {
        let service = amgi_bench_peer::service(latch).with_broker(broker, |scope| {
            scope.include(confirm_order);
        });
        Box::pin(service.start())
    })
}

#[library_benchmark(config = config())]
#[bench::first(setup(1))]
#[bench::base(setup(MESSAGES))]
#[bench::twice(setup(2 * MESSAGES))]
fn service(setup: Setup) {
    amgi_bench_peer::run(setup);
}

library_benchmark_group!(name = peer_reply, benchmarks = [service]);
main!(library_benchmark_groups = peer_reply);
