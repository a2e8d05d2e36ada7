//! Records of streams: Kinesis, and what changes in tables of DynamoDB.

use std::borrow::Cow;

use amgi::{Bytes, Message};
use base64::prelude::{BASE64_STANDARD as BASE64, Engine as _};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::{Id, Reader, Record, Source, bind, named_resource, text_at};

#[derive(Deserialize)]
struct StreamRecord<'a> {
    #[serde(rename = "eventSourceARN", borrow, default)]
    arn: Cow<'a, str>,
    #[serde(rename = "eventID", borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(rename = "eventName", borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    kinesis: Option<KinesisRecord<'a>>,
    /// As it came: numbers of DynamoDB have more digits than any type has.
    #[serde(borrow, default)]
    dynamodb: Option<&'a RawValue>,
}

/// A record. That of `aws_lambda_events` wants a time of arrival, and overflows over some.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KinesisRecord<'a> {
    #[serde(borrow)]
    data: Cow<'a, str>,
    #[serde(borrow, default)]
    partition_key: Option<Cow<'a, str>>,
    #[serde(borrow)]
    sequence_number: Cow<'a, str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Change<'a> {
    #[serde(borrow)]
    sequence_number: Cow<'a, str>,
}

/// A record that cannot be read, as far as it can.
fn broken(record: &RawValue, number: &str, why: String) -> Record {
    let arn = text_at(record, "/eventSourceARN").unwrap_or_default();
    let shard = text_at(record, "/eventID").unwrap_or_default();
    Record {
        id: text_at(record, number).filter(|id| !id.is_empty()).map(Id::Text),
        line: Some(line(&arn, &shard)),
        delivered: 1,
        channel: None,
        message: Err(why),
    }
}

/// A shard is kept in order. DynamoDB does not name it: an event is of one alone.
fn line(arn: &str, event_id: &str) -> String {
    let (shard, _) = event_id.split_once(':').unwrap_or_default();
    format!("{arn} {shard}")
}

pub(crate) fn kinesis(record: &RawValue, reader: &mut Reader<'_>) -> Record {
    let read: StreamRecord<'_> = match serde_json::from_str(record.get()) {
        Ok(read) => read,
        Err(error) => return broken(record, "/kinesis/sequenceNumber", error.to_string()),
    };
    let Some(kinesis) = read.kinesis else {
        return broken(record, "/kinesis/sequenceNumber", "it has no `kinesis`".to_owned());
    };
    let found = reader.find(Source::Kinesis, named_resource(&read.arn, "stream"), &read.arn);
    let number = kinesis.sequence_number;
    let message = BASE64.decode(&*kinesis.data).map_err(|error| format!("its data is no base64: {error}"));
    let message = message.map(|data| {
        let mut message = Message::new(found.address).payload(data);
        if let Some(key) = kinesis.partition_key {
            bind(&mut message, "kinesis", "partition_key", &*key);
        }
        bind(&mut message, "kinesis", "sequence_number", &*number);
        message
    });
    Record {
        line: Some(line(&read.arn, read.id.as_deref().unwrap_or_default())),
        id: Some(Id::Text(number.into_owned())).filter(is_some_text),
        delivered: 1,
        channel: found.channel,
        message,
    }
}

pub(crate) fn dynamodb(record: &RawValue, reader: &mut Reader<'_>) -> Record {
    const NUMBER: &str = "/dynamodb/SequenceNumber";
    let read: StreamRecord<'_> = match serde_json::from_str(record.get()) {
        Ok(read) => read,
        Err(error) => return broken(record, NUMBER, error.to_string()),
    };
    let Some(change) = read.dynamodb else {
        return broken(record, NUMBER, "it has no `dynamodb`".to_owned());
    };
    let number = match serde_json::from_str::<Change<'_>>(change.get()) {
        Ok(Change { sequence_number }) => sequence_number,
        Err(error) => return broken(record, NUMBER, error.to_string()),
    };
    let found = reader.find(Source::DynamoDb, named_resource(&read.arn, "table"), &read.arn);
    let mut message = Message::new(found.address).payload(Bytes::copy_from_slice(change.get().as_bytes()));
    for (name, value) in [("eventID", read.id), ("eventName", read.name)] {
        if let Some(value) = value {
            message.headers.push(name, value.into_owned());
        }
    }
    bind(&mut message, "dynamodb", "sequence_number", &*number);
    Record {
        id: Some(Id::Text(number.into_owned())).filter(is_some_text),
        line: Some(line(&read.arn, "")),
        delivered: 1,
        channel: found.channel,
        message: Ok(message),
    }
}

/// An empty name means everything to Lambda.
fn is_some_text(id: &Id) -> bool {
    !matches!(id, Id::Text(text) if text.is_empty())
}
