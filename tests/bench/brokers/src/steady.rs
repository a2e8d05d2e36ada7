//! A long run: whether memory stays as it is, and how long a message takes from its publisher to the handler.

use std::{fmt::Write as _, io::Write as _, time::Duration};

use amgi_bench_measured::{self as measured, Latency, Taken};
use serde::Serialize;
use tokio::sync::watch;

use crate::{
    AGES, Broker, Options, PROGRESS, Process, Publisher as _, measured_command, paced, text, way::Way,
};

/// Most messages that are published and not handled, and how many are published at a time.
const WAITING: u64 = 10_000;
const TOGETHER: u64 = 1000;
/// How often memory is looked at.
const LOOK: Duration = Duration::from_millis(50);
/// One in so many messages come before memory counts: queues and buffers have found their sizes.
const WARM_UP: u64 = 10;
/// Most memory in the last quarter, in that of the first.
const MOST_MEMORY: f64 = 1.05;
/// How long messages come at half the rate.
const LATENCY_SECONDS: u64 = 20;

/// Memory after so many messages.
#[derive(Debug, Clone, Copy, Serialize)]
struct Sample {
    messages: u64,
    rss_kib: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Report {
    server: &'static str,
    messages: u64,
    messages_a_second: u64,
    cpu_microseconds: f64,
    peak_kib: u64,
    /// Medians of the quarters after the warm-up.
    quarters_kib: [u64; 4],
    samples: Vec<Sample>,
    /// Half of the rate above, at which this was measured.
    latency_at: u64,
    latency: Latency,
}

/// Both runs; `None` where a broker may lose messages, or is slow.
pub(crate) async fn run<B: Broker>(options: &Options) -> Result<Option<Report>, String> {
    if B::STEADY == 0 {
        return Ok(None);
    }
    let broker = B::start().await;
    let messages = options.messages.unwrap_or(B::STEADY);
    let report = both(&broker, messages).await.map_err(|problem| format!("{}: {problem}", B::NAME))?;
    let _ = writeln!(std::io::stderr(), "{}: done", B::NAME);
    Ok(Some(report))
}

async fn both<B: Broker>(broker: &B, messages: u64) -> Result<Report, String> {
    let (taken, samples) = fast(broker, messages).await?;
    #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)] // small
    let (rate, cpu_microseconds) =
        ((messages as f64 / taken.seconds) as u64, taken.cpu * 1e6 / messages as f64);
    let latency_at = (rate / 2).max(1);
    let latency = slow(broker, latency_at * LATENCY_SECONDS, latency_at).await?;
    Ok(Report {
        server: B::NAME,
        messages,
        messages_a_second: rate,
        cpu_microseconds,
        peak_kib: taken.peak_kib,
        quarters_kib: quarters(&samples, messages).ok_or("too few messages to say something of memory")?,
        samples,
        latency_at,
        latency,
    })
}

/// Publishes as fast as messages are handled.
async fn fast<B: Broker>(broker: &B, messages: u64) -> Result<(Taken, Vec<Sample>), String> {
    let mut publisher = broker.publisher().await?;
    let mut command = measured_command::<B>(Way::Service, &broker.url(), messages)?;
    command.arg(PROGRESS);
    let process = Process::start(command).await?;
    let id = process.child.id().map(|id| id.to_string()).unwrap_or_default();
    let (tell, mut handled) = watch::channel(0);
    let mut watching = tokio::spawn(follow(process, tell));
    let looking = handled.clone();
    let looking = tokio::spawn(async move {
        let mut samples = Vec::new();
        while looking.has_changed().is_ok() {
            tokio::time::sleep(LOOK).await;
            let messages = *looking.borrow();
            match measured::status(&id, "VmRSS:") {
                0 => {}
                rss_kib => samples.push(Sample { messages, rss_kib }),
            }
        }
        samples
    });
    let publishing = async {
        let mut sent = 0;
        while sent < messages {
            let next = messages.min(sent + TOGETHER);
            if handled.wait_for(|handled| handled + WAITING >= next).await.is_err() {
                return Ok(());
            }
            publisher.publish(sent..next).await?;
            sent = next;
        }
        Ok::<_, String>(())
    };
    let taken = tokio::select! {
        Err(problem) = publishing => return Err(problem),
        taken = &mut watching => taken.map_err(text)??,
    };
    Ok((taken, looking.await.map_err(text)?))
}

/// Publishes so many a second.
async fn slow<B: Broker>(broker: &B, messages: u64, rate: u64) -> Result<Latency, String> {
    let mut publisher = broker.publisher().await?;
    let mut command = measured_command::<B>(Way::Service, &broker.url(), messages)?;
    command.arg(AGES);
    let process = Process::start(command).await?;
    let (tell, _) = watch::channel(0);
    let watching = tokio::spawn(follow(process, tell));
    paced(&mut publisher, messages, rate).await?;
    watching.await.map_err(text)??.latency.ok_or_else(|| "no message came".to_owned())
}

/// Hands on how many messages were handled, until all are.
async fn follow(mut process: Process, tell: watch::Sender<u64>) -> Result<Taken, String> {
    loop {
        let line = process.line().await?;
        match line.parse() {
            Ok(handled) => drop(tell.send_replace(handled)),
            Err(_) => {
                process.end().await?;
                return serde_json::from_str(&line).map_err(text);
            }
        }
    }
}

/// Medians of the quarters after the warm-up; `None` where one of them has no samples.
fn quarters(samples: &[Sample], messages: u64) -> Option<[u64; 4]> {
    let from = messages / WARM_UP;
    let quarter = (messages - from) / 4;
    let mut medians = [0; 4];
    for (begin, median) in (0..).map(|number| from + number * quarter).zip(&mut medians) {
        let here = samples.iter().filter(|sample| (begin..begin + quarter).contains(&sample.messages));
        let mut here: Vec<u64> = here.map(|sample| sample.rss_kib).collect();
        here.sort_unstable();
        *median = *here.get(here.len() / 2)?;
    }
    Some(medians)
}

/// The table, and what is beyond the bound.
pub(crate) fn table(reports: &[Report], exceeded: &mut Vec<String>) -> String {
    let mut table = format!(
        "{:<8} {:>10} {:>8} {:>31} {:>6} {:>9} {:>10} {:>8} {:>8} {:>8}\n",
        "server",
        "messages/s",
        "CPU µs",
        "MiB in quarters",
        "ratio",
        "peak MiB",
        "at half",
        "p50 µs",
        "p99 µs",
        "most ms"
    );
    #[allow(clippy::cast_precision_loss)] // a size of memory in KiB
    let mebibytes = |kib: u64| kib as f64 / 1024.0;
    for report in reports {
        let quarters = report.quarters_kib.map(mebibytes);
        let ratio = quarters[3] / quarters[0];
        let _ = writeln!(
            table,
            "{:<8} {:>10} {:>8.1} {:>31} {:>6.3} {:>9.1} {:>10} {:>8} {:>8} {:>8.1}",
            report.server,
            report.messages_a_second,
            report.cpu_microseconds,
            quarters.map(|quarter| format!("{quarter:.1}")).join(", "),
            ratio,
            mebibytes(report.peak_kib),
            report.latency_at,
            report.latency.p50,
            report.latency.p99,
            f64::from(report.latency.most) / 1000.0,
        );
        if ratio > MOST_MEMORY {
            exceeded.push(format!("{}: memory grew to {ratio:.3} of what it was", report.server));
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarters_are_of_what_comes_after_the_warm_up() {
        let samples: Vec<Sample> =
            (0..100).map(|number| Sample { messages: number, rss_kib: 1000 + number }).collect();
        // From 10 on, 22 each.
        assert_eq!(quarters(&samples, 100), Some([1021, 1043, 1065, 1087]));
        assert_eq!(quarters(&samples[..50], 100), None);
    }
}
