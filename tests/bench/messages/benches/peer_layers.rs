//! The peer, consuming through four layers that only forward.

#![allow(missing_docs)] // what the macros write

use std::hint::black_box;

use amgi_bench_harness::{Latch, MESSAGES, config};
use amgi_bench_peer::{Order, Setup};
use gungraun::prelude::*;
use ruststream::{
    memory::prelude::*,
    runtime::{BlanketLayer, Handler, Layer},
};

/// A layer without a purpose.
#[derive(Clone)]
struct Forward;

struct Forwarding<H>(H);

impl<H> Layer<H> for Forward {
    type Handler = Forwarding<H>;

    fn layer(&self, inner: H) -> Forwarding<H> {
        Forwarding(inner)
    }
}

impl BlanketLayer for Forward {
    fn apply<M, C, S, H>(&self, inner: H) -> impl Handler<M, C, S> + 'static
    where
        M: Send + Sync + 'static,
        C: Send + 'static,
        S: Send + Sync + 'static,
        H: Handler<M, C, S> + 'static,
    {
        self.layer(inner)
    }
}

impl<M, C, S, H> Handler<M, C, S> for Forwarding<H>
where
    M: Send + Sync,
    C: Send,
    S: Send + Sync,
    H: Handler<M, C, S>,
{
    async fn handle(&self, message: &M, cx: &mut Context<'_, C, S>) -> HandlerOutcome {
        self.0.handle(message, cx).await
    }
}

#[subscriber("orders")]
async fn on_order(order: &Order, cx: &mut Context<'_, (), Latch>) -> HandlerOutcome {
    black_box((order.id, order.quantity));
    cx.state().count_down();
    HandlerOutcome::ack()
}

fn setup(count: usize) -> Setup {
    amgi_bench_peer::setup(count, &[], |broker, latch| {
        let service = amgi_bench_peer::service(latch)
            .layer(Forward)
            .layer(Forward)
            .layer(Forward)
            .layer(Forward)
            .with_broker(broker, |scope| {
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

library_benchmark_group!(name = peer_layers, benchmarks = [service]);
main!(library_benchmark_groups = peer_layers);
