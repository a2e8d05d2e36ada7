//! What the module tells of its document: constant data that a program without a use for it does not contain.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use super::{ident, info::option, sender::presets};
use crate::ir::{Api, Channel};

/// The public `DOCUMENT`.
pub(super) fn public() -> TokenStream {
    quote! {
        /// What the document says, for command lines and other tools; `DOCUMENT.json` is the document itself.
        pub const DOCUMENT: amgi::Document = wire::DOCUMENT;
    }
}

/// `DOCUMENT` in `wire`. A constant, no static: what it refers to is not even compiled where nobody uses it.
pub(super) fn document(api: &Api) -> TokenStream {
    let (title, version, json) = (&api.title, &api.version, &api.document);
    let receives = api.handled().map(|(channel, handler)| {
        let place = place(channel);
        let messages = messages(api, handler.methods.iter().flat_map(|method| &method.messages));
        quote!(codegen::ReceiveInfo { channel: #place, messages: #messages })
    });
    let sends = api.sends.iter().map(|send| {
        let name = &send.operation;
        let place = place(&api.channels[send.channel]);
        let messages = messages(api, &send.messages);
        let bindings = presets(&send.bindings);
        quote!(codegen::SendInfo { name: #name, channel: #place, messages: #messages, bindings: #bindings })
    });
    quote! {
        pub(super) const DOCUMENT: amgi::Document = codegen::Document {
            title: #title,
            version: #version,
            json: #json,
            servers: SERVERS,
            receives: &[#(#receives),*],
            sends: &[#(#sends),*],
        };
    }
}

fn place(channel: &Channel) -> TokenStream {
    let (name, servers) = (&channel.key, &channel.servers);
    let address = option(channel.address.as_ref().map(ToTokens::to_token_stream));
    let check = match &channel.parameters {
        Some(parameters) => {
            let ty = ident(&parameters.name);
            quote!(codegen::check_address::<#ty>)
        }
        None => quote!(codegen::any_address),
    };
    quote!(codegen::Place { name: #name, address: #address, servers: &[#(#servers),*], check: #check })
}

fn messages<'a>(api: &Api, indexes: impl IntoIterator<Item = &'a usize>) -> TokenStream {
    let messages = indexes.into_iter().map(|&index| {
        let message = &api.messages[index];
        let (key, name) = (&message.key, ident(&message.name));
        quote!(codegen::MessageType { name: #key, remake: codegen::remake::<#name> })
    });
    quote!(&[#(#messages),*])
}
