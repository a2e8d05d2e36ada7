//! Consuming a small JSON struct.

#![allow(missing_docs)] // what the macros write

use amgi_bench_harness::{MESSAGES, config};
use amgi_bench_messages::{Case, Setup};
use gungraun::prelude::*;

fn setup(count: usize) -> Setup {
    amgi_bench_messages::setup(Case::Consume, count)
}

#[library_benchmark(config = config())]
#[bench::first(setup(1))]
#[bench::base(setup(MESSAGES))]
#[bench::twice(setup(2 * MESSAGES))]
fn service(setup: Setup) {
    amgi_bench_messages::run(setup);
}

library_benchmark_group!(name = consume, benchmarks = [service]);
main!(library_benchmark_groups = consume);
