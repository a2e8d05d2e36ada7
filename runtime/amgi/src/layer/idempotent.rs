//! Handling a message once.

use std::{fmt, sync::Arc, time::Duration};

use tracing::{debug, warn};

use super::Layer;
use crate::{
    context::Context,
    contract::{Application, Message, Settlement},
    error::{Disposition, Reason},
    idempotency::{Claim, Store},
};

/// How long a claim holds while nobody says how it went.
const LEASE: Duration = Duration::from_secs(300);

/// How long a message is kept away while another one with its key is being handled.
const BUSY: Duration = Duration::from_secs(1);

/// Handles messages with the same key once: what comes again is acknowledged, and what comes while the first is still being
/// handled is tried again later. Messages without a key are handled as ever.
///
/// A key is remembered when the message was acknowledged; a failure gives it back. It is no transaction: when the process dies
/// between the two, the message is handled again.
///
/// ```
/// use std::{sync::Arc, time::Duration};
/// use amgi::{idempotency::MemoryStore, layer::Idempotent};
///
/// let layer = Idempotent::new(Arc::new(MemoryStore::default()), |message| {
///     Some(String::from_utf8_lossy(message.headers.get("order-id")?).into_owned())
/// })
/// .remember(Duration::from_secs(24 * 3600));
/// ```
pub struct Idempotent {
    guard: Guard,
    key: KeyOf,
}

type KeyOf = Box<dyn Fn(&Message) -> Option<String> + Send + Sync>;

impl Idempotent {
    /// Keys are what `key` says, remembered by `store`.
    pub fn new(
        store: Arc<dyn Store>,
        key: impl Fn(&Message) -> Option<String> + Send + Sync + 'static,
    ) -> Self {
        Self { guard: Guard::new(store), key: Box::new(key) }
    }

    /// How long a key is remembered after its message was handled. Default: one day.
    #[must_use]
    pub fn remember(mut self, remember: Duration) -> Self {
        self.guard.remember = remember;
        self
    }

    /// How long a key is kept from others while its message is being handled; longer than any handler takes. Default: five
    /// minutes.
    #[must_use]
    pub fn lease(mut self, lease: Duration) -> Self {
        self.guard.lease = lease;
        self
    }
}

impl fmt::Debug for Idempotent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Idempotent")
            .field("remember", &self.guard.remember)
            .field("lease", &self.guard.lease)
            .finish_non_exhaustive()
    }
}

impl Layer for Idempotent {
    async fn message<A: Application>(&self, cx: &Context, next: &A) -> Settlement {
        let Some(key) = (self.key)(cx.message()) else { return next.message(cx).await };
        match self.guard.begin(&key).await {
            Begun::Settled(settlement) => settlement,
            Begun::Handle(token) => {
                let settlement = next.message(cx).await;
                self.guard.end(&key, token, settlement == Settlement::Ack).await;
                settlement
            }
        }
    }
}

/// A store and how long it remembers.
pub(crate) struct Guard {
    store: Arc<dyn Store>,
    pub(crate) remember: Duration,
    lease: Duration,
}

/// Whether a message is to be handled.
pub(crate) enum Begun {
    /// Yes, and the token ends it.
    Handle(u64),
    /// No.
    Settled(Settlement),
}

impl Guard {
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, remember: Duration::from_secs(24 * 3600), lease: LEASE }
    }

    pub(crate) async fn begin(&self, key: &str) -> Begun {
        let later = |text: String, disposition| {
            Begun::Settled(Settlement::Fail { disposition, reason: Reason::Failed(text) })
        };
        match self.store.begin(key, self.lease).await {
            Ok(Claim::New(token)) => Begun::Handle(token),
            Ok(Claim::Handled) => {
                debug!(key, "message was handled before");
                Begun::Settled(Settlement::Ack)
            }
            Ok(Claim::InProgress) => later(
                format!("another message with the key `{key}` is being handled"),
                Disposition::RetryAfter(BUSY),
            ),
            Err(error) => later(format!("the store of keys: {error}"), Disposition::Retry),
        }
    }

    /// A store that fails now changes nothing: the message is settled already.
    pub(crate) async fn end(&self, key: &str, token: u64, handled: bool) {
        let told = if handled {
            self.store.complete(key, token, self.remember).await
        } else {
            self.store.release(key, token).await
        };
        if let Err(error) = told {
            warn!(key, handled, %error, "the store of keys could not be told");
        }
    }
}
