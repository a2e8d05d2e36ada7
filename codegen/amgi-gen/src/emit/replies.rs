//! Requests that the application sends: what receives their replies.

use std::collections::BTreeSet;

use proc_macro2::TokenStream;
use quote::quote;

use super::{
    info::bindings,
    wire::{location, reply_info},
};
use crate::ir::{Api, Location, Reply, Send};

/// Sends whose reply is awaited.
pub(super) fn requests(api: &Api) -> impl Iterator<Item = (&Send, &Reply)> {
    api.sends.iter().filter_map(|send| send.reply.as_ref().map(|reply| (send, reply)))
}

/// How the reply of a request is addressed, as a constant expression.
pub(super) fn info(api: &Api, send: &Send, reply: &Reply) -> TokenStream {
    // Which of several requests it is does not change where they hold what is said here.
    reply_info(api, send.messages[0], reply)
}

/// `replies()` in `wire`.
pub(super) fn wire(api: &Api) -> TokenStream {
    let handled: Vec<&str> = api.dispatch.iter().filter_map(|route| route.address.as_deref()).collect();
    let mut addresses = BTreeSet::new();
    let channels = requests(api).filter_map(|(_, reply)| {
        let address = reply.address.as_deref().filter(|address| addresses.insert(*address))?;
        let (key, servers, bindings) =
            (reply.channel.as_deref().unwrap_or(address), &reply.servers, bindings(&reply.channel_bindings));
        // Where handlers receive too, replies come behind messages.
        let replies = !handled.contains(&address);
        Some(quote! {
            amgi::ChannelInfo {
                servers: &[#(#servers),*],
                bindings: #bindings,
                replies: #replies,
                ..amgi::ChannelInfo::new(#key, #address)
            }
        })
    });
    let channels: Vec<_> = channels.collect();
    let handled = handled.iter().filter(|address| addresses.contains(*address));
    let mut locations: Vec<&Location> = Vec::new();
    for (_, reply) in requests(api) {
        let answer = reply.messages.iter().find_map(|&index| api.messages[index].correlation.as_ref());
        locations.extend(answer.filter(|answer| !locations.contains(answer)));
    }
    let locations = locations.into_iter().map(location);
    let inbox = requests(api).any(|(_, reply)| reply.address.is_none());
    quote! {
        pub(super) fn replies() -> amgi::Replies {
            codegen::replies(vec![#(#channels),*], &[#(#handled),*], SERVERS, &[#(#locations),*], #inbox)
        }
    }
}
