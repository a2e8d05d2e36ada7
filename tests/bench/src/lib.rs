//! Running benchmarks under valgrind, and saying what they counted.

pub mod command;
pub mod counts;

use std::fs;

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
