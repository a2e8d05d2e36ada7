//! An application in Rust as a module of Python: built as a wheel, installed into a clean environment, tested by pytest with
//! what AsyncFast's own tests ask, and run by every AMGI server of Python.

mod common;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use amgi_brokers_tests::{Emulator, Kafka, Mosquitto, RabbitMq, RedisServer, Sqs, python_servers};
use common::{folder, run, tools, wheel};

/// A folder that Python finds the module `mirror` in.
fn mirror() -> &'static Path {
    static MIRROR: OnceLock<PathBuf> = OnceLock::new();
    MIRROR.get_or_init(|| {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("mirror/Cargo.toml");
        installed(&wheel(&manifest, "mirror"), "site")
    })
}

/// Installs a wheel into a folder of its own.
fn installed(wheel: &Path, name: &str) -> PathBuf {
    let folder = folder(name);
    let _ = fs::remove_dir_all(&folder);
    let mut pip = Command::new(tools());
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"]);
    run(pip.arg(&folder).arg(wheel));
    folder
}

/// Runs the tests of a folder; every one of them passes.
fn pytest(python: &Path, folder: &str, environment: &[(&str, String)]) {
    let mut pytest = Command::new(python);
    pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto"]);
    pytest.args(["-o", "asyncio_default_fixture_loop_scope=function"]);
    pytest.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    pytest.env("PYTHONPATH", mirror()).env("PYTHONDONTWRITEBYTECODE", "1");
    pytest.envs(environment.iter().map(|(name, value)| (name, value)));
    let said = run(&mut pytest);
    assert!(said.contains(" passed") && !said.contains("skipped"), "{said}");
}

#[test]
fn what_asyncfasts_tests_ask() {
    pytest(&tools(), "asked", &[]);
}

#[test]
fn every_server_of_python_runs_it() {
    let (kafka, rabbitmq) = (Kafka::shared(), RabbitMq::shared());
    let (mosquitto, redis, sqs) = (Mosquitto::start(), RedisServer::start(), Sqs::start(Emulator::Fauxqs));
    let environment = [
        ("MIRROR_KAFKA", kafka.servers().to_owned()),
        ("MIRROR_MQTT", format!("127.0.0.1:{}", mosquitto.port())),
        ("MIRROR_REDIS", redis.url()),
        ("MIRROR_AMQP", rabbitmq.url()),
        ("MIRROR_SQS", format!("http://127.0.0.1:{}", sqs.port())),
    ];
    pytest(&python_servers(), "servers", &environment);
}
