//! Wheels, and the interpreters that tests run them with.

#![allow(dead_code)] // each test uses a part

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use amgi_brokers_tests::python;
use amgi_gen::settings::{Runtime, Settings};
use amgi_golden_tests::{generated_crate, root, target};

/// What the tests are run with: the newest pytest-amgi, and what it takes.
pub(crate) fn tools() -> PathBuf {
    let packages = "maturin==1.16.0 pytest==9.2.0 pytest-asyncio==1.5.0 pytest-amgi==0.47.0";
    python("python-tests-1.16.0-9.2.0-1.5.0-0.47.0", packages, "").join("bin/python3")
}

/// A folder of this run.
pub(crate) fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Runs a program; its standard output.
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().expect("the program is started");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// The wheel of a crate.
pub(crate) fn wheel(manifest: &Path, name: &str) -> PathBuf {
    let out = folder("wheels").join(name);
    let _ = fs::remove_dir_all(&out);
    let mut command = Command::new(tools());
    command.args(["-m", "maturin", "build", "--quiet", "--compatibility", "linux", "--manifest-path"]);
    // One build folder for all, so that the runtime is built once.
    command.arg(manifest).arg("--out").arg(&out).env("CARGO_TARGET_DIR", target());
    run(&mut command);
    let wheels: Vec<PathBuf> = fs::read_dir(&out)
        .expect("the folder of wheels")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    let [wheel] = &wheels[..] else { panic!("{wheels:?} is not one wheel") };
    wheel.clone()
}

/// Writes the crate of a document, as `amgi-gen DOCUMENT -o FOLDER --python` does; its manifest. What the generator has to say is an
/// error here.
pub(crate) fn generate(document: &Path, name: &str) -> PathBuf {
    let folder = generated_crate("python").join(name);
    let _ = fs::remove_dir_all(&folder);
    let runtime = Runtime::Path(root().join("runtime"));
    let settings = Settings { runtime, python: true, ..Settings::default() };
    let generation = amgi_gen::generate(document, &settings);
    let said = generation.sources.report(&generation.diagnostics);
    assert!(said.is_empty(), "{}:\n{said}", document.display());
    let plan = amgi_gen::plan::crate_files(&generation, &settings, &folder).expect("a plan");
    let changes = amgi_gen::write::compare(&folder, plan).expect("a comparison");
    amgi_gen::write::apply(&changes).expect("the files are written");
    fs::copy(root().join("Cargo.lock"), folder.join("Cargo.lock")).expect("the lock file can be copied");
    folder.join("Cargo.toml")
}
