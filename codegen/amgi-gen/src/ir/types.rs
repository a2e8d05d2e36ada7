//! The types of the module `types`, and the rules that go beyond a Rust type.

use serde::Serialize;

/// A type of the module `types`.
#[derive(Debug, Clone, Serialize)]
pub struct TypeDef {
    /// Type name.
    pub name: String,
    /// Documentation.
    pub docs: Vec<String>,
    /// What it is.
    pub kind: TypeKind,
    /// Whether it implements `Check`.
    pub checked: bool,
    /// What it derives beside what every type does, as paths.
    pub derives: Vec<String>,
    /// Attributes, as Rust writes them.
    pub attributes: Vec<String>,
}

/// Kinds of type.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum TypeKind {
    /// A struct with named fields.
    Struct {
        /// Fields in order of the document.
        fields: Vec<Field>,
        /// Whether other members are refused.
        closed: bool,
        /// Whether it has a `Default`.
        default: bool,
        /// Name of its builder, where it has one.
        builder: Option<String>,
    },
    /// An enum of strings.
    Strings {
        /// Variants.
        variants: Vec<StringVariant>,
    },
    /// An enum of alternatives, told apart by what fits.
    Union {
        /// Whether a value that fits a second one is refused, so that all are tried; else the first that fits is taken.
        exactly_one: bool,
        /// Variants.
        variants: Vec<Variant>,
    },
    /// A struct around one value, for what refers to itself without an object between.
    Newtype {
        /// The value.
        ty: Ty,
        /// Rules beyond the type.
        rules: Vec<Rule>,
    },
    /// Another name for a type that the document names with `x-rust-type`.
    Foreign {
        /// The type, as Rust writes it.
        ty: String,
        /// The format whose texts it is for, when it is not for a schema.
        format: Option<String>,
    },
}

/// A field of a struct.
#[derive(Debug, Clone, Serialize)]
pub struct Field {
    /// Member name on the wire; empty for the map of additional members.
    pub wire: String,
    /// Field name.
    pub name: String,
    /// Type.
    pub ty: Ty,
    /// Documentation.
    pub docs: Vec<String>,
    /// How a missing member is treated.
    pub missing: Missing,
    /// Whether null is a value, where the type is an `Option`.
    pub nullable: bool,
    /// Whether its value is shown to nobody: `format: password`, `x-sensitive`.
    pub secret: bool,
    /// Rules beyond the type.
    pub rules: Vec<Rule>,
}

/// What happens when a member is missing.
#[derive(Debug, Clone, Serialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// It is refused.
    Refused,
    /// The type's own empty value is taken, and not written.
    Empty,
    /// It is taken for null, and null is written.
    Null,
    /// This JSON value is taken.
    Value(serde_json::Value),
    /// The field holds all members that have no field.
    Flatten,
}

/// A variant of a string enum.
#[derive(Debug, Clone, Serialize)]
pub struct StringVariant {
    /// Variant name.
    pub name: String,
    /// Text on the wire.
    pub wire: String,
}

/// A variant of a union.
#[derive(Debug, Clone, Serialize)]
pub struct Variant {
    /// Variant name.
    pub name: String,
    /// Documentation.
    pub docs: Vec<String>,
    /// Type of what it holds.
    pub ty: Ty,
    /// Rules beyond the type.
    pub rules: Vec<Rule>,
}

/// A Rust type.
#[derive(Debug, Clone, Serialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum Ty {
    /// `String`
    String,
    /// `bool`
    Bool,
    /// A number type by name, such as `i64`.
    Number(String),
    /// A number of any size, with every digit.
    Exact,
    /// Any JSON.
    Json,
    /// Any JSON object.
    JsonObject,
    /// Bytes as they are.
    Bytes,
    /// `()`
    Unit,
    /// `Option<_>`
    Option(Box<Ty>),
    /// `Box<_>`
    Box(Box<Ty>),
    /// `Vec<_>`
    Vec(Box<Ty>),
    /// A map from strings.
    Map(Box<Ty>),
    /// `(_, _)`
    Tuple(Vec<Ty>),
    /// `[_; N]`
    Array(Box<Ty>, usize),
    /// A type of the module `types`.
    Named(String),
}

/// A rule beyond the type.
#[derive(Debug, Clone, Serialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// `minLength`, `maxLength`: code points.
    Length(usize, Option<usize>),
    /// `pattern`
    Pattern(String),
    /// `format`, one that the runtime checks.
    Format(String),
    /// `minimum`, and whether it is exclusive.
    Minimum(serde_json::Number, bool),
    /// `maximum`, and whether it is exclusive.
    Maximum(serde_json::Number, bool),
    /// `multipleOf`
    MultipleOf(serde_json::Number),
    /// `type: integer`, of a number of any size.
    Whole,
    /// `minItems`, `maxItems`, or the same of properties.
    Size(usize, Option<usize>),
    /// `uniqueItems`
    Unique,
    /// `required`, where members have no fields.
    Required(Vec<String>),
    /// `const`, or `enum` of what is no enum type.
    OneOf(Vec<serde_json::Value>),
    /// Rules for every element of an array or map.
    Each(Vec<Rule>),
    /// The rules of the named type.
    Named,
}
