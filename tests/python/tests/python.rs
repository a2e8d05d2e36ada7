//! An application in Rust as a module of Python: built as a wheel, installed into a clean environment, tested by pytest with
//! what AsyncFast's own tests ask, and run by every AMGI server of Python.

mod common;

use std::{
    path::{Path, PathBuf},
    sync::OnceLock,
};

use amgi_brokers_tests::{Emulator, Kafka, Mosquitto, RabbitMq, RedisServer, Sqs, python_servers};
use common::{installed, pytest, tools, wheel};

/// A folder that Python finds the module `mirror` in.
fn mirror() -> &'static Path {
    static MIRROR: OnceLock<PathBuf> = OnceLock::new();
    MIRROR.get_or_init(|| {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("mirror/Cargo.toml");
        installed(&wheel(&manifest, "mirror"), "site")
    })
}

#[test]
fn what_asyncfasts_tests_ask() {
    pytest(&tools(), "asked", &[mirror()], &[]);
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
    pytest(&python_servers(), "servers", &[mirror()], &environment);
}
