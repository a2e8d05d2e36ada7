//! A process that a test can kill: `amqp-app URL QUEUE`. It says on standard output what it does. The payload tells it how long a
//! message takes: `hang…` never ends, `slow…` takes 300 ms.

use std::{io::Write, time::Duration};

use amgi::{Application, ChannelInfo, Context, Settlement, StartupError, State};
use amgi_amqp::Server;

struct Slow(Vec<ChannelInfo>);

fn say(text: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

impl Application for Slow {
    fn channels(&self) -> &[ChannelInfo] {
        &self.0
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
    let url = args.next().unwrap_or_default();
    let queue = args.next().unwrap_or_default();
    let app = Slow(vec![ChannelInfo::new("work", queue)]);
    Server::new(app).url(url).group("amqp-app").on_ready(|| say("ready")).serve().await
}
