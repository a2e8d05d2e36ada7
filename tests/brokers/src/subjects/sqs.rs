//! `amgi-sqs` on an emulator that tests share, behind a door of its own.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use amgi::{Application, Bindings, ByteString, Message, address::Pattern, server::Backoff};
use amgi_conformance::{Abilities, Ability, Order, Run, Subject, Watch};
use amgi_sqs::{Mapping, Server};
use aws_sdk_sqs::{
    Client,
    primitives::Blob,
    types::{
        Message as Received, MessageAttributeValue, MessageSystemAttributeName, QueueAttributeName,
        SendMessageBatchRequestEntry,
    },
};
use base64::prelude::{BASE64_STANDARD as BASE64, Engine as _};
use serde_json::{Value, json};
use tokio::{
    sync::{Mutex, OnceCell, mpsc},
    task::JoinHandle,
};

use super::Placed;
use crate::{
    Door,
    sqs::{Emulator, Sqs as Broker, TICK, url},
};

/// The emulators share the machine with all other tests: sends may take this many times as long.
const PATIENCE: u32 = 4;
/// How long messages are hidden.
const VISIBILITY: Duration = Duration::from_secs(2);
/// How large a request may be.
const MOST: usize = 1024 * 1024;

/// `amgi-sqs`.
pub struct Sqs {
    emulator: Emulator,
    fifo: bool,
    broker: OnceCell<(Arc<Broker>, Door)>,
    /// Queues that are there, with their URLs.
    made: Mutex<std::collections::BTreeMap<String, String>>,
}

impl Sqs {
    /// On ordinary queues.
    pub fn standard(emulator: Emulator) -> Self {
        Self { emulator, fifo: false, broker: OnceCell::new(), made: Mutex::default() }
    }

    /// On FIFO queues.
    pub fn fifo(emulator: Emulator) -> Self {
        Self { fifo: true, ..Self::standard(emulator) }
    }

    async fn broker(&self) -> &(Arc<Broker>, Door) {
        self.broker
            .get_or_init(async || {
                let emulator = self.emulator;
                let broker =
                    tokio::task::spawn_blocking(move || Broker::shared(emulator)).await.expect("a broker");
                let door = Door::new(broker.port()).await;
                (broker, door)
            })
            .await
    }

    async fn client(&self) -> Client {
        self.broker().await.0.client()
    }

    fn name(&self, address: &str) -> String {
        let name = Mapping::names().name(address);
        if self.fifo { format!("{name}.fifo") } else { name }
    }

    /// The URL of a queue, which is made where it is missing.
    async fn queue(&self, client: &Client, address: &str) -> String {
        let name = self.name(address);
        let mut made = self.made.lock().await;
        if let Some(url) = made.get(&name) {
            return url.clone();
        }
        let mut request = client.create_queue().queue_name(&name);
        if self.fifo {
            request = request.attributes(QueueAttributeName::FifoQueue, "true");
        }
        let answer = request.send().await.expect("a queue");
        let url = answer.queue_url.expect("its URL");
        made.insert(name, url.clone());
        url
    }

    fn entry(&self, id: usize, message: &Message) -> (usize, SendMessageBatchRequestEntry) {
        let mut entry = SendMessageBatchRequestEntry::builder().id(id.to_string());
        let mut size = 0;
        let mut attribute = |entry: aws_sdk_sqs::types::builders::SendMessageBatchRequestEntryBuilder,
                             name: &str,
                             value: &[u8]| {
            size += name.len() + value.len() + 6;
            let built = match std::str::from_utf8(value) {
                Ok(text) => MessageAttributeValue::builder().data_type("String").string_value(text),
                Err(_) => MessageAttributeValue::builder().data_type("Binary").binary_value(Blob::new(value)),
            };
            entry.message_attributes(name, built.build().expect("an attribute"))
        };
        let payload = message.payload.as_deref();
        let (body, mark) = match payload.map(std::str::from_utf8) {
            None => (" ".to_owned(), Some("absent")),
            Some(Ok("")) => (" ".to_owned(), Some("empty")),
            Some(Ok(text)) if !text.contains('\0') => (text.to_owned(), None),
            Some(_) => (BASE64.encode(payload.unwrap_or_default()), Some("base64")),
        };
        if let Some(mark) = mark {
            entry = attribute(entry, "amgi-payload", mark.as_bytes());
        }
        let (mut seen, mut packed) = (BTreeSet::new(), Vec::new());
        for (name, value) in &message.headers {
            let name = std::str::from_utf8(name).expect("the suite's names are text");
            if seen.insert(name) {
                entry = attribute(entry, name, value);
            } else {
                packed.push(json!([name, std::str::from_utf8(value).expect("the suite repeats only text")]));
            }
        }
        if !packed.is_empty() {
            entry = attribute(entry, "amgi-headers", Value::Array(packed).to_string().as_bytes());
        }
        if self.fifo {
            let text = |field| {
                message.bindings.get("sqs", field).and_then(|value| value.as_str().map(str::to_owned))
            };
            let unique = || format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
            // What has no group of its own has nothing to do with others.
            entry = entry
                .message_group_id(text("message_group_id").unwrap_or_else(unique))
                .message_deduplication_id(text("message_deduplication_id").unwrap_or_else(unique));
        }
        size += body.len();
        (size, entry.message_body(body).build().expect("an entry"))
    }
}

/// What came, by what SQS says of it.
fn message(address: &ByteString, received: Received) -> Message {
    let mut message = Message::new(address.clone());
    let attributes = received.message_attributes.unwrap_or_default();
    let text = |name: &str| attributes.get(name).and_then(|value| value.string_value.as_deref());
    let body = received.body.unwrap_or_default();
    message.payload = match text("amgi-payload") {
        Some("absent") => None,
        Some("empty") => Some("".into()),
        Some("base64") => Some(BASE64.decode(&body).expect("base64").into()),
        _ => Some(body.into()),
    };
    let mut names: Vec<&String> =
        attributes.keys().filter(|name| !name.starts_with("amgi-payload")).collect();
    names.sort();
    for name in names.into_iter().filter(|name| *name != "amgi-headers") {
        let value = &attributes[name];
        match (&value.string_value, &value.binary_value) {
            (Some(text), _) => message.headers.push(name.clone(), text.clone()),
            (None, Some(blob)) => message.headers.push(name.clone(), blob.as_ref().to_vec()),
            (None, None) => {}
        }
    }
    if let Some(packed) = text("amgi-headers") {
        let pairs: Vec<(String, String)> = serde_json::from_str(packed).expect("pairs");
        for (name, value) in pairs {
            message.headers.push(name, value);
        }
    }
    for (name, field) in [
        (MessageSystemAttributeName::MessageGroupId, "message_group_id"),
        (MessageSystemAttributeName::MessageDeduplicationId, "message_deduplication_id"),
    ] {
        if let Some(value) = received.attributes.as_ref().and_then(|all| all.get(&name)) {
            message.bindings.set("sqs", field, value.as_str());
        }
    }
    message
}

/// Ends a watch when it is dropped.
struct Ends(JoinHandle<()>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Subject for Sqs {
    fn name(&self) -> &'static str {
        match (self.emulator, self.fifo) {
            (Emulator::Fauxqs, false) => "SQS",
            (Emulator::Fauxqs, true) => "SQS FIFO",
            (Emulator::Moto, false) => "SQS (moto)",
            (Emulator::Moto, true) => "SQS FIFO (moto)",
        }
    }

    fn abilities(&self) -> Abilities {
        let all = Abilities::all().without(
            Ability::HeaderOrder,
            "Attributes of a message have no order: headers with different names come sorted by name.",
        );
        // It takes minutes to be given 100,000 messages.
        let all = match self.emulator {
            Emulator::Fauxqs => all,
            Emulator::Moto => all.without(Ability::BackPressure, "moto is slow."),
        };
        if self.fifo { all } else { all.without(Ability::Order, "Only a FIFO queue keeps an order.") }
    }

    fn order(&self) -> Order {
        Order::Binding("sqs", "message_group_id")
    }

    fn bindings(&self) -> Bindings {
        let mut bindings = Bindings::default();
        if self.fifo {
            bindings.set("sqs", "message_group_id", "a group");
            bindings.set("sqs", "message_deduplication_id", "an-id");
        }
        bindings
    }

    fn refused(&self) -> Option<ByteString> {
        Some("arn:aws:sns:us-east-1:123456789012:refused".into())
    }

    fn quiet(&self) -> Duration {
        VISIBILITY + TICK
    }

    async fn serve<A: Application>(&self, app: A, run: Run) -> amgi::Result<()> {
        let quick =
            Backoff { first: Duration::from_millis(10), most: Duration::from_millis(100), jitter: false };
        // It takes 200 ms for ten messages.
        let mut addresses = Vec::new();
        for channel in app.channels().iter().filter(|channel| channel.address.contains('{')) {
            let pattern = Pattern::parse(&channel.address).expect("the suite's own");
            let fits =
                run.addresses.iter().filter(|address| pattern.matches(address)).map(ToString::to_string);
            addresses.push((channel.address.to_string(), fits.collect::<Vec<_>>()));
        }
        let mut server = Server::new(app).url(url(self.broker().await.1.port()));
        if self.fifo {
            server = server.mapping(Mapping::new(
                |address| format!("{}.fifo", Mapping::names().name(address)),
                |name| Mapping::names().address(name.trim_end_matches(".fifo")),
            ));
        }
        server = server
            .declare(true)
            .visibility(VISIBILITY)
            // What the emulator gives to polls that nobody waits for any more comes late.
            .wait(Duration::from_secs(1))
            .concurrency(run.concurrency)
            .policy(run.policy)
            .shutdown_deadline(run.shutdown_deadline)
            .send_timeout(run.send_timeout * PATIENCE)
            .reconnect(quick)
            .stop(&run.stop)
            .on_ready(move || run.ready.tell());
        for (channel, addresses) in addresses {
            server = server.addresses(channel, addresses);
        }
        server.serve().await
    }

    async fn publish(&self, messages: &[Message]) {
        let client = self.client().await;
        let mut rest = messages.iter().enumerate().peekable();
        while let Some((first, message)) = rest.next() {
            let url = self.queue(&client, &message.address).await;
            let (mut size, entry) = self.entry(first, message);
            let mut entries = vec![entry];
            while let Some((id, next)) =
                rest.next_if(|(_, next)| next.address == message.address && entries.len() < 10)
            {
                let (more, entry) = self.entry(id, next);
                size += more;
                assert!(size <= MOST, "the suite publishes large messages one by one");
                entries.push(entry);
            }
            let request = client.send_message_batch().queue_url(url).set_entries(Some(entries));
            let answer = request.send().await.expect("a broker");
            assert!(answer.failed.is_empty(), "{:?}", answer.failed);
        }
    }

    async fn watch(&self, address: &str) -> Watch {
        let client = self.client().await;
        let queue = self.queue(&client, address).await;
        let address = ByteString::from(address);
        let (saw, seen) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            loop {
                let request = client
                    .receive_message()
                    .queue_url(&queue)
                    .max_number_of_messages(10)
                    .wait_time_seconds(2)
                    .message_attribute_names("All")
                    .message_system_attribute_names(MessageSystemAttributeName::All);
                let Ok(answer) = request.send().await else { return };
                for received in answer.messages.unwrap_or_default() {
                    let receipt = received.receipt_handle.clone().unwrap_or_default();
                    let deleted =
                        client.delete_message().queue_url(&queue).receipt_handle(receipt).send().await;
                    if deleted.is_err() || saw.send(message(&address, received)).is_err() {
                        return;
                    }
                }
            }
        });
        Watch::new(seen, Ends(task))
    }

    async fn break_broker(&self) {
        self.broker().await.1.shut();
        // Between two requests nobody would notice.
        tokio::time::sleep(Duration::from_millis(200)).await;
    }

    async fn restore_broker(&self) {
        self.broker().await.1.open();
    }
}

impl Placed for Sqs {
    async fn place(&self, addresses: &[&str]) -> String {
        let client = self.client().await;
        for address in addresses {
            self.queue(&client, address).await;
        }
        format!("{}?declare=true&wait=1&visibility={}", self.broker().await.0.url(), VISIBILITY.as_secs())
    }
}
