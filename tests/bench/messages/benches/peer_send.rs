//! The peer, sending a message with typed headers.

#![allow(missing_docs)] // what the macros write

use std::hint::black_box;

use amgi_bench_harness::{Latch, MESSAGES, config};
use amgi_bench_peer::{Meta, Order, Setup};
use gungraun::prelude::*;
use ruststream::memory::prelude::*;
use serde::Serialize;

#[derive(Debug, Serialize, Outgoing)]
#[outgoing(name = "events", headers = Meta)]
struct Stamped {
    id: u64,
}

#[derive(OutSlot)]
#[publishes(Stamped)]
struct Events;

#[subscriber("orders")]
async fn on_order(
    order: &Order,
    cx: &mut Context<'_, (), Latch>,
    Out(events): Out<impl Publisher, Events>,
) -> HandlerOutcome {
    let (id, quantity) = black_box((order.id, order.quantity));
    cx.state().count_down();
    let meta = Meta { task_id: id, chunk_no: quantity };
    match events.message(&Stamped { id }).with_headers(&meta).publish().await {
        Ok(()) => HandlerOutcome::ack(),
        Err(_) => HandlerOutcome::retry(),
    }
}

fn setup(count: usize) -> Setup {
    amgi_bench_peer::setup(count, &[], |broker, latch| {
        let service = amgi_bench_peer::service(latch).with_broker(broker, |scope| {
            scope.include(on_order).out(Events, Publish).build();
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

library_benchmark_group!(name = peer_send, benchmarks = [service]);
main!(library_benchmark_groups = peer_send);
