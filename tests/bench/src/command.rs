//! Running other programs.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Top folder of the project.
#[must_use]
pub fn root() -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    path.canonicalize().unwrap_or(path)
}

/// Cargo's build folder.
#[must_use]
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Cargo in the top folder.
#[must_use]
pub fn cargo(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(args);
    command
}

/// What a command prints.
///
/// # Errors
/// When it cannot be started or fails; its standard error is shown as it comes.
pub fn output(mut command: Command) -> Result<String, String> {
    let output =
        command.stderr(Stdio::inherit()).output().map_err(|error| format!("{command:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{command:?}: {}", output.status));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Seconds of processor time that a command and all it starts take, as bash counts them.
///
/// # Errors
/// When it cannot be started or fails, or bash is missing.
pub fn cpu(command: &Command) -> Result<f64, String> {
    let mut timed = Command::new("bash");
    timed.args(["-c", "TIMEFORMAT='%U %S'; { time \"$@\" 1>&2 2>&3; } 3>&2 2>&1", "bash"]);
    timed.arg(command.get_program()).args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        timed.current_dir(folder);
    }
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => timed.env(name, value),
            None => timed.env_remove(name),
        };
    }
    let text = output(timed)?;
    let seconds: Option<Vec<f64>> = text.split_whitespace().map(|number| number.parse().ok()).collect();
    match seconds.as_deref() {
        Some([user, system]) => Ok(user + system),
        _ => Err(format!("`time` of bash said `{}`", text.trim())),
    }
}
