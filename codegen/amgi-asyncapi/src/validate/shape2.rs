//! Tables: which fields the objects of AsyncAPI 2.0 to 2.6 have, of what type, and since when.

use super::{
    address, examples,
    security::{self, SECURITY_2},
    shape::{
        ANY_BINDINGS as BINDINGS, CONTACT, CORRELATION_ID, EXAMPLE, EXTERNAL_DOCS, Field, Kind, LICENSE,
        NEVER, SERVER_VARIABLE, Ty, kind, may, must,
    },
};

const fn since(minor: u32, name: &'static str, ty: Ty) -> Field {
    Field { since: minor, ..may(name, ty) }
}

pub(super) static ROOT: Kind = Kind {
    may_refer: false,
    moved: &[(
        "operations",
        "in AsyncAPI 2 operations stand in their channel, as `publish` and `subscribe`; or write `asyncapi: 3.1.0`",
    )],
    ..kind(
        "the document",
        &[
            must("asyncapi", Ty::Text),
            may("id", Ty::Uri),
            must("info", Ty::Object(&INFO)),
            may("servers", Ty::Map(&SERVER)),
            may("defaultContentType", Ty::Text),
            must("channels", Ty::Addresses(&CHANNEL)),
            may("components", Ty::Components(&COMPONENTS)),
            may("tags", Ty::Tags),
            may("externalDocs", Ty::Object(&EXTERNAL_DOCS)),
        ],
    )
};

static INFO: Kind = Kind {
    refer_since: NEVER,
    moved: &[
        ("tags", "in AsyncAPI 2 `tags` stand at the root"),
        ("externalDocs", "in AsyncAPI 2 `externalDocs` stand at the root"),
    ],
    ..kind(
        "`info`",
        &[
            must("title", Ty::Text),
            must("version", Ty::Text),
            may("description", Ty::Text),
            may("termsOfService", Ty::Uri),
            may("contact", Ty::Object(&CONTACT)),
            may("license", Ty::Object(&LICENSE)),
        ],
    )
};

static SERVER: Kind = Kind {
    refer_since: 3,
    moved: &[
        ("host", "in AsyncAPI 2 host and path stand together in `url`"),
        ("pathname", "in AsyncAPI 2 host and path stand together in `url`"),
    ],
    also: |walk, node| address::server_url(node, walk.diags),
    ..kind(
        "a server",
        &[
            must("url", Ty::Text),
            must("protocol", Ty::Text),
            may("protocolVersion", Ty::Text),
            may("description", Ty::Text),
            may("variables", Ty::Map(&SERVER_VARIABLE)),
            may("security", Ty::Objects(&REQUIREMENT)),
            since(5, "tags", Ty::Tags),
            may("bindings", Ty::Object(&BINDINGS)),
        ],
    )
};

/// Names of security schemes; they are read by whoever connects.
static REQUIREMENT: Kind = Kind {
    may_refer: false,
    open: true,
    gentle: true,
    also: security::requirement,
    ..kind("a security requirement", &[])
};

static CHANNEL: Kind = Kind {
    moved: &[
        ("address", "in AsyncAPI 2 the key of a channel is its address"),
        ("messages", "in AsyncAPI 2 messages stand in `publish` and `subscribe`, under `message`"),
        ("title", "AsyncAPI 2 has `description` only"),
        ("summary", "AsyncAPI 2 has `description` only"),
    ],
    ..kind(
        "a channel",
        &[
            may("description", Ty::Text),
            since(2, "servers", Ty::DistinctTexts),
            may("subscribe", Ty::Object(&OPERATION)),
            may("publish", Ty::Object(&OPERATION)),
            may("parameters", Ty::Map(&PARAMETER)),
            may("bindings", Ty::Object(&BINDINGS)),
            may("deprecated", Ty::Bool),
        ],
    )
};

static PARAMETER: Kind = Kind {
    gentle: true,
    moved: &[
        ("enum", "in AsyncAPI 2 this stands in the parameter's `schema`"),
        ("default", "in AsyncAPI 2 this stands in the parameter's `schema`"),
        ("examples", "in AsyncAPI 2 this stands in the parameter's `schema`"),
    ],
    also: |walk, node| address::location(node, walk.diags),
    ..kind(
        "a parameter",
        &[may("description", Ty::Text), may("schema", Ty::Schema), may("location", Ty::Text)],
    )
};

static OPERATION: Kind = Kind {
    refer_since: NEVER,
    moved: &[
        ("messages", "in AsyncAPI 2 it is `message`, with `oneOf` when there are several"),
        ("action", "in AsyncAPI 2 `publish` and `subscribe` say which way it goes"),
        ("reply", "request/reply came with AsyncAPI 3"),
    ],
    ..kind(
        "an operation",
        &[
            may("operationId", Ty::Text),
            may("summary", Ty::Text),
            may("description", Ty::Text),
            since(4, "security", Ty::Objects(&REQUIREMENT)),
            may("tags", Ty::Tags),
            may("externalDocs", Ty::Object(&EXTERNAL_DOCS)),
            may("bindings", Ty::Object(&BINDINGS)),
            may("traits", Ty::Objects(&OPERATION_TRAIT)),
            may("message", Ty::Object(&MESSAGE)),
        ],
    )
};

static OPERATION_TRAIT: Kind = Kind {
    moved: &[("message", "a trait cannot bring a message")],
    ..kind(
        "an operation trait",
        &[
            may("operationId", Ty::Text),
            may("summary", Ty::Text),
            may("description", Ty::Text),
            since(4, "security", Ty::Objects(&REQUIREMENT)),
            may("tags", Ty::Tags),
            may("externalDocs", Ty::Object(&EXTERNAL_DOCS)),
            may("bindings", Ty::Object(&BINDINGS)),
        ],
    )
};

static MESSAGE: Kind = Kind {
    instead: Some(("oneOf", &MESSAGES)),
    also: examples::message_2,
    ..kind(
        "a message",
        &[
            since(4, "messageId", Ty::Text),
            may("headers", Ty::Schema),
            may("payload", Ty::Any),
            may("correlationId", Ty::Object(&CORRELATION_ID)),
            may("schemaFormat", Ty::Text),
            may("contentType", Ty::Text),
            may("name", Ty::Text),
            may("title", Ty::Text),
            may("summary", Ty::Text),
            may("description", Ty::Text),
            may("tags", Ty::Tags),
            may("externalDocs", Ty::Object(&EXTERNAL_DOCS)),
            may("bindings", Ty::Object(&BINDINGS)),
            may("examples", Ty::Objects(&EXAMPLE)),
            may("traits", Ty::Objects(&MESSAGE_TRAIT)),
            may("deprecated", Ty::Bool),
        ],
    )
};

/// Several messages in the place of one.
static MESSAGES: Kind = kind("a choice of messages", &[must("oneOf", Ty::Objects(&MESSAGE))]);

static MESSAGE_TRAIT: Kind = Kind {
    moved: &[("payload", "a trait cannot bring a payload")],
    also: examples::message_trait,
    ..kind(
        "a message trait",
        &[
            since(4, "messageId", Ty::Text),
            may("headers", Ty::Schema),
            may("correlationId", Ty::Object(&CORRELATION_ID)),
            may("schemaFormat", Ty::Text),
            may("contentType", Ty::Text),
            may("name", Ty::Text),
            may("title", Ty::Text),
            may("summary", Ty::Text),
            may("description", Ty::Text),
            may("tags", Ty::Tags),
            may("externalDocs", Ty::Object(&EXTERNAL_DOCS)),
            may("bindings", Ty::Object(&BINDINGS)),
            may("examples", Ty::Objects(&EXAMPLE)),
            may("deprecated", Ty::Bool),
        ],
    )
};

static COMPONENTS: Kind = Kind {
    may_refer: false,
    ..kind(
        "`components`",
        &[
            may("schemas", Ty::Schemas),
            since(3, "servers", Ty::Map(&SERVER)),
            since(4, "serverVariables", Ty::Map(&SERVER_VARIABLE)),
            since(3, "channels", Ty::Map(&CHANNEL)),
            may("messages", Ty::Map(&MESSAGE)),
            may("securitySchemes", Ty::Map(&SECURITY_2)),
            may("parameters", Ty::Map(&PARAMETER)),
            may("correlationIds", Ty::Map(&CORRELATION_ID)),
            may("operationTraits", Ty::Map(&OPERATION_TRAIT)),
            may("messageTraits", Ty::Map(&MESSAGE_TRAIT)),
            may("serverBindings", Ty::Map(&BINDINGS)),
            may("channelBindings", Ty::Map(&BINDINGS)),
            may("operationBindings", Ty::Map(&BINDINGS)),
            may("messageBindings", Ty::Map(&BINDINGS)),
        ],
    )
};
