//! What the benchmarks share: the application under test, the messages, and the measured regions.
//!
//! Each benchmark runs the same generated application on the in-memory server with one, [`MESSAGES`] and twice
//! [`MESSAGES`] messages. What happens once is in both long runs, so `(twice - base) / MESSAGES` is what one message costs.
//!
//! These must stay true, or the figures mean something else:
//!
//! - Messages exist before anything is counted; what is counted is taking, handling, settling and dropping them.
//! - Every message of a run is the same, so that the second half costs what the first does.
//! - Only [`region`] switches counting on, and no other symbol has its name.

pub mod command;
pub mod counts;
pub mod hand;
pub mod package;
pub mod purchase;
pub mod typify;

use std::{
    convert::Infallible,
    future::Future,
    hint::black_box,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use amgi::{
    ByteString, Bytes, Context, Message, SendError,
    memory::{Queue, Server},
};
use gungraun::{Callgrind, Dhat, EntryPoint, LibraryBenchmarkConfig};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Notify,
};

use crate::orders::{
    Confirmation, ForwardsHandler, Order, OrderForward, OrderRequest, OrderTask, OrdersHandler,
    RequestsHandler, Sender, Stamped, StampedHeaders, TasksHandler, types,
};

amgi::include_api!("orders");

/// Messages in a run of the length `base`.
pub const MESSAGES: usize = 1000;

/// The symbol of [`region`], as a pattern for callgrind and DHAT.
const REGION: &str = "*amgi_bench::region*";

/// Payload of every message: `id` and `quantity`.
pub const PAYLOAD: &str = r#"{"id":1000000,"quantity":37}"#;

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

/// `count` messages as a server gets them from a broker: address shared with the subscription, payload and header values
/// in buffers of their own, header names known.
pub fn messages(count: usize, address: &str, headers: &[(&'static str, &'static str)]) -> Vec<Message> {
    let address = ByteString::from(address.to_owned());
    (0..count)
        .map(|_| {
            let message = Message::new(address.clone()).payload(Bytes::copy_from_slice(PAYLOAD.as_bytes()));
            headers.iter().fold(message, |message, (name, value)| {
                message.header(*name, Bytes::copy_from_slice(value.as_bytes()))
            })
        })
        .collect()
}

/// A way to handle an order: what a case of the benchmark is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Case {
    /// Decode and acknowledge.
    Consume,
    /// Decode headers too.
    ConsumeHeader,
    /// Answer.
    Reply,
    /// Send a message with headers.
    Send,
}

impl Case {
    fn address(self) -> &'static str {
        match self {
            Self::Consume => "orders",
            Self::ConsumeHeader => "orders.tasks",
            Self::Reply => "orders.requests",
            Self::Send => "orders.forwards",
        }
    }

    fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::ConsumeHeader => &[("task_id", "17"), ("chunk_no", "3")],
            _ => &[],
        }
    }
}

struct Desk(Latch);

impl OrdersHandler for Desk {
    type Error = Infallible;

    async fn on_order(&self, message: Order, _cx: &Context) -> Result<(), Infallible> {
        black_box((message.payload.id, message.payload.quantity));
        self.0.count_down();
        Ok(())
    }
}

impl TasksHandler for Desk {
    type Error = Infallible;

    async fn on_order_task(&self, message: OrderTask, _cx: &Context) -> Result<(), Infallible> {
        black_box((message.payload.id, message.payload.quantity));
        black_box((message.headers.task_id, message.headers.chunk_no));
        self.0.count_down();
        Ok(())
    }
}

impl RequestsHandler for Desk {
    type Error = Infallible;

    async fn confirm_order(&self, request: OrderRequest, _cx: &Context) -> Result<Confirmation, Infallible> {
        let (id, _) = black_box((request.payload.id, request.payload.quantity));
        self.0.count_down();
        Ok(Confirmation { payload: types::Confirmation { id } })
    }
}

impl ForwardsHandler for Desk {
    type Error = SendError;

    async fn on_order_forward(&self, message: OrderForward, cx: &Context) -> Result<(), SendError> {
        let (id, quantity) = black_box((message.payload.id, message.payload.quantity));
        self.0.count_down();
        let headers = StampedHeaders { task_id: id, chunk_no: quantity };
        Sender::from(cx).stamped(Stamped { payload: types::Stamp { id }, headers }).await
    }
}

/// An application on its server, not yet started, and the messages it will get.
pub struct Setup {
    runtime: Runtime,
    latch: Latch,
    queue: Queue,
    messages: Vec<Message>,
    server: Pin<Box<dyn Future<Output = amgi::Result<()>> + Send>>,
}

/// Prepares a run of `case` with `count` messages.
pub fn setup(case: Case, count: usize) -> Setup {
    let latch = Latch::new(count);
    let queue = Queue::new();
    let server = Server::new(orders::app(Desk(latch.clone()))).queue(&queue).observe(|_| ());
    let messages = messages(count, case.address(), case.headers());
    Setup { runtime: runtime(), latch, queue, messages, server: Box::pin(server.serve()) }
}

/// Starts the application (counted), fills its queue (not counted) and lets it handle everything (counted).
///
/// # Panics
/// When the server ended, or did not wait for the queue to be filled.
pub fn run(setup: Setup) {
    let Setup { runtime, latch, queue, messages, server } = setup;
    let count = messages.len();
    let task = region(|| {
        let task = runtime.spawn(server);
        // One turn, in which the server starts the application and arrives at its empty queue.
        runtime.block_on(tokio::task::yield_now());
        task
    });
    for message in messages {
        queue.push(message);
    }
    assert!(!task.is_finished(), "the server has ended before the first message");
    assert_eq!((queue.len(), latch.left()), (count, count), "messages were handled before counting began");
    region(|| runtime.block_on(latch.done()));
    assert!(queue.is_empty(), "messages are left");
}
