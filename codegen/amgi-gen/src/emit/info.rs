//! What servers are told about the document: constant data.

use proc_macro2::TokenStream;
use quote::quote;

use super::{ident, pattern_name};
use crate::ir::{Api, Binding, Channel, Codec, Handler, Message, Ty, TypeKind};

/// `SERVERS`.
pub(super) fn servers(api: &Api) -> TokenStream {
    let servers = api.servers.iter().map(|server| {
        let (key, protocol, host, path) = (&server.key, &server.protocol, &server.host, &server.path);
        let bindings = bindings(&server.bindings);
        quote! {
            amgi::ServerInfo { name: #key, protocol: #protocol, host: #host, path: #path, bindings: #bindings }
        }
    });
    quote!(pub(super) static SERVERS: &[amgi::ServerInfo] = &[#(#servers),*];)
}

/// `channels()`.
pub(super) fn channels(api: &Api) -> TokenStream {
    let handled: Vec<(&Channel, &Handler)> = api
        .channels
        .iter()
        .filter_map(|channel| channel.handler.as_ref().map(|handler| (channel, handler)))
        .collect();
    let argument =
        handled.iter().any(|(channel, _)| channel.address.is_none()).then(|| quote!(addresses: &Addresses));
    let infos = handled.iter().map(|(channel, handler)| {
        let key = &channel.key;
        let servers = &channel.servers;
        let bindings = bindings(&channel.bindings);
        let operations = operations(api, handler);
        let dead_letter = match &channel.dead_letter {
            Some(address) => quote!(Some(#address)),
            None => quote!(None),
        };
        let (address, example) = match &channel.address {
            Some(address) => (quote!(#address.into()), example_address(api, channel, address)),
            None => {
                let field = ident(&channel.field);
                (quote!(addresses.#field.clone().into()), quote!(addresses.#field.clone().into()))
            }
        };
        quote! {
            amgi::ChannelInfo {
                name: #key,
                address: #address,
                servers: &[#(#servers),*],
                bindings: #bindings,
                operations: #operations,
                example_address: #example,
                dead_letter: #dead_letter,
            }
        }
    });
    quote! {
        pub(super) fn channels(#argument) -> Vec<amgi::ChannelInfo> {
            vec![#(#infos),*]
        }
    }
}

fn operations(api: &Api, handler: &Handler) -> TokenStream {
    let operations = handler.operations.iter().map(|operation| {
        let key = &operation.key;
        let operation_bindings = bindings(&operation.bindings);
        let messages = operation.messages.iter().map(|&index| {
            let message = &api.messages[index];
            let (key, content_type, name) = (&message.key, &message.content_type, ident(&message.name));
            let bindings = bindings(&message.info_bindings);
            quote! {
                amgi::MessageInfo {
                    name: #key,
                    content_type: #content_type,
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

fn bindings(bindings: &[Binding]) -> TokenStream {
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
fn example_address(api: &Api, channel: &Channel, address: &str) -> TokenStream {
    let Some(parameters) = &channel.parameters else { return quote!(#address.into()) };
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
    quote!(#pattern.format(&[#(#values),*]).into())
}
