//! Running benchmarks under valgrind, and saying what they counted.

pub mod command;
pub mod counts;

use std::{
    fs,
    io::{self, Write as _},
    process::ExitCode,
};

use serde::Serialize;

/// Messages in the run `base` of a benchmark.
pub const MESSAGES: usize = 1000;

/// Writes what was measured to `target/bench/NAME.json`.
///
/// # Errors
/// When the system refuses.
pub fn report(name: &str, report: &impl Serialize) -> Result<(), String> {
    let file = command::target().join(format!("bench/{name}.json"));
    let text = serde_json::to_string_pretty(report).map_err(|error| error.to_string())? + "\n";
    fs::create_dir_all(file.parent().unwrap_or(&file))
        .and_then(|()| fs::write(&file, text))
        .map_err(|error| format!("{}: {error}", file.display()))
}

/// The end of a program that has measured: its table goes to standard output, the rest to standard error. It has failed when a
/// bound is exceeded, or nobody reads the table.
pub fn finish(table: &str, warnings: &[String], exceeded: &[String]) -> ExitCode {
    let written = io::stdout().lock().write_all(table.as_bytes());
    let mut rest = String::new();
    for (word, problems) in [("warning", warnings), ("exceeded", exceeded)] {
        rest.extend(problems.iter().map(|problem| format!("{word}: {problem}\n")));
    }
    tell(&rest);
    if written.is_ok() && exceeded.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The end of a program that could not measure.
pub fn fail(problem: &str) -> ExitCode {
    tell(&format!("error: {problem}\n"));
    ExitCode::FAILURE
}

fn tell(text: &str) {
    // There is nobody left to tell when standard error is closed.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}
