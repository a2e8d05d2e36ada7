//! Wheels, and the interpreters that tests run them with.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use amgi_gen::settings::{Runtime, Settings};
use amgi_golden_tests::{generated_crate, root, target};

/// A folder of this run.
pub fn folder(name: &str) -> PathBuf {
    target().join("tmp/python").join(name)
}

/// Runs a program; its standard output.
///
/// # Panics
/// When that fails.
pub fn run(command: &mut Command) -> String {
    let output = command.output().expect("the program is started");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// The wheel of a crate. One build folder for all, so that the runtime is built once.
///
/// # Panics
/// When that fails.
pub fn wheel(manifest: &Path, name: &str) -> PathBuf {
    let target = target().display().to_string();
    amgi_brokers_tests::wheel(manifest, &["--target-dir", &target], &folder("wheels").join(name))
}

/// The interpreter of an environment in which nothing is but a wheel and what that asks for: `packages`.
///
/// # Panics
/// When that fails.
pub fn environment(name: &str, wheel: &Path, packages: &[&str]) -> PathBuf {
    let environment = folder(name);
    let _ = fs::remove_dir_all(&environment);
    run(Command::new("python3").args(["-m", "venv"]).arg(&environment));
    let interpreter = environment.join("bin/python3");
    let pip = |args: &[&str]| {
        let mut pip = Command::new(&interpreter);
        pip.args(["-m", "pip", "--disable-pip-version-check"]).args(args);
        pip
    };
    run(pip(&["install", "--quiet"]).arg(wheel));
    let installed = run(&mut pip(&["list", "--format", "freeze"]));
    let names = installed.lines().filter_map(|line| line.split("==").next());
    let names: Vec<&str> = names.filter(|name| !["pip", "setuptools"].contains(name)).collect();
    assert_eq!(names, packages, "{installed}");
    interpreter
}

/// Runs the tests of a folder, which find modules on this path; every one of them passes.
///
/// # Panics
/// When that fails.
pub fn pytest(python: &Path, folder: &str, path: &[&Path], environment: &[(&str, String)]) {
    let mut pytest = Command::new(python);
    pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto"]);
    pytest.args(["-o", "asyncio_default_fixture_loop_scope=function"]);
    pytest.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    let path = std::env::join_paths(path).expect("a path");
    pytest.env("PYTHONPATH", path).env("PYTHONDONTWRITEBYTECODE", "1");
    pytest.envs(environment.iter().map(|(name, value)| (name, value)));
    let said = run(&mut pytest);
    assert!(said.contains(" passed") && !said.contains("skipped"), "{said}");
}

/// Writes the crate of a document, as `amgi-gen DOCUMENT -o FOLDER --python` does; its manifest. It has no errors.
///
/// # Panics
/// When that fails.
pub fn generate(document: &Path, name: &str) -> PathBuf {
    let folder = generated_crate("python").join(name);
    let _ = fs::remove_dir_all(&folder);
    let runtime = Runtime::Path(root().join("runtime"));
    let settings = Settings { runtime, python: true, ..Settings::default() };
    let generation = amgi_gen::generate(document, &settings);
    let said = generation.sources.report(&generation.diagnostics);
    assert!(generation.api.is_some(), "{}:\n{said}", document.display());
    let plan = amgi_gen::plan::crate_files(&generation, &settings, &folder).expect("a plan");
    let changes = amgi_gen::write::compare(&folder, plan).expect("a comparison");
    amgi_gen::write::apply(&changes).expect("the files are written");
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).expect("the lock file can be copied");
    folder.join("Cargo.toml")
}
