//! The command beside `AsyncAPI` Modelina's Rust generator, on the same document, in one run.
//!
//! `cargo run -p amgi-bench-codegen --bin modelina -- DOCUMENT`. Needs node and npm; Modelina is installed into the user's cache
//! directory. Both are measured as whole processes, the fastest of some runs each; Modelina writes types only.

#![allow(clippy::print_stdout, clippy::print_stderr)] // this is a program, its output is for people

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
    time::Instant,
};

use amgi_bench::{
    command::{cargo, output, root, target},
    fail,
};
use serde_json::json;

/// Modelina, as it is compared with.
const MODELINA: &str = "@asyncapi/modelina@5.10.1";
/// How much faster the command must be.
const LEAST: f64 = 50.0;
const RUNS: usize = 5;

/// Makes Rust models of a document, which Modelina reads with the official parser. It knows versions up to 3.0, and takes a
/// newer document for a schema that says nothing: what 3.1 adds has nothing to do with models.
const SCRIPT: &str = r"
const { readFileSync } = require('node:fs');
const { load } = require('js-yaml');
const { RustGenerator } = require('@asyncapi/modelina');
(async () => {
  const document = load(readFileSync(process.argv[2], 'utf8'));
  if (/^3\./.test(document.asyncapi)) document.asyncapi = '3.0.0';
  const models = await new RustGenerator().generate(document);
  if (!models.some((model) => model.result)) throw new Error('no models');
  console.log(models.length);
})().catch((error) => { console.error(error); process.exit(1); });
";

fn main() -> ExitCode {
    let Some(document) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: modelina DOCUMENT");
        return ExitCode::from(2);
    };
    match compare(&document) {
        Ok(ratio) if ratio >= LEAST => ExitCode::SUCCESS,
        Ok(_) => fail(&format!("less than {LEAST} times as fast")),
        Err(problem) => fail(&problem),
    }
}

fn compare(document: &Path) -> Result<f64, String> {
    let document = document.canonicalize().map_err(|error| format!("{}: {error}", document.display()))?;
    let script = install()?;
    output(cargo(&["build", "--release", "--quiet", "-p", "amgi-gen", "--features", "cli"]))?;
    let folder = target().join("bench/modelina");
    let (mut ours, mut theirs, mut models) = (f64::MAX, f64::MAX, String::new());
    for _ in 0..RUNS {
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        let mut command = Command::new(target().join("release/amgi-gen"));
        command
            .arg(&document)
            .arg("-o")
            .arg(&folder)
            .arg("--quiet")
            .arg("--runtime")
            .arg(root().join("runtime"));
        ours = ours.min(seconds(command)?.0);
        let mut command = Command::new("node");
        command.arg(&script).arg(&document);
        let (time, said) = seconds(command)?;
        theirs = theirs.min(time);
        models = said;
    }
    let ratio = theirs / ours;
    println!("{}", document.display());
    println!("amgi-gen  {ours:>8.4} s, a crate");
    println!("Modelina  {theirs:>8.4} s, {} models ({MODELINA})", models.trim());
    println!("ratio     {ratio:>8.1}");
    let report = json!({
        "document": document,
        "modelina": MODELINA,
        "seconds": {"amgi-gen": ours, "modelina": theirs},
        "ratio": ratio,
    });
    amgi_bench::report("modelina", &report)?;
    Ok(ratio)
}

fn seconds(command: Command) -> Result<(f64, String), String> {
    let start = Instant::now();
    let said = output(command)?;
    Ok((start.elapsed().as_secs_f64(), said))
}

/// Installs Modelina where it is not there yet; gives the script.
fn install() -> Result<PathBuf, String> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache")))
        .ok_or("neither XDG_CACHE_HOME nor HOME is set")?;
    let folder = cache.join("amgi-gen/modelina");
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let script = folder.join("generate.cjs");
    fs::write(&script, SCRIPT).map_err(|error| format!("{}: {error}", script.display()))?;
    let manifest = folder.join("node_modules/@asyncapi/modelina/package.json");
    let wanted = MODELINA.rsplit('@').next().unwrap_or_default();
    let installed =
        fs::read_to_string(manifest).is_ok_and(|text| text.contains(&format!("\"version\": \"{wanted}\"")));
    if !installed {
        let mut command = Command::new("npm");
        command.current_dir(&folder).args([
            "install",
            "--no-audit",
            "--no-fund",
            "--prefix",
            ".",
            MODELINA,
            "js-yaml@4",
        ]);
        output(command)?;
    }
    Ok(script)
}
