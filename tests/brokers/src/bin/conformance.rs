//! `conformance`: runs the suite on every server, prints the table, and what is broken. With `--write`, puts the expected table into
//! the README and the reasons into the servers' pages; a test keeps them there.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use amgi_brokers_tests::{
    Amqp, Emulator, Http, KafkaSubject, Memory, Mqtt, Nats, Redis, SqsSubject, differing_pages,
};
use amgi_conformance::{run, table};
use amgi_mqtt::Version;

#[tokio::main]
async fn main() -> io::Result<ExitCode> {
    let mut out = io::stdout();
    if std::env::args().nth(1).as_deref() == Some("--write") {
        for path in differing_pages(true) {
            writeln!(out, "{path} is written")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let reports = [
        run(async || Memory::new()).await,
        run(async || Mqtt::new(Version::V5)).await,
        run(async || Mqtt::new(Version::V311)).await,
        run(async || Nats::streams()).await,
        run(async || Nats::ordered()).await,
        run(async || Nats::subjects()).await,
        run(async || KafkaSubject::own()).await,
        run(async || Amqp::default()).await,
        run(async || Redis::new(amgi_redis::Via::Stream)).await,
        run(async || Redis::new(amgi_redis::Via::PubSub)).await,
        run(async || Http::retried()).await,
        run(async || Http::once()).await,
        run(async || SqsSubject::standard(Emulator::Fauxqs)).await,
        run(async || SqsSubject::fifo(Emulator::Fauxqs)).await,
    ];
    write!(out, "{}", table(&reports))?;
    let mut code = ExitCode::SUCCESS;
    for report in &reports {
        for (case, broken) in report.broken() {
            writeln!(out, "\n{}: {} ({}): {broken}", report.name, case.promise, case.name)?;
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}
