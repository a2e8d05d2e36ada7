//! A queue that is received from: what of it is in hand, and how that is settled.
//!
//! What must hold: what is in hand stays hidden from others, however long it takes; what SQS is told of a message is told in
//! order, so that a message that was given back is not hidden again.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use amgi::{
    ByteString,
    server::{Backoff, Policies},
};
use aws_sdk_sqs::types::{
    BatchResultErrorEntry, ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, Message,
    MessageSystemAttributeName,
};
use tokio::{
    sync::{Semaphore, mpsc::UnboundedSender},
    task::JoinSet,
    time::sleep,
};
use tracing::{debug, warn};

use crate::{
    batch::{self, Rule},
    config::Config,
    link::{Fault, Link},
};

/// How many deletes are under way at a time.
const DELETES: usize = 4;
/// No limit but that of entries.
const UNLIMITED: usize = usize::MAX;

/// What is to become of a message that was received.
#[derive(Debug, Clone)]
struct Settlement {
    receipt: String,
    /// For how many more seconds it is hidden; deletes have none.
    hide: u32,
    since: Instant,
}

/// A message in hand.
struct Held {
    receipt: String,
    /// When SQS was told of it last.
    told: Instant,
}

/// A queue that is received from.
pub(crate) struct Queue {
    link: Link,
    pub(crate) address: ByteString,
    pub(crate) url: String,
    pub(crate) is_fifo: bool,
    /// Seconds.
    visibility: u32,
    /// Seconds that a poll waits.
    wait: u32,
    pub(crate) enveloped: bool,
    pub(crate) policies: Arc<Policies>,
    /// Whether an attempt is a delivery.
    pub(crate) by_delivery: bool,
    /// How many more messages may be here.
    pub(crate) room: Arc<Semaphore>,
    held: Mutex<HashMap<u64, Held>>,
    number: AtomicU64,
    deletes: UnboundedSender<Settlement>,
    changes: UnboundedSender<Settlement>,
}

/// What there is to say of a queue.
pub(crate) struct Setting {
    pub(crate) address: ByteString,
    pub(crate) url: String,
    pub(crate) is_fifo: bool,
    pub(crate) visibility: u32,
    pub(crate) wait: u32,
    pub(crate) enveloped: bool,
    pub(crate) policies: Arc<Policies>,
    pub(crate) by_delivery: bool,
    /// How many messages may be here.
    pub(crate) room: usize,
}

impl Queue {
    /// A queue whose settlements `tasks` carry out; they end when the queue is dropped and everything is told.
    pub(crate) fn new(setting: Setting, link: &Link, config: &Config, tasks: &mut JoinSet<()>) -> Arc<Self> {
        let Setting { address, url, is_fifo, visibility, wait, enveloped, policies, by_delivery, room } =
            setting;
        let (deletes, asked) = batch::channel();
        let rule =
            Rule { linger: config.linger, requests: DELETES, most: UNLIMITED, size: |_: &Settlement| 0 };
        let mut teller = Teller {
            tells: Tells::Deleted,
            link: link.clone(),
            url: url.clone(),
            backoff: config.reconnect,
            visibility,
        };
        let deleting = teller.clone();
        tasks.spawn(batch::run(asked, rule, move |batch| deleting.clone().tell(batch)));
        let (changes, asked) = batch::channel();
        // One after the other: what was told last counts.
        let rule = Rule { linger: Duration::ZERO, requests: 1, most: UNLIMITED, size: |_: &Settlement| 0 };
        teller.tells = Tells::Hidden;
        tasks.spawn(batch::run(asked, rule, move |batch| teller.clone().tell(batch)));
        Arc::new(Self {
            link: link.clone(),
            address,
            url,
            is_fifo,
            visibility,
            wait,
            enveloped,
            policies,
            by_delivery,
            room: Arc::new(Semaphore::new(room)),
            held: Mutex::default(),
            number: AtomicU64::new(0),
            deletes,
            changes,
        })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<u64, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What comes next, ten messages at most; it waits for some, unless SQS is only asked whether it is there.
    pub(crate) async fn receive(&self, most: usize, waits: bool) -> Result<Vec<Message>, Fault> {
        let wait = if waits { self.wait } else { 0 };
        let [most, visibility, seconds] = [u32::try_from(most).unwrap_or(1), self.visibility, wait]
            .map(|n| i32::try_from(n).unwrap_or(i32::MAX));
        let request = self
            .link
            .sqs
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(most)
            .visibility_timeout(visibility)
            .wait_time_seconds(seconds)
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
            .message_system_attribute_names(MessageSystemAttributeName::MessageDeduplicationId)
            .send();
        let answer = self.link.ask(Duration::from_secs(wait.into()), request).await?;
        Ok(answer.messages.unwrap_or_default())
    }

    /// Takes a message in hand: from now on SQS is told that it is being worked on.
    pub(crate) fn hold(&self, receipt: String, told: Instant) -> u64 {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        self.held().insert(number, Held { receipt, told });
        number
    }

    /// The message is over.
    pub(crate) fn delete(&self, number: u64) {
        if let Some(Held { receipt, .. }) = self.held().remove(&number) {
            let _ = self.deletes.send(Settlement { receipt, hide: 0, since: Instant::now() });
        }
    }

    /// The message is to be delivered again, after so many seconds.
    pub(crate) fn give_back(&self, number: u64, seconds: u32) {
        let mut held = self.held();
        if let Some(Held { receipt, .. }) = held.remove(&number) {
            // While nobody else can tell of it.
            let _ = self.changes.send(Settlement { receipt, hide: seconds, since: Instant::now() });
        }
    }

    /// Gives back what is in hand still.
    pub(crate) fn give_all_back(&self) {
        // SQS has an order of its own where there is one to keep.
        let mut numbers: Vec<u64> = self.held().keys().copied().collect();
        numbers.sort_unstable_by(|one, other| other.cmp(one));
        for number in numbers {
            self.give_back(number, 0);
        }
    }

    /// Tells SQS again and again that what is in hand is not forgotten.
    pub(crate) async fn keep_hidden(self: Arc<Self>) {
        let every = Duration::from_secs(self.visibility.into()) / 4;
        loop {
            sleep(every).await;
            let now = Instant::now();
            let mut held = self.held();
            for held in held.values_mut().filter(|held| now.duration_since(held.told) >= every) {
                held.told = now;
                let receipt = held.receipt.clone();
                let _ = self.changes.send(Settlement { receipt, hide: self.visibility, since: now });
            }
        }
    }
}

/// What SQS is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tells {
    Deleted,
    Hidden,
}

/// Tells SQS what became of messages.
#[derive(Clone)]
struct Teller {
    tells: Tells,
    link: Link,
    url: String,
    backoff: Backoff,
    /// Seconds.
    visibility: u32,
}

impl Teller {
    /// Tells until it is told, or of no use any more: SQS shows the messages to others by then.
    async fn tell(self, mut batch: Vec<Settlement>) {
        let useful = Duration::from_secs(self.visibility.into());
        let what = match self.tells {
            Tells::Deleted => "not deleted; it may come again",
            Tells::Hidden => "SQS does not know how long a message stays hidden",
        };
        let mut failures = 0_u32;
        while !batch.is_empty() {
            let why = match self.ask(&batch).await {
                Ok(failed) => {
                    let mut again = Vec::new();
                    let mut why = String::new();
                    for entry in failed {
                        let known = entry.id.parse().ok().and_then(|id: usize| batch.get(id));
                        let Some(one) = known.cloned() else { continue };
                        why = format!("{}: {}", entry.code, entry.message.unwrap_or_default());
                        if entry.sender_fault {
                            // It was deleted meanwhile, or shown to others for too long.
                            debug!(queue = self.url, why, "{what}");
                        } else {
                            again.push(one);
                        }
                    }
                    batch = again;
                    why
                }
                Err(Fault::Passing(why)) => why,
                Err(fault) => {
                    warn!(queue = self.url, error = %fault, "{what}");
                    return;
                }
            };
            let before = batch.len();
            batch.retain(|one| one.since.elapsed() < useful);
            if batch.len() < before {
                warn!(queue = self.url, messages = before - batch.len(), why, "{what}");
            }
            if !batch.is_empty() {
                failures = failures.saturating_add(1);
                sleep(self.backoff.pause(failures)).await;
            }
        }
    }

    /// What of a batch SQS did not take.
    async fn ask(&self, batch: &[Settlement]) -> Result<Vec<BatchResultErrorEntry>, Fault> {
        let numbered = batch.iter().enumerate();
        match self.tells {
            Tells::Deleted => {
                let entries = numbered.filter_map(|(id, one)| {
                    let entry = DeleteMessageBatchRequestEntry::builder().id(id.to_string());
                    entry.receipt_handle(&one.receipt).build().ok()
                });
                let request = self.link.sqs.delete_message_batch().queue_url(&self.url);
                let request = request.set_entries(Some(entries.collect()));
                Ok(self.link.ask(Duration::ZERO, request.send()).await?.failed)
            }
            Tells::Hidden => {
                let entries = numbered.filter_map(|(id, one)| {
                    let entry = ChangeMessageVisibilityBatchRequestEntry::builder().id(id.to_string());
                    let seconds = i32::try_from(one.hide).unwrap_or(i32::MAX);
                    entry.receipt_handle(&one.receipt).visibility_timeout(seconds).build().ok()
                });
                let request = self.link.sqs.change_message_visibility_batch().queue_url(&self.url);
                let request = request.set_entries(Some(entries.collect()));
                Ok(self.link.ask(Duration::ZERO, request.send()).await?.failed)
            }
        }
    }
}
