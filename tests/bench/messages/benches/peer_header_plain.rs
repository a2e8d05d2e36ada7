//! The peer, reading typed headers and sending a message without.

#![allow(missing_docs)] // what the macros write

use std::hint::black_box;

use amgi_bench_harness::{Latch, MESSAGES, META, config};
use amgi_bench_peer::{Meta, Order, Setup};
use gungraun::prelude::*;
use ruststream::memory::prelude::*;
use serde::Serialize;

#[derive(Debug, Serialize, Outgoing)]
#[outgoing(name = "notes")]
struct Noted {
    id: u64,
}

#[derive(OutSlot)]
#[publishes(Noted)]
struct Notes;

#[subscriber("orders")]
async fn on_order(
    order: &Order,
    cx: &mut Context<'_, (), Latch>,
    Headers(meta): Headers<Meta>,
    Out(notes): Out<impl Publisher, Notes>,
) -> HandlerOutcome {
    let (id, _) = black_box((order.id, order.quantity));
    black_box((meta.task_id, meta.chunk_no));
    cx.state().count_down();
    match notes.message(&Noted { id }).publish().await {
        Ok(()) => HandlerOutcome::ack(),
        Err(_) => HandlerOutcome::retry(),
    }
}

fn setup(count: usize) -> Setup {
    amgi_bench_peer::setup(count, META, |broker, latch| {
        let service = amgi_bench_peer::service(latch).with_broker(broker, |scope| {
            scope.include(on_order).out(Notes, Publish).build();
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

library_benchmark_group!(name = peer_header_plain, benchmarks = [service]);
main!(library_benchmark_groups = peer_header_plain);
