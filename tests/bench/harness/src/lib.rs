//! What both sides are measured with: the payload, the latch, the runtime, and the regions that are counted.
//!
//! It knows neither side. A binary of the peer's that links the generated application, unused as it is, has the compiler
//! inline otherwise, which costs the peer 50 instructions a message.

use std::{
    hint::black_box,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use gungraun::{Callgrind, Dhat, EntryPoint, LibraryBenchmarkConfig};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Notify,
};

/// Messages in a run of the length `base`.
pub const MESSAGES: usize = 1000;

/// The symbol of [`region`], as a pattern for callgrind and DHAT.
const REGION: &str = "amgi_bench_harness::region*";

/// Payload of every message: `id` and `quantity`.
pub const PAYLOAD: &str = r#"{"id":1000000,"quantity":37}"#;

/// Headers of a message whose headers are read.
pub const META: &[(&str, &str)] = &[("task_id", "17"), ("chunk_no", "3")];

/// Both tools, looking at [`region`] and nothing else.
pub fn config() -> LibraryBenchmarkConfig {
    let toggle = format!("--toggle-collect={REGION}");
    let mut callgrind = Callgrind::with_args(["--collect-atstart=no", &toggle]);
    callgrind.entry_point(EntryPoint::None);
    // DHAT keeps the innermost twelve frames unless told otherwise, too few to find `region` in the stack of an
    // allocation that a handler made: it would count nothing.
    let mut dhat = Dhat::with_args(["--num-callers=128"]);
    dhat.entry_point(EntryPoint::Custom(REGION.to_owned()));
    let mut config = LibraryBenchmarkConfig::default();
    config.tool(callgrind).tool(dhat);
    config
}

/// Runs `f` and counts it.
///
/// Counting begins and ends with this frame, so it must not be inlined, and the call must not be its last act: a jump in
/// tail position would leave the frame before `f` runs.
#[inline(never)]
pub fn region<T>(f: impl FnOnce() -> T) -> T {
    black_box(f())
}

/// Counts handled messages down and wakes the benchmark after the last one.
#[derive(Debug, Clone, Default)]
pub struct Latch(Arc<Waiting>);

#[derive(Debug, Default)]
struct Waiting {
    left: AtomicUsize,
    done: Notify,
}

impl Latch {
    /// A latch for `count` messages.
    pub fn new(count: usize) -> Self {
        Self(Arc::new(Waiting { left: AtomicUsize::new(count), done: Notify::new() }))
    }

    /// One message was handled.
    pub fn count_down(&self) {
        // Whoever waits is told by `Notify`, which orders the memory.
        if self.0.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            self.0.done.notify_one();
        }
    }

    /// How many are still to be handled.
    pub fn left(&self) -> usize {
        self.0.left.load(Ordering::Relaxed)
    }

    /// Ends when all were handled.
    pub async fn done(&self) {
        while self.left() > 0 {
            self.0.done.notified().await;
        }
    }
}

/// A runtime with one thread: the order of events, and with it the count, is the same every time.
///
/// # Panics
/// When the system refuses one.
pub fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}
