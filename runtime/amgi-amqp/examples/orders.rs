//! Orders on RabbitMQ: a queue that is bound to a topic exchange, priorities, and what is put aside.
//!
//! ```text
//! cargo run -p amgi-amqp --example orders -- amqp://localhost:5672
//!
//! rabbitmqadmin publish exchange=amq.topic routing_key=amgi-example.2.orders payload=coffee properties='{"priority": 3}'
//! rabbitmqadmin publish exchange=amq.topic routing_key=amgi-example.2.orders payload=gravel
//! rabbitmqadmin get queue=amgi-example.2.orders.dlq
//! ```
//!
//! It binds a queue of its group to `amq.topic` with the key `amgi-example.*.orders`. Gravel is not served, and goes to a queue of dead
//! letters, which is made for the first. Ctrl-C ends it.

use std::io::{self, Write as _};

use amgi::{Application, BindingValue, ChannelInfo, Context, Disposition, Reason, Settlement};
use amgi_amqp::Server;

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
        let order = String::from_utf8_lossy(message.payload.as_deref().unwrap_or_default());
        if order == "gravel" {
            let reason = Reason::Failed("this is no quarry".to_owned());
            return Settlement::Fail { disposition: Disposition::DeadLetter, reason };
        }
        let priority = message.bindings.get("amqp", "priority").and_then(BindingValue::as_int);
        say(&format!("{}: {order}, priority {}", cx.address(), priority.unwrap_or_default()));
        Settlement::Ack
    }
}

#[tokio::main]
async fn main() -> amgi::Result<()> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "amqp://localhost:5672".to_owned());
    let shop = Shop([ChannelInfo::new("orders", "amgi-example.{table}.orders")]);
    Server::new(shop).url(url).group("amgi-example").on_ready(|| say("ready")).serve().await
}
