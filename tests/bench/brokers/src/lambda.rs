//! `lambda`: what a function of AWS Lambda costs, and what services of AWS take to build. A generated service is built as a person
//! would build it, and run under AWS's own emulator of Lambda.

use std::{
    fmt::{Display, Write as _},
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

use amgi_bench::{
    command::{cargo, cpu, output, root, target},
    fail, finish,
};
use amgi_brokers_tests::{Function, RuntimeApi};
use serde::Serialize;
use serde_json::{Value, json};

const HELP: &str = "\
Measures functions of AWS Lambda: size, cold start, CPU time of an event of 10 records, and memory; and what services of AWS take to
build, by feature.

Usage: cargo run -p amgi-bench-brokers --bin lambda [-- --again]

A service of specs/numbers.yaml is generated into target/bench/numbers, its handler made one that does nothing, and built with Cargo's
own release profile, without symbols, dependencies and all. It runs under AWS's runtime interface emulator. Prints a table, writes
target/bench/lambda.json, and exits with 1 when an event of 10 records takes more than 1 ms of CPU, or the process more than
20 MiB.

Options:
  --again     Builds only what has changed, and says no build times
  -h, --help  Print help
";

/// CPU time that an event of [`RECORDS`] may take, in microseconds.
const MOST_CPU: f64 = 1000.0;
/// Memory that the process may need, in MiB.
const MOST_MEMORY: f64 = 20.0;
const RECORDS: usize = 10;
/// Events that warm it up, and those that are counted.
const WARM: u32 = 200;
const EVENTS: u32 = 2000;
/// Functions that are started, of which the median counts.
const STARTS: usize = 11;

/// What is built: binary and features.
const BUILDS: [(&str, &str); 4] =
    [("numbers", ""), ("numbers", "sqs"), ("bootstrap", "lambda"), ("bootstrap", "lambda,sqs")];
/// The one that runs.
const RUN: (&str, &str) = BUILDS[2];

#[derive(Serialize)]
struct Report {
    builds: Vec<Build>,
    function: Measured,
    exceeded: Vec<String>,
}

/// A binary.
#[derive(Serialize)]
struct Build {
    binary: &'static str,
    features: &'static str,
    mebibytes: f64,
    /// Processor time of all that is compiled for it.
    seconds: Option<f64>,
}

/// The function when it runs.
#[derive(Serialize)]
struct Measured {
    /// From the first event, with which the emulator starts the process, to its answer.
    cold_start_ms: f64,
    /// CPU time of an event, in microseconds.
    event_cpu_us: f64,
    mebibytes: f64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let again = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => false,
        ["--again"] => true,
        _ => return fail(HELP),
    };
    match measure(again).await {
        Ok(report) => {
            if let Err(problem) = amgi_bench::report("lambda", &report) {
                return fail(&problem);
            }
            finish(&table(&report), &[], &report.exceeded)
        }
        Err(problem) => fail(&problem),
    }
}

fn text(error: impl Display) -> String {
    error.to_string()
}

async fn measure(again: bool) -> Result<Report, String> {
    let package = generate()?;
    let mut builds = Vec::new();
    for (binary, features) in BUILDS {
        builds.push(build(&package, binary, features, again)?);
    }
    let function = run(&built(RUN.1).join(RUN.0)).await?;
    let mut exceeded = Vec::new();
    if function.event_cpu_us > MOST_CPU {
        exceeded.push(format!("an event takes {:.0} µs of CPU, at most {MOST_CPU}", function.event_cpu_us));
    }
    if function.mebibytes > MOST_MEMORY {
        exceeded.push(format!("the function takes {:.1} MiB, at most {MOST_MEMORY}", function.mebibytes));
    }
    Ok(Report { builds, function, exceeded })
}

/// The package, whose handler does nothing but say that it is done.
fn generate() -> Result<PathBuf, String> {
    let out = target().join("bench/numbers");
    let document = root().join("specs/numbers.yaml");
    let mut command = cargo(&["run", "--quiet", "-p", "amgi-gen", "--features", "cli", "--"]);
    command
        .arg(document)
        .arg("-o")
        .arg(&out)
        .args(["--lambda", "--quiet", "--runtime"])
        .arg(root().join("runtime"));
    output(command)?;
    let lock = out.join("Cargo.lock");
    fs::copy(root().join("Cargo.lock"), lock).map_err(text)?;
    let handlers = out.join("src/handlers.rs");
    let scaffold = fs::read_to_string(&handlers).map_err(text)?;
    let done = scaffold.replace("Err(NotImplemented.into())", "Ok(())").replace(", NotImplemented", "");
    fs::write(&handlers, done).map_err(text)?;
    Ok(out)
}

fn folder(features: &str) -> PathBuf {
    let name = if features.is_empty() { "memory".to_owned() } else { features.replace(',', "-") };
    target().join("bench/services").join(name)
}

/// Where binaries with these features are.
fn built(features: &str) -> PathBuf {
    folder(features).join("release")
}

fn build(package: &Path, binary: &'static str, features: &'static str, again: bool) -> Result<Build, String> {
    let folder = folder(features);
    if !again && folder.exists() {
        fs::remove_dir_all(&folder).map_err(text)?;
    }
    let mut command = Command::new("nice");
    command.args(["-n", "19"]).arg(cargo(&[]).get_program()).current_dir(package);
    command.args([
        "build",
        "--release",
        "--quiet",
        "--bin",
        binary,
        "--no-default-features",
        "--features",
        features,
    ]);
    command
        .env("CARGO_TARGET_DIR", &folder)
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        .env_remove("RUSTFLAGS");
    let seconds = cpu(&command)?;
    let bytes = fs::metadata(built(features).join(binary)).map_err(text)?.len();
    #[allow(clippy::cast_precision_loss)] // a file of megabytes
    let mebibytes = bytes as f64 / 1024.0 / 1024.0;
    Ok(Build { binary, features, mebibytes, seconds: (!again).then_some(seconds) })
}

/// An event as AWS sends it, with a number a record.
fn event() -> Value {
    let record = |index: usize| {
        let body =
            json!({"id": index, "note": "drawn in the morning, and said aloud", "tags": ["odd"]}).to_string();
        json!({
            "messageId": format!("19dd0b57-b21e-4ac1-bd88-01bbb068cb7{index}"), "receiptHandle": "A".repeat(180), "body": body,
            "attributes": {
                "ApproximateReceiveCount": "1", "SentTimestamp": "1523232000000", "SenderId": "123456789012",
                "ApproximateFirstReceiveTimestamp": "1523232000001",
            },
            "messageAttributes": {}, "eventSource": "aws:sqs", "awsRegion": "us-east-1",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:numbers--3",
        })
    };
    json!({"Records": (0..RECORDS).map(record).collect::<Vec<_>>()})
}

async fn start(program: &Path) -> (Function, f64) {
    let mut function = Function::start(RuntimeApi::Emulator, program, 30, &[("RUST_LOG", "warn")]).await;
    let since = Instant::now();
    handled(&mut function, &event()).await;
    let took = since.elapsed().as_secs_f64() * 1000.0;
    (function, took)
}

async fn handled(function: &mut Function, event: &Value) {
    let answer = function.invoke(event).await;
    assert_eq!(answer, Ok(json!({"batchItemFailures": []})), "{}", function.log());
}

async fn run(program: &Path) -> Result<Measured, String> {
    let mut starts = Vec::new();
    let mut function = None;
    for _ in 0..STARTS {
        drop(function.take());
        let (started, took) = start(program).await;
        starts.push(took);
        function = Some(started);
    }
    let mut function = function.ok_or("it was never started")?;
    starts.sort_by(f64::total_cmp);
    let event = event();
    for _ in 0..WARM {
        handled(&mut function, &event).await;
    }
    let before = cpu_of(function.pid())?;
    for _ in 0..EVENTS {
        handled(&mut function, &event).await;
    }
    let took = cpu_of(function.pid())? - before;
    Ok(Measured {
        cold_start_ms: starts[STARTS / 2],
        event_cpu_us: took / f64::from(EVENTS),
        mebibytes: peak(function.pid())?,
    })
}

/// CPU time of all threads of a process, in microseconds.
fn cpu_of(pid: u32) -> Result<f64, String> {
    let mut nanoseconds = 0.0;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).map_err(text)?.flatten() {
        let times = fs::read_to_string(thread.path().join("schedstat")).map_err(text)?;
        let first = times.split_whitespace().next().and_then(|time| time.parse::<f64>().ok());
        nanoseconds += first.ok_or("the kernel says no time")?;
    }
    Ok(nanoseconds / 1000.0)
}

/// The most memory that a process had, in MiB.
fn peak(pid: u32) -> Result<f64, String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(text)?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
    kib.map(|kib| kib / 1024.0).ok_or_else(|| "the kernel says no memory".to_owned())
}

fn table(report: &Report) -> String {
    let mut out = String::from("| binary | features | MiB | CPU seconds to build |\n|---|---|---|---|\n");
    for Build { binary, features, mebibytes, seconds } in &report.builds {
        let seconds = seconds.map_or_else(|| "–".to_owned(), |seconds| format!("{seconds:.0}"));
        // Writing to a string does not fail.
        let _ = writeln!(out, "| `{binary}` | `{features}` | {mebibytes:.1} | {seconds} |");
    }
    let Measured { cold_start_ms, event_cpu_us, mebibytes } = report.function;
    let _ = writeln!(
        out,
        "\ncold start to the first answer {cold_start_ms:.1} ms, an event of {RECORDS} records {event_cpu_us:.0} µs of CPU, \
         {mebibytes:.1} MiB at most"
    );
    out
}
