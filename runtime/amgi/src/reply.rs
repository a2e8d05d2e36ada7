//! Request/reply: where the answer goes, and how it is told which question it answers.
//!
//! `AsyncAPI` 3.1, Operation Reply Object, Operation Reply Address Object, Correlation ID Object, Runtime Expression.

use std::borrow::Cow;

use bytes::Bytes;
use bytestring::ByteString;

use crate::{
    contract::Message,
    error::{Part, Rejection},
};

/// Where a value is in a message: a runtime expression, taken apart.
///
/// ```
/// use amgi::{Message, reply::Location};
///
/// let message = Message::new("user.find").header("reply-to", "users.42").payload(r#"{"meta":{"id":7}}"#);
/// assert_eq!(Location::Header("reply-to").read(&message).as_deref(), Some("users.42"));
/// assert_eq!(Location::Payload("/meta/id").read(&message).as_deref(), Some("7"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Location {
    /// `$message.header#/NAME`
    Header(&'static str),
    /// `$message.payload#POINTER`
    Payload(&'static str),
}

impl Location {
    /// The value as text: strings as they are, other JSON as its text. `None` when it is not there or null.
    pub fn read<'m>(&self, message: &'m Message) -> Option<Cow<'m, str>> {
        match self {
            Self::Header(name) => std::str::from_utf8(message.headers.get(name)?).ok().map(Cow::Borrowed),
            Self::Payload(pointer) => {
                let value: serde_json::Value = serde_json::from_slice(message.payload.as_ref()?).ok()?;
                match value.pointer(pointer)? {
                    serde_json::Value::Null => None,
                    serde_json::Value::String(text) => Some(Cow::Owned(text.clone())),
                    other => Some(Cow::Owned(other.to_string())),
                }
            }
        }
    }
}

/// How the replies of one operation are addressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplyInfo {
    /// Where the request says the address; `None` when the channel has it.
    pub location: Option<Location>,
    /// Address of the reply channel; `None` when only the request knows.
    pub address: Option<&'static str>,
    /// Where request and reply hold their correlation id.
    pub correlation: Option<(Location, Location)>,
}

impl ReplyInfo {
    /// Address of the reply to `request`: where the document says, else the binding `reply_to` of its protocol, else the
    /// address of the reply channel.
    ///
    /// ```
    /// use amgi::{Message, reply::{Location, ReplyInfo}};
    ///
    /// let info = ReplyInfo { location: Some(Location::Header("reply-to")), address: None, correlation: None };
    /// let request = Message::new("user.find").binding("nats", "reply_to", "_INBOX.7");
    /// assert_eq!(info.address(&request).unwrap(), "_INBOX.7");
    /// ```
    pub fn address(&self, request: &Message) -> Result<ByteString, Rejection> {
        if let Some(location) = self.location
            && let Some(address) = location.read(request).filter(|address| !address.is_empty())
        {
            return Ok(ByteString::from(address.as_ref()));
        }
        // Where the protocol has a place of its own for it, as NATS and AMQP do, a request may use that.
        if self.location.is_some() || self.address.is_none() {
            let own = request.bindings.iter().find(|binding| &*binding.field == "reply_to");
            if let Some(address) =
                own.and_then(|binding| binding.value.as_str()).filter(|text| !text.is_empty())
            {
                return Ok(ByteString::from(address));
            }
        }
        self.address.map(ByteString::from_static).ok_or_else(|| match self.location {
            Some(Location::Payload(pointer)) => {
                Rejection::new(Part::Payload, pointer, "", "the address of the reply")
            }
            Some(Location::Header(name)) => {
                let mut pointer = String::new();
                crate::codec::push_token(&mut pointer, name);
                Rejection::new(Part::Headers, pointer, "", "the address of the reply")
            }
            None => Rejection::new(
                Part::Headers,
                "",
                "",
                "an address of the reply, which the document does not name",
            ),
        })
    }

    /// Copies the correlation id of `request` into a header of `reply`, unless the handler has set it.
    pub fn correlate(&self, request: &Message, reply: &mut Message) {
        let Some((from, Location::Header(name))) = self.correlation else { return };
        if reply.headers.get(name).is_some() {
            return;
        }
        let id = match from {
            Location::Header(name) => request.headers.get_bytes(name).cloned(),
            Location::Payload(_) => from.read(request).map(|id| Bytes::copy_from_slice(id.as_bytes())),
        };
        if let Some(id) = id {
            reply.headers.push(name, id);
        }
    }
}
