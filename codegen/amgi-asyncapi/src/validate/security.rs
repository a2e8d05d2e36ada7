//! Tables: security schemes, and what refers to them by name in AsyncAPI 2. Whoever connects reads them; code does not,
//! so no problem in them is an error.

use std::collections::{BTreeSet, HashMap};

use super::{
    Walk,
    shape::{Field, Kind, Ty, kind, may, must},
};
use crate::{
    codes,
    diag::{Diagnostic, Diagnostics, nearest},
    node::{Node, Value},
    refs::{Place, Refs},
};

const fn scheme(fields: &'static [Field]) -> Kind {
    Kind { may_refer: false, ..kind("a security scheme", fields) }
}

/// A scheme of AsyncAPI 3.
pub(super) static SECURITY: Kind = Kind {
    gentle: true,
    open: true,
    variants: &[
        ("userPassword", &PLAIN, 0),
        ("apiKey", &API_KEY, 0),
        ("X509", &PLAIN, 0),
        ("symmetricEncryption", &PLAIN, 0),
        ("asymmetricEncryption", &PLAIN, 0),
        ("httpApiKey", &HTTP_API_KEY, 0),
        ("http", &HTTP, 0),
        ("oauth2", &OAUTH2, 0),
        ("openIdConnect", &OPEN_ID, 0),
        ("plain", &PLAIN, 0),
        ("scramSha256", &PLAIN, 0),
        ("scramSha512", &PLAIN, 0),
        ("gssapi", &PLAIN, 0),
    ],
    ..kind("a security scheme", &[must("type", Ty::Text)])
};

/// A scheme of AsyncAPI 2.
pub(super) static SECURITY_2: Kind = Kind {
    gentle: true,
    open: true,
    variants: &[
        ("userPassword", &PLAIN, 0),
        ("apiKey", &API_KEY, 0),
        ("X509", &PLAIN, 0),
        ("symmetricEncryption", &PLAIN, 0),
        ("asymmetricEncryption", &PLAIN, 0),
        ("httpApiKey", &HTTP_API_KEY, 0),
        ("http", &HTTP, 0),
        ("oauth2", &OAUTH2_2, 0),
        ("openIdConnect", &OPEN_ID_2, 0),
        ("plain", &PLAIN, 1),
        ("scramSha256", &PLAIN, 1),
        ("scramSha512", &PLAIN, 1),
        ("gssapi", &PLAIN, 1),
    ],
    ..kind("a security scheme", &[must("type", Ty::Text)])
};

static PLAIN: Kind = scheme(&[must("type", Ty::Text), may("description", Ty::Text)]);

static API_KEY: Kind = scheme(&[
    must("type", Ty::Text),
    must("in", Ty::Choice(&["user", "password"])),
    may("description", Ty::Text),
]);

static HTTP_API_KEY: Kind = scheme(&[
    must("type", Ty::Text),
    must("in", Ty::Choice(&["header", "query", "cookie"])),
    must("name", Ty::Text),
    may("description", Ty::Text),
]);

static HTTP: Kind = Kind {
    also: bearer,
    ..scheme(&[
        must("type", Ty::Text),
        must("scheme", Ty::Text),
        may("bearerFormat", Ty::Text),
        may("description", Ty::Text),
    ])
};

static OPEN_ID: Kind = scheme(&[
    must("type", Ty::Text),
    must("openIdConnectUrl", Ty::Uri),
    may("scopes", Ty::Texts),
    may("description", Ty::Text),
]);

static OPEN_ID_2: Kind =
    scheme(&[must("type", Ty::Text), must("openIdConnectUrl", Ty::Uri), may("description", Ty::Text)]);

static OAUTH2: Kind = scheme(&[
    must("type", Ty::Text),
    must("flows", Ty::Object(&FLOWS)),
    may("scopes", Ty::Texts),
    may("description", Ty::Text),
]);

static OAUTH2_2: Kind =
    scheme(&[must("type", Ty::Text), must("flows", Ty::Object(&FLOWS_2)), may("description", Ty::Text)]);

const fn flows(fields: &'static [Field]) -> Kind {
    Kind { may_refer: false, ..kind("`flows`", fields) }
}

static FLOWS: Kind = flows(&[
    may("implicit", Ty::Object(&IMPLICIT)),
    may("password", Ty::Object(&BY_TOKEN)),
    may("clientCredentials", Ty::Object(&BY_TOKEN)),
    may("authorizationCode", Ty::Object(&BY_CODE)),
]);

static FLOWS_2: Kind = flows(&[
    may("implicit", Ty::Object(&IMPLICIT_2)),
    may("password", Ty::Object(&BY_TOKEN_2)),
    may("clientCredentials", Ty::Object(&BY_TOKEN_2)),
    may("authorizationCode", Ty::Object(&BY_CODE_2)),
]);

const SCOPES: (&str, &str) = ("scopes", "in AsyncAPI 3 it is `availableScopes`");
const SCOPES_2: (&str, &str) = ("availableScopes", "in AsyncAPI 2 it is `scopes`");

const fn flow(moved: &'static [(&'static str, &'static str)], fields: &'static [Field]) -> Kind {
    Kind { may_refer: false, moved, ..kind("an OAuth flow", fields) }
}

static IMPLICIT: Kind = flow(
    &[SCOPES, ("tokenUrl", "an implicit flow has no token URL")],
    &[must("authorizationUrl", Ty::Uri), must("availableScopes", Ty::Texted), may("refreshUrl", Ty::Uri)],
);
static BY_TOKEN: Kind = flow(
    &[SCOPES, ("authorizationUrl", "this flow has a token URL only")],
    &[must("tokenUrl", Ty::Uri), must("availableScopes", Ty::Texted), may("refreshUrl", Ty::Uri)],
);
static BY_CODE: Kind = flow(
    &[SCOPES],
    &[
        must("authorizationUrl", Ty::Uri),
        must("tokenUrl", Ty::Uri),
        must("availableScopes", Ty::Texted),
        may("refreshUrl", Ty::Uri),
    ],
);
static IMPLICIT_2: Kind = flow(
    &[SCOPES_2, ("tokenUrl", "an implicit flow has no token URL")],
    &[must("authorizationUrl", Ty::Uri), must("scopes", Ty::Texted), may("refreshUrl", Ty::Uri)],
);
static BY_TOKEN_2: Kind = flow(
    &[SCOPES_2, ("authorizationUrl", "this flow has a token URL only")],
    &[must("tokenUrl", Ty::Uri), must("scopes", Ty::Texted), may("refreshUrl", Ty::Uri)],
);
static BY_CODE_2: Kind = flow(
    &[SCOPES_2],
    &[
        must("authorizationUrl", Ty::Uri),
        must("tokenUrl", Ty::Uri),
        must("scopes", Ty::Texted),
        may("refreshUrl", Ty::Uri),
    ],
);

/// `bearerFormat` belongs to `scheme: bearer`.
fn bearer(walk: &mut Walk<'_, '_>, node: &Node) {
    if let Some(entry) = node.entry("bearerFormat")
        && node.get("scheme").and_then(Node::as_str) != Some("bearer")
    {
        let message = "`bearerFormat` says something about `scheme: bearer` only";
        walk.push(Diagnostic::warning(codes::UNKNOWN_FIELD, entry.key_span, message));
    }
}

/// Each member of a Security Requirement Object is a list of scopes.
pub(super) fn requirement(walk: &mut Walk<'_, '_>, node: &Node) {
    for entry in node.entries() {
        walk.value(entry, &Ty::DistinctTexts);
    }
}

/// Reports security requirements of AsyncAPI 2 that name no scheme, or a scope that the scheme does not have.
pub(super) fn requirements(refs: &Refs<'_>, diags: &mut Diagnostics) {
    let root = refs.root();
    let place = Place::root().child("components").child("securitySchemes");
    let defined =
        root.get("components").and_then(|c| c.get("securitySchemes")).map_or(&[][..], Node::entries);
    let schemes: HashMap<&str, Option<BTreeSet<&str>>> = defined
        .iter()
        .filter_map(|entry| {
            let target = refs.follow(&entry.value, place.child(&entry.key), entry.key_span).ok()?;
            Some((entry.key.as_str(), scopes(target.node)))
        })
        .collect();
    let values = |field| root.get(field).map_or(&[][..], Node::entries).iter().map(|entry| &entry.value);
    let operations = values("channels")
        .flat_map(|channel| ["publish", "subscribe"].into_iter().filter_map(|field| channel.get(field)));
    for object in values("servers").chain(operations) {
        for entry in object.get("security").map_or(&[][..], Node::items).iter().flat_map(Node::entries) {
            let Some(scopes) = schemes.get(entry.key.as_str()) else {
                let message = format!("`components` has no security scheme `{}`", entry.key);
                let near = nearest(&entry.key, schemes.keys().copied());
                let help = near.map_or_else(
                    || format!("add `{}` to `securitySchemes` in `components`", entry.key),
                    |near| format!("did you mean `{near}`?"),
                );
                diags
                    .push(Diagnostic::warning(codes::SECURITY_UNDEFINED, entry.key_span, message).help(help));
                continue;
            };
            let Some(scopes) = scopes else { continue };
            for scope in entry.value.items() {
                let Some(name) = scope.as_str().filter(|name| !scopes.contains(name)) else { continue };
                let message = format!("the security scheme `{}` has no scope `{name}`", entry.key);
                let diagnostic = Diagnostic::warning(codes::SCOPE_UNDEFINED, scope.span, message);
                diags.push(match nearest(name, scopes.iter().copied()) {
                    Some(near) => diagnostic.help(format!("did you mean `{near}`?")),
                    None => diagnostic.help("add it to the `scopes` of one of its flows"),
                });
            }
        }
    }
}

/// The scopes of an OAuth scheme; `None` for the others.
fn scopes(scheme: &Node) -> Option<BTreeSet<&str>> {
    if scheme.get("type")?.as_str()? != "oauth2" {
        return None;
    }
    let flows = scheme.get("flows").filter(|flows| matches!(flows.value, Value::Object(_)))?;
    let scopes = flows.entries().iter().filter_map(|flow| flow.value.get("scopes"));
    Some(scopes.flat_map(Node::entries).map(|scope| scope.key.as_str()).collect())
}
