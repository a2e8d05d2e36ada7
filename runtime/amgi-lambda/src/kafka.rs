//! Events of Kafka, Amazon's or one's own: as `amgi-kafka` reads what it fetches.

use std::{borrow::Cow, collections::BTreeMap};

use amgi::{Bytes, Message};
use base64::prelude::{BASE64_STANDARD as BASE64, Engine as _};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    error::EventError,
    event::{Event, Id, Reader, Record, Source, bind},
};

#[derive(Deserialize)]
struct KafkaEvent<'a> {
    /// By `topic-partition`.
    #[serde(borrow)]
    records: BTreeMap<Cow<'a, str>, Vec<&'a RawValue>>,
}

/// A record. That of `aws_lambda_events` wants a timestamp, panics over some, and takes no header byte above 127.
#[derive(Deserialize)]
struct KafkaRecord<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    partition: i32,
    offset: i64,
    #[serde(borrow, default)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow, default)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    value: Option<Cow<'a, str>>,
    /// An object for each, as names repeat. Bytes have a sign, as in Java.
    #[serde(default)]
    headers: Option<Vec<BTreeMap<String, Option<Vec<i16>>>>>,
}

pub(crate) fn read(event: &[u8], reader: &mut Reader<'_>) -> Result<Event, EventError> {
    let event: KafkaEvent<'_> =
        serde_json::from_slice(event).map_err(|error| EventError::Unreadable(error.to_string()))?;
    let mut records = Vec::new();
    for (partition, those) in event.records {
        records.extend(those.into_iter().map(|record| one(&partition, record, reader)));
    }
    Ok(Event { source: Source::Kafka, records })
}

fn one(partition: &str, record: &RawValue, reader: &mut Reader<'_>) -> Record {
    let read: Result<KafkaRecord<'_>, _> = serde_json::from_str(record.get());
    let id = |offset| Id::Offset { partition: partition.to_owned(), offset };
    let offset = || serde_json::from_str::<serde_json::Value>(record.get()).ok()?.get("offset")?.as_i64();
    let mut made = Record {
        id: read.as_ref().map_or_else(|_| offset(), |read| Some(read.offset)).map(id),
        line: Some(partition.to_owned()),
        delivered: 1,
        channel: None,
        message: Err(String::new()),
    };
    made.message = read.map_err(|error| error.to_string()).and_then(|read| {
        let found = reader.find(Source::Kafka, &read.topic, &read.topic);
        made.channel = found.channel;
        fill(Message::new(found.address), read)
    });
    made
}

fn fill(mut message: Message, record: KafkaRecord<'_>) -> Result<Message, String> {
    let decode = |what: &str, text: Option<Cow<'_, str>>| {
        let bytes = text.map(|text| BASE64.decode(&*text)).transpose();
        bytes.map(|bytes| bytes.map(Bytes::from)).map_err(|error| format!("its {what} is no base64: {error}"))
    };
    message.payload = decode("value", record.value)?;
    if let Some(key) = decode("key", record.key)? {
        bind(&mut message, "kafka", "key", key);
    }
    bind(&mut message, "kafka", "partition", record.partition);
    bind(&mut message, "kafka", "offset", record.offset);
    if let Some(millis) = record.timestamp.and_then(|time| time.get().trim_matches('"').parse::<i64>().ok()) {
        bind(&mut message, "kafka", "timestamp", millis);
    }
    for (name, value) in record.headers.unwrap_or_default().into_iter().flatten() {
        let bytes = value.unwrap_or_default().into_iter().map(|byte| match byte {
            0..=255 => u8::try_from(byte).ok(),
            -128..=-1 => u8::try_from(byte + 256).ok(),
            _ => None,
        });
        let bytes: Option<Vec<u8>> = bytes.collect();
        let bytes = bytes.ok_or_else(|| format!("a value of its header `{name}` is no byte"))?;
        message.headers.push(name, bytes);
    }
    Ok(message)
}
