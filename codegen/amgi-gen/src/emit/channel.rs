//! Channels: the type of an address with parameters, and the handler trait.

use proc_macro2::TokenStream;
use quote::quote;

use super::{docs, ident, outer_ty};
use crate::ir::{Api, Channel, Handler, Method, Parameters};

pub(super) fn channel(_api: &Api, channel: &Channel) -> TokenStream {
    let address = channel.parameters.as_ref().map(|parameters| address(channel, parameters));
    let handler = channel.handler.as_ref().map(|handler| handler_trait(channel, handler));
    quote!(#address #handler)
}

fn address(channel: &Channel, parameters: &Parameters) -> TokenStream {
    let name = ident(&parameters.name);
    let text = channel.address.clone().unwrap_or_default();
    let lines = docs(&[
        if text == channel.key {
            format!("Address of channel `{text}`.")
        } else {
            format!("Address of channel `{}`: `{text}`.", channel.key)
        },
        String::new(),
        "Parses and displays; what would change the meaning of the address is percent-encoded.".to_owned(),
    ]);
    let members = parameters.fields.iter().map(|field| {
        let (name, ty, lines) = (ident(&field.field), outer_ty(&field.ty), docs(&field.docs));
        quote!(#lines pub #name: #ty,)
    });
    quote! {
        #lines
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct #name { #(#members)* }
    }
}

fn handler_trait(channel: &Channel, handler: &Handler) -> TokenStream {
    let name = ident(&handler.name);
    let mut lines = vec![match &channel.address {
        // Before AsyncAPI 3 a channel has no other key than its address.
        Some(address) if *address == channel.key => format!("Receives from channel `{address}`."),
        Some(address) => format!("Receives from channel `{}` at `{address}`.", channel.key),
        None => format!("Receives from channel `{}`, whose address is given to [`app`].", channel.key),
    }];
    let described = channel.docs.len() > 1;
    if described {
        lines.push(String::new());
        lines.extend(channel.docs[..channel.docs.len() - 2].iter().cloned());
    }
    let lines = docs(&lines);
    let methods = handler.methods.iter().map(|method| {
        let lines = docs(&method.docs);
        let signature = signature(channel, method);
        quote!(#lines #signature;)
    });
    let missing = format!("`{{Self}}` does not handle channel `{}`", escape(&channel.key));
    quote! {
        #lines
        #[diagnostic::on_unimplemented(message = #missing)]
        pub trait #name: Send + Sync + 'static {
            /// What the methods fail with; it says how a message is settled then.
            type Error: amgi::HandlerError;
            #(#methods)*
        }
    }
}

/// A method without its body or semicolon.
pub(super) fn signature(channel: &Channel, method: &Method) -> TokenStream {
    let name = ident(&method.name);
    let argument = ident(&method.argument);
    let input = ident(&method.input);
    let address = channel.parameters.as_ref().map(|parameters| {
        let ty = ident(&parameters.name);
        if method.batch { quote!(channels: Vec<#ty>,) } else { quote!(channel: #ty,) }
    });
    if method.batch {
        return quote! {
            fn #name(
                &self,
                #address
                #argument: Vec<#input>,
                batch: &amgi::Batch<'_>,
            ) -> impl std::future::Future<Output = Result<(), Self::Error>> + Send
        };
    }
    let output = match &method.reply {
        Some(reply) => {
            let output = ident(&reply.output);
            quote!(#output)
        }
        None => quote!(()),
    };
    quote! {
        fn #name(
            &self,
            #address
            #argument: #input,
            cx: &amgi::Context,
        ) -> impl std::future::Future<Output = Result<#output, Self::Error>> + Send
    }
}

/// A text within a message of the compiler, where braces mean something.
fn escape(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}
