//! Every kind of problem that only generating code can find. The comment above each is its summary, and
//! `codes/ID.md` its explanation, which `amgi-gen explain ID` prints.

use amgi_asyncapi::diag::Code;

amgi_asyncapi::codes! {
    /// Two parameters of an address stand beside each other, so that nothing tells where one ends.
    ADDRESS_ADJACENT = "AG0411", "address-adjacent";
    /// Two channels fit the same address, and neither is more particular.
    ADDRESS_AMBIGUOUS = "AG0412", "address-ambiguous";
    /// An address has the same parameter twice.
    PARAMETER_TWICE = "AG0413", "parameter-twice";
    /// The document leaves nothing to handle.
    NO_HANDLERS = "AG0511", "no-handlers";
    /// An operation has no messages.
    OPERATION_EMPTY = "AG0512", "operation-empty";
    /// A message is received twice at one address.
    MESSAGE_TWICE = "AG0513", "message-twice";
    /// Several messages at one address cannot be told apart.
    MESSAGES_NOT_DISTINCT = "AG0514", "messages-not-distinct";
    /// Where a reply goes to is not said.
    REPLY_ADDRESS = "AG0521", "reply-address";
    /// One message is answered in two ways.
    REPLY_CONFLICT = "AG0522", "reply-conflict";
    /// A reply has no messages.
    REPLY_EMPTY = "AG0523", "reply-empty";
    /// A reply to what the application sends cannot be awaited.
    REPLY_NOT_AWAITED = "AG0524", "reply-not-awaited";
    /// How messages are settled is not said so that it can be done.
    POLICY = "AG0531", "policy";
    /// The headers of a message are not described as an object.
    HEADERS_NO_OBJECT = "AG0611", "headers-no-object";
    /// A schema has no type in Rust that says the same.
    SCHEMA_TOO_COMPLEX = "AG0613", "schema-too-complex";
    /// A schema says more than types and rules do.
    SCHEMA_UNCHECKED = "AG0614", "schema-unchecked";
    /// Two things would have the same name in Rust.
    NAME_CLASH = "AG0711", "name-clash";
    /// The settings file is not TOML from here on.
    SETTINGS_SYNTAX = "AG0802", "settings-syntax";
    /// There is no setting of this name.
    SETTINGS_KEY = "AG0803", "settings-key";
    /// A setting cannot have this value.
    SETTINGS_VALUE = "AG0804", "settings-value";
    /// A type that is to be used instead of a generated one is not named so that it is found.
    RUST_TYPE = "AG0805", "rust-type";
    /// A type cannot derive what it is asked to.
    RUST_DERIVES = "AG0806", "rust-derives";
    /// An attribute of a type cannot be read.
    RUST_ATTRIBUTES = "AG0807", "rust-attributes";
}
