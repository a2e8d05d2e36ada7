//! What tests fetch, kept in the user's cache folder under a name that has its version.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::{Mutex, PoisonError},
};

use crate::{cache, program};

/// A folder of the cache with packages of `PyPI`, as `pip install` has them; `then` is done in it when they are there. Its
/// `bin/python3` runs them: scripts name the folder that they were installed to, which was another one.
///
/// # Panics
/// When they cannot be installed.
pub fn python(name: &str, packages: &str, then: &str) -> PathBuf {
    installed(name, |dir| {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!(
            "{} -m venv {dir} && {dir}/bin/pip install --quiet --disable-pip-version-check {packages} && cd {dir} && {then}",
            program("python3").display(),
            dir = dir.display(),
            then = if then.is_empty() { "true" } else { then },
        ));
        shell
    })
}

/// A folder of the cache that `install` fills once.
pub(crate) fn installed(name: &str, install: impl FnOnce(&Path) -> Command) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let dir = cache().join(name);
    if dir.is_dir() {
        return dir;
    }
    let fresh = cache().join(format!("{name}.{}", std::process::id()));
    fs::create_dir_all(&fresh).expect("a folder in the cache");
    let output = install(&fresh).output().expect("the installer is started");
    assert!(
        output.status.success(),
        "{name}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    // Another process may have been faster.
    if fs::rename(&fresh, &dir).is_err() {
        let _ = fs::remove_dir_all(&fresh);
    }
    assert!(dir.is_dir(), "{} is not there", dir.display());
    dir
}

/// An interpreter that has the AMGI servers of Python, the newest that resolve together, `asyncfast run`, and pytest.
///
/// # Panics
/// When they cannot be installed.
pub fn python_servers() -> PathBuf {
    const VERSION: &str = "0.49.0";
    let servers = [
        "amgi-aio-pika",
        "amgi-aiobotocore",
        "amgi-aiokafka",
        "amgi-cloudevents",
        "amgi-kafka-event-source-mapping",
        "amgi-paho-mqtt",
        "amgi-redis",
        "amgi-sqs-event-source-mapping",
        "asyncfast",
    ];
    let packages = servers.map(|name| format!("{name}=={VERSION}")).join(" ");
    // The command line is older than what it runs, and says that it needs what is as old.
    let command =
        "bin/python3 -m pip install --quiet --disable-pip-version-check --no-deps asyncfast-cli==0.47.0";
    python(
        &format!("python-servers-{VERSION}"),
        &format!("{packages} boto3 nats-py uvicorn typer pytest==9.2.0 pytest-asyncio==1.5.0"),
        command,
    )
    .join("bin/python3")
}
