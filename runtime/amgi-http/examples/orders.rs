//! Orders by HTTP: what comes in, what is answered, and what is sent.
//!
//! ```text
//! cargo run -p amgi-http --example orders
//!
//! curl -i localhost:8000/orders/7 -d '{"amount": 3}'
//! curl -i localhost:8000 -H 'ce-specversion: 1.0' -H 'ce-id: 1' -H 'ce-source: /me' -H 'ce-type: order.asked' -d '{}'
//! curl -i localhost:8000/nowhere -d '{}'
//! ```
//!
//! The first is a webhook, answered with 204 when the order is handled; the second an event that is answered with another; the
//! third a mistake. Ctrl-C ends it. With `AMGI_HTTP_URL` an order is sent on as the event `order.taken`.

use amgi::{Application, ChannelInfo, Context, Message, Settlement};

struct Orders([ChannelInfo; 2]);

impl Application for Orders {
    fn channels(&self) -> &[ChannelInfo] {
        &self.0
    }

    async fn message(&self, cx: &Context) -> Settlement {
        let payload = cx.message().payload.clone().unwrap_or_default();
        let answer = cx.message().bindings.get("http", "reply_to").and_then(|to| to.as_str());
        let to = match (cx.address(), answer) {
            ("order.asked", Some(answer)) => answer,
            _ if std::env::var_os("AMGI_HTTP_URL").is_some() => "order.taken",
            _ => return Settlement::Ack,
        };
        match cx.send(Message::new(to).payload(payload)).await {
            Ok(()) => Settlement::Ack,
            Err(_) => Settlement::Unsettled,
        }
    }
}

#[tokio::main]
async fn main() -> amgi::Result<()> {
    let channels = [("orders", "/orders/{id}"), ("asked", "order.asked")];
    let app = Orders(channels.map(|(name, address)| ChannelInfo::new(name, address)));
    amgi_http::Server::new(app).env().serve().await
}
