//! Handling a message once, although it may come more than once.
//!
//! Brokers deliver at least once. A message that has a key, such as an identifier that its sender gave it, can be told from
//! another one: a [`Store`] remembers the keys of messages that were handled. The document says where the key is
//! (`x-amgi-idempotency`), or a layer does ([`Idempotent`](crate::layer::Idempotent)).

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// Why a store could not be asked.
pub type StoreError = Box<dyn std::error::Error + Send + Sync>;

/// Future of a store.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// What a store says of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Claim {
    /// It is ours now; the token proves it when the store is told how it went.
    New(u64),
    /// Somebody is handling a message with that key.
    InProgress,
    /// A message with that key was handled.
    Handled,
}

/// Remembers keys of messages.
///
/// [`MemoryStore`] is for one process. `amgi-redis` has one for several.
pub trait Store: Send + Sync + 'static {
    /// Claims `key` for `lease`, after which others may claim it: who died meanwhile does not keep it.
    fn begin<'a>(&'a self, key: &'a str, lease: Duration) -> StoreFuture<'a, Claim>;

    /// Says that the message was handled; the key is remembered for `remember`.
    fn complete<'a>(&'a self, key: &'a str, token: u64, remember: Duration) -> StoreFuture<'a, ()>;

    /// Gives the key back: the message was not handled.
    fn release<'a>(&'a self, key: &'a str, token: u64) -> StoreFuture<'a, ()>;
}

/// Keys in the memory of this process: gone with it, and unknown to other instances.
///
/// It keeps up to a number of keys that were handled, the newest of them.
///
/// ```
/// # use std::time::Duration;
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// use amgi::idempotency::{Claim, MemoryStore, Store};
///
/// let store = MemoryStore::default();
/// let Ok(Claim::New(token)) = store.begin("o-1", Duration::from_secs(60)).await else { panic!() };
/// assert_eq!(store.begin("o-1", Duration::from_secs(60)).await.unwrap(), Claim::InProgress);
/// store.complete("o-1", token, Duration::from_secs(3600)).await.unwrap();
/// assert_eq!(store.begin("o-1", Duration::from_secs(60)).await.unwrap(), Claim::Handled);
/// # }
/// ```
#[derive(Debug)]
pub struct MemoryStore {
    keys: Mutex<Keys>,
    most: usize,
}

#[derive(Debug, Default)]
struct Keys {
    known: HashMap<String, Entry>,
    /// Handled keys with their tokens, the oldest first.
    handled: VecDeque<(String, u64)>,
    tokens: u64,
}

#[derive(Debug)]
struct Entry {
    token: u64,
    handled: bool,
    until: Instant,
}

impl Default for MemoryStore {
    /// Room for 100,000 keys.
    fn default() -> Self {
        Self::new(100_000)
    }
}

impl MemoryStore {
    /// A store of up to `most` keys of handled messages.
    pub fn new(most: usize) -> Self {
        Self { keys: Mutex::default(), most }
    }

    fn with<T: Send + 'static>(&self, f: impl FnOnce(&mut Keys) -> T) -> StoreFuture<'static, T> {
        let value = f(&mut self.keys.lock().unwrap_or_else(PoisonError::into_inner));
        Box::pin(std::future::ready(Ok(value)))
    }
}

impl Store for MemoryStore {
    fn begin<'a>(&'a self, key: &'a str, lease: Duration) -> StoreFuture<'a, Claim> {
        self.with(|keys| {
            let now = Instant::now();
            match keys.known.get(key) {
                Some(entry) if entry.until > now && entry.handled => return Claim::Handled,
                Some(entry) if entry.until > now => return Claim::InProgress,
                _ => {}
            }
            keys.tokens += 1;
            let token = keys.tokens;
            keys.known.insert(key.to_owned(), Entry { token, handled: false, until: now + lease });
            Claim::New(token)
        })
    }

    fn complete<'a>(&'a self, key: &'a str, token: u64, remember: Duration) -> StoreFuture<'a, ()> {
        let most = self.most;
        self.with(|keys| {
            let now = Instant::now();
            if let Some(entry) = keys.known.get_mut(key).filter(|entry| entry.token == token) {
                (entry.handled, entry.until) = (true, now + remember);
                keys.handled.push_back((key.to_owned(), token));
            }
            // What has expired goes, and the oldest where there are too many.
            while let Some((oldest, token)) = keys.handled.front() {
                let same = keys.known.get(oldest).filter(|entry| entry.token == *token);
                if keys.handled.len() <= most && same.is_some_and(|entry| entry.until > now) {
                    break;
                }
                if same.is_some() {
                    keys.known.remove(oldest);
                }
                keys.handled.pop_front();
            }
        })
    }

    fn release<'a>(&'a self, key: &'a str, token: u64) -> StoreFuture<'a, ()> {
        self.with(|keys| {
            if keys.known.get(key).is_some_and(|entry| entry.token == token) {
                keys.known.remove(key);
            }
        })
    }
}
