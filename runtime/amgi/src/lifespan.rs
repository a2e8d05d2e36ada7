//! Lifespan: startup before the first message, shutdown after the last.

use std::sync::Arc;

use tracing::debug;

use crate::{
    contract::{Application, MessageSend, State},
    error::Error,
};

/// Runs the application's startup and gives the state that every message sees; the server's `sender` is in it.
///
/// A failure ends the server: nothing is consumed by an application that did not start.
pub async fn startup<A: Application>(app: &A, sender: Arc<dyn MessageSend>) -> Result<State, Error> {
    startup_with(app, sender, State::default()).await
}

/// The same with something in the state already.
pub(crate) async fn startup_with<A: Application>(
    app: &A,
    sender: Arc<dyn MessageSend>,
    mut state: State,
) -> Result<State, Error> {
    state.insert(sender);
    app.startup(&mut state).await.map_err(Error::Startup)?;
    debug!("application started");
    Ok(state)
}

/// Runs the application's shutdown.
pub async fn shutdown<A: Application>(app: &A) -> Result<(), Error> {
    app.shutdown().await.map_err(Error::Shutdown)?;
    debug!("application shut down");
    Ok(())
}
