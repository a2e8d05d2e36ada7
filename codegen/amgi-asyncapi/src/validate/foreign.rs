//! Tables: schemas in formats that are not AsyncAPI's own, Avro and OpenAPI 3.0. Only the form is looked at, so that what
//! other tools refuse is named here too; what cannot be meant is a warning, code treats such a payload as it does.

use super::{
    Walk,
    shape::{Field, Kind, Ty, kind, may, must},
};
use crate::{
    node::{Node, Value},
    schema::Dialect,
};

const PRIMITIVES: [&str; 8] = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"];

static AVRO: Kind = Kind {
    gentle: true,
    open: true,
    variants: &[
        ("record", &RECORD, 0),
        ("error", &RECORD, 0),
        ("enum", &ENUM, 0),
        ("array", &ARRAY, 0),
        ("map", &MAP, 0),
        ("fixed", &FIXED, 0),
        ("null", &PRIMITIVE, 0),
        ("boolean", &PRIMITIVE, 0),
        ("int", &PRIMITIVE, 0),
        ("long", &PRIMITIVE, 0),
        ("float", &PRIMITIVE, 0),
        ("double", &PRIMITIVE, 0),
        ("bytes", &PRIMITIVE, 0),
        ("string", &PRIMITIVE, 0),
    ],
    ..kind("an Avro schema", &[must("type", Ty::Any)])
};

const fn avro(name: &'static str, fields: &'static [Field]) -> Kind {
    Kind { open: true, may_refer: false, ..kind(name, fields) }
}

static PRIMITIVE: Kind = avro("an Avro type", &[]);

static RECORD: Kind = avro(
    "an Avro record",
    &[
        must("name", Ty::AvroName),
        may("namespace", Ty::Text),
        may("doc", Ty::Text),
        may("aliases", Ty::Texts),
        must("fields", Ty::Objects(&FIELD)),
    ],
);

static FIELD: Kind = avro(
    "a field of an Avro record",
    &[
        must("name", Ty::AvroName),
        must("type", Ty::Avro),
        may("doc", Ty::Text),
        may("order", Ty::Choice(&["ascending", "descending", "ignore"])),
        may("aliases", Ty::Texts),
    ],
);

static ENUM: Kind = avro(
    "an Avro enum",
    &[
        must("name", Ty::AvroName),
        may("namespace", Ty::Text),
        may("doc", Ty::Text),
        may("aliases", Ty::Texts),
        must("symbols", Ty::DistinctTexts),
    ],
);

static ARRAY: Kind = avro("an Avro array", &[must("items", Ty::Avro)]);
static MAP: Kind = avro("an Avro map", &[must("values", Ty::Avro)]);
static FIXED: Kind = avro("an Avro fixed", &[must("name", Ty::AvroName), must("size", Ty::Number)]);

/// A Schema Object of OpenAPI 3.0.
static OPEN_API: Kind = Kind {
    gentle: true,
    ..kind(
        "a schema of OpenAPI 3.0",
        &[
            may("title", Ty::Text),
            may("multipleOf", Ty::Number),
            may("maximum", Ty::Number),
            may("exclusiveMaximum", Ty::Bool),
            may("minimum", Ty::Number),
            may("exclusiveMinimum", Ty::Bool),
            may("maxLength", Ty::Number),
            may("minLength", Ty::Number),
            may("pattern", Ty::Text),
            may("maxItems", Ty::Number),
            may("minItems", Ty::Number),
            may("uniqueItems", Ty::Bool),
            may("maxProperties", Ty::Number),
            may("minProperties", Ty::Number),
            may("required", Ty::DistinctTexts),
            may("enum", Ty::List),
            may("type", Ty::Choice(&["array", "boolean", "integer", "number", "object", "string"])),
            may("not", Ty::Object(&OPEN_API)),
            may("allOf", Ty::Objects(&OPEN_API)),
            may("oneOf", Ty::Objects(&OPEN_API)),
            may("anyOf", Ty::Objects(&OPEN_API)),
            may("items", Ty::Object(&OPEN_API)),
            may("properties", Ty::Map(&OPEN_API)),
            may("additionalProperties", Ty::BoolOr(&OPEN_API)),
            may("description", Ty::Text),
            may("format", Ty::Text),
            may("default", Ty::Any),
            may("nullable", Ty::Bool),
            may("discriminator", Ty::Object(&DISCRIMINATOR)),
            may("readOnly", Ty::Bool),
            may("writeOnly", Ty::Bool),
            may("example", Ty::Any),
            may("externalDocs", Ty::Object(&OPEN_API_DOCS)),
            may("deprecated", Ty::Bool),
            may("xml", Ty::Object(&XML)),
        ],
    )
};

static DISCRIMINATOR: Kind = Kind {
    open: true,
    ..kind("`discriminator`", &[must("propertyName", Ty::Text), may("mapping", Ty::Texted)])
};

static OPEN_API_DOCS: Kind = kind("`externalDocs`", &[must("url", Ty::Text), may("description", Ty::Text)]);

static XML: Kind = kind(
    "`xml`",
    &[
        may("name", Ty::Text),
        may("namespace", Ty::Uri),
        may("prefix", Ty::Text),
        may("attribute", Ty::Bool),
        may("wrapped", Ty::Bool),
    ],
);

/// Whether this is a schema in a format that is not read.
pub(super) fn is_foreign(kind: &'static Kind) -> bool {
    [&AVRO, &OPEN_API].into_iter().any(|foreign| std::ptr::eq(kind, foreign))
}

impl Walk<'_, '_> {
    /// Checks a schema that is none of JSON Schema.
    pub(super) fn foreign(&mut self, node: &Node, key: &str, dialect: Option<Dialect>, format: &str) {
        let media_type = format.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match media_type.trim_end_matches("+json").trim_end_matches("+yaml") {
            _ if dialect == Some(Dialect::OpenApi) => self.object(node, &OPEN_API),
            "application/vnd.apache.avro" => self.avro(node, key),
            "application/vnd.google.protobuf" => {
                self.expect(node, key, "a string, the text of a `.proto` file", node.as_str().is_some());
            }
            _ => {}
        }
    }

    /// An Avro schema: a name, a union of several, or an object.
    pub(super) fn avro(&mut self, node: &Node, key: &str) {
        match &node.value {
            Value::String(name) if PRIMITIVES.contains(&name.as_str()) => {}
            Value::String(_) => self.form(
                node,
                key,
                "the name of an Avro type",
                "names have letters, digits and `_`, with dots between them",
                |text| text.split('.').all(super::format::name),
            ),
            Value::Array(items) => items.iter().for_each(|item| self.avro(item, key)),
            _ => self.object(node, &AVRO),
        }
    }
}
