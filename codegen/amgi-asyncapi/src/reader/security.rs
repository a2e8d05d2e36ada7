//! Security schemes, and who asks for which. They are data: whoever connects knows what to do with them.

use super::{Reader, is_object, scalar_text, text, texts};
use crate::{
    model::Security,
    node::{Entry, Node},
    refs::Target,
};

impl<'a> Reader<'a, '_> {
    /// `components.securitySchemes`.
    pub(super) fn security_schemes(&mut self, top: &Target<'a>) {
        let Some(components) = self.member(top, "components") else { return };
        let schemes = self.members(&components, "securitySchemes").into_iter();
        self.document.security_schemes =
            schemes.map(|(entry, target)| scheme(Some(entry.key.clone()), target.node)).collect();
    }

    /// `security` of a server or operation.
    pub(crate) fn security(&mut self, target: &Target<'a>) -> Vec<Vec<Security>> {
        if self.formats_beside {
            // AsyncAPI 2.6, Security Requirement Object: names of schemes with their scopes, all of which are wanted.
            let items = target.node.get("security").map_or(&[][..], Node::items);
            return items.iter().map(|item| item.entries().iter().map(|e| self.named(e)).collect()).collect();
        }
        let own = |target: &Target<'_>| match target.place.tokens.as_slice() {
            [a, b, name] if a == "components" && b == "securitySchemes" => Some(name.clone()),
            _ => None,
        };
        let elements = self.elements(target, "security").into_iter().filter(|one| is_object(one.node));
        elements.map(|one| vec![scheme(own(&one), one.node)]).collect()
    }

    fn named(&self, requirement: &Entry) -> Security {
        let Entry { key, value, .. } = requirement;
        let schemes = &self.document.security_schemes;
        let known = schemes.iter().find(|scheme| scheme.name.as_deref() == Some(key));
        let mut security = known.cloned().unwrap_or_else(|| scheme(Some(key.clone()), value));
        security.scopes = value.items().iter().filter_map(Node::as_str).map(str::to_string).collect();
        security
    }
}

fn scheme(name: Option<String>, node: &Node) -> Security {
    Security {
        name,
        kind: scalar_text(node, "type").unwrap_or_default(),
        description: text(node, "description"),
        scopes: texts(node, "scopes"),
        value: node.clone(),
    }
}
