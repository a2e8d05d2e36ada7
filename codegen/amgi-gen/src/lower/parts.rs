//! Schemas that describe a value together: the parts of `allOf`, and what two parts say of one member.

use std::collections::{BTreeSet, HashSet};

use amgi_asyncapi::node::{Node, Value};

use super::{
    custom,
    schema::{is_open, same, says_something, strings, types},
    shape::Shaper,
};

/// An object schema, everything that is merged into it included.
#[derive(Default)]
pub(super) struct Object<'d> {
    /// Members in order of the document, with every schema that says something about them.
    pub properties: Vec<(&'d str, Vec<&'d Node>)>,
    pub required: BTreeSet<&'d str>,
    pub additional: Option<&'d Node>,
    pub closed: bool,
}

/// What schemas that describe a value together come to.
pub(super) enum Together<'d> {
    /// There is none.
    Nothing,
    /// The shape is that of one of them; others add rules.
    One(&'d Node),
    /// An object or an enum of texts that is none of them alone.
    Several(Vec<&'d Node>),
}

impl<'d> Shaper<'d> {
    /// The object that these schemas describe together, `allOf` merged in; `None` when they describe none.
    pub(super) fn object(&self, nodes: &[&'d Node]) -> Option<Object<'d>> {
        let mut object = Object::default();
        let mut seen = HashSet::new();
        let mut any = false;
        for node in nodes {
            any |= self.merge(node, &mut object, &mut seen);
        }
        // What must be there has a field, described or not; where nothing is described, a map holds it.
        if !object.properties.is_empty() {
            let described = |name: &&str| object.properties.iter().any(|(wire, _)| wire == name);
            let others: Vec<&str> = object.required.iter().copied().filter(|name| !described(name)).collect();
            let nodes: Vec<&Node> = object.additional.into_iter().collect();
            object.properties.extend(others.into_iter().map(|name| (name, nodes.clone())));
        }
        any.then_some(object)
    }

    /// Schemas that all hold of a value, parts of `allOf` among them, each once.
    pub(super) fn all_of(&self, nodes: &[&'d Node]) -> Vec<&'d Node> {
        let mut out: Vec<&Node> = Vec::new();
        let mut seen: HashSet<*const Node> = HashSet::new();
        let mut queue: Vec<&Node> = nodes.iter().rev().copied().collect();
        while let Some(node) = queue.pop().map(|node| self.resolve(node)) {
            if seen.insert(node) {
                out.push(node);
                queue.extend(node.get("allOf").map(Node::items).unwrap_or_default().iter().rev());
            }
        }
        out
    }

    /// Of [these](Self::all_of), those that say something, and what is said twice only once.
    pub(super) fn conjuncts(&self, nodes: &[&'d Node]) -> Vec<&'d Node> {
        let mut out: Vec<&Node> = Vec::new();
        for node in self.all_of(nodes) {
            if says_something(node) && !out.iter().any(|known| same(known, node)) {
                out.push(node);
            }
        }
        out
    }

    /// What schemas that describe a value together come to.
    pub(super) fn together(&self, nodes: &[&'d Node]) -> Together<'d> {
        let mut said: Vec<&Node> = Vec::new();
        for node in nodes {
            let target = self.resolve(node);
            let says = says_something(target)
                || target.get("allOf").is_some()
                || custom::rust_type(target).is_some();
            if says && !said.iter().any(|known| same(self.resolve(known), target)) {
                said.push(node);
            }
        }
        let [first, _, ..] = said.as_slice() else {
            let only = said.first().or(nodes.first());
            return only.map_or(Together::Nothing, |node| Together::One(node));
        };
        if let Some(foreign) = said.iter().find(|node| custom::rust_type(self.resolve(node)).is_some()) {
            return Together::One(foreign);
        }
        if let Some(texts) = self.texts(&said) {
            // Often one of them is an enum that has a name.
            let all = |node: &&&'d Node| strings(self.resolve(node)).is_some_and(|own| own == texts);
            return said.iter().find(all).map_or(Together::Several(said.clone()), |node| Together::One(node));
        }
        let objects = said.iter().all(|node| self.object(&[node]).is_some() && self.branches(node).is_none());
        if objects
            && said.iter().any(|node| self.says_object(node))
            && self.object(&said).is_some_and(|object| !object.properties.is_empty())
        {
            return Together::Several(said);
        }
        let typed = said.iter().find(|node| !types(self.resolve(node)).is_empty());
        let open = |node: &&&'d Node| !is_open(self.resolve(node));
        Together::One(typed.or(said.iter().find(open)).unwrap_or(first))
    }

    /// The texts that all schemas allow, where one lists some.
    pub(super) fn texts(&self, nodes: &[&'d Node]) -> Option<Vec<&'d str>> {
        let mut lists = self.conjuncts(nodes).into_iter().filter_map(strings);
        let mut texts = lists.next()?;
        for list in lists {
            texts.retain(|text| list.contains(text));
        }
        (!texts.is_empty()).then_some(texts)
    }

    /// What tells schemas that describe a value together from others.
    pub(super) fn identity(&self, nodes: &[&'d Node]) -> Vec<*const Node> {
        nodes.iter().map(|node| std::ptr::from_ref(self.resolve(node))).collect()
    }

    /// Adds what a schema says of objects, after what the parts of its `allOf` say; whether that is anything.
    fn merge(&self, node: &'d Node, object: &mut Object<'d>, seen: &mut HashSet<*const Node>) -> bool {
        let mut any = false;
        // No recursion: a part may have parts that have parts, as many as the document has schemas.
        let mut stack = vec![(node, false)];
        while let Some((node, parts_done)) = stack.pop() {
            if parts_done {
                object.add(node);
                continue;
            }
            let node = self.resolve(node);
            let types = types(node);
            if !seen.insert(node) || (!types.is_empty() && !types.contains(&"object")) {
                continue;
            }
            let keywords = ["properties", "additionalProperties", "patternProperties", "required"];
            any |= types.contains(&"object") || keywords.iter().any(|key| node.get(key).is_some());
            stack.push((node, true));
            let parts = node.get("allOf").map(Node::items).unwrap_or_default();
            stack.extend(parts.iter().rev().map(|part| (part, false)));
        }
        any
    }
}

impl<'d> Object<'d> {
    fn add(&mut self, node: &'d Node) {
        for entry in node.get("properties").map(Node::entries).unwrap_or_default() {
            match self.properties.iter_mut().find(|(wire, _)| *wire == entry.key) {
                Some((_, nodes)) => nodes.push(&entry.value),
                None => self.properties.push((&entry.key, vec![&entry.value])),
            }
        }
        self.required.extend(
            node.get("required").map(Node::items).unwrap_or_default().iter().filter_map(Node::as_str),
        );
        match node.get("additionalProperties") {
            Some(Node { value: Value::Bool(false), .. }) if node.get("patternProperties").is_none() => {
                self.closed = true;
            }
            // What a pattern takes is no additional member.
            Some(schema)
                if node.get("patternProperties").is_none() && self.additional.is_none_or(is_open) =>
            {
                self.additional = Some(schema);
            }
            Some(_) | None => {}
        }
    }
}
