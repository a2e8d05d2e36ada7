//! What it costs to come from the bytes of a message of 1 KB to a checked value: the generated type beside one that a person
//! wrote, typify's, and a validator before serde.
//!
//! The program prints a table, writes `target/bench/cost.json` and exits with 1 when a bound is exceeded. Bounds are on
//! instructions and allocations; of time, which depends on the machine, it only warns.

use std::{
    fmt::{Debug, Write as _},
    hint::black_box,
    process::ExitCode,
    time::Instant,
};

use amgi::Message;
use amgi_bench::{
    counts::{PerMessage, per_message, run, tools, version},
    fail, finish,
};
use amgi_bench_codegen::purchase::{self, PAYLOAD};
use serde::Serialize;

/// What the generated type may cost, to what a person wrote.
const MOST: f64 = 1.1;
/// Rounds, in which all ways take turns.
const ROUNDS: usize = 1001;
/// Messages a turn.
const TURN: u32 = 50;

/// Functions of the benchmark; the second is what the others are compared with.
const WAYS: [(&str, &str); 5] = [
    ("generated", "generated: read and checked"),
    ("hand", "by hand: serde's derive, checks"),
    ("hand_from_text", "by hand, UTF-8 looked at once"),
    ("typify", "typify: texts checked, no bounds, formats, sizes"),
    ("validated", "validator, then serde's derive"),
];

#[derive(Serialize)]
struct Report {
    bytes: usize,
    valgrind: String,
    rustc: String,
    rows: Vec<Row>,
    exceeded: Vec<String>,
    warnings: Vec<String>,
}

/// A way, what it costs for one message, and in how much that is of what a person's costs.
#[derive(Serialize)]
struct Row {
    way: &'static str,
    what: &'static str,
    instructions: f64,
    instructions_ratio: f64,
    allocations: f64,
    allocated_bytes: f64,
    nanoseconds: f64,
    /// The median of the rounds' ratios.
    time_ratio: f64,
}

fn main() -> ExitCode {
    match measure() {
        Ok(report) => finish(&table(&report), &report.warnings, &report.exceeded),
        Err(problem) => fail(&problem),
    }
}

fn measure() -> Result<Report, String> {
    let valgrind = tools()?;
    let runs = run(env!("CARGO_PKG_NAME"), &["purchase"])?;
    let counts = WAYS
        .iter()
        .map(|(way, _)| per_message(&runs, "purchase", way))
        .collect::<Result<Vec<PerMessage>, _>>()?;
    let times = times();
    let [_, hand, ..] = counts.as_slice() else { return Err("there is nothing to compare with".to_owned()) };
    let rows: Vec<Row> = WAYS
        .iter()
        .zip(&counts)
        .zip(times)
        .map(|((&(way, what), count), (nanoseconds, time_ratio))| Row {
            way,
            what,
            instructions: count.instructions,
            instructions_ratio: count.instructions / hand.instructions,
            allocations: count.allocations,
            allocated_bytes: count.bytes,
            nanoseconds,
            time_ratio,
        })
        .collect();
    let ours = &rows[0];
    let over = |what: &str, ratio: f64| {
        (ratio > MOST).then(|| format!("{what}: {ratio:.3} times those by hand, at most {MOST}"))
    };
    let mut report = Report {
        bytes: PAYLOAD.len(),
        valgrind,
        rustc: version("rustc", &["--version"]).unwrap_or_default(),
        exceeded: [
            over("instructions", ours.instructions_ratio),
            over("allocations", ours.allocations / hand.allocations),
        ]
        .into_iter()
        .flatten()
        .collect(),
        warnings: over("nanoseconds", ours.time_ratio).into_iter().collect(),
        rows: Vec::new(),
    };
    report.rows = rows;
    amgi_bench::report("cost", &report)?;
    Ok(report)
}

/// Nanoseconds a message in the fastest round, and the median of the rounds' ratios to what a person wrote; for each way.
fn times() -> [(f64, f64); 5] {
    let message = purchase::message(PAYLOAD);
    let mut rounds = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        rounds.push([
            turn(&message, purchase::generated),
            turn(&message, purchase::by_hand),
            turn(&message, purchase::by_hand_from_text),
            turn(&message, purchase::by_typify),
            turn(&message, purchase::validated),
        ]);
    }
    std::array::from_fn(|way| {
        let fastest = rounds.iter().map(|round| round[way]).fold(f64::MAX, f64::min);
        let mut ratios: Vec<f64> = rounds.iter().map(|round| round[way] / round[1]).collect();
        ratios.sort_by(f64::total_cmp);
        (fastest, ratios[ROUNDS / 2])
    })
}

fn turn<T, E: Debug>(message: &Message, read: impl Fn(&Message) -> Result<T, E>) -> f64 {
    let start = Instant::now();
    for _ in 0..TURN {
        black_box(read(black_box(message)).expect("the payload fits"));
    }
    start.elapsed().as_secs_f64() * 1e9 / f64::from(TURN)
}

fn table(report: &Report) -> String {
    let mut out = format!("Per message of {} bytes.\n\n", report.bytes);
    let mut line = |cells: [&str; 7]| {
        let [what, instructions, ratio, allocations, bytes, nanoseconds, time] = cells;
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{what:<48} {instructions:>12} {ratio:>6} {allocations:>11} {bytes:>7} {nanoseconds:>7} {time:>6}"
        );
    };
    line(["", "instructions", "ratio", "allocations", "bytes", "ns", "ratio"]);
    for row in &report.rows {
        line([
            row.what,
            &format!("{:.1}", row.instructions),
            &format!("{:.3}", row.instructions_ratio),
            &format!("{:.2}", row.allocations),
            &format!("{:.0}", row.allocated_bytes),
            &format!("{:.0}", row.nanoseconds),
            &format!("{:.3}", row.time_ratio),
        ]);
    }
    out
}
