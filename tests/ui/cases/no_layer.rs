//! What is no layer and no dependency.

use amgi::{Application, ChannelInfo, Context, Settlement};

struct Plain;

struct App;

impl Application for App {
    fn channels(&self) -> &[ChannelInfo] {
        &[]
    }

    async fn message(&self, cx: &Context) -> Settlement {
        drop(cx.get::<Plain>().await);
        Settlement::Ack
    }
}

fn main() {
    let _ = App.layer(Plain);
}
