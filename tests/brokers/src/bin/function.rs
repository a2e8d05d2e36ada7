//! A function of AWS Lambda that tests give events to. It says on standard output what it does, as JSON; the payload tells it how:
//! what contains `fail` fails, `hang` never ends, `slow` takes 300 ms, `panic` panics, `reject` does not fit, `discard` is left.

use std::{io::Write, time::Duration};

use amgi::{Application, ChannelInfo, Context, Disposition, Reason, Settlement, StartupError, State};
use amgi_brokers_tests::{failed, rejected};
use serde_json::{Value, json};

struct Told(Vec<ChannelInfo>);

fn say(value: &Value) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{value}").and_then(|()| out.flush());
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

impl Application for Told {
    fn channels(&self) -> &[ChannelInfo] {
        &self.0
    }

    async fn startup(&self, _: &mut State) -> Result<(), StartupError> {
        say(&json!("startup"));
        if std::env::var_os("NO_START").is_some() {
            return Err(StartupError::new("no start"));
        }
        Ok(())
    }

    async fn message(&self, cx: &Context) -> Settlement {
        let message = cx.message();
        let payload = message.payload.as_deref().map(text);
        let headers: Vec<_> = message.headers.iter().map(|(name, value)| (text(name), text(value))).collect();
        say(&json!({"address": cx.address(), "headers": headers, "payload": payload}));
        let payload = payload.unwrap_or_default();
        let settlement = if payload.contains("fail") {
            failed("as it was told")
        } else if payload.contains("reject") {
            rejected("/id", "expected at least 1")
        } else if payload.contains("discard") {
            Settlement::Fail {
                disposition: Disposition::Discard,
                reason: Reason::Failed("of no use".to_owned()),
            }
        } else {
            Settlement::Ack
        };
        if payload.contains("hang") {
            std::future::pending::<()>().await;
        } else if payload.contains("slow") {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        assert!(!payload.contains("panic"), "as it was told");
        say(&json!("done"));
        settlement
    }

    async fn shutdown(&self) -> Result<(), StartupError> {
        say(&json!("shutdown"));
        Ok(())
    }
}

#[tokio::main]
async fn main() -> amgi::Result<()> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    // What is not of these has no channel.
    let addresses = std::env::var("ADDRESSES").unwrap_or_default();
    let channels = addresses.split(',').map(|address| ChannelInfo::new("channel", address.to_owned()));
    amgi_lambda::Server::new(Told(channels.collect())).env().serve().await
}
