//! Real brokers for tests: started on a free port of the loopback interface, with a directory of their own, and stopped by pid
//! when they are dropped, also when a test fails.
//!
//! What must hold: a broker that is not installed is a failure that says what to install, never a test that passes unseen.

mod agents;
mod app;
mod authority;
mod collector;
mod door;
mod installed;
pub mod kafka;
mod lambda;
mod mosquitto;
mod nats_server;
mod peer;
mod process;
pub mod rabbitmq;
mod redis_server;
pub mod sqs;
mod subjects;
mod websockets;
mod wheels;

pub use self::{
    agents::Agents,
    app::{App, Ready, Running, channel, failed, init_logs, rejected},
    authority::{Authority, Certified},
    collector::{Collector, Span},
    door::Door,
    installed::{python, python_servers},
    kafka::{Kafka, SecureKafka},
    lambda::{Function, FunctionError, RuntimeApi, sam_python},
    mosquitto::Mosquitto,
    nats_server::NatsServer,
    peer::{Peer, Seen},
    process::Process,
    rabbitmq::RabbitMq,
    redis_server::RedisServer,
    sqs::{Emulator, Sqs},
    subjects::{Amqp, Http, KafkaSubject, Memory, Mqtt, Nats, Placed, Redis, SqsSubject, differing_pages},
    websockets::WebSockets,
    wheels::{install, python_tools, wheel},
};

use std::{
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Longest time that a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(15);

/// Waits for `future`, but not forever.
///
/// # Panics
/// When it takes too long; `what` says what was waited for.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.unwrap_or_else(|_| panic!("waited {PATIENCE:?} in vain for {what}"))
}

/// Where Debian puts a broker's program; `PATH` of a user often lacks `/usr/sbin`.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/usr/local/sbin".into()])
        .map(|dir| dir.join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            let package = match name {
                "mosquitto_pub" => "mosquitto-clients",
                "java" => "openjdk-17-jre-headless",
                "mvn" => "maven",
                "epmd" => "rabbitmq-server",
                "node" => "nodejs",
                "python3" => "python3 python3-venv",
                other => other,
            };
            panic!("`{name}` is not installed; on Debian: apt-get install {package}")
        })
}

/// The folder where what tests fetch is kept.
fn cache() -> PathBuf {
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    cache
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .expect("HOME is set")
        .join("amgi-gen")
}

/// A port that is free when we look; another process may take it before the broker does.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port").port()
}

/// Starts a broker and waits until it listens; `None` when it ends instead.
fn launch(mut command: Command, port: u16) -> Option<Child> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the broker is started");
    let since = Instant::now();
    while since.elapsed() < PATIENCE {
        if TcpStream::connect(("127.0.0.1", port)).is_ok() {
            return Some(child);
        }
        if child.try_wait().expect("its state").is_some() {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    let _ = child.kill();
    let _ = child.wait();
    None
}
