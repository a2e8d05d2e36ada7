//! What is measured on brokers: the service of `specs/numbers.yaml`, an application that does no more than decode, and the meter
//! that counts their messages and says what they took.

use std::{
    fs,
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use amgi::{Application, ChannelInfo, Context, Failure, Settlement, server::Stop};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

amgi_gen_macro::asyncapi!("../../../specs/numbers.yaml");

/// What handling all messages took, from the first to the last.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Taken {
    /// How many there were.
    pub messages: u64,
    /// How long it took.
    pub seconds: f64,
    /// User and system time of the process, in seconds.
    pub cpu: f64,
    /// Most memory it ever had, in KiB.
    pub peak_kib: u64,
    /// From the publisher to the handler, where that was asked for.
    #[serde(default)]
    pub latency: Option<Latency>,
}

/// Time from publishing to the handler, in microseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Latency {
    /// The median.
    pub p50: u32,
    /// What one in a hundred took longer than.
    pub p99: u32,
    /// The longest.
    pub most: u32,
}

impl Latency {
    /// `None` of nothing.
    pub fn of(mut all: Vec<u32>) -> Option<Self> {
        all.sort_unstable();
        let most = *all.last()?;
        Some(Self { p50: all[(all.len() - 1) / 2], p99: all[(all.len() - 1) * 99 / 100], most })
    }
}

/// Digits of the time in a note.
pub const STAMP: usize = 20;
/// How long nothing comes when nothing will come any more.
const SILENCE: Duration = Duration::from_secs(1);

/// A number, by hand.
#[derive(Debug, Deserialize)]
struct Plain {
    id: u64,
    note: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

/// Counts messages, and stops the server after the last. Clones count together.
#[derive(Debug, Clone)]
pub struct Meter(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    messages: u64,
    seen: AtomicU64,
    began: OnceLock<Began>,
    /// When the newest message came, in microseconds after the first.
    last: AtomicU64,
    taken: OnceLock<Taken>,
    /// Of every message, where that was asked for.
    latencies: Option<Mutex<Vec<u32>>>,
    /// How long a handler takes.
    pause: Option<Duration>,
    stop: Stop,
}

/// The first message: when it came, and what the process had used.
#[derive(Debug, Clone, Copy)]
struct Began {
    at: Instant,
    cpu: Duration,
}

impl Meter {
    /// One for so many messages, each of which takes its handler so long.
    pub fn new(messages: u64, pause: Option<Duration>) -> Self {
        Self(Arc::new(Inner {
            messages,
            seen: AtomicU64::new(0),
            began: OnceLock::new(),
            last: AtomicU64::new(0),
            taken: OnceLock::new(),
            latencies: None,
            pause,
            stop: Stop::new(),
        }))
    }

    /// One that also says how old messages are.
    #[must_use]
    pub fn with_latency(mut self) -> Self {
        if let Some(inner) = Arc::get_mut(&mut self.0) {
            let messages = usize::try_from(inner.messages).unwrap_or_default();
            inner.latencies = Some(Mutex::new(Vec::with_capacity(messages)));
        }
        self
    }

    /// What a handler does that takes its time.
    pub async fn pause(&self) {
        if let Some(pause) = self.0.pause {
            tokio::time::sleep(pause).await;
        }
    }

    /// How many messages there were so far.
    pub fn seen(&self) -> u64 {
        self.0.seen.load(Ordering::Relaxed)
    }

    /// Ends it also when nothing came for a while after the first message: where nothing is redelivered some may be missing.
    pub fn may_miss_some(&self) {
        let meter = self.clone();
        tokio::spawn(async move {
            let mut seen = 0;
            loop {
                tokio::time::sleep(SILENCE).await;
                let now = meter.0.seen.load(Ordering::Relaxed);
                if now > 0 && now == seen {
                    return meter.end(now);
                }
                seen = now;
            }
        });
    }

    /// Stops the server when all is done.
    pub fn stop(&self) -> &Stop {
        &self.0.stop
    }

    /// A payload as a raw client has it. True after the last.
    ///
    /// # Panics
    /// When it is no number.
    pub fn decode(&self, payload: &[u8]) -> bool {
        let number: Plain = serde_json::from_slice(payload).expect("a number");
        std::hint::black_box((number.id, &number.note, &number.tags));
        self.count()
    }

    fn count(&self) -> bool {
        let inner = &*self.0;
        let seen = inner.seen.fetch_add(1, Ordering::Relaxed) + 1;
        let began = inner.began.get_or_init(|| Began { at: Instant::now(), cpu: cpu() });
        let since = u64::try_from(began.at.elapsed().as_micros()).unwrap_or(u64::MAX);
        inner.last.fetch_max(since, Ordering::Relaxed);
        if seen == inner.messages {
            self.end(seen);
        }
        seen >= inner.messages
    }

    fn end(&self, messages: u64) {
        let inner = &*self.0;
        if let Some(began) = inner.began.get() {
            let seconds = Duration::from_micros(inner.last.load(Ordering::Relaxed)).as_secs_f64();
            let cpu = cpu().saturating_sub(began.cpu).as_secs_f64();
            let peak_kib = status("self", "VmHWM:");
            let all = inner.latencies.as_ref().map(|all| std::mem::take(&mut *lock(all)));
            let latency = all.and_then(Latency::of);
            // Whoever is second has nothing to add.
            let _ = inner.taken.set(Taken { messages, seconds, cpu, peak_kib, latency });
        }
        inner.stop.request();
    }

    /// What it took; `None` before the last message.
    pub fn taken(&self) -> Option<Taken> {
        self.0.taken.get().copied()
    }
}

/// What this process has used so far.
fn cpu() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or_default())
}

/// A line of a process' status, in KiB; zero where there is no `/proc`.
pub fn status(process: &str, line: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|text| text.strip_prefix(line));
    line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse().ok()).unwrap_or_default()
}

/// Nanoseconds since some moment that is the same for all processes.
pub fn now() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Decodes and acknowledges, and knows nothing of the document but its channel.
#[derive(Debug)]
pub struct Bare {
    channels: Vec<ChannelInfo>,
    meter: Meter,
}

impl Bare {
    /// One that is counted by this meter.
    pub fn new(meter: Meter) -> Self {
        Self { channels: numbers::app(Service(meter.clone())).channels().to_vec(), meter }
    }
}

impl Application for Bare {
    fn channels(&self) -> &[ChannelInfo] {
        &self.channels
    }

    async fn message(&self, cx: &Context) -> Settlement {
        self.meter.pause().await;
        self.meter.decode(cx.message().payload.as_deref().unwrap_or_default());
        Settlement::Ack
    }
}

/// What the generated service is made of: `numbers::app(Service(meter))`.
#[derive(Debug)]
pub struct Service(pub Meter);

impl numbers::NumbersHandler for Service {
    type Error = Failure;

    async fn on_number(
        &self,
        channel: numbers::Numbers,
        message: numbers::Number,
        _: &Context,
    ) -> Result<(), Failure> {
        self.0.pause().await;
        std::hint::black_box((&channel.lane, &message));
        if let Some(latencies) = &self.0.0.latencies {
            // A note begins with when it was published.
            let published = message.payload.note.as_deref().and_then(|note| note.get(..STAMP)?.parse().ok());
            let age = now().saturating_sub(published.unwrap_or_default()) / 1000;
            lock(latencies).push(u32::try_from(age).unwrap_or(u32::MAX));
        }
        self.0.count();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_a_hundred_is_beyond_the_99th_percentile() {
        let latency = Latency::of((1..=1000).rev().collect()).expect("there are some");
        assert_eq!((latency.p50, latency.p99, latency.most), (500, 990, 1000));
        assert!(Latency::of(Vec::new()).is_none());
    }
}
