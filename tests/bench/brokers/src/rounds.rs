//! Several ways to handle the same messages, in turn.

use std::{fmt::Write as _, io::Write as _};

use amgi_bench_measured::Taken;
use serde::Serialize;
use tokio::process::Command;

use crate::{Broker, Options, Process, measured_command, paced, text, way::Way};

/// Least messages a second of the service, in those of the raw client.
const LEAST_RATE: f64 = 0.95;
/// Most CPU time of the service, in that of the raw client.
const MOST_CPU: f64 = 1.15;
/// The Python server gets one of so many messages: it is slow, and what counts is CPU time.
const PYTHON_SHARE: u64 = 4;

#[derive(Debug, Serialize)]
struct Round {
    way: Way,
    messages_a_second: f64,
    cpu_microseconds: f64,
    peak_kib: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    server: &'static str,
    messages: u64,
    /// Least CPU time of the Python server, in that of the service.
    least_python: Option<f64>,
    /// Where handlers wait: least messages a second of the service.
    least_rate: Option<f64>,
    rounds: Vec<Round>,
}

/// Measures every way in every round, each time beginning with another.
pub(crate) async fn run<B: Broker>(options: &Options) -> Result<Report, String> {
    let broker = B::start().await;
    let messages = options.messages.unwrap_or(B::MESSAGES);
    let mut ways = Way::OURS.to_vec();
    if B::PYTHON.is_some() && options.python.is_some() {
        ways.extend(Way::PYTHONS);
    }
    let mut rounds = Vec::new();
    for round in 0..options.rounds {
        for way in &ways {
            let taken = process(&broker, *way, messages, options).await;
            let taken = taken.map_err(|problem| format!("{} {}: {problem}", B::NAME, way.name()))?;
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
    let least_rate = B::PAUSE.map(|(_, rate)| rate);
    Ok(Report { server: B::NAME, messages, least_python: B::PYTHON, least_rate, rounds })
}

/// Runs a process that handles all messages.
async fn process<B: Broker>(
    broker: &B,
    way: Way,
    mut messages: u64,
    options: &Options,
) -> Result<Taken, String> {
    let url = broker.url();
    let mut python = None;
    if let (true, Some(given)) = (Way::PYTHONS.contains(&way), &options.python) {
        messages = (messages / PYTHON_SHARE).max(1);
        let mut command = Command::new(&given.interpreter);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/python.py")).args([
            way.name(),
            B::NAME,
            &url,
            &messages.to_string(),
        ]);
        command.env("PYTHONPATH", &given.site);
        python = Some(command);
    }
    match &python {
        _ if B::LIVE => {}
        Some(_) => broker.fill_for_python(messages).await?,
        None => broker.fill(messages).await?,
    }
    let mut process = match python {
        Some(command) => Process::python(command).await?,
        None => Process::start(measured_command::<B>(way, &url, messages)?).await?,
    };
    if B::LIVE {
        paced(&mut broker.publisher().await?, messages, options.rate).await?;
    }
    let line = process.line().await?;
    process.end().await?;
    serde_json::from_str(&line).map_err(text)
}

/// The table, and what is beyond the bounds. `Python` is the CPU time of AsyncFast in that of the row.
pub(crate) fn table(reports: &[Report], exceeded: &mut Vec<String>) -> String {
    let mut table = format!(
        "{:<12} {:<8} {:>12} {:>19} {:>7} {:>9} {:>15} {:>7} {:>9} {:>9}\n",
        "server", "way", "messages/s", "spread", "of raw", "CPU µs", "spread", "of raw", "Python", "peak MiB"
    );
    for report in reports {
        self::rows(report, &mut table, exceeded);
    }
    table
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
    let python_cpu = cpu(Way::Python).map(|cpu| cpu.median);
    let mut service_cpu = f64::NAN;
    for way in Way::OURS.into_iter().chain(Way::PYTHONS) {
        let (Some(rate), Some(cpu)) = (rate(way), cpu(way)) else { continue };
        let digits = usize::from(rate.median < 100.0);
        let (of_rate, of_cpu) = (rate.median / raw_rate.median, cpu.median / raw_cpu.median);
        let _ = writeln!(
            table,
            "{:<12} {:<8} {:>12.*} {:>19} {:>7.2} {:>9.1} {:>15} {:>7.2} {:>9} {:>9.1}",
            report.server,
            way.name(),
            digits,
            rate.median,
            format!("{:.digits$}–{:.digits$}", rate.least, rate.most),
            of_rate,
            cpu.median,
            format!("{:.1}–{:.1}", cpu.least, cpu.most),
            of_cpu,
            python_cpu.map(|python| format!("{:.1} ×", python / cpu.median)).unwrap_or_default(),
            peak(way),
        );
        let mut exceed = |what: String| exceeded.push(format!("{}: {what}", report.server));
        if let Some(least) = report.least_rate {
            if way == Way::Service && rate.median < least {
                exceed(format!("{:.1} messages a second", rate.median));
            }
            continue;
        }
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
            Way::Python if report.least_python.is_some_and(|least| cpu.median < least * service_cpu) => {
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
