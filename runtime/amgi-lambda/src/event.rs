//! An event: where it comes from, its records, and the answer.
//!
//! What must hold: a record that cannot be read fails by itself where its source can be told so, and nothing panics. Records
//! are read one by one for that, by types that want no more of them than is needed.

use std::{borrow::Cow, fmt};

use amgi::{ByteString, Message};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::{
    config::Config,
    error::EventError,
    kafka,
    names::{Found, Names},
    notice, sqs, stream,
};

/// Where events come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    Sqs,
    Kafka,
    Sns,
    EventBridge,
    Kinesis,
    DynamoDb,
}

impl Source {
    pub(crate) const ALL: [Self; 6] =
        [Self::Sqs, Self::Kafka, Self::Sns, Self::EventBridge, Self::Kinesis, Self::DynamoDb];

    /// By what it calls itself in `eventSource`.
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "aws:sqs" => Self::Sqs,
            "aws:sns" => Self::Sns,
            "aws:kinesis" => Self::Kinesis,
            "aws:dynamodb" => Self::DynamoDb,
            "aws:kafka" | "SelfManagedKafka" => Self::Kafka,
            _ => return None,
        })
    }

    /// Protocols by which a message from it is answered where the document leaves that open, the likeliest first.
    pub(crate) fn answered_by(self) -> &'static [&'static str] {
        match self {
            Self::Kafka => &["kafka", "kafka-secure"],
            Self::Sns => &["sns", "sqs"],
            Self::Sqs | Self::EventBridge | Self::Kinesis | Self::DynamoDb => &["sqs", "sns"],
        }
    }

    /// Whether it counts deliveries, and waits between them.
    pub(crate) fn counts(self) -> bool {
        self == Self::Sqs
    }

    /// Whether it is told which records failed.
    pub(crate) fn reports(self, config: &Config) -> bool {
        match self {
            Self::Sqs | Self::Kinesis | Self::DynamoDb => config.report.unwrap_or(true),
            Self::Kafka => config.report.unwrap_or(false),
            // They hand over one message, and deliver it again when the invocation fails.
            Self::Sns | Self::EventBridge => false,
        }
    }

    /// Whether the first failure of a line says it all: what is behind it is delivered again.
    pub(crate) fn resumes(self) -> bool {
        matches!(self, Self::Kinesis | Self::DynamoDb)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sqs => "SQS",
            Self::Kafka => "Kafka",
            Self::Sns => "SNS",
            Self::EventBridge => "EventBridge",
            Self::Kinesis => "Kinesis",
            Self::DynamoDb => "DynamoDB",
        })
    }
}

/// What a record is called in the answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(crate) enum Id {
    /// A message id, or a sequence number.
    Text(String),
    /// A place in a topic; `partition` is `topic-number`.
    Offset { partition: String, offset: i64 },
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(id) => f.write_str(id),
            Self::Offset { partition, offset } => write!(f, "{partition}@{offset}"),
        }
    }
}

/// A record of an event.
#[derive(Debug)]
pub(crate) struct Record {
    /// `None` where the source has none, or it cannot be read.
    pub(crate) id: Option<Id>,
    /// Those with the same are handled in order, those without beside each other.
    pub(crate) line: Option<String>,
    /// How often it was delivered, this time included; 1 where nobody counts.
    pub(crate) delivered: u32,
    /// Index of the message's channel.
    pub(crate) channel: Option<usize>,
    /// The message, or why it cannot be read.
    pub(crate) message: Result<Message, String>,
}

/// An event that was read.
#[derive(Debug)]
pub(crate) struct Event {
    pub(crate) source: Source,
    pub(crate) records: Vec<Record>,
}

/// What reads records. Most are of the same queue or topic, whose address is looked for once.
pub(crate) struct Reader<'a> {
    pub(crate) names: &'a Names,
    pub(crate) config: &'a Config,
    last: Option<(String, Found)>,
}

impl Reader<'_> {
    /// The address of what has this name, or `arn`.
    pub(crate) fn find(&mut self, source: Source, name: &str, arn: &str) -> Found {
        if let Some((last, found)) = &self.last
            && last == arn
        {
            return found.clone();
        }
        let found = self.names.find(source, name, arn);
        self.last = Some((arn.to_owned(), found.clone()));
        found
    }
}

/// What tells where an event comes from.
#[derive(Deserialize)]
struct Head<'a> {
    #[serde(rename = "Records", borrow, default)]
    records: Option<&'a RawValue>,
    #[serde(rename = "eventSource", borrow, default)]
    source: Option<Cow<'a, str>>,
    #[serde(rename = "detail-type", borrow, default)]
    detail_type: Option<Cow<'a, str>>,
}

/// What tells where a record comes from.
#[derive(Deserialize)]
struct RecordHead<'a> {
    #[serde(rename = "eventSource", alias = "EventSource", borrow, default)]
    source: Option<Cow<'a, str>>,
}

/// Reads an event.
pub(crate) fn read(event: &[u8], names: &Names, config: &Config) -> Result<Event, EventError> {
    let unreadable = |error: serde_json::Error| EventError::Unreadable(error.to_string());
    let head: Head<'_> = serde_json::from_slice(event).map_err(unreadable)?;
    let mut reader = Reader { names, config, last: None };
    let Some(records) = head.records else {
        let source = head.source.as_deref();
        return match source.and_then(Source::named) {
            Some(Source::Kafka) => kafka::read(event, &mut reader),
            _ if head.detail_type.is_some() => notice::event_bridge(event, &mut reader),
            _ => Err(unknown(source)),
        };
    };
    let records: Vec<&RawValue> = serde_json::from_str(records.get()).map_err(unreadable)?;
    if records.is_empty() {
        return Ok(Event { source: Source::Sqs, records: Vec::new() });
    }
    let said = records.iter().find_map(|record| {
        let head: RecordHead<'_> = serde_json::from_str(record.get()).ok()?;
        head.source
    });
    let source = said.as_deref().and_then(Source::named);
    let one: fn(&RawValue, &mut Reader<'_>) -> Record = match source {
        Some(Source::Sqs) => sqs::read,
        Some(Source::Sns) => notice::sns,
        Some(Source::Kinesis) => stream::kinesis,
        Some(Source::DynamoDb) => stream::dynamodb,
        Some(Source::Kafka | Source::EventBridge) | None => return Err(unknown(said.as_deref())),
    };
    let records = records.into_iter().map(|record| one(record, &mut reader)).collect();
    Ok(Event { source: source.unwrap_or(Source::Sqs), records })
}

fn unknown(source: Option<&str>) -> EventError {
    EventError::Unknown(match source {
        Some(source) => format!("the event is of `{source}`"),
        None => "the event does not say what it is of".to_owned(),
    })
}

/// Part of a record that cannot be read otherwise, such as what it is called.
pub(crate) fn text_at(record: &RawValue, pointer: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(record.get()).ok()?;
    Some(value.pointer(pointer)?.as_str()?.to_owned())
}

/// The last part of an ARN, which has six; in all partitions of AWS.
pub(crate) fn resource(arn: &str) -> &str {
    arn.splitn(6, ':').nth(5).unwrap_or(arn)
}

/// The same where the part has parts itself, as in `table/orders/stream/…`.
pub(crate) fn named_resource<'a>(arn: &'a str, kind: &str) -> &'a str {
    let resource = resource(arn);
    let behind = resource.strip_prefix(kind).and_then(|rest| rest.strip_prefix('/'));
    behind.map_or(resource, |rest| rest.split('/').next().unwrap_or(rest))
}

/// The answer that names what failed.
pub(crate) fn answer<'a>(failed: impl Iterator<Item = &'a Id>) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer<'a> {
        batch_item_failures: Vec<Failure<'a>>,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Failure<'a> {
        item_identifier: &'a Id,
    }
    let answer = Answer { batch_item_failures: failed.map(|id| Failure { item_identifier: id }).collect() };
    // Texts and numbers are always JSON.
    serde_json::to_string(&answer).unwrap_or_default()
}

/// A binding's protocol and field, which are never copied.
pub(crate) fn bind(
    message: &mut Message,
    protocol: &'static str,
    field: &'static str,
    value: impl Into<amgi::BindingValue>,
) {
    let text = ByteString::from_static;
    message.bindings.set(text(protocol), text(field), value);
}
