//! Orders on SQS: a FIFO queue that is made, and message groups, which wait for what fails.
//!
//! ```text
//! cargo run -p amgi-sqs --example orders -- sqs://eu-west-1
//!
//! aws sqs send-message --queue-url "$(aws sqs get-queue-url --queue-name amgi-example--orders.fifo --output text)" \
//!     --message-body coffee --message-group-id table-2 --message-deduplication-id 1
//! ```
//!
//! With an emulator it is `sqs+http://KEY:SECRET@localhost:4566`. It makes the queues `amgi-example--orders.fifo` and
//! `amgi-example--orders--fifo--dlq`. Coffee fails the first time: what its table has ordered after it waits, other tables do not.
//! Ctrl-C ends it.

use std::io::{self, Write as _};

use amgi::{Application, BindingValue, ChannelInfo, Context, Disposition, Reason, Settlement};
use amgi_sqs::Server;

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
        let table = message.bindings.get("sqs", "message_group_id").and_then(BindingValue::as_str);
        if order == "coffee" && cx.attempt() == 1 {
            let reason = Reason::Failed("the water is cold".to_owned());
            return Settlement::Fail { disposition: Disposition::Retry, reason };
        }
        say(&format!("{}: {order}, attempt {}", table.unwrap_or_default(), cx.attempt()));
        Settlement::Ack
    }
}

#[tokio::main]
async fn main() -> amgi::Result<()> {
    let url = std::env::args().nth(1).unwrap_or_else(|| "sqs://".to_owned());
    let shop = Shop([ChannelInfo::new("orders", "amgi-example.orders.fifo")]);
    Server::new(shop).url(url).declare(true).on_ready(|| say("ready")).serve().await
}
