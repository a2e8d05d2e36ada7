//! Messages: their headers, and whether their examples fit the schemas. Code does not depend on examples, so what is
//! wrong with them is a warning.

use super::{Walk, instance};
use crate::{
    codes,
    diag::Diagnostic,
    node::{Node, Value},
    refs::reference,
    schema::{Dialect, dialect},
};

/// Checks a message of AsyncAPI 3, beyond its table.
pub(super) fn message(walk: &mut Walk<'_, '_>, node: &Node) {
    fit(walk, node, node.get("payload"));
    headers(walk, node);
}

/// Checks a message of AsyncAPI 2, where the format of the payload stands beside it.
pub(super) fn message_2(walk: &mut Walk<'_, '_>, node: &Node) {
    let format = node.get("schemaFormat").and_then(Node::as_str);
    let payload = node.get("payload");
    if let Some(payload) = payload {
        walk.schema_as(payload, "payload", format);
    }
    fit(
        walk,
        node,
        payload.filter(|_| {
            format.is_none_or(|f| matches!(dialect(f), Some(Dialect::AsyncApi | Dialect::JsonSchema)))
        }),
    );
    headers(walk, node);
}

/// Checks a message trait. It has no payload that its examples could be held against.
pub(super) fn message_trait(walk: &mut Walk<'_, '_>, node: &Node) {
    fit(walk, node, None);
    headers(walk, node);
}

/// An example shows headers, a payload, or both.
pub(super) fn example(walk: &mut Walk<'_, '_>, node: &Node) {
    if node.get("payload").is_none() && node.get("headers").is_none() {
        walk.push(
            Diagnostic::warning(
                codes::MISSING_FIELD,
                node.span,
                "a message example has neither `payload` nor `headers`",
            )
            .help("write the example under `payload: …`"),
        );
    }
}

fn fit(walk: &mut Walk<'_, '_>, message: &Node, payload: Option<&Node>) {
    let schemas = [("payload", payload), ("headers", message.get("headers"))];
    for example in message.get("examples").map_or(&[][..], Node::items) {
        for (field, schema) in schemas {
            if let (Some(schema), Some(value)) = (schema, example.get(field)) {
                walk.fit(
                    schema,
                    value,
                    codes::EXAMPLE_MISFIT,
                    &format!("this example does not fit the {field}"),
                );
            }
        }
    }
}

/// Headers are an object of headers.
fn headers(walk: &mut Walk<'_, '_>, message: &Node) {
    let Some(headers) = message.get("headers") else { return };
    let target = reference(headers).and_then(|text| walk.refs.resolve(text).ok());
    let schema = target.map_or(headers, |target| target.node);
    if let Some(kind) = schema.get("type")
        && kind.as_str() != Some("object")
    {
        walk.push(
            Diagnostic::warning(
                codes::HEADERS_TYPE,
                kind.span,
                "headers are an object, with a property for each",
            )
            .help("write `type: object`, and each header under `properties`"),
        );
    }
}

impl Walk<'_, '_> {
    /// Reports where `value` does not fit `schema`.
    pub(super) fn fit(&mut self, schema: &Node, value: &Node, code: crate::diag::Code, what: &str) {
        if let Err(misfit) = instance::fit(self.refs, &mut self.patterns, schema, value) {
            let message = format!("{what}: {}", misfit.why);
            self.push(
                Diagnostic::warning(code, misfit.span, message)
                    .label(schema.span, "the schema")
                    .help("change the one or the other; code is generated from the schema"),
            );
        }
    }

    /// Reports what is wrong with the `default` and the `examples` of a schema.
    pub(super) fn samples(&mut self, schema: &Node) {
        if let Some(default) = schema.get("default") {
            self.fit(schema, default, codes::DEFAULT_MISFIT, "the default does not fit its schema");
        }
        if let Some(Node { value: Value::Array(examples), .. }) = schema.get("examples") {
            for example in examples {
                self.fit(schema, example, codes::EXAMPLE_MISFIT, "this example does not fit its schema");
            }
        }
    }
}
