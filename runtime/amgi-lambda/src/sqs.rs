//! Records of SQS: as `amgi-sqs` reads what it polls.

use amgi::{Bytes, Message, server::aws};
use aws_lambda_events::sqs::SqsMessage;
use md5::{Digest, Md5};
use serde_json::value::RawValue;

use crate::event::{Id, Reader, Record, Source, bind, resource, text_at};

pub(crate) fn read(record: &RawValue, reader: &mut Reader<'_>) -> Record {
    let sqs: SqsMessage = match serde_json::from_str(record.get()) {
        Ok(sqs) => sqs,
        Err(error) => {
            let arn = text_at(record, "/eventSourceARN").unwrap_or_default();
            return Record {
                id: text_at(record, "/messageId").filter(|id| !id.is_empty()).map(Id::Text),
                line: line(&arn, text_at(record, "/attributes/MessageGroupId").as_deref()),
                delivered: 1,
                channel: None,
                message: Err(error.to_string()),
            };
        }
    };
    let SqsMessage { message_id, body, md5_of_body, mut attributes, message_attributes, .. } = sqs;
    let arn = sqs.event_source_arn.unwrap_or_default();
    let found = reader.find(Source::Sqs, resource(&arn), &arn);
    let group = attributes.remove("MessageGroupId").filter(|group| !group.is_empty());
    let count = attributes.get("ApproximateReceiveCount");
    let mut record = Record {
        id: message_id.filter(|id| !id.is_empty()).map(Id::Text),
        line: line(&arn, group.as_deref()),
        delivered: count.and_then(|count| count.parse().ok()).unwrap_or(1),
        channel: found.channel,
        message: Err(String::new()),
    };
    let body = body.unwrap_or_default();
    if let Some(problem) = md5_of_body.and_then(|digest| damage(&body, &digest)) {
        record.message = Err(problem);
        return record;
    }
    let unwraps = reader.config.envelopes.unwrap_or_else(|| reader.names.is_enveloped(found.channel));
    let (body, values) = unwraps.then(|| aws::unwrap(&body)).flatten().unwrap_or_else(|| {
        let values = message_attributes.into_iter().filter_map(|(name, value)| {
            let text = value.string_value.map(Bytes::from);
            Some((name, text.or_else(|| value.binary_value.map(|binary| Bytes::from(binary.0)))?))
        });
        (body, values.collect())
    });
    let mut message = Message::new(found.address);
    aws::fill(&mut message, body, values);
    if let Some(Id::Text(id)) = &record.id {
        bind(&mut message, "sqs", "message_id", id.as_str());
    }
    if let Some(group) = group {
        bind(&mut message, "sqs", "message_group_id", group);
    }
    if let Some(id) = attributes.remove("MessageDeduplicationId").filter(|id| !id.is_empty()) {
        bind(&mut message, "sqs", "message_deduplication_id", id);
    }
    record.message = Ok(message);
    record
}

/// Only a FIFO queue keeps the order of its groups.
fn line(arn: &str, group: Option<&str>) -> Option<String> {
    arn.strip_suffix(".fifo").is_some().then(|| format!("{arn} {}", group.unwrap_or_default()))
}

/// What is wrong with a body that is not what SQS had.
fn damage(body: &str, digest: &str) -> Option<String> {
    use std::fmt::Write as _;

    let mut own = String::with_capacity(32);
    for byte in Md5::digest(body) {
        // A text takes everything.
        let _ = write!(own, "{byte:02x}");
    }
    (!own.eq_ignore_ascii_case(digest)).then(|| format!("the MD5 of its body is {own}, not `{digest}`"))
}
