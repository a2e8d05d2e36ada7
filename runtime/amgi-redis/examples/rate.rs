//! What a message costs on the server, beside a loop that somebody writes with the client alone: the same group, the same size of a
//! fetch, the same payload read as JSON.
//!
//! ```text
//! cargo run --release -p amgi-redis --example rate -- redis://localhost 200000
//! ```
//!
//! It takes turns, and prints messages a second and the processor's time for each. Streams called `amgi-rate.…` are its own.

use std::{
    env,
    error::Error,
    fs,
    io::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use amgi::{Application, ChannelInfo, Context, Settlement, server::Stop};
use amgi_redis::{
    Server,
    redis::{self, Client, Value, aio::MultiplexedConnection, cmd, pipe},
};

/// Messages of one fetch.
const COUNT: usize = 100;
const TURNS: usize = 5;

/// Reads what a message says; both sides do.
fn read(payload: &[u8]) -> u64 {
    let value: serde_json::Value = serde_json::from_slice(payload).unwrap_or_default();
    value["id"].as_u64().unwrap_or_default()
}

/// Counts messages, and stops the server at the last.
struct Counter {
    channels: [ChannelInfo; 1],
    handled: AtomicU64,
    sum: Arc<AtomicU64>,
    all: u64,
    stop: Stop,
}

impl Application for Counter {
    fn channels(&self) -> &[ChannelInfo] {
        &self.channels
    }

    async fn message(&self, cx: &Context) -> Settlement {
        let id = read(cx.message().payload.as_deref().unwrap_or_default());
        self.sum.fetch_add(id, Ordering::Relaxed);
        if self.handled.fetch_add(1, Ordering::Relaxed) + 1 == self.all {
            self.stop.request();
        }
        Settlement::Ack
    }
}

/// Seconds of the processor that this process has had, of all its threads.
fn processor() -> io::Result<f64> {
    // In hundredths, as Linux counts for everybody.
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks =
        |index: usize| fields.get(index).and_then(|text| text.parse::<f64>().ok()).unwrap_or_default();
    Ok((ticks(11) + ticks(12)) / 100.0)
}

async fn fill(connection: &mut MultiplexedConnection, key: &str, all: u64) -> redis::RedisResult<()> {
    let note = "n".repeat(240);
    for chunk in 0..all.div_ceil(1000) {
        let mut adds = pipe();
        for id in chunk * 1000..all.min((chunk + 1) * 1000) {
            let payload = format!(r#"{{"id":{id},"note":"{note}","tags":["drawn","counted"]}}"#);
            adds.cmd("XADD").arg(key).arg("*").arg("payload").arg(payload).ignore();
        }
        adds.exec_async(connection).await?;
    }
    Ok(())
}

fn items(value: Value) -> Vec<Value> {
    match value {
        Value::Array(items) => items,
        _ => Vec::new(),
    }
}

/// Reads, handles, acknowledges, with the client alone.
async fn by_hand(connection: &mut MultiplexedConnection, key: &str, all: u64) -> redis::RedisResult<u64> {
    cmd("XGROUP").arg("CREATE").arg(key).arg("rate").arg("0").exec_async(connection).await?;
    let (mut handled, mut sum) = (0, 0);
    while handled < all {
        let mut fetch = cmd("XREADGROUP");
        fetch.arg("GROUP").arg("rate").arg("hand").arg("COUNT").arg(COUNT).arg("BLOCK").arg(1000);
        fetch.arg("STREAMS").arg(key).arg(">");
        let reply: Value = fetch.query_async(connection).await?;
        let mut ack = cmd("XACK");
        ack.arg(key).arg("rate");
        for entry in items(reply).into_iter().flat_map(|stream| items(items(stream).swap_remove(1))) {
            let mut entry = items(entry).into_iter();
            if let (Some(Value::BulkString(id)), Some(fields)) = (entry.next(), entry.next()) {
                if let Some(Value::BulkString(payload)) = items(fields).get(1) {
                    sum += read(payload);
                }
                ack.arg(id);
                handled += 1;
            }
        }
        ack.exec_async(connection).await?;
    }
    Ok(sum)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let url = args.next().unwrap_or_else(|| "redis://localhost".to_owned());
    let all: u64 = args.next().map_or(Ok(200_000), |text| text.parse())?;
    let mut connection = Client::open(&*url)?.get_multiplexed_async_connection().await?;
    connection.set_response_timeout(Duration::from_secs(30));
    let mut out = io::stdout();
    let mut lines = [Vec::new(), Vec::new()];
    for turn in 0..TURNS {
        for side in [turn % 2, 1 - turn % 2] {
            let key = format!("amgi-rate.{}.{turn}.{side}", std::process::id());
            fill(&mut connection, &key, all).await?;
            let (since, before) = (Instant::now(), processor()?);
            let sum = if side == 0 {
                by_hand(&mut connection, &key, all).await?
            } else {
                let (stop, sum) = (Stop::new(), Arc::new(AtomicU64::new(0)));
                let counter = Counter {
                    channels: [ChannelInfo::new("rate", key.clone())],
                    handled: AtomicU64::new(0),
                    sum: sum.clone(),
                    all,
                    stop: stop.clone(),
                };
                let server = Server::new(counter).url(&*url).group("rate").prefetch(COUNT);
                server.stop(&stop).serve().await?;
                sum.load(Ordering::Relaxed)
            };
            let (took, spent) = (since.elapsed().as_secs_f64(), processor()? - before);
            assert_eq!(sum, all * (all - 1) / 2, "every message was handled once");
            cmd("DEL").arg(&key).exec_async(&mut connection).await?;
            #[allow(clippy::cast_precision_loss)]
            let all = all as f64;
            let (rate, cost) = (all / took, spent / all * 1e6);
            writeln!(out, "{} {rate:9.0} messages/s {cost:6.2} µs each", ["by hand", "service"][side])?;
            lines[side].push((rate, cost));
        }
    }
    let middle = |side: usize| {
        let mut rates: Vec<f64> = lines[side].iter().map(|line| line.0).collect();
        let mut costs: Vec<f64> = lines[side].iter().map(|line| line.1).collect();
        rates.sort_by(f64::total_cmp);
        costs.sort_by(f64::total_cmp);
        (rates[TURNS / 2], costs[TURNS / 2])
    };
    let (hand, service) = (middle(0), middle(1));
    writeln!(out, "service / by hand: rate {:.2}, processor {:.2}", service.0 / hand.0, service.1 / hand.1)?;
    Ok(())
}
