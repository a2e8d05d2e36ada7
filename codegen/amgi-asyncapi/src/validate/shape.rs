//! Tables: which fields the objects of AsyncAPI 3.0 and 3.1 have, and of what type. What a table is.

use super::{Walk, address, examples, security::SECURITY};
use crate::node::Node;

/// An object of the specification.
pub(super) struct Kind {
    /// As it is called in messages, with its article.
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
    /// Whether a Reference Object is read in its place.
    pub(super) may_refer: bool,
    /// Minor version of AsyncAPI 2 that allows a reference in its place; [`V3`] for none of these, [`NEVER`] for no
    /// version at all.
    pub(super) refer_since: u32,
    /// Whether other fields are nobody's business here.
    pub(super) open: bool,
    /// Fields of the other major version, and what stands in their place.
    pub(super) moved: &'static [(&'static str, &'static str)],
    /// The kind it is instead when it has a certain field.
    pub(super) instead: Option<(&'static str, &'static Kind)>,
    /// Kinds it is by its `type`, each with the minor version of AsyncAPI 2 that brought it.
    pub(super) variants: &'static [(&'static str, &'static Kind, u32)],
    /// Whether code does not depend on it, so that no problem in it is an error.
    pub(super) gentle: bool,
    /// What a table cannot say.
    pub(super) also: fn(&mut Walk<'_, '_>, &Node),
}

/// Stands for the minor version in a document of AsyncAPI 3.
pub(super) const V3: u32 = 100;
/// Later than every version.
pub(super) const NEVER: u32 = u32::MAX;

pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) ty: Ty,
    pub(super) required: bool,
    /// Minor version that brought it.
    pub(super) since: u32,
}

pub(super) enum Ty {
    Any,
    Text,
    TextOrNull,
    Bool,
    Number,
    /// A list of anything.
    List,
    Uri,
    Email,
    Texts,
    /// Strings of which no two are the same.
    DistinctTexts,
    Choice(&'static [&'static str]),
    Object(&'static Kind),
    Objects(&'static Kind),
    /// Tags, each with a name of its own.
    Tags,
    Map(&'static Kind),
    /// Strings by name.
    Texted,
    /// Channels by their address.
    Addresses(&'static Kind),
    /// An object that may hold anything.
    AnyMap,
    Schema,
    Schemas,
    /// A schema of Avro.
    Avro,
    AvroName,
    /// An object, or true or false.
    BoolOr(&'static Kind),
    /// A reference to such an object.
    Reference(&'static Kind),
    References(&'static Kind),
    /// The Components Object, whose collections have keys of a certain form.
    Components(&'static Kind),
}

pub(super) const fn kind(name: &'static str, fields: &'static [Field]) -> Kind {
    Kind {
        name,
        fields,
        may_refer: true,
        refer_since: 0,
        open: false,
        moved: &[],
        instead: None,
        variants: &[],
        gentle: false,
        also: |_, _| {},
    }
}

pub(super) const fn must(name: &'static str, ty: Ty) -> Field {
    Field { name, ty, required: true, since: 0 }
}

pub(super) const fn may(name: &'static str, ty: Ty) -> Field {
    Field { name, ty, required: false, since: 0 }
}

pub(super) static ROOT: Kind = Kind {
    may_refer: false,
    moved: &[("tags", "`tags` moved into `info`"), ("externalDocs", "`externalDocs` moved into `info`")],
    also: |walk, node| address::places(node, walk.diags),
    ..kind(
        "the document",
        &[
            must("asyncapi", Ty::Text),
            may("id", Ty::Uri),
            must("info", Ty::Object(&INFO)),
            may("servers", Ty::Map(&SERVER)),
            may("defaultContentType", Ty::Text),
            may("channels", Ty::Map(&CHANNEL)),
            may("operations", Ty::Map(&OPERATION)),
            may("components", Ty::Components(&COMPONENTS)),
        ],
    )
};

static INFO: Kind = Kind {
    refer_since: NEVER,
    ..kind(
        "`info`",
        &[
            must("title", Ty::Text),
            must("version", Ty::Text),
            may("description", Ty::Text),
            may("termsOfService", Ty::Uri),
            may("contact", Ty::Object(&CONTACT)),
            may("license", Ty::Object(&LICENSE)),
            may("tags", Ty::Tags),
            may("externalDocs", Ty::Object(&EXTERNAL_DOCS)),
        ],
    )
};

pub(super) static CONTACT: Kind = Kind {
    refer_since: NEVER,
    ..kind("`contact`", &[may("name", Ty::Text), may("url", Ty::Uri), may("email", Ty::Email)])
};

pub(super) static LICENSE: Kind =
    Kind { refer_since: NEVER, ..kind("`license`", &[must("name", Ty::Text), may("url", Ty::Uri)]) };

pub(super) static TAG: Kind = Kind {
    refer_since: V3,
    ..kind(
        "a tag",
        &[
            must("name", Ty::Text),
            may("description", Ty::Text),
            may("externalDocs", Ty::Object(&EXTERNAL_DOCS)),
        ],
    )
};

pub(super) static EXTERNAL_DOCS: Kind =
    Kind { refer_since: V3, ..kind("`externalDocs`", &[must("url", Ty::Uri), may("description", Ty::Text)]) };

static SERVER: Kind = Kind {
    moved: &[("url", "`url` became `host` and `pathname`")],
    also: |walk, node| address::server(node, walk.diags),
    ..kind(
        "a server",
        &[
            must("host", Ty::Text),
            must("protocol", Ty::Text),
            may("protocolVersion", Ty::Text),
            may("pathname", Ty::Text),
            may("title", Ty::Text),
            may("summary", Ty::Text),
            may("description", Ty::Text),
            may("variables", Ty::Map(&SERVER_VARIABLE)),
            may("security", Ty::Objects(&SECURITY)),
            may("tags", Ty::Tags),
            may("externalDocs", Ty::Object(&EXTERNAL_DOCS)),
            may("bindings", Ty::Object(&SERVER_BINDINGS)),
        ],
    )
};

pub(super) static SERVER_VARIABLE: Kind = Kind {
    refer_since: 5,
    also: |walk, node| address::choices(node, walk.diags),
    ..kind(
        "a server variable",
        &[
            may("enum", Ty::DistinctTexts),
            may("default", Ty::Text),
            may("description", Ty::Text),
            may("examples", Ty::Texts),
        ],
    )
};

static CHANNEL: Kind = Kind {
    moved: &[
        ("publish", "operations moved to the root `operations`; `publish` is `action: receive` there"),
        ("subscribe", "operations moved to the root `operations`; `subscribe` is `action: send` there"),
        ("message", "messages stand under `messages`, each with a name"),
    ],
    also: |walk, node| address::channel(node, walk.diags),
    ..kind(
        "a channel",
        &[
            may("address", Ty::TextOrNull),
            may("messages", Ty::Map(&MESSAGE)),
            may("title", Ty::Text),
            may("summary", Ty::Text),
            may("description", Ty::Text),
            may("servers", Ty::References(&SERVER)),
            may("parameters", Ty::Map(&PARAMETER)),
            may("tags", Ty::Tags),
            may("externalDocs", Ty::Object(&EXTERNAL_DOCS)),
            may("bindings", Ty::Object(&CHANNEL_BINDINGS)),
        ],
    )
};

static PARAMETER: Kind = Kind {
    gentle: true,
    moved: &[
        (
            "schema",
            "parameters are strings now; `enum`, `default` and `examples` stand here without `schema`",
        ),
        ("required", "every parameter of an address is required"),
    ],
    also: |walk, node| address::choices(node, walk.diags),
    ..kind(
        "a parameter",
        &[
            may("enum", Ty::DistinctTexts),
            may("default", Ty::Text),
            may("description", Ty::Text),
            may("examples", Ty::Texts),
            may("location", Ty::Text),
        ],
    )
};

const SCHEMA_FORMAT: (&str, &str) =
    ("schemaFormat", "`schemaFormat` moved into the payload: `payload: {schemaFormat: …, schema: …}`");
const MESSAGE_ID: (&str, &str) = ("messageId", "a message is known by its key now");
const OPERATION_ID: (&str, &str) = ("operationId", "an operation is known by its key now");

static MESSAGE: Kind = Kind {
    moved: &[SCHEMA_FORMAT, MESSAGE_ID],
    also: examples::message,
    ..kind(
        "a message",
        &[
            may("headers", Ty::Schema),
            may("payload", Ty::Schema),
            may("deprecated", Ty::Bool),
            may("correlationId", Ty::Object(&CORRELATION_ID)),
            may("contentType", Ty::Text),
            may("name", Ty::Text),
            may("title", Ty::Text),
            may("summary", Ty::Text),
            may("description", Ty::Text),
            may("tags", Ty::Tags),
            may("externalDocs", Ty::Object(&EXTERNAL_DOCS)),
            may("bindings", Ty::Object(&MESSAGE_BINDINGS)),
            may("examples", Ty::Objects(&EXAMPLE)),
            may("traits", Ty::Objects(&MESSAGE_TRAIT)),
        ],
    )
};

static MESSAGE_TRAIT: Kind = Kind {
    moved: &[SCHEMA_FORMAT, MESSAGE_ID, ("payload", "a trait cannot bring a payload")],
    also: examples::message_trait,
    ..kind(
        "a message trait",
        &[
            may("headers", Ty::Schema),
            may("deprecated", Ty::Bool),
            may("correlationId", Ty::Object(&CORRELATION_ID)),
            may("contentType", Ty::Text),
            may("name", Ty::Text),
            may("title", Ty::Text),
            may("summary", Ty::Text),
            may("description", Ty::Text),
            may("tags", Ty::Tags),
            may("externalDocs", Ty::Object(&EXTERNAL_DOCS)),
            may("bindings", Ty::Object(&MESSAGE_BINDINGS)),
            may("examples", Ty::Objects(&EXAMPLE)),
        ],
    )
};

pub(super) static EXAMPLE: Kind = Kind {
    may_refer: false,
    also: examples::example,
    ..kind(
        "a message example",
        &[
            may("headers", Ty::AnyMap),
            may("payload", Ty::Any),
            may("name", Ty::Text),
            may("summary", Ty::Text),
        ],
    )
};

pub(super) static CORRELATION_ID: Kind = Kind {
    also: |walk, node| address::location(node, walk.diags),
    ..kind("`correlationId`", &[must("location", Ty::Text), may("description", Ty::Text)])
};

static OPERATION: Kind = Kind {
    moved: &[OPERATION_ID, ("message", "messages stand in the channel; `messages` here refers to them")],
    ..kind(
        "an operation",
        &[
            must("action", Ty::Choice(&["send", "receive"])),
            must("channel", Ty::Reference(&CHANNEL)),
            may("title", Ty::Text),
            may("summary", Ty::Text),
            may("description", Ty::Text),
            may("security", Ty::Objects(&SECURITY)),
            may("tags", Ty::Tags),
            may("externalDocs", Ty::Object(&EXTERNAL_DOCS)),
            may("bindings", Ty::Object(&OPERATION_BINDINGS)),
            may("traits", Ty::Objects(&OPERATION_TRAIT)),
            may("messages", Ty::References(&MESSAGE)),
            may("reply", Ty::Object(&REPLY)),
        ],
    )
};

static OPERATION_TRAIT: Kind = Kind {
    moved: &[OPERATION_ID],
    ..kind(
        "an operation trait",
        &[
            may("title", Ty::Text),
            may("summary", Ty::Text),
            may("description", Ty::Text),
            may("security", Ty::Objects(&SECURITY)),
            may("tags", Ty::Tags),
            may("externalDocs", Ty::Object(&EXTERNAL_DOCS)),
            may("bindings", Ty::Object(&OPERATION_BINDINGS)),
        ],
    )
};

static REPLY: Kind = kind(
    "a reply",
    &[
        may("address", Ty::Object(&REPLY_ADDRESS)),
        may("channel", Ty::Reference(&CHANNEL)),
        may("messages", Ty::References(&MESSAGE)),
    ],
);

static REPLY_ADDRESS: Kind = Kind {
    also: |walk, node| address::location(node, walk.diags),
    ..kind("a reply address", &[must("location", Ty::Text), may("description", Ty::Text)])
};

/// What a binding may say is its protocol's own specification.
const BINDINGS: Kind = Kind { open: true, ..kind("`bindings`", &[]) };

static SERVER_BINDINGS: Kind =
    Kind { also: |walk, node| address::bindings(node, "a server", walk.diags), ..BINDINGS };
static CHANNEL_BINDINGS: Kind =
    Kind { also: |walk, node| address::bindings(node, "a channel", walk.diags), ..BINDINGS };
static OPERATION_BINDINGS: Kind =
    Kind { also: |walk, node| address::bindings(node, "an operation", walk.diags), ..BINDINGS };
static MESSAGE_BINDINGS: Kind =
    Kind { also: |walk, node| address::bindings(node, "a message", walk.diags), ..BINDINGS };
/// AsyncAPI 2 leaves open which protocols there are.
pub(super) static ANY_BINDINGS: Kind =
    Kind { also: |walk, node| address::bindings(node, "", walk.diags), ..BINDINGS };

static COMPONENTS: Kind = Kind {
    may_refer: false,
    ..kind(
        "`components`",
        &[
            may("schemas", Ty::Schemas),
            may("servers", Ty::Map(&SERVER)),
            may("channels", Ty::Map(&CHANNEL)),
            may("operations", Ty::Map(&OPERATION)),
            may("messages", Ty::Map(&MESSAGE)),
            may("securitySchemes", Ty::Map(&SECURITY)),
            may("serverVariables", Ty::Map(&SERVER_VARIABLE)),
            may("parameters", Ty::Map(&PARAMETER)),
            may("correlationIds", Ty::Map(&CORRELATION_ID)),
            may("replies", Ty::Map(&REPLY)),
            may("replyAddresses", Ty::Map(&REPLY_ADDRESS)),
            may("externalDocs", Ty::Map(&EXTERNAL_DOCS)),
            may("tags", Ty::Map(&TAG)),
            may("operationTraits", Ty::Map(&OPERATION_TRAIT)),
            may("messageTraits", Ty::Map(&MESSAGE_TRAIT)),
            may("serverBindings", Ty::Map(&SERVER_BINDINGS)),
            may("channelBindings", Ty::Map(&CHANNEL_BINDINGS)),
            may("operationBindings", Ty::Map(&OPERATION_BINDINGS)),
            may("messageBindings", Ty::Map(&MESSAGE_BINDINGS)),
        ],
    )
};
