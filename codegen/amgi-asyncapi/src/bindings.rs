//! Bindings: which fields the binding of a protocol has on a server, channel, operation or message, and of what type.
//!
//! One table a protocol that this project serves, after that protocol's page of the AsyncAPI bindings specification
//! (github.com/asyncapi/bindings). Fields of older versions of a binding are in it too, since documents of all versions
//! are read. Bindings of protocols without a table are data, about which nothing is said.

mod tables;

use crate::{
    codes,
    diag::{Diagnostic, Diagnostics, nearest},
    model::{Binding, Document},
    node::{Entry, Node, Value},
};

/// What has the binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// AsyncAPI 3.1, Server Bindings Object.
    Server,
    /// AsyncAPI 3.1, Channel Bindings Object.
    Channel,
    /// AsyncAPI 3.1, Operation Bindings Object.
    Operation,
    /// AsyncAPI 3.1, Message Bindings Object.
    Message,
}

/// The binding of one protocol.
struct Protocol {
    /// Its names.
    names: &'static [&'static str],
    /// Versions of its specification that are known.
    versions: &'static [&'static str],
    server: Fields,
    channel: Fields,
    operation: Fields,
    message: Fields,
}

type Fields = &'static [(&'static str, Ty)];

/// What a field may hold.
#[derive(Clone, Copy)]
enum Ty {
    Text,
    Texts,
    Flag,
    /// A whole number within bounds.
    Int(i64, i64),
    /// One of these texts.
    OneOf(&'static [&'static str]),
    /// Some of these texts.
    SomeOf(&'static [&'static str]),
    Object(Fields),
    Objects(Fields),
    /// An object with members of any name.
    Map,
    /// A JSON Schema.
    Schema,
    /// A value of the type, or a JSON Schema for it.
    Or(&'static Ty),
    /// Anything, such as a policy in the words of the cloud.
    Any,
}

impl Protocol {
    fn fields(&self, level: Level) -> Fields {
        match level {
            Level::Server => self.server,
            Level::Channel => self.channel,
            Level::Operation => self.operation,
            Level::Message => self.message,
        }
    }
}

fn protocol(name: &str) -> Option<&'static Protocol> {
    tables::PROTOCOLS.iter().find(|protocol| protocol.names.contains(&name))
}

/// Whether the fields of a protocol's bindings are known; those of others are data.
///
/// ```
/// assert!(amgi_asyncapi::bindings::is_known("kafka"));
/// assert!(!amgi_asyncapi::bindings::is_known("pulsar"));
/// ```
pub fn is_known(name: &str) -> bool {
    protocol(name).is_some()
}

/// Whether a member of a binding is a schema when it is an object.
pub(crate) fn is_schema(name: &str, member: &str) -> bool {
    // Of protocols without a table, those that are known to have schemas.
    let others = matches!((name, member), ("ws", "headers" | "query") | ("anypointmq" | "jms", "headers"));
    let of = |protocol: &Protocol| {
        let levels = [protocol.server, protocol.channel, protocol.operation, protocol.message];
        levels
            .into_iter()
            .flatten()
            .any(|(field, ty)| *field == member && matches!(ty, Ty::Schema | Ty::Or(_)))
    };
    others || protocol(name).is_some_and(of)
}

/// Reports what is wrong with the bindings of a document, and takes it out of them: afterwards a field of the tables has its type
/// or is not there. Fields that no table knows stay.
pub(crate) fn check(document: &mut Document, diags: &mut Diagnostics) {
    let mut each = |level, bindings: &mut Vec<Binding>| {
        for one in bindings {
            binding(one, level, diags);
        }
    };
    document.servers.iter_mut().for_each(|server| each(Level::Server, &mut server.bindings));
    document.channels.iter_mut().for_each(|channel| each(Level::Channel, &mut channel.bindings));
    document.operations.iter_mut().for_each(|operation| each(Level::Operation, &mut operation.bindings));
    document.messages.iter_mut().for_each(|message| each(Level::Message, &mut message.bindings));
}

fn binding(binding: &mut Binding, level: Level, diags: &mut Diagnostics) {
    let name = binding.protocol.as_str();
    let Some(protocol) = protocol(name) else { return };
    let own = match level {
        Level::Server => "a server",
        Level::Channel => "a channel",
        Level::Operation => "an operation",
        Level::Message => "a message",
    };
    let what = format!("the {name} binding of {own}");
    let Value::Object(entries) = &mut binding.value.value else { return };
    entries.retain_mut(|entry| {
        if entry.key == "bindingVersion" {
            version(name, protocol, &entry.value, diags);
        } else if let Some(other) = misplaced(protocol, level, &entry.key) {
            diags.push(
                Diagnostic::warning(
                    codes::UNKNOWN_FIELD,
                    entry.key_span,
                    format!("{what} has no `{}`", entry.key),
                )
                .help(format!("`{}` belongs into the {name} binding of {other}", entry.key)),
            );
        } else {
            return field(entry, protocol.fields(level), &what, diags);
        }
        true
    });
}

/// Where a field belongs that is not one of this level.
fn misplaced(protocol: &Protocol, level: Level, name: &str) -> Option<&'static str> {
    let has = |level: Level| protocol.fields(level).iter().any(|(field, _)| *field == name);
    let all = [
        (Level::Server, "the server"),
        (Level::Channel, "the channel"),
        (Level::Operation, "the operation"),
        (Level::Message, "the message"),
    ];
    (!has(level)).then(|| all.into_iter().find(|(other, _)| has(*other)).map(|(_, name)| name)).flatten()
}

fn version(name: &str, protocol: &Protocol, value: &Node, diags: &mut Diagnostics) {
    let text = match &value.value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => {
            mismatch("bindingVersion", value, "a string", diags);
            return;
        }
    };
    if text != "latest" && !protocol.versions.contains(&text.as_str()) {
        let newest = protocol.versions.last().unwrap_or(&"latest");
        diags.push(
            Diagnostic::info(
                codes::BINDING_VERSION,
                value.span,
                format!("version {text} of the {name} binding is not known"),
            )
            .help(format!("it is read as {newest}")),
        );
    }
}

/// Whether a field may stay.
fn field(entry: &mut Entry, fields: Fields, what: &str, diags: &mut Diagnostics) -> bool {
    let Entry { key, key_span, value } = entry;
    if key.starts_with("x-") {
        return true;
    }
    if let Some((_, ty)) = fields.iter().find(|(name, _)| name == key) {
        return fits(key, value, *ty, diags);
    }
    let mut diagnostic =
        Diagnostic::warning(codes::UNKNOWN_FIELD, *key_span, format!("{what} has no `{key}`"));
    if let Some(near) = nearest(key, fields.iter().map(|(name, _)| *name)) {
        diagnostic = diagnostic.help(format!("did you mean `{near}`?"));
    }
    diags.push(diagnostic);
    true
}

/// Whether the value of a field may stay. Of objects and lists, what is wrong in them goes.
fn fits(key: &str, value: &mut Node, ty: Ty, diags: &mut Diagnostics) -> bool {
    let wanted = match (ty, &mut value.value) {
        (Ty::Any, _)
        | (Ty::Text, Value::String(_))
        | (Ty::Flag, Value::Bool(_))
        | (Ty::Map | Ty::Or(_), Value::Object(_))
        | (Ty::Schema, Value::Object(_) | Value::Bool(_)) => return true,
        (Ty::Or(ty), _) => return fits(key, value, *ty, diags),
        (Ty::Texts, Value::Array(items)) => {
            items.retain_mut(|item| fits(key, item, Ty::Text, diags));
            return true;
        }
        (Ty::SomeOf(texts), Value::Array(items)) => {
            items.retain_mut(|item| fits(key, item, Ty::OneOf(texts), diags));
            return true;
        }
        (Ty::Object(fields), Value::Object(entries)) => {
            let what = format!("`{key}`");
            entries.retain_mut(|entry| field(entry, fields, &what, diags));
            return true;
        }
        (Ty::Objects(fields), Value::Array(items)) => {
            items.retain_mut(|item| fits(key, item, Ty::Object(fields), diags));
            return true;
        }
        (Ty::Int(least, most), Value::Number(number)) if !number.is_f64() => {
            // Beyond an i64 is beyond every bound.
            if number.as_i64().is_some_and(|number| (least..=most).contains(&number)) {
                return true;
            }
            let bounds = match (least, most) {
                (_, i64::MAX) => format!("at least {least}"),
                _ => format!("from {least} to {most}"),
            };
            let text = format!("`{key}` is {bounds}, not {number}");
            diags.push(Diagnostic::warning(codes::BINDING_RANGE, value.span, text).help(LEFT_OUT));
            return false;
        }
        (Ty::OneOf(texts), Value::String(text)) => {
            if texts.contains(&text.as_str()) {
                return true;
            }
            let list: Vec<String> = texts.iter().map(|text| format!("`{text}`")).collect();
            let help = match nearest(text, texts.iter().copied()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => LEFT_OUT.to_owned(),
            };
            let text = format!("`{key}` is one of {}, not `{text}`", list.join(", "));
            diags.push(Diagnostic::warning(codes::UNKNOWN_VALUE, value.span, text).help(help));
            return false;
        }
        (Ty::Text | Ty::OneOf(_), _) => "a string",
        (Ty::Texts | Ty::SomeOf(_), _) => "a list of strings",
        (Ty::Flag, _) => "true or false",
        (Ty::Int(..), _) => "a whole number",
        (Ty::Object(_) | Ty::Map, _) => "an object",
        (Ty::Objects(_), _) => "a list of objects",
        (Ty::Schema, _) => "a schema",
    };
    mismatch(key, value, wanted, diags);
    false
}

const LEFT_OUT: &str = "it is read as if it were not there";

fn mismatch(key: &str, value: &Node, wanted: &str, diags: &mut Diagnostics) {
    let text = format!("`{key}` must be {wanted}, not {}", value.kind());
    diags.push(Diagnostic::warning(codes::TYPE_MISMATCH, value.span, text).help(LEFT_OUT));
}
