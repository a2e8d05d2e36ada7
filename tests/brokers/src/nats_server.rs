//! The broker `nats-server`, with JetStream.

use std::{
    fs,
    process::{Child, Command},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{free_port, launch, program};

/// A nats-server of one's own.
pub struct NatsServer {
    dir: TempDir,
    port: u16,
    extra: String,
    child: Option<Child>,
}

impl NatsServer {
    /// A broker that lets everybody in.
    pub fn start() -> Self {
        Self::with("jetstream {}\n")
    }

    /// A broker with further lines of configuration, in which `{dir}` is its folder. JetStream is on where they say so.
    ///
    /// # Panics
    /// When it does not start.
    pub fn with(extra: &str) -> Self {
        Self::with_files(extra, &[])
    }

    /// The same with files in its folder: names and texts.
    ///
    /// # Panics
    /// When it does not start.
    pub fn with_files(extra: &str, files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for (name, text) in files {
            fs::write(dir.path().join(name), text).expect("the file is written");
        }
        let shown = dir.path().display().to_string();
        let extra = extra
            .replace("{dir}", &shown)
            .replace("jetstream {}", &format!("jetstream {{ store_dir: \"{shown}/js\" }}"));
        let mut broker = Self { dir, port: 0, extra, child: None };
        for _ in 0..5 {
            broker.port = free_port();
            if broker.launch() {
                return broker;
            }
        }
        panic!("nats-server does not start:\n{}", broker.log());
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).unwrap_or_default()
    }

    fn launch(&mut self) -> bool {
        let dir = self.dir.path().display();
        let config = format!("listen: \"127.0.0.1:{}\"\nlog_file: \"{dir}/log\"\n{}", self.port, self.extra);
        let path = self.dir.path().join("conf");
        fs::write(&path, config).expect("configuration is written");
        let mut command = Command::new(program("nats-server"));
        command.arg("-c").arg(&path);
        self.child = launch(command, self.port);
        self.child.is_some()
    }

    /// Its folder.
    pub fn dir(&self) -> &std::path::Path {
        self.dir.path()
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `nats://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Lets it end.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = kill_process(Pid::from_child(&child), Signal::TERM);
            let _ = child.wait();
        }
    }

    /// Starts it again, on the same port with the same streams.
    ///
    /// # Panics
    /// When it does not start.
    pub fn start_again(&mut self) {
        assert!(self.launch(), "nats-server does not start again:\n{}", self.log());
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        self.kill();
    }
}
