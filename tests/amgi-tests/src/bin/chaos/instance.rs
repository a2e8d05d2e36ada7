//! A process of the service.

use std::{
    fs::OpenOptions,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;

use crate::service::{self, Service};

/// Longest time that an end may take once it was asked for.
const DEADLINE: Duration = Duration::from_secs(60);

/// An instance, which may be killed and started again under the same name.
pub(crate) struct Instance {
    service: Service,
    args: Vec<String>,
    journal: PathBuf,
    log: PathBuf,
    child: Option<Child>,
}

impl Instance {
    /// Starts it. Its log is added to.
    pub(crate) fn start(
        service: &Service,
        args: Vec<String>,
        journal: &Path,
        log: PathBuf,
    ) -> io::Result<Self> {
        let mut instance =
            Self { service: service.clone(), args, journal: journal.to_owned(), log, child: None };
        instance.start_again()?;
        Ok(instance)
    }

    /// Starts it when it does not run.
    pub(crate) fn start_again(&mut self) -> io::Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        let mut command = self.service.command()?;
        command
            .args(&self.args)
            .env(service::JOURNAL, &self.journal)
            .env("RUST_LOG", "warn")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true);
        self.child = Some(command.spawn()?);
        Ok(())
    }

    /// Whether it ended by itself. A server that finds no broker at its start does; who runs it starts it again.
    pub(crate) fn has_ended(&mut self) -> io::Result<bool> {
        match &mut self.child {
            Some(child) => Ok(child.try_wait()?.is_some()),
            None => Ok(false),
        }
    }

    /// Ends it at once.
    pub(crate) async fn kill(&mut self) -> io::Result<()> {
        match self.child.take() {
            Some(mut child) => child.kill().await,
            None => Ok(()),
        }
    }

    /// SIGTERM; an error when it does not end well.
    pub(crate) async fn stop(&mut self) -> io::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            kill_process(pid, Signal::TERM)?;
        }
        let status = tokio::time::timeout(DEADLINE, child.wait())
            .await
            .map_err(|_| io::Error::other(format!("it did not end within {DEADLINE:?}")))??;
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("it ended with {status}"))) }
    }
}
