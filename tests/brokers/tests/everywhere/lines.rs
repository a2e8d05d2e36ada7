//! The in-memory server: its broker is the service's own standard input and output.

use std::sync::{Arc, Mutex, PoisonError};

use amgi::Message;
use amgi_conformance::Watch;
use serde_json::{Map, Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin},
    sync::mpsc,
};

use crate::{Broker, Place};

type Watchers = Arc<Mutex<Vec<(String, mpsc::UnboundedSender<Message>)>>>;

/// JSON lines.
#[derive(Default)]
pub(crate) struct Lines {
    stdin: Arc<tokio::sync::Mutex<Option<ChildStdin>>>,
    watchers: Watchers,
}

/// A line of the output, if it tells of a send.
fn sent(line: &str) -> Option<Message> {
    let mut event: Value = serde_json::from_str(line).expect("JSON");
    if event["type"] != "message.send" {
        return None;
    }
    let mut message = Message::new(event["address"].as_str()?).payload(event["payload"].to_string());
    if let Value::Object(headers) = event["headers"].take() {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        headers.iter().for_each(|(name, value)| message.headers.push(name.clone(), text(value)));
    }
    Some(message)
}

impl Broker for Lines {
    const KEEPS: bool = false;

    async fn place(&self) -> Place {
        Place { url: "memory".to_owned(), addresses: None }
    }

    fn started(&self, service: &mut Child) {
        let stdin = service.stdin.take();
        *self.stdin.try_lock().expect("nobody publishes") = stdin;
        let mut lines = BufReader::new(service.stdout.take().expect("a pipe")).lines();
        let watchers = self.watchers.clone();
        tokio::spawn(async move {
            while let Some(line) = lines.next_line().await.expect("its output") {
                let Some(message) = sent(&line) else { continue };
                for (address, saw) in watchers.lock().unwrap_or_else(PoisonError::into_inner).iter() {
                    if *address == *message.address {
                        let _ = saw.send(message.clone());
                    }
                }
            }
        });
    }

    async fn publish(&self, message: Message) {
        let payload: Value =
            serde_json::from_slice(&message.payload.clone().unwrap_or_default()).expect("JSON");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = message.headers.iter().map(|(name, value)| (text(name), text(value).into()));
        let headers: Map<String, Value> = headers.collect();
        let line = json!({"address": &*message.address, "headers": headers, "payload": payload});
        let mut stdin = self.stdin.lock().await;
        let stdin = stdin.as_mut().expect("the service runs");
        stdin.write_all(format!("{line}\n").as_bytes()).await.expect("it reads");
    }

    async fn watch(&self, address: &str) -> Watch {
        let (saw, messages) = mpsc::unbounded_channel();
        self.watchers.lock().unwrap_or_else(PoisonError::into_inner).push((address.to_owned(), saw));
        Watch::new(messages, ())
    }
}
