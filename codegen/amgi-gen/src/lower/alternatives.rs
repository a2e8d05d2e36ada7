//! Alternatives of `oneOf` and `anyOf`, null among them, and objects that need not be one.

use std::collections::HashMap;

use amgi_asyncapi::{model::Schema, node::Node};

use super::{
    apart, custom,
    schema::{is_condition, is_null, is_open, nullable, strings, types},
    shape::Shaper,
};

/// Alternatives of alternatives are looked at so deep.
pub(super) const MOST_DEPTH: usize = 256;

impl<'d> Shaper<'d> {
    /// Whether members beside alternatives are to be merged into each of them.
    pub(super) fn shares(&self, node: &'d Node, branches: &[&'d Node]) -> bool {
        let Some(object) = self.object(&[node]) else { return false };
        let requires = |branch: &'d Node| {
            self.object(&[branch]).is_some_and(|own| object.required.is_subset(&own.required))
        };
        !object.properties.is_empty()
            || object.closed
            || object.additional.is_some_and(|node| !is_open(node))
            || !branches.iter().all(|branch| requires(branch))
            || branches.iter().any(|branch| self.is_loose_object(self.resolve(branch)))
    }

    /// The list of a schema's `oneOf` or `anyOf`, which may stand in a part of its `allOf`.
    pub(super) fn listed(&self, node: &'d Node) -> Option<&'d Node> {
        let own = |node: &'d Node| node.get("oneOf").or_else(|| node.get("anyOf"));
        let in_part = || {
            let parts = node.get("allOf")?.items().iter();
            parts.filter_map(|part| own(self.resolve(part))).find(|all| !self.lists(all, node))
        };
        own(node).or_else(in_part)
    }

    /// Whether a schema is one of the alternatives in a list. A child that extends the parent which lists it is that child,
    /// and not all of its siblings.
    pub(super) fn lists(&self, all: &'d Node, node: &'d Node) -> bool {
        all.items().iter().any(|one| std::ptr::eq(self.resolve(one), self.resolve(node)))
    }

    /// The alternatives of `oneOf` or `anyOf`, without null and without those that only add conditions.
    pub(super) fn branches(&self, node: &'d Node) -> Option<Vec<&'d Node>> {
        let all = self.listed(node)?.items();
        let branches: Vec<&Node> = all
            .iter()
            .filter(|branch| {
                let target = self.resolve(branch);
                !is_null(target) && !is_condition(target)
            })
            .collect();
        let conditions_only = branches.is_empty() && !all.iter().any(|branch| is_null(self.resolve(branch)));
        (!conditions_only).then_some(branches)
    }

    /// Whether null is a value of a schema whose type has a name.
    pub(super) fn allows_null(&self, node: &'d Node) -> bool {
        let parts = node.get("allOf").map(Node::items).unwrap_or_default();
        let parts_do = || !parts.is_empty() && parts.iter().all(|part| self.takes_null(part));
        self.says_null(node) || (types(node).is_empty() && parts_do())
    }

    fn says_null(&self, node: &'d Node) -> bool {
        nullable(node) || self.has_null_branch(node)
    }

    /// Whether null is a value of a schema, wherever that is said.
    pub(super) fn takes_null(&self, node: &'d Node) -> bool {
        self.takes_null_at(node, 0, &mut HashMap::new())
    }

    /// `known` is what was found, and yes of a schema that is looked at: where it leads back to itself, nothing speaks against.
    fn takes_null_at(&self, node: &'d Node, depth: usize, known: &mut HashMap<*const Node, bool>) -> bool {
        let node = self.resolve(node);
        if let Some(takes) = known.get(&std::ptr::from_ref(node)) {
            return *takes;
        }
        known.insert(node, true);
        if depth > MOST_DEPTH || self.says_null(node) {
            return true;
        }
        let mut part = |part: &'d Node| self.takes_null_at(part, depth + 1, known);
        let takes = types(node).is_empty()
            && match (node.get("allOf"), self.branches(node).as_deref()) {
                (Some(parts), _) => parts.items().iter().all(part),
                (None, Some(branches)) => branches.iter().any(|branch| part(branch)),
                _ => strings(node).is_none() && is_open(node),
            };
        known.insert(node, takes);
        takes
    }

    pub(super) fn has_null_branch(&self, node: &'d Node) -> bool {
        let all = self.listed(node).map(Node::items).unwrap_or_default();
        all.iter().any(|branch| is_null(self.resolve(branch)))
    }

    /// Whether a type would refuse what the schema allows: it describes objects, and does not say that it must be one; or
    /// has alternatives that are told by conditions.
    pub(super) fn is_open_shape(&self, node: &'d Node) -> bool {
        if Schema::reference(node).is_some() || strings(node).is_some() || custom::rust_type(node).is_some() {
            return false;
        }
        if let Some(branches) = self.branches(node) {
            let all = self.listed(node).map_or(&[][..], Node::items);
            let conditions =
                all.iter().map(|branch| self.resolve(branch)).any(|b| !is_null(b) && is_condition(b));
            if conditions {
                return true;
            }
            // What describes objects beside alternatives says nothing about those that are none.
            let says_object = self.says_object(node);
            let shares = self.shares(node, &branches);
            return branches.iter().any(|branch| {
                let branch = self.resolve(branch);
                !std::ptr::eq(branch, node)
                    && (is_condition(branch)
                        || (!says_object && self.is_loose_object(branch))
                        || (shares && !says_object && !apart::is_object(self, branch)))
            });
        }
        self.is_loose_object(node)
    }

    pub(super) fn is_loose_object(&self, node: &'d Node) -> bool {
        strings(node).is_none()
            && types(node).is_empty()
            && self.object(&[node]).is_some()
            && !self.says_object(node)
    }

    /// Whether a schema allows nothing but objects, and perhaps null.
    pub(super) fn says_object(&self, node: &'d Node) -> bool {
        self.all_of(&[node]).into_iter().any(|node| {
            let types = types(node);
            types.contains(&"object") && types.iter().all(|ty| ["object", "null"].contains(ty))
        })
    }
}
