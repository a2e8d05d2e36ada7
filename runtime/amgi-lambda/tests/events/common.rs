//! An application that notes what it is given and does what it is told.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use amgi::{
    Application, ChannelInfo, Context, Disposition, Message, MessageSend, Reason, SendFuture, ServerInfo,
    Settlement,
};
use amgi_lambda::{EventError, Function, Server};
use serde_json::Value;

/// What happened, in order.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<Vec<Message>>>);

impl Seen {
    pub(crate) fn push(&self, message: &Message) {
        self.0.lock().unwrap().push(message.clone());
    }

    pub(crate) fn all(&self) -> Vec<Message> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    pub(crate) fn payloads(&self) -> Vec<String> {
        let text = |message: &Message| {
            String::from_utf8_lossy(message.payload.as_deref().unwrap_or(b"-")).into_owned()
        };
        self.all().iter().map(text).collect()
    }
}

impl MessageSend for Seen {
    fn send(&self, message: Message) -> SendFuture<'_> {
        self.push(&message);
        SendFuture::ready(Ok(()))
    }
}

/// Fails what has the payload `fail`, rejects `reject`, panics over `panic`, sleeps over `sleep`, sends what begins with `send`.
#[derive(Default)]
pub(crate) struct App {
    pub(crate) seen: Seen,
    pub(crate) channels: Vec<ChannelInfo>,
    pub(crate) servers: Vec<ServerInfo>,
}

impl App {
    pub(crate) fn with(channels: impl IntoIterator<Item = ChannelInfo>) -> (Self, Seen) {
        let app = Self { channels: channels.into_iter().collect(), ..Self::default() };
        let seen = app.seen.clone();
        (app, seen)
    }

    async fn settle(&self, cx: &Context) -> Settlement {
        let fail =
            |disposition| Settlement::Fail { disposition, reason: Reason::Failed("told to".to_owned()) };
        match cx.message().payload.as_deref() {
            Some(b"fail") => fail(Disposition::Retry),
            Some(b"reject") => fail(Disposition::DeadLetter),
            Some(b"discard") => fail(Disposition::Discard),
            Some(b"say nothing") => Settlement::Unsettled,
            Some(b"panic") => panic!("told to"),
            Some(b"sleep") => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                Settlement::Ack
            }
            Some(payload) if payload.starts_with(b"send") => {
                match cx.send(Message::new("sent").payload(payload.to_vec())).await {
                    Ok(()) => Settlement::Ack,
                    Err(error) => Settlement::Fail {
                        disposition: Disposition::Retry,
                        reason: Reason::Failed(error.to_string()),
                    },
                }
            }
            _ => Settlement::Ack,
        }
    }
}

impl Application for App {
    fn channels(&self) -> &[ChannelInfo] {
        &self.channels
    }

    fn servers(&self) -> &[ServerInfo] {
        &self.servers
    }

    async fn message(&self, cx: &Context) -> Settlement {
        if !self.channels.is_empty() && amgi::ChannelMap::new(&self.channels).find(cx.address()).is_none() {
            // As generated code does.
            return Settlement::Fail {
                disposition: Disposition::DeadLetter,
                reason: Reason::NoChannel(cx.address().to_owned()),
            };
        }
        self.seen.push(cx.message());
        self.settle(cx).await
    }

    async fn batch(&self, contexts: &[Context], settlements: &mut Vec<Settlement>) {
        self.seen.push(&Message::new(format!("batch of {}", contexts.len())));
        for cx in contexts {
            settlements.push(self.message(cx).await);
        }
    }
}

/// A function that has started.
pub(crate) async fn start(server: Server<App>) -> Function<App> {
    server.start().await.unwrap()
}

/// Handles an event within a minute.
pub(crate) async fn invoke(function: &Function<App>, event: &Value) -> Result<Value, EventError> {
    let answer = function.invoke(event.to_string().as_bytes(), Duration::from_secs(60)).await?;
    Ok(serde_json::from_str(&answer).unwrap())
}

/// What the answer says failed.
pub(crate) fn failed(answer: &Value) -> Vec<Value> {
    let failures = answer["batchItemFailures"].as_array().unwrap();
    failures.iter().map(|failure| failure["itemIdentifier"].clone()).collect()
}
