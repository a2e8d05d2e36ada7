//! A queue within the process.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::Notify;

use crate::{contract::Message, server::Stop};

/// Messages on their way to a [`Server`](super::Server) in the same process. Cheap to clone; it has no bound, since who
/// fills it decides how far ahead it may run.
#[derive(Debug, Clone, Default)]
pub struct Queue(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    closed: bool,
}

impl Queue {
    /// An empty queue.
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a message at the end.
    pub fn push(&self, message: Message) {
        self.lock().messages.push_back(message);
        self.0.changed.notify_one();
    }

    /// Lets the server end when it has delivered what is here.
    pub fn close(&self) {
        self.lock().closed = true;
        self.0.changed.notify_one();
    }

    /// Whether no more will come.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Whether both are one.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.lock().messages.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Puts the next message into `slot` if there is one whose address is `wanted`.
    pub(super) fn pop_if(&self, wanted: impl FnOnce(&str) -> bool, slot: &mut Message) -> bool {
        // The last message is dropped after the lock is open again.
        let last = {
            let mut state = self.lock();
            match state.messages.front() {
                Some(message) if wanted(&message.address) => {
                    state.messages.pop_front().map(|message| std::mem::replace(slot, message))
                }
                _ => None,
            }
        };
        last.is_some()
    }

    /// Waits for another message, while the queue is empty and open.
    pub(super) async fn filled(&self) {
        loop {
            let changed = self.0.changed.notified();
            {
                let state = self.lock();
                if !state.messages.is_empty() || state.closed {
                    return;
                }
            }
            changed.await;
        }
    }

    /// Puts the next message into `slot`; false when the queue is closed and empty, or a stop is asked for, which ends
    /// `stopped`.
    pub(super) async fn pop(
        &self,
        stop: &Stop,
        mut stopped: Pin<&mut impl Future<Output = ()>>,
        slot: &mut Message,
    ) -> bool {
        loop {
            if let Some(popped) = self.try_pop(stop, slot) {
                return popped;
            }
            tokio::select! {
                () = self.0.changed.notified() => {}
                () = stopped.as_mut() => {}
            }
        }
    }

    /// The same when it is known at once.
    #[inline]
    pub(super) fn try_pop(&self, stop: &Stop, slot: &mut Message) -> Option<bool> {
        if stop.is_requested() {
            return Some(false);
        }
        // The last message is dropped after the lock is open again.
        let last = {
            let mut state = self.lock();
            match state.messages.pop_front() {
                Some(message) => std::mem::replace(slot, message),
                None if state.closed => return Some(false),
                None => return None,
            }
        };
        drop(last);
        Some(true)
    }
}
