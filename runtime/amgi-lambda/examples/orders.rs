//! Logs what comes: `cargo lambda watch -p amgi-lambda`, then `cargo lambda invoke orders --data-file event.json`.

use amgi::{Application, ChannelInfo, Context, Settlement};

struct Orders;

impl Application for Orders {
    fn channels(&self) -> &[ChannelInfo] {
        static CHANNELS: [ChannelInfo; 0] = [];
        &CHANNELS
    }

    async fn message(&self, cx: &Context) -> Settlement {
        let payload = cx.message().payload.as_deref().unwrap_or_default();
        tracing::info!(address = cx.address(), payload = %String::from_utf8_lossy(payload), "an order");
        Settlement::Ack
    }
}

#[tokio::main]
async fn main() -> amgi::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    amgi_lambda::Server::new(Orders).env().serve().await
}
