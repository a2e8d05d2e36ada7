//! The private module `wire`: decoding, encoding, checks and dispatch. Compact, not for reading.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};

use super::{
    GROUP, Module, Piece, app, batch_name, divided, document, ident, info,
    info::option,
    outer_ty, pattern_name, read, replies, route_name,
    rules::checks,
    sender::{presets, sets},
    types::literal,
};
use crate::ir::{
    Api, Candidate, Channel, Codec, Fields, Key, Location, Message, Method, Reply, Route, Scalar, Select, Ty,
    TypeDef, TypeKind, Union,
};

pub(super) fn module(api: &Api) -> Module<'_> {
    let large = api.divided;
    let patterns = api.channels.iter().filter(|channel| channel.parameters.is_some());
    let mut pieces = vec![Piece::new(|| {
        quote! {
            use super::*;
            // Only lower-case names: a type of the document may have any other.
            use amgi::codegen;
        }
    })];
    pieces.extend(patterns.flat_map(|channel| {
        [Piece::new(move || pattern(channel)), Piece::new(move || read_address(channel))]
    }));
    pieces.push(Piece::new(move || info::servers(api)));
    pieces.push(Piece::new(move || info::channels(api)));
    if replies::requests(api).next().is_some() {
        pieces.push(Piece::new(move || replies::wire(api)));
    }
    pieces.push(Piece::new(move || document::document(api)));
    let messages = api.messages.iter().map(|message| Piece::new(move || typed_message(api, message)));
    let unions = api.unions.iter().map(|union| Piece::new(move || typed_union(api, union)));
    pieces.extend(divided("codec", large, GROUP, None, messages.chain(unions).collect()));
    let types = api
        .types
        .iter()
        .filter(|def| !matches!(def.kind, TypeKind::Foreign { .. }))
        .map(|def| Piece::new(move || value(api, def)));
    pieces.extend(divided("values", large, GROUP * 2, None, types.collect()));
    let routes = api.dispatch.iter().map(|route| Piece::new(move || route_function(api, route)));
    pieces.extend(divided("routes", large, GROUP, Some(|| quote!(use)), routes.collect()));
    if api.dispatch.len() > GROUP {
        pieces.extend((0..api.dispatch.len().div_ceil(GROUP)).map(|n| Piece::new(move || group(api, n))));
        pieces.push(Piece::new(move || app::message(api)));
    }
    let mut module = Module {
        head: || {
            quote! {
                /// Between bytes and types, and from addresses to handlers.
                #[allow(unused_imports, unused_variables, clippy::all, clippy::pedantic)]
            }
        },
        name: "wire".to_owned(),
        pieces,
        compact: true,
    };
    for piece in &mut module.pieces {
        piece.make_compact();
    }
    module
}

/// How a type is read and checked.
fn value(api: &Api, def: &TypeDef) -> TokenStream {
    let read = read::read(api, def);
    let check = def.checked.then(|| type_check(def));
    quote!(#read #check)
}

fn pattern(channel: &Channel) -> TokenStream {
    let name = pattern_name(channel);
    let mut parts = Vec::new();
    let mut rest = channel.address.as_deref().unwrap_or_default();
    while let Some(open) = rest.find('{') {
        let Some(close) = rest[open..].find('}').map(|close| open + close) else { break };
        let (literal, parameter) = (&rest[..open], &rest[open + 1..close]);
        if !literal.is_empty() {
            parts.push(quote!(amgi::address::Part::literal(#literal)));
        }
        parts.push(quote!(amgi::address::Part::parameter(#parameter)));
        rest = &rest[close + 1..];
    }
    if !rest.is_empty() {
        parts.push(quote!(amgi::address::Part::literal(#rest)));
    }
    let count = proc_macro2::Literal::usize_unsuffixed(parts.len());
    quote! {
        pub(super) static #name: amgi::address::Pattern = {
            static PARTS: [amgi::address::Part; #count] = [#(#parts),*];
            amgi::address::Pattern::from_parts(&PARTS)
        };
    }
}

/// An address from what its pattern captured, from text, and as text.
fn read_address(channel: &Channel) -> TokenStream {
    let Some(parameters) = &channel.parameters else { return TokenStream::new() };
    let name = ident(&parameters.name);
    let pattern = pattern_name(channel);
    let text = channel.address.as_deref().unwrap_or_default();
    let count = proc_macro2::Literal::usize_unsuffixed(parameters.fields.len());
    let names: Vec<_> = parameters.fields.iter().map(|field| ident(&field.field)).collect();
    let wires = parameters.fields.iter().map(|field| &field.wire);
    let readers = parameters.fields.iter().map(|field| outer_ty(&field.ty));
    let values = parameters.fields.iter().zip(&names).map(|(field, name)| match field.ty {
        Ty::String => quote!(&self.#name),
        _ => quote!(self.#name.as_str()),
    });
    quote! {
        impl #name {
            fn read([#(#names),*]: [&str; #count]) -> Result<Self, amgi::Rejection> {
                Ok(Self { #(#names: codegen::parameter::<#readers>(#wires, #names)?,)* })
            }
        }

        impl std::fmt::Display for #name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&#pattern.format(&[#(#values),*]))
            }
        }

        impl std::str::FromStr for #name {
            type Err = amgi::Rejection;

            fn from_str(address: &str) -> Result<Self, Self::Err> {
                match #pattern.captures(address) {
                    Some(values) => Self::read(values),
                    None => Err(codegen::no_address(address, #text)),
                }
            }
        }
    }
}

fn typed_message(api: &Api, message: &Message) -> TokenStream {
    let name = ident(&message.name);
    let key = &message.key;
    let examples = info::examples(message);
    let payload = message.payload.as_ref().map(|payload| {
        let ty = read::reader(api, &payload.ty);
        let codec = match payload.codec {
            Codec::Json if payload.reread => quote!(reread_json),
            Codec::Json => quote!(json),
            Codec::Text => quote!(text),
            Codec::Raw => quote!(raw),
        };
        let check = checks(&payload.rules, &payload.ty, &quote!(value), &quote!(at));
        let check = (!check.is_empty()).then(|| quote!(, (value, at) { #check }));
        let schema = payload.schema.as_ref().map(|schema| quote!(; #schema));
        let most = payload.most_bytes.map(|most| {
            let most = proc_macro2::Literal::usize_unsuffixed(most);
            quote!(; up to #most)
        });
        quote!(; [payload #codec: #ty #check #schema #most])
    });
    let parts = [(&message.headers, "headers", "Headers"), (&message.bindings, "bindings", "Bindings")];
    let parts = parts.into_iter().filter_map(|(fields, member, part)| {
        let part = ident(part);
        let (read, write) = wire_fields(api, fields.as_ref()?, &part);
        let member = ident(member);
        Some(quote!(; #member #part(message, fields) { #read } { #write }))
    });
    let first = (!message.presets.is_empty()).then(|| {
        let sets = sets(&message.presets);
        quote!(; <- (message) { let bindings = &mut message.bindings; #sets })
    });
    let last = message.says_type.then(|| {
        let content_type = &message.content_type;
        quote!(; -> (message) { codegen::set_content_type(message, #content_type); })
    });
    quote!(codegen::message!(#name = #key, #examples #payload #first #(#parts)* #last);)
}

/// Reading and writing of headers or bindings, one field after the other. Where they are read, `fields` is their place, where they
/// are written, it is themselves.
fn wire_fields(api: &Api, fields: &Fields, part: &proc_macro2::Ident) -> (TokenStream, TokenStream) {
    let name = ident(&fields.name);
    let (mut reads, mut members, mut rules, mut writes) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for field in &fields.fields {
        let (field_name, wire) = (ident(&field.field), &field.wire);
        let kind = match field.scalar {
            Scalar::Text => quote!(codegen::Scalar::Text),
            Scalar::Json => quote!(codegen::Scalar::Json),
            Scalar::Loose => quote!(codegen::Scalar::Loose),
        };
        let (optional, of) = match &field.ty {
            Ty::Option(inner) => (true, &**inner),
            ty => (false, ty),
        };
        let reader = read::reader(api, of);
        let secret = field.secret.then(|| quote!(.secret()));
        // A place with a `let` for every step, as each borrows from the one before.
        let place = |root: TokenStream| match &field.protocol {
            Some(protocol) => quote!(let at = &#root.name(#protocol); let at = &at.name(#wire) #secret;),
            None => quote!(let at = &#root.name(#wire) #secret;),
        };
        let (here, there) = (place(quote!(fields)), place(quote!(at)));
        let read = match (&field.protocol, optional || field.default.is_some()) {
            (Some(protocol), _) => {
                quote!(codegen::binding::<#reader>(&message.bindings, at, #protocol, #wire, #kind))
            }
            (None, true) => quote!(codegen::optional_header::<#reader>(&message.headers, at, #wire, #kind)),
            (None, false) => quote!(codegen::header::<#reader>(&message.headers, at, #wire, #kind)),
        };
        let read = match &field.default {
            Some(default) => {
                let default = literal(api, &field.ty, default, &quote!(types::));
                quote!(#read.map(|value| value.unwrap_or_else(|| #default)))
            }
            None => read,
        };
        let check = checks(&field.rules, &field.ty, &quote!(value), &quote!(at));
        let checked = (!check.is_empty()).then(|| quote!(if let Some(value) = &value { #check }));
        reads.push(quote!(let #field_name = { #here let value = #read; #checked value };));
        members.push(quote!(#field_name: #field_name?));
        if !check.is_empty() {
            rules.push(quote!({ #there let value = &fields.#field_name; #check }));
        }
        let value = if optional { quote!(value) } else { quote!(&fields.#field_name) };
        let write = match &field.protocol {
            Some(protocol) => {
                quote!(codegen::set_binding(&mut message.bindings, #protocol, #wire, #kind, #value)?;)
            }
            None => quote!(codegen::set_header(&mut message.headers, #wire, #kind, #value)?;),
        };
        writes.push(if optional {
            quote!(if let Some(value) = &fields.#field_name { #write })
        } else {
            write
        });
    }
    let read = quote!(#(#reads)* Some(#name { #(#members),* }));
    let rules = (!rules.is_empty())
        .then(|| quote!(codegen::checked(amgi::error::Part::#part, |at| { #(#rules)* })?;));
    let room = fields.fields.iter().all(|field| field.protocol.is_none()).then(|| {
        let count = proc_macro2::Literal::usize_unsuffixed(fields.fields.len());
        quote!(message.headers.reserve(#count);)
    });
    (read, quote!(#rules #room #(#writes)*))
}

fn typed_union(api: &Api, union: &Union) -> TokenStream {
    let name = ident(&union.name);
    let label = &union.name;
    let variants: Vec<_> = union.messages.iter().map(|&index| ident(&api.messages[index].name)).collect();
    let first = &variants[0];
    let select = select(&union.select);
    let tried = union.select.messages.iter().map(|marked| ident(&api.messages[marked.message].name));
    let indexes = (0..union.messages.len()).map(proc_macro2::Literal::usize_unsuffixed);
    quote! {
        impl amgi::TypedMessage for #name {
            const NAME: &'static str = #label;
            const EXAMPLES: &'static [amgi::ExampleInfo] = <#first as amgi::TypedMessage>::EXAMPLES;

            fn decode(message: &amgi::Message) -> Result<Self, amgi::Rejection> {
                #select
                let mut choice = SELECT.choose(message);
                #(
                    if let Some(message) = choice.read(#indexes) {
                        return Ok(Self::#tried(message));
                    }
                )*
                Err(choice.none())
            }

            fn encode(&self, message: &mut amgi::Message) -> Result<(), amgi::Rejection> {
                match self {
                    #(Self::#variants(value) => amgi::TypedMessage::encode(value, message),)*
                }
            }
        }
    }
}

fn type_check(def: &TypeDef) -> TokenStream {
    let name = ident(&def.name);
    let body = match &def.kind {
        TypeKind::Struct { fields, .. } => fields
            .iter()
            .filter_map(|field| {
                let member = ident(&field.name);
                let check = checks(&field.rules, &field.ty, &quote!(value), &quote!(at));
                if check.is_empty() {
                    return None;
                }
                // An optional list that is empty was not there.
                let missing = matches!(field.missing, crate::ir::Missing::Empty)
                    && matches!(field.ty, Ty::Vec(_) | Ty::Map(_) | Ty::JsonObject);
                let check = if missing { quote!(if !value.is_empty() { #check }) } else { check };
                // Members without a field of their own lie beside the others, not below.
                let wire = (field.missing != crate::ir::Missing::Flatten).then_some(&field.wire);
                let secret = field.secret.then(|| quote!(secret));
                Some(quote!(#member #wire #secret { #check }))
            })
            .collect::<TokenStream>(),
        TypeKind::Newtype { ty, rules } => {
            let check = checks(rules, ty, &quote!(value), &quote!(at));
            quote!({ let value = &value.0; #check })
        }
        TypeKind::Union { variants, .. } => {
            let arms = variants.iter().map(|variant| {
                let member = ident(&variant.name);
                if variant.rules.is_empty() {
                    return quote!(Self::#member { .. } => {});
                }
                let check = checks(&variant.rules, &variant.ty, &quote!(value), &quote!(at));
                quote!(Self::#member(value) => { #check })
            });
            quote!({ match value { #(#arms)* } })
        }
        TypeKind::Strings { .. } | TypeKind::Foreign { .. } => TokenStream::new(),
    };
    let body = if body.is_empty() { quote!({}) } else { body };
    quote!(codegen::check!(types::#name, (value, at) #body);)
}

/// The traits that the channels of a route need.
fn bounds(api: &Api, route: &Route) -> TokenStream {
    let traits = route.channels.iter().filter_map(|&channel| api.channels[channel].handler.as_ref());
    let traits = traits.map(|handler| ident(&handler.name));
    quote!(#(#traits)+*)
}

fn route_function(api: &Api, route: &Route) -> TokenStream {
    let channel = &api.channels[route.channels[0]];
    let name = route_name(channel);
    let bounds = bounds(api, route);
    let count = channel.parameters.as_ref().map_or(0, |parameters| parameters.fields.len());
    let argument = route.pattern.then(|| {
        let count = proc_macro2::Literal::usize_unsuffixed(count);
        quote!(values: [&str; #count],)
    });
    if let Some(batch) = batch_function(api, route) {
        let function = batch_name(channel);
        return quote! {
            #batch
            pub(super) async fn #name<A: #bounds>(handlers: &A, #argument cx: &amgi::Context) -> amgi::Settlement {
                let mut settlements = Vec::new();
                #function(handlers, std::slice::from_ref(cx), &mut settlements).await;
                codegen::only(settlements)
            }
        };
    }
    let body = match route.candidates.as_slice() {
        [] => quote!(codegen::no_channel(cx)),
        [candidate] => {
            let call = call(api, candidate);
            let message = ident(&api.messages[candidate.message].name);
            quote! {
                match <#message as amgi::TypedMessage>::decode(cx.message()) {
                    Ok(message) => #call,
                    Err(rejection) => codegen::reject(rejection),
                }
            }
        }
        candidates => {
            let select = select(&route.select);
            let reads = candidates.iter().enumerate().map(|(index, candidate)| {
                let call = call(api, candidate);
                let message = ident(&api.messages[candidate.message].name);
                let index = proc_macro2::Literal::usize_unsuffixed(index);
                quote! {
                    if let Some(message) = choice.read::<#message>(#index) {
                        return #call;
                    }
                }
            });
            quote! {
                #select
                let mut choice = SELECT.choose(cx.message());
                #(#reads)*
                codegen::reject(choice.none())
            }
        }
    };
    quote! {
        pub(super) async fn #name<A: #bounds>(handlers: &A, #argument cx: &amgi::Context) -> amgi::Settlement {
            #body
        }
    }
}

/// How the messages of a channel are handled together, where the document asks for that.
fn batch_function(api: &Api, route: &Route) -> Option<TokenStream> {
    let channel = &api.channels[route.channels[0]];
    let handler = channel.handler.as_ref()?;
    let method = handler.methods.first().filter(|method| method.batch)?;
    let (name, input, bounds) = (batch_name(channel), ident(&method.input), bounds(api, route));
    let (handler, method) = (ident(&handler.name), ident(&method.name));
    let body = if let Some(parameters) = &channel.parameters {
        let ty = ident(&parameters.name);
        quote! {
            let (messages, batch) = codegen::read_batch(contexts, |cx| {
                Ok((cx.address().parse::<#ty>()?, <#input as amgi::TypedMessage>::decode(cx.message())?))
            });
            let (channels, messages) = messages.into_iter().unzip();
            let result = if batch.is_empty() { Ok(()) } else { #handler::#method(handlers, channels, messages, &batch).await };
        }
    } else {
        quote! {
            let (messages, batch) =
                codegen::read_batch(contexts, |cx| <#input as amgi::TypedMessage>::decode(cx.message()));
            let result = if batch.is_empty() { Ok(()) } else { #handler::#method(handlers, messages, &batch).await };
        }
    };
    Some(quote! {
        pub(super) async fn #name<A: #bounds>(handlers: &A, contexts: &[amgi::Context], settlements: &mut Vec<amgi::Settlement>) {
            #body
            codegen::settle_batch(batch, result, settlements);
        }
    })
}

/// The table that tells messages apart.
fn select(select: &Select) -> TokenStream {
    let keys = select.keys.iter().map(|key| match key {
        Key::Payload(path) => quote!(codegen::Key::Payload(&[#(#path),*])),
        Key::PayloadJson(path) => quote!(codegen::Key::PayloadJson(&[#(#path),*])),
        Key::Header(name) => quote!(codegen::Key::Header(#name)),
        Key::ContentType => quote!(codegen::Key::ContentType),
    });
    let messages = select.messages.iter().map(|marked| {
        let when = marked.when.iter().map(|when| {
            let (key, values) = (proc_macro2::Literal::usize_unsuffixed(when.key), &when.values);
            let function = if when.required { quote!(is) } else { quote!(may_be) };
            quote!(codegen::When::#function(#key, &[#(#values),*]))
        });
        quote!(&[#(#when),*])
    });
    let (many, count) = (select.keys.len(), select.messages.len());
    let many = proc_macro2::Literal::usize_unsuffixed(many);
    let count = proc_macro2::Literal::usize_unsuffixed(count);
    quote! {
        static SELECT: codegen::Select<#many, #count> =
            codegen::Select { keys: [#(#keys),*], messages: [#(#messages),*] };
    }
}

/// The call of a handler with `message` in scope.
fn call(api: &Api, candidate: &Candidate) -> TokenStream {
    let channel = &api.channels[candidate.channel];
    let Some(handler) = &channel.handler else { return TokenStream::new() };
    let method: &Method = &handler.methods[candidate.method];
    let (handler, method_name) = (ident(&handler.name), ident(&method.name));
    let message = if method.messages.len() > 1 {
        let (input, variant) = (ident(&method.input), ident(&api.messages[candidate.message].name));
        quote!(#input::#variant(message))
    } else {
        quote!(message)
    };
    let address = channel.parameters.as_ref().map(|_| quote!(channel,));
    let call = quote!(#handler::#method_name(handlers, #address #message, cx).await);
    let settled = match &method.reply {
        None => quote!(codegen::settle(#call)),
        Some(reply) => {
            let info = reply_info(api, candidate.message, reply);
            let presets = presets(&reply.bindings);
            quote! {
                {
                    const REPLY: amgi::reply::ReplyInfo = #info;
                    codegen::reply(cx, &REPLY, #presets, #call).await
                }
            }
        }
    };
    match &channel.parameters {
        Some(parameters) => {
            let ty = ident(&parameters.name);
            quote! {
                match #ty::read(values) {
                    Ok(channel) => #settled,
                    Err(rejection) => codegen::reject(rejection),
                }
            }
        }
        None => settled,
    }
}

pub(super) fn reply_info(api: &Api, request: usize, reply: &Reply) -> TokenStream {
    let from = option(reply.location.as_ref().map(location));
    let address = option(reply.address.as_ref().map(|address| quote!(#address)));
    let answer = reply.messages.iter().find_map(|&index| api.messages[index].correlation.as_ref());
    let correlation = api.messages[request].correlation.as_ref().zip(answer).map(|(request, answer)| {
        let (request, answer) = (location(request), location(answer));
        quote!((#request, #answer))
    });
    let correlation = option(correlation);
    quote!(amgi::reply::ReplyInfo { location: #from, address: #address, correlation: #correlation })
}

/// A runtime expression.
pub(super) fn location(location: &Location) -> TokenStream {
    match location {
        Location::Header(name) => quote!(amgi::reply::Location::Header(#name)),
        Location::Payload(pointer) => quote!(amgi::reply::Location::Payload(#pointer)),
    }
}

/// Dispatch within a group of channels, so that no function knows them all.
fn group(api: &Api, n: usize) -> TokenStream {
    let routes = api.dispatch.chunks(GROUP).nth(n).unwrap_or_default();
    let (function, group) = (format_ident!("group_{n}"), format_ident!("Group{n}"));
    let name = |route: &Route| route_name(&api.channels[route.channels[0]]);
    let literal = routes.iter().filter(|route| !route.pattern).filter_map(|route| {
        let (address, name) = (route.address.as_deref()?, name(route));
        Some(quote!(#address => #name(handlers, cx).await,))
    });
    let patterns = routes.iter().filter(|route| route.pattern).map(|route| {
        let (pattern, name) = (pattern_name(&api.channels[route.channels[0]]), name(route));
        quote!(if let Some(values) = #pattern.captures(address) { return #name(handlers, values, cx).await; })
    });
    quote! {
        pub(super) async fn #function<A: #group>(handlers: &A, cx: &amgi::Context) -> amgi::Settlement {
            match cx.address() {
                #(#literal)*
                address => {
                    #(#patterns)*
                    let _ = address;
                    codegen::no_channel(cx)
                }
            }
        }
    }
}
