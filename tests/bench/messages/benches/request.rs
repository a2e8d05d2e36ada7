//! A request and its answer: client and service in one process.

#![allow(missing_docs)] // what the macros write

use amgi_bench_harness::{MESSAGES, config};
use amgi_bench_messages::RequestSetup;
use gungraun::prelude::*;

fn setup(count: usize) -> RequestSetup {
    amgi_bench_messages::setup_request(count)
}

#[library_benchmark(config = config())]
#[bench::first(setup(1))]
#[bench::base(setup(MESSAGES))]
#[bench::twice(setup(2 * MESSAGES))]
fn service(setup: RequestSetup) {
    amgi_bench_messages::run_requests(setup);
}

library_benchmark_group!(name = request, benchmarks = [service]);
main!(library_benchmark_groups = request);
