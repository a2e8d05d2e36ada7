//! An independent walk over a document: which operations it has, with which messages, and which properties those carry.
//!
//! It knows nothing of the generator. What it counts is the yardstick for what the generator made, see
//! [`typed`](crate::typed).

use std::collections::{BTreeSet, HashMap};

use crate::tree::{Files, Place, Tree};

/// What a document says that the application does.
#[derive(Debug, Default)]
pub struct Walk {
    /// Operations in order of the document.
    pub operations: Vec<Operation>,
    /// Messages of those operations and of their replies, by place.
    pub messages: HashMap<Place, Message>,
}

/// An operation and its messages.
#[derive(Debug)]
pub struct Operation {
    /// Key; before AsyncAPI 3 `operationId`, else direction and address.
    pub key: String,
    /// Whether the application receives.
    pub receives: bool,
    /// Its channel.
    pub channel: Place,
    /// Its messages, each once.
    pub messages: Vec<Place>,
    /// Messages of the reply, when there is one.
    pub reply: Option<Vec<Place>>,
}

/// What a message carries.
#[derive(Debug)]
pub struct Message {
    /// The payload's schema, when the payload is JSON and its schema is one that describes JSON.
    pub payload: Option<Place>,
    /// How the payload's schema is written: `schemaFormat`, of the message or of the schema, where there is one.
    pub format: Option<String>,
    /// The headers' schemas: the message's own, and those of its traits.
    pub headers: Vec<Place>,
}

/// A property: the schema that has it, and its name.
pub type Property = (Place, String);

impl Walk {
    /// Walks a document.
    pub fn of(files: &Files) -> Self {
        let mut walk = Self::default();
        let Some(root) = files.at(&Place::root()) else { return walk };
        if root.text("asyncapi").is_some_and(|version| version.starts_with("2.")) {
            walk.version_2(files);
        } else {
            walk.version_3(files);
        }
        let used: BTreeSet<&Place> = walk
            .operations
            .iter()
            .flat_map(|operation| operation.messages.iter().chain(operation.reply.iter().flatten()))
            .collect();
        walk.messages = used.into_iter().map(|place| (place.clone(), message(files, root, place))).collect();
        walk
    }

    /// Methods of handler traits: one a message received from a channel, one a request that is replied to.
    pub fn handlers(&self) -> usize {
        let plain: BTreeSet<(&Place, &Place)> = self
            .operations
            .iter()
            .filter(|operation| operation.receives && operation.reply.is_none())
            .flat_map(|operation| operation.messages.iter().map(|message| (&operation.channel, message)))
            .collect();
        let requests = self.operations.iter().filter(|operation| {
            operation.receives && operation.reply.is_some() && !operation.messages.is_empty()
        });
        plain.len() + requests.count()
    }

    /// Operations that send something.
    pub fn sends(&self) -> usize {
        self.operations
            .iter()
            .filter(|operation| !operation.receives && !operation.messages.is_empty())
            .count()
    }

    /// Properties that messages carry: every pair of a schema and a property it describes that is reached from a payload
    /// or headers through properties, elements, additional members and alternatives. Conditions (`if`, `not`,
    /// `contains` …) describe nothing; they restrict what is described elsewhere. Each place counts once, however many
    /// messages share it.
    pub fn properties(&self, files: &Files) -> BTreeSet<Property> {
        let mut found = BTreeSet::new();
        let mut seen = BTreeSet::new();
        let mut queue: Vec<Place> = self
            .messages
            .values()
            .flat_map(|message| message.payload.iter().chain(&message.headers).cloned())
            .collect();
        while let Some(place) = queue.pop() {
            let Some((place, schema)) = files.schema(&place) else { continue };
            if !seen.insert(place.clone()) {
                continue;
            }
            if allows(schema, "object") {
                for name in properties(files, &place, schema) {
                    found.insert((place.clone(), name.to_owned()));
                    queue.push(place.child("properties").child(name));
                }
                if schema.get("additionalProperties").is_some() {
                    queue.push(place.child("additionalProperties"));
                }
                for (pattern, _) in schema.get("patternProperties").map_or(&[][..], Tree::entries) {
                    queue.push(place.child("patternProperties").child(pattern));
                }
            }
            if allows(schema, "array") {
                queue.extend(elements(schema, &place));
            }
            for keyword in ["allOf", "anyOf", "oneOf"] {
                let list = schema.get(keyword).map_or(&[][..], Tree::items);
                queue.extend((0..list.len()).map(|index| place.element(keyword, index)));
            }
        }
        found
    }

    fn version_3(&mut self, files: &Files) {
        let Some((place, operations)) = files.resolve(&Place::root().child("operations")) else { return };
        for (key, _) in operations.entries() {
            let Some((at, operation)) = files.resolve(&place.child(key)) else { continue };
            let Some((channel, _)) = files.resolve(&at.child("channel")) else { continue };
            let reply = files.resolve(&at.child("reply")).filter(|_| operation.get("reply").is_some());
            let reply = reply.map(|(at, reply)| {
                let channel = reply.get("channel").and_then(|_| files.resolve(&at.child("channel")));
                listed(files, &at, reply, channel.map(|(channel, _)| channel).as_ref())
            });
            self.operations.push(Operation {
                key: key.clone(),
                receives: operation.text("action") == Some("receive"),
                messages: listed(files, &at, operation, Some(&channel)),
                channel,
                reply,
            });
        }
    }

    /// What others publish is received, what they subscribe to is sent.
    fn version_2(&mut self, files: &Files) {
        let Some((place, channels)) = files.resolve(&Place::root().child("channels")) else { return };
        for (address, _) in channels.entries() {
            let Some((channel, item)) = files.resolve(&place.child(address)) else { continue };
            for (field, _) in item.entries() {
                let receives = match field.as_str() {
                    "publish" => true,
                    "subscribe" => false,
                    _ => continue,
                };
                let Some((at, operation)) = files.resolve(&channel.child(field)) else { continue };
                let mut messages = Vec::new();
                if operation.get("message").is_some() {
                    choices(files, &at.child("message"), &mut messages);
                }
                let verb = if receives { "receive" } else { "send" };
                let own = operation.text("operationId").filter(|id| !id.trim().is_empty());
                let key = own.map_or_else(|| format!("{verb} {address}"), str::to_owned);
                // Two channels may be one object; the address is what tells them apart.
                let channel = place.child(address);
                self.operations.push(Operation { key, receives, channel, messages, reply: None });
            }
        }
    }
}

/// `messages` of an operation or reply; where it is left out, all of the channel's.
fn listed(files: &Files, at: &Place, node: &Tree, channel: Option<&Place>) -> Vec<Place> {
    let places: Vec<Place> = match (node.get("messages"), channel) {
        (Some(list), _) => (0..list.items().len()).map(|index| at.element("messages", index)).collect(),
        (None, Some(channel)) => {
            let all = files.resolve(&channel.child("messages"));
            let keys = all
                .iter()
                .flat_map(|(place, map)| map.entries().iter().map(move |(key, _)| place.child(key)));
            keys.collect()
        }
        (None, None) => Vec::new(),
    };
    let mut messages = Vec::new();
    for (place, _) in places.iter().filter_map(|place| files.resolve(place)) {
        if !messages.contains(&place) {
            messages.push(place);
        }
    }
    messages
}

/// The message at a place, or those of its `oneOf`, however deep.
fn choices(files: &Files, place: &Place, out: &mut Vec<Place>) {
    let Some((place, message)) = files.resolve(place) else { return };
    match message.get("oneOf") {
        Some(list) if place.tokens.len() < 100 => {
            (0..list.items().len()).for_each(|index| choices(files, &place.element("oneOf", index), out));
        }
        _ if !out.contains(&place) => out.push(place),
        _ => {}
    }
}

fn message(files: &Files, root: &Tree, place: &Place) -> Message {
    let mut parts = Vec::new();
    if let Some(node) = files.at(place) {
        parts.push((place.clone(), node));
        for index in 0..node.get("traits").map_or(0, |list| list.items().len()) {
            parts.extend(files.resolve(&place.element("traits", index)));
        }
    }
    // AsyncAPI 2: the last trait wins. AsyncAPI 3: the message itself, then the last trait.
    let traits_win = root.text("asyncapi").is_some_and(|version| version.starts_with("2."));
    if !traits_win {
        let own = 1.min(parts.len());
        parts.rotate_left(own);
    }
    let last = |key: &str| parts.iter().rev().find_map(|(_, node)| node.text(key));
    let content_type = last("contentType").or(root.text("defaultContentType")).unwrap_or("application/json");
    let format = last("schemaFormat");
    let payload = parts.iter().rev().find(|(_, node)| node.get("payload").is_some());
    let payload = payload.map(|(place, _)| place.child("payload")).filter(|_| is_json(content_type));
    let headers = parts.iter().filter(|(_, node)| node.get("headers").is_some());
    let payload = payload.and_then(|place| schema(files, &place, format));
    let (payload, format) = payload.map_or((None, None), |(place, format)| (Some(place), format));
    let headers = headers.filter_map(|(place, _)| schema(files, &place.child("headers"), None));
    Message { payload, format, headers: headers.map(|(place, _)| place).collect() }
}

/// The schema at a place, which may be a Multi Format Schema Object, and its format; `None` when it is none that describes
/// JSON.
fn schema(files: &Files, place: &Place, format: Option<&str>) -> Option<(Place, Option<String>)> {
    let (place, node) = files.resolve(place)?;
    let inner = node.get("schema").and_then(|_| node.text("schemaFormat"));
    let said = inner.or(format);
    let format = said.unwrap_or("application/schema+json").trim().to_ascii_lowercase();
    let describes_json =
        ["application/vnd.aai.asyncapi", "application/schema", "application/vnd.oai.openapi"];
    if !describes_json.iter().any(|base| format.starts_with(base)) {
        return None;
    }
    Some((if inner.is_some() { place.child("schema") } else { place }, said.map(str::to_owned)))
}

fn is_json(content_type: &str) -> bool {
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence.is_empty()
        || essence.split_once('/').is_some_and(|(_, subtype)| subtype.contains("json"))
        || essence == "json"
}

/// The types a schema names.
pub fn types(schema: &Tree) -> Vec<&str> {
    match schema.get("type") {
        Some(Tree::Text(one)) => vec![one],
        Some(several) => several.items().iter().filter_map(Tree::as_str).collect(),
        None => Vec::new(),
    }
}

/// Whether values of a type can fit a schema.
pub fn allows(schema: &Tree, ty: &str) -> bool {
    let types = types(schema);
    types.is_empty() || types.contains(&ty)
}

/// Names of the properties of the schema at a place. Some documents write the whole map as a reference.
pub fn properties<'t>(files: &'t Files, place: &Place, schema: &'t Tree) -> Vec<&'t str> {
    let own = schema.get("properties").filter(|map| map.text("$ref").is_none());
    let map = own.or_else(|| {
        schema.get("properties")?;
        files.resolve(&place.child("properties")).map(|(_, map)| map)
    });
    map.map_or(&[][..], Tree::entries).iter().map(|(name, _)| name.as_str()).collect()
}

/// Places of the schemas of an array's elements.
pub fn elements(schema: &Tree, place: &Place) -> Vec<Place> {
    let mut out = Vec::new();
    for keyword in ["items", "prefixItems", "additionalItems"] {
        match schema.get(keyword) {
            Some(Tree::List(items)) => {
                out.extend((0..items.len()).map(|index| place.element(keyword, index)));
            }
            Some(Tree::Map(_)) => out.push(place.child(keyword)),
            _ => {}
        }
    }
    out
}
