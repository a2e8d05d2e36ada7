//! Bindings: what the document sets on every send, what differs by message, and what servers are told.
//!
//! A field goes with a send only under the name that AMGI has for it; the rest configures servers and crosses as JSON.

use amgi_asyncapi::{
    model::{Binding, Document, Id, Message, Schema},
    node::{Node, Value},
};
use serde_json::{Value as Json, json};

use crate::ir;

/// Fields with one value for all messages of a send: protocol, path in AsyncAPI's binding, field in AMGI.
const CONSTANT: &[(&str, &[&str], &str)] = &[
    ("mqtt", &["qos"], "qos"),
    ("mqtt", &["retain"], "retain"),
    ("mqtt", &["messageExpiryInterval"], "message_expiry_interval"),
    ("mqtt", &["contentType"], "content_type"),
    ("mqtt", &["responseTopic"], "response_topic"),
    ("mqtt", &["payloadFormatIndicator"], "payload_format_indicator"),
    ("amqp", &["exchange", "name"], "exchange"),
    ("amqp", &["queue", "name"], "routing_key"),
    ("amqp", &["expiration"], "expiration"),
    ("amqp", &["userId"], "user_id"),
    ("amqp", &["priority"], "priority"),
    ("amqp", &["deliveryMode"], "delivery_mode"),
    ("amqp", &["mandatory"], "mandatory"),
    ("amqp", &["replyTo"], "reply_to"),
    ("amqp", &["timestamp"], "timestamp"),
    ("amqp", &["cc"], "cc"),
    ("amqp", &["bcc"], "bcc"),
    ("amqp", &["contentEncoding"], "content_encoding"),
    ("amqp", &["messageType"], "type"),
    ("sqs", &["queue", "deliveryDelay"], "delay_seconds"),
    ("http", &["method"], "method"),
    ("http", &["statusCode"], "status_code"),
];

/// Fields that are described by a schema, because their value differs by message: protocol, member in AsyncAPI, field in AMGI.
const PER_MESSAGE: &[(&str, &str, &str)] = &[
    ("kafka", "key", "key"),
    ("mqtt", "correlationData", "correlation_data"),
    ("mqtt", "responseTopic", "response_topic"),
    ("mqtt", "messageExpiryInterval", "message_expiry_interval"),
    ("http", "headers", "headers"),
    ("http", "query", "query"),
];

/// The name of a protocol in AMGI; `mqtt5` is the old spelling of the same one.
fn protocol(binding: &Binding) -> &str {
    if binding.protocol == "mqtt5" { "mqtt" } else { &binding.protocol }
}

/// A field that a schema describes.
pub(super) struct Described {
    pub protocol: &'static str,
    pub field: &'static str,
    pub schema: Id<Schema>,
}

/// What differs by message: described by its own bindings, or by those of an operation that has it.
pub(super) fn per_message(doc: &Document, id: Id<Message>) -> Vec<Described> {
    let operations = doc.operations.iter().filter(|operation| operation.messages.contains(&id));
    let bindings: Vec<&Binding> =
        doc[id].bindings.iter().chain(operations.flat_map(|operation| &operation.bindings)).collect();
    let described = PER_MESSAGE.iter().filter_map(|&(name, member, field)| {
        let mut own = bindings.iter().filter(|binding| protocol(binding) == name);
        let schema = own.find_map(|b| b.schemas.iter().find(|(wire, _)| wire == member))?.1;
        // What can only be one thing is set by the document.
        let constant = field != "key" && constant(doc, schema).is_some();
        (!constant).then_some(Described { protocol: name, field, schema })
    });
    described.collect()
}

/// What these bindings set on every message; the first that sets a field wins.
pub(super) fn presets<'b>(
    doc: &Document,
    bindings: impl IntoIterator<Item = &'b Binding>,
) -> Vec<ir::Preset> {
    let mut out: Vec<ir::Preset> = Vec::new();
    for binding in bindings {
        // A queue that keeps an order has one delay for all; a queue is not published to through an exchange.
        let flag = |path: [&str; 2]| binding.value.get(path[0]).and_then(|node| node.get(path[1])).cloned();
        let fifo = flag(["queue", "fifoQueue"]).is_some_and(|node| node.value == Value::Bool(true));
        let queue = binding.value.get("is").and_then(Node::as_str) == Some("queue");
        for (name, path, field) in CONSTANT.iter().filter(|(name, ..)| *name == protocol(binding)) {
            if (*field == "delay_seconds" && fifo)
                || (*field == "exchange" && queue)
                || (*field == "routing_key" && !queue)
            {
                continue;
            }
            let described = binding.schemas.iter().find(|(wire, _)| [wire.as_str()] == *path);
            let value = match described {
                Some((_, schema)) => constant(doc, *schema),
                None => path.iter().try_fold(&binding.value, |node, key| node.get(key)).map(Node::to_json),
            };
            let Some(value) = value.map(joined).filter(is_settable) else { continue };
            if !out.iter().any(|preset| preset.protocol == *name && preset.field == *field) {
                out.push(ir::Preset { protocol: (*name).to_owned(), field: (*field).to_owned(), value });
            }
        }
    }
    out
}

/// A list of texts as one.
fn joined(value: Json) -> Json {
    match value {
        Json::Array(items) if items.iter().all(Json::is_string) => {
            let texts: Vec<&str> = items.iter().filter_map(Json::as_str).collect();
            Json::String(texts.join(","))
        }
        value => value,
    }
}

fn is_settable(value: &Json) -> bool {
    match value {
        Json::Bool(_) => true,
        Json::String(text) => !text.is_empty(),
        Json::Number(number) => number.is_i64(),
        _ => false,
    }
}

/// The only value of a schema.
fn constant(doc: &Document, schema: Id<Schema>) -> Option<Json> {
    let node = &doc[schema].node;
    let sole = match node.get("enum").map(Node::items) {
        Some([sole]) => Some(sole),
        _ => None,
    };
    node.get("const").or(sole).map(Node::to_json)
}

/// A binding as servers see it. Schemas in it stand on their own.
pub(super) fn binding_json(doc: &Document, binding: &Binding) -> ir::Binding {
    let mut value = binding.value.to_json();
    for (member, id) in &binding.schemas {
        value[member] = inline(doc, &doc[*id].node, 0);
    }
    ir::Binding { protocol: binding.protocol.clone(), json: value.to_string() }
}

/// A schema without references; what lies deep is left open.
fn inline(doc: &Document, node: &Node, depth: usize) -> Json {
    const MOST: usize = 6;
    if depth > MOST {
        return json!(true);
    }
    if let Some(schema) = Schema::reference(node).and_then(|id| doc.schemas.get(id.index())) {
        return inline(doc, &schema.node, depth + 1);
    }
    match &node.value {
        Value::Object(entries) => {
            let member = |entry: &amgi_asyncapi::node::Entry| match entry.key.as_str() {
                "const" | "enum" | "default" | "example" | "examples" => entry.value.to_json(),
                _ => inline(doc, &entry.value, depth + 1),
            };
            entries
                .iter()
                .map(|entry| (entry.key.clone(), member(entry)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        }
        Value::Array(items) => items.iter().map(|item| inline(doc, item, depth)).collect(),
        _ => node.to_json(),
    }
}
