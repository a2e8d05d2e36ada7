//! The diagram of channels and operations, in Mermaid's syntax.
//!
//! Whatever a document's names hold, the diagram stays one diagram: they are quoted and escaped.

use std::{
    collections::BTreeMap,
    fmt::{self, Write},
};

use crate::ir::{Api, Location, Reply};

/// Channels left and right of the application, an arrow for every method and send.
pub(super) fn flowchart(api: &Api) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write(api, &mut out);
    out
}

fn write(api: &Api, out: &mut String) -> fmt::Result {
    write!(out, "flowchart LR\n    app[{}]", quoted(&api.title))?;
    for (index, channel) in api.channels.iter().enumerate() {
        let label =
            channel.address.clone().unwrap_or_else(|| format!("{} (address at run time)", channel.key));
        write!(out, "\n    c{index}([{}])", quoted(&label))?;
    }
    let mut places = BTreeMap::new();
    for (index, channel) in api.channels.iter().enumerate() {
        for method in channel.handler.iter().flat_map(|handler| &handler.methods) {
            write!(out, "\n    c{index} -->|{}| app", quoted(&names(api, &method.messages)))?;
            let Some(reply) = &method.reply else { continue };
            let to = reply_node(api, reply, index, &mut places, out)?;
            write!(out, "\n    app -.->|{}| {to}", quoted(&names(api, &reply.messages)))?;
        }
    }
    for send in &api.sends {
        write!(out, "\n    app -->|{}| c{}", quoted(&names(api, &send.messages)), send.channel)?;
    }
    Ok(())
}

/// The node a reply goes to: a channel of the document, else a place of its own, once for each.
fn reply_node(
    api: &Api,
    reply: &Reply,
    request: usize,
    places: &mut BTreeMap<String, usize>,
    out: &mut String,
) -> Result<String, fmt::Error> {
    let by_address =
        |address: &String| api.channels.iter().position(|channel| channel.address.as_ref() == Some(address));
    if let Some(index) = reply.address.as_ref().and_then(by_address) {
        return Ok(format!("c{index}"));
    }
    let label = match (&reply.location, &reply.address) {
        (Some(Location::Header(name)), _) => format!("header {name} of the request"),
        (Some(Location::Payload(pointer)), _) => format!("payload {pointer} of the request"),
        (None, Some(address)) => address.clone(),
        (None, None) => return Ok(format!("c{request}")),
    };
    let next = places.len();
    if let Some(known) = places.get(&label) {
        return Ok(format!("r{known}"));
    }
    write!(out, "\n    r{next}([{}])", quoted(&label))?;
    places.insert(label, next);
    Ok(format!("r{next}"))
}

fn names(api: &Api, messages: &[usize]) -> String {
    let names: Vec<&str> = messages
        .iter()
        .filter_map(|index| api.messages.get(*index))
        .map(|message| message.name.as_str())
        .collect();
    names.join(", ")
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in super::one_line(text).chars() {
        match c {
            '"' => out.push_str("#quot;"),
            '#' => out.push_str("#35;"),
            '<' => out.push_str("#lt;"),
            '>' => out.push_str("#gt;"),
            '`' => out.push('\''),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn labels_cannot_break_out() {
        assert_eq!(super::quoted("a\"]\n--> <b>"), "\"a#quot;] --#gt; #lt;b#gt;\"");
    }
}
