//! Keys of messages that were handled.
//!
//! What must stay true: each step is one command or one script, so that two processes never both hold a key; and a token
//! that holds a key no more changes nothing that belongs to another.

use std::{fmt, sync::LazyLock, time::Duration};

use amgi::idempotency::{Claim, Store, StoreFuture};
use redis::{
    Client, IntoConnectionInfo, RedisResult, Script,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

/// What a key holds when its message was handled. Before, it holds a token, which is a number.
const HANDLED: &str = "handled";

/// How long Redis may take to answer, and to be connected to.
const PATIENCE: Duration = Duration::from_secs(5);

/// A claim that has expired and that nobody else has made is still good: the message was handled all the same.
static COMPLETE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local held = redis.call('GET', KEYS[1])
        if not held or held == ARGV[1] then
            redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
        end",
    )
});

static RELEASE: LazyLock<Script> = LazyLock::new(|| {
    Script::new("if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end")
});

/// Remembers keys in Redis 2.6.12 or later (or a server that speaks its protocol, such as Valkey), for all processes that use
/// the same server, database and prefix.
///
/// Cheap to clone; the clones share a connection, which comes back by itself. While Redis is away every step fails, and
/// messages are tried again.
///
/// ```no_run
/// use std::sync::Arc;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let store = amgi_redis::IdempotencyStore::connect("redis://localhost").await?.prefix("shop:orders:");
/// let policy = amgi::server::Policy { store: Arc::new(store), ..Default::default() };
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct IdempotencyStore {
    connection: ConnectionManager,
    prefix: String,
}

impl fmt::Debug for IdempotencyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyStore").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl IdempotencyStore {
    /// Connects to a URL such as `redis://user:password@localhost:6379/0`.
    ///
    /// # Errors
    /// A URL that is none; a server that cannot be reached within 5 s, or refuses.
    pub async fn connect(url: impl IntoConnectionInfo) -> RedisResult<Self> {
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(PATIENCE))
            .set_response_timeout(Some(PATIENCE))
            // Messages are tried again anyway.
            .set_number_of_retries(1);
        Ok(Self::new(ConnectionManager::new_with_config(Client::open(url)?, config).await?))
    }

    /// A store on a connection that is there already.
    pub fn new(connection: ConnectionManager) -> Self {
        Self { connection, prefix: "amgi:idempotency:".to_owned() }
    }

    /// What keys begin with in Redis. Default: `amgi:idempotency:`. Applications whose keys have nothing to do with each other
    /// need different ones.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

/// Redis counts in milliseconds, and at least one.
fn milliseconds(time: Duration) -> u64 {
    // More than it can add to the clock is as good as for ever: 100,000 years.
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).clamp(1, 3_155_760_000_000_000)
}

impl Store for IdempotencyStore {
    fn begin<'a>(&'a self, key: &'a str, lease: Duration) -> StoreFuture<'a, Claim> {
        Box::pin(async move {
            let (mut connection, key) = (self.connection.clone(), self.key(key));
            let token = fastrand::u64(..);
            let claimed: Option<String> = redis::cmd("SET")
                .arg(&key)
                .arg(token)
                .arg("NX")
                .arg("PX")
                .arg(milliseconds(lease))
                .query_async(&mut connection)
                .await?;
            if claimed.is_some() {
                return Ok(Claim::New(token));
            }
            // One that goes between the two was in progress a moment ago; the message comes again.
            let held: Option<String> = redis::cmd("GET").arg(&key).query_async(&mut connection).await?;
            Ok(if held.as_deref() == Some(HANDLED) { Claim::Handled } else { Claim::InProgress })
        })
    }

    fn complete<'a>(&'a self, key: &'a str, token: u64, remember: Duration) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut script = COMPLETE.key(self.key(key));
            script.arg(token).arg(HANDLED).arg(milliseconds(remember));
            Ok(script.invoke_async(&mut self.connection.clone()).await?)
        })
    }

    fn release<'a>(&'a self, key: &'a str, token: u64) -> StoreFuture<'a, ()> {
        Box::pin(async move {
            let mut script = RELEASE.key(self.key(key));
            Ok(script.arg(token).invoke_async(&mut self.connection.clone()).await?)
        })
    }
}
