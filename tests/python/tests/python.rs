//! An application in Rust as a module of Python: built as a wheel, installed into a clean environment, tested by pytest with
//! what AsyncFast's own tests ask, and run by every AMGI server of Python.

mod common;

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use amgi_brokers_tests::{
    Emulator, Kafka, Mosquitto, NatsServer, RabbitMq, RedisServer, Sqs, install, python_servers, python_tools,
};
use common::{folder, pytest, wheel};

/// A folder that Python finds the modules of these tests in: `mirror` and `amgi_rs`.
fn site() -> &'static Path {
    static SITE: OnceLock<PathBuf> = OnceLock::new();
    SITE.get_or_init(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let wheels = [("mirror", "mirror"), ("amgi-rs", "../../runtime/amgi-rs-python")];
        let wheels = wheels.map(|(name, package)| wheel(&here.join(package).join("Cargo.toml"), name));
        let site = folder("site");
        install(&wheels, &site);
        site
    })
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
