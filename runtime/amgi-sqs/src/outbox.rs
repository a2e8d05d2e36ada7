//! Sends: to queues, and to topics of SNS. What is sent to one place at about the same time goes together.
//!
//! What must hold: a send that returned is in the hands of AWS; of a request that failed in part, each caller hears of its own
//! message; sends to a FIFO queue stay in the order in which they were begun.

use std::{
    collections::HashMap,
    error::Error as StdError,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use amgi::{ByteString, Message, MessageSend, SendError, SendFuture, server::Backoff};
use aws_sdk_sqs::{
    error::{ProvideErrorMetadata, SdkError},
    primitives::Blob,
    types::{MessageAttributeValue, SendMessageBatchRequestEntry},
};
use tokio::{
    sync::{mpsc::UnboundedSender, oneshot},
    task::AbortHandle,
    time::{sleep, timeout},
};
use tracing::debug;

use crate::{
    batch::{self, Rule},
    link::{Fault, Link},
    message::{Parcel, Value, aside, outgoing},
    place::Place,
    routes::Routes,
};

/// How large a message of SQS may be, and all messages of a request together, in bytes.
const MOST: usize = 1024 * 1024;
/// The same for SNS.
const MOST_TOPIC: usize = 256 * 1024;
/// How many requests to a place are under way at a time, where there is no order to keep.
const REQUESTS: usize = 4;
/// How many places are remembered.
const PLACES: usize = 1000;

/// Sends messages of the application.
pub(crate) struct Outbox {
    link: Link,
    routes: Arc<Routes>,
    numbers: Vec<String>,
    timeout: Duration,
    backoff: Backoff,
    targets: Mutex<HashMap<Place, Arc<Target>>>,
}

/// A queue or a topic that is sent to.
struct Target {
    place: Place,
    is_fifo: bool,
    /// Whether equal payloads are one message.
    deduplicates: bool,
    asked: UnboundedSender<Sending>,
    task: AbortHandle,
}

impl Drop for Target {
    fn drop(&mut self) {
        // Nobody waits for a send of it.
        self.task.abort();
    }
}

/// A message, and who waits for it to be sent.
struct Sending {
    parcel: Parcel,
    tell: oneshot::Sender<Result<(), Fault>>,
}

/// What a request says of one message: its number, whether it is the sender's fault, and why.
struct Failure {
    id: String,
    sender_fault: bool,
    why: String,
}

impl Outbox {
    pub(crate) fn new(
        link: &Link,
        routes: Arc<Routes>,
        numbers: Vec<String>,
        timeout: Duration,
        backoff: Backoff,
    ) -> Self {
        Self { link: link.clone(), routes, numbers, timeout, backoff, targets: Mutex::default() }
    }

    fn known(&self, place: &Place) -> Option<Arc<Target>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner).get(place).cloned()
    }

    fn forget(&self, place: &Place) {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner).remove(place);
    }

    async fn target(&self, place: Place) -> Result<Arc<Target>, Fault> {
        if let Some(target) = self.known(&place) {
            return Ok(target);
        }
        let is_fifo = place.is_fifo();
        let mut deduplicates = false;
        let to = if let Place::Topic(arn) = &place {
            To::Topic(arn.clone())
        } else if is_fifo {
            let known = self.link.known(&place).await?;
            deduplicates = known.deduplicates;
            To::Queue(known.url)
        } else {
            To::Queue(self.link.url(&place).await?)
        };
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(target) = targets.get(&place) {
            return Ok(target.clone());
        }
        if targets.len() >= PLACES {
            // Those who send hold theirs.
            targets.clear();
        }
        let (asked, sendings) = batch::channel();
        let rule = Rule {
            linger: Duration::ZERO,
            requests: if is_fifo { 1 } else { REQUESTS },
            most: to.most(),
            size: |sending: &Sending| sending.parcel.size(),
        };
        let way = Arc::new(Way { link: self.link.clone(), to, backoff: self.backoff });
        let task = tokio::spawn(batch::run(sendings, rule, move |batch| {
            let way = way.clone();
            async move { way.send(batch).await }
        }));
        let target = Arc::new(Target {
            place: place.clone(),
            is_fifo,
            deduplicates,
            asked,
            task: task.abort_handle(),
        });
        targets.insert(place, target.clone());
        Ok(target)
    }

    async fn deliver(&self, place: Place, address: &ByteString, mut parcel: Parcel) -> Result<(), Fault> {
        let mut failures = 0_u32;
        let target = loop {
            match self.target(place.clone()).await {
                Err(Fault::Passing(error)) => {
                    failures = failures.saturating_add(1);
                    debug!(%address, error, "where the send goes is not known yet");
                    sleep(self.backoff.pause(failures)).await;
                }
                found => break found?,
            }
        };
        if target.is_fifo {
            // Without a group there is one for all: those of an address.
            parcel.group.get_or_insert_with(|| group(address));
            if parcel.deduplication.is_none() && !target.deduplicates {
                parcel.deduplication = Some(unique());
            }
        } else {
            parcel.deduplication = None;
        }
        let (tell, told) = oneshot::channel();
        let gone = || Fault::Passing("the server has ended".to_owned());
        target.asked.send(Sending { parcel, tell }).map_err(|_| gone())?;
        let sent = told.await.unwrap_or_else(|_| Err(gone()));
        if matches!(sent, Err(Fault::Missing(_))) {
            // It may be made again, at another URL.
            self.forget(&target.place);
        }
        sent
    }
}

/// A message group that means nothing but its address; SQS takes 128 characters of ASCII without spaces.
fn group(address: &str) -> String {
    let group: String = address.chars().filter(char::is_ascii_graphic).take(128).collect();
    if group.is_empty() { "amgi".to_owned() } else { group }
}

/// What nobody else comes upon.
fn unique() -> String {
    format!("amgi-{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..))
}

/// Where a request goes.
enum To {
    /// By its URL.
    Queue(String),
    /// By its ARN.
    Topic(String),
}

impl To {
    fn most(&self) -> usize {
        match self {
            Self::Queue(_) => MOST,
            Self::Topic(_) => MOST_TOPIC,
        }
    }
}

struct Way {
    link: Link,
    to: To,
    backoff: Backoff,
}

impl Way {
    /// Sends until everybody knows what became of his message, or waits no longer.
    async fn send(&self, mut batch: Vec<Sending>) {
        let mut failures = 0_u32;
        loop {
            batch.retain(|sending| !sending.tell.is_closed());
            if batch.is_empty() {
                return;
            }
            match self.request(&batch).await {
                Ok(failed) => {
                    let mut failed: HashMap<usize, Failure> =
                        failed.into_iter().filter_map(|one| Some((one.id.parse().ok()?, one))).collect();
                    let mut again = Vec::new();
                    for (id, sending) in batch.into_iter().enumerate() {
                        match failed.remove(&id) {
                            None => drop(sending.tell.send(Ok(()))),
                            Some(Failure { sender_fault: true, why, .. }) => {
                                drop(sending.tell.send(Err(Fault::Refused(why))));
                            }
                            Some(Failure { why, .. }) => {
                                debug!(why, "a send is tried again");
                                again.push(sending);
                            }
                        }
                    }
                    batch = again;
                }
                Err(Fault::Passing(error)) => debug!(error, "sends are tried again"),
                Err(fault) => {
                    for sending in batch {
                        let _ = sending.tell.send(Err(fault.clone()));
                    }
                    return;
                }
            }
            if !batch.is_empty() {
                failures = failures.saturating_add(1);
                sleep(self.backoff.pause(failures)).await;
            }
        }
    }

    async fn request(&self, batch: &[Sending]) -> Result<Vec<Failure>, Fault> {
        match &self.to {
            To::Queue(url) => {
                let entries = batch.iter().enumerate().map(|(id, sending)| queued(id, &sending.parcel));
                let entries = entries.collect::<Result<Vec<_>, _>>()?;
                let request = self.link.sqs.send_message_batch().queue_url(url).set_entries(Some(entries));
                let answer = self.ask(request.send()).await?;
                let failure = |entry: aws_sdk_sqs::types::BatchResultErrorEntry| Failure {
                    why: said(&entry.code, entry.message.as_deref()),
                    id: entry.id,
                    sender_fault: entry.sender_fault,
                };
                Ok(answer.failed.into_iter().map(failure).collect())
            }
            #[cfg(not(feature = "sns"))]
            To::Topic(arn) => Err(Fault::Refused(format!(
                "`{arn}` is a topic of SNS, and amgi-sqs was built without its feature `sns`"
            ))),
            #[cfg(feature = "sns")]
            To::Topic(arn) => {
                let entries = batch.iter().enumerate().map(|(id, sending)| published(id, &sending.parcel));
                let entries = entries.collect::<Result<Vec<_>, _>>()?;
                let request = self
                    .link
                    .sns
                    .publish_batch()
                    .topic_arn(arn)
                    .set_publish_batch_request_entries(Some(entries));
                let answer = self.ask(request.send()).await?;
                let failure = |entry: aws_sdk_sns::types::BatchResultErrorEntry| Failure {
                    why: said(&entry.code, entry.message.as_deref()),
                    id: entry.id,
                    sender_fault: entry.sender_fault,
                };
                Ok(answer.failed.unwrap_or_default().into_iter().map(failure).collect())
            }
        }
    }

    async fn ask<T, E, R>(&self, request: impl Future<Output = Result<T, SdkError<E, R>>>) -> Result<T, Fault>
    where
        E: ProvideErrorMetadata + StdError + 'static,
        R: std::fmt::Debug + 'static,
    {
        self.link.ask(Duration::ZERO, request).await
    }
}

fn said(code: &str, message: Option<&str>) -> String {
    message.map_or_else(|| code.to_owned(), |message| format!("{code}: {message}"))
}

fn queued(id: usize, parcel: &Parcel) -> Result<SendMessageBatchRequestEntry, Fault> {
    let refused = |error: aws_sdk_sqs::error::BuildError| Fault::Refused(error.to_string());
    let mut entry = SendMessageBatchRequestEntry::builder()
        .id(id.to_string())
        .message_body(&parcel.body)
        .set_message_group_id(parcel.group.clone())
        .set_message_deduplication_id(parcel.deduplication.clone())
        .set_delay_seconds(parcel.delay);
    for (name, value) in &parcel.attributes {
        let built = MessageAttributeValue::builder().data_type(value.data_type());
        let built = match value {
            Value::Text(text) | Value::Number(text) => built.string_value(text),
            Value::Binary(bytes) => built.binary_value(Blob::new(bytes.clone())),
        };
        entry = entry.message_attributes(name, built.build().map_err(refused)?);
    }
    entry.build().map_err(refused)
}

#[cfg(feature = "sns")]
fn published(id: usize, parcel: &Parcel) -> Result<aws_sdk_sns::types::PublishBatchRequestEntry, Fault> {
    use aws_sdk_sns::types::{MessageAttributeValue, PublishBatchRequestEntry};

    let refused = |error: aws_sdk_sns::error::BuildError| Fault::Refused(error.to_string());
    let mut entry = PublishBatchRequestEntry::builder()
        .id(id.to_string())
        .message(&parcel.body)
        .set_message_group_id(parcel.group.clone())
        .set_message_deduplication_id(parcel.deduplication.clone());
    for (name, value) in &parcel.attributes {
        let built = MessageAttributeValue::builder().data_type(value.data_type());
        let built = match value {
            Value::Text(text) | Value::Number(text) => built.string_value(text),
            Value::Binary(bytes) => built.binary_value(Blob::new(bytes.clone())),
        };
        entry = entry.message_attributes(name, built.build().map_err(refused)?);
    }
    entry.build().map_err(refused)
}

impl MessageSend for Outbox {
    fn send(&self, message: Message) -> SendFuture<'_> {
        let place = self.routes.place(&message.address);
        let most = if matches!(place, Place::Topic(_)) { MOST_TOPIC } else { MOST };
        let parcel = outgoing(&message, &self.numbers).and_then(|mut parcel| {
            if message.headers.get("amgi-dead-letter-address").is_some() {
                aside(&message, &mut parcel, place.is_fifo())?;
            }
            let size = parcel.size();
            if size > most {
                return Err(format!(
                    "the message has {size} bytes with its attributes, and AWS takes {most} at most; send where it lies instead"
                ));
            }
            Ok(parcel)
        });
        let parcel = match parcel {
            Ok(parcel) => parcel,
            Err(error) => return SendFuture::ready(Err(SendError::new(message.address.to_string(), error))),
        };
        let address = message.address;
        SendFuture::pending(async move {
            let shown = place.to_string();
            let failed = match timeout(self.timeout, self.deliver(place, &address, parcel)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(Fault::Missing(error))) => format!("`{shown}` is not there: {error}"),
                Ok(Err(fault)) => format!("`{shown}`: {fault}"),
                Err(_) => format!("`{shown}`: AWS did not take it within {:?}", self.timeout),
            };
            Err(SendError::new(address.to_string(), failed))
        })
    }
}
