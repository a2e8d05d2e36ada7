//! Instructions and allocations per message, as benchmarks count them under valgrind.
//!
//! A benchmark has the runs `first`, `base` and `twice`, of one message, [`MESSAGES`] and twice as many.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde::Deserialize;

use crate::{MESSAGES, command::cargo};

/// Version of the library and of the runner; they must be equal.
pub const GUNGRAUN: &str = "0.20.0";

/// One line of the runner's output: one benchmark, both tools.
#[derive(Debug, Deserialize)]
pub struct Run {
    benchmark_file: PathBuf,
    function_name: String,
    id: String,
    profiles: Vec<Profile>,
}

#[derive(Debug, Deserialize)]
struct Profile {
    tool: String,
    data: Data,
}

#[derive(Debug, Deserialize)]
struct Data {
    total: Total,
}

#[derive(Debug, Deserialize)]
struct Total {
    metrics: BTreeMap<String, Metric>,
}

#[derive(Debug, Deserialize)]
struct Metric {
    values: Values,
}

#[derive(Debug, Deserialize)]
struct Values {
    new: Option<f64>,
}

/// Totals of one run.
#[derive(Debug, Clone, Copy)]
pub struct Totals {
    /// Instructions.
    pub instructions: f64,
    /// Allocations.
    pub blocks: f64,
    /// Bytes of them.
    pub bytes: f64,
}

/// What one message costs.
#[derive(Debug, Clone, Copy)]
pub struct PerMessage {
    /// Instructions.
    pub instructions: f64,
    /// Allocations.
    pub allocations: f64,
    /// Bytes of them.
    pub bytes: f64,
    /// What starting and the first message cost together.
    pub first: Totals,
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

/// What a program says about its version; `None` when it is not there.
#[must_use]
pub fn version(program: &str, args: &[&str]) -> Option<String> {
    let output = Command::new(program).args(args).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Looks for valgrind, whose version this is, and for the runner.
///
/// # Errors
/// When one is missing, with the command that installs it.
pub fn tools() -> Result<String, String> {
    let valgrind = version("valgrind", &["--version"])
        .ok_or("valgrind is missing; install it with `apt-get install valgrind`")?;
    let install = format!("`cargo install gungraun-runner --version {GUNGRAUN} --locked`");
    let runner = std::env::var("GUNGRAUN_RUNNER").unwrap_or_else(|_| "gungraun-runner".to_owned());
    match version(&runner, &["--version"]) {
        None => Err(format!("gungraun-runner is missing; install it with {install}")),
        Some(found) if found.split_whitespace().last() == Some(GUNGRAUN) => Ok(valgrind),
        Some(found) => Err(format!("{found} is installed, {GUNGRAUN} is needed; install it with {install}")),
    }
}

/// Runs benchmarks of a package and reads what the runner says.
///
/// # Errors
/// When one fails.
pub fn run(package: &str, benches: &[&str]) -> Result<Vec<Run>, String> {
    let mut command = cargo(&["bench", "--package", package]);
    for bench in benches {
        command.args(["--bench", bench]);
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

/// What a message costs in a function of a benchmark.
///
/// # Errors
/// When a run is missing, or what was counted cannot be true.
pub fn per_message(runs: &[Run], bench: &str, function: &str) -> Result<PerMessage, String> {
    let totals = |id: &str| {
        runs.iter()
            .find(|run| {
                let file = run.benchmark_file.file_stem();
                run.id == id && run.function_name == function && file.is_some_and(|stem| stem == bench)
            })
            .ok_or_else(|| format!("{bench}: the run `{id}` of `{function}` is missing"))?
            .totals()
    };
    let (first, base, twice) = (totals("first")?, totals("base")?, totals("twice")?);
    guard(bench, first, base, twice)?;
    Ok(PerMessage {
        instructions: (twice.instructions - base.instructions) / messages(),
        allocations: (twice.blocks - base.blocks) / messages(),
        bytes: (twice.bytes - base.bytes) / messages(),
        first,
    })
}

#[allow(clippy::cast_precision_loss)] // thousands
fn messages() -> f64 {
    MESSAGES as f64
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
    // What a message costs must be the same in the first half of a run and in the second, but for the seeds of the peer's
    // hash maps, which differ from process to process.
    let early = (base.instructions - first.instructions) / (messages() - 1.0);
    let late = (twice.instructions - base.instructions) / messages();
    if (early - late).abs() > late * 0.05 {
        return refuse("the first thousand messages and the second do not cost the same");
    }
    Ok(())
}
