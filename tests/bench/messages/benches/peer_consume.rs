//! The peer, consuming a small JSON struct.

#![allow(missing_docs)] // what the macros write

use std::hint::black_box;

use amgi_bench_harness::{Latch, MESSAGES, config};
use amgi_bench_peer::{Order, Setup};
use gungraun::prelude::*;
use ruststream::memory::prelude::*;

#[subscriber("orders")]
async fn on_order(order: &Order, cx: &mut Context<'_, (), Latch>) -> HandlerOutcome {
    black_box((order.id, order.quantity));
    cx.state().count_down();
    HandlerOutcome::ack()
}

fn setup(count: usize) -> Setup {
    amgi_bench_peer::setup(count, &[], |broker, latch| {
        let service = amgi_bench_peer::service(latch).with_broker(broker, |scope| {
            scope.include(on_order);
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

library_benchmark_group!(name = peer_consume, benchmarks = [service]);
main!(library_benchmark_groups = peer_consume);
