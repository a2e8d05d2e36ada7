//! Helpers for tests of generated code: where things lie, and running cargo on a generated crate.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output},
};

use amgi_gen::settings::{Config, Settings};

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").components().collect()
}

/// Cargo's build folder, and the place for crates that tests generate.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// A folder for a generated crate of that name.
pub fn generated_crate(name: &str) -> PathBuf {
    target().join("generated-crates").join(name)
}

/// Every document in `specs/`, sorted: files in it, and `NAME/NAME.yaml` of those that come with others.
///
/// # Panics
/// When the folder cannot be read.
pub fn specs() -> Vec<PathBuf> {
    let folder = root().join("specs");
    let mut specs: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .map(|path| match path.file_name() {
            Some(name) if path.is_dir() => path.join(name).with_extension("yaml"),
            _ => path,
        })
        .filter(|path| path.is_file())
        .filter(|path| path.extension().is_some_and(|ext| ext == "yaml" || ext == "json"))
        .collect();
    specs.sort();
    assert!(!specs.is_empty(), "no documents in {}", folder.display());
    specs
}

/// The generated module of a document, formatted, with its header.
///
/// # Panics
/// When the document has errors.
pub fn module(spec: &Path) -> (String, String) {
    let generation = amgi_gen::generate(spec, &Settings::of(spec, &Config::Beside));
    let report = generation.sources.report(&generation.diagnostics);
    let Some(api) = &generation.api else { panic!("{} has errors:\n{report}", spec.display()) };
    let text = amgi_gen::format::module(api).unwrap_or_else(|e| panic!("{}: {e}", spec.display()));
    (api.name.clone(), text)
}

/// Runs cargo in a generated crate, with the workspace's lock file so that nothing else is built than what is known, and
/// a build folder that all generated crates share.
///
/// # Panics
/// When cargo cannot be started or the lock file cannot be copied.
pub fn cargo(folder: &Path, args: &[&str]) -> Output {
    let lock = folder.join("Cargo.lock");
    if !lock.exists() {
        std::fs::copy(root().join("Cargo.lock"), &lock).expect("the lock file can be copied");
    }
    Command::new(env!("CARGO"))
        .args(args)
        .current_dir(folder)
        .env("CARGO_TARGET_DIR", generated_target())
        .env_remove("RUSTFLAGS")
        .env("CARGO_TERM_COLOR", "never")
        .output()
        .expect("cargo runs")
}

/// Where generated crates are built: one folder for all, so that the runtime is built once.
pub fn generated_target() -> PathBuf {
    target().join("generated")
}

/// Standard output and error of a command, for messages.
pub fn shown(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
