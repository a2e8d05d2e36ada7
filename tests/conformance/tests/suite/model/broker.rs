//! The broker: queues that keep messages until they are acknowledged.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use amgi::{ByteString, Message, address::Pattern};
use tokio::sync::mpsc::UnboundedSender;

/// An address that it takes nothing for.
pub(crate) const REFUSED: &str = "refused.here";
/// How long a nacked message waits.
const AGAIN: Duration = Duration::from_millis(20);

#[derive(Default)]
pub(crate) struct Broker(Mutex<State>);

#[derive(Default)]
struct State {
    gone: bool,
    /// How often it was gone.
    losses: u64,
    queues: BTreeMap<String, Queue>,
    watches: Vec<(ByteString, UnboundedSender<Message>)>,
    last: u64,
}

#[derive(Default)]
struct Queue {
    patterns: Vec<Pattern>,
    entries: VecDeque<Entry>,
}

struct Entry {
    id: u64,
    message: Message,
    taken: bool,
    not_before: Option<Instant>,
}

/// How a message is chosen.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// The first whose address nobody is busy with.
    InOrder,
    /// The first.
    Any,
    /// The last.
    Last,
}

/// A message that was taken.
pub(crate) struct Taken {
    pub(crate) id: u64,
    pub(crate) message: Message,
}

impl Broker {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_up(&self) -> bool {
        !self.lock().gone
    }

    /// How often it was gone; whoever took a message before has lost it.
    pub(crate) fn losses(&self) -> u64 {
        self.lock().losses
    }

    pub(crate) fn go(&self) {
        let mut state = self.lock();
        state.gone = true;
        state.losses += 1;
        for entry in state.queues.values_mut().flat_map(|queue| &mut queue.entries) {
            entry.taken = false;
        }
    }

    pub(crate) fn come_back(&self) {
        self.lock().gone = false;
    }

    pub(crate) fn watch(&self, address: &str, saw: UnboundedSender<Message>) {
        self.lock().watches.push((address.into(), saw));
    }

    pub(crate) fn publish(&self, message: &Message) -> Result<(), &'static str> {
        let state = &mut *self.lock();
        if state.gone {
            return Err("the broker is gone");
        }
        if message.address == REFUSED {
            return Err("the broker refuses it");
        }
        for queue in state.queues.values_mut() {
            if queue.patterns.iter().any(|pattern| pattern.matches(&message.address)) {
                state.last += 1;
                let (id, message) = (state.last, message.clone());
                queue.entries.push_back(Entry { id, message, taken: false, not_before: None });
            }
        }
        for (_, saw) in state.watches.iter().filter(|(address, _)| *address == message.address) {
            let _ = saw.send(message.clone());
        }
        Ok(())
    }

    /// What is published from now on at these addresses is put into a queue of that name.
    pub(crate) fn subscribe(&self, queue: &str, patterns: Vec<Pattern>) {
        self.lock().queues.entry(queue.to_owned()).or_default().patterns = patterns;
    }

    pub(crate) fn forget(&self, queue: &str) {
        self.lock().queues.remove(queue);
    }

    /// The next message of a queue, for who knows of that many losses.
    pub(crate) fn take(&self, queue: &str, losses: u64, choice: Choice) -> Option<Taken> {
        let state = &mut *self.lock();
        if state.gone || state.losses != losses {
            return None;
        }
        let entries = &mut state.queues.get_mut(queue)?.entries;
        let now = Instant::now();
        let is_free = |entry: &Entry| !entry.taken && entry.not_before.is_none_or(|then| then <= now);
        let place = match choice {
            Choice::Any => entries.iter().position(is_free),
            Choice::Last => entries.iter().rposition(is_free),
            Choice::InOrder => (0..entries.len()).find(|&place| {
                let address = &entries[place].message.address;
                let busy = |entry: &Entry| entry.taken && entry.message.address == *address;
                is_free(&entries[place]) && !entries.iter().take(place).any(busy)
            }),
        };
        let entry = &mut entries[place?];
        entry.taken = true;
        Some(Taken { id: entry.id, message: entry.message.clone() })
    }

    /// All messages of a queue, which it has no longer, but for the first.
    pub(crate) fn take_everything(&self, queue: &str) -> Vec<Message> {
        let state = &mut *self.lock();
        let entries = state.queues.get_mut(queue).map(|queue| &mut queue.entries);
        entries.map_or_else(Vec::new, |entries| {
            entries.drain(1.min(entries.len())..).map(|entry| entry.message).collect()
        })
    }

    pub(crate) fn ack(&self, queue: &str, id: u64, losses: u64) {
        let state = &mut *self.lock();
        if let Some(queue) = state.queues.get_mut(queue)
            && !state.gone
            && state.losses == losses
        {
            queue.entries.retain(|entry| entry.id != id);
        }
    }

    /// Gives a message back: at once, or after a pause.
    pub(crate) fn give_back(&self, queue: &str, id: u64, pause: bool) {
        if let Some(queue) = self.lock().queues.get_mut(queue) {
            for entry in queue.entries.iter_mut().filter(|entry| entry.id == id) {
                entry.taken = false;
                entry.not_before = pause.then(|| Instant::now() + AGAIN);
            }
        }
    }
}
