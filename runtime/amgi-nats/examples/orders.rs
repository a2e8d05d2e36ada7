//! Orders on JetStream: a stream and a consumer that are made, and what failed, which the broker delivers again.
//!
//! ```text
//! cargo run -p amgi-nats --example orders -- nats://localhost:4222
//!
//! nats pub amgi-example.2.orders coffee
//! ```
//!
//! It makes a stream of the subjects `amgi-example.*.orders` and a consumer of its group. Coffee fails the first time: JetStream keeps
//! it for a second, counts, and gives it to an instance that has time. Ctrl-C ends it.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use amgi::{Application, ChannelInfo, Context, Disposition, Reason, Settlement};
use amgi_nats::Server;

struct Shop([ChannelInfo; 1]);

fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

impl Application for Shop {
    fn channels(&self) -> &[ChannelInfo] {
        &self.0
    }

    async fn message(&self, cx: &Context) -> Settlement {
        let order = String::from_utf8_lossy(cx.message().payload.as_deref().unwrap_or_default());
        say(&format!("{}: {order}, attempt {}", cx.address(), cx.attempt()));
        if order == "coffee" && cx.attempt() == 1 {
            return Settlement::Fail {
                disposition: Disposition::RetryAfter(Duration::from_secs(1)),
                reason: Reason::Failed("the water is cold".to_owned()),
            };
        }
        Settlement::Ack
    }
}

#[tokio::main]
async fn main() -> amgi::Result<()> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "nats://localhost:4222".to_owned());
    let shop = Shop([ChannelInfo::new("orders", "amgi-example.{table}.orders")]);
    let server = Server::new(shop).url(url).group("amgi-example").jetstream(true).declare(true);
    server.on_ready(|| say("ready")).serve().await
}
