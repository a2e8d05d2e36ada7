//! Errors: what goes wrong in a handler, a send, a startup, and what is to happen then.

use std::{any::Any, borrow::Cow, convert::Infallible, error::Error as StdError, fmt, time::Duration};

/// What is to happen to a message whose handler failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Disposition {
    /// Deliver it again, after the server's backoff.
    #[default]
    Retry,
    /// Deliver it again, not before this much time has passed.
    RetryAfter(Duration),
    /// Put it aside under the dead-letter address.
    DeadLetter,
    /// Drop it: it is acknowledged and logged.
    Discard,
}

impl fmt::Display for Disposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retry => f.write_str("retry"),
            Self::RetryAfter(delay) => write!(f, "retry after {delay:?}"),
            Self::DeadLetter => f.write_str("dead-letter"),
            Self::Discard => f.write_str("discard"),
        }
    }
}

/// Why a message was not handled.
#[derive(Debug, Clone, PartialEq)]
pub enum Reason {
    /// It does not fit the document; no handler saw it.
    Rejected(Rejection),
    /// The handler returned an error with this text.
    Failed(String),
    /// The handler is still the generated scaffold.
    NotImplemented,
    /// The handler panicked with this text.
    Panicked(String),
    /// The handler took longer than it may.
    TimedOut(Duration),
    /// No channel of the document has this address.
    NoChannel(String),
}

impl Reason {
    /// A word for the kind of it, for headers, metrics and logs: `rejected`, `failed`, `not-implemented`, `panicked`,
    /// `timed-out`, `no-channel`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Rejected(_) => "rejected",
            Self::Failed(_) => "failed",
            Self::NotImplemented => "not-implemented",
            Self::Panicked(_) => "panicked",
            Self::TimedOut(_) => "timed-out",
            Self::NoChannel(_) => "no-channel",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected(rejection) => rejection.fmt(f),
            Self::Failed(text) => f.write_str(text),
            Self::NotImplemented => NotImplemented.fmt(f),
            Self::Panicked(text) => write!(f, "handler panicked: {text}"),
            Self::TimedOut(limit) => write!(f, "handler took longer than {limit:?}"),
            Self::NoChannel(address) => write!(f, "no channel has the address `{address}`"),
        }
    }
}

/// Part of a message that a [`Rejection`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The payload.
    Payload,
    /// The headers.
    Headers,
    /// The parameters in the address.
    Address,
    /// The bindings.
    Bindings,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Payload => "payload",
            Self::Headers => "headers",
            Self::Address => "address",
            Self::Bindings => "bindings",
        })
    }
}

/// One thing that is wrong with a message: where, what was expected by which keyword, and what came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which part of the message.
    pub part: Part,
    /// JSON Pointer (RFC 6901) into that part; empty for the whole of it.
    pub pointer: String,
    /// Keyword of the schema, such as `minimum`; empty where no schema says it, such as that a payload is JSON.
    pub keyword: Cow<'static, str>,
    /// What was expected, such as `at least 1`.
    pub expected: Cow<'static, str>,
    /// What came instead, shortened. `None` when there was nothing, or when it is nobody's business: a value under a schema
    /// with `format: password` or `x-sensitive`.
    pub found: Option<String>,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`: expected {}", self.part, self.pointer, self.expected)?;
        if let Some(found) = &self.found {
            write!(f, ", found {found}")?;
        }
        if !self.keyword.is_empty() {
            write!(f, " ({})", self.keyword)?;
        }
        Ok(())
    }
}

/// A message that does not fit its schema: everything that is wrong with it. Handlers never see such a message.
///
/// ```
/// use amgi::{Rejection, error::Part};
///
/// let rejection = Rejection::new(Part::Payload, "/id", "minimum", "at least 1").found("0");
/// assert_eq!(rejection.to_string(), "payload `/id`: expected at least 1, found 0 (minimum)");
/// assert_eq!(rejection.pointer(), "/id");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection(Box<[Violation]>);

impl Rejection {
    /// No rejection has more violations than this.
    pub const MOST: usize = 20;

    /// A rejection with one violation.
    pub fn new(
        part: Part,
        pointer: impl Into<String>,
        keyword: impl Into<Cow<'static, str>>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (pointer, keyword, expected) = (pointer.into(), keyword.into(), expected.into());
        Self(Box::new([Violation { part, pointer, keyword, expected, found: None }]))
    }

    /// Says what came instead.
    #[must_use]
    pub fn found(mut self, found: impl Into<String>) -> Self {
        if let Some(first) = self.0.first_mut() {
            first.found = Some(found.into());
        }
        self
    }

    /// What is wrong, in the order of the document, at most [`MOST`](Self::MOST) of it.
    pub fn violations(&self) -> &[Violation] {
        &self.0
    }

    /// Which part of the message the first violation is in.
    pub fn part(&self) -> Part {
        self.0.first().map_or(Part::Payload, |first| first.part)
    }

    /// Where in that part the first violation is, as a JSON Pointer.
    pub fn pointer(&self) -> &str {
        self.0.first().map_or("", |first| &first.pointer)
    }

    /// What both say.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.0.into_iter().chain(other.0).collect::<Vec<_>>().into()
    }
}

impl From<Vec<Violation>> for Rejection {
    fn from(mut violations: Vec<Violation>) -> Self {
        violations.truncate(Self::MOST);
        Self(violations.into())
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, violation) in self.0.iter().enumerate() {
            let before = if index > 0 { "; " } else { "" };
            write!(f, "{before}{violation}")?;
        }
        Ok(())
    }
}

impl StdError for Rejection {}

/// A value of a closed set that is none of them, such as a channel parameter with an `enum`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not one of {}", .expected.join(", "))]
pub struct UnknownValue {
    /// What was found.
    pub found: String,
    /// What is allowed.
    pub expected: &'static [&'static str],
}

/// An error of a handler, and how the message is settled after it.
///
/// ```
/// use amgi::{Disposition, HandlerError};
///
/// #[derive(Debug)]
/// enum AppError {
///     Database,
///     UnknownUser,
/// }
///
/// impl std::fmt::Display for AppError {
///     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
///         f.write_str("no luck")
///     }
/// }
///
/// impl HandlerError for AppError {
///     fn disposition(&self) -> Disposition {
///         match self {
///             AppError::Database => Disposition::Retry,
///             AppError::UnknownUser => Disposition::DeadLetter,
///         }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the error of a handler",
    note = "implement `amgi::HandlerError` for it, or use `amgi::Failure`, which any `std::error::Error` turns into"
)]
pub trait HandlerError: fmt::Display + Send + 'static {
    /// What is to happen to the message. By default it is tried again.
    fn disposition(&self) -> Disposition {
        Disposition::Retry
    }

    /// What is reported as the cause. By default the error's text.
    fn reason(&self) -> Reason {
        Reason::Failed(format!("{self:#}"))
    }
}

impl HandlerError for Infallible {}

/// What a message failed with, settled already: what is to happen to it, and why.
///
/// It is what layers and [dependencies](crate::Dependency) fail with. A [`Failure`] made from it keeps its disposition.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{reason}")]
pub struct Failed {
    /// What is to happen to the message.
    pub disposition: Disposition,
    /// Why.
    pub reason: Reason,
}

impl Failed {
    /// What `error` says of itself.
    pub fn new(error: &impl HandlerError) -> Self {
        Self { disposition: error.disposition(), reason: error.reason() }
    }
}

impl HandlerError for Failed {
    fn disposition(&self) -> Disposition {
        self.disposition
    }

    fn reason(&self) -> Reason {
        self.reason.clone()
    }
}

/// Any error with a [`Disposition`]; [`Retry`](Disposition::Retry) unless told otherwise.
///
/// Like `anyhow::Error` it is made from any error by `?` and is itself none.
///
/// ```
/// fn parse(text: &str) -> Result<u32, amgi::Failure> {
///     Ok(text.parse()?)
/// }
/// let failure = parse("x").unwrap_err().dead_letter();
/// assert_eq!(failure.to_string(), "invalid digit found in string");
/// ```
pub struct Failure {
    error: Box<dyn StdError + Send + Sync>,
    disposition: Disposition,
}

impl Failure {
    /// A failure that says `text`.
    pub fn msg(text: impl fmt::Display) -> Self {
        Self { error: text.to_string().into(), disposition: Disposition::default() }
    }

    /// Settles the message by `disposition`.
    #[must_use]
    pub fn with(mut self, disposition: Disposition) -> Self {
        self.disposition = disposition;
        self
    }

    /// Tries again after `delay`.
    #[must_use]
    pub fn retry_after(self, delay: Duration) -> Self {
        self.with(Disposition::RetryAfter(delay))
    }

    /// Puts the message under the dead-letter address.
    #[must_use]
    pub fn dead_letter(self) -> Self {
        self.with(Disposition::DeadLetter)
    }

    /// Drops the message.
    #[must_use]
    pub fn discard(self) -> Self {
        self.with(Disposition::Discard)
    }

    /// The error inside.
    pub fn error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.error
    }
}

impl<E: StdError + Send + Sync + 'static> From<E> for Failure {
    fn from(error: E) -> Self {
        let settled = (&error as &dyn Any).downcast_ref::<Failed>().map(|failed| failed.disposition);
        Self { error: Box::new(error), disposition: settled.unwrap_or_default() }
    }
}

impl fmt::Display for Failure {
    /// `{:#}` adds the causes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)?;
        let mut source = self.error.source().filter(|_| f.alternate());
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:#} ({})", self.disposition)
    }
}

impl HandlerError for Failure {
    fn disposition(&self) -> Disposition {
        self.disposition
    }

    fn reason(&self) -> Reason {
        if self.error.is::<NotImplemented>() {
            Reason::NotImplemented
        } else if let Some(failed) = self.error.downcast_ref::<Failed>() {
            failed.reason.clone()
        } else {
            Reason::Failed(format!("{self:#}"))
        }
    }
}

/// What a scaffold handler returns until somebody writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, thiserror::Error)]
#[error("not implemented yet")]
pub struct NotImplemented;

impl HandlerError for NotImplemented {
    fn reason(&self) -> Reason {
        Reason::NotImplemented
    }
}

/// A message that could not be sent. It may or may not be in the broker's hands.
#[derive(Debug, thiserror::Error)]
#[error("could not send to `{address}`: {source}")]
pub struct SendError {
    /// Where it was to go.
    pub address: String,
    /// Why it did not.
    pub source: Box<dyn StdError + Send + Sync>,
}

impl SendError {
    /// A send to `address` that failed because of `source`.
    pub fn new(address: impl Into<String>, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { address: address.into(), source: source.into() }
    }
}

impl HandlerError for SendError {
    fn reason(&self) -> Reason {
        Reason::Failed(format!("{self}"))
    }
}

/// A startup or shutdown that failed; a server stops with it (`lifespan.startup.failed`, `lifespan.shutdown.failed`).
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StartupError(#[source] Box<dyn StdError + Send + Sync>);

impl StartupError {
    /// Wraps any error, or a text.
    pub fn new(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

/// Why a server ended.
///
/// `Debug` is written for people too, since `fn main() -> amgi::Result<()>` prints it.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The application did not start.
    #[error("startup failed: {0}")]
    Startup(#[source] StartupError),
    /// The application did not shut down well.
    #[error("shutdown failed: {0}")]
    Shutdown(#[source] StartupError),
    /// The configuration does not work.
    #[error("configuration: {0}")]
    Config(String),
    /// The broker cannot be reached, or refused.
    #[error("{0}")]
    Broker(#[source] Box<dyn StdError + Send + Sync>),
    /// Reading or writing failed.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Result of running a server.
pub type Result<T, E = Error> = std::result::Result<T, E>;
