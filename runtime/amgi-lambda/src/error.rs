//! Why an invocation fails.

/// Why an invocation fails: Lambda then does what its event source says, and delivers the event again, or puts it aside.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EventError {
    /// The event is no JSON, or none of the shape that its source has.
    #[error("the event cannot be read: {0}")]
    Unreadable(String),
    /// The event is of a source that is not known here, or of none.
    #[error("{0}, and events are taken of SQS, SNS, Kafka, EventBridge, Kinesis and DynamoDB")]
    Unknown(String),
    /// Records failed, and the source cannot be told which, or is not to be ([`report_batch_item_failures`]).
    ///
    /// [`report_batch_item_failures`]: crate::Server::report_batch_item_failures
    #[error("{failed} of {records} records failed; the first: {reason}")]
    Failed {
        /// How many failed, those included that were not begun.
        failed: usize,
        /// How many there are.
        records: usize,
        /// Why the first of them did.
        reason: String,
    },
}

impl EventError {
    /// A word for the kind of it, which Lambda shows as the type of the error: `Event.Unreadable`, `Event.Unknown`,
    /// `Event.Failed`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "Event.Unreadable",
            Self::Unknown(_) => "Event.Unknown",
            Self::Failed { .. } => "Event.Failed",
        }
    }
}
