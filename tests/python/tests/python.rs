//! An application in Rust as a module of Python: built as a wheel, installed into a clean environment, tested by pytest with
//! what AsyncFast's own tests ask, and run by every AMGI server of Python.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use amgi_brokers_tests::{
    Emulator, Kafka, Mosquitto, NatsServer, RabbitMq, RedisServer, Sqs, install, python_servers,
    python_tools, wheel,
};

/// A folder of this run.
fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Runs a program; its standard output.
fn run(command: &mut Command) -> String {
    let output = command.output().expect("the program is started");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{err}", output.status);
    out.into_owned()
}

/// A folder that Python finds the modules of these tests in: `mirror` and `amgi_rs`.
fn site() -> &'static Path {
    static SITE: OnceLock<PathBuf> = OnceLock::new();
    SITE.get_or_init(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let site = folder("site");
        let wheels = [("mirror", "mirror"), ("amgi-rs", "../../runtime/amgi-rs-python")];
        install(
            &wheels.map(|(name, package)| {
                wheel(&here.join(package).join("Cargo.toml"), &[], &folder("wheels").join(name))
            }),
            &site,
        );
        site
    })
}

/// Runs the tests of a folder; every one of them passes.
fn pytest(python: &Path, folder: &str, environment: &[(&str, String)]) {
    let mut pytest = Command::new(python);
    pytest.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto"]);
    pytest.args(["-o", "asyncio_default_fixture_loop_scope=function"]);
    pytest.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder));
    pytest.env("PYTHONPATH", site()).env("PYTHONDONTWRITEBYTECODE", "1");
    pytest.envs(environment.iter().map(|(name, value)| (name, value)));
    let said = run(&mut pytest);
    assert!(said.contains(" passed") && !said.contains("skipped"), "{said}");
}

#[test]
fn what_asyncfasts_tests_ask() {
    pytest(&python_tools(), "asked", &[]);
}

#[test]
fn on_every_server() {
    let (kafka, rabbitmq) = (Kafka::shared(), RabbitMq::shared());
    let (mosquitto, redis, sqs) = (Mosquitto::start(), RedisServer::start(), Sqs::start(Emulator::Fauxqs));
    let nats = NatsServer::start();
    let environment = [
        ("MIRROR_KAFKA", kafka.servers().to_owned()),
        ("MIRROR_MQTT", format!("127.0.0.1:{}", mosquitto.port())),
        ("MIRROR_REDIS", redis.url()),
        ("MIRROR_AMQP", rabbitmq.url()),
        ("MIRROR_NATS", nats.url()),
        ("MIRROR_SQS", format!("http://127.0.0.1:{}", sqs.port())),
    ];
    pytest(&python_servers(), "servers", &environment);
}
