//! Runs a command with the brokers that take long to start, and stops them after it.
//!
//! `with-brokers -- COMMAND [ARGUMENT]…` gives the command their addresses in the environment (`AMGI_TEST_KAFKA`,
//! `AMGI_TEST_RABBITMQ`), and ends with its exit code. A broker that the environment names already is not started.

use std::process::{ExitCode, ExitStatus};

use amgi_brokers_tests::{Kafka, RabbitMq, kafka, rabbitmq};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    signal::unix::{SignalKind, signal},
};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1).skip_while(|word| word == "--");
    let Some(program) = words.next() else {
        tracing_subscriber::fmt().init();
        tracing::error!("usage: with-brokers -- COMMAND [ARGUMENT]…");
        return ExitCode::from(2);
    };
    // Caught from here on, so that brokers never outlive this process.
    let mut interrupt = signal(SignalKind::interrupt()).expect("a handler for SIGINT");
    let mut terminate = signal(SignalKind::terminate()).expect("a handler for SIGTERM");
    let mut starting = tokio::task::spawn_blocking(|| {
        let rabbitmq = std::thread::spawn(RabbitMq::shared);
        (Kafka::shared(), rabbitmq.join().expect("RabbitMQ starts"))
    });
    let (kafka, rabbitmq) = tokio::select! {
        brokers = &mut starting => brokers.expect("the brokers start"),
        _ = interrupt.recv() => return stopped(starting.await),
        _ = terminate.recv() => return stopped(starting.await),
    };
    let mut child = Command::new(&program)
        .args(words)
        .env(kafka::VARIABLE, kafka.servers())
        .env(rabbitmq::VARIABLE, rabbitmq.port().to_string())
        .spawn()
        .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
    let status = loop {
        tokio::select! {
            status = child.wait() => break status.expect("the command's end"),
            // The terminal has told the command, too.
            _ = interrupt.recv() => {}
            _ = terminate.recv() => terminated(&child),
        }
    };
    drop((kafka, rabbitmq));
    code(status)
}

/// Asked to stop before the command began: the brokers end with their last user.
fn stopped<T>(brokers: T) -> ExitCode {
    drop(brokers);
    ExitCode::from(130)
}

fn terminated(child: &Child) {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::TERM);
    }
}

/// As a shell has it.
fn code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt as _;
    let signal = || status.signal().map_or(1, |signal| 128 + signal);
    ExitCode::from(u8::try_from(status.code().unwrap_or_else(signal)).unwrap_or(1))
}
