//! The loop of one partition: its messages one after the other, or by keys, or in batches.
//!
//! What must hold: `done` is the offset up to which every message is settled; nothing behind an unsettled one ever counts.
//! What waits here is bounded, librdkafka fetches no more than it may, and nobody but this partition waits for a handler.

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
};

use amgi::{
    Application, BatchInfo, BindingValue, ByteString, Context, Message,
    server::{Policies, Stop, deliver_batch, insist, insist_again},
};
use futures_util::{FutureExt as _, StreamExt as _};
use rdkafka::{
    consumer::{MessageStream, stream_consumer::StreamPartitionQueue},
    message::Message as _,
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::{JoinSet, coop::consume_budget, unconstrained},
    time::{Instant, sleep_until},
};
use tracing::{debug, warn};

use crate::{callbacks::Callbacks, message};

pub(crate) type Queue = StreamPartitionQueue<Callbacks>;

/// What all loops share.
pub(crate) struct Shared<A> {
    pub(crate) app: Arc<A>,
    pub(crate) policies: Arc<Policies>,
    /// How many messages may be handled at a time, over all partitions.
    pub(crate) limit: Option<Arc<Semaphore>>,
    /// Loops within a partition, among which keys are spread.
    pub(crate) lanes: usize,
    /// Messages of a partition that may be handled or wait, where keys are spread.
    pub(crate) inflight: usize,
}

impl<A> Clone for Shared<A> {
    fn clone(&self) -> Self {
        Self {
            app: self.app.clone(),
            policies: self.policies.clone(),
            limit: self.limit.clone(),
            lanes: self.lanes,
            inflight: self.inflight,
        }
    }
}

/// Where a loop reads, and how far it has come.
pub(crate) struct Source {
    pub(crate) address: ByteString,
    pub(crate) batch: Option<BatchInfo>,
    /// The offset behind the last message of which this and all before are settled; negative before the first.
    pub(crate) done: Arc<AtomicI64>,
    pub(crate) stop: Stop,
}

impl<A: Application> Shared<A> {
    /// Handles the messages of a partition until its stop is requested. Then what has begun is finished.
    pub(crate) async fn run(self, queue: Queue, source: Source, cx: Context) {
        let cx = cx.with_stop(&source.stop);
        match source.batch {
            Some(batch) => self.batches(&queue, &source, batch, &cx).await,
            None if self.lanes > 1 => self.keys(&queue, &source, &cx).await,
            None => self.in_order(&queue, &source, cx).await,
        }
    }

    async fn in_order(&self, queue: &Queue, source: &Source, mut cx: Context) {
        let mut stream = queue.stream();
        let mut message = Message::default();
        let mut stopped = pin!(unconstrained(source.stop.requested()));
        loop {
            let offset = tokio::select! {
                biased;
                offset = next(&mut stream, &source.address, &mut message) => offset,
                () = &mut stopped => return,
            };
            // Messages may come without end; the rest of the process has a turn, too.
            consume_budget().await;
            let _permit = match &self.limit {
                Some(limit) => limit.acquire().await.ok(),
                None => None,
            };
            if source.stop.is_requested() {
                return;
            }
            cx.swap(&mut message);
            if !insist(&*self.app, &cx, &self.policies).await {
                return;
            }
            source.done.store(offset + 1, Ordering::Release);
        }
    }

    async fn batches(&self, queue: &Queue, source: &Source, batch: BatchInfo, cx: &Context) {
        let mut stream = queue.stream();
        let mut message = Message::default();
        let mut stopped = pin!(unconstrained(source.stop.requested()));
        let size = batch.size.max(1);
        // A clone shares what belongs to a message with the context that it is a clone of, until it gets one of its own.
        let mut contexts = vec![cx.clone()];
        let (mut offsets, mut settlements, mut acked) = (Vec::new(), Vec::new(), Vec::new());
        loop {
            offsets.clear();
            let mut take = |offset, message: &mut Message, offsets: &mut Vec<i64>| {
                if contexts.len() == offsets.len() {
                    contexts.push(cx.clone());
                }
                contexts[offsets.len()].swap(message);
                offsets.push(offset);
            };
            let first = tokio::select! {
                biased;
                offset = next(&mut stream, &source.address, &mut message) => offset,
                () = &mut stopped => return,
            };
            take(first, &mut message, &mut offsets);
            let until = Instant::now() + batch.wait;
            while offsets.len() < size {
                if let Some(more) = next(&mut stream, &source.address, &mut message).now_or_never() {
                    take(more, &mut message, &mut offsets);
                    continue;
                }
                if batch.wait.is_zero() {
                    break;
                }
                tokio::select! {
                    more = next(&mut stream, &source.address, &mut message) => {
                        take(more, &mut message, &mut offsets);
                    }
                    () = sleep_until(until) => break,
                    () = &mut stopped => return,
                }
            }
            consume_budget().await;
            let _permit = match &self.limit {
                Some(limit) => limit.acquire().await.ok(),
                None => None,
            };
            if source.stop.is_requested() {
                return;
            }
            acked.clear();
            let batch = &contexts[..offsets.len()];
            let settled = |_, outcome: amgi::server::Outcome| acked.push(outcome.is_acked());
            deliver_batch(&*self.app, batch, &self.policies, &mut settlements, settled).await;
            for ((cx, offset), acked) in batch.iter().zip(&offsets).zip(&acked) {
                if !acked && !insist_again(&*self.app, cx, &self.policies).await {
                    return;
                }
                source.done.store(offset + 1, Ordering::Release);
            }
        }
    }

    /// Messages with the same key go to the same of several loops, one after the other.
    async fn keys(&self, queue: &Queue, source: &Source, cx: &Context) {
        let window = Arc::new(Window::new(self.inflight, source.done.clone()));
        let mut loops = JoinSet::new();
        let mut lanes = Vec::with_capacity(self.lanes);
        for _ in 0..self.lanes {
            let (lane, jobs) = mpsc::unbounded_channel();
            loops.spawn(self.clone().lane(cx.clone(), jobs, window.clone()));
            lanes.push(lane);
        }
        let mut stream = queue.stream();
        let mut stopped = pin!(unconstrained(source.stop.requested()));
        let mut turn = 0;
        loop {
            tokio::select! {
                biased;
                () = &mut stopped => break,
                () = window.has_room() => {}
            }
            // Lanes keep their messages.
            let mut message = Message::default();
            let offset = tokio::select! {
                biased;
                offset = next(&mut stream, &source.address, &mut message) => offset,
                () = &mut stopped => break,
            };
            consume_budget().await;
            let lane = match message.bindings.get("kafka", "key").and_then(BindingValue::as_bytes) {
                Some(key) => {
                    let mut hasher = DefaultHasher::new();
                    key.hash(&mut hasher);
                    usize::try_from(hasher.finish() % lanes.len() as u64).unwrap_or(0)
                }
                None => {
                    turn = (turn + 1) % lanes.len();
                    turn
                }
            };
            window.begin(offset);
            if lanes[lane].send((offset, message)).is_err() {
                break;
            }
        }
        lanes.clear();
        while loops.join_next().await.is_some() {}
    }

    async fn lane(
        self,
        mut cx: Context,
        mut jobs: mpsc::UnboundedReceiver<(i64, Message)>,
        window: Arc<Window>,
    ) {
        while let Some((offset, message)) = jobs.recv().await {
            let _permit = match &self.limit {
                Some(limit) => limit.acquire().await.ok(),
                None => None,
            };
            if cx.stop().is_requested() {
                return;
            }
            cx.replace(message);
            if !insist(&*self.app, &cx, &self.policies).await {
                return;
            }
            window.settled(offset);
        }
    }
}

/// Puts the next message in the place of one that is over, and gives its offset. Nothing is lost when it is dropped.
async fn next(stream: &mut MessageStream<'_, Callbacks>, address: &ByteString, message: &mut Message) -> i64 {
    loop {
        match stream.next().await {
            Some(Ok(from)) => {
                message::incoming(address, &from, message);
                return from.offset();
            }
            Some(Err(error)) => warn!(%address, %error, "a partition cannot be read; it is tried again"),
            // The stream has no end.
            None => debug!(%address, "no more messages"),
        }
    }
}

/// Messages that are being handled in any order, and the offset up to which all are settled.
struct Window {
    room: Semaphore,
    /// Offsets in order, and whether they are settled. The first is not.
    begun: Mutex<VecDeque<(i64, bool)>>,
    done: Arc<AtomicI64>,
}

impl Window {
    fn new(most: usize, done: Arc<AtomicI64>) -> Self {
        Self { room: Semaphore::new(most), begun: Mutex::default(), done }
    }

    /// Waits until one more may begin.
    async fn has_room(&self) {
        // It is never closed, and only one loop asks.
        drop(self.room.acquire().await);
    }

    fn begin(&self, offset: i64) {
        self.begun.lock().unwrap_or_else(PoisonError::into_inner).push_back((offset, false));
        self.room.forget_permits(1);
    }

    fn settled(&self, offset: i64) {
        let mut begun = self.begun.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(place) = begun.binary_search_by_key(&offset, |(offset, _)| *offset) {
            begun[place].1 = true;
        }
        let mut free = 0;
        while let Some((offset, true)) = begun.front().copied() {
            begun.pop_front();
            self.done.store(offset + 1, Ordering::Release);
            free += 1;
        }
        self.room.add_permits(free);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_behind_an_unsettled_message_counts() {
        let done = Arc::new(AtomicI64::new(-1));
        let window = Window::new(3, done.clone());
        for offset in [10, 11, 14] {
            assert!(window.has_room().now_or_never().is_some());
            window.begin(offset);
        }
        assert!(window.has_room().now_or_never().is_none(), "three are as many as may begin");
        window.settled(14);
        window.settled(11);
        assert_eq!(done.load(Ordering::Acquire), -1);
        assert!(window.has_room().now_or_never().is_none());
        window.settled(10);
        assert_eq!(done.load(Ordering::Acquire), 15);
        assert!(window.has_room().now_or_never().is_some());
    }
}
