//! What servers are told about the document: constant data.

use proc_macro2::{Literal, TokenStream};
use quote::{ToTokens, quote};

use super::{ident, pattern_name, wire::location};
use crate::ir::{Api, Binding, Channel, Codec, Handler, Location, Message, Policy, Ty, TypeKind};

/// `SERVERS`.
pub(super) fn servers(api: &Api) -> TokenStream {
    let servers = api.servers.iter().map(|server| {
        let (key, protocol, scheme) = (&server.key, &server.protocol, &server.scheme);
        let (host, path) = (&server.host, &server.path);
        let bindings = bindings(&server.bindings);
        quote! {
            amgi::ServerInfo { name: #key, protocol: #protocol, scheme: #scheme, host: #host, path: #path, bindings: #bindings }
        }
    });
    quote!(pub(super) static SERVERS: &[amgi::ServerInfo] = &[#(#servers),*];)
}

/// `CHANNELS` and `channels()`.
pub(super) fn channels(api: &Api) -> TokenStream {
    let handled: Vec<(&Channel, &Handler)> = api.handled().collect();
    let argument =
        handled.iter().any(|(channel, _)| channel.address.is_none()).then(|| quote!(addresses: &Addresses));
    let infos = handled.iter().map(|(channel, handler)| {
        let key = &channel.key;
        let servers = &channel.servers;
        let bindings = bindings(&channel.bindings);
        let operations = operations(api, handler);
        let dead_letter = option(channel.policy.dead_letter.as_ref().map(ToTokens::to_token_stream));
        let (policy, batch) = (policy(&channel.policy), batch(&channel.policy));
        let address = channel.address.as_deref().unwrap_or_default();
        quote! {
            amgi::ChannelInfo {
                name: #key,
                address: codegen::constant(#address),
                servers: &[#(#servers),*],
                bindings: #bindings,
                operations: #operations,
                example_address: codegen::constant(#address),
                dead_letter: #dead_letter,
                policy: #policy,
                batch: #batch,
                replies: false,
            }
        }
    });
    // What is not known before the application is made, or not constant.
    let later: Vec<TokenStream> = handled
        .iter()
        .enumerate()
        .filter_map(|(index, (channel, _))| {
            let index = Literal::usize_unsuffixed(index);
            if channel.address.is_none() {
                let field = ident(&channel.field);
                return Some(quote! {
                    channels[#index].address = addresses.#field.clone().into();
                    channels[#index].example_address = addresses.#field.clone().into();
                });
            }
            let example = example_address(api, channel)?;
            Some(quote!(channels[#index].example_address = #example;))
        })
        .collect();
    let made = if later.is_empty() {
        quote!(CHANNELS.to_vec())
    } else {
        quote!(let mut channels = CHANNELS.to_vec(); #(#later)* channels)
    };
    quote! {
        static CHANNELS: &[amgi::ChannelInfo] = &[#(#infos),*];
        pub(super) fn channels(#argument) -> Vec<amgi::ChannelInfo> { #made }
    }
}

/// `PolicyInfo`.
fn policy(policy: &Policy) -> TokenStream {
    let retry = policy.retry.clone().unwrap_or_default();
    let mut fields = TokenStream::new();
    let mut set = |name: &str, value: Option<TokenStream>| {
        if let Some(value) = value {
            let name = quote::format_ident!("{name}");
            fields.extend(quote!(#name: Some(#value),));
        }
    };
    set("attempts", retry.attempts.map(|attempts| unsuffixed(attempts.into())));
    set("first", retry.first.map(millis));
    set("most", retry.most.map(millis));
    set("jitter", retry.jitter.map(|jitter| quote!(#jitter)));
    set("then_dead_letter", retry.then_dead_letter.map(|then| quote!(#then)));
    set("timeout", policy.timeout.map(millis));
    set(
        "idempotency",
        policy.idempotency.as_ref().map(|idempotency| {
            let (key, remember) = (location(&idempotency.key), millis(idempotency.remember));
            quote!(amgi::IdempotencyInfo { key: #key, remember: #remember })
        }),
    );
    set(
        "breaker",
        policy.breaker.as_ref().map(|breaker| {
            let (failures, pause) = (unsuffixed(breaker.failures.into()), millis(breaker.pause));
            quote!(amgi::BreakerInfo { failures: #failures, pause: #pause })
        }),
    );
    if fields.is_empty() {
        quote!(amgi::PolicyInfo::NONE)
    } else {
        quote!(amgi::PolicyInfo { #fields ..amgi::PolicyInfo::NONE })
    }
}

/// `BatchInfo`.
fn batch(policy: &Policy) -> TokenStream {
    option(policy.batch.as_ref().map(|batch| {
        let (size, wait) = (Literal::usize_unsuffixed(batch.size), millis(batch.wait));
        quote!(amgi::BatchInfo { size: #size, wait: #wait })
    }))
}

pub(super) fn option(value: Option<TokenStream>) -> TokenStream {
    value.map_or_else(|| quote!(None), |value| quote!(Some(#value)))
}

fn unsuffixed(number: u64) -> TokenStream {
    Literal::u64_unsuffixed(number).to_token_stream()
}

pub(super) fn millis(millis: u64) -> TokenStream {
    let millis = unsuffixed(millis);
    quote!(amgi::codegen::millis(#millis))
}

fn operations(api: &Api, handler: &Handler) -> TokenStream {
    let operations = handler.operations.iter().map(|operation| {
        let key = &operation.key;
        let operation_bindings = bindings(&operation.bindings);
        let messages = operation.messages.iter().map(|&index| {
            let message = &api.messages[index];
            let (key, content_type, name) = (&message.key, &message.content_type, ident(&message.name));
            let (headers, bindings) = (headers(handler, index, message), bindings(&message.info_bindings));
            quote! {
                amgi::MessageInfo {
                    name: #key,
                    content_type: #content_type,
                    headers: &[#(#headers),*],
                    bindings: #bindings,
                    examples: <#name as amgi::TypedMessage>::EXAMPLES,
                }
            }
        });
        quote! {
            amgi::OperationInfo { name: #key, bindings: #operation_bindings, messages: &[#(#messages),*] }
        }
    });
    quote!(&[#(#operations),*])
}

/// The names of the headers that are looked for in a message.
fn headers<'a>(handler: &'a Handler, index: usize, message: &'a Message) -> Vec<&'a str> {
    let described = message.headers.iter().flat_map(|headers| &headers.fields).map(|field| &field.wire);
    let methods = handler.methods.iter().filter(|method| method.messages.contains(&index));
    let replies = methods.filter_map(|method| method.reply.as_ref()?.location.as_ref());
    let located = replies.chain(&message.correlation).filter_map(|location| match location {
        Location::Header(name) => Some(name),
        Location::Payload(_) => None,
    });
    let mut names: Vec<&str> = Vec::new();
    for name in described.chain(located) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names
}

pub(super) fn bindings(bindings: &[Binding]) -> TokenStream {
    let bindings = bindings.iter().map(|binding| {
        let (protocol, json) = (&binding.protocol, &binding.json);
        quote!(amgi::BindingInfo { protocol: #protocol, json: #json })
    });
    quote!(&[#(#bindings),*])
}

/// `EXAMPLES` of a message.
pub(super) fn examples(message: &Message) -> TokenStream {
    let raw = message.payload.as_ref().is_some_and(|payload| payload.codec != Codec::Json);
    let examples = message.examples.iter().map(|example| {
        let name = &example.name;
        let headers = example.headers.to_string();
        let payload = match &example.payload {
            // Text and bytes stand in the document as a string.
            Some(serde_json::Value::String(text)) if raw => quote!(Some(#text)),
            Some(payload) => {
                let json = payload.to_string();
                quote!(Some(#json))
            }
            None => quote!(None),
        };
        quote!(amgi::ExampleInfo { name: #name, headers: #headers, payload: #payload })
    });
    quote!(&[#(#examples),*])
}

/// The address with every parameter filled in: by an example of the document, an allowed value, or its own name.
///
/// `None` where there are none.
fn example_address(api: &Api, channel: &Channel) -> Option<TokenStream> {
    let parameters = channel.parameters.as_ref()?;
    let values = parameters.fields.iter().map(|field| {
        let allowed = match &field.ty {
            Ty::Named(name) => {
                api.types.iter().find(|def| def.name == *name).and_then(|def| match &def.kind {
                    TypeKind::Strings { variants } => variants.first().map(|variant| variant.wire.clone()),
                    _ => None,
                })
            }
            _ => None,
        };
        field.example.clone().or(allowed).unwrap_or_else(|| field.wire.clone())
    });
    let pattern = pattern_name(channel);
    Some(quote!(#pattern.format(&[#(#values),*]).into()))
}
