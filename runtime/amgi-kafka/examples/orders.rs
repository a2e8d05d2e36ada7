//! Orders on Kafka: keys, tombstones, and where a message was.
//!
//! ```text
//! cargo run -p amgi-kafka --example orders -- kafka://localhost:9092
//!
//! kafka-console-producer.sh --bootstrap-server localhost:9092 --topic amgi-example.orders \
//!     --property parse.key=true --property key.separator=: --property null.marker=none
//! > table 2:coffee
//! > table 2:none
//! ```
//!
//! It makes the topic `amgi-example.orders`. The key is whose order it is: those of a table come one after the other, and one
//! without a payload takes them back. Ctrl-C ends it.

use std::io::{self, Write as _};

use amgi::{Application, BindingValue, ChannelInfo, Context, Settlement};
use amgi_kafka::Server;

struct Shop([ChannelInfo; 1]);

fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

impl Application for Shop {
    fn channels(&self) -> &[ChannelInfo] {
        &self.0
    }

    async fn message(&self, cx: &Context) -> Settlement {
        let message = cx.message();
        let binding = |field| message.bindings.get("kafka", field);
        let number = |field| binding(field).and_then(BindingValue::as_int).unwrap_or_default();
        let place = format!("partition {}, offset {}", number("partition"), number("offset"));
        let key = binding("key").and_then(BindingValue::as_str).unwrap_or("nobody");
        match &message.payload {
            Some(order) => say(&format!("{key}: {} ({place})", String::from_utf8_lossy(order))),
            None => say(&format!("{key}: nothing, after all ({place})")),
        }
        Settlement::Ack
    }
}

#[tokio::main]
async fn main() -> amgi::Result<()> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "kafka://localhost:9092".to_owned());
    let shop = Shop([ChannelInfo::new("orders", "amgi-example.orders")]);
    Server::new(shop)
        .url(url)
        .group("amgi-example")
        .create_topics(true)
        .on_ready(|| say("ready"))
        .serve()
        .await
}
