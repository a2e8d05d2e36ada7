//! What `help(users)` says: the document in words.

use std::fmt::Write as _;

use amgi::{
    Document,
    contract::{MessageType, Place},
};

/// The docstring of a document's module.
pub(crate) fn text(document: &Document) -> String {
    let mut text = format!("{} {}", document.title, document.version);
    let json: serde_json::Value = serde_json::from_str(document.json).unwrap_or_default();
    if let Some(description) = json.pointer("/info/description").and_then(serde_json::Value::as_str) {
        text = format!("{text}\n\n{}", description.trim());
    }
    text.push_str("\n\n`app` is an AMGI application: `asyncfast run SERVER MODULE:app ADDRESS` runs it.\n");
    let receives = document.receives.iter().map(|receive| (&receive.channel, receive.messages));
    list(&mut text, "Receives", receives);
    list(&mut text, "Sends", document.sends.iter().map(|send| (&send.channel, send.messages)));
    text
}

fn list<'a>(text: &mut String, verb: &str, lines: impl Iterator<Item = (&'a Place, &'a [MessageType])>) {
    for (index, (place, messages)) in lines.enumerate() {
        if index == 0 {
            let _ = write!(text, "\n{verb}:\n\n");
        }
        let names: Vec<&str> = messages.iter().map(|message| message.name).collect();
        let address = place.address.unwrap_or("an address that is known at run time");
        let _ = writeln!(text, "- {address}: {}", names.join(", "));
    }
}
