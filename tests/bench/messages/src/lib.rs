//! The application under test, and how it is run.
//!
//! Each benchmark of ours runs the same generated application on the in-memory server, each of the peer's
//! (`benches/peer_*.rs`) a service on the in-memory broker of that, with one, [`MESSAGES`] and twice [`MESSAGES`] messages.
//! What happens once is in both long runs, so `(twice - base) / MESSAGES` is what one message costs.
//!
//! These must stay true, or the figures mean something else:
//!
//! - Messages exist before anything is counted; what is counted is taking, handling, settling and dropping them.
//! - Every message of a run is the same, so that the second half costs what the first does.
//! - Only [`region`] switches counting on, and no other symbol has its name.

use std::{convert::Infallible, future::Future, hint::black_box, pin::Pin};

use amgi::{
    Application, Batch, ByteString, Bytes, Client, Context, Layer, Message, SendError, Settlement,
    memory::{Hub, Queue, Server},
};
use amgi_bench_harness::{Latch, MESSAGES, META, PAYLOAD, region, runtime};
use tokio::runtime::Runtime;

use crate::orders::{
    Confirmation, ForwardsHandler, Noted, NoticesHandler, Order, OrderForward, OrderNotice, OrderRelay,
    OrderRequest, OrderTask, OrdersHandler, RelaysHandler, RequestsHandler, Sender, Stamped, StampedHeaders,
    TasksHandler, types,
};

amgi::include_api!("orders");
amgi::include_api!("batches");
amgi::include_api!("asks");
amgi::include_api!("answers");

// The program divides by it.
const _: () = assert!(MESSAGES == amgi_bench::MESSAGES);

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
    /// Decode headers, and send a message with headers.
    HeaderSend,
    /// Decode headers, and send a message without.
    HeaderPlain,
    /// Decode, through four layers that only forward.
    Layers,
    /// Decode in batches of 64.
    Batch,
}

impl Case {
    fn address(self) -> &'static str {
        match self {
            Self::Consume | Self::Layers | Self::Batch => "orders",
            Self::ConsumeHeader => "orders.tasks",
            Self::Reply => "orders.requests",
            Self::Send => "orders.forwards",
            Self::HeaderSend => "orders.relays",
            Self::HeaderPlain => "orders.notices",
        }
    }

    fn headers(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::ConsumeHeader | Self::HeaderSend | Self::HeaderPlain => META,
            Self::Consume | Self::Reply | Self::Send | Self::Layers | Self::Batch => &[],
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

impl RelaysHandler for Desk {
    type Error = SendError;

    async fn on_order_relay(&self, message: OrderRelay, cx: &Context) -> Result<(), SendError> {
        let (id, _) = black_box((message.payload.id, message.payload.quantity));
        let (task_id, chunk_no) = black_box((message.headers.task_id, message.headers.chunk_no));
        self.0.count_down();
        let headers = StampedHeaders { task_id, chunk_no };
        Sender::from(cx).stamped(Stamped { payload: types::Stamp { id }, headers }).await
    }
}

impl NoticesHandler for Desk {
    type Error = SendError;

    async fn on_order_notice(&self, message: OrderNotice, cx: &Context) -> Result<(), SendError> {
        let (id, _) = black_box((message.payload.id, message.payload.quantity));
        black_box((message.headers.task_id, message.headers.chunk_no));
        self.0.count_down();
        Sender::from(cx).noted(Noted { payload: types::Stamp { id } }).await
    }
}

impl batches::OrdersHandler for Desk {
    type Error = Infallible;

    async fn on_order(&self, messages: Vec<batches::Order>, _batch: &Batch<'_>) -> Result<(), Infallible> {
        for message in messages {
            black_box((message.payload.id, message.payload.quantity));
            self.0.count_down();
        }
        Ok(())
    }
}

/// Only forwards.
struct Forward;

impl Layer for Forward {
    async fn message<A: Application>(&self, cx: &Context, next: &A) -> Settlement {
        next.message(cx).await
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
    let desk = Desk(latch.clone());
    let server: Pin<Box<dyn Future<Output = amgi::Result<()>> + Send>> = match case {
        Case::Batch => Box::pin(serve(batches::app(desk), &queue)),
        Case::Layers => {
            let app = orders::app(desk).layer(Forward).layer(Forward).layer(Forward).layer(Forward);
            Box::pin(serve(app, &queue))
        }
        _ => Box::pin(serve(orders::app(desk), &queue)),
    };
    let messages = messages(count, case.address(), case.headers());
    Setup { runtime: runtime(), latch, queue, messages, server }
}

fn serve<A: Application>(app: A, queue: &Queue) -> impl Future<Output = amgi::Result<()>> + Send + use<A> {
    Server::new(app).queue(queue).observe(|_| ()).serve()
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

/// Confirms orders.
struct Confirms;

impl answers::OrdersHandler for Confirms {
    type Error = Infallible;

    async fn confirm(&self, request: answers::Ask, _cx: &Context) -> Result<answers::Answer, Infallible> {
        let (id, _) = black_box((request.payload.id, request.payload.quantity));
        let headers = answers::AnswerHeaders { correlation_id: None };
        Ok(answers::Answer { payload: answers::types::AnswerPayload { id }, headers })
    }
}

/// A service, who asks it, and how often.
pub struct RequestSetup {
    runtime: Runtime,
    hub: Hub,
    count: usize,
}

/// Prepares so many requests.
pub fn setup_request(count: usize) -> RequestSetup {
    RequestSetup { runtime: runtime(), hub: Hub::new(), count }
}

/// Starts service and client, and asks one question after the other; all of it is counted.
///
/// # Panics
/// When there is no answer.
pub fn run_requests(RequestSetup { runtime, hub, count }: RequestSetup) {
    let client = region(|| {
        runtime.spawn(Server::new(answers::app(Confirms)).hub(&hub).observe(|_| ()).serve());
        runtime.block_on(Client::start(asks::replies(), |app, stop| {
            Server::new(app).hub(&hub).observe(|_| ()).stop(&stop).serve()
        }))
    })
    .expect("the client starts");
    let sender = asks::Sender::from(&client);
    region(|| {
        runtime.block_on(async {
            for _ in 0..count {
                let payload = black_box(asks::types::AskPayload { id: 1_000_000, quantity: 37 });
                let headers = asks::AskHeaders { reply_to: None, correlation_id: None };
                let answer = sender.confirm(asks::Ask { payload, headers }).await.expect("an answer");
                assert_eq!(black_box(answer.payload.id), 1_000_000);
            }
        });
    });
}
