//! Applications in Rust as modules of Python: built as wheels, and installed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use crate::python;

/// An interpreter that has maturin, and what wheels are tested with: pytest, and the newest pytest-amgi with what it takes.
///
/// # Panics
/// When they cannot be installed.
pub fn python_tools() -> PathBuf {
    let packages = "maturin==1.16.0 pytest==9.2.0 pytest-asyncio==1.5.0 pytest-amgi==0.47.0";
    python("python-tests-1.16.0-9.2.0-1.5.0-0.47.0", packages, "").join("bin/python3")
}

/// Builds the wheel of the crate that has this manifest, into `out`, which holds nothing else afterwards; `options` are maturin's.
///
/// # Panics
/// When that fails.
pub fn wheel(manifest: &Path, options: &[&str], out: &Path) -> PathBuf {
    let _ = fs::remove_dir_all(out);
    let mut maturin = Command::new(python_tools());
    maturin.args(["-m", "maturin", "build", "--quiet", "--compatibility", "linux"]).args(options);
    run(maturin.arg("--manifest-path").arg(manifest).arg("--out").arg(out));
    let wheels: Vec<PathBuf> = fs::read_dir(out)
        .expect("the folder of wheels")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    let [wheel] = &wheels[..] else { panic!("{wheels:?} is not one wheel") };
    wheel.clone()
}

/// Installs wheels, without what they need, into a folder for `PYTHONPATH`, which holds nothing else afterwards.
///
/// # Panics
/// When that fails.
pub fn install(wheels: &[PathBuf], folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    let mut pip = Command::new(python_tools());
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"]);
    run(pip.arg(folder).args(wheels));
}

/// Runs a program that succeeds.
fn run(command: &mut Command) {
    let output = command.output().expect("the program is started");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
}
