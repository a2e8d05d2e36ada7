//! Messages: payload, headers, bindings and examples.

use amgi_asyncapi::{
    diag::Diagnostic,
    model::{Binding, Id, Message, Schema},
    node::Node,
};
use serde_json::{Value as Json, json};

use super::{
    Lowering,
    rules::rules,
    shape::Site,
    typedefs::{Types, default_of, property_docs},
};
use crate::{
    codes, docs, ir,
    name::{Namer, pascal},
};

/// A message whose types are not known yet.
pub(super) struct Draft<'d> {
    message: &'d Message,
    name: String,
    codec: ir::Codec,
    payload: Option<(Option<Site>, &'d Node)>,
    headers: Vec<Part<'d>>,
    bindings: Vec<Part<'d>>,
}

/// A header or binding.
struct Part<'d> {
    wire: String,
    protocol: Option<&'static str>,
    node: &'d Node,
    site: Site,
    required: bool,
}

/// Members of message bindings whose value differs by message: protocol, member in AsyncAPI, field in AMGI.
const PER_MESSAGE: &[(&str, &str, &str)] =
    &[("kafka", "key", "key"), ("mqtt", "correlationData", "correlation_data")];

impl<'d> Lowering<'d> {
    /// Names a message and asks for its types.
    pub(super) fn draft(&mut self, id: Id<Message>) -> Draft<'d> {
        let doc = self.doc;
        let message = &doc[id];
        let owner =
            doc.channels.iter().find(|channel| channel.messages.iter().any(|(_, other)| *other == id));
        let owner = owner.map_or("", |channel| channel.key.as_str());
        let name = self.type_name(&message.extensions, owner, &message.key, "Message", message.span);
        let content_type = content_type(message);
        let mut codec = codec(&content_type);
        let mut payload = None;
        if let Some(id) = message.payload {
            let schema = &doc[id];
            if schema.foreign_format.is_some() {
                codec = ir::Codec::Raw;
            }
            let suggest = schema.name.clone().unwrap_or_else(|| format!("{name}Payload"));
            let site = (codec == ir::Codec::Json)
                .then(|| self.shaper.site_of(id, &suggest, format!("Payload of message `{}`.", message.key)));
            payload = Some((site, &schema.node));
        } else if codec != ir::Codec::Json {
            codec = ir::Codec::Raw;
        }
        let headers = message.headers.map(|id| self.header_parts(id, &name)).unwrap_or_default();
        let mut bindings = Vec::new();
        for (protocol, member, field) in PER_MESSAGE {
            let schema = message
                .bindings
                .iter()
                .filter(|binding| binding.protocol == *protocol)
                .flat_map(|binding| &binding.schemas)
                .find(|(name, _)| name == member);
            if let Some((_, id)) = schema {
                let node = &doc[*id].node;
                let site = self.shaper.site_of(
                    *id,
                    &format!("{name}{}{}", pascal(protocol), pascal(field)),
                    format!("Field `{field}` of the {protocol} bindings of message `{}`.", message.key),
                );
                let wire = (*field).to_owned();
                bindings.push(Part { wire, protocol: Some(*protocol), node, site, required: false });
            }
        }
        Draft { message, name, codec, payload, headers, bindings }
    }

    fn header_parts(&mut self, id: Id<Schema>, name: &str) -> Vec<Part<'d>> {
        let doc = self.doc;
        let Some(object) = self.shaper.object(&[&doc[id].node]) else {
            self.shaper.diagnostics.push(
                Diagnostic::warning(
                    codes::HEADERS_NO_OBJECT,
                    doc[id].node.span,
                    "headers must be an object, so these are not typed",
                )
                .help("give the schema `type: object` and `properties`"),
            );
            return Vec::new();
        };
        object
            .properties
            .iter()
            .filter_map(|(wire, nodes)| {
                let node = nodes.first().copied()?;
                let site =
                    self.shaper.site(node, &format!("{name}{}", pascal(wire)), format!("Header `{wire}`."));
                let required = object.required.contains(wire);
                Some(Part { wire: (*wire).to_owned(), protocol: None, node, site, required })
            })
            .collect()
    }

    /// The message, now that its types are known.
    pub(super) fn message(&mut self, draft: &Draft<'d>, types: &Types) -> ir::Message {
        let message = draft.message;
        let payload = match (&draft.payload, draft.codec) {
            (Some((Some(site), node)), _) => {
                let ty = types.site(*site);
                let rules = types.prune(rules(&self.shaper, node, &ty), &ty);
                Some(ir::Payload { codec: ir::Codec::Json, ty, rules })
            }
            (Some((None, node)), ir::Codec::Text) => {
                let rules = rules(&self.shaper, node, &ir::Ty::String);
                Some(ir::Payload { codec: ir::Codec::Text, ty: ir::Ty::String, rules })
            }
            (Some(_), _) | (None, ir::Codec::Raw) => {
                Some(ir::Payload { codec: ir::Codec::Raw, ty: ir::Ty::Bytes, rules: Vec::new() })
            }
            (None, _) => None,
        };
        let headers =
            self.fields(&draft.headers, &format!("{}Headers", draft.name), "Headers", &draft.name, types);
        let bindings =
            self.fields(&draft.bindings, &format!("{}Bindings", draft.name), "Bindings", &draft.name, types);
        let mut described = docs::lines(&message.docs, &format!("Message `{}`.", message.key));
        if draft.codec == ir::Codec::Raw && payload.is_some() {
            described.push(String::new());
            described.push("The payload is handed over as bytes: its format is not JSON.".to_owned());
        }
        let correlation =
            message.correlation_id.as_deref().and_then(|text| self.location(text, message.span));
        ir::Message {
            correlation,
            key: message.key.clone(),
            name: draft.name.clone(),
            docs: described,
            content_type: content_type(message),
            says_type: false,
            payload,
            headers,
            bindings,
            info_bindings: message.bindings.iter().map(binding_json).collect(),
            examples: message
                .examples
                .iter()
                .map(|example| ir::Example {
                    name: example.name.clone().unwrap_or_default(),
                    headers: example.headers.as_ref().map_or_else(|| json!({}), Node::to_json),
                    payload: example.payload.as_ref().map(Node::to_json),
                })
                .collect(),
        }
    }

    fn fields(
        &mut self,
        parts: &[Part<'d>],
        name: &str,
        what: &str,
        message: &str,
        types: &Types,
    ) -> Option<ir::Fields> {
        if parts.is_empty() {
            return None;
        }
        let name = self.names.type_name(name, "Type").name;
        let mut names = Namer::members();
        let fields = parts
            .iter()
            .map(|part| {
                let ty = match types.site(part.site) {
                    ir::Ty::Option(inner) => *inner,
                    ty => ty,
                };
                let default = if part.required { None } else { default_of(&self.shaper, part.node) };
                let default = default.filter(|default| types.takes(&ty, default));
                let optional = !part.required && default.is_none();
                let rules = types.prune(rules(&self.shaper, part.node, &ty), &ty);
                let field = match part.protocol {
                    Some(protocol) => format!("{protocol}_{}", part.wire),
                    None => part.wire.clone(),
                };
                let fallback = match part.protocol {
                    Some(protocol) => format!("Field `{}` of the {protocol} bindings.", part.wire),
                    None => format!("Header `{}`.", part.wire),
                };
                ir::WireField {
                    field: names.member(&field).name,
                    protocol: part.protocol.map(str::to_owned),
                    scalar: types.scalar(&ty),
                    ty: if optional { ir::Ty::Option(Box::new(ty)) } else { ty },
                    default,
                    rules,
                    docs: docs::lines(&property_docs(&self.shaper, part.node), &fallback),
                    wire: part.wire.clone(),
                }
            })
            .collect();
        Some(ir::Fields { name, docs: vec![format!("{what} of [`{message}`].")], fields })
    }
}

fn content_type(message: &Message) -> String {
    message.content_type.clone().unwrap_or_else(|| "application/json".to_owned())
}

/// JSON unless the content type says that it is not.
fn codec(content_type: &str) -> ir::Codec {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (kind, subtype) = essence.split_once('/').unwrap_or((&essence, ""));
    if subtype == "json" || subtype.ends_with("+json") || subtype.contains("json") || essence.is_empty() {
        ir::Codec::Json
    } else if kind == "text" {
        ir::Codec::Text
    } else {
        ir::Codec::Raw
    }
}

pub(super) fn binding_json(binding: &Binding) -> ir::Binding {
    ir::Binding { protocol: binding.protocol.clone(), json: binding.value.to_json().to_string() }
}

/// Binding members that are constant for a send: protocol, member in AsyncAPI, field in AMGI.
const PRESETS: &[(&str, &str, &str)] = &[
    ("mqtt", "qos", "qos"),
    ("mqtt", "retain", "retain"),
    ("mqtt", "messageExpiryInterval", "message_expiry_interval"),
    ("mqtt", "contentType", "content_type"),
    ("mqtt", "responseTopic", "response_topic"),
    ("mqtt", "payloadFormatIndicator", "payload_format_indicator"),
    ("amqp", "expiration", "expiration"),
    ("amqp", "userId", "user_id"),
    ("amqp", "priority", "priority"),
    ("amqp", "deliveryMode", "delivery_mode"),
    ("amqp", "contentEncoding", "content_encoding"),
    ("amqp", "messageType", "type"),
];

/// What these bindings set on every send; the first that sets a field wins.
pub(super) fn presets<'b>(bindings: impl IntoIterator<Item = &'b Binding>) -> Vec<ir::Preset> {
    let mut out: Vec<ir::Preset> = Vec::new();
    for binding in bindings {
        // `mqtt5` is the old spelling of the same protocol.
        let name = if binding.protocol == "mqtt5" { "mqtt" } else { &binding.protocol };
        for (protocol, member, field) in PRESETS.iter().filter(|(protocol, ..)| *protocol == name) {
            let value = match binding.value.get(member).map(Node::to_json) {
                Some(value @ (Json::Bool(_) | Json::String(_))) => value,
                Some(Json::Number(number)) if number.is_i64() => Json::Number(number),
                _ => continue,
            };
            if !out.iter().any(|preset| preset.protocol == *protocol && preset.field == *field) {
                out.push(ir::Preset { protocol: (*protocol).to_owned(), field: (*field).to_owned(), value });
            }
        }
    }
    out
}
