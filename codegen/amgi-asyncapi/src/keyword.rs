//! What the keywords of a schema hold.

/// What the value of a keyword is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// A schema, or a list of them.
    Schema,
    /// Schemas by name.
    Map,
    /// Anything else.
    Data,
}

/// What the value of `keyword` is, in draft-07 and the later drafts that documents mix in.
pub(crate) fn position(keyword: &str) -> Position {
    match keyword {
        "additionalItems"
        | "additionalProperties"
        | "allOf"
        | "anyOf"
        | "contains"
        | "contentSchema"
        | "else"
        | "if"
        | "items"
        | "not"
        | "oneOf"
        | "prefixItems"
        | "propertyNames"
        | "then"
        | "unevaluatedItems"
        | "unevaluatedProperties" => Position::Schema,
        "$defs" | "definitions" | "dependencies" | "dependentSchemas" | "patternProperties"
        | "properties" => Position::Map,
        _ => Position::Data,
    }
}
