//! What is read where a member is missing.

use std::collections::BTreeMap;

use amgi_asyncapi::node::Node;

use super::facts::Place;

/// As deep as defaults are looked for.
const DEEP: usize = 16;

/// Every `default` of a member, by its JSON Pointer; `*` stands for any element or member.
pub(in crate::diff) fn defaults(schema: Place<'_>) -> BTreeMap<String, &Node> {
    let mut out = BTreeMap::new();
    gather(schema, &mut String::new(), &mut Vec::new(), &mut out);
    out
}

fn gather<'d>(
    schema: Place<'d>,
    pointer: &mut String,
    path: &mut Vec<usize>,
    out: &mut BTreeMap<String, &'d Node>,
) {
    if path.len() > DEEP || path.contains(&schema.id()) {
        return;
    }
    path.push(schema.id());
    for part in schema.parts() {
        for (name, member) in part.map("properties") {
            let token = format!("/{}", name.replace('~', "~0").replace('/', "~1"));
            deeper(&token, member, pointer, path, out);
        }
        for each in [part.schema("items"), part.schema("additionalProperties")].into_iter().flatten() {
            deeper("/*", each, pointer, path, out);
        }
        for alternative in part.unions().flat_map(|union| union.alternatives) {
            gather(alternative, pointer, path, out);
        }
    }
    path.pop();
}

fn deeper<'d>(
    token: &str,
    schema: Place<'d>,
    pointer: &mut String,
    path: &mut Vec<usize>,
    out: &mut BTreeMap<String, &'d Node>,
) {
    let length = pointer.len();
    pointer.push_str(token);
    if let Some(default) = schema.get("default") {
        out.entry(pointer.clone()).or_insert(default);
    }
    gather(schema, pointer, path, out);
    pointer.truncate(length);
}
