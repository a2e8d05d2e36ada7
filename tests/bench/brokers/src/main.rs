//! `throughput`: what a message costs on real brokers. A raw client, our server with a bare application, and a generated service
//! handle the same messages in turn, each in a process of its own.

mod amqp;
mod measured;
mod mqtt;

use std::{fmt::Write as _, io::Write as _, process::ExitCode};

use amgi::{Application, server::Stop};
use serde::Serialize;

use crate::{
    amqp::Amqp,
    measured::{Bare, Meter, Taken, Way},
    mqtt::Mqtt,
};

const HELP: &str = "\
Measures what a message costs on real brokers: messages a second, and CPU time of the process that handles them.

Usage: cargo run --release -p amgi-bench-brokers -- [SERVER...] [OPTIONS]

Servers: amqp, mqtt [default: all]

The broker holds all messages (300 bytes each) before a process begins to handle them: the broker's client in a loop
(raw), our server with a bare application (server), and a generated service with payload checks (service), in turn, for
several rounds. Prints medians and spreads, writes all rounds to target/bench/throughput.json, and exits with 1 when the
service handles less than 0.95 of the raw client's messages a second, or needs more than 1.15 of its CPU time.

Options:
  --messages N  How many a round [default: 50000]
  --rounds N    How many rounds [default: 5]
  -h, --help    Print help
";

/// How many lanes numbers come in.
const LANES: u64 = 8;
/// Least messages a second of the service, in those of the raw client.
const LEAST_RATE: f64 = 0.95;
/// Most CPU time of the service, in that of the raw client.
const MOST_CPU: f64 = 1.15;

/// The first argument of a process that is measured.
const MEASURED: &str = "measured";

/// A broker, how it is filled, and two ways to empty it.
trait Broker: Sized {
    /// Name on the command line.
    const NAME: &'static str;

    /// Starts it.
    async fn start() -> Self;

    /// Where it is.
    fn url(&self) -> String;

    /// Lets it hold so many messages, for the next process.
    async fn fill(&self, messages: u64) -> Result<(), String>;

    /// Receives with the broker's client until the meter has seen all.
    async fn raw(url: &str, meter: Meter) -> Result<(), String>;

    /// Serves an application until it is stopped, with the same settings.
    async fn serve<A: Application>(url: &str, app: A, stop: &Stop) -> amgi::Result<()>;
}

/// Payload of a number, some 300 bytes.
fn payload(id: u64) -> String {
    format!(r#"{{"id":{id},"note":"{}","tags":["drawn","counted"]}}"#, "n".repeat(240))
}

#[derive(Debug, Serialize)]
struct Round {
    way: Way,
    messages_a_second: f64,
    cpu_microseconds: f64,
    peak_kib: u64,
}

#[derive(Debug, Serialize)]
struct Report {
    server: &'static str,
    messages: u64,
    rounds: Vec<Round>,
}

struct Options {
    servers: Vec<String>,
    messages: u64,
    rounds: u64,
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut args = std::env::args().skip(1).peekable();
    let ran = if args.peek().is_some_and(|arg| arg == MEASURED) {
        measure(args.skip(1).collect()).await.map(|()| ExitCode::SUCCESS)
    } else {
        compare(args).await
    };
    ran.unwrap_or_else(|problem| amgi_bench::fail(&problem))
}

async fn compare(args: impl Iterator<Item = String>) -> Result<ExitCode, String> {
    let Some(options) = options(args)? else {
        return Ok(amgi_bench::finish(HELP, &[], &[]));
    };
    let mut reports = Vec::new();
    for server in &options.servers {
        reports.push(match server.as_str() {
            Amqp::NAME => rounds::<Amqp>(&options).await?,
            Mqtt::NAME => rounds::<Mqtt>(&options).await?,
            other => return Err(format!("`{other}` is no server\n\n{HELP}")),
        });
    }
    amgi_bench::report("throughput", &reports)?;
    let mut table = format!(
        "{:<8} {:<8} {:>12} {:>19} {:>7} {:>9} {:>15} {:>7} {:>9}\n",
        "server", "way", "messages/s", "spread", "of raw", "CPU µs", "spread", "of raw", "peak MiB"
    );
    let mut exceeded = Vec::new();
    for report in &reports {
        rows(report, &mut table, &mut exceeded);
    }
    Ok(amgi_bench::finish(&table, &[], &exceeded))
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options { servers: Vec::new(), messages: 50_000, rounds: 5 };
    while let Some(arg) = args.next() {
        let mut number = || {
            let text = args.next().ok_or_else(|| format!("{arg} needs a value"))?;
            text.parse::<u64>().ok().filter(|n| *n > 0).ok_or_else(|| format!("{arg}: `{text}` is no count"))
        };
        match arg.as_str() {
            "-h" | "--help" => return Ok(None),
            "--messages" => options.messages = number()?,
            "--rounds" => options.rounds = number()?,
            _ => options.servers.push(arg),
        }
    }
    if options.servers.is_empty() {
        options.servers = [Amqp::NAME, Mqtt::NAME].map(str::to_owned).into();
    }
    Ok(Some(options))
}

/// Measures every way in every round, each time beginning with another.
async fn rounds<B: Broker>(options: &Options) -> Result<Report, String> {
    let broker = B::start().await;
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        for turn in 0..Way::ALL.len() {
            let way = Way::ALL[(turn + usize::try_from(round).unwrap_or_default()) % Way::ALL.len()];
            broker.fill(options.messages).await?;
            let taken = process::<B>(&broker.url(), way, options.messages).await?;
            #[allow(clippy::cast_precision_loss)] // a count of messages is no large number
            let messages = options.messages as f64;
            rounds.push(Round {
                way,
                messages_a_second: messages / taken.seconds,
                cpu_microseconds: taken.cpu * 1e6 / messages,
                peak_kib: taken.peak_kib,
            });
        }
        let _ = writeln!(std::io::stderr(), "{}: round {} of {}", B::NAME, round + 1, options.rounds);
    }
    Ok(Report { server: B::NAME, messages: options.messages, rounds })
}

/// Runs the process that is measured.
async fn process<B: Broker>(url: &str, way: Way, messages: u64) -> Result<Taken, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = tokio::process::Command::new(program)
        .args([MEASURED, B::NAME, way.name(), url, &messages.to_string()])
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} {}: {}\n{said}", B::NAME, way.name(), output.status));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("{} {}: {error}", B::NAME, way.name()))
}

/// Is the process that is measured.
async fn measure(args: Vec<String>) -> Result<(), String> {
    let [server, way, url, messages] = args.as_slice() else {
        return Err(HELP.to_owned());
    };
    let way =
        Way::ALL.into_iter().find(|one| one.name() == way).ok_or_else(|| format!("`{way}` is no way"))?;
    let meter = Meter::new(messages.parse().map_err(|_| format!("`{messages}` is no count"))?);
    match server.as_str() {
        Amqp::NAME => handle::<Amqp>(way, url, &meter).await?,
        Mqtt::NAME => handle::<Mqtt>(way, url, &meter).await?,
        other => return Err(format!("`{other}` is no server")),
    }
    let taken = meter.taken().ok_or("it ended before the last message")?;
    let text = serde_json::to_string(&taken).map_err(|error| error.to_string())?;
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())
}

async fn handle<B: Broker>(way: Way, url: &str, meter: &Meter) -> Result<(), String> {
    match way {
        Way::Raw => B::raw(url, meter.clone()).await,
        Way::Server => B::serve(url, Bare::new(meter.clone()), meter.stop()).await.map_err(|e| e.to_string()),
        Way::Service => {
            B::serve(url, measured::service(meter.clone()), meter.stop()).await.map_err(|e| e.to_string())
        }
    }
}

fn rows(report: &Report, table: &mut String, exceeded: &mut Vec<String>) {
    let of = |way: Way, value: fn(&Round) -> f64| {
        Spread::new(report.rounds.iter().filter(|round| round.way == way).map(value).collect())
    };
    let rates = Way::ALL.map(|way| of(way, |round| round.messages_a_second));
    let cpus = Way::ALL.map(|way| of(way, |round| round.cpu_microseconds));
    #[allow(clippy::cast_precision_loss)] // a size of memory in KiB
    let peaks = Way::ALL.map(|way| of(way, |round| round.peak_kib as f64 / 1024.0));
    for (index, way) in Way::ALL.into_iter().enumerate() {
        let (rate, cpu) = (&rates[index], &cpus[index]);
        let (of_rate, of_cpu) = (rate.median / rates[0].median, cpu.median / cpus[0].median);
        let _ = writeln!(
            table,
            "{:<8} {:<8} {:>12.0} {:>19} {:>7.2} {:>9.1} {:>15} {:>7.2} {:>9.1}",
            report.server,
            way.name(),
            rate.median,
            format!("{:.0}–{:.0}", rate.least, rate.most),
            of_rate,
            cpu.median,
            format!("{:.1}–{:.1}", cpu.least, cpu.most),
            of_cpu,
            peaks[index].median,
        );
        if way == Way::Service && of_rate < LEAST_RATE {
            exceeded.push(format!("{}: {of_rate:.2} of the raw client's messages a second", report.server));
        }
        if way == Way::Service && of_cpu > MOST_CPU {
            exceeded.push(format!("{}: {of_cpu:.2} of the raw client's CPU time", report.server));
        }
    }
}

/// Several measurements of the same.
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn new(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let last = values.len().saturating_sub(1);
        Self { median: f64::midpoint(at(last / 2), at(last.div_ceil(2))), least: at(0), most: at(last) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        let spread = Spread::new(vec![3.0, 1.0, 2.0, 10.0]);
        assert!((spread.median - 2.5).abs() < 1e-9, "{}", spread.median);
        assert!((spread.least - 1.0).abs() < 1e-9 && (spread.most - 10.0).abs() < 1e-9);
        assert!((Spread::new(vec![7.0]).median - 7.0).abs() < 1e-9);
    }
}
