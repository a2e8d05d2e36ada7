//! A process that a test can kill: `worker SERVER URL ADDRESS`. It says on standard output what it does. The payload tells it how
//! long a message takes: `hang…` never ends, `slow…` takes 300 ms.

use std::{io::Write, time::Duration};

use amgi::{Application, ChannelInfo, Context, Error, Settlement, StartupError, State};
use amgi_brokers_tests::channel;

struct Slow(ChannelInfo);

fn say(text: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

impl Application for Slow {
    fn channels(&self) -> &[ChannelInfo] {
        std::slice::from_ref(&self.0)
    }

    async fn startup(&self, _: &mut State) -> Result<(), StartupError> {
        say("startup");
        Ok(())
    }

    async fn message(&self, cx: &Context) -> Settlement {
        let payload = cx.message().payload.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        say(&format!("begin {payload}"));
        if payload.starts_with("hang") {
            std::future::pending::<()>().await;
        } else if payload.starts_with("slow") {
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        say(&format!("end {payload}"));
        Settlement::Ack
    }

    async fn shutdown(&self) -> Result<(), StartupError> {
        say("shutdown");
        Ok(())
    }
}

#[tokio::main]
async fn main() -> amgi::Result<()> {
    let mut args = std::env::args().skip(1);
    let mut arg = || args.next().unwrap_or_default();
    let (server, url, address) = (arg(), arg(), arg());
    let ready = || say("ready");
    match &*server {
        "amqp" => {
            let app = Slow(ChannelInfo::new("work", address));
            amgi_amqp::Server::new(app).url(url).group("worker").on_ready(ready).serve().await
        }
        "http" => {
            let app = Slow(ChannelInfo::new("work", address));
            amgi_http::Server::new(app).listen(url).on_ready(ready).serve().await
        }
        "kafka" => {
            let app = Slow(ChannelInfo::new("work", address.clone()));
            let server = amgi_kafka::Server::new(app).url(url).group(address).on_ready(ready);
            let server =
                server.session_timeout(Duration::from_secs(2)).property("heartbeat.interval.ms", "300");
            server.env().serve().await
        }
        "mqtt-3.1.1" | "mqtt-5" => {
            let version = if server == "mqtt-5" { amgi_mqtt::Version::V5 } else { amgi_mqtt::Version::V311 };
            let app = Slow(channel(String::leak(address), r#"{"qos":1}"#));
            let server = amgi_mqtt::Server::new(app).url(url).version(version).client_id("worker");
            server.on_ready(ready).serve().await
        }
        other => Err(Error::Config(format!("`{other}` is no server"))),
    }
}
