//! The document as generated code carries it: for command lines and other tools, which work by names.

use super::{Bindings, Message, ServerInfo};
use crate::error::Rejection;

/// What a generated module tells about its document (`user::DOCUMENT`). Constant data: a program that does not use it does
/// not contain it.
#[derive(Debug, Clone, Copy)]
pub struct Document {
    /// `info.title`.
    pub title: &'static str,
    /// `info.version`.
    pub version: &'static str,
    /// The whole document as JSON on one line, its members in their order and everything in it that it consisted of.
    pub json: &'static str,
    /// Its servers.
    pub servers: &'static [ServerInfo],
    /// Channels that are received from.
    pub receives: &'static [ReceiveInfo],
    /// Send operations.
    pub sends: &'static [SendInfo],
}

/// A channel that is received from.
#[derive(Debug, Clone, Copy)]
pub struct ReceiveInfo {
    /// Where it is.
    pub channel: Place,
    /// What comes from it.
    pub messages: &'static [MessageType],
}

/// A send operation.
#[derive(Debug, Clone, Copy)]
pub struct SendInfo {
    /// Key in the document's `operations`.
    pub name: &'static str,
    /// Where it sends to.
    pub channel: Place,
    /// What it sends.
    pub messages: &'static [MessageType],
    /// Sets the bindings that the document gives the operation.
    pub bindings: fn(&mut Bindings),
}

/// A channel, and where it is.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Key in the document's `channels`.
    pub name: &'static str,
    /// Address with `{parameters}`; `None` when it is known only at run time.
    pub address: Option<&'static str>,
    /// Keys of the servers it is on; empty means all.
    pub servers: &'static [&'static str],
    /// Whether an address fits its parameters.
    pub check: fn(&str) -> Result<(), Rejection>,
}

/// A message of the document by name.
#[derive(Debug, Clone, Copy)]
pub struct MessageType {
    /// Name in the document.
    pub name: &'static str,
    /// Reads and checks the first message, and writes it into the second as a handler's send would.
    pub remake: fn(&Message, &mut Message) -> Result<(), Rejection>,
}
