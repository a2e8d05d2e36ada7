//! Where types and rules say exactly what a schema says, and where they do not: then a validator reads the schema itself.
//!
//! What must stay true: a schema without a reason here is decided by its type and rules alone, in both directions; a
//! schema with one has a type that holds every value the schema allows. When in doubt there is a reason.

use std::collections::HashSet;

use amgi_asyncapi::{
    diag::Span,
    node::{Node, Value},
};

use serde_json::Value as Json;

use super::{
    apart, custom,
    parts::{Object, Together},
    rules::{needs_validator, rules},
    schema::{
        ALTERNATIVES, ARRAYS, LITERAL, NUMBERS, OBJECTS, OTHER, STRINGS, any, is_null, literals, nullable,
        strings, types,
    },
    shape::Shaper,
    typedefs::keeps,
};
use crate::ir::{Rule, Ty};

/// What is to be known of a schema.
pub(super) struct Verdict {
    /// Why the type and the rules are not all that it says: a keyword and its place; `None` when they are.
    pub reason: Option<(&'static str, Span)>,
    /// Where alternatives are of which exactly one may fit, and two could. Their type sees to that when it is read; what is
    /// written must be read again.
    pub exactly_one: Option<Span>,
}

pub(super) fn verdict<'d>(shaper: &Shaper<'d>, node: &'d Node) -> Verdict {
    let mut reasons = Reasons::new(shaper);
    let keyword = reasons.first(node);
    let reason = keyword.map(|keyword| (keyword, reasons.place.unwrap_or(node.span)));
    Verdict { reason, exactly_one: reasons.exactly_one }
}

/// Whether the type of a schema must refuse what fits two of its alternatives. Only where each of them is decided by its
/// type: what fits a type that is too wide may not fit the schema.
pub(super) fn takes_one<'d>(shaper: &Shaper<'d>, node: &'d Node) -> bool {
    let node = shaper.resolve(node);
    let listed = |all: &Node| shaper.listed(node).is_some_and(|list| std::ptr::eq(list, all));
    let one_of = shaper.conjuncts(&[node]).iter().any(|part| part.get("oneOf").is_some_and(listed));
    let overlap = one_of && shaper.branches(node).is_some_and(|branches| !apart::all(shaper, &branches));
    overlap && Reasons::new(shaper).first(node).is_none()
}

struct Reasons<'s, 'd> {
    shaper: &'s Shaper<'d>,
    /// What was looked at, or is: a schema that leads back to itself adds nothing.
    seen: HashSet<Vec<*const Node>>,
    /// Where the innermost reason lies.
    place: Option<Span>,
    /// The first alternatives of which exactly one may fit, and two could.
    exactly_one: Option<Span>,
    /// How deep in other schemas what is looked at lies, and what waits as it lies too deep.
    depth: usize,
    waiting: Vec<Vec<&'d Node>>,
}

/// Schemas within schemas are looked at so deep; those further down wait until the outer ones are done.
const DEEP: usize = 64;

impl<'s, 'd> Reasons<'s, 'd> {
    fn new(shaper: &'s Shaper<'d>) -> Self {
        let seen = HashSet::new();
        Self { shaper, seen, place: None, exactly_one: None, depth: 0, waiting: Vec::new() }
    }

    /// Of a schema with all that it leads to.
    fn first(&mut self, node: &'d Node) -> Option<&'static str> {
        let mut reason = self.of(&[node]);
        while reason.is_none()
            && let Some(nodes) = self.waiting.pop()
        {
            reason = self.of(&nodes);
        }
        reason
    }

    /// Of schemas that describe a value together.
    fn of(&mut self, nodes: &[&'d Node]) -> Option<&'static str> {
        if self.depth > DEEP {
            self.waiting.push(nodes.to_vec());
            return None;
        }
        self.depth += 1;
        let keyword = self.whole(nodes);
        self.depth -= 1;
        let keyword = keyword?;
        if self.place.is_none() {
            let parts = self.shaper.conjuncts(nodes);
            let own = nodes.iter().map(|node| self.shaper.resolve(node));
            let entry = own.chain(parts).find_map(|part| part.entry(keyword));
            self.place = entry.map(|entry| entry.key_span).or(nodes.first().map(|node| node.span));
        }
        Some(keyword)
    }

    fn whole(&mut self, nodes: &[&'d Node]) -> Option<&'static str> {
        if !self.seen.insert(self.shaper.identity(nodes)) {
            return None;
        }
        if nodes.iter().any(|node| custom::rust_type(self.shaper.resolve(node)).is_some()) {
            // What the document says in Rust is taken by its word.
            return (nodes.len() > 1).then_some("allOf");
        }
        let parts = self.shaper.conjuncts(nodes);
        for part in &parts {
            if part.value == Value::Bool(false) {
                return Some("false");
            }
            if let Some(keyword) = any(part, OTHER) {
                return Some(keyword);
            }
            if needs_validator(self.shaper, part) {
                return Some("format");
            }
        }
        let opaque = match nodes {
            [only] => self.shaper.is_opaque(self.shaper.resolve(only)),
            several => several.iter().any(|node| self.shaper.is_refused(node)),
        };
        if opaque {
            return Some("type");
        }
        match parts.as_slice() {
            [] => None,
            [only] if any(only, ALTERNATIVES).is_none() || strings(only).is_some() => self.one(only),
            [only] if self.is_choice(only, nodes) => {
                // Where alternatives stand in a part, the whole has their type.
                let whole = nodes.first().map(|node| self.shaper.resolve(node));
                let whole = whole.filter(|whole| self.shaper.listed(whole).is_some());
                self.alternatives(whole.unwrap_or(only), &parts)
            }
            _ => self.several(nodes, &parts),
        }
    }

    /// A schema by itself.
    fn one(&mut self, node: &'d Node) -> Option<&'static str> {
        if self.shaper.is_opaque(node) {
            return Some("type");
        }
        if strings(node).is_some() {
            return texts(node);
        }
        let names: Vec<&str> = types(node).into_iter().filter(|ty| *ty != "null").collect();
        if names.len() > 1 {
            return self.types(node, &names);
        }
        if self.shaper.object(&[node]).is_some() {
            return self.object(&[node], &[node]);
        }
        match names.as_slice() {
            [] if types(node).contains(&"null") => any(node, LITERAL),
            [] => untyped(node),
            ["array"] => self.array(node),
            ["string" | "number" | "integer" | "boolean"] => None,
            _ => Some("type"),
        }
    }

    /// Schemas that describe a value together; `parts` is what they come to.
    fn several(&mut self, nodes: &[&'d Node], parts: &[&'d Node]) -> Option<&'static str> {
        // An enum is made of the texts of one schema, whatever its `allOf` says, or of those that several have in common.
        if let [only] = nodes
            && strings(self.shaper.resolve(only)).is_some()
        {
            return Some("allOf");
        }
        if parts.iter().any(|part| strings(part).is_some()) {
            return self.common_texts(nodes, parts);
        }
        if parts.iter().any(|part| self.is_choice(part, nodes)) {
            let [only] = nodes else { return Some("allOf") };
            return self.alternatives(self.shaper.resolve(only), parts);
        }
        if self.shaper.object(nodes).is_some() {
            return self.object(nodes, parts);
        }
        scalars(parts)
    }

    /// Whether a schema has alternatives. Those of a parent that lists its children say nothing of a child.
    fn is_choice(&self, part: &'d Node, nodes: &[&'d Node]) -> bool {
        strings(part).is_none()
            && ALTERNATIVES
                .iter()
                .filter_map(|keyword| part.get(keyword))
                .any(|all| !nodes.iter().any(|node| self.shaper.lists(all, node)))
    }

    /// Several types, one alternative for each.
    fn types(&mut self, node: &'d Node, names: &[&str]) -> Option<&'static str> {
        if let Some(keyword) = any(node, LITERAL) {
            return Some(keyword);
        }
        for name in names {
            match *name {
                "string" | "number" | "integer" | "boolean" => {}
                "array" => {
                    if let Some(reason) = self.array(node) {
                        return Some(reason);
                    }
                }
                "object" => {
                    let object = self.shaper.object(&[node])?;
                    if !object.properties.is_empty() || object.closed {
                        return Some("type");
                    }
                    if let Some(reason) = object.additional.and_then(|node| self.of(&[node])) {
                        return Some(reason);
                    }
                }
                _ => return Some("type"),
            }
        }
        None
    }

    fn array(&mut self, node: &'d Node) -> Option<&'static str> {
        if let Some(keyword) = any(node, LITERAL) {
            return Some(keyword);
        }
        let items = node.get("items");
        match items.map(|items| &items.value) {
            Some(Value::Array(_) | Value::Bool(false)) => return Some("items"),
            Some(Value::Object(_)) => {
                if let Some(reason) = self.of(&[items?]) {
                    return Some(reason);
                }
            }
            _ => {}
        }
        let unique = matches!(node.get("uniqueItems"), Some(Node { value: Value::Bool(true), .. }));
        // Items that lost members on their way may be equal without having been.
        let scalar = items.is_none_or(|items| {
            let item = self.shaper.resolve(items);
            let types = types(item);
            strings(item).is_some()
                || (!types.is_empty() && types.iter().all(|ty| !["object", "array"].contains(ty)))
        });
        (unique && !scalar).then_some("uniqueItems")
    }

    /// An object, merged from `parts`.
    fn object(&mut self, nodes: &[&'d Node], parts: &[&'d Node]) -> Option<&'static str> {
        let object = self.shaper.object(nodes)?;
        let has_members = !object.properties.is_empty();
        if !nodes.iter().any(|node| self.shaper.says_object(node)) || (nodes.len() > 1 && !has_members) {
            return Some("type");
        }
        for part in parts {
            if let Some(reason) = self.part(part, &object, parts.len() > 1) {
                return Some(reason);
            }
        }
        if object.closed && !has_members {
            if !object.required.is_empty() {
                return Some("required");
            }
            if parts.iter().any(|part| nullable(part)) {
                return Some("additionalProperties");
            }
        }
        for (_, nodes) in &object.properties {
            let reason = match self.shaper.together(nodes) {
                Together::Nothing => None,
                Together::One(_) => self.of(nodes),
                Together::Several(said) => {
                    let merged = self.shaper.merged.contains_key(&self.shaper.identity(&said));
                    if merged { self.of(&said) } else { Some("allOf") }
                }
            };
            if reason.is_some() {
                return reason;
            }
        }
        object.additional.filter(|_| !object.closed).and_then(|node| self.of(&[node]))
    }

    /// What one of the schemas that make up an object says, apart from its members.
    fn part(&self, part: &'d Node, object: &Object<'d>, merged: bool) -> Option<&'static str> {
        if let Some(keyword) = any(part, LITERAL) {
            return Some(keyword);
        }
        let has_members = !object.properties.is_empty();
        if has_members || object.closed {
            let sized = any(part, &["minProperties", "maxProperties"]);
            if sized.is_some() {
                return sized;
            }
        }
        if types(part).iter().any(|ty| *ty != "object" && (*ty != "null" || merged)) {
            return Some("type");
        }
        let additional = part.get("additionalProperties")?;
        if self.shaper.conjuncts(&[additional]).is_empty() {
            return None;
        }
        // It is about all that this very schema does not describe, whatever others do.
        let closes = matches!(additional.value, Value::Bool(false));
        let described = |wire: &str| part.get("properties").is_some_and(|all| all.get(wire).is_some());
        let meant = |nodes: &[&Node]| matches!(nodes, [only] if !closes && std::ptr::eq(*only, additional));
        if object.properties.iter().any(|(wire, nodes)| !described(wire) && !meant(nodes)) {
            return Some(if merged { "additionalProperties" } else { "required" });
        }
        let chosen =
            closes || object.closed || object.additional.is_some_and(|node| std::ptr::eq(node, additional));
        (!chosen || (merged && !has_members)).then_some("additionalProperties")
    }

    fn alternatives(&mut self, node: &'d Node, parts: &[&'d Node]) -> Option<&'static str> {
        let mut choices = parts.iter().filter(|part| self.is_choice(part, &[node]));
        let (Some(choice), None) = (choices.next(), choices.next()) else { return Some("allOf") };
        let keyword = if choice.get("oneOf").is_some() { "oneOf" } else { "anyOf" };
        let list = choice.get(keyword)?;
        let listed = self.shaper.listed(node).is_some_and(|listed| std::ptr::eq(listed, list));
        let both = ALTERNATIVES.iter().all(|keyword| choice.get(keyword).is_some());
        let branches = self.shaper.branches(node).unwrap_or_default();
        let nulls = list.items().iter().filter(|branch| is_null(self.shaper.resolve(branch))).count();
        if !listed || both || branches.is_empty() || nulls > 1 || nulls + branches.len() != list.items().len()
        {
            return Some(keyword);
        }
        // Null is no object, and no text either.
        if nulls > 0 && parts.iter().any(|part| !types(part).is_empty()) {
            return Some(keyword);
        }
        let shares = branches.len() > 1 && self.shaper.shares(node, &branches);
        if !shares && !self.adds_nothing(parts, &branches) {
            return Some(keyword);
        }
        for branch in &branches {
            let target = self.shaper.resolve(branch);
            if !matches!(target.value, Value::Object(_)) || self.shaper.takes_null(target) {
                return Some(keyword);
            }
            let reason = if shares { self.of(&[branch, node]) } else { self.of(&[branch]) };
            if reason.is_some() {
                return reason;
            }
        }
        // "At least one" is true of what fits the first that it fits, and so is "exactly one" when no value fits two.
        if keyword == "oneOf" && !apart::all(self.shaper, &branches) {
            if apart::is_split(self.shaper, &branches) {
                return Some(keyword);
            }
            self.exactly_one.get_or_insert(list.span);
        }
        None
    }

    /// Whether what stands beside alternatives is true of each of them: a type that they have.
    fn adds_nothing(&self, parts: &[&'d Node], branches: &[&'d Node]) -> bool {
        let beside = [
            STRINGS,
            NUMBERS,
            ARRAYS,
            LITERAL,
            &["properties", "additionalProperties", "minProperties", "maxProperties"],
        ];
        parts.iter().all(|part| {
            let types = types(part);
            let fits = |kind: &str| types.contains(&kind) || (kind == "integer" && types.contains(&"number"));
            let implied = |branch: &&'d Node| {
                let kinds = apart::kinds(self.shaper, branch);
                kinds.is_some_and(|kinds| kinds.into_iter().all(fits))
            };
            // Where a name that must be there is not shared, each of several alternatives asks for it too.
            let required = part.get("required").is_none() || branches.len() > 1;
            beside.iter().all(|keywords| any(part, keywords).is_none())
                && required
                && (types.is_empty() || (!types.contains(&"null") && branches.iter().all(implied)))
        })
    }

    /// An enum of the texts that several schemas have in common.
    fn common_texts(&self, nodes: &[&'d Node], parts: &[&'d Node]) -> Option<&'static str> {
        let Some(texts) = self.shaper.texts(nodes) else { return Some("allOf") };
        for part in parts {
            let text = types(part).iter().all(|ty| *ty == "string");
            let others = [OBJECTS, ALTERNATIVES].iter().any(|keywords| any(part, keywords).is_some());
            let listed = any(part, LITERAL).is_some();
            if !text
                || others
                || listed != strings(part).is_some()
                || LITERAL.iter().all(|key| part.get(key).is_some())
            {
                return Some("allOf");
            }
            let rules = rules(self.shaper, part, &Ty::String);
            let format = rules.iter().any(|rule| matches!(rule, Rule::Format(_)));
            if format || !texts.iter().all(|text| keeps(&rules, &Json::from(*text))) {
                return Some("allOf");
            }
        }
        None
    }
}

/// Scalars whose rules stand in several places.
fn scalars(parts: &[&Node]) -> Option<&'static str> {
    let typed = parts.iter().find_map(|part| types(part).first().copied());
    let one = typed.is_some_and(|ty| ["string", "number", "integer", "boolean"].contains(&ty));
    let alike = |part: &&Node| match types(part).as_slice() {
        [] => any(part, LITERAL).is_none(),
        [only] => Some(*only) == typed,
        _ => false,
    };
    (!one || !parts.iter().all(alike)).then_some("allOf")
}

/// An enum of texts holds exactly these, unless something beside says otherwise.
fn texts(node: &Node) -> Option<&'static str> {
    if types(node).iter().any(|ty| !["string", "null"].contains(ty)) || types(node) == ["null"] {
        return Some("enum");
    }
    if node.get("const").is_some() && node.get("enum").is_some() {
        return Some("enum");
    }
    let beside = any(node, STRINGS).filter(|keyword| *keyword != "format");
    let listed = any(node, LITERAL).is_some();
    let alternatives = node.get("oneOf").or_else(|| node.get("anyOf"));
    if listed && alternatives.is_some() {
        return Some("oneOf");
    }
    // Null beside alternatives is none of them.
    if alternatives.is_some() && types(node).contains(&"null") {
        return Some("oneOf");
    }
    let plain = |branch: &Node| {
        let types = types(branch);
        (types.is_empty() || types == ["string"])
            && [STRINGS, ALTERNATIVES, &["allOf"]].iter().all(|keywords| any(branch, keywords).is_none())
    };
    if alternatives.is_some_and(|all| !all.items().iter().all(plain)) {
        return Some("oneOf");
    }
    beside
}

fn untyped(node: &Node) -> Option<&'static str> {
    let beside = [STRINGS, NUMBERS, ARRAYS, OBJECTS];
    if let Some(keyword) = beside.iter().find_map(|keywords| any(node, keywords)) {
        return Some(keyword);
    }
    if LITERAL.iter().all(|keyword| node.get(keyword).is_some()) {
        return Some("enum");
    }
    // An `i64` holds them, where all are integers.
    let wide =
        |node: &Node| matches!(&node.value, Value::Number(number) if number.is_u64() && !number.is_i64());
    literals(node).is_some_and(|values| values.iter().any(wide)).then_some("enum")
}
