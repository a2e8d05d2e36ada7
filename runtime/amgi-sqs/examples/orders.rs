//! Orders on SQS: queues that are made, and a channel with a parameter.
//!
//! ```text
//! cargo run -p amgi-sqs --example orders -- sqs://eu-west-1
//! ```
//!
//! With an emulator it is `sqs+http://KEY:SECRET@localhost:4566`. It makes the queues `amgi-example--1--orders` to `amgi-example--3--orders`,
//! `amgi-example--done`, and those of their dead letters, orders three things, takes the orders, and stops when it has heard that all are done.

use std::{
    env,
    io::{self, Write as _},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use amgi::{
    Application, ChannelInfo, Context, Message, MessageSend, Settlement, StartupError, State, server::Stop,
};
use amgi_sqs::Server;
use tokio::sync::Notify;

const ORDERS: [&str; 3] = ["tea", "coffee", "cake"];

/// Takes orders, says that they are done, and stops when it has heard that of all.
struct Shop {
    channels: [ChannelInfo; 2],
    /// Set at startup.
    sender: OnceLock<Arc<dyn MessageSend>>,
    done: AtomicUsize,
    stop: Stop,
}

fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

fn text(message: &Message) -> String {
    String::from_utf8_lossy(message.payload.as_deref().unwrap_or_default()).into_owned()
}

/// The application; `main` keeps the shop, too.
struct App(Arc<Shop>);

impl Application for App {
    fn channels(&self) -> &[ChannelInfo] {
        &self.0.channels
    }

    async fn startup(&self, state: &mut State) -> Result<(), StartupError> {
        if let Some(sender) = state.sender() {
            let _ = self.0.sender.set(sender.clone());
        }
        Ok(())
    }

    async fn message(&self, cx: &Context) -> Settlement {
        let order = text(cx.message());
        if cx.address() == "amgi-example.done" {
            say(&format!("done: {order}"));
            if self.0.done.fetch_add(1, Ordering::Relaxed) + 1 == ORDERS.len() {
                self.0.stop.request();
            }
            return Settlement::Ack;
        }
        say(&format!("{order} is ordered ({})", cx.address()));
        // When the send returns the broker has it, and only then is the order acknowledged.
        match cx.send(Message::new("amgi-example.done").payload(order)).await {
            Ok(()) => Settlement::Ack,
            Err(error) => amgi::Failed::new(&error).into(),
        }
    }
}

#[tokio::main]
async fn main() -> amgi::Result<()> {
    let url = env::args().nth(1).or_else(|| env::var("AMGI_SQS_URL").ok());
    let (halt, ready) = (Stop::new(), Arc::new(Notify::new()));
    let shop = Arc::new(Shop {
        channels: [
            ChannelInfo::new("orders", "amgi-example.{table}.orders"),
            ChannelInfo::new("done", "amgi-example.done"),
        ],
        sender: OnceLock::new(),
        done: AtomicUsize::new(0),
        stop: halt.clone(),
    });
    let server = Server::new(App(shop.clone()))
        .addresses("orders", (1..=3).map(|table| format!("amgi-example.{table}.orders")))
        .declare(true)
        .stop(&halt)
        .on_ready({
            let ready = ready.clone();
            move || ready.notify_one()
        });
    let serving = server.url(url.unwrap_or_else(|| "sqs://".to_owned())).serve();
    let ordering = async {
        ready.notified().await;
        say("ready");
        let Some(sender) = shop.sender.get() else { return };
        for (number, order) in ORDERS.into_iter().enumerate() {
            let message = Message::new(format!("amgi-example.{}.orders", number + 1)).payload(order);
            if let Err(error) = sender.send(message).await {
                say(&format!("{order} cannot be ordered: {error}"));
            }
        }
        // Not the end of the server, which stops when all is done.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = serving => ended,
        () = ordering => Ok(()),
    }
}
