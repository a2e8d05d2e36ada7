//! An application in Rust as a module of Python: built as a wheel, installed into a clean environment, tested by pytest with
//! what AsyncFast's own tests ask, and run by every AMGI server of Python.

use std::{
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

use amgi_brokers_tests::{
    Emulator, Kafka, Mosquitto, NatsServer, RabbitMq, RedisServer, Sqs, install, python_servers, python_tools,
};
use amgi_python_tests::{environment, folder, pytest, run, wheel};

fn built(name: &str, package: &str) -> PathBuf {
    wheel(&Path::new(env!("CARGO_MANIFEST_DIR")).join(package).join("Cargo.toml"), name)
}

fn amgi_rs() -> &'static Path {
    static WHEEL: OnceLock<PathBuf> = OnceLock::new();
    WHEEL.get_or_init(|| built("amgi-rs", "../../runtime/amgi-rs-python"))
}

/// A folder that Python finds the modules of these tests in: `mirror` and `amgi_rs`.
fn site() -> &'static Path {
    static SITE: OnceLock<PathBuf> = OnceLock::new();
    SITE.get_or_init(|| {
        let site = folder("site");
        install(&[built("mirror", "mirror"), amgi_rs().to_owned()], &site);
        site
    })
}

#[test]
fn a_clean_environment_takes_amgi_rs() {
    const SCRIPT: &str = "
import asyncio
from importlib.metadata import entry_points
from amgi_rs import SendError, amqp, kafka, mqtt, nats, redis, sqs

async def app(scope, receive, send):
    raise RuntimeError('not called')

commands = entry_points(group='amgi_server')
assert all(callable(command.load()) for command in commands)
try:
    asyncio.run(mqtt.Server(app, 'a', '127.0.0.1', 1).serve())
except ConnectionError:
    print(issubclass(SendError, OSError), sorted(commands.names))
";
    let interpreter = environment("clean-amgi-rs", amgi_rs(), &["amgi-rs", "amgi-types"]);
    let commands = ["amqp", "kafka", "mqtt", "nats", "redis", "sqs"].map(|name| format!("'amgi-rs-{name}'"));
    let said = run(Command::new(interpreter).args(["-c", SCRIPT]));
    assert_eq!(said, format!("True [{}]\n", commands.join(", ")));
}

#[test]
fn what_asyncfasts_tests_ask() {
    pytest(&python_tools(), "asked", &[site()], &[]);
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
    pytest(&python_servers(), "servers", &[site()], &environment);
}
