//! The connection that sends go by, for all of the application: pipelined by the client of the crate `redis`, and made anew
//! when it is lost.

use std::{collections::HashMap, io, sync::Arc, time::Duration};

use amgi::server::Backoff;
use redis::{
    AsyncConnectionConfig, Cmd, ErrorKind, RedisError, ServerErrorKind, Value, aio::MultiplexedConnection,
};
use tokio::{
    sync::Mutex,
    task::AbortHandle,
    time::{Instant, sleep, timeout, timeout_at},
};
use tracing::debug;

use crate::{place::Place, wire::Lost};

/// Pauses before a command is given to a new connection.
const AGAIN: Backoff =
    Backoff { first: Duration::from_millis(20), most: Duration::from_secs(1), jitter: true };

/// Ends the task of a connection with its last user.
struct Task(AbortHandle);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[derive(Clone)]
struct Open {
    connection: MultiplexedConnection,
    /// The address of the server.
    server: Arc<str>,
    number: u64,
    _task: Arc<Task>,
}

/// Cheap to clone; the clones are one.
#[derive(Clone)]
pub(crate) struct Link(Arc<Inner>);

struct Inner {
    place: Place,
    open: Mutex<Connections>,
}

/// One connection for every server, under every slot that was asked for.
#[derive(Default)]
struct Connections {
    by_slot: HashMap<u16, Open>,
    made: u64,
}

/// Why a command was not done, and the connection that it was given to.
struct Failed {
    error: Lost,
    connection: Option<u64>,
}

impl Link {
    pub(crate) fn new(place: Place) -> Self {
        Self(Arc::new(Inner { place, open: Mutex::default() }))
    }

    pub(crate) fn place(&self) -> &Place {
        &self.0.place
    }

    /// The connection to the server of `slot`.
    async fn open(&self, slot: u16) -> Result<Open, Lost> {
        let mut open = self.0.open.lock().await;
        if let Some(known) = open.by_slot.get(&slot) {
            return Ok(known.clone());
        }
        let place = &self.0.place;
        let info = place.resolve(slot).await?;
        let server = info.addr().to_string();
        if let Some(known) = open.by_slot.values().find(|known| *known.server == *server).cloned() {
            open.by_slot.insert(slot, known.clone());
            return Ok(known);
        }
        let socket = place.socket(&info).await?;
        // Who waits has a deadline of its own.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let made = MultiplexedConnection::new_with_config(info.redis_settings(), socket, config);
        let made = timeout(place.timeout(), made).await.map_err(|_| Lost::Timeout(place.timeout()))?;
        let (connection, driver) = made.map_err(|error| lost(&error))?;
        let task = tokio::spawn(driver).abort_handle();
        open.made += 1;
        let made = Open { connection, server: server.into(), number: open.made, _task: Arc::new(Task(task)) };
        open.by_slot.insert(slot, made.clone());
        Ok(made)
    }

    /// That connection is of no use any more.
    async fn close(&self, number: u64) {
        self.0.open.lock().await.by_slot.retain(|_, open| open.number != number);
        self.0.place.forget();
    }

    async fn attempt(&self, slot: u16, command: &Cmd) -> Result<Value, Failed> {
        let mut open = self.open(slot).await.map_err(|error| Failed { error, connection: None })?;
        // A server that is silent is given up in time for another attempt.
        let patience = self.0.place.timeout();
        let error = match timeout(patience, open.connection.send_packed_command(command)).await {
            Ok(Ok(Value::ServerError(error))) => lost(&error.into()),
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => lost(&error),
            Err(_) => Lost::Timeout(patience),
        };
        Err(Failed { error, connection: Some(open.number) })
    }

    /// Asks the server of `slot`, again on a new connection where one is lost, until `patience` is over.
    ///
    /// A command may be done twice: a connection may break between its being done and the answer.
    pub(crate) async fn call(&self, slot: u16, command: &Cmd, patience: Duration) -> Result<Value, Lost> {
        let by = Instant::now() + patience;
        let mut failures = 0;
        let mut last = Lost::Timeout(patience);
        loop {
            match timeout_at(by, self.attempt(slot, command)).await {
                Ok(Ok(value)) => return Ok(value),
                Ok(Err(Failed { error: error @ Lost::Refused(_), connection: Some(_) })) => {
                    return Err(error);
                }
                Ok(Err(Failed { error, connection })) => {
                    if let Some(number) = connection {
                        self.close(number).await;
                    }
                    last = error;
                }
                Err(_) => return Err(last),
            }
            failures += 1;
            let pause = AGAIN.pause(failures);
            debug!(error = %last, ?pause, "a command is given to a new connection");
            if Instant::now() + pause >= by {
                return Err(last);
            }
            sleep(pause).await;
        }
    }
}

fn lost(error: &RedisError) -> Lost {
    match error.kind() {
        ErrorKind::Server(
            ServerErrorKind::Moved
            | ServerErrorKind::Ask
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown
            | ServerErrorKind::BusyLoading
            | ServerErrorKind::ReadOnly,
        ) => Lost::Elsewhere(error.to_string()),
        ErrorKind::Server(_) | ErrorKind::Extension => Lost::Refused(error.to_string()),
        _ => Lost::Io(io::Error::other(error.to_string())),
    }
}
