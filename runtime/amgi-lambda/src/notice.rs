//! What is handed over without being asked for: messages of SNS, and events of EventBridge. An event has one.

use std::{borrow::Cow, collections::HashMap};

use amgi::{Bytes, Message, server::aws};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::{
    error::EventError,
    event::{Event, Id, Reader, Record, Source, bind, resource},
};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SnsRecord {
    sns: SnsMessage,
}

/// A message. That of `aws_lambda_events` wants the signature and its time, which nothing here needs.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct SnsMessage {
    #[serde(default)]
    message_id: Option<String>,
    topic_arn: String,
    message: String,
    #[serde(default)]
    subject: Option<String>,
    #[serde(default)]
    message_attributes: Option<HashMap<String, Attribute>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Attribute {
    r#type: String,
    value: String,
}

pub(crate) fn sns(record: &RawValue, reader: &mut Reader<'_>) -> Record {
    let mut made = Record { id: None, line: None, delivered: 1, channel: None, message: Err(String::new()) };
    let sns = match serde_json::from_str(record.get()) {
        Ok(SnsRecord { sns }) => sns,
        Err(error) => {
            made.message = Err(error.to_string());
            return made;
        }
    };
    let found = reader.find(Source::Sns, resource(&sns.topic_arn), &sns.topic_arn);
    let attributes = sns.message_attributes.unwrap_or_default().into_iter();
    let attributes =
        attributes.map(|(name, Attribute { r#type, value })| (name, aws::sns_attribute(&r#type, value)));
    let mut message = Message::new(found.address);
    aws::fill(&mut message, sns.message, attributes.collect());
    if let Some(subject) = sns.subject {
        bind(&mut message, "sns", "subject", subject);
    }
    made.id = sns.message_id.map(Id::Text);
    made.channel = found.channel;
    made.message = Ok(message);
    made
}

/// An event. Its `detail` is handed on as it came, where that of `aws_lambda_events` would read and write it.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct BridgeEvent<'a> {
    #[serde(borrow)]
    detail_type: Cow<'a, str>,
    #[serde(borrow)]
    source: Cow<'a, str>,
    #[serde(borrow, default)]
    detail: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    account: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    time: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    region: Option<Cow<'a, str>>,
}

pub(crate) fn event_bridge(event: &[u8], reader: &mut Reader<'_>) -> Result<Event, EventError> {
    let event: BridgeEvent<'_> =
        serde_json::from_slice(event).map_err(|error| EventError::Unreadable(error.to_string()))?;
    let full = format!("{}/{}", event.source, event.detail_type);
    let found = reader.find(Source::EventBridge, &event.detail_type, &full);
    let mut message = Message::new(found.address);
    message.payload = event.detail.map(|detail| Bytes::copy_from_slice(detail.get().as_bytes()));
    let id = event.id.clone();
    for (name, value) in [
        ("id", event.id),
        ("source", Some(event.source)),
        ("detail-type", Some(event.detail_type)),
        ("account", event.account),
        ("time", event.time),
        ("region", event.region),
    ] {
        if let Some(value) = value {
            message.headers.push(name, value.into_owned());
        }
    }
    let id = id.map(|id| Id::Text(id.into_owned()));
    let record = Record { id, line: None, delivered: 1, channel: found.channel, message: Ok(message) };
    Ok(Event { source: Source::EventBridge, records: vec![record] })
}
