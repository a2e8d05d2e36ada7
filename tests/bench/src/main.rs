//! `amgi-bench`: runs the benchmarks under valgrind, prints what a message costs, and fails when the peer needs less.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    process::ExitCode,
};

use amgi_bench::counts::{GUNGRAUN, PerMessage, Run, per_message, run, tools, version};
use serde::Serialize;

const HELP: &str = "\
Measures instructions and allocations per message of a generated application, and of its peer in the same run.

Usage: cargo run -p amgi-bench

Runs the benchmarks in messages/ under valgrind (callgrind and DHAT), prints a table, writes it as JSON to
target/bench/results.json, and exits with 1 when a case needs as many instructions as the peer, ruststream 0.7.7,
or more allocations.

Needs valgrind (apt-get install valgrind) and the runner
(cargo install gungraun-runner --version 0.20.0 --locked).

Options:
  -h, --help  Print help
";

/// The package with the benchmarks; those of the peer begin with [`PEER`].
const PACKAGE: &str = "amgi-bench-messages";
const PEER: &str = "peer_";

/// What one message needs.
#[derive(Debug, Clone, Copy, Serialize)]
struct Cost {
    instructions: f64,
    allocations: f64,
}

/// What is measured on one side or both.
struct Case {
    name: &'static str,
    what: &'static str,
    ours: bool,
    peer: bool,
    /// What the peer publishes of its own benchmark of the same: `docs/benchmarks/results.json` of its package.
    published: Option<Cost>,
}

impl Case {
    const fn new(name: &'static str, what: &'static str) -> Self {
        Self { name, what, ours: true, peer: true, published: None }
    }

    const fn published(mut self, instructions: f64, allocations: f64) -> Self {
        self.published = Some(Cost { instructions, allocations });
        self
    }

    /// Only we have it.
    const fn alone(mut self) -> Self {
        self.peer = false;
        self
    }

    /// The names of its benchmarks.
    fn benches(&self) -> impl Iterator<Item = String> {
        let ours = self.ours.then(|| self.name.to_owned());
        let peer = self.peer.then(|| format!("{PEER}{}", self.name));
        ours.into_iter().chain(peer)
    }
}

const CASES: [Case; 10] = [
    Case::new("bare", "a queue, serde_json and a static call, without a framework").alone(),
    Case::new("consume", "decode and acknowledge").published(1673.0, 0.0),
    Case::new("layers", "the same through four layers that only forward").published(1768.0, 0.0),
    Case::new("batch", "the same in batches of 64").published(1529.5, 0.016),
    Case::new("consume_header", "decode two typed headers too"),
    Case::new("reply", "answer with another struct").published(2641.0, 2.0),
    Case::new("send", "send another struct with two typed headers").published(3632.0, 5.0),
    Case::new("header_plain", "decode two typed headers, send another struct").published(4004.9, 2.0),
    Case::new("header_send", "decode two typed headers, send another struct with two"),
    Case::new("request", "request and answer, both sides").published(9361.6, 13.0),
];

/// What a case needs for one message, and what starting and the first message need.
#[derive(Debug, Serialize)]
struct Row {
    case: &'static str,
    what: &'static str,
    instructions: Option<f64>,
    allocations: Option<f64>,
    bytes: Option<f64>,
    first_instructions: Option<f64>,
    first_allocations: Option<f64>,
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
    let names: Vec<String> = CASES.iter().flat_map(Case::benches).collect();
    let runs = run(PACKAGE, &names.iter().map(String::as_str).collect::<Vec<_>>())?;
    let rows = CASES.iter().map(|case| row(case, &runs)).collect::<Result<Vec<_>, _>>()?;
    let report = Report {
        unit: "per message: (total of 2000 - total of 1000) / 1000",
        peer: "ruststream 0.7.7",
        gungraun: GUNGRAUN,
        valgrind,
        rustc: version("rustc", &["--version"]).unwrap_or_default(),
        rows: &rows,
    };
    amgi_bench::report("results", &report)?;
    Ok(rows)
}

fn row(case: &Case, runs: &[Run]) -> Result<Row, String> {
    let count = |there: bool, bench: &str| there.then(|| per_message(runs, bench, "service")).transpose();
    let ours = count(case.ours, case.name)?;
    let peer = count(case.peer, &format!("{PEER}{}", case.name))?;
    Ok(Row {
        case: case.name,
        what: case.what,
        instructions: ours.map(|ours| ours.instructions),
        allocations: ours.map(|ours| ours.allocations),
        bytes: ours.map(|ours| ours.bytes),
        first_instructions: ours.map(|ours| ours.first.instructions),
        first_allocations: ours.map(|ours| ours.first.blocks),
        peer_published: case.published,
        peer_measured: peer
            .map(|peer| Cost { instructions: peer.instructions, allocations: peer.allocations }),
        ratio: ours.zip(peer).map(|(ours, peer)| ours.instructions / peer.instructions),
        exceeded: ours.zip(peer).map(|(ours, peer)| exceeded(case.name, ours, peer)).unwrap_or_default(),
    })
}

fn exceeded(case: &str, ours: PerMessage, peer: PerMessage) -> Vec<String> {
    let instructions = (ours.instructions >= peer.instructions).then(|| {
        let (ours, peer) = (ours.instructions, peer.instructions);
        format!("{case}: {ours:.1} instructions a message, must be below the peer's {peer:.1}")
    });
    let allocations = (ours.allocations > peer.allocations).then(|| {
        let (ours, peer) = (ours.allocations, peer.allocations);
        format!("{case}: {ours:.3} allocations a message, must not be above the peer's {peer:.3}")
    });
    instructions.into_iter().chain(allocations).collect()
}

fn table(rows: &[Row]) -> String {
    let none = || "–".to_owned();
    let pair = |cost: Option<Cost>| {
        cost.map_or_else(none, |Cost { instructions, allocations }| {
            // Batches allocate once for many messages.
            let digits = if allocations.fract() == 0.0 { 0 } else { 3 };
            format!("{instructions:.1} / {allocations:.digits$}")
        })
    };
    let mut out = String::from(
        "\nPer message, instructions / allocations. Peer: ruststream 0.7.7. Ratio: of instructions, to the peer here.\n\n",
    );
    let mut line = |cells: [&str; 6]| {
        let [case, ours, bytes, here, published, ratio] = cells;
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{case:<15} {ours:>12} {bytes:>6} {here:>15} {published:>15} {ratio:>6}");
    };
    line(["case", "ours", "bytes", "peer, here", "peer, published", "ratio"]);
    for row in rows {
        let ours = row.instructions.zip(row.allocations);
        line([
            row.case,
            &pair(ours.map(|(instructions, allocations)| Cost { instructions, allocations })),
            &row.bytes.map_or_else(none, |bytes| format!("{bytes:.0}")),
            &pair(row.peer_measured),
            &pair(row.peer_published),
            &row.ratio.map_or_else(none, |ratio| format!("{ratio:.2}")),
        ]);
    }
    out
}

#[cfg(test)]
mod tests {
    use amgi_bench::counts::Totals;

    use super::*;

    fn cost(instructions: f64, allocations: f64) -> PerMessage {
        let first = Totals { instructions: 1.0, blocks: 1.0, bytes: 1.0 };
        PerMessage { instructions, allocations, bytes: 0.0, first }
    }

    #[test]
    fn as_many_instructions_are_too_many_and_as_many_allocations_are_not() {
        assert_eq!(exceeded("case", cost(99.9, 2.0), cost(100.0, 2.0)), [""; 0]);
        assert_eq!(
            exceeded("case", cost(100.0, 2.016), cost(100.0, 2.0)),
            [
                "case: 100.0 instructions a message, must be below the peer's 100.0",
                "case: 2.016 allocations a message, must not be above the peer's 2.000",
            ]
        );
    }

    #[test]
    fn a_side_without_a_benchmark_is_a_dash() {
        let row = |ours: Option<f64>| Row {
            case: "layers",
            what: "",
            instructions: ours,
            allocations: ours.map(|_| 0.016),
            bytes: ours.map(|_| 7.0),
            first_instructions: None,
            first_allocations: None,
            peer_published: None,
            peer_measured: Some(Cost { instructions: 100.0, allocations: 2.0 }),
            ratio: ours.map(|ours| ours / 100.0),
            exceeded: Vec::new(),
        };
        let table = table(&[row(None), row(Some(50.0))]);
        let cells: Vec<Vec<&str>> =
            table.lines().rev().take(2).map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(cells[1], ["layers", "–", "–", "100.0", "/", "2", "–", "–"]);
        assert_eq!(cells[0], ["layers", "50.0", "/", "0.016", "7", "100.0", "/", "2", "–", "0.50"]);
    }
}
