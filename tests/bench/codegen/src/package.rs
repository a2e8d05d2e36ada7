//! Packages that the command writes, and what compiling them costs.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use amgi_bench::command::{cargo, cpu, output, root, target};

/// The command, built as it is released.
///
/// # Errors
/// When it does not compile.
pub fn generator() -> Result<PathBuf, String> {
    output(cargo(&["build", "--release", "--quiet", "-p", "amgi-gen", "--features", "cli"]))?;
    Ok(target().join("release/amgi-gen"))
}

/// The command line that makes a package of a document, with the words of another program before it, and the package's
/// folder, which is named as the document is.
#[must_use]
pub fn generating(generator: &Path, document: &Path, name: &str, before: &[&str]) -> (Command, PathBuf) {
    let out = document.with_extension("");
    let mut words: Vec<&Path> = before.iter().map(Path::new).collect();
    words.push(generator);
    let mut command = Command::new(words[0]);
    command.args(&words[1..]).arg(document).arg("-o").arg(&out);
    command.args(["--name", name, "--quiet", "--runtime"]).arg(root().join("runtime"));
    (command, out)
}

/// Removes a folder where there is one.
///
/// # Errors
/// When the system refuses.
pub fn clear(folder: &Path) -> Result<(), String> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    Ok(())
}

/// The text of a file.
///
/// # Errors
/// When it cannot be read.
pub fn read(file: &Path) -> Result<String, String> {
    fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// Writes a file, and the folders above it.
///
/// # Errors
/// When the system refuses.
pub fn write(file: &Path, text: &str) -> Result<(), String> {
    let folder = file.parent().unwrap_or(file);
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(file, text))
        .map_err(|error| format!("{}: {error}", file.display()))
}

/// Seconds of processor time of a debug build of a package whose dependencies are built: `what` is `--lib` or `--bins`.
/// The package itself is compiled whether or not it has changed.
///
/// # Errors
/// When it does not compile.
pub fn compile(package: &Path, what: &str) -> Result<f64, String> {
    let lock = package.join("Cargo.lock");
    if !lock.exists() {
        fs::copy(root().join("Cargo.lock"), &lock).map_err(|error| format!("{}: {error}", lock.display()))?;
    }
    // Cargo looks at the time of the file.
    let library = package.join("src/lib.rs");
    write(&library, &read(&library)?)?;
    let mut command = cargo(&["build", "--quiet", what]);
    command
        .current_dir(package)
        .env("CARGO_TARGET_DIR", target().join("bench/build"))
        .env("CARGO_INCREMENTAL", "0")
        .env_remove("RUSTFLAGS");
    // A debug build as Cargo has it, whatever somebody's shell says of profiles.
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("CARGO_PROFILE_")) {
            command.env_remove(name);
        }
    }
    cpu(&command)
}
