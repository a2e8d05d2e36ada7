//! The peer, consuming with typed headers.

#![allow(missing_docs)] // what the macros write

use std::hint::black_box;

use amgi_bench_harness::{Latch, MESSAGES, META, config};
use amgi_bench_peer::{Meta, Order, Setup};
use gungraun::prelude::*;
use ruststream::memory::prelude::*;

#[subscriber("orders")]
async fn on_order(
    order: &Order,
    cx: &mut Context<'_, (), Latch>,
    Headers(meta): Headers<Meta>,
) -> HandlerOutcome {
    black_box((order.id, order.quantity));
    black_box((meta.task_id, meta.chunk_no));
    cx.state().count_down();
    HandlerOutcome::ack()
}

fn setup(count: usize) -> Setup {
    amgi_bench_peer::setup(count, META, |broker, latch| {
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

library_benchmark_group!(name = peer_consume_header, benchmarks = [service]);
main!(library_benchmark_groups = peer_consume_header);
