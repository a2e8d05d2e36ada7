//! Messages: payload, headers, bindings and examples.

use amgi_asyncapi::{
    diag::Diagnostic,
    model::{Id, Message, Schema},
    node::Node,
};
use serde_json::json;

use super::{
    Lowering,
    bindings::{Described, binding_json, per_message, presets},
    bundle::bundle,
    exact,
    rules::rules,
    shape::Site,
    typedefs::{Types, default_of, is_secret, property_docs},
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
        for Described { protocol, field, schema } in per_message(doc, id) {
            let node = &doc[schema].node;
            let site = self.shaper.site_of(
                schema,
                &format!("{name}{}{}", pascal(protocol), pascal(field)),
                format!("Field `{field}` of the {protocol} bindings of message `{}`.", message.key),
            );
            let wire = field.to_owned();
            bindings.push(Part { wire, protocol: Some(protocol), node, site, required: false });
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
        let mut validated = None;
        let most_bytes = self.settings.payload_limit;
        let payload = match (&draft.payload, draft.codec) {
            (Some((Some(site), node)), _) => {
                let ty = types.site(*site);
                let rules = types.prune(rules(&self.shaper, node, &ty), &ty);
                let verdict = exact::verdict(&self.shaper, node);
                let schema =
                    verdict.reason.is_some().then(|| bundle(self.doc, node, self.shaper.asserts_formats()));
                let reread = schema.is_none() && verdict.exactly_one.is_some();
                if let Some((keyword, place)) = verdict.reason {
                    validated = Some(keyword);
                    self.shaper.diagnostics.push(
                        Diagnostic::info(
                            codes::SCHEMA_UNCHECKED,
                            place,
                            format!(
                                "a validator checks `{}`: its schema says more than types do (`{keyword}`)",
                                message.key
                            ),
                        )
                        .help("it needs the feature `validate` of `amgi`, which a generated Cargo.toml has"),
                    );
                }
                Some(ir::Payload { codec: ir::Codec::Json, ty, rules, schema, most_bytes, reread })
            }
            (Some((None, node)), ir::Codec::Text) => {
                let rules = rules(&self.shaper, node, &ir::Ty::String);
                Some(ir::Payload {
                    codec: ir::Codec::Text,
                    ty: ir::Ty::String,
                    rules,
                    schema: None,
                    most_bytes,
                    reread: false,
                })
            }
            (Some(_), _) | (None, ir::Codec::Raw) => Some(ir::Payload {
                codec: ir::Codec::Raw,
                ty: ir::Ty::Bytes,
                rules: Vec::new(),
                schema: None,
                most_bytes,
                reread: false,
            }),
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
        if let Some(keyword) = validated {
            described.push(String::new());
            described.push(format!(
                "The schema says more than types do (`{keyword}`), so a validator checks every payload: feature `validate` of `amgi`."
            ));
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
            presets: presets(self.doc, &message.bindings),
            info_bindings: message.bindings.iter().map(|b| binding_json(self.doc, b)).collect(),
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
                // What is sent here is not read again, so "exactly one" is not certain.
                let verdict = exact::verdict(&self.shaper, part.node);
                let one_of = verdict.exactly_one.map(|place| ("oneOf", place));
                if let Some((keyword, place)) = verdict.reason.or(one_of) {
                    self.shaper.diagnostics.push(
                        Diagnostic::warning(
                            codes::SCHEMA_UNCHECKED,
                            place,
                            format!(
                                "`{keyword}` is not checked here, so more is accepted than the schema allows"
                            ),
                        )
                        .help("check it in the handler, or say the same in other words"),
                    );
                }
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
                    secret: is_secret(&self.shaper, part.node),
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
    // `json` alone is no media type, but what some documents say.
    if subtype.contains("json") || essence == "json" || essence.is_empty() {
        ir::Codec::Json
    } else if kind == "text" {
        ir::Codec::Text
    } else {
        ir::Codec::Raw
    }
}

#[cfg(test)]
mod tests {
    use super::codec;
    use crate::ir::Codec;

    #[test]
    fn content_types_say_how_payloads_are_read() {
        for json in ["application/json", "application/cloudevents+json; charset=utf-8", "json", "JSON", ""] {
            assert_eq!(codec(json), Codec::Json, "{json}");
        }
        assert_eq!(codec("text/plain"), Codec::Text);
        for raw in ["avro/binary", "application/octet-stream", "jsonish"] {
            assert_eq!(codec(raw), Codec::Raw, "{raw}");
        }
    }
}
