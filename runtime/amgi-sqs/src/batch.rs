//! Requests that take ten entries: what is asked for at about the same time goes together.
//!
//! What must hold: the order of entries is that in which they were asked for, as long as one request is under way at a time;
//! when nobody can ask any more, what was asked for is still done.

use std::{future::Future, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::mpsc::{UnboundedReceiver, UnboundedSender, error::TryRecvError, unbounded_channel},
    time::{Instant, sleep_until},
};

/// How many entries a request of SQS and SNS takes.
const ENTRIES: usize = 10;

/// How entries go together.
pub(crate) struct Rule<T> {
    /// How long an entry waits for others.
    pub(crate) linger: Duration,
    /// How many requests are under way at a time.
    pub(crate) requests: usize,
    /// How large a request may be.
    pub(crate) most: usize,
    /// How much of that an entry takes.
    pub(crate) size: fn(&T) -> usize,
}

/// Where entries are asked for.
pub(crate) fn channel<T>() -> (UnboundedSender<T>, UnboundedReceiver<T>) {
    unbounded_channel()
}

/// Hands entries to `request`, until nobody can ask for more.
pub(crate) async fn run<T, F: Future<Output = ()>>(
    mut entries: UnboundedReceiver<T>,
    rule: Rule<T>,
    request: impl Fn(Vec<T>) -> F,
) {
    let mut under_way = FuturesUnordered::new();
    let mut next = None;
    loop {
        let first = match next.take() {
            Some(first) => first,
            None => loop {
                tokio::select! {
                    Some(()) = under_way.next() => {}
                    first = entries.recv() => match first {
                        Some(first) => break first,
                        None => {
                            while under_way.next().await.is_some() {}
                            return;
                        }
                    }
                }
            },
        };
        let until = Instant::now() + rule.linger;
        let mut size = (rule.size)(&first);
        let mut batch = vec![first];
        // Those that come while there is no room for a request go with this one.
        while under_way.len() >= rule.requests {
            under_way.next().await;
        }
        while batch.len() < ENTRIES {
            let entry = match entries.try_recv() {
                Ok(entry) => entry,
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) if Instant::now() >= until => break,
                Err(TryRecvError::Empty) => tokio::select! {
                    entry = entries.recv() => match entry {
                        Some(entry) => entry,
                        None => break,
                    },
                    Some(()) = under_way.next() => continue,
                    () = sleep_until(until) => break,
                },
            };
            size += (rule.size)(&entry);
            if size > rule.most {
                next = Some(entry);
                break;
            }
            batch.push(entry);
        }
        under_way.push(Box::pin(request(batch)));
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::RefCell, rc::Rc};

    use super::*;

    async fn batches(linger: u64, requests: usize, entries: &[usize]) -> Vec<Vec<usize>> {
        let (ask, asked) = channel();
        for entry in entries {
            ask.send(*entry).unwrap();
        }
        drop(ask);
        let seen = Rc::new(RefCell::new(Vec::new()));
        let rule = Rule { linger: Duration::from_millis(linger), requests, most: 100, size: |entry| *entry };
        run(asked, rule, |batch| {
            let seen = seen.clone();
            async move {
                tokio::task::yield_now().await;
                seen.borrow_mut().push(batch);
            }
        })
        .await;
        seen.take()
    }

    #[tokio::test]
    async fn what_waits_goes_together() {
        let all: Vec<usize> = (0..25).map(|_| 1).collect();
        let mut sizes: Vec<usize> = batches(0, 4, &all).await.iter().map(Vec::len).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [5, 10, 10]);
        assert_eq!(batches(0, 1, &[60, 30, 20, 100, 1]).await, [vec![60, 30], vec![20], vec![100], vec![1]]);
    }

    #[tokio::test]
    async fn a_lone_entry_waits_no_longer_than_it_must() {
        let (ask, asked) = channel();
        let (tell, mut told) = channel();
        let rule = Rule { linger: Duration::from_millis(30), requests: 1, most: 100, size: |_| 1 };
        let task = tokio::spawn(run(asked, rule, move |batch: Vec<u8>| {
            let tell = tell.clone();
            async move { tell.send(batch).unwrap() }
        }));
        ask.send(1).unwrap();
        tokio::time::sleep(Duration::from_millis(5)).await;
        ask.send(2).unwrap();
        assert_eq!(told.recv().await.unwrap(), [1, 2]);
        drop(ask);
        task.await.unwrap();
    }
}
