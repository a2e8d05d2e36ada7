//! Instruments and attributes of OpenTelemetry's messaging conventions.

use std::time::Duration;

use amgi::Message;
use opentelemetry::{
    KeyValue, StringValue,
    metrics::{Counter, Gauge, Histogram, Meter},
};
use opentelemetry_semantic_conventions::{attribute, metric};

/// Bounds that the conventions give for durations, in seconds.
const BOUNDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// What is measured.
#[derive(Debug)]
pub(crate) struct Instruments {
    pub(crate) process_duration: Histogram<f64>,
    pub(crate) operation_duration: Histogram<f64>,
    pub(crate) consumed: Counter<u64>,
    pub(crate) sent: Counter<u64>,
    lag: Gauge<u64>,
}

impl Instruments {
    pub(crate) fn new(meter: &Meter) -> Self {
        let duration = |name, description| {
            let histogram = meter.f64_histogram(name).with_unit("s").with_description(description);
            histogram.with_boundaries(BOUNDS.to_vec()).build()
        };
        let count = |name, description| {
            meter.u64_counter(name).with_unit("{message}").with_description(description).build()
        };
        Self {
            process_duration: duration(
                metric::MESSAGING_PROCESS_DURATION,
                "Duration of processing operation.",
            ),
            operation_duration: duration(
                metric::MESSAGING_CLIENT_OPERATION_DURATION,
                "Duration of messaging operation initiated by a producer or consumer client.",
            ),
            consumed: count(
                metric::MESSAGING_CLIENT_CONSUMED_MESSAGES,
                "Number of messages that were delivered to the application.",
            ),
            sent: count(
                metric::MESSAGING_CLIENT_SENT_MESSAGES,
                "Number of messages producer attempted to send to the broker.",
            ),
            // The conventions have none; the Collector calls it so.
            lag: meter
                .u64_gauge("kafka.consumer_group.lag")
                .with_unit("{message}")
                .with_description("Number of messages of a partition that are not settled.")
                .build(),
        }
    }

    pub(crate) fn processed(
        &self,
        took: Duration,
        deliveries: u64,
        operation: &Operation,
        error: Option<&'static str>,
    ) {
        let attributes = operation.metric(error);
        self.process_duration.record(took.as_secs_f64(), &attributes);
        if deliveries > 0 {
            self.consumed.add(deliveries, &operation.metric(None));
        }
    }

    pub(crate) fn lag(&self, topic: &str, partition: i32, messages: u64) {
        let attributes = [
            KeyValue::new(attribute::MESSAGING_SYSTEM, "kafka"),
            KeyValue::new(attribute::MESSAGING_DESTINATION_NAME, topic.to_owned()),
            KeyValue::new(attribute::MESSAGING_DESTINATION_PARTITION_ID, partition.to_string()),
        ];
        self.lag.record(messages, &attributes);
    }

    pub(crate) fn sent(&self, took: Duration, operation: &Operation, error: Option<&'static str>) {
        let mut attributes = operation.metric(error);
        self.sent.add(1, &attributes);
        attributes.push(KeyValue::new(attribute::MESSAGING_OPERATION_TYPE, operation.name));
        self.operation_duration.record(took.as_secs_f64(), &attributes);
    }
}

/// What is done to a message, and where: what spans and metrics both say.
#[derive(Debug, Clone)]
pub(crate) struct Operation {
    /// `process` or `send`, which are names and types in one.
    pub(crate) name: &'static str,
    pub(crate) system: StringValue,
    /// Where it came from or goes to; `None` for a batch from several addresses.
    pub(crate) address: Option<StringValue>,
    /// The channel's address with its `{parameters}`, where it has some.
    pub(crate) template: Option<StringValue>,
}

impl Operation {
    /// `process user.created`, as the conventions name spans.
    pub(crate) fn span_name(&self) -> String {
        match self.template.as_ref().or(self.address.as_ref()) {
            Some(destination) => format!("{} {destination}", self.name),
            None => self.name.to_owned(),
        }
    }

    /// For a span.
    pub(crate) fn span(&self) -> impl Iterator<Item = KeyValue> + use<> {
        [
            Some(KeyValue::new(attribute::MESSAGING_OPERATION_NAME, self.name)),
            Some(KeyValue::new(attribute::MESSAGING_OPERATION_TYPE, self.name)),
            Some(KeyValue::new(attribute::MESSAGING_SYSTEM, self.system.clone())),
            self.address.clone().map(|name| KeyValue::new(attribute::MESSAGING_DESTINATION_NAME, name)),
            self.template.clone().map(|name| KeyValue::new(attribute::MESSAGING_DESTINATION_TEMPLATE, name)),
        ]
        .into_iter()
        .flatten()
    }

    /// For a metric: an address that has a template is one of many, and is left out.
    fn metric(&self, error: Option<&'static str>) -> Vec<KeyValue> {
        let mut attributes = Vec::with_capacity(5);
        attributes.push(KeyValue::new(attribute::MESSAGING_OPERATION_NAME, self.name));
        attributes.push(KeyValue::new(attribute::MESSAGING_SYSTEM, self.system.clone()));
        if let Some(template) = &self.template {
            attributes.push(KeyValue::new(attribute::MESSAGING_DESTINATION_TEMPLATE, template.clone()));
        } else if let Some(address) = &self.address {
            attributes.push(KeyValue::new(attribute::MESSAGING_DESTINATION_NAME, address.clone()));
        }
        attributes.extend(error.map(|error| KeyValue::new(attribute::ERROR_TYPE, error)));
        attributes
    }
}

/// What a single message adds to its span.
pub(crate) fn of_message(message: &Message, conversation: Option<String>) -> impl Iterator<Item = KeyValue> {
    let size = message.payload.as_ref().map_or(0, |payload| i64::try_from(payload.len()).unwrap_or(i64::MAX));
    [
        Some(KeyValue::new(attribute::MESSAGING_MESSAGE_BODY_SIZE, size)),
        conversation.map(|id| KeyValue::new(attribute::MESSAGING_MESSAGE_CONVERSATION_ID, id)),
    ]
    .into_iter()
    .flatten()
}

/// The conventions' `messaging.system` for a protocol of `AsyncAPI`.
pub(crate) fn system(protocol: &str) -> &str {
    match protocol {
        "kafka-secure" => "kafka",
        "amqp" | "amqps" => "rabbitmq",
        "mqtt5" | "mqtts" | "secure-mqtt" => "mqtt",
        "sqs" => "aws_sqs",
        "sns" => "aws.sns",
        "googlepubsub" => "gcp_pubsub",
        other => other,
    }
}
