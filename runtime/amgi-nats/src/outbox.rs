//! Sends: to whoever listens, or to a stream of JetStream.

use std::{sync::Arc, time::Duration};

use amgi::{ByteString, Bytes, Message, MessageSend, SendError, SendFuture, address::Pattern};
use async_nats::{
    HeaderMap, Subject,
    jetstream::{self, context::PublishErrorKind, message::PublishMessage},
};
use tokio::time::timeout;

use crate::{link::Link, message, subject::Subjects};

/// Sends messages of the application.
pub(crate) struct Outbox {
    pub(crate) link: Arc<Link>,
    pub(crate) subjects: Arc<Subjects>,
    /// Set when sends go to streams.
    pub(crate) jetstream: Option<jetstream::Context>,
    /// Addresses that are not on JetStream.
    pub(crate) core: Vec<Pattern>,
    /// Where this application's requests get their replies.
    pub(crate) replies: Vec<ByteString>,
    pub(crate) timeout: Duration,
}

/// A message as the client takes it.
struct Ready {
    subject: Subject,
    payload: Bytes,
    headers: Option<HeaderMap>,
    reply: Option<Subject>,
    /// Whether a stream is to take it.
    stream: bool,
}

impl Outbox {
    fn ready(&self, message: &Message) -> Result<Ready, String> {
        let subject = self.subjects.subject(&message.address);
        if !is_subject(&subject) {
            return Err(format!("`{subject}` is no subject to send to"));
        }
        let stream = self.jetstream.is_some() && !self.is_core(&message.address, &subject);
        let reply = if stream { None } else { self.reply(message)? };
        Ok(Ready {
            subject: shared(subject)?,
            payload: message.payload.clone().unwrap_or_default(),
            headers: message::outgoing_headers(message)?,
            reply: reply.map(shared).transpose()?,
            stream,
        })
    }

    /// Whether a message goes to whoever listens though others go to streams. Replies always do.
    fn is_core(&self, address: &str, subject: &str) -> bool {
        subject.starts_with("_INBOX.")
            || subject.starts_with("amgi.reply.")
            || self.core.iter().any(|pattern| pattern.matches(address))
    }

    /// Where the reply to a request is to go: what the binding says, else the address of a reply that the request holds.
    fn reply(&self, message: &Message) -> Result<Option<ByteString>, String> {
        if let Some(subject) = message::reply_to(message)? {
            return Ok(Some(subject));
        }
        if self.replies.is_empty() {
            return Ok(None);
        }
        let held =
            |address: &&ByteString| message.headers.iter().any(|(_, value)| value[..] == *address.as_bytes());
        Ok(self.replies.iter().find(held).map(|address| self.subjects.subject(address)))
    }

    /// Returns when the broker has the message.
    async fn publish(&self, ready: Ready) -> Result<(), String> {
        let Ready { subject, payload, headers, reply, .. } = ready;
        let client = &self.link.client;
        loop {
            let connections = self.link.connections();
            let (subject, payload, headers) = (subject.clone(), payload.clone(), headers.clone());
            let shown = subject.clone();
            let published = match (reply.clone(), headers) {
                (None, None) => client.publish(subject, payload).await,
                (None, Some(headers)) => client.publish_with_headers(subject, headers, payload).await,
                (Some(reply), None) => client.publish_with_reply(subject, reply, payload).await,
                (Some(reply), Some(headers)) => {
                    client.publish_with_reply_and_headers(subject, reply, headers, payload).await
                }
            };
            published.map_err(|error| error.to_string())?;
            let reached = self.link.reached(connections).await;
            if let Some(refusal) = self.link.refusal(&shown) {
                return Err(refusal);
            }
            if reached {
                return Ok(());
            }
            // The connection broke meanwhile: it may be lost, so it is sent again.
        }
    }

    /// Returns when a stream has stored the message.
    async fn store(&self, jetstream: &jetstream::Context, ready: Ready) -> Result<(), String> {
        let Ready { subject, payload, headers, .. } = ready;
        loop {
            let connections = self.link.connections();
            let (mut connected, mut refused) = (self.link.connected(), self.link.refused());
            let mut publish = PublishMessage::build().payload(payload.clone());
            if let Some(headers) = &headers {
                publish = publish.headers(headers.clone());
            }
            let explain = |error: async_nats::jetstream::context::PublishError| match error.kind() {
                PublishErrorKind::StreamNotFound => format!(
                    "no stream has the subject `{subject}`; make one, or name the address in `core` to send it without JetStream"
                ),
                _ => error.to_string(),
            };
            let stored = jetstream.send_publish(subject.clone(), publish).await.map_err(explain)?;
            let mut stored = stored.into_future();
            loop {
                tokio::select! {
                    biased;
                    stored = &mut stored => return stored.map(drop).map_err(explain),
                    _ = connected.changed() => {}
                    _ = refused.changed() => {
                        if let Some(refusal) = self.link.refusal(&subject) {
                            return Err(refusal);
                        }
                    }
                }
                if self.link.connections() != connections {
                    // The answer to what was sent on the other connection never comes.
                    break;
                }
            }
        }
    }
}

/// Text that is shared, not copied.
fn shared(text: ByteString) -> Result<Subject, String> {
    Subject::from_utf8(text.into_bytes()).map_err(|error| error.to_string())
}

/// Whether something can be sent there.
fn is_subject(subject: &str) -> bool {
    !subject.contains(|c: char| c.is_whitespace() || c.is_control() || c == '*' || c == '>')
        && subject.split('.').all(|token| !token.is_empty())
}

impl MessageSend for Outbox {
    fn send(&self, message: Message) -> SendFuture<'_> {
        let ready = match self.ready(&message) {
            Ok(ready) => ready,
            Err(error) => return SendFuture::ready(Err(SendError::new(message.address.to_string(), error))),
        };
        let address = message.address;
        SendFuture::pending(async move {
            let sent = async {
                match &self.jetstream {
                    Some(jetstream) if ready.stream => self.store(jetstream, ready).await,
                    _ => self.publish(ready).await,
                }
            };
            let failed = match timeout(self.timeout, sent).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(error)) => error,
                Err(_) => format!("the broker did not take it within {:?}", self.timeout),
            };
            Err(SendError::new(address.to_string(), failed))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_wildcards_is_nothing_to_send_to() {
        for subject in ["", "a..b", ".a", "a.", "a b", "a.*", "a.>", "a\n"] {
            assert!(!is_subject(subject), "{subject:?}");
        }
        assert!(is_subject("_INBOX.abc") && is_subject("ü.7"));
    }
}
