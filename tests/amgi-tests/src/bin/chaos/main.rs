//! `chaos`: puts a service on a real broker through kills, restarts, cut connections and failing handlers, and counts
//! what became of its messages.
//!
//! Exits 0 when every number was handled at least once, in the order that the server promises, and the dead-letter address holds
//! exactly the numbers that cannot be handled.

mod brokers;
mod instance;
mod proxy;
mod run;
mod service;

use std::{
    error::Error,
    fmt::Write as _,
    fs,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use amgi_brokers_tests::Emulator;

use crate::{
    brokers::{Amqp, Broker, Kafka, Kind, Mqtt, Nats, Redis, Sqs},
    run::{Plan, Report},
    service::Service,
};

const HELP: &str = "\
Puts a service on a real broker through kills, restarts, cut connections and failing handlers.

Usage: cargo run --release -p amgi-tests --bin chaos -- SERVER... [OPTIONS]

Servers: amqp, kafka, mqtt, nats, redis, sqs, sqs-fifo

Twenty thousand numbers are published at a steady rate. On the way the service is killed five times, the broker once,
the connection is held for five seconds and cut, a second instance joins, and the first is stopped. Every 1,000th
number cannot be handled. Prints what became of them, writes it as JSON to target/chaos/SERVER/report.json beside the
journal and the logs, and exits with 1 when a number was lost, came in a wrong order, or is missing from, or wrong at,
the dead-letter address.

SQS runs on an emulator, which has everything in memory. It is not killed: the connection is held for twelve seconds
instead, longer than messages are hidden.

Options:
  --on PACKAGE       Instead of the generated service, the same with AsyncFast, on the servers of a Python package (python3
                     with venv, and pip): amgi_rs, for kafka, mqtt, nats and redis, or amgi_aiokafka, for kafka
  --messages N       How many numbers [default: 20000]
  --rate N           How many a second [default: 1000; sqs and sqs-fifo 200, on moto 20]
  --emulator NAME    What sqs and sqs-fifo run on: fauxqs, which gives one message of a group at a time and takes any
                     receipt for a delete; or moto, which does neither, but is slow and loses the order of a group
                     whose messages are shown again, so that it does not count there [default: fauxqs]
  --redrive          For sqs and sqs-fifo: queues have a redrive policy, and the service names no dead-letter address.
                     A dead letter that comes twice is a failure then
  -h, --help         Print help
";

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).peekable();
    if args.peek().is_some_and(|arg| service::is_meant(arg)) {
        return service::run(args).await;
    }
    tracing_subscriber::fmt().with_writer(io::stderr).with_max_level(tracing::Level::INFO).init();
    match chaos(args).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A Python package, and the servers that it has.
type Package = (&'static str, &'static [&'static str]);

const PACKAGES: [Package; 2] =
    [("amgi_rs", &[Kafka::NAME, Mqtt::NAME, Nats::NAME, Redis::NAME]), ("amgi_aiokafka", &[Kafka::NAME])];

/// What is asked for, on every server.
struct Options {
    messages: u64,
    rate: Option<u64>,
    kind: Kind,
    /// Where it is not the generated service.
    package: Option<Package>,
}

async fn chaos(mut args: impl Iterator<Item = String>) -> Result<bool, Box<dyn Error>> {
    let mut servers = Vec::new();
    let kind = Kind { emulator: Emulator::Fauxqs, redrive: false };
    let mut options = Options { messages: 20_000, rate: None, kind, package: None };
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
        match arg.as_str() {
            "-h" | "--help" => {
                io::stdout().write_all(HELP.as_bytes())?;
                return Ok(true);
            }
            "--messages" => options.messages = value()?.parse()?,
            "--rate" => options.rate = Some(value()?.parse::<u64>()?.max(1)),
            "--emulator" => {
                options.kind.emulator = match value()?.as_str() {
                    "fauxqs" => Emulator::Fauxqs,
                    "moto" => Emulator::Moto,
                    other => return Err(format!("`{other}` is no emulator: fauxqs, moto").into()),
                }
            }
            "--redrive" => options.kind.redrive = true,
            "--on" => {
                let name = value()?;
                let known = PACKAGES.into_iter().find(|(package, _)| *package == name);
                options.package =
                    Some(known.ok_or_else(|| format!("`{name}` is no package: amgi_rs, amgi_aiokafka"))?);
            }
            _ => servers.push(arg),
        }
    }
    if servers.is_empty() {
        return Err(format!("no server is named\n\n{HELP}").into());
    }
    if let Some((package, able)) = options.package
        && let Some(other) = servers.iter().find(|server| !able.contains(&server.as_str()))
    {
        return Err(format!("`{other}`: --on {package} is for {}", able.join(", ")).into());
    }
    let mut good = true;
    for server in &servers {
        good &= match server.as_str() {
            Kafka::NAME => one::<Kafka>(&options).await?,
            Amqp::NAME => one::<Amqp>(&options).await?,
            Mqtt::NAME => one::<Mqtt>(&options).await?,
            Nats::NAME => one::<Nats>(&options).await?,
            Redis::NAME => one::<Redis>(&options).await?,
            Sqs::<false>::NAME => one::<Sqs<false>>(&options).await?,
            Sqs::<true>::NAME => one::<Sqs<true>>(&options).await?,
            other => return Err(format!("`{other}` is no server\n\n{HELP}").into()),
        };
    }
    Ok(good)
}

/// Puts a service on one broker through it. Whether every promise was kept.
async fn one<B: Broker>(options: &Options) -> Result<bool, Box<dyn Error>> {
    let mut kind = options.kind;
    let mut name = B::NAME.to_owned();
    if B::IN_MEMORY {
        name.push_str(if kind.emulator == Emulator::Moto { "-moto" } else { "" });
        name.push_str(if kind.redrive { "-redrive" } else { "" });
    } else {
        kind.redrive = false;
    }
    let folder = PathBuf::from("target/chaos");
    let service = match options.package {
        Some((package, _)) => {
            let _ = write!(name, "-{package}");
            Service::asyncfast(package, &folder)
        }
        None if kind.redrive => Service::Redriven,
        None => Service::Generated,
    };
    let (messages, rate) = (options.messages, options.rate.unwrap_or(B::rate(kind)));
    let plan = Plan { messages, rate, kind, service, folder: folder.join(&name), name };
    let report = run::run::<B>(&plan).await?;
    fs::write(plan.folder.join("report.json"), serde_json::to_string_pretty(&report)? + "\n")?;
    io::stdout().write_all(table(&report).as_bytes())?;
    Ok(report.is_good())
}

fn table(report: &Report) -> String {
    let few = |ids: &[u64]| {
        let shown: Vec<String> = ids.iter().take(10).map(u64::to_string).collect();
        let more = if ids.len() > 10 { ", …" } else { "" };
        if ids.is_empty() { "0".to_owned() } else { format!("{} ({}{more})", ids.len(), shown.join(", ")) }
    };
    let rows = [
        ("published", report.published.to_string()),
        ("published again, not knowing", report.published_again.to_string()),
        ("handled", report.handled.to_string()),
        ("lost", few(&report.lost)),
        ("handled again", report.duplicates.to_string()),
        ("out of order", report.out_of_order.to_string()),
        ("cannot be handled", report.poisoned.to_string()),
        ("dead letters", report.dead_letters.to_string()),
        ("dead letters that came again", report.dead_letters_repeated.to_string()),
        ("missing dead letters", few(&report.missing_dead_letters)),
        ("wrong dead letters", few(&report.wrong_dead_letters)),
        ("seconds", format!("{:.1}", report.seconds)),
    ];
    let mut out = format!("\n{}\n", report.server);
    for (name, value) in rows {
        let _ = writeln!(out, "  {name:<30} {value}");
    }
    for event in &report.events {
        let _ = writeln!(out, "  {event}");
    }
    out
}
