//! Documents changed at random, always the same for the same seed.
//!
//! Most changes know what a document is made of: nodes are dropped, copied and moved, references retargeted, keys renamed,
//! keywords of schemas put where they do not belong, schemas led back to themselves. Some change bytes and know nothing.

use fastrand::Rng;

use crate::tree::Tree;

/// Texts that are names somewhere, and trouble elsewhere.
const TEXTS: &[&str] = &[
    "",
    " ",
    "/",
    "//",
    "#",
    "#/",
    "~",
    "~0~1",
    "$ref",
    "$message.header#/x",
    "$message.payload#/a/b",
    "$message.header#",
    "type",
    "Self",
    "self",
    "crate",
    "super",
    "fn",
    "r#type",
    "_",
    "__",
    "0",
    "1st",
    "-1",
    "é",
    "日本語",
    "ß",
    "İ",
    "\u{0}",
    "\n",
    "\u{202e}rtl",
    "\u{feff}",
    "🦀",
    "a b",
    "a-b",
    "a_b",
    "aB",
    "AB",
    "Error",
    "Result",
    "Option",
    "Value",
    "String",
    "Vec",
    "Box",
    "Some",
    "None",
    "Ok",
    "Sender",
    "Handlers",
    "App",
    "Context",
    "types",
    "wire",
    "Addresses",
    "{",
    "}",
    "{}",
    "{a}",
    "{a}{b}",
    "{a}/{a}",
    "a{b",
    "user/{userId}/x",
    "*",
    "+",
    ">",
    "<script>",
    "\"",
    "\\",
    "`",
    "*/",
    "/*",
    "'",
    "%25",
    "true",
    "null",
    "NaN",
    "object",
    "string",
    "integer",
    "number",
    "array",
    "boolean",
    "(",
    "[a-",
    "^(a+)+$",
    "\\p{L}",
    "(?<=x)y",
    "date-time",
    "receive",
    "send",
    "2.6.0",
    "3.0.0",
    "3.1.0",
    "4.0.0",
    "2.0.0-rc2",
    "application/json",
    "text/plain",
    "avro/binary",
    "application/vnd.apache.avro;version=1.9.0",
    "application/vnd.oai.openapi;version=3.0.0",
    "http://json-schema.org/draft-07/schema#",
];

/// Numbers at the edges of types.
const NUMBERS: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "0.1",
    "1e400",
    "-1e400",
    "1e-400",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775808",
    "-9223372036854775809",
    "9007199254740993",
    "4294967296",
    "2147483648",
    "123456789012345678901234567890",
    "1e19",
    "255",
    "0.30000000000000004",
];

/// Keys that mean something in a document or a schema.
const KEYS: &[&str] = &[
    "type",
    "properties",
    "required",
    "items",
    "additionalProperties",
    "patternProperties",
    "allOf",
    "oneOf",
    "anyOf",
    "not",
    "if",
    "then",
    "else",
    "enum",
    "const",
    "default",
    "format",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "uniqueItems",
    "discriminator",
    "nullable",
    "prefixItems",
    "contains",
    "propertyNames",
    "$ref",
    "$id",
    "$schema",
    "definitions",
    "title",
    "description",
    "examples",
    "x-rust-name",
    "x-amgi-dead-letter",
    "channels",
    "operations",
    "components",
    "messages",
    "schemas",
    "message",
    "payload",
    "headers",
    "contentType",
    "schemaFormat",
    "schema",
    "traits",
    "reply",
    "address",
    "location",
    "channel",
    "action",
    "parameters",
    "bindings",
    "kafka",
    "mqtt",
    "key",
    "qos",
    "servers",
    "host",
    "url",
    "protocol",
    "variables",
    "correlationId",
    "publish",
    "subscribe",
    "operationId",
    "messageId",
    "name",
    "info",
    "version",
    "tags",
    "security",
    "externalDocs",
    "asyncapi",
    "defaultContentType",
    "<<",
];

/// A random change of a document. `text` is its source, `tree` what that says, `other` another document to take from.
pub fn mutate(text: &str, tree: &Tree, other: &Tree, rng: &mut Rng) -> String {
    if rng.u8(..8) == 0 {
        return bytes(text, rng);
    }
    let mut tree = tree.clone();
    let mut pointers = Vec::new();
    collect(&tree, "#", &mut pointers);
    let schemas: Vec<&String> = pointers
        .iter()
        .filter(|at| ["/schemas/", "/payload", "/headers/"].iter().any(|part| at.contains(part)))
        .collect();
    for _ in 0..rng.usize(1..4) {
        // Half of the changes are to schemas: most documents survive them.
        let start =
            if schemas.is_empty() || rng.bool() { "#" } else { schemas[rng.usize(..schemas.len())].as_str() };
        if !schemas.is_empty() && rng.u8(..6) == 0 {
            lead_back(&mut tree, &schemas, rng);
        } else {
            change(&mut tree, start, other, &pointers, rng);
        }
    }
    let out = tree.json();
    if rng.u8(..20) == 0 { bytes(&out, rng) } else { out }
}

fn bytes(text: &str, rng: &mut Rng) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for _ in 0..rng.usize(1..8) {
        let at = rng.usize(..=bytes.len());
        let end = (at + rng.usize(..20)).min(bytes.len());
        match rng.u8(..6) {
            0 => drop(bytes.drain(at..end)),
            1 => {
                let copy = bytes[at..end].to_vec();
                let to = rng.usize(..=bytes.len());
                bytes.splice(to..to, copy);
            }
            2 => drop(bytes.splice(at..at, [rng.u8(..)])),
            3 if at < bytes.len() => bytes[at] = b" \n:-{}[],&*!|>'\"%@`#?\t<0"[rng.usize(..24)],
            4 => drop(bytes.splice(at..end, pick(TEXTS, rng).bytes())),
            _ => bytes.truncate(bytes.len() - rng.usize(..=bytes.len().min(200))),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn pick<'a>(list: &[&'a str], rng: &mut Rng) -> &'a str {
    list[rng.usize(..list.len())]
}

/// References to every node, up to a number that is enough to choose from.
fn collect(tree: &Tree, at: &str, out: &mut Vec<String>) {
    if out.len() > 5000 {
        return;
    }
    out.push(at.to_owned());
    for (key, value) in tree.entries() {
        collect(value, &format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), out);
    }
    for (index, item) in tree.items().iter().enumerate() {
        collect(item, &format!("{at}/{index}"), out);
    }
}

/// The node that a reference names, or the last on the way to it that is still there.
fn at<'t>(mut tree: &'t mut Tree, pointer: &str) -> &'t mut Tree {
    for token in pointer.split('/').skip(1).map(|token| token.replace("~1", "/").replace("~0", "~")) {
        let index = match &*tree {
            Tree::Map(entries) => entries.iter().position(|(key, _)| *key == token),
            Tree::List(items) => token.parse().ok().filter(|index| *index < items.len()),
            _ => None,
        };
        tree = match (tree, index) {
            (Tree::Map(entries), Some(index)) => &mut entries[index].1,
            (Tree::List(items), Some(index)) => &mut items[index],
            (tree, _) => return tree,
        };
    }
    tree
}

/// A node at random; every level is as likely to be where it stops as to be passed.
fn node<'t>(mut tree: &'t mut Tree, rng: &mut Rng) -> &'t mut Tree {
    loop {
        let count = tree.entries().len().max(tree.items().len());
        if count == 0 || rng.u8(..8) == 0 {
            return tree;
        }
        let index = rng.usize(..count);
        tree = match tree {
            Tree::Map(entries) => &mut entries[index].1,
            Tree::List(items) => &mut items[index],
            leaf => return leaf,
        };
    }
}

fn any(rng: &mut Rng) -> Tree {
    match rng.u8(..9) {
        0 => Tree::Null,
        1 => Tree::Bool(rng.bool()),
        2 | 3 => Tree::Number(pick(NUMBERS, rng).to_owned()),
        4 => Tree::List((0..rng.usize(..4)).map(|_| any(rng)).collect()),
        5 => Tree::Map((0..rng.usize(..4)).map(|_| (key(rng), any(rng))).collect()),
        _ => Tree::Text(pick(TEXTS, rng).to_owned()),
    }
}

fn key(rng: &mut Rng) -> String {
    if rng.bool() { pick(KEYS, rng).to_owned() } else { pick(TEXTS, rng).to_owned() }
}

fn reference(pointers: &[String], rng: &mut Rng) -> Tree {
    let text = match rng.u8(..8) {
        0 => format!(
            "other.yaml{}",
            pick(&["", "#", "#/components/schemas/A", "#/channels", "#/components"], rng)
        ),
        1 => pick(TEXTS, rng).to_owned(),
        2 => format!("{}/{}", pointers[rng.usize(..pointers.len())], pick(KEYS, rng)),
        _ => pointers[rng.usize(..pointers.len())].clone(),
    };
    Tree::Map(vec![("$ref".to_owned(), Tree::Text(text))])
}

/// Has one or two schemas lead back to themselves, or to each other, through a few keywords.
fn lead_back(tree: &mut Tree, schemas: &[&String], rng: &mut Rng) {
    let chosen: Vec<&str> =
        (0..rng.usize(1..3)).map(|_| schemas[rng.usize(..schemas.len())].as_str()).collect();
    for _ in 0..rng.usize(1..4) {
        let at_one = chosen[rng.usize(..chosen.len())];
        let schema = leading_to(&chosen, rng.usize(1..4), rng);
        let target = at(tree, at_one);
        let Tree::Map(entries) = target else {
            *target = schema;
            continue;
        };
        let (key, value) = match rng.u8(..4) {
            0 => ("properties", Tree::Map(vec![(pick(&["a", "b", "c"], rng).to_owned(), schema)])),
            1 => (pick(&["items", "additionalProperties", "not"], rng), schema),
            _ => (pick(&["allOf", "anyOf", "oneOf"], rng), Tree::List(vec![schema])),
        };
        // What is there stays; a key that stands twice would end it all.
        match (entries.iter_mut().find(|(name, _)| name == key), value) {
            (None, value) => entries.push((key.to_owned(), value)),
            (Some((_, Tree::List(old))), Tree::List(new)) => old.extend(new),
            (Some((_, Tree::Map(old))), Tree::Map(new)) if key == "properties" => {
                old.retain(|(name, _)| new.iter().all(|(other, _)| other != name));
                old.extend(new);
            }
            (Some((_, old)), new) => *old = new,
        }
    }
}

/// A schema that leads to one of these, so many keywords further.
fn leading_to(chosen: &[&str], levels: usize, rng: &mut Rng) -> Tree {
    let to = chosen[rng.usize(..chosen.len())].to_owned();
    let mut schema = Tree::Map(vec![("$ref".to_owned(), Tree::Text(to))]);
    for _ in 0..levels {
        let marked = |name: &str| {
            let text = Tree::Map(vec![("type".to_owned(), Tree::Text("string".to_owned()))]);
            Tree::Map(vec![
                ("type".to_owned(), Tree::Text("object".to_owned())),
                ("required".to_owned(), Tree::List(vec![Tree::Text(name.to_owned())])),
                ("properties".to_owned(), Tree::Map(vec![(name.to_owned(), text)])),
            ])
        };
        let alternatives = |rng: &mut Rng| {
            let keyword = pick(&["anyOf", "oneOf"], rng).to_owned();
            Tree::Map(vec![(keyword, Tree::List(vec![marked("x"), marked("y")]))])
        };
        let (key, value) = match rng.u8(..8) {
            0 => ("properties", Tree::Map(vec![(pick(&["a", "b", "c"], rng).to_owned(), schema)])),
            1 => (pick(&["items", "additionalProperties"], rng), schema),
            2 => (pick(&["not", "if", "contains", "propertyNames"], rng), schema),
            3 => ("allOf", Tree::List(vec![schema, alternatives(rng)])),
            4 => ("allOf", Tree::List(vec![schema, marked("x")])),
            5 => ("allOf", Tree::List(vec![schema])),
            _ => (pick(&["anyOf", "oneOf"], rng), Tree::List(vec![schema, marked("y")])),
        };
        schema = Tree::Map(vec![(key.to_owned(), value)]);
    }
    schema
}

fn change(tree: &mut Tree, start: &str, other: &Tree, pointers: &[String], rng: &mut Rng) {
    let choice = rng.u8(..14);
    let donor = if rng.bool() { tree.clone() } else { other.clone() };
    let target = node(at(tree, start), rng);
    match (choice, &mut *target) {
        (0 | 1, Tree::Map(entries)) if !entries.is_empty() => {
            entries.remove(rng.usize(..entries.len()));
        }
        (0 | 1, Tree::List(items)) if !items.is_empty() => {
            items.remove(rng.usize(..items.len()));
        }
        (2, Tree::Map(entries)) if !entries.is_empty() => {
            let (name, value) = entries[rng.usize(..entries.len())].clone();
            // The same key twice is not allowed, a similar one is.
            let name = match rng.u8(..8) {
                0 => name,
                1 => name.to_uppercase(),
                2 => name.replace(['_', '-', ' '], ""),
                3 => format!("{name}-"),
                _ => key(rng),
            };
            entries.push((name, value));
        }
        (2, Tree::List(items)) if !items.is_empty() => {
            let item = items[rng.usize(..items.len())].clone();
            items.push(item);
        }
        (3, Tree::Map(entries)) if !entries.is_empty() => {
            let index = rng.usize(..entries.len());
            entries[index].0 = key(rng);
        }
        (4 | 5, Tree::Map(entries)) => entries.push((pick(KEYS, rng).to_owned(), any(rng))),
        (6, Tree::Map(entries)) => entries.push((pick(KEYS, rng).to_owned(), reference(pointers, rng))),
        (7, target) => {
            let most = if rng.u8(..10) == 0 { 400 } else { 6 };
            for _ in 0..rng.usize(1..most) {
                let inner = std::mem::replace(target, Tree::Null);
                *target = match rng.u8(..4) {
                    0 => Tree::List(vec![inner]),
                    1 => Tree::Map(vec![("items".to_owned(), inner)]),
                    2 => Tree::Map(vec![("properties".to_owned(), Tree::Map(vec![("a".to_owned(), inner)]))]),
                    _ => Tree::Map(vec![(
                        pick(&["allOf", "oneOf", "anyOf"], rng).to_owned(),
                        Tree::List(vec![inner]),
                    )]),
                };
            }
        }
        (8 | 9, target) => {
            let mut donor = donor;
            *target = node(&mut donor, rng).clone();
        }
        (10, Tree::Text(text)) => text.push_str(pick(TEXTS, rng)),
        (11 | 12, target) => *target = reference(pointers, rng),
        (_, target) => *target = any(rng),
    }
}

/// As JSON, which is YAML too. Numbers are written as they are, keys may stand twice.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_document() {
        let text = "a: {b: [1, 2, {c: x}], d: {e: f}}";
        let tree = Tree::read(text).expect("YAML");
        let all = |seed: u64| {
            (0..50).map(|n| mutate(text, &tree, &tree, &mut Rng::with_seed(seed + n))).collect::<Vec<_>>()
        };
        assert_eq!(all(1), all(1));
        assert_ne!(all(1), all(100));
    }
}
