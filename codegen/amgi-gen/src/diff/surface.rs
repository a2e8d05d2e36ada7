//! What the compiler sees of generated code: items, their members and signatures.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    emit::MOST_PARTS,
    ir::{Api, Channel, Fields, Method, Missing, Send, Ty, TypeDef, TypeKind},
};

/// A member by name: a field and its type, a variant and what it holds, a method and its signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) text: String,
    /// What it stands for in the document, by which it is known when it is renamed.
    pub(super) origin: String,
    /// Keys of the operations that it is for.
    pub(super) operations: BTreeSet<String>,
}

impl Member {
    fn new(name: &str, text: impl Into<String>, origin: impl Into<String>) -> Self {
        let name = name.to_owned();
        Self { name, text: text.into(), origin: origin.into(), operations: BTreeSet::new() }
    }
}

/// What kind of item it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// A handler trait.
    Handler,
    /// `Sender`, whose members are its methods.
    Sender,
    /// A struct with public fields.
    Struct,
    /// A builder, whose members are its methods.
    Builder,
    /// An enum.
    Enum,
    /// A tuple struct or an alias: its only member is what it is made of.
    Wrapper,
    /// A function; its only member is its signature.
    Function,
}

/// A public item.
#[derive(Debug, Clone)]
pub(super) struct Item {
    /// Path below the module.
    pub(super) path: String,
    pub(super) form: Form,
    pub(super) members: Vec<Member>,
    /// Traits beside those that every type has.
    pub(super) derives: Vec<String>,
    /// What it stands for in the document; empty where that has no name.
    pub(super) origin: String,
    /// Keys of the operations that it is for.
    pub(super) operations: BTreeSet<String>,
}

/// Every item of the module.
pub(super) fn surface(api: &Api) -> Vec<Item> {
    let mut surface = Surface { api, items: Vec::new(), users: users(api) };
    surface.messages();
    surface.channels();
    surface.application();
    surface.types();
    surface.items
}

/// A type as Rust writes it, seen from the module.
fn shown(ty: &Ty) -> String {
    match ty {
        Ty::String => "String".to_owned(),
        Ty::Bool => "bool".to_owned(),
        Ty::Number(name) => name.clone(),
        Ty::Exact => "amgi::Number".to_owned(),
        Ty::Json => "serde_json::Value".to_owned(),
        Ty::JsonObject => "serde_json::Map<String, serde_json::Value>".to_owned(),
        Ty::Bytes => "amgi::Bytes".to_owned(),
        Ty::Unit => "()".to_owned(),
        Ty::Option(of) => format!("Option<{}>", shown(of)),
        Ty::Box(of) => format!("Box<{}>", shown(of)),
        Ty::Vec(of) => format!("Vec<{}>", shown(of)),
        Ty::Map(of) => format!("BTreeMap<String, {}>", shown(of)),
        Ty::Tuple(of) => {
            let of: Vec<String> = of.iter().map(shown).collect();
            format!("({})", of.join(", "))
        }
        Ty::Array(of, length) => format!("[{}; {length}]", shown(of)),
        Ty::Named(name) => format!("types::{name}"),
    }
}

/// Names of the types that a type is made of.
fn named<'t>(ty: &'t Ty, out: &mut Vec<&'t str>) {
    match ty {
        Ty::Named(name) => out.push(name),
        Ty::Option(of) | Ty::Box(of) | Ty::Vec(of) | Ty::Map(of) | Ty::Array(of, _) => named(of, out),
        Ty::Tuple(of) => of.iter().for_each(|of| named(of, out)),
        _ => {}
    }
}

/// Keys of the operations that use a message, by its index.
fn users(api: &Api) -> Vec<BTreeSet<String>> {
    let mut users = vec![BTreeSet::new(); api.messages.len()];
    let mut add = |messages: &[usize], operations: &[String]| {
        for index in messages {
            users[*index].extend(operations.iter().cloned());
        }
    };
    for method in api.handled().flat_map(|(_, handler)| &handler.methods) {
        add(&method.messages, &method.operations);
        add(method.reply.as_ref().map_or(&[], |reply| &reply.messages), &method.operations);
    }
    for send in &api.sends {
        add(&send.messages, std::slice::from_ref(&send.operation));
        let replies = send.reply.as_ref().map_or(&[][..], |reply| &reply.messages);
        add(replies, std::slice::from_ref(&send.operation));
    }
    users
}

struct Surface<'a> {
    api: &'a Api,
    items: Vec<Item>,
    users: Vec<BTreeSet<String>>,
}

impl Surface<'_> {
    fn add(
        &mut self,
        path: impl Into<String>,
        form: Form,
        members: Vec<Member>,
        origin: impl Into<String>,
        operations: BTreeSet<String>,
    ) -> &mut Item {
        let (path, origin) = (path.into(), origin.into());
        self.items.push(Item { path, form, members, derives: Vec::new(), origin, operations });
        // It was pushed the line before.
        let last = self.items.len() - 1;
        &mut self.items[last]
    }

    fn messages(&mut self) {
        let api = self.api;
        for (index, message) in api.messages.iter().enumerate() {
            let mut members = Vec::new();
            members.extend(
                message.payload.as_ref().map(|payload| Member::new("payload", shown(&payload.ty), "payload")),
            );
            members.extend(
                message.headers.as_ref().map(|fields| Member::new("headers", &fields.name, "headers")),
            );
            members.extend(
                message.bindings.as_ref().map(|fields| Member::new("bindings", &fields.name, "bindings")),
            );
            let operations = self.users[index].clone();
            self.add(
                &message.name,
                Form::Struct,
                members,
                format!("message {}", message.key),
                operations.clone(),
            );
            for (part, fields) in [("headers", &message.headers), ("bindings", &message.bindings)] {
                if let Some(fields) = fields {
                    self.fields(fields, format!("{part} of {}", message.key), operations.clone());
                }
            }
        }
        for union in &api.unions {
            let messages = union.messages.iter().map(|index| &api.messages[*index]);
            let members =
                messages.map(|message| Member::new(&message.name, &message.name, &message.key)).collect();
            let operations =
                union.messages.iter().flat_map(|index| self.users[*index].iter().cloned()).collect();
            self.add(&union.name, Form::Enum, members, String::new(), operations);
        }
    }

    fn fields(&mut self, fields: &Fields, origin: String, operations: BTreeSet<String>) {
        let members = fields.fields.iter().map(|field| {
            let protocol = field.protocol.as_deref().unwrap_or_default();
            Member::new(&field.field, shown(&field.ty), format!("{protocol}/{}", field.wire))
        });
        let optional = fields.fields.iter().all(|field| matches!(field.ty, Ty::Option(_)));
        let item = self.add(&fields.name, Form::Struct, members.collect(), origin, operations);
        item.derives.extend(optional.then(|| "Default".to_owned()));
    }

    fn channels(&mut self) {
        let api = self.api;
        for (index, channel) in api.channels.iter().enumerate() {
            let handler = channel.handler.as_ref();
            let mut operations: BTreeSet<String> = handler
                .into_iter()
                .flat_map(|h| &h.methods)
                .flat_map(|m| m.operations.iter().cloned())
                .collect();
            if let Some(handler) = handler {
                let methods = handler.methods.iter().map(|method| {
                    let mut member =
                        Member::new(&method.name, signature(channel, method), of_operations(method));
                    member.operations = method.operations.iter().cloned().collect();
                    member
                });
                let origin = format!("handler of {}", channel.key);
                self.add(&handler.name, Form::Handler, methods.collect(), origin, operations.clone());
            }
            if let Some(parameters) = &channel.parameters {
                let sends = api.sends.iter().filter(|send| send.channel == index);
                operations.extend(sends.map(|send| send.operation.clone()));
                let fields = parameters.fields.iter().enumerate();
                let fields =
                    fields.map(|(at, f)| Member::new(&f.field, shown(&f.ty), at.to_string())).collect();
                self.add(
                    &parameters.name,
                    Form::Struct,
                    fields,
                    format!("address of {}", channel.key),
                    operations,
                );
            }
        }
    }

    fn application(&mut self) {
        let api = self.api;
        let handled: Vec<_> = api.handled().collect();
        if handled.len() > 1 && handled.len() <= MOST_PARTS {
            let fields = handled
                .iter()
                .map(|(channel, handler)| Member::new(&channel.field, &handler.name, &channel.key));
            self.add("Handlers", Form::Struct, fields.collect(), "handlers", BTreeSet::new());
        }
        let given: Vec<&Channel> =
            handled.iter().map(|(channel, _)| *channel).filter(|channel| channel.address.is_none()).collect();
        let arguments = if given.is_empty() { "(handlers)" } else { "(handlers, addresses: Addresses)" };
        for name in ["app", "app_with"] {
            self.add(name, Form::Function, vec![Member::new(name, arguments, name)], name, BTreeSet::new());
        }
        if api.sends.iter().any(|send| send.reply.is_some()) {
            self.add(
                "replies",
                Form::Function,
                vec![Member::new("replies", "()", "replies")],
                "replies",
                BTreeSet::new(),
            );
        }
        if !given.is_empty() {
            let fields = given.iter().map(|channel| Member::new(&channel.field, "String", &channel.key));
            self.add("Addresses", Form::Struct, fields.collect(), "addresses", BTreeSet::new());
        }
        if !api.sends.is_empty() {
            let methods = api.sends.iter().map(|send| {
                let mut member = Member::new(&send.name, send_signature(api, send), &send.operation);
                member.operations = BTreeSet::from([send.operation.clone()]);
                member
            });
            self.add("Sender", Form::Sender, methods.collect(), "sender", BTreeSet::new());
        }
    }

    fn types(&mut self) {
        let reach = reach(self.api, &self.users);
        for def in &self.api.types {
            let operations = reach.get(def.name.as_str()).cloned().unwrap_or_default();
            let path = format!("types::{}", def.name);
            let (form, members) = shape(def);
            let mut derives = def.derives.clone();
            if let TypeKind::Struct { fields, default, builder, .. } = &def.kind {
                derives.extend(default.then(|| "Default".to_owned()));
                if let Some(builder) = builder {
                    let setters = fields.iter().map(|field| {
                        let ty = match (&field.missing, &field.ty) {
                            (Missing::Empty, Ty::Option(inner)) if !field.nullable => inner,
                            (_, of) => of,
                        };
                        Member::new(&field.name, shown(ty), &field.wire)
                    });
                    let (path, origin) = (format!("types::{builder}"), format!("builder of {}", def.name));
                    self.add(path, Form::Builder, setters.collect(), origin, operations.clone());
                }
            }
            self.add(path, form, members, String::new(), operations).derives = derives;
        }
    }
}

fn shape(def: &TypeDef) -> (Form, Vec<Member>) {
    match &def.kind {
        TypeKind::Struct { fields, .. } => {
            let fields = fields.iter().map(|field| Member::new(&field.name, shown(&field.ty), &field.wire));
            (Form::Struct, fields.collect())
        }
        TypeKind::Strings { variants } => {
            let variants = variants.iter().map(|variant| Member::new(&variant.name, "", &variant.wire));
            (Form::Enum, variants.collect())
        }
        TypeKind::Union { variants, .. } => {
            let variants = variants.iter().map(|variant| Member::new(&variant.name, shown(&variant.ty), ""));
            (Form::Enum, variants.collect())
        }
        TypeKind::Newtype { ty, .. } => (Form::Wrapper, vec![Member::new("0", shown(ty), "0")]),
        TypeKind::Foreign { ty, .. } => (Form::Wrapper, vec![Member::new("type", ty, "type")]),
    }
}

/// Keys of the operations that each type is for.
fn reach<'a>(api: &'a Api, users: &[BTreeSet<String>]) -> BTreeMap<&'a str, BTreeSet<String>> {
    let defs: BTreeMap<&str, &TypeDef> = api.types.iter().map(|def| (def.name.as_str(), def)).collect();
    let mut reach: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (message, operations) in api.messages.iter().zip(users) {
        let mut names = Vec::new();
        message.payload.iter().for_each(|payload| named(&payload.ty, &mut names));
        let parts = [&message.headers, &message.bindings];
        let fields = parts.into_iter().flatten().flat_map(|fields| &fields.fields);
        fields.for_each(|field| named(&field.ty, &mut names));
        let mut seen = BTreeSet::new();
        while let Some(name) = names.pop() {
            if !seen.insert(name) {
                continue;
            }
            reach.entry(name).or_default().extend(operations.iter().cloned());
            let inner: Vec<&Ty> = match defs.get(name).map(|def| &def.kind) {
                Some(TypeKind::Struct { fields, .. }) => fields.iter().map(|field| &field.ty).collect(),
                Some(TypeKind::Union { variants, .. }) => {
                    variants.iter().map(|variant| &variant.ty).collect()
                }
                Some(TypeKind::Newtype { ty, .. }) => vec![ty],
                _ => Vec::new(),
            };
            for ty in inner {
                named(ty, &mut names);
            }
        }
    }
    reach
}

fn of_operations(method: &Method) -> String {
    format!("{} {:?}", method.operations.join(" "), method.messages.len())
}

fn signature(channel: &Channel, method: &Method) -> String {
    let address = channel.parameters.as_ref().map(|parameters| parameters.name.as_str());
    if method.batch {
        let address = address.map(|name| format!("channels: Vec<{name}>, ")).unwrap_or_default();
        return format!("({address}{}: Vec<{}>, batch) -> ()", method.argument, method.input);
    }
    let address = address.map(|name| format!("channel: {name}, ")).unwrap_or_default();
    let output = method.reply.as_ref().map_or("()", |reply| reply.output.as_str());
    format!("({address}{}: {}) -> {output}", method.argument, method.input)
}

fn send_signature(api: &Api, send: &Send) -> String {
    let channel = &api.channels[send.channel];
    let address = match (&channel.parameters, &channel.address) {
        (Some(parameters), _) => format!("channel: &{}, ", parameters.name),
        (None, Some(_)) => String::new(),
        (None, None) => "address, ".to_owned(),
    };
    let into = if send.messages.len() > 1 { "impl Into<_> of " } else { "" };
    let output = send.reply.as_ref().map(|reply| format!(" -> Request<{}>", reply.output));
    format!("({address}message: {into}{}){}", send.input, output.unwrap_or_default())
}
