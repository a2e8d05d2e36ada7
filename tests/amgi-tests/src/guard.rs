//! Work that may panic or never end, kept from stopping the runner.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::mpsc::{RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

/// Time one document may take.
pub const LIMIT: Duration = Duration::from_secs(5);
/// Time after which work is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// As much as a program's main thread usually has.
const STACK: usize = 8 << 20;

/// What became of the work.
#[derive(Debug)]
pub enum Outcome<T> {
    /// It ended, after this time.
    Done(T, Duration),
    /// It panicked, with this text.
    Panicked(String),
    /// It was given up; its thread is left behind.
    Hangs,
}

/// Runs `work` on a thread of its own.
pub fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Outcome<T> {
    let (done, result) = channel();
    let started = Instant::now();
    let thread = thread::Builder::new().stack_size(STACK).spawn(move || {
        // Nobody waits any more when the work was given up.
        let _ = done.send((caught(work), started.elapsed()));
    });
    if let Err(error) = thread {
        return Outcome::Panicked(format!("no thread: {error}"));
    }
    match result.recv_timeout(PATIENCE) {
        Ok((Ok(value), time)) => Outcome::Done(value, time),
        Ok((Err(text), _)) => Outcome::Panicked(text),
        Err(RecvTimeoutError::Timeout) => Outcome::Hangs,
        Err(RecvTimeoutError::Disconnected) => Outcome::Panicked("its thread ended".to_owned()),
    }
}

/// Runs `work`; the text of its panic is the error.
///
/// # Errors
/// The text of the panic.
pub fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a text").to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_told_by_its_text() {
        assert!(matches!(run(|| 1), Outcome::Done(1, _)));
        assert!(matches!(run(|| panic!("no {}", 1)), Outcome::<()>::Panicked(text) if text == "no 1"));
    }
}
