//! What librdkafka calls: rebalances, commits, statistics and logs become events that a member of a group handles in its own
//! time. Nothing here waits.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use rdkafka::{
    ClientContext, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
    types::RDKafkaRespErr,
};
use tokio::sync::mpsc::UnboundedSender;
use tracing::{debug, error, info, warn};

/// What a consumer's member of the group is to know. The group waits for an answer to the first two.
#[derive(Debug)]
pub(crate) enum Event {
    /// These partitions are ours, too.
    Assigned(TopicPartitionList),
    /// These are to be given up.
    Revoked {
        partitions: TopicPartitionList,
        /// Another member may have them already.
        lost: bool,
    },
    /// A commit did not work.
    Uncommitted(KafkaError),
    /// Ends of partitions: topic, partition, offset behind the last message that can be read.
    Ends(Vec<(String, i32, i64)>),
}

/// Context of a consumer.
pub(crate) struct Callbacks {
    pub(crate) events: UnboundedSender<Event>,
    /// The consumer is being closed: what is revoked is given up at once.
    pub(crate) closing: AtomicBool,
    pub(crate) logs: Logs,
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        self.logs.log(level, fac, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.logs.error(error, reason);
    }

    fn stats(&self, statistics: Statistics) {
        let mut ends = Vec::new();
        for (topic, about) in statistics.topics {
            for (partition, about) in about.partitions {
                let end = about.ls_offset.max(0).min(about.hi_offset);
                if partition >= 0 && about.desired && end >= 0 {
                    ends.push((topic.clone(), partition, end));
                }
            }
        }
        let _ = self.events.send(Event::Ends(ends));
    }
}

impl ConsumerContext for Callbacks {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        error: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let closing = self.closing.load(Ordering::Acquire);
        let sent = match error {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS if !closing => {
                self.events.send(Event::Assigned(partitions.clone())).is_ok()
            }
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS if !closing => {
                let lost = consumer.assignment_lost();
                self.events.send(Event::Revoked { partitions: partitions.clone(), lost }).is_ok()
            }
            _ => false,
        };
        if !sent {
            // Nobody is there to answer.
            give_up(consumer, partitions);
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        match result {
            // There was nothing to commit.
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            Err(error) => drop(self.events.send(Event::Uncommitted(error))),
        }
    }
}

/// Tells the group that these partitions are given up.
pub(crate) fn give_up<C: ConsumerContext>(consumer: &impl Consumer<C>, partitions: &TopicPartitionList) {
    let done = match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(partitions),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
    };
    if let Err(error) = done {
        warn!(%error, "partitions could not be given up");
    }
}

/// Context of a client that is no consumer: logs, and the last thing that went wrong.
#[derive(Debug, Clone, Default)]
pub(crate) struct Logs {
    last: Arc<Mutex<Option<String>>>,
    /// Certificates or passwords do not fit.
    refused: Arc<AtomicBool>,
}

impl Logs {
    /// Whether a broker has refused us, or we it; `last_error` says why.
    pub(crate) fn refused(&self) -> bool {
        self.refused.load(Ordering::Acquire)
    }

    /// What went wrong last.
    pub(crate) fn last_error(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Logs {
    fn log(&self, level: RDKafkaLogLevel, fac: &str, message: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => error!(target: "librdkafka", fac, "{message}"),
            RDKafkaLogLevel::Warning => warn!(target: "librdkafka", fac, "{message}"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => info!(target: "librdkafka", fac, "{message}"),
            RDKafkaLogLevel::Debug => debug!(target: "librdkafka", fac, "{message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // librdkafka logs what matters of it; it reconnects by itself.
        debug!(%error, reason, "librdkafka");
        let text = if reason.is_empty() { error.to_string() } else { reason.to_owned() };
        let code = error.rdkafka_error_code();
        let refused =
            matches!(code, Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SSL)) || is_alert(&text);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        // That all brokers are down, which comes next, says less.
        if last.is_none() || refused || code != Some(RDKafkaErrorCode::AllBrokersDown) {
            *last = Some(in_our_words(&text));
        }
        drop(last);
        self.refused.fetch_or(refused, Ordering::Release);
    }
}

/// Whether a broker broke TLS off, which librdkafka tells as a connection that was lost.
fn is_alert(text: &str) -> bool {
    text.contains("SSL alert number")
}

/// What librdkafka calls a property is an option here.
fn in_our_words(text: &str) -> String {
    let text = text.replace("ssl.ca.location", "`ca-file`");
    if is_alert(&text) {
        return text
            + "; the broker wants a certificate of this client that it trusts, by `cert-file` and `key-file`";
    }
    text
}
