//! A queue within the process.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{self, Poll, Waker},
};

use crate::{contract::Message, server::Stop};

/// Messages on their way to a [`Server`](super::Server) in the same process. Cheap to clone; it has no bound, since who
/// fills it decides how far ahead it may run.
#[derive(Debug, Clone, Default)]
pub struct Queue(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    closed: bool,
    /// The server, while it waits.
    waiting: Option<Waker>,
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
        let waiting = {
            let mut state = self.lock();
            state.messages.push_back(message);
            state.waiting.take()
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    /// Lets the server end when it has delivered what is here.
    pub fn close(&self) {
        let waiting = {
            let mut state = self.lock();
            state.closed = true;
            state.waiting.take()
        };
        waiting.into_iter().for_each(Waker::wake);
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

    /// Waits while the queue is empty and open. Only the one server of the queue does.
    pub(super) async fn filled(&self) {
        poll_fn(|task| {
            let mut state = self.lock();
            if !state.messages.is_empty() || state.closed {
                return Poll::Ready(());
            }
            state.waiting = Some(task.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// Puts the next message into `slot`; false when the queue is closed and empty, or a stop is asked for. Call it when
    /// [`try_pop`](Self::try_pop) does not know.
    pub(super) async fn pop(
        &self,
        stopped: &mut Stopped<'_, impl Future<Output = ()>>,
        slot: &mut Message,
    ) -> bool {
        loop {
            let mut filled = pin!(self.filled());
            poll_fn(|task| match filled.as_mut().poll(task) {
                Poll::Ready(()) => Poll::Ready(()),
                Poll::Pending => stopped.poll(task),
            })
            .await;
            if let Some(popped) = self.try_pop(stopped.stop, slot) {
                return popped;
            }
        }
    }

    /// Puts the next message into `slot` as [`pop`](Self::pop) does, when there is nothing to wait for.
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

/// A stop that is waited for many times. Asking for it costs more than all else in a wait, so it is asked once a task: a
/// stop comes once, and wakes whoever asked.
pub(super) struct Stopped<'a, F> {
    stop: &'a Stop,
    requested: Pin<&'a mut F>,
    /// Whom it wakes.
    wakes: Option<Waker>,
}

impl<'a, F: Future<Output = ()>> Stopped<'a, F> {
    /// `requested` is [`Stop::requested`] of this stop. It must ask whenever it is polled: without tokio's budget, which may
    /// run out before it has.
    pub(super) fn new(stop: &'a Stop, requested: Pin<&'a mut F>) -> Self {
        Self { stop, requested, wakes: None }
    }

    fn poll(&mut self, task: &mut task::Context<'_>) -> Poll<()> {
        if self.wakes.as_ref().is_some_and(|waker| waker.will_wake(task.waker())) {
            return if self.stop.is_requested() { Poll::Ready(()) } else { Poll::Pending };
        }
        self.wakes = Some(task.waker().clone());
        self.requested.as_mut().poll(task)
    }
}
