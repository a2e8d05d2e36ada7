//! Addresses and hosts with their `{parameters}`, and the outer form of bindings.

use std::collections::HashSet;

use crate::{
    codes,
    diag::{Diagnostic, Diagnostics, Severity, Span, nearest},
    node::{Entry, Node, Value},
    refs::reference,
};

use super::format;

/// Parameters of a channel's address are those that are defined.
pub(super) fn channel(node: &Node, diags: &mut Diagnostics) {
    let defined = names(node, "parameters");
    let Some((address, span)) = text(node, "address") else {
        for (name, span) in defined {
            diags.push(
                Diagnostic::warning(
                    codes::PARAMETER_UNUSED,
                    span,
                    format!("there is no address with `{{{name}}}`"),
                )
                .help("the key of a channel is not its address; add `address: '…'`"),
            );
        }
        return;
    };
    parameters(address, span, &defined, diags);
    query(address, span, diags);
}

/// The same where the address is the key: a member of `channels` in AsyncAPI 2.
pub(super) fn item(entry: &Entry, diags: &mut Diagnostics) {
    // The parameters of a channel that is described elsewhere are there.
    if reference(&entry.value).is_some() {
        let operations = ["publish", "subscribe"].iter().filter_map(|field| entry.value.entry(field));
        for operation in operations {
            let message =
                format!("`{}` beside `$ref` is not read, so this operation is missing", operation.key);
            diags.push(
                Diagnostic::warning(codes::REF_OPERATION, operation.key_span, message)
                    .help("move it to the channel that `$ref` names"),
            );
        }
        return;
    }
    parameters(&entry.key, entry.key_span, &names(&entry.value, "parameters"), diags);
    if entry.key.is_empty() {
        let message = "a channel without an address";
        diags.push(
            Diagnostic::warning(codes::ADDRESS_FORM, entry.key_span, message)
                .help("in AsyncAPI 2 the key of a channel is its address"),
        );
    } else if !format::uri_template(&entry.key) {
        diags.push(
            Diagnostic::warning(
                codes::ADDRESS_FORM,
                entry.key_span,
                format!("`{}` is no URI template, which an address of AsyncAPI 2 must be", entry.key),
            )
            .help("parameters have names of letters, digits and `_`; write other characters as `%20` and the like"),
        );
    }
    query(&entry.key, entry.key_span, diags);
}

/// An address has no query and no fragment, bindings do.
fn query(text: &str, span: Span, diags: &mut Diagnostics) {
    // `{?x}` is an expression.
    let mut outside = text
        .split('{')
        .enumerate()
        .map(|(i, t)| if i == 0 { t } else { t.split_once('}').map_or(t, |s| s.1) });
    if outside.any(|part| part.contains(['?', '#'])) {
        let message = format!("`{text}` has a query or a fragment, which an address cannot have");
        diags.push(
            Diagnostic::warning(codes::ADDRESS_QUERY, span, message)
                .help("say it in the bindings, as `query` of `ws` for instance"),
        );
    }
}

/// What the root of AsyncAPI 3 asks of its members: its operations lead to its channels.
pub(super) fn places(root: &Node, diags: &mut Diagnostics) {
    for operation in root.get("operations").map_or(&[][..], Node::entries) {
        let reply = operation.value.get("reply");
        for text in
            [Some(&operation.value), reply].into_iter().flatten().filter_map(|o| reference(o.get("channel")?))
        {
            if text.as_str().is_some_and(|text| !text.contains("#/channels/")) {
                let message = "an operation of the root must name a channel of the root";
                diags.push(
                    Diagnostic::warning(codes::OPERATION_CHANNEL, text.span, message)
                        .help("write `#/channels/…`; what stands there may be a reference itself"),
                );
            }
        }
    }
    for channel in root.get("channels").map_or(&[][..], Node::entries) {
        query(&channel.key, channel.key_span, diags);
    }
}

fn parameters(address: &str, span: Span, defined: &[(&str, Span)], diags: &mut Diagnostics) {
    let used = braces(address, span, diags);
    let known: HashSet<&str> = defined.iter().map(|(name, _)| *name).collect();
    for name in used.iter().filter(|name| !known.contains(*name)) {
        let diagnostic = Diagnostic::warning(
            codes::PARAMETER_UNDEFINED,
            span,
            format!("the address has `{{{name}}}`, which `parameters` does not define"),
        );
        let near = nearest(name, defined.iter().map(|(d, _)| *d));
        let near = near
            .map_or(format!("add `{name}: {{}}` to `parameters`"), |n| format!("did you mean `{{{n}}}`?"));
        diags.push(diagnostic.help(near));
    }
    let known: HashSet<&str> = used.into_iter().collect();
    for (name, span) in defined.iter().filter(|(name, _)| !known.contains(name)) {
        diags.push(
            Diagnostic::warning(codes::PARAMETER_UNUSED, *span, format!("the address has no `{{{name}}}`"))
                .help("remove the parameter, or write it into the address"),
        );
    }
}

/// Variables of a server's host and path are those that are defined.
pub(super) fn server(node: &Node, diags: &mut Diagnostics) {
    variables(node, &["host", "pathname"], diags);
}

/// The same for AsyncAPI 2.
pub(super) fn server_url(node: &Node, diags: &mut Diagnostics) {
    variables(node, &["url"], diags);
}

fn variables(node: &Node, fields: &[&str], diags: &mut Diagnostics) {
    let defined = names(node, "variables");
    let mut used = HashSet::new();
    for (text, span) in fields.iter().filter_map(|field| text(node, field)) {
        for name in braces(text, span, diags) {
            used.insert(name);
            if !defined.iter().any(|(d, _)| *d == name) {
                diags.push(
                    Diagnostic::warning(
                        codes::VARIABLE_UNDEFINED,
                        span,
                        format!("`variables` does not define `{{{name}}}`"),
                    )
                    .help(format!("add `{name}: {{default: …}}` to `variables`")),
                );
            }
        }
    }
    for (name, span) in defined.iter().filter(|(name, _)| !used.contains(name)) {
        let message = format!("nothing in the address of the server is `{{{name}}}`");
        diags.push(
            Diagnostic::warning(codes::VARIABLE_UNUSED, *span, message)
                .help("remove the variable, or write it into the address"),
        );
    }
}

/// A value outside the allowed ones can never be used.
pub(super) fn choices(node: &Node, diags: &mut Diagnostics) {
    let allowed = node.get("enum").map_or(&[][..], Node::items);
    if let Some((default, span)) = text(node, "default")
        && !allowed.is_empty()
        && !allowed.iter().any(|v| v.as_str() == Some(default))
    {
        let message = format!("the default `{default}` is not one of the values in `enum`");
        diags.push(Diagnostic::warning(codes::DEFAULT_NOT_ALLOWED, span, message));
    }
    location(node, diags);
}

/// `location` is a runtime expression.
pub(super) fn location(node: &Node, diags: &mut Diagnostics) {
    let Some((location, span)) = text(node, "location") else { return };
    let pointer =
        ["$message.header#", "$message.payload#"].iter().find_map(|prefix| location.strip_prefix(prefix));
    if !pointer.is_some_and(|p| p.is_empty() || p.starts_with('/')) {
        let mut diagnostic = Diagnostic::error(
            codes::RUNTIME_EXPRESSION,
            span,
            format!("`{location}` is no runtime expression"),
        )
        .help("write `$message.header#/name` or `$message.payload#/path/to/it`");
        // Tools let a pointer without its slash pass.
        if pointer.is_some() {
            diagnostic.severity = Severity::Warning;
        }
        diags.push(diagnostic);
    }
}

/// Protocols that may have bindings.
const PROTOCOLS: [&str; 20] = [
    "amqp",
    "amqp1",
    "anypointmq",
    "googlepubsub",
    "http",
    "ibmmq",
    "jms",
    "kafka",
    "mercure",
    "mqtt",
    "mqtt5",
    "nats",
    "pulsar",
    "redis",
    "ros2",
    "sns",
    "sqs",
    "solace",
    "stomp",
    "ws",
];

/// Each protocol's part is an object, and protocols are those of the specification where `at` is a kind of object of
/// AsyncAPI 3. What is no protocol is not read.
pub(super) fn bindings(node: &Node, at: &str, diags: &mut Diagnostics) {
    for entry in node.entries().iter().filter(|e| !e.key.starts_with("x-")) {
        let protocol = entry.key.as_str();
        if !at.is_empty() && !PROTOCOLS.contains(&protocol) {
            let message = format!("there is no binding `{protocol}` for {at}");
            let help = nearest(protocol, PROTOCOLS).map_or_else(
                || "it is not read; what other tools should pass over has a name with `x-`".to_string(),
                |near| format!("did you mean `{near}`?"),
            );
            diags.push(Diagnostic::warning(codes::BINDING_UNKNOWN, entry.key_span, message).help(help));
        }
        if !matches!(entry.value.value, Value::Object(_)) {
            let mut diagnostic =
                super::mismatch(&entry.value, &format!("the binding `{protocol}`"), "an object");
            if diagnostic.code == codes::TYPE_MISMATCH {
                diagnostic.severity = Severity::Warning;
            }
            diags.push(diagnostic);
        }
    }
}

fn text<'n>(node: &'n Node, field: &str) -> Option<(&'n str, Span)> {
    let value = node.get(field)?;
    Some((value.as_str()?, value.span))
}

fn names<'n>(node: &'n Node, field: &str) -> Vec<(&'n str, Span)> {
    let members =
        node.get(field).filter(|members| reference(members).is_none()).map_or(&[][..], Node::entries);
    members.iter().map(|e| (e.key.as_str(), e.key_span)).collect()
}

/// Names in braces, once each. Braces that do not pair are an error.
fn braces<'t>(text: &'t str, span: Span, diags: &mut Diagnostics) -> Vec<&'t str> {
    let mut names = Vec::new();
    let mut seen = HashSet::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        let inner = &rest[at + 1..];
        let end = inner
            .find(['{', '}'])
            .filter(|end| rest[at..].starts_with('{') && inner[*end..].starts_with('}'));
        let Some(end) = end else {
            diags.push(
                Diagnostic::error(codes::ADDRESS_BRACES, span, format!("braces in `{text}` do not pair"))
                    .help("a parameter is written `{name}`"),
            );
            return names;
        };
        let name = &inner[..end];
        if name.is_empty() {
            diags.push(Diagnostic::error(
                codes::ADDRESS_BRACES,
                span,
                format!("`{{}}` in `{text}` has no name"),
            ));
        } else if seen.insert(name) {
            names.push(name);
        }
        rest = &inner[end + 1..];
    }
    names
}
