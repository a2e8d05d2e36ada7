//! Rust names for what documents call by any name: keywords, clashes and hostile names are settled here and nowhere
//! else.
//!
//! One [`Namer`] a scope. The order of claims decides: who comes first keeps the plain name, so something added at the end
//! of a document renames nothing.

use std::collections::HashSet;

use heck::{ToSnakeCase, ToUpperCamelCase};

/// Names that generated code uses from the prelude and from the runtime, and that no generated type may hide.
const HOSTILE: &[&str] = &[
    "Addresses",
    "App",
    "BTreeMap",
    "Box",
    "Bytes",
    "Clone",
    "Context",
    "Copy",
    "Debug",
    "Default",
    "Deserialize",
    "Display",
    "Drop",
    "Eq",
    "Err",
    "Error",
    "Fn",
    "From",
    "FromStr",
    "Future",
    "Handlers",
    "Hash",
    "Into",
    "Iterator",
    "None",
    "Ok",
    "Option",
    "Ord",
    "Outgoing",
    "PartialEq",
    "PartialOrd",
    "Result",
    "Self",
    "Send",
    "Sender",
    "Serialize",
    "Sized",
    "Some",
    "String",
    "Sync",
    "ToString",
    "TypedMessage",
    "Vec",
];

const KEYWORDS: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "do", "dyn", "else",
    "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro",
    "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "static", "struct", "trait",
    "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
];

/// The names of one scope.
#[derive(Debug, Default)]
pub struct Namer {
    taken: HashSet<String>,
    types: bool,
}

/// A name, and whether it had to give way to an earlier one.
#[derive(Debug, PartialEq, Eq)]
pub struct Claim {
    /// The name, unique in its scope.
    pub name: String,
    /// Whether another name was wanted first.
    pub clashed: bool,
}

impl Namer {
    /// A scope of types, in which names of the prelude are taken.
    pub fn types() -> Self {
        Self { taken: HOSTILE.iter().map(ToString::to_string).collect(), types: true }
    }

    /// A scope of fields, methods or variants.
    pub fn members() -> Self {
        Self::default()
    }

    /// Claims a type name for `text`; `kind` is what is added when the plain name is taken (`Message`, `Channel`, …).
    pub fn type_name(&mut self, text: &str, kind: &str) -> Claim {
        self.type_name_in("", text, kind)
    }

    /// As [`type_name`](Self::type_name), for something that lies in another thing whose name tells it apart.
    pub fn type_name_in(&mut self, owner: &str, text: &str, kind: &str) -> Claim {
        let plain = pascal(class(text));
        let mut wanted = vec![plain.clone()];
        if !owner.is_empty() {
            wanted.push(pascal(owner) + &plain);
        }
        if class(text) != text {
            wanted.push(pascal(text));
        }
        wanted.extend([plain + kind, pascal(&spelled(text))]);
        self.claim(&wanted)
    }

    /// Claims a variant name.
    pub fn variant(&mut self, text: &str) -> Claim {
        // Variants are always used behind the name of their enum, but `Self` is no name at all.
        let named = |text: &str| match pascal(text) {
            name if name == "Self" => "SelfValue".to_owned(),
            name => name,
        };
        self.claim(&[named(text), named(&spelled(text))])
    }

    /// Claims a field, argument or method name; keywords become raw identifiers.
    pub fn member(&mut self, text: &str) -> Claim {
        let mut claim = self.claim(&[snake(text), snake(&spelled(text))]);
        claim.name = raw(&claim.name);
        claim
    }

    fn claim(&mut self, wanted: &[String]) -> Claim {
        for (index, name) in wanted.iter().enumerate() {
            if !(self.types && is_ours(name)) && self.taken.insert(name.clone()) {
                return Claim { name: name.clone(), clashed: index > 0 };
            }
        }
        let last = wanted.last().cloned().unwrap_or_default();
        let mut number = 2_u64;
        loop {
            let name = format!("{last}{number}");
            if self.taken.insert(name.clone()) {
                return Claim { name, clashed: true };
            }
            number += 1;
        }
    }
}

/// The class of a qualified Java name, which tools for Java give their schemas and messages: `UserDto` of
/// `com.example.UserDto`. Anything else stays as it is.
pub fn class(text: &str) -> &str {
    match text.rsplit_once('.') {
        Some((package, class))
            if package.contains('.')
                && package.split('.').all(|part| part.starts_with(|c: char| c.is_ascii_lowercase()))
                && class.starts_with(|c: char| c.is_ascii_uppercase()) =>
        {
            class
        }
        _ => text,
    }
}

/// What lowering calls a type that only it asks for, followed by a number.
pub(crate) const SITE: &str = "AmgiSite";

/// Names that are given without being claimed: type parameters, the groups of a large document, and what lowering asks for.
fn is_ours(name: &str) -> bool {
    let numbered = |prefix: &str| {
        name.strip_prefix(prefix)
            .is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_digit()))
    };
    matches!(name, "A" | "E" | "F" | "Fut") || numbered("H") || numbered("Group") || numbered(SITE)
}

/// `PascalCase`; never empty, never begins with a digit.
pub fn pascal(text: &str) -> String {
    let name: String = identifier_characters(text).to_upper_camel_case();
    match name.chars().next() {
        None => spelled_or(text, "Unnamed"),
        Some(first) if first.is_ascii_digit() || !starts_identifier(first) => format!("N{name}"),
        Some(_) => name,
    }
}

/// `snake_case`; never empty, never begins with a digit. May be a keyword, see [`raw`].
pub fn snake(text: &str) -> String {
    let name = identifier_characters(text).to_snake_case();
    match name.chars().next() {
        None => spelled_or(text, "unnamed").to_snake_case(),
        Some(first) if !starts_identifier(first) => format!("n{name}"),
        Some(_) => name,
    }
}

/// The identifier for a snake-case name: keywords become raw, the four that cannot get an underscore.
pub fn raw(name: &str) -> String {
    match name {
        "self" | "super" | "crate" | "_" => format!("{name}_"),
        name if KEYWORDS.contains(&name) => format!("r#{name}"),
        name => name.to_owned(),
    }
}

/// A module name for a file name: `user-events.v1` gives `user_events_v1`. Always ASCII, since it becomes a file name too.
pub fn module(file_stem: &str) -> String {
    let ascii: String = file_stem.chars().map(|c| if c.is_ascii() { c } else { ' ' }).collect();
    match raw(&snake(&ascii)) {
        name if name.starts_with("r#") => format!("{}_", &name[2..]),
        name => name,
    }
}

fn spelled_or(text: &str, fallback: &str) -> String {
    let spelled = identifier_characters(&spelled(text)).to_upper_camel_case();
    if spelled.is_empty() { fallback.to_owned() } else { spelled }
}

fn starts_identifier(c: char) -> bool {
    c == '_' || unicode_ident::is_xid_start(c)
}

/// What cannot stand in an identifier becomes a word break.
fn identifier_characters(text: &str) -> String {
    text.chars().map(|c| if c != '_' && unicode_ident::is_xid_continue(c) { c } else { ' ' }).collect()
}

/// The text with its punctuation in words, which tells `a+b` from `a-b`.
fn spelled(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        let word = match c {
            '+' => "plus",
            '-' => "dash",
            '.' => "dot",
            '/' => "slash",
            '_' => "underscore",
            ' ' => "space",
            ':' => "colon",
            '*' => "star",
            '#' => "hash",
            '@' => "at",
            '$' => "dollar",
            '%' => "percent",
            '&' => "and",
            '=' => "equals",
            '<' => "less",
            '>' => "greater",
            '!' => "not",
            '?' => "question",
            c if unicode_ident::is_xid_continue(c) => {
                out.push(c);
                continue;
            }
            _ => "sign",
        };
        out.push(' ');
        out.push_str(word);
        out.push(' ');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_and_clashing_names_stay_apart() {
        let mut types = Namer::types();
        assert_eq!(types.type_name("userCreated", "Message").name, "UserCreated");
        assert_eq!(types.type_name("user-created", "Message").name, "UserCreatedMessage");
        assert_eq!(types.type_name("user.created", "Message").name, "UserDotCreated");
        assert_eq!(types.type_name("result", "Type").name, "ResultType");
        assert_eq!(types.type_name("2fa", "Type").name, "N2fa");
        assert_eq!(types.type_name("//", "Type").name, "SlashSlash");
        assert_eq!(types.type_name("", "Type").name, "Unnamed");
    }

    #[test]
    fn qualified_class_names_are_short_while_they_differ() {
        let mut types = Namer::types();
        assert_eq!(types.type_name("com.example.shop.UserDto", "Type").name, "UserDto");
        assert_eq!(types.type_name("com.example.bank.UserDto", "Type").name, "ComExampleBankUserDto");
        assert_eq!(types.type_name("user.created.Event", "Type").name, "Event");
        assert_eq!(types.type_name("user.Created", "Type").name, "UserCreated");
        assert_eq!(types.type_name("a.b.c", "Type").name, "ABC");
    }

    #[test]
    fn keywords_become_raw() {
        let mut members = Namer::members();
        assert_eq!(members.member("type").name, "r#type");
        assert_eq!(members.member("self").name, "self_");
        assert_eq!(members.member("user-id").name, "user_id");
        assert_eq!(members.member("userId").name, "user_id2");
        assert_eq!(members.member("user_id"), Claim { name: "user_underscore_id".into(), clashed: true });
    }

    #[test]
    fn non_ascii_names_are_kept() {
        assert_eq!(pascal("größe"), "Größe");
        assert_eq!(snake("Größe"), "größe");
        assert_eq!(module("type"), "type_");
        assert_eq!(module("größe-v1"), "gr_e_v1");
    }
}
