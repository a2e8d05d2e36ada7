//! The other side of `specs/desk.yaml`.

use std::sync::LazyLock;

use amgi::{Application, ChannelInfo, Context, Message, Settlement};

/// Says which agent can help, and translates.
#[derive(Debug, Clone, Copy)]
pub struct Agents;

impl Application for Agents {
    fn channels(&self) -> &[ChannelInfo] {
        static CHANNELS: LazyLock<Vec<ChannelInfo>> = LazyLock::new(|| {
            ["desk.agents.find", "desk.translate"].map(|address| ChannelInfo::new(address, address)).to_vec()
        });
        &CHANNELS
    }

    async fn message(&self, cx: &Context) -> Settlement {
        let request = cx.message();
        let header = |name| request.headers.get_bytes(name).cloned().unwrap_or_default();
        let reply = match cx.address() {
            "desk.translate" => {
                let to = String::from_utf8(header("reply-to").to_vec()).expect("an address");
                Message::new(to).payload("Hallo")
            }
            _ => Message::new("desk.agents").payload(r#"{"name":"Ada"}"#),
        };
        match cx.send(reply.header("correlation-id", header("correlation-id"))).await {
            Ok(()) => Settlement::Ack,
            Err(error) => amgi::Failed::new(&error).into(),
        }
    }
}
