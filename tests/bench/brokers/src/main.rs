//! `throughput`: what a message costs on real brokers. A raw client, our server with a bare application, and a generated service
//! handle the same messages in turn, each in a process of its own.

mod amqp;
mod measured;
mod mqtt;
mod python;

use std::{
    fmt::Write as _,
    io::Write as _,
    path::PathBuf,
    process::{ExitCode, Stdio},
    time::Duration,
};

use amgi::{Application, server::Stop};
use serde::Serialize;
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    process::Command,
};

use crate::{
    amqp::Amqp,
    measured::{Bare, Meter, Taken, Way},
    mqtt::{AtMostOnce, Mqtt},
};

const HELP: &str = "\
Measures what a message costs on real brokers: messages a second, and CPU time of the process that handles them.

Usage: cargo run --release -p amgi-bench-brokers -- [SERVER...] [OPTIONS]

Servers: amqp, mqtt, mqtt-qos0 [default: all]

Messages have 300 bytes. The broker's client in a loop (raw), our server with a bare application (server), and a generated
service with payload checks (service) handle them in turn, for several rounds. The broker holds all messages before a process
begins; brokers that hold none get them when it is ready. Prints medians and spreads, writes all rounds to
target/bench/throughput.json, and exits with 1 when the service handles less than 0.95 of the raw client's messages a
second or takes more than 1.15 of its CPU time, or the Python server takes less than 10 times the CPU time of the service.

Options:
  --python      Beside them the same service in Python, on the broker's Python server (python3 with venv, and pip)
  --messages N  How many a round [default: 50000]
  --rounds N    How many rounds [default: 5]
  -h, --help    Print help
";

/// What is measured when nothing is named.
const SERVERS: [&str; 3] = [Amqp::NAME, Mqtt::NAME, AtMostOnce::NAME];

/// How many lanes numbers come in.
const LANES: u64 = 8;
/// Least messages a second of the service, in those of the raw client.
const LEAST_RATE: f64 = 0.95;
/// Most CPU time of the service, in that of the raw client.
const MOST_CPU: f64 = 1.15;

/// Least CPU time of the Python server, in that of the service.
const LEAST_PYTHON: f64 = 10.0;
/// How long the Python server takes to subscribe.
const PYTHON_STARTS: Duration = Duration::from_secs(3);

/// The first argument of a process that is measured.
const MEASURED: &str = "measured";
/// What it says when it has subscribed.
const READY: &str = "ready";

/// A broker, how it is filled, and two ways to empty it.
trait Broker: Sized {
    /// Name on the command line.
    const NAME: &'static str;
    /// Whether it holds no messages for who is not there, and may lose some.
    const LIVE: bool = false;

    /// Starts it.
    async fn start() -> Self;

    /// Where it is.
    fn url(&self) -> String;

    /// Publishes so many messages for the process that comes next, or is there.
    async fn fill(&self, messages: u64) -> Result<(), String>;

    /// Receives with the broker's client until the meter has seen all. Calls `ready` when it has subscribed.
    async fn raw(url: &str, meter: &Meter, ready: fn()) -> Result<(), String>;

    /// Serves an application until it is stopped, with the same settings.
    async fn serve<A: Application>(url: &str, app: A, stop: &Stop, ready: fn()) -> amgi::Result<()>;
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
    python: Option<PathBuf>,
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
            AtMostOnce::NAME => rounds::<AtMostOnce>(&options).await?,
            other => return Err(format!("`{other}` is no server\n\n{HELP}")),
        });
    }
    amgi_bench::report("throughput", &reports)?;
    let mut table = format!(
        "{:<10} {:<8} {:>12} {:>19} {:>7} {:>9} {:>15} {:>7} {:>9}\n",
        "server", "way", "messages/s", "spread", "of raw", "CPU µs", "spread", "of raw", "peak MiB"
    );
    let mut exceeded = Vec::new();
    for report in &reports {
        rows(report, &mut table, &mut exceeded);
    }
    Ok(amgi_bench::finish(&table, &[], &exceeded))
}

fn options(mut args: impl Iterator<Item = String>) -> Result<Option<Options>, String> {
    let mut options = Options { servers: Vec::new(), python: None, messages: 50_000, rounds: 5 };
    while let Some(arg) = args.next() {
        let mut number = || {
            let text = args.next().ok_or_else(|| format!("{arg} needs a value"))?;
            text.parse::<u64>().ok().filter(|n| *n > 0).ok_or_else(|| format!("{arg}: `{text}` is no count"))
        };
        match arg.as_str() {
            "-h" | "--help" => return Ok(None),
            "--python" => options.python = Some(python::interpreter()?),
            "--messages" => options.messages = number()?,
            "--rounds" => options.rounds = number()?,
            _ => options.servers.push(arg),
        }
    }
    if options.servers.is_empty() {
        options.servers = SERVERS.map(str::to_owned).into();
    }
    Ok(Some(options))
}

/// Measures every way in every round, each time beginning with another.
async fn rounds<B: Broker>(options: &Options) -> Result<Report, String> {
    let broker = B::start().await;
    let mut ways = Way::OURS.to_vec();
    ways.extend(options.python.is_some().then_some(Way::Python));
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        for way in &ways {
            let taken = process(&broker, *way, options).await?;
            #[allow(clippy::cast_precision_loss)] // a count of messages is no large number
            let messages = taken.messages as f64;
            rounds.push(Round {
                way: *way,
                messages_a_second: messages / taken.seconds,
                cpu_microseconds: taken.cpu * 1e6 / messages,
                peak_kib: taken.peak_kib,
            });
        }
        ways.rotate_left(1);
        let _ = writeln!(std::io::stderr(), "{}: round {} of {}", B::NAME, round + 1, options.rounds);
    }
    Ok(Report { server: B::NAME, messages: options.messages, rounds })
}

/// Runs the process that is measured.
async fn process<B: Broker>(broker: &B, way: Way, options: &Options) -> Result<Taken, String> {
    let fail = |what: &dyn std::fmt::Display| format!("{} {}: {what}", B::NAME, way.name());
    let (url, messages) = (broker.url(), options.messages.to_string());
    let mut command = match &options.python {
        Some(interpreter) if way == Way::Python => {
            let mut command = Command::new(interpreter);
            command.arg(python::script()).args([B::NAME, &url, &messages]);
            command
        }
        _ => {
            let mut command = Command::new(std::env::current_exe().map_err(|error| fail(&error))?);
            command.args([MEASURED, B::NAME, way.name(), &url, &messages]);
            command
        }
    };
    if !B::LIVE {
        broker.fill(options.messages).await?;
    }
    command.stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| fail(&error))?;
    let mut lines = BufReader::new(child.stdout.take().ok_or("no standard output")?).lines();
    if way == Way::Python {
        tokio::time::sleep(PYTHON_STARTS).await;
    } else if lines.next_line().await.map_err(|error| fail(&error))?.as_deref() != Some(READY) {
        return Err(fail(&"it does not get ready"));
    }
    if B::LIVE {
        broker.fill(options.messages).await?;
    }
    let line = lines.next_line().await.map_err(|error| fail(&error))?;
    let status = child.wait().await.map_err(|error| fail(&error))?;
    match line {
        Some(line) if status.success() => serde_json::from_str(&line).map_err(|error| fail(&error)),
        _ => Err(fail(&status)),
    }
}

/// Is the process that is measured.
async fn measure(args: Vec<String>) -> Result<(), String> {
    let [server, way, url, messages] = args.as_slice() else {
        return Err(HELP.to_owned());
    };
    let way =
        Way::OURS.into_iter().find(|one| one.name() == way).ok_or_else(|| format!("`{way}` is no way"))?;
    let meter = Meter::new(messages.parse().map_err(|_| format!("`{messages}` is no count"))?);
    match server.as_str() {
        Amqp::NAME => handle::<Amqp>(way, url, &meter).await?,
        Mqtt::NAME => handle::<Mqtt>(way, url, &meter).await?,
        AtMostOnce::NAME => handle::<AtMostOnce>(way, url, &meter).await?,
        other => return Err(format!("`{other}` is no server")),
    }
    let taken = meter.taken().ok_or("it ended before the last message")?;
    say(&serde_json::to_string(&taken).map_err(|error| error.to_string())?);
    Ok(())
}

async fn handle<B: Broker>(way: Way, url: &str, meter: &Meter) -> Result<(), String> {
    if B::LIVE {
        meter.may_miss_some();
    }
    let (stop, ready) = (meter.stop(), || say(READY));
    match way {
        Way::Raw => tokio::select! {
            ended = B::raw(url, meter, ready) => ended,
            () = stop.requested() => Ok(()),
        },
        Way::Server => B::serve(url, Bare::new(meter.clone()), stop, ready).await.map_err(|e| e.to_string()),
        _ => B::serve(url, measured::service(meter.clone()), stop, ready).await.map_err(|e| e.to_string()),
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout();
    // Without a reader there is nobody to tell.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn rows(report: &Report, table: &mut String, exceeded: &mut Vec<String>) {
    let of = |way: Way, value: fn(&Round) -> f64| {
        Spread::new(report.rounds.iter().filter(|round| round.way == way).map(value).collect())
    };
    let rate = |way| of(way, |round| round.messages_a_second);
    let cpu = |way| of(way, |round| round.cpu_microseconds);
    #[allow(clippy::cast_precision_loss)] // a size of memory in KiB
    let peak = |way| of(way, |round| round.peak_kib as f64 / 1024.0).map_or(0.0, |peak| peak.median);
    let (Some(raw_rate), Some(raw_cpu)) = (rate(Way::Raw), cpu(Way::Raw)) else { return };
    let mut service_cpu = f64::NAN;
    for way in Way::OURS.into_iter().chain([Way::Python]) {
        let (Some(rate), Some(cpu)) = (rate(way), cpu(way)) else { continue };
        let (of_rate, of_cpu) = (rate.median / raw_rate.median, cpu.median / raw_cpu.median);
        let _ = writeln!(
            table,
            "{:<10} {:<8} {:>12.0} {:>19} {:>7.2} {:>9.1} {:>15} {:>7.2} {:>9.1}",
            report.server,
            way.name(),
            rate.median,
            format!("{:.0}–{:.0}", rate.least, rate.most),
            of_rate,
            cpu.median,
            format!("{:.1}–{:.1}", cpu.least, cpu.most),
            of_cpu,
            peak(way),
        );
        let mut exceed = |what: String| exceeded.push(format!("{}: {what}", report.server));
        match way {
            Way::Service => {
                service_cpu = cpu.median;
                if of_rate < LEAST_RATE {
                    exceed(format!("{of_rate:.2} of the raw client's messages a second"));
                }
                if of_cpu > MOST_CPU {
                    exceed(format!("{of_cpu:.2} of the raw client's CPU time"));
                }
            }
            Way::Python if cpu.median < LEAST_PYTHON * service_cpu => {
                exceed(format!("Python takes {:.1} times the CPU time", cpu.median / service_cpu));
            }
            _ => {}
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
    /// `None` of nothing.
    fn new(mut values: Vec<f64>) -> Option<Self> {
        values.sort_by(f64::total_cmp);
        let (least, most) = (*values.first()?, *values.last()?);
        let middle = values.len() / 2;
        let median = if values.len() % 2 == 1 {
            values[middle]
        } else {
            f64::midpoint(values[middle - 1], values[middle])
        };
        Some(Self { median, least, most })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_lies_in_the_middle() {
        let spread = Spread::new(vec![3.0, 1.0, 2.0, 10.0]).expect("there are some");
        assert!((spread.median - 2.5).abs() < 1e-9, "{}", spread.median);
        assert!((spread.least - 1.0).abs() < 1e-9 && (spread.most - 10.0).abs() < 1e-9);
        assert!(Spread::new(vec![7.0]).is_some_and(|spread| (spread.median - 7.0).abs() < 1e-9));
        assert!(Spread::new(Vec::new()).is_none());
    }
}
