//! Typed sends, one method a send operation.

use proc_macro2::TokenStream;
use quote::quote;
use serde_json::Value;

use super::{docs, ident, info::millis, replies};
use crate::ir::{Api, Preset, Send};

pub(super) fn sender(api: &Api) -> TokenStream {
    if api.sends.is_empty() {
        return TokenStream::new();
    }
    let methods = api.sends.iter().map(|send| method(api, send));
    let requests = replies::requests(api).next().is_some();
    let (field, none, of_context, of_client, awaits) = if requests {
        (
            quote!(replies: Option<amgi::Replies>,),
            quote!(replies: None,),
            quote!(replies: cx.state().get().cloned(),),
            quote!(replies: Some(client.replies().clone()),),
            quote! {
                ///
                /// A request waits for its reply; that takes a handler's context or an [`amgi::Client`], which receive replies.
            },
        )
    } else {
        Default::default()
    };
    quote! {
        /// Typed sends: one method a `send` operation of the document.
        ///
        /// A send happens when it is awaited, and is in the broker's hands when that returns.
        #awaits
        #[derive(Clone)]
        pub struct Sender {
            sender: std::sync::Arc<dyn amgi::MessageSend>,
            #field
        }

        impl Sender {
            /// A sender on any server's `send`.
            #[must_use]
            pub fn new(sender: std::sync::Arc<dyn amgi::MessageSend>) -> Self {
                Self { sender, #none }
            }

            #(#methods)*
        }

        impl From<&amgi::Context> for Sender {
            fn from(cx: &amgi::Context) -> Self {
                Self { sender: std::sync::Arc::clone(cx.sender()), #of_context }
            }
        }

        impl From<&amgi::Client> for Sender {
            fn from(client: &amgi::Client) -> Self {
                Self { sender: std::sync::Arc::clone(client.sender()), #of_client }
            }
        }

        impl std::fmt::Debug for Sender {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct("Sender").finish_non_exhaustive()
            }
        }
    }
}

fn method(api: &Api, send: &Send) -> TokenStream {
    let name = ident(&send.name);
    let lines = docs(&send.docs);
    let channel = &api.channels[send.channel];
    let input = ident(&send.input);
    let (message, value) = if send.messages.len() > 1 {
        (quote!(message: impl Into<#input>), quote!(message.into()))
    } else {
        (quote!(message: #input), quote!(message))
    };
    let (argument, address) = match (&channel.parameters, &channel.address) {
        (Some(parameters), _) => {
            let ty = ident(&parameters.name);
            (quote!(channel: &#ty,), quote!(channel.to_string()))
        }
        (None, Some(address)) => (quote!(), quote!(amgi::ByteString::from_static(#address))),
        (None, None) => (quote!(address: impl Into<amgi::ByteString>,), quote!(address)),
    };
    let presets = presets(&send.bindings);
    let servers = &channel.servers;
    let outgoing = if servers.is_empty() {
        quote!(amgi::codegen::outgoing(&self.sender, #address, #presets, #value))
    } else {
        quote!(amgi::codegen::outgoing_on(&self.sender, &[#(#servers),*], #address, #presets, #value))
    };
    if let Some(reply) = &send.reply {
        let (output, info) = (ident(&reply.output), replies::info(api, send, reply));
        let timeout = send.timeout.map(|timeout| {
            let timeout = millis(timeout);
            quote!(.timeout(#timeout))
        });
        return quote! {
            #lines
            pub fn #name(&self, #argument #message) -> amgi::Request<'_, #output> {
                const REPLY: amgi::reply::ReplyInfo = #info;
                let outgoing = #outgoing;
                amgi::codegen::request(outgoing, self.replies.as_ref(), &REPLY)#timeout
            }
        };
    }
    quote! {
        #lines
        pub fn #name(&self, #argument #message) -> amgi::Outgoing<'_> {
            #outgoing
        }
    }
}

/// The bindings that the document sets, as a function.
pub(super) fn presets(presets: &[Preset]) -> TokenStream {
    if presets.is_empty() {
        return quote!(amgi::codegen::no_bindings);
    }
    let sets = sets(presets);
    quote!(|bindings| { #sets })
}

/// The statements that set them on `bindings`.
pub(super) fn sets(presets: &[Preset]) -> TokenStream {
    let sets = presets.iter().map(|preset| {
        let (protocol, field) = (&preset.protocol, &preset.field);
        let value = match &preset.value {
            Value::Bool(flag) => quote!(#flag),
            Value::Number(number) => {
                let number = proc_macro2::Literal::i64_suffixed(number.as_i64().unwrap_or_default());
                quote!(#number)
            }
            other => {
                let text = other.as_str().unwrap_or_default();
                quote!(#text)
            }
        };
        quote!(bindings.set(#protocol, #field, #value);)
    });
    quote!(#(#sets)*)
}
