//! The service of `specs/desk.yaml` with its command line. A ticket's topic says what becomes of it.

use std::{
    io::{self, Write as _},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use amgi::{
    Application, Batch, Context, Failure, Layer, Message, MessageSend, SendError, SendFuture, Settlement,
};

amgi_gen_macro::asyncapi!("../../specs/desk.yaml");

use desk::{
    Assigned, CountVisitsMessage, Sender, Ticket, TicketsHandler, Visits, VisitsHandler,
    types::AssignedPayload,
};

struct Service;

impl TicketsHandler for Service {
    type Error = Failure;

    async fn on_ticket(&self, message: Ticket, cx: &Context) -> Result<(), Failure> {
        match message.payload.topic.as_str() {
            "panic" => panic!("the printer is on fire"),
            "hang" => std::future::pending().await,
            "send" => {
                let payload = AssignedPayload { agent: "Ada".to_owned() };
                Sender::from(cx).send_assigned(Assigned { payload }).await?;
            }
            number => {
                tokio::time::sleep(Duration::from_millis(1)).await;
                let _ = writeln!(io::stderr(), "handled {number}");
            }
        }
        Ok(())
    }
}

impl VisitsHandler for Service {
    type Error = Failure;

    async fn count_visits(
        &self,
        _: Vec<Visits>,
        _: Vec<CountVisitsMessage>,
        _: &Batch<'_>,
    ) -> Result<(), Failure> {
        Ok(())
    }
}

/// A broker that takes nothing but dead letters.
struct Broken(Arc<dyn MessageSend>);

impl MessageSend for Broken {
    fn send(&self, message: Message) -> SendFuture<'_> {
        if message.headers.get("amgi-dead-letter-kind").is_some() {
            return self.0.send(message);
        }
        SendFuture::ready(Err(SendError::new(message.address.to_string(), "the broker takes nothing")))
    }
}

/// Puts it between the handlers and the server.
struct Breaks;

impl Layer for Breaks {
    async fn message<A: Application>(&self, cx: &Context, next: &A) -> Settlement {
        next.message(&cx.clone().with_sender(Arc::new(Broken(cx.sender().clone())))).await
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let startup = || async {
        match std::env::var("DESK_STARTUP") {
            Ok(problem) => Err(io::Error::other(problem)),
            Err(_) => Ok(Service),
        }
    };
    amgi::cli::App::new(desk::DOCUMENT, move || desk::app_with(startup).layer(Breaks)).run().await
}
