//! `amgi-bench`: runs the benchmarks under valgrind, prints what a message costs, and fails when a bound is exceeded.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::PathBuf,
    process::{Command, ExitCode, Stdio},
};

use amgi_bench::command::{cargo, target};
use serde::{Deserialize, Serialize};

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

/// Of the library and of the runner; they must be equal.
const GUNGRAUN: &str = "0.20.0";

/// Messages between the runs `base` and `twice`.
const MESSAGES: f64 = 1000.0;
const _: () = assert!(amgi_bench::MESSAGES == 1000, "the two constants say the same");

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

/// One line of the runner's output: one benchmark, both tools.
#[derive(Deserialize)]
struct Run {
    benchmark_file: PathBuf,
    id: String,
    profiles: Vec<Profile>,
}

#[derive(Deserialize)]
struct Profile {
    tool: String,
    data: Data,
}

#[derive(Deserialize)]
struct Data {
    total: Total,
}

#[derive(Deserialize)]
struct Total {
    metrics: BTreeMap<String, Metric>,
}

#[derive(Deserialize)]
struct Metric {
    values: Values,
}

#[derive(Deserialize)]
struct Values {
    new: Option<f64>,
}

/// Totals of one run.
#[derive(Debug, Clone, Copy)]
struct Totals {
    instructions: f64,
    blocks: f64,
    bytes: f64,
}

impl Run {
    fn metric(&self, tool: &str, name: &str) -> Result<f64, String> {
        self.profiles
            .iter()
            .filter(|profile| profile.tool == tool)
            .find_map(|profile| profile.data.total.metrics.get(name)?.values.new)
            .ok_or_else(|| format!("{} {}: no {name} from {tool}", self.benchmark_file.display(), self.id))
    }

    fn totals(&self) -> Result<Totals, String> {
        Ok(Totals {
            instructions: self.metric("Callgrind", "Ir")?,
            blocks: self.metric("DHAT", "TotalBlocks")?,
            bytes: self.metric("DHAT", "TotalBytes")?,
        })
    }
}

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
    let valgrind = version("valgrind", &["--version"])
        .ok_or("valgrind is missing; install it with `apt-get install valgrind`")?;
    check_runner()?;
    let runs = run()?;
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

/// What a program says about its version; `None` when it is not there.
fn version(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn check_runner() -> Result<(), String> {
    let install = format!("`cargo install gungraun-runner --version {GUNGRAUN} --locked`");
    let runner = std::env::var("GUNGRAUN_RUNNER").unwrap_or_else(|_| "gungraun-runner".to_owned());
    match version(&runner, &["--version"]) {
        None => Err(format!("gungraun-runner is missing; install it with {install}")),
        Some(found) if found.split_whitespace().last() == Some(GUNGRAUN) => Ok(()),
        Some(found) => Err(format!("{found} is installed, {GUNGRAUN} is needed; install it with {install}")),
    }
}

/// Runs every benchmark and reads what the runner says.
fn run() -> Result<Vec<Run>, String> {
    let mut command = cargo(&["bench", "--package", "amgi-bench"]);
    for case in &CASES {
        command.args(["--bench", case.name]);
    }
    command.args(["--", "--output-format=json"]);
    // Flags of somebody's shell, such as target-cpu=native, would make the figures incomparable.
    command.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("cargo bench could not be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("cargo bench failed ({})", output.status));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter(|line| line.starts_with('{'))
        .map(|line| {
            serde_json::from_str(line)
                .map_err(|error| format!("the runner's output is not understood: {error}"))
        })
        .collect()
}

fn row(case: &Case, runs: &[Run]) -> Result<Row, String> {
    let totals = |id: &str| {
        runs.iter()
            .find(|run| run.id == id && run.benchmark_file.file_stem().is_some_and(|stem| stem == case.name))
            .ok_or_else(|| format!("{}: the run `{id}` is missing", case.name))?
            .totals()
    };
    let (first, base, twice) = (totals("first")?, totals("base")?, totals("twice")?);
    guard(case.name, first, base, twice)?;
    let instructions = (twice.instructions - base.instructions) / MESSAGES;
    let allocations = (twice.blocks - base.blocks) / MESSAGES;
    let mut row = Row {
        case: case.name,
        what: case.what,
        instructions,
        allocations,
        bytes: (twice.bytes - base.bytes) / MESSAGES,
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

/// Refuses totals that cannot be true: a pattern that matches no frame, or one that matches too many, counts nothing or
/// something else without a word.
fn guard(name: &str, first: Totals, base: Totals, twice: Totals) -> Result<(), String> {
    let refuse = |why: &str| Err(format!("{name}: {why} ({first:?}, {base:?}, {twice:?})"));
    if first.instructions <= 0.0 || first.blocks <= 0.0 {
        return refuse("starting cost nothing, so the measured region was not found");
    }
    if base.instructions <= first.instructions || twice.instructions <= base.instructions {
        return refuse("more messages did not cost more");
    }
    // What a message costs must be the same in the first half of a run and in the second.
    let early = (base.instructions - first.instructions) / (MESSAGES - 1.0);
    let late = (twice.instructions - base.instructions) / MESSAGES;
    if (early - late).abs() > late * 0.02 {
        return refuse("the first thousand messages and the second do not cost the same");
    }
    Ok(())
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
    let folder = target().join("bench");
    let file = folder.join("results.json");
    let text = serde_json::to_string_pretty(report).map_err(|error| error.to_string())? + "\n";
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&file, text))
        .map_err(|error| format!("{} could not be written: {error}", file.display()))
}
