//! From the bytes of a message of 1 KB to a checked value, in several ways.

#![allow(missing_docs)] // what the macros write

use std::{fmt::Debug, hint::black_box};

use amgi::Message;
use amgi_bench_codegen::purchase::{self, PAYLOAD};
use amgi_bench_harness::{MESSAGES, config, region};
use gungraun::prelude::*;

fn setup(count: usize) -> Vec<Message> {
    (0..count).map(|_| purchase::message(PAYLOAD)).collect()
}

fn run<T, E: Debug>(messages: &[Message], read: impl Fn(&Message) -> Result<T, E>) {
    region(|| {
        for message in messages {
            black_box(read(black_box(message)).expect("the payload fits"));
        }
    });
}

#[library_benchmark(config = config())]
#[bench::first(setup(1))]
#[bench::base(setup(MESSAGES))]
#[bench::twice(setup(2 * MESSAGES))]
fn generated(messages: Vec<Message>) {
    run(&messages, purchase::generated);
}

#[library_benchmark(config = config())]
#[bench::first(setup(1))]
#[bench::base(setup(MESSAGES))]
#[bench::twice(setup(2 * MESSAGES))]
fn hand(messages: Vec<Message>) {
    run(&messages, purchase::by_hand);
}

#[library_benchmark(config = config())]
#[bench::first(setup(1))]
#[bench::base(setup(MESSAGES))]
#[bench::twice(setup(2 * MESSAGES))]
fn hand_from_text(messages: Vec<Message>) {
    run(&messages, purchase::by_hand_from_text);
}

#[library_benchmark(config = config())]
#[bench::first(setup(1))]
#[bench::base(setup(MESSAGES))]
#[bench::twice(setup(2 * MESSAGES))]
fn typify(messages: Vec<Message>) {
    run(&messages, purchase::by_typify);
}

#[library_benchmark(config = config())]
#[bench::first(setup(1))]
#[bench::base(setup(MESSAGES))]
#[bench::twice(setup(2 * MESSAGES))]
fn validated(messages: Vec<Message>) {
    run(&messages, purchase::validated);
}

library_benchmark_group!(
    name = purchase_ways,
    benchmarks = [generated, hand, hand_from_text, typify, validated]
);
main!(library_benchmark_groups = purchase_ways);
