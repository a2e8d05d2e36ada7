//! Tables: which fields the objects of AsyncAPI 3.0 and 3.1 have, and of what type. What a table is.

use super::address;
use crate::{diag::Diagnostics, node::Node};

/// An object of the specification.
pub(super) struct Kind {
    /// As it is called in messages, with its article.
    pub(super) name: &'static str,
    pub(super) fields: &'static [Field],
    /// Whether a Reference Object may stand in its place.
    pub(super) may_refer: bool,
    /// Whether other fields are nobody's business here.
    pub(super) open: bool,
    /// Fields of the other major version, and what stands in their place.
    pub(super) moved: &'static [(&'static str, &'static str)],
    /// The kind it is instead when it has a certain field.
    pub(super) instead: Option<(&'static str, &'static Kind)>,
    /// What a table cannot say.
    pub(super) also: fn(&Node, &mut Diagnostics),
}

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
    Texts,
    Choice(&'static [&'static str]),
    Object(&'static Kind),
    Objects(&'static Kind),
    Map(&'static Kind),
    /// Channels by their address.
    Addresses(&'static Kind),
    /// An object that may hold anything.
    AnyMap,
    Schema,
    /// A schema whose format is the `schemaFormat` beside it.
    SchemaOfFormat,
    Schemas,
    Reference,
    References,
    /// The Components Object, whose collections have keys of a certain form.
    Components(&'static Kind),
}

pub(super) const fn kind(name: &'static str, fields: &'static [Field]) -> Kind {
    Kind { name, fields, may_refer: true, open: false, moved: &[], instead: None, also: |_, _| {} }
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
    ..kind(
        "the document",
        &[
            must("asyncapi", Ty::Text),
            may("id", Ty::Text),
            must("info", Ty::Object(&INFO)),
            may("servers", Ty::Map(&SERVER)),
            may("defaultContentType", Ty::Text),
            may("channels", Ty::Map(&CHANNEL)),
            may("operations", Ty::Map(&OPERATION)),
            may("components", Ty::Components(&COMPONENTS)),
        ],
    )
};

static INFO: Kind = kind(
    "`info`",
    &[
        must("title", Ty::Text),
        must("version", Ty::Text),
        may("description", Ty::Text),
        may("termsOfService", Ty::Text),
        may("contact", Ty::Object(&CONTACT)),
        may("license", Ty::Object(&LICENSE)),
        may("tags", Ty::Objects(&TAG)),
        may("externalDocs", Ty::Object(&EXTERNAL_DOCS)),
    ],
);

pub(super) static CONTACT: Kind =
    kind("`contact`", &[may("name", Ty::Text), may("url", Ty::Text), may("email", Ty::Text)]);

pub(super) static LICENSE: Kind = kind("`license`", &[must("name", Ty::Text), may("url", Ty::Text)]);

pub(super) static TAG: Kind = kind(
    "a tag",
    &[must("name", Ty::Text), may("description", Ty::Text), may("externalDocs", Ty::Object(&EXTERNAL_DOCS))],
);

pub(super) static EXTERNAL_DOCS: Kind =
    kind("`externalDocs`", &[must("url", Ty::Text), may("description", Ty::Text)]);

static SERVER: Kind = Kind {
    moved: &[("url", "`url` became `host` and `pathname`")],
    also: address::server,
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
            may("tags", Ty::Objects(&TAG)),
            may("externalDocs", Ty::Object(&EXTERNAL_DOCS)),
            may("bindings", Ty::Object(&BINDINGS)),
        ],
    )
};

pub(super) static SERVER_VARIABLE: Kind = Kind {
    also: address::choices,
    ..kind(
        "a server variable",
        &[
            may("enum", Ty::Texts),
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
    also: address::channel,
    ..kind(
        "a channel",
        &[
            may("address", Ty::TextOrNull),
            may("messages", Ty::Map(&MESSAGE)),
            may("title", Ty::Text),
            may("summary", Ty::Text),
            may("description", Ty::Text),
            may("servers", Ty::References),
            may("parameters", Ty::Map(&PARAMETER)),
            may("tags", Ty::Objects(&TAG)),
            may("externalDocs", Ty::Object(&EXTERNAL_DOCS)),
            may("bindings", Ty::Object(&BINDINGS)),
        ],
    )
};

static PARAMETER: Kind = Kind {
    moved: &[
        (
            "schema",
            "parameters are strings now; `enum`, `default` and `examples` stand here without `schema`",
        ),
        ("required", "every parameter of an address is required"),
    ],
    also: address::choices,
    ..kind(
        "a parameter",
        &[
            may("enum", Ty::Texts),
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
    ..kind(
        "a message",
        &[
            may("headers", Ty::Schema),
            may("payload", Ty::Schema),
            may("correlationId", Ty::Object(&CORRELATION_ID)),
            may("contentType", Ty::Text),
            may("name", Ty::Text),
            may("title", Ty::Text),
            may("summary", Ty::Text),
            may("description", Ty::Text),
            may("tags", Ty::Objects(&TAG)),
            may("externalDocs", Ty::Object(&EXTERNAL_DOCS)),
            may("bindings", Ty::Object(&BINDINGS)),
            may("examples", Ty::Objects(&EXAMPLE)),
            may("traits", Ty::Objects(&MESSAGE_TRAIT)),
        ],
    )
};

static MESSAGE_TRAIT: Kind = Kind {
    moved: &[SCHEMA_FORMAT, MESSAGE_ID, ("payload", "a trait cannot bring a payload")],
    ..kind(
        "a message trait",
        &[
            may("headers", Ty::Schema),
            may("correlationId", Ty::Object(&CORRELATION_ID)),
            may("contentType", Ty::Text),
            may("name", Ty::Text),
            may("title", Ty::Text),
            may("summary", Ty::Text),
            may("description", Ty::Text),
            may("tags", Ty::Objects(&TAG)),
            may("externalDocs", Ty::Object(&EXTERNAL_DOCS)),
            may("bindings", Ty::Object(&BINDINGS)),
            may("examples", Ty::Objects(&EXAMPLE)),
        ],
    )
};

pub(super) static EXAMPLE: Kind = kind(
    "a message example",
    &[may("headers", Ty::AnyMap), may("payload", Ty::Any), may("name", Ty::Text), may("summary", Ty::Text)],
);

pub(super) static CORRELATION_ID: Kind = Kind {
    also: address::location,
    ..kind("`correlationId`", &[must("location", Ty::Text), may("description", Ty::Text)])
};

static OPERATION: Kind = Kind {
    moved: &[OPERATION_ID, ("message", "messages stand in the channel; `messages` here refers to them")],
    ..kind(
        "an operation",
        &[
            must("action", Ty::Choice(&["send", "receive"])),
            must("channel", Ty::Reference),
            may("title", Ty::Text),
            may("summary", Ty::Text),
            may("description", Ty::Text),
            may("security", Ty::Objects(&SECURITY)),
            may("tags", Ty::Objects(&TAG)),
            may("externalDocs", Ty::Object(&EXTERNAL_DOCS)),
            may("bindings", Ty::Object(&BINDINGS)),
            may("traits", Ty::Objects(&OPERATION_TRAIT)),
            may("messages", Ty::References),
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
            may("tags", Ty::Objects(&TAG)),
            may("externalDocs", Ty::Object(&EXTERNAL_DOCS)),
            may("bindings", Ty::Object(&BINDINGS)),
        ],
    )
};

static REPLY: Kind = kind(
    "a reply",
    &[
        may("address", Ty::Object(&REPLY_ADDRESS)),
        may("channel", Ty::Reference),
        may("messages", Ty::References),
    ],
);

static REPLY_ADDRESS: Kind = Kind {
    also: address::location,
    ..kind("a reply address", &[must("location", Ty::Text), may("description", Ty::Text)])
};

/// What a binding may say is its protocol's own specification.
pub(super) static BINDINGS: Kind = Kind { open: true, also: address::bindings, ..kind("`bindings`", &[]) };

/// Security schemes are read by whoever connects.
pub(super) static SECURITY: Kind =
    Kind { open: true, ..kind("a security scheme", &[must("type", Ty::Text)]) };

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
            may("serverBindings", Ty::Map(&BINDINGS)),
            may("channelBindings", Ty::Map(&BINDINGS)),
            may("operationBindings", Ty::Map(&BINDINGS)),
            may("messageBindings", Ty::Map(&BINDINGS)),
        ],
    )
};
