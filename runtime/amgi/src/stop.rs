//! Asking a server to stop.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use tokio::sync::watch;
use tracing::debug;

/// Asks a server to stop: no new messages, those in flight are finished. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Stop(Arc<Request>);

#[derive(Debug)]
struct Request {
    /// What `tell` says too; asked before every message, so it must cost nothing.
    made: AtomicBool,
    /// Whether signals are somebody else's business.
    ignores_signals: bool,
    tell: watch::Sender<bool>,
}

impl Default for Stop {
    fn default() -> Self {
        Self::with(false)
    }
}

impl Stop {
    fn with(ignores_signals: bool) -> Self {
        let tell = watch::Sender::new(false);
        Self(Arc::new(Request { made: AtomicBool::new(false), ignores_signals, tell }))
    }

    /// A handle that nobody has used yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A handle whose servers do not stop at SIGTERM and Ctrl-C: others stop first and still need them, as a service needs
    /// the client that it sends with.
    pub fn ignoring_signals() -> Self {
        Self::with(true)
    }

    /// Asks every server that holds this handle to stop.
    pub fn request(&self) {
        self.0.made.store(true, Ordering::Release);
        self.0.tell.send_replace(true);
    }

    /// Whether it was asked.
    pub fn is_requested(&self) -> bool {
        self.0.made.load(Ordering::Acquire)
    }

    /// Ends when it is asked.
    pub async fn requested(&self) {
        // The sender is `self`, so waiting cannot fail.
        let _ = self.0.tell.subscribe().wait_for(|stop| *stop).await;
    }

    /// Requests a stop at SIGTERM or Ctrl-C, unless it [ignores them](Self::ignoring_signals). Call it within a tokio runtime.
    pub fn on_signal(&self) -> std::io::Result<()> {
        if self.0.ignores_signals {
            return Ok(());
        }
        let stop = self.clone();
        let interrupted = tokio::signal::ctrl_c();
        #[cfg(unix)]
        let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::spawn(async move {
            #[cfg(unix)]
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
            #[cfg(not(unix))]
            let _ = interrupted.await;
            debug!("stop requested by signal");
            stop.request();
        });
        Ok(())
    }
}
