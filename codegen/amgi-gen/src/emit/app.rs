//! The application: `app`, `app_with`, `App`, `Handlers`, and the dispatch from address to handler.

use proc_macro2::TokenStream;
use quote::{ToTokens, format_ident, quote};

use super::{GROUP, batch_name, channel::signature, ident, pattern_name, replies, route_name};
use crate::ir::{Api, Channel, Handler, Route};

/// Above this many channels a struct with a type parameter each helps nobody.
pub(crate) const MOST_PARTS: usize = 24;

/// Channels whose address is given when the application is made.
fn given(api: &Api) -> Vec<&Channel> {
    api.handled().map(|(channel, _)| channel).filter(|channel| channel.address.is_none()).collect()
}

pub(super) fn app(api: &Api) -> TokenStream {
    let handled: Vec<_> = api.handled().collect();
    let grouped = api.dispatch.len() > GROUP;
    let bound = bound(api);
    let groups = grouped.then(|| group_traits(api));
    let given = given(api);
    let addresses = (!given.is_empty()).then(|| addresses(&given));
    let (argument, value) = match &addresses {
        Some(_) => (quote!(addresses: Addresses), quote!(addresses)),
        None => (quote!(), quote!()),
    };
    let field = addresses.as_ref().map(|_| quote!(addresses: Addresses,));
    let info = addresses.as_ref().map(|_| quote!(&addresses));
    // Clippy counts a line an arm; a long match is still a simple one.
    let long = (!grouped && api.dispatch.len() > 20).then(|| quote!(#[allow(clippy::too_many_lines)]));
    let title = format!(" The application *{}*, version {}.", escape(&api.title), escape(&api.version));
    let several = handled.len() > 1 && handled.len() <= MOST_PARTS;
    let wanted = wanted(handled.len());
    let parts = several.then(|| parts(&handled));
    let dispatch = if grouped {
        // What knows every address is in `wire`, with the groups.
        let addresses = addresses.as_ref().map(|_| quote!(&self.addresses,));
        quote!(wire::message(handlers, #addresses cx).await)
    } else {
        dispatch(api, false, &quote!(self.addresses))
    };
    let Awaiting {
        field: replies_field,
        value: replies_value,
        start: replies_start,
        channels: replies_channels,
        take: replies_take,
        function: replies,
    } = awaiting(api);
    let requests = !replies_field.is_empty();
    let state = if requests { quote!(state) } else { quote!(_state) };
    let mutable = requests.then(|| quote!(mut));
    let batch = batch(api);
    let message = message_body(&dispatch, &replies_take);
    let methods = methods();
    quote! {
        #[doc = #title]
        #[doc = ""]
        #wanted
        pub fn app<A: #bound>(handlers: A, #argument) -> App<A> {
            App::new(amgi::codegen::Lifecycle::ready(handlers), #value)
        }

        /// The application with handlers that are made when the server starts, for those that connect to something first.
        ///
        /// A startup that fails stops the server with its error.
        pub fn app_with<A, F, Fut, E>(startup: F, #argument) -> App<A>
        where
            A: #bound,
            F: Fn() -> Fut + Send + Sync + 'static,
            Fut: std::future::Future<Output = Result<A, E>> + Send + 'static,
            E: Into<Box<dyn std::error::Error + Send + Sync>>,
        {
            App::new(amgi::codegen::Lifecycle::starting(startup), #value)
        }

        /// What [`app`] makes; any AMGI server runs it.
        #[derive(Debug)]
        pub struct App<A> {
            lifecycle: amgi::codegen::Lifecycle<A>,
            channels: Vec<amgi::ChannelInfo>,
            #replies_field
            #field
        }

        #addresses

        impl<A> App<A> {
            fn new(lifecycle: amgi::codegen::Lifecycle<A>, #argument) -> Self {
                let #mutable channels = wire::channels(#info);
                #replies_channels
                Self { lifecycle, channels, #replies_value #value }
            }

            #methods
        }

        impl<A: #bound> amgi::Application for App<A> {
            fn channels(&self) -> &[amgi::ChannelInfo] {
                &self.channels
            }

            fn servers(&self) -> &[amgi::ServerInfo] {
                wire::SERVERS
            }

            async fn startup(&self, #state: &mut amgi::State) -> Result<(), amgi::StartupError> {
                #replies_start
                self.lifecycle.startup().await
            }

            #long
            #[inline]
            async fn message(&self, cx: &amgi::Context) -> amgi::Settlement {
                #message
            }

            #batch

            async fn shutdown(&self) -> Result<(), amgi::StartupError> {
                self.lifecycle.shutdown().await
            }
        }

        #replies
        #parts
        #groups
    }
}

/// The body of `Application::message`; replies are taken first.
fn message_body(dispatch: &TokenStream, take: &TokenStream) -> TokenStream {
    if dispatch.is_empty() {
        quote!(#take amgi::codegen::no_channel(cx))
    } else {
        quote! {
            #take
            let Some(handlers) = self.lifecycle.get() else {
                return amgi::codegen::not_started();
            };
            #dispatch
        }
    }
}

/// What an application has more that waits for replies to its requests; nothing for others.
#[derive(Default)]
struct Awaiting {
    field: TokenStream,
    value: TokenStream,
    start: TokenStream,
    channels: TokenStream,
    take: TokenStream,
    function: TokenStream,
}

fn awaiting(api: &Api) -> Awaiting {
    if replies::requests(api).next().is_none() {
        return Awaiting::default();
    }
    Awaiting {
        field: quote!(replies: amgi::Replies,),
        value: quote!(replies,),
        start: quote!(amgi::Application::startup(&self.replies, state).await?;),
        channels: quote! {
            let replies = wire::replies();
            channels.extend(amgi::codegen::only_replies(&replies));
        },
        take: quote!(if let Some(settlement) = amgi::codegen::answer(&self.replies, cx) {
            return settlement;
        }),
        function: quote! {
            /// What receives the replies of requests, for an [`amgi::Client`] that stands by itself.
            #[must_use]
            pub fn replies() -> amgi::Replies {
                wire::replies()
            }
        },
    }
}

/// Methods of `App` that are the same for every document.
fn methods() -> TokenStream {
    quote! {
        /// The application inside `layer`, which sees every message first.
        pub fn layer<L: amgi::Layer>(self, layer: L) -> amgi::Layered<L, Self> {
            amgi::Layered::new(layer, self)
        }

        /// Runs `shutdown` with the handlers after the last message; it may be called several times.
        #[must_use]
        pub fn on_shutdown<F, Fut, E>(mut self, shutdown: F) -> Self
        where
            A: Send + Sync + 'static,
            F: Fn(std::sync::Arc<A>) -> Fut + Send + Sync + 'static,
            Fut: std::future::Future<Output = Result<(), E>> + Send + 'static,
            E: Into<Box<dyn std::error::Error + Send + Sync>>,
        {
            self.lifecycle.on_shutdown(shutdown);
            self
        }
    }
}

/// What `app` says of its handlers.
fn wanted(handled: usize) -> TokenStream {
    if handled == 0 {
        quote!(#[doc = " The document receives nothing, so `handlers` may be anything."])
    } else if (2..=MOST_PARTS).contains(&handled) {
        quote! {
            /// `handlers` implements every handler trait, or is a [`Handlers`] of several types: the application is complete
            /// or does not compile.
        }
    } else {
        quote! {
            /// `handlers` implements every handler trait: the application is complete or does not compile.
        }
    }
}

/// `Application::batch`, where the document asks for batches.
fn batch(api: &Api) -> Option<TokenStream> {
    let mut literal = Vec::new();
    let mut others = Vec::new();
    for route in &api.dispatch {
        let channel = &api.channels[route.channels[0]];
        if channel.policy.batch.is_none() {
            continue;
        }
        let function = batch_name(channel);
        let call = quote!(wire::#function(handlers, contexts, settlements).await);
        match &route.address {
            None => {
                let field = ident(&channel.field);
                others.push(quote!(if address == self.addresses.#field { return #call; }));
            }
            Some(_) if route.pattern => {
                let pattern = pattern_name(channel);
                others.push(quote!(if wire::#pattern.matches(address) { return #call; }));
            }
            Some(address) => literal.push(quote!(if address == #address { return #call; })),
        }
    }
    (!literal.is_empty() || !others.is_empty()).then(|| {
        quote! {
            async fn batch(&self, contexts: &[amgi::Context], settlements: &mut Vec<amgi::Settlement>) {
                if let (Some(handlers), Some(first)) = (self.lifecycle.get(), contexts.first()) {
                    let address = first.address();
                    #(#literal)*
                    #(#others)*
                }
                amgi::codegen::one_by_one(self, contexts, settlements).await;
            }
        }
    })
}

/// What handlers implement: a trait a channel, or a group.
fn bound(api: &Api) -> TokenStream {
    let bounds: Vec<TokenStream> = if api.dispatch.len() > GROUP {
        (0..api.dispatch.len().div_ceil(GROUP)).map(|n| format_ident!("Group{n}").to_token_stream()).collect()
    } else {
        api.handled().map(|(_, handler)| ident(&handler.name).to_token_stream()).collect()
    };
    if bounds.is_empty() { quote!(Send + Sync + 'static) } else { quote!(#(#bounds)+*) }
}

/// The function in `wire` that finds the group of a message's address, for a large document.
pub(super) fn message(api: &Api) -> TokenStream {
    let bound = bound(api);
    let addresses = (!given(api).is_empty()).then(|| quote!(addresses: &Addresses,));
    let body = dispatch(api, true, &quote!(addresses));
    quote! {
        pub(super) async fn message<A: #bound>(handlers: &A, #addresses cx: &amgi::Context) -> amgi::Settlement {
            #body
        }
    }
}

fn escape(text: &str) -> String {
    crate::docs::clean(text).join(" ")
}

/// Addresses that the document leaves open.
fn addresses(given: &[&Channel]) -> TokenStream {
    let fields = given.iter().map(|channel| {
        let (field, line) = (ident(&channel.field), format!(" Address of channel `{}`.", channel.key));
        quote!(#[doc = #line] pub #field: String,)
    });
    quote! {
        /// Addresses that the document leaves open (`address: null`).
        #[derive(Debug, Clone)]
        pub struct Addresses { #(#fields)* }
    }
}

/// `match` over literal addresses, then patterns, then addresses given at run time.
fn dispatch(api: &Api, grouped: bool, addresses: &TokenStream) -> TokenStream {
    let routes: Vec<(usize, &Route)> = api.dispatch.iter().enumerate().collect();
    let call = |index: usize, route: &Route, values: TokenStream| {
        if grouped {
            let group = format_ident!("group_{}", index / GROUP);
            quote!(wire::#group(handlers, cx).await)
        } else {
            let function = route_name(&api.channels[route.channels[0]]);
            quote!(wire::#function(handlers, #values cx).await)
        }
    };
    let literal: Vec<TokenStream> = if grouped {
        // One arm a group: the group finds the channel.
        (0..routes.len().div_ceil(GROUP))
            .filter_map(|group| {
                let addresses: Vec<&str> = routes
                    .iter()
                    .filter(|(index, route)| index / GROUP == group && !route.pattern)
                    .filter_map(|(_, route)| route.address.as_deref())
                    .collect();
                let function = format_ident!("group_{group}");
                (!addresses.is_empty())
                    .then(|| quote!(#(#addresses)|* => wire::#function(handlers, cx).await,))
            })
            .collect()
    } else {
        routes
            .iter()
            .filter(|(_, route)| !route.pattern)
            .filter_map(|(index, route)| {
                let address = route.address.as_deref()?;
                let call = call(*index, route, quote!());
                Some(quote!(#address => #call,))
            })
            .collect()
    };
    let patterns: Vec<TokenStream> = routes
        .iter()
        .filter(|(_, route)| route.pattern)
        .map(|(index, route)| {
            let pattern = pattern_name(&api.channels[route.channels[0]]);
            if grouped {
                let call = call(*index, route, quote!());
                quote!(if wire::#pattern.matches(address) { return #call; })
            } else {
                let call = call(*index, route, quote!(values,));
                quote!(if let Some(values) = wire::#pattern.captures(address) { return #call; })
            }
        })
        .collect();
    let given: Vec<TokenStream> = routes
        .iter()
        .filter(|(_, route)| route.address.is_none())
        .map(|(_, route)| {
            let channel = &api.channels[route.channels[0]];
            let (field, function) = (ident(&channel.field), route_name(channel));
            quote!(if address == #addresses.#field { return wire::#function(handlers, cx).await; })
        })
        .collect();
    match (literal.is_empty(), patterns.is_empty() && given.is_empty()) {
        (true, true) => TokenStream::new(),
        (false, true) => quote! {
            match cx.address() {
                #(#literal)*
                _ => amgi::codegen::no_channel(cx),
            }
        },
        (true, false) => quote! {
            let address = cx.address();
            #(#patterns)*
            #(#given)*
            amgi::codegen::no_channel(cx)
        },
        (false, false) => quote! {
            match cx.address() {
                #(#literal)*
                address => {
                    #(#patterns)*
                    #(#given)*
                    amgi::codegen::no_channel(cx)
                }
            }
        },
    }
}

/// A struct of handlers that forwards each channel to its own part.
fn parts(handled: &[(&Channel, &Handler)]) -> TokenStream {
    let letters: Vec<_> = (0..handled.len()).map(|n| format_ident!("H{n}")).collect();
    let fields: Vec<_> = handled.iter().map(|(channel, _)| ident(&channel.field)).collect();
    let lines: Vec<String> =
        handled.iter().map(|(_, handler)| format!(" Implements [`{}`].", handler.name)).collect();
    let impls = handled.iter().enumerate().map(|(n, (channel, handler))| {
        let (name, letter, field) = (ident(&handler.name), &letters[n], ident(&channel.field));
        let others = letters.iter().enumerate().map(|(m, letter)| {
            if m == n { quote!(#letter: #name) } else { quote!(#letter: Send + Sync + 'static) }
        });
        let methods = handler.methods.iter().map(|method| {
            let signature = signature(channel, method);
            let (method_name, argument) = (ident(&method.name), ident(&method.argument));
            let (address, cx) = if method.batch {
                (quote!(channels,), quote!(batch))
            } else {
                (quote!(channel,), quote!(cx))
            };
            let address = channel.parameters.as_ref().map(|_| address);
            quote! {
                #signature {
                    self.#field.#method_name(#address #argument, #cx)
                }
            }
        });
        quote! {
            impl<#(#others),*> #name for Handlers<#(#letters),*> {
                type Error = #letter::Error;
                #(#methods)*
            }
        }
    });
    quote! {
        /// Handlers of several types, one a channel.
        #[derive(Debug, Clone, Copy)]
        pub struct Handlers<#(#letters),*> {
            #(#[doc = #lines] pub #fields: #letters,)*
        }
        #(#impls)*
    }
}

/// One trait for every group of channels of a large document, implemented by what implements all of them.
fn group_traits(api: &Api) -> TokenStream {
    api.dispatch
        .chunks(GROUP)
        .enumerate()
        .map(|(n, routes)| {
            let group = format_ident!("Group{n}");
            let traits: Vec<_> = routes
                .iter()
                .flat_map(|route| &route.channels)
                .filter_map(|&channel| api.channels[channel].handler.as_ref())
                .map(|handler| ident(&handler.name))
                .collect();
            quote!(amgi::codegen::group!(#group: #(#traits),*);)
        })
        .collect()
}
