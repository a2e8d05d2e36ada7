//! Orders on MQTT: a channel with a parameter, and answers that the broker keeps for those who come later.
//!
//! ```text
//! cargo run -p amgi-mqtt --example orders -- mqtt://localhost:1883
//!
//! mosquitto_pub -q 1 -t amgi-example/2/orders -m coffee
//! mosquitto_sub -t 'amgi-example/+/done'
//! ```
//!
//! It subscribes to `amgi-example/+/orders`, and sends what is done to `amgi-example/2/done` at QoS 2, retained. Ctrl-C ends it.

use std::io::{self, Write as _};

use amgi::{Application, ChannelInfo, Context, Message, Settlement};
use amgi_mqtt::Server;

struct Shop([ChannelInfo; 1]);

fn say(text: &str) {
    let _ = writeln!(io::stdout(), "{text}");
}

impl Application for Shop {
    fn channels(&self) -> &[ChannelInfo] {
        &self.0
    }

    async fn message(&self, cx: &Context) -> Settlement {
        let order = cx.message().payload.clone().unwrap_or_default();
        say(&format!("{}: {}", cx.address(), String::from_utf8_lossy(&order)));
        let mut done = Message::new(cx.address().replace("/orders", "/done")).payload(order);
        done.bindings.set("mqtt", "qos", 2);
        done.bindings.set("mqtt", "retain", true);
        // When the send returns the broker has it, and only then is the order acknowledged.
        match cx.send(done).await {
            Ok(()) => Settlement::Ack,
            Err(error) => amgi::Failed::new(&error).into(),
        }
    }
}

#[tokio::main]
async fn main() -> amgi::Result<()> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "mqtt://localhost:1883".to_owned());
    let shop = Shop([ChannelInfo::new("orders", "amgi-example/{table}/orders")]);
    Server::new(shop).url(url).client_id("amgi-example").on_ready(|| say("ready")).serve().await
}
