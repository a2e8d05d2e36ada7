//! The measured process: it handles so many messages in one of three ways, and says what that took.

use std::{
    fs,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use amgi::{Application, ChannelInfo, Context, Failure, Settlement, server::Stop};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

amgi_gen_macro::asyncapi!("../../../specs/numbers.yaml");

/// How messages are handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Way {
    /// The broker's client in a loop, which decodes into a struct written by hand and settles as our server does.
    Raw,
    /// Our server, with an application that does no more than that.
    Server,
    /// A generated service, which checks every payload.
    Service,
}

impl Way {
    pub(crate) const ALL: [Self; 3] = [Self::Raw, Self::Server, Self::Service];

    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Server => "server",
            Self::Service => "service",
        }
    }
}

/// What handling all messages took, from the first to the last.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) seconds: f64,
    /// User and system time of the process, in seconds.
    pub(crate) cpu: f64,
    /// Most memory it ever had, in KiB.
    pub(crate) peak_kib: u64,
}

/// A number, by hand.
#[derive(Debug, Deserialize)]
struct Plain {
    id: u64,
    note: Option<String>,
    #[serde(default)]
    tags: Vec<String>,
}

/// Counts messages, and stops the server after the last.
#[derive(Clone)]
pub(crate) struct Meter(Arc<Inner>);

struct Inner {
    messages: u64,
    seen: AtomicU64,
    began: Mutex<Option<(Instant, Duration)>>,
    taken: Mutex<Option<Taken>>,
    stop: Stop,
}

impl Meter {
    pub(crate) fn new(messages: u64) -> Self {
        let (seen, began, taken, stop) = (AtomicU64::new(0), Mutex::default(), Mutex::default(), Stop::new());
        Self(Arc::new(Inner { messages, seen, began, taken, stop }))
    }

    /// Stops the server when all is done.
    pub(crate) fn stop(&self) -> &Stop {
        &self.0.stop
    }

    /// A payload as a raw client has it. True after the last.
    pub(crate) fn decode(&self, payload: &[u8]) -> bool {
        let number: Plain = serde_json::from_slice(payload).expect("a number");
        std::hint::black_box((number.id, &number.note, &number.tags));
        self.count()
    }

    fn count(&self) -> bool {
        let inner = &*self.0;
        let seen = inner.seen.fetch_add(1, Ordering::Relaxed) + 1;
        if seen == 1 {
            *lock(&inner.began) = Some((Instant::now(), cpu()));
        }
        if seen == inner.messages {
            if let Some((began, used)) = *lock(&inner.began) {
                let (seconds, cpu) =
                    (began.elapsed().as_secs_f64(), cpu().saturating_sub(used).as_secs_f64());
                *lock(&inner.taken) = Some(Taken { seconds, cpu, peak_kib: 0 });
            }
            inner.stop.request();
        }
        seen >= inner.messages
    }

    /// What it took; `None` before the last message.
    pub(crate) fn taken(&self) -> Option<Taken> {
        let taken = *lock(&self.0.taken);
        taken.map(|taken| Taken { peak_kib: peak(), ..taken })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What this process has used so far.
fn cpu() -> Duration {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(used.tv_sec.unsigned_abs(), u32::try_from(used.tv_nsec).unwrap_or_default())
}

/// `VmHWM`, in KiB; zero where there is no `/proc`.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|kib| kib.parse().ok()).unwrap_or_default()
}

/// Decodes and acknowledges, and knows nothing of the document but its channel.
pub(crate) struct Bare {
    channels: Vec<ChannelInfo>,
    meter: Meter,
}

impl Bare {
    pub(crate) fn new(meter: Meter) -> Self {
        Self { channels: service(meter.clone()).channels().to_vec(), meter }
    }
}

impl Application for Bare {
    fn channels(&self) -> &[ChannelInfo] {
        &self.channels
    }

    async fn message(&self, cx: &Context) -> Settlement {
        self.meter.decode(cx.message().payload.as_deref().unwrap_or_default());
        Settlement::Ack
    }
}

/// The generated service.
pub(crate) fn service(meter: Meter) -> impl Application {
    numbers::app(Service(meter))
}

struct Service(Meter);

impl numbers::NumbersHandler for Service {
    type Error = Failure;

    async fn on_number(
        &self,
        channel: numbers::Numbers,
        message: numbers::Number,
        _: &Context,
    ) -> Result<(), Failure> {
        std::hint::black_box((&channel.lane, &message));
        self.0.count();
        Ok(())
    }
}
