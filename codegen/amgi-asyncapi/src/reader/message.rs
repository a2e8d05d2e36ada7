//! Messages and bindings.

use super::{Reader, extensions, is_object, text};
use crate::{
    bindings::is_schema,
    codes,
    diag::Diagnostic,
    model::{Binding, Id, Message, MessageExample, Schema},
    node::{Entry, Node, Value},
    refs::{Place, Target, cycle, reference},
};

/// Nodes that resolving the references inside one binding may produce.
const MAX_BINDING: usize = 10_000;

impl<'a> Reader<'a, '_> {
    /// The message at `target`, read once however often it is named. Its key is the last one on the way there, unless
    /// `key` is another.
    pub(crate) fn message(&mut self, target: Target<'a>, key: Option<String>) -> Id<Message> {
        if let Some(id) = self.messages.get(&target.place) {
            return *id;
        }
        let node = target.node;
        let payload = self.schema(&target, "payload");
        let headers = self.schema(&target, "headers");
        let correlation = self.member(&target, "correlationId");
        let message = Message {
            key: key.unwrap_or_else(|| self.key_of(&target)),
            name: text(node, "name"),
            docs: self.docs(&target),
            content_type: text(node, "contentType").or_else(|| self.document.default_content_type.clone()),
            payload,
            headers,
            correlation_id: correlation.and_then(|t| text(t.node, "location")),
            bindings: self.bindings(&target),
            examples: self.elements(&target, "examples").iter().filter_map(example).collect(),
            extensions: extensions(node),
            span: target.key_span,
        };
        let id = Id::new(self.document.messages.len());
        self.document.messages.push(message);
        self.messages.insert(target.place, id);
        id
    }

    /// The last key on the way to a message. A file that is one has the key of the reference to it.
    fn key_of(&self, target: &Target<'a>) -> String {
        let keys = target.chain.iter().rev().filter_map(Place::last);
        let key = keys.into_iter().find(|key| key.parse::<usize>().is_err());
        key.unwrap_or_else(|| self.refs.stem(target.place.file)).to_string()
    }

    fn schema(&mut self, target: &Target<'a>, field: &str) -> Option<Id<Schema>> {
        let format = self.format_of(target.node, field);
        self.schemas.intern_as(target.node.get(field)?, target.place.child(field), format, self.diags)
    }

    /// The format of a payload where it stands beside it, as it does in AsyncAPI 2.
    pub(super) fn format_of(&self, message: &'a Node, field: &str) -> Option<&'a Node> {
        let format = message.get("schemaFormat").filter(|f| f.as_str().is_some())?;
        (field == "payload" && self.formats_beside).then_some(format)
    }

    pub(crate) fn bindings(&mut self, target: &Target<'a>) -> Vec<Binding> {
        let Some(parent) = self.member(target, "bindings") else { return Vec::new() };
        let mut bindings = Vec::new();
        for entry in parent.node.entries().iter().filter(|e| !e.key.starts_with("x-")) {
            let place = parent.place.child(&entry.key);
            let Some(binding) = self.follow(&entry.value, place, entry.key_span) else { continue };
            if is_object(binding.node) {
                bindings.push(self.binding(&entry.key, &binding));
            }
        }
        bindings
    }

    fn binding(&mut self, protocol: &str, target: &Target<'a>) -> Binding {
        let mut schemas = Vec::new();
        let mut members = Vec::new();
        let mut budget = MAX_BINDING;
        for Entry { key, key_span, value } in target.node.entries() {
            let schema = is_schema(protocol, key) && is_object(value);
            let value = if schema {
                let id = self.schemas.intern(value, target.place.child(key), self.diags);
                schemas.extend(id.map(|id| (key.clone(), id)));
                value.clone()
            } else {
                self.expand(value, &mut Vec::new(), &mut budget)
            };
            members.push(Entry { key: key.clone(), key_span: *key_span, value });
        }
        let value = Node { value: Value::Object(members), span: target.node.span };
        Binding { protocol: protocol.to_string(), value, schemas }
    }

    /// A copy without references. `trail` is the way here, so that a cycle is seen.
    fn expand(&mut self, node: &'a Node, trail: &mut Vec<Place>, budget: &mut usize) -> Node {
        let span = node.span;
        let nothing = Node { value: Value::Null, span };
        if *budget == 0 {
            self.diags.push(Diagnostic::error(
                codes::REF_LIMIT,
                span,
                "references in this binding multiply too much",
            ));
            return nothing;
        }
        *budget -= 1;
        if let Some(text) = reference(node) {
            let Some(found) = self.report(self.refs.resolve(text)) else { return nothing };
            if trail.contains(&found.place) {
                self.diags.push(cycle(text));
                return nothing;
            }
            trail.push(found.place);
            let value = self.expand(found.node, trail, budget);
            trail.pop();
            return value;
        }
        let value = match &node.value {
            Value::Array(items) => {
                Value::Array(items.iter().map(|i| self.expand(i, trail, budget)).collect())
            }
            Value::Object(entries) => {
                let entries = entries.iter().map(|e| Entry {
                    key: e.key.clone(),
                    key_span: e.key_span,
                    value: self.expand(&e.value, trail, budget),
                });
                Value::Object(entries.collect())
            }
            other => other.clone(),
        };
        Node { value, span }
    }
}

/// One with neither headers nor payload shows no message.
fn example(target: &Target<'_>) -> Option<MessageExample> {
    let node = target.node;
    let (headers, payload) = (node.get("headers"), node.get("payload"));
    (headers.is_some() || payload.is_some()).then(|| MessageExample {
        name: text(node, "name"),
        summary: text(node, "summary"),
        headers: headers.cloned(),
        payload: payload.cloned(),
        span: node.span,
    })
}
