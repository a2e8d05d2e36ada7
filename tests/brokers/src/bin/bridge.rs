//! The service of `specs/bridge.yaml` with its command line, as `amgi-gen` writes it. It says on standard output what it
//! learns.

use std::{
    io::Write as _,
    process::ExitCode,
    sync::atomic::{AtomicI64, Ordering},
};

use amgi::{Context, Failure};

amgi_gen_macro::asyncapi!("../../specs/bridge.yaml");

use bridge::{
    Alarms, Measured, MeasuredChannel, MeasuredHandler, Order, OrdersHandler, Raised, Sender, types,
};

/// Watches, with a limit in thousandths of a degree.
struct Service(AtomicI64);

fn say(text: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

impl MeasuredHandler for Service {
    type Error = Failure;

    async fn on_measured(
        &self,
        channel: MeasuredChannel,
        message: Measured,
        cx: &Context,
    ) -> Result<(), Failure> {
        let celsius = message.payload.celsius;
        say(&format!("measured {} {celsius}", channel.line));
        #[allow(clippy::cast_precision_loss)] // a limit is no large number
        if celsius * 1000.0 >= self.0.load(Ordering::Relaxed) as f64 {
            let payload = types::RaisedPayload { text: format!("{celsius} degrees") };
            let line = channel.line.to_string();
            Sender::from(cx).alarm(&Alarms { line }, Raised { payload }).await?;
        }
        Ok(())
    }
}

impl OrdersHandler for Service {
    type Error = Failure;

    async fn on_order(&self, message: Order, _: &Context) -> Result<(), Failure> {
        #[allow(clippy::cast_possible_truncation)] // a limit is no large number
        self.0.store((message.payload.limit * 1000.0) as i64, Ordering::Relaxed);
        say(&format!("limit {}", message.payload.limit));
        Ok(())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    amgi::cli::App::with_addresses(bridge::DOCUMENT, |addresses| {
        let addresses = bridge::Addresses { orders: addresses.get("orders", "ORDERS_ADDRESS")? };
        Ok(bridge::app_with(
            || async {
                say("startup");
                Ok::<_, std::io::Error>(Service(AtomicI64::new(100_000)))
            },
            addresses,
        ))
    })
    .protocol(amgi_mqtt::protocol())
    .run()
    .await
}
