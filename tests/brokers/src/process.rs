//! A process that a test starts, reads, and ends in one way or another.

use std::process::{ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
};

use crate::within;

/// A process; killed when it is dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts it.
    ///
    /// # Panics
    /// When that is impossible.
    pub fn start(program: &str, args: &[&str]) -> Self {
        let command = &mut Command::new(program);
        let child = command.args(args).stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("{program}: {error}"));
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Self { child, lines }
    }

    /// The next line of its output; `None` when it has ended.
    ///
    /// # Panics
    /// When it takes too long.
    pub async fn line(&mut self) -> Option<String> {
        within("a line of the process", self.lines.next_line()).await.expect("it can be read")
    }

    /// Reads these lines.
    ///
    /// # Panics
    /// When others come, or it takes too long.
    pub async fn expect(&mut self, texts: &[&str]) {
        for text in texts {
            assert_eq!(self.line().await.as_deref(), Some(*text));
        }
    }

    /// Asks it to end (SIGTERM).
    ///
    /// # Panics
    /// When it has ended.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Ends it (SIGKILL).
    ///
    /// # Panics
    /// When it has ended.
    pub async fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }

    /// How it ended.
    ///
    /// # Panics
    /// When that takes too long.
    pub async fn ended(&mut self) -> ExitStatus {
        within("the end of the process", self.child.wait()).await.expect("its status")
    }

    fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id().expect("it runs")).ok().and_then(Pid::from_raw);
        kill_process(pid.expect("a pid"), signal).expect("it takes signals");
    }
}
