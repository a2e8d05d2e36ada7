//! Every kind of change, with a name that stays.

use super::{Kind, Respect};

macro_rules! kinds {
    ($($respect:ident { $($(#[doc = $summary:literal])+ $constant:ident = $id:literal;)+ })+) => {
        $($($(#[doc = $summary])+ pub const $constant: Kind =
            Kind { id: $id, respect: Respect::$respect, summary: concat!($($summary, "\n"),+) };)+)+
        /// All of them, those on the wire first.
        pub const ALL: &[Kind] = &[$($($constant),+),+];
    };
}

kinds! {
    Wire {
        /// An operation is new.
        OPERATION_ADDED = "operation-added";
        /// An operation is gone.
        OPERATION_REMOVED = "operation-removed";
        /// An operation has another key; what it does is the same.
        OPERATION_RENAMED = "operation-renamed";
        /// An operation that received sends now, or the other way round.
        ACTION_CHANGED = "action-changed";
        /// The address of a channel is another one, or known at another time.
        ADDRESS_CHANGED = "address-changed";
        /// A parameter of an address takes fewer values.
        PARAMETER_NARROWED = "parameter-narrowed";
        /// A parameter of an address takes more values.
        PARAMETER_WIDENED = "parameter-widened";
        /// The default of a parameter, or where a message holds its value, is another one.
        PARAMETER_CHANGED = "parameter-changed";
        /// A channel is on other servers.
        CHANNEL_SERVERS_CHANGED = "channel-servers-changed";
        /// Messages that are given up go to another address.
        DEAD_LETTER_CHANGED = "dead-letter-changed";
        /// An operation or reply has one more message.
        MESSAGE_ADDED = "message-added";
        /// An operation or reply has one message less.
        MESSAGE_REMOVED = "message-removed";
        /// An operation has a reply that it had not.
        REPLY_ADDED = "reply-added";
        /// An operation has no reply any more.
        REPLY_REMOVED = "reply-removed";
        /// A request says elsewhere where its reply goes.
        REPLY_ADDRESS_CHANGED = "reply-address-changed";
        /// The content type of a message is another one.
        CONTENT_TYPE_CHANGED = "content-type-changed";
        /// The correlation id of a message is elsewhere.
        CORRELATION_CHANGED = "correlation-changed";
        /// A message has a payload, headers or a binding that it had not.
        SCHEMA_ADDED = "schema-added";
        /// A message has no payload, headers or binding any more.
        SCHEMA_REMOVED = "schema-removed";
        /// A schema that is no JSON Schema is another one.
        FOREIGN_SCHEMA_CHANGED = "foreign-schema-changed";
        /// A binding is another one.
        BINDING_CHANGED = "binding-changed";
        /// A server is new.
        SERVER_ADDED = "server-added";
        /// A server is gone.
        SERVER_REMOVED = "server-removed";
        /// The protocol, address or security of a server is another one.
        SERVER_CHANGED = "server-changed";
        /// A value may have fewer types.
        TYPE_NARROWED = "type-narrowed";
        /// A value may have more types.
        TYPE_WIDENED = "type-widened";
        /// A value has another type.
        TYPE_CHANGED = "type-changed";
        /// A value of an enum is gone.
        ENUM_VALUE_REMOVED = "enum-value-removed";
        /// An enum has one value more.
        ENUM_VALUE_ADDED = "enum-value-added";
        /// Only values of a list are allowed, where any was.
        ENUM_CLOSED = "enum-closed";
        /// Any value is allowed, where only those of a list were.
        ENUM_OPENED = "enum-opened";
        /// A bound, size or `multipleOf` allows less.
        BOUND_NARROWED = "bound-narrowed";
        /// A bound, size or `multipleOf` allows more.
        BOUND_WIDENED = "bound-widened";
        /// A pattern is another one: whether it allows less is not decided.
        PATTERN_CHANGED = "pattern-changed";
        /// A pattern is new.
        PATTERN_ADDED = "pattern-added";
        /// A pattern is gone.
        PATTERN_REMOVED = "pattern-removed";
        /// A format is another one.
        FORMAT_CHANGED = "format-changed";
        /// A format is new.
        FORMAT_ADDED = "format-added";
        /// A format is gone.
        FORMAT_REMOVED = "format-removed";
        /// A member must be there.
        MEMBER_REQUIRED = "member-required";
        /// A member that had to be there may be missing.
        MEMBER_OPTIONAL = "member-optional";
        /// A member is new.
        MEMBER_ADDED = "member-added";
        /// A member is described no more.
        MEMBER_REMOVED = "member-removed";
        /// A member must not be there any more.
        MEMBER_FORBIDDEN = "member-forbidden";
        /// A member may be there that was refused.
        MEMBER_ALLOWED = "member-allowed";
        /// Members that are not described are refused, or held to a schema.
        ADDITIONAL_CLOSED = "additional-closed";
        /// Members that are not described are taken.
        ADDITIONAL_OPENED = "additional-opened";
        /// An alternative is gone.
        ALTERNATIVE_REMOVED = "alternative-removed";
        /// An alternative is new.
        ALTERNATIVE_ADDED = "alternative-added";
        /// A value may fit several alternatives of which only one may fit.
        ALTERNATIVES_OVERLAP = "alternatives-overlap";
        /// `not`, `if`, `contains`, `propertyNames` or another rare keyword is another one.
        CONDITION_CHANGED = "condition-changed";
        /// What is read where a member is missing is another value.
        DEFAULT_CHANGED = "default-changed";
        /// Schemas are too large to be compared.
        NOT_COMPARED = "not-compared";
    }
    Code {
        /// A handler trait is new: the application must implement it.
        HANDLER_ADDED = "handler-added";
        /// A handler trait is gone.
        HANDLER_REMOVED = "handler-removed";
        /// A handler trait has one more method: every implementor must add it.
        METHOD_ADDED = "method-added";
        /// A method is gone.
        METHOD_REMOVED = "method-removed";
        /// A method takes or returns something else.
        METHOD_CHANGED = "method-changed";
        /// A method of `Sender` is new.
        SEND_ADDED = "send-added";
        /// A type is new.
        TYPE_ADDED = "type-added";
        /// A type is gone.
        TYPE_REMOVED = "type-removed";
        /// A trait, type or method has another name.
        RENAMED = "renamed";
        /// A type is of another kind, such as an enum where a struct was.
        KIND_CHANGED = "kind-changed";
        /// A struct has one more field: literals and exhaustive patterns stop compiling.
        FIELD_ADDED = "field-added";
        /// A field is gone.
        FIELD_REMOVED = "field-removed";
        /// A field has another type.
        FIELD_TYPE_CHANGED = "field-type-changed";
        /// An enum has one more variant: exhaustive matches stop compiling.
        VARIANT_ADDED = "variant-added";
        /// A variant is gone.
        VARIANT_REMOVED = "variant-removed";
        /// A variant holds another type.
        VARIANT_TYPE_CHANGED = "variant-type-changed";
        /// A trait is not implemented any more.
        DERIVE_REMOVED = "derive-removed";
        /// One more trait is implemented.
        DERIVE_ADDED = "derive-added";
    }
}
