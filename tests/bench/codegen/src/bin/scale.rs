//! What a large document costs: generating it, reading what was written, and compiling that.
//!
//! Documents have a channel, a receive operation and a message of ten properties each: texts with bounds, numbers, a flag,
//! an enum, a list and an object. The program prints a table, writes `target/bench/scale.json` and exits with 1 when a
//! bound is exceeded. Bounds are on counts, memory and ratios; seconds are printed for people.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use amgi_bench::{
    command::{output, target},
    fail, finish,
};
use amgi_bench_codegen::package::{clear, compile, generating, generator, read, write};
use serde::Serialize;

/// Generated lines a message, in all files of the module.
const MOST_LINES: f64 = 80.0;
/// MiB that the command may need for [`CHANNELS`].
const MOST_MEMORY: f64 = 100.0;
/// How much more a document of twice the size may cost.
const MOST_GROWTH: f64 = 2.2;
/// Processor time of a debug build, with dispatch and without.
const MOST_BUILD: f64 = 1.5;

/// The module.
const NAME: &str = "scale";

/// Channels of the document; a second one has twice as many.
const CHANNELS: usize = 1000;
/// Channels of the documents whose instructions are counted, which is slow, and of the one that is compiled.
const FEW: usize = 100;
/// Runs of which the fastest counts.
const RUNS: usize = 5;

#[derive(Serialize)]
struct Report {
    documents: Vec<Generated>,
    instructions_per_message: f64,
    instructions_growth: f64,
    build: Build,
    exceeded: Vec<String>,
}

/// What generating one document costs.
#[derive(Serialize)]
struct Generated {
    channels: usize,
    seconds: f64,
    mebibytes: f64,
    lines_per_message: f64,
    longest_file: usize,
}

/// Seconds of processor time that debug builds of [`FEW`] messages take.
#[derive(Serialize)]
struct Build {
    channels: usize,
    without_dispatch: f64,
    whole: f64,
    ratio: f64,
    /// The crate with its handlers and `main`, in which everything is instantiated.
    application: f64,
}

fn main() -> ExitCode {
    match measure() {
        Ok(report) => finish(&table(&report), &[], &report.exceeded),
        Err(problem) => fail(&problem),
    }
}

fn measure() -> Result<Report, String> {
    let cli = generator()?;
    let folder = target().join("bench/scale");
    let documents = vec![generate(&cli, &folder, CHANNELS)?, generate(&cli, &folder, 2 * CHANNELS)?];
    let few = instructions(&cli, &folder, FEW)?;
    let twice = instructions(&cli, &folder, 2 * FEW)?;
    let four = instructions(&cli, &folder, 4 * FEW)?;
    // What starting costs is in all of them.
    let (first, second) = (twice - few, four - twice);
    let build = build(&cli, &folder)?;
    let mut report = Report {
        documents,
        instructions_per_message: first / few_messages(1),
        instructions_growth: second / first,
        build,
        exceeded: Vec::new(),
    };
    report.exceeded = exceeded(&report);
    amgi_bench::report("scale", &report)?;
    Ok(report)
}

#[allow(clippy::cast_precision_loss)] // thousands
fn few_messages(times: usize) -> f64 {
    (FEW * times) as f64
}

fn exceeded(report: &Report) -> Vec<String> {
    let [one, two] = report.documents.as_slice() else { return Vec::new() };
    let bounds = [
        ("generated lines a message", one.lines_per_message, MOST_LINES),
        ("MiB for the document", one.mebibytes, MOST_MEMORY),
        ("memory for twice the document", two.mebibytes / one.mebibytes, MOST_GROWTH),
        ("instructions for twice the document", report.instructions_growth, MOST_GROWTH),
        ("processor time with dispatch, to without", report.build.ratio, MOST_BUILD),
    ];
    bounds
        .into_iter()
        .filter(|(_, found, most)| found > most)
        .map(|(what, found, most)| format!("{what}: {found:.2}, at most {most}"))
        .collect()
}

/// The document, written anew.
fn document(folder: &Path, channels: usize) -> Result<PathBuf, String> {
    let mut text = String::from("asyncapi: 3.0.0\ninfo: {title: Scale, version: 1.0.0}\nchannels:\n");
    for n in 0..channels {
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "  device{n}:
    address: device.{n}.measured
    messages:
      measured{n}:
        payload:
          type: object
          required: [id, count, kind, taken]
          properties:
            id: {{type: string, minLength: 1, maxLength: 36}}
            count: {{type: integer, minimum: 0, maximum: 100000}}
            amount: {{type: number, minimum: 0}}
            active: {{type: boolean}}
            kind: {{type: string, enum: [small, medium, large]}}
            name: {{type: string, maxLength: 100, description: What people call it.}}
            code: {{type: string, pattern: '^[A-Z]{{3}}[0-9]+$'}}
            tags: {{type: array, maxItems: 8, items: {{type: string}}}}
            taken: {{type: string, format: date-time, description: When it was taken.}}
            place: {{type: object, required: [x, y], properties: {{x: {{type: number}}, y: {{type: number}}}}}}
"
        );
    }
    text.push_str("operations:\n");
    for n in 0..channels {
        let _ =
            writeln!(text, "  onMeasured{n}: {{action: receive, channel: {{$ref: '#/channels/device{n}'}}}}");
    }
    let file = folder.join(format!("scale{channels}.yaml"));
    write(&file, &text)?;
    Ok(file)
}

fn generate(cli: &Path, folder: &Path, channels: usize) -> Result<Generated, String> {
    let document = document(folder, channels)?;
    let (mut best, mut peak) = (f64::MAX, 0.0_f64);
    let mut out = PathBuf::new();
    for _ in 0..RUNS {
        let (command, folder) = generating(cli, &document, NAME, &[]);
        clear(&folder)?;
        let (seconds, mebibytes) = watched(command)?;
        best = best.min(seconds);
        peak = peak.max(mebibytes);
        out = folder;
    }
    let mut lines = Vec::new();
    module_files(&out.join("src"), &mut |file| {
        lines.push(read(file)?.lines().count());
        Ok(())
    })?;
    let total: usize = lines.iter().sum();
    #[allow(clippy::cast_precision_loss)] // thousands
    let lines_per_message = total as f64 / channels as f64;
    let longest_file = lines.into_iter().max().unwrap_or_default();
    Ok(Generated { channels, seconds: best, mebibytes: peak, lines_per_message, longest_file })
}

/// The files of the generated module: `scale.rs` and what lies in `scale/`.
fn module_files(src: &Path, found: &mut impl FnMut(&Path) -> Result<(), String>) -> Result<(), String> {
    found(&src.join("scale.rs"))?;
    let mut folders = vec![src.join("scale")];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        for entry in entries {
            let path = entry.map_err(|error| error.to_string())?.path();
            if path.is_dir() { folders.push(path) } else { found(&path)? }
        }
    }
    Ok(())
}

/// Seconds and most MiB of a run. The system keeps the peak of a process only as long as that lives, so it is asked all the
/// time.
fn watched(mut command: Command) -> Result<(f64, f64), String> {
    let start = Instant::now();
    let mut child =
        command.stderr(Stdio::inherit()).spawn().map_err(|error| format!("{command:?}: {error}"))?;
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0_f64;
    loop {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let kibibytes = text
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        peak = peak.max(kibibytes.unwrap_or_default() / 1024.0);
        match child.try_wait().map_err(|error| error.to_string())? {
            Some(status) if status.success() => break,
            Some(status) => return Err(format!("{command:?}: {status}")),
            None => std::thread::sleep(Duration::from_micros(200)),
        }
    }
    if peak == 0.0 {
        return Err("/proc says nothing of the memory of a process; this needs Linux".to_owned());
    }
    Ok((start.elapsed().as_secs_f64(), peak))
}

/// Instructions of a run, by callgrind.
fn instructions(cli: &Path, folder: &Path, channels: usize) -> Result<f64, String> {
    let document = document(folder, channels)?;
    let counts = document.with_extension("callgrind");
    let file = format!("--callgrind-out-file={}", counts.display());
    let (command, out) = generating(cli, &document, NAME, &["valgrind", "--tool=callgrind", "-q", &file]);
    clear(&out)?;
    output(command)?;
    read(&counts)?
        .lines()
        .find_map(|line| {
            line.strip_prefix("totals: ").or_else(|| line.strip_prefix("summary: "))?.trim().parse().ok()
        })
        .ok_or_else(|| format!("{}: no total in it", counts.display()))
}

/// What compiling costs: the module as a library with dispatch and without, and the whole application.
fn build(cli: &Path, folder: &Path) -> Result<Build, String> {
    let document = document(folder, FEW)?;
    let (command, package) = generating(cli, &document, NAME, &[]);
    clear(&package)?;
    output(command)?;
    let src = package.join("src");
    compile(&package, "--bins")?;
    let application = best_of(|| compile(&package, "--bins"))?;
    write(&src.join("lib.rs"), "//! The module alone.\n\npub mod scale;\n")?;
    let whole = best_of(|| compile(&package, "--lib"))?;
    cut_dispatch(&src)?;
    let without_dispatch = best_of(|| compile(&package, "--lib"))?;
    Ok(Build { channels: FEW, without_dispatch, whole, ratio: whole / without_dispatch, application })
}

/// Leaves messages, addresses, handler traits and types, and all that reads, checks and writes them; cuts the application,
/// its channels, and what leads from an address to a handler.
fn cut_dispatch(src: &Path) -> Result<(), String> {
    let module = read(&src.join("scale.rs"))?;
    let place = |text: &str| module.find(text).ok_or_else(|| format!("`{text}` is not in the module"));
    let (app, types) = (place("/// The application *")?, place("/// Types of the document")?);
    write(&src.join("scale.rs"), &format!("{}{}", &module[..app], &module[types..]))?;
    let wire = read(&src.join("scale/wire.rs"))?;
    let lines = |start: &str| -> String {
        let found = wire.lines().filter(|line| line.starts_with(start));
        found.flat_map(|line| [line, "\n"]).collect()
    };
    let (codecs, values) = (lines("mod codec_"), lines("mod values_"));
    if codecs.is_empty() || values.is_empty() {
        return Err("what reads and writes is not in modules of its own".to_owned());
    }
    write(&src.join("scale/wire.rs"), &format!("use super::*;\nuse amgi::codegen;\n{codecs}{values}"))
}

fn best_of(mut run: impl FnMut() -> Result<f64, String>) -> Result<f64, String> {
    (0..2).try_fold(f64::MAX, |best, _| Ok(best.min(run()?)))
}

fn table(report: &Report) -> String {
    let mut out = format!(
        "{:<10} {:>8} {:>8} {:>15} {:>13}\n",
        "channels", "seconds", "MiB", "lines/message", "longest file"
    );
    for row in &report.documents {
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "{:<10} {:>8.3} {:>8.1} {:>15.1} {:>13}",
            row.channels, row.seconds, row.mebibytes, row.lines_per_message, row.longest_file
        );
    }
    let Build { channels, without_dispatch, whole, ratio, application } = &report.build;
    let _ = writeln!(
        out,
        "\n{:.0} instructions a message, {:.2} times as many for twice the messages\n\n\
         debug build of {channels} messages, seconds of processor time: {without_dispatch:.2} without dispatch, {whole:.2} \
         with it ({ratio:.2} times), {application:.2} as an application with its handlers",
        report.instructions_per_message, report.instructions_growth,
    );
    out
}
