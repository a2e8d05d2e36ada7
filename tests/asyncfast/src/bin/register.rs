//! Takes note of who registers: the address says who.

use std::process::ExitCode;

use amgi::{Context, Failure};

amgi_gen_macro::asyncapi!("../../specs/asyncfast_register.yaml", as registration);

use registration::{Register, RegisterHandler, Registered};

struct Registration;

impl RegisterHandler for Registration {
    type Error = Failure;

    async fn on_registered(&self, channel: Register, _: Registered, _: &Context) -> Result<(), Failure> {
        tracing::info!(user_id = channel.user_id, "registered");
        Ok(())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let app = amgi::cli::App::new(registration::DOCUMENT, || registration::app(Registration));
    app.protocol(amgi_mqtt::protocol()).run().await
}
