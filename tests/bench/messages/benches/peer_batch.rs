//! The peer, consuming in batches of 64.

#![allow(missing_docs)] // what the macros write

mod peer;

use std::hint::black_box;

use gungraun::prelude::*;
use peer::{
    Order, Setup,
    harness::{Latch, MESSAGES, config},
};
use ruststream::memory::prelude::*;

#[subscriber("orders")]
async fn on_orders(orders: &[Order], cx: &mut Context<'_, (), Latch>) -> HandlerOutcome {
    for order in orders {
        black_box((order.id, order.quantity));
        cx.state().count_down();
    }
    HandlerOutcome::ack()
}

fn setup(count: usize) -> Setup {
    peer::setup(count, &[], |broker, latch| {
        let service = peer::service(latch).with_broker(broker, |scope| {
            scope.include(on_orders.batch(nonzero!(64)));
        });
        Box::pin(service.start())
    })
}

#[library_benchmark(config = config())]
#[bench::first(setup(1))]
#[bench::base(setup(MESSAGES))]
#[bench::twice(setup(2 * MESSAGES))]
fn service(setup: Setup) {
    peer::run(setup);
}

library_benchmark_group!(name = peer_batch, benchmarks = [service]);
main!(library_benchmark_groups = peer_batch);
