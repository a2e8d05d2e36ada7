//! `amgi-bench`: runs the benchmarks under valgrind, prints what a message costs, and fails when a bound is exceeded.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    process::ExitCode,
};

use amgi_bench::{
    command::target,
    counts::{GUNGRAUN, PerMessage, Run, per_message, run, tools, version},
    package,
};
use serde::Serialize;

const HELP: &str = "\
Measures instructions and allocations per message of a generated application.

Usage: cargo run -p amgi-bench

Runs the benchmarks of this package under valgrind (callgrind and DHAT), prints a table, writes it as JSON to
target/bench/results.json, and exits with 1 when a bound is exceeded. The bounds are what the framework's peer in Rust,
ruststream 0.7.7, needs: the lower of what it publishes and what was measured with the same toolchain.

Needs valgrind (apt-get install valgrind) and the runner
(cargo install gungraun-runner --version 0.20.0 --locked).

Options:
  -h, --help  Print help
";

/// What the peer needs for one message.
#[derive(Debug, Clone, Copy, Serialize)]
struct Cost {
    instructions: f64,
    allocations: f64,
}

/// A benchmark of this package and what it is held to.
struct Case {
    name: &'static str,
    what: &'static str,
    peer_published: Option<Cost>,
    peer_measured: Option<Cost>,
    most_instructions: Option<f64>,
    most_allocations: Option<f64>,
}

const fn cost(instructions: f64, allocations: f64) -> Cost {
    Cost { instructions, allocations }
}

const CASES: [Case; 5] = [
    Case {
        name: "bare",
        what: "a queue, serde_json and a static call, without a framework",
        peer_published: None,
        peer_measured: None,
        most_instructions: None,
        most_allocations: None,
    },
    Case {
        name: "consume",
        what: "decode and acknowledge",
        peer_published: Some(cost(1673.0, 0.0)),
        peer_measured: Some(cost(1588.2, 0.0)),
        most_instructions: Some(1588.0),
        most_allocations: Some(0.0),
    },
    // The peer publishes no figure for this alone: its benchmark of headers that are read also sends.
    Case {
        name: "consume_header",
        what: "decode two typed headers too",
        peer_published: None,
        peer_measured: None,
        most_instructions: None,
        most_allocations: Some(0.0),
    },
    Case {
        name: "reply",
        what: "answer with another struct",
        peer_published: Some(cost(2641.0, 2.0)),
        peer_measured: Some(cost(2699.2, 2.0)),
        most_instructions: Some(2641.0),
        most_allocations: Some(2.0),
    },
    Case {
        name: "send",
        what: "send another struct with two typed headers",
        peer_published: Some(cost(3632.0, 5.0)),
        peer_measured: Some(cost(3862.2, 5.0)),
        most_instructions: Some(3632.0),
        most_allocations: Some(5.0),
    },
];

/// What a case needs for one message, and what starting and the first message need.
#[derive(Debug, Serialize)]
struct Row {
    case: &'static str,
    what: &'static str,
    instructions: f64,
    allocations: f64,
    bytes: f64,
    first_instructions: f64,
    first_allocations: f64,
    peer_published: Option<Cost>,
    peer_measured: Option<Cost>,
    /// Our instructions in those the peer was measured to need.
    ratio: Option<f64>,
    exceeded: Vec<String>,
}

#[derive(Serialize)]
struct Report<'a> {
    unit: &'static str,
    peer: &'static str,
    gungraun: &'static str,
    valgrind: String,
    rustc: String,
    rows: &'a [Row],
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {}
        ["-h" | "--help"] => return say(HELP),
        _ => return fail(&format!("unknown arguments {args:?}, see --help")),
    }
    match measure() {
        Ok(rows) => {
            let status = say(&table(&rows));
            let exceeded: Vec<&str> = rows.iter().flat_map(|row| &row.exceeded).map(String::as_str).collect();
            if exceeded.is_empty() { status } else { fail(&exceeded.join("\n       ")) }
        }
        Err(error) => fail(&error),
    }
}

fn say(text: &str) -> ExitCode {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn fail(text: &str) -> ExitCode {
    // There is nobody left to tell when standard error is closed.
    let _ = writeln!(io::stderr().lock(), "error: {text}");
    ExitCode::FAILURE
}

fn measure() -> Result<Vec<Row>, String> {
    let valgrind = tools()?;
    let runs = run(&CASES.map(|case| case.name))?;
    let rows = CASES.iter().map(|case| row(case, &runs)).collect::<Result<Vec<_>, _>>()?;
    let report = Report {
        unit: "per message: (total of 2000 - total of 1000) / 1000",
        peer: "ruststream 0.7.7",
        gungraun: GUNGRAUN,
        valgrind,
        rustc: version("rustc", &["--version"]).unwrap_or_default(),
        rows: &rows,
    };
    write(&report)?;
    Ok(rows)
}

fn row(case: &Case, runs: &[Run]) -> Result<Row, String> {
    let PerMessage { instructions, allocations, bytes, first } = per_message(runs, case.name, "service")?;
    let mut row = Row {
        case: case.name,
        what: case.what,
        instructions,
        allocations,
        bytes,
        first_instructions: first.instructions,
        first_allocations: first.blocks,
        peer_published: case.peer_published,
        peer_measured: case.peer_measured,
        ratio: case.peer_measured.map(|peer| instructions / peer.instructions),
        exceeded: Vec::new(),
    };
    if let Some(most) = case.most_instructions.filter(|most| instructions >= *most) {
        row.exceeded
            .push(format!("{}: {instructions:.1} instructions a message, must be below {most}", case.name));
    }
    if let Some(most) = case.most_allocations.filter(|most| allocations > *most) {
        row.exceeded
            .push(format!("{}: {allocations:.2} allocations a message, must not be above {most}", case.name));
    }
    Ok(row)
}

fn table(rows: &[Row]) -> String {
    let pair = |cost: Option<Cost>| {
        cost.map_or_else(
            || "-".to_owned(),
            |cost| format!("{:.1} / {:.0}", cost.instructions, cost.allocations),
        )
    };
    let mut out = String::from(
        "\nPer message. Peer: ruststream 0.7.7, instructions / allocations. Ratio: to the peer as measured here.\n\n",
    );
    let mut line = |cells: [&str; 7]| {
        let [case, instructions, allocations, bytes, published, measured, ratio] = cells;
        // Writing to a String cannot fail.
        let _ = writeln!(
            out,
            "{case:<15} {instructions:>12} {allocations:>11} {bytes:>7} {published:>15} {measured:>13} {ratio:>6}"
        );
    };
    line(["case", "instructions", "allocations", "bytes", "peer, published", "peer, here", "ratio"]);
    for row in rows {
        line([
            row.case,
            &format!("{:.1}", row.instructions),
            &format!("{:.2}", row.allocations),
            &format!("{:.0}", row.bytes),
            &pair(row.peer_published),
            &pair(row.peer_measured),
            &row.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}")),
        ]);
    }
    out
}

fn write(report: &Report<'_>) -> Result<(), String> {
    let text = serde_json::to_string_pretty(report).map_err(|error| error.to_string())? + "\n";
    package::write(&target().join("bench/results.json"), &text)
}
