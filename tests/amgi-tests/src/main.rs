//! Runners over material that is not part of the project: `amgi-tests corpus INDEX`.
//!
//! `corpus` takes a table of AsyncAPI documents (tab-separated, columns `file`, `asyncapi`, `verdict`; files beside it) and
//! generates from every one of the versions that are supported. A document that the official parser calls valid, and that
//! needs no other file, must give code; all of that code together must compile without a warning. No document may panic.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    io::Write as _,
    panic::catch_unwind,
    path::{Path, PathBuf},
    process::ExitCode,
};

use amgi_gen::{Generation, generate, settings::Settings};
use amgi_golden_tests::{cargo, generated_crate, root, shown};

const USAGE: &str = "usage: amgi-tests corpus INDEX.TSV\n";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["corpus", index] => corpus(Path::new(index)),
        _ => Err(USAGE.to_owned()),
    };
    let (text, code) = match result {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(text) => (text, ExitCode::FAILURE),
    };
    // Nobody reads the report of a runner whose output is closed.
    let _ = std::io::stdout().write_all(text.as_bytes());
    code
}

/// A row of the table.
struct Row {
    file: PathBuf,
    shown: String,
    valid: bool,
}

fn rows(index: &Path) -> Result<Vec<Row>, String> {
    let text = fs::read_to_string(index).map_err(|error| format!("{}: {error}\n", index.display()))?;
    let mut lines = text.lines();
    let header: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let column = |name: &str| header.iter().position(|n| *n == name).ok_or(format!("no column `{name}`\n"));
    let (file, version, verdict) = (column("file")?, column("asyncapi")?, column("verdict")?);
    let folder = index.parent().unwrap_or(Path::new(""));
    let rows = lines.map(|line| line.split('\t').collect::<Vec<_>>());
    let supported = rows.filter(|row| {
        row.get(version).is_some_and(|version| version.starts_with("2.") || version.starts_with("3."))
    });
    Ok(supported
        .filter_map(|row| {
            let name = *row.get(file)?;
            let valid = row.get(verdict) == Some(&"valid");
            Some(Row { file: folder.join(name), shown: name.to_owned(), valid })
        })
        .collect())
}

fn corpus(index: &Path) -> Result<String, String> {
    let rows = rows(index)?;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    let mut failures = String::new();
    let mut modules = Vec::new();
    for row in &rows {
        let generation = catch_unwind(|| generate(&row.file, &Settings::default()));
        let verdict = match &generation {
            Err(_) => "panicked",
            Ok(Generation { api: Some(_), .. }) => "generated",
            Ok(found) if needs_others(found) => "needs other files",
            Ok(_) => "refused",
        };
        *counts.entry(verdict).or_default() += 1;
        let wrong = verdict == "panicked" || (row.valid && verdict == "refused");
        if wrong {
            let report =
                generation.as_ref().map(|found| found.sources.report(&found.diagnostics)).unwrap_or_default();
            let _ = writeln!(failures, "{verdict}: {}\n{report}", row.shown);
        }
        if let Ok(Generation { api: Some(api), tokens, .. }) = &generation {
            match amgi_gen::format::module(api, tokens) {
                Ok(text) => modules.push((row.shown.clone(), text)),
                Err(error) => {
                    let _ = writeln!(failures, "{}: {error}", row.shown);
                }
            }
        }
    }
    compile(&modules).unwrap_or_else(|error| failures.push_str(&error));
    let mut report = format!("corpus: {} documents of versions 2 and 3", rows.len());
    for (verdict, count) in counts {
        let _ = write!(report, ", {count} {verdict}");
    }
    let _ = writeln!(report, ", {} modules compile together", modules.len());
    if failures.is_empty() { Ok(report) } else { Err(format!("{failures}{report}")) }
}

/// Whether all that is wrong is that other files are named.
fn needs_others(generation: &Generation) -> bool {
    let errors = generation.diagnostics.iter().filter(|d| d.severity == amgi_gen::diag::Severity::Error);
    errors.map(|d| d.code.name).all(|code| code == "ref-external")
}

fn compile(modules: &[(String, String)]) -> Result<(), String> {
    let folder = generated_crate("corpus");
    let run = || -> std::io::Result<_> {
        fs::create_dir_all(folder.join("src"))?;
        let manifest = format!(
            "[package]\nname = \"corpus\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[dependencies]\namgi = {{ path = {:?} }}\n\n[workspace]\n",
            root().join("runtime/amgi").display().to_string()
        );
        fs::write(folder.join("Cargo.toml"), manifest)?;
        let mut lib = "//! Every document.\n#![deny(warnings, missing_docs, unreachable_pub)]\n".to_owned();
        for (index, (name, text)) in modules.iter().enumerate() {
            let _ = writeln!(lib, "/// `{name}`\npub mod m{index};");
            fs::write(folder.join(format!("src/m{index}.rs")), text)?;
        }
        fs::write(folder.join("src/lib.rs"), lib)?;
        Ok(cargo(&folder, &["check", "--quiet"]))
    };
    let output = run().map_err(|error| format!("{}: {error}\n", folder.display()))?;
    if output.status.success() { Ok(()) } else { Err(shown(&output)) }
}
