//! What goes out and is not in the broker's hands yet.
//!
//! What must hold: a packet id belongs to one message until the broker is done with it, and a caller is told exactly once.

use std::collections::{BTreeMap, HashMap};

use amgi::{ByteString, SendError};
use tokio::sync::oneshot;

use crate::wire::Publish;

/// A message to publish, and who waits for it.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) address: ByteString,
    pub(crate) publish: Publish,
    pub(crate) reply: oneshot::Sender<Result<(), SendError>>,
}

impl Request {
    /// Tells the caller. One that has given up does not hear it.
    pub(crate) fn done(self, result: Result<(), String>) {
        let _ = self.reply.send(result.map_err(|error| SendError::new(self.address.to_string(), error)));
    }
}

#[derive(Debug)]
struct Sent {
    request: Request,
    /// QoS 2: the broker has it, PUBREL is what to repeat.
    received: bool,
}

/// What to send again on a new connection.
#[derive(Debug)]
pub(crate) enum Again {
    Publish(Publish),
    Pubrel(u16),
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    /// In the order in which they were sent.
    sent: BTreeMap<u64, Sent>,
    ids: HashMap<u16, u64>,
    last_id: u16,
    last: u64,
}

impl Outbox {
    /// How many wait for the broker.
    pub(crate) fn len(&self) -> usize {
        self.sent.len()
    }

    /// Reserves a packet id for something other than a message. [`release`](Self::release) it.
    pub(crate) fn reserve(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.wrapping_add(1).max(1);
            if let std::collections::hash_map::Entry::Vacant(free) = self.ids.entry(self.last_id) {
                free.insert(0);
                return self.last_id;
            }
        }
    }

    /// Gives a reserved packet id back.
    pub(crate) fn release(&mut self, id: u16) {
        self.ids.remove(&id);
    }

    /// Keeps a message of QoS 1 or 2 until the broker has it, under the packet id that it already has.
    pub(crate) fn keep(&mut self, request: Request) {
        self.last += 1;
        self.ids.insert(request.publish.id, self.last);
        self.sent.insert(self.last, Sent { request, received: false });
    }

    fn take(&mut self, id: u16) -> Option<Request> {
        let number = self.ids.get(&id)?;
        let sent = self.sent.remove(number)?;
        self.ids.remove(&id);
        Some(sent.request)
    }

    /// PUBACK, or a PUBREC that refuses: it is over.
    pub(crate) fn finished(&mut self, id: u16, result: Result<(), String>) {
        if let Some(request) = self.take(id) {
            request.done(result);
        }
    }

    /// PUBREC: now PUBREL is due.
    pub(crate) fn received(&mut self, id: u16) {
        if let Some(sent) = self.ids.get(&id).and_then(|number| self.sent.get_mut(number)) {
            sent.received = true;
        }
    }

    /// A connection is there: what to send again, in order. With another session, a message that was half delivered is an error,
    /// and everything else is new.
    pub(crate) fn connected(&mut self, session_present: bool) -> Vec<Again> {
        let mut again = Vec::new();
        let (mut lost, mut given_up) = (Vec::new(), Vec::new());
        for sent in self.sent.values_mut() {
            let id = sent.request.publish.id;
            match (sent.received, session_present) {
                (true, true) => again.push(Again::Pubrel(id)),
                (true, false) => lost.push(id),
                // Nobody waits for it any more and was told so.
                (false, _) if sent.request.reply.is_closed() => given_up.push(id),
                (false, _) => {
                    let mut publish = sent.request.publish.clone();
                    publish.dup = session_present;
                    again.push(Again::Publish(publish));
                }
            }
        }
        for id in lost {
            self.finished(id, Err("the broker lost the session before it confirmed the message".to_owned()));
        }
        for id in given_up {
            self.take(id);
        }
        again
    }

    /// The server ends: whoever still waits is told.
    pub(crate) fn close(&mut self, why: &str) {
        for (_, sent) in std::mem::take(&mut self.sent) {
            sent.request.done(Err(why.to_owned()));
        }
        self.ids.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(outbox: &mut Outbox, qos: u8) -> (u16, oneshot::Receiver<Result<(), SendError>>) {
        let (reply, answer) = oneshot::channel();
        let id = outbox.reserve();
        let publish = Publish { qos, id, ..Publish::default() };
        outbox.keep(Request { address: "a".into(), publish, reply });
        (id, answer)
    }

    #[test]
    fn packet_ids_are_not_used_twice() {
        let mut outbox = Outbox { last_id: u16::MAX - 1, ..Outbox::default() };
        let ids: Vec<_> = (0..4).map(|_| request(&mut outbox, 1)).collect();
        assert_eq!(ids.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [u16::MAX, 1, 2, 3]);
        outbox.last_id = 0;
        assert_eq!(outbox.reserve(), 4);
    }

    #[test]
    fn callers_hear_what_became_of_it() {
        let mut outbox = Outbox::default();
        let (one, mut answer) = request(&mut outbox, 1);
        assert!(answer.try_recv().is_err());
        outbox.finished(one, Ok(()));
        assert!(answer.try_recv().unwrap().is_ok());
        let (two, mut answer) = request(&mut outbox, 1);
        outbox.finished(two, Err("Not authorized".to_owned()));
        assert!(answer.try_recv().unwrap().unwrap_err().to_string().contains("Not authorized"));
        assert_eq!(outbox.len(), 0);
    }

    #[test]
    fn a_new_connection_repeats_in_order() {
        let mut outbox = Outbox::default();
        let (one, _first) = request(&mut outbox, 1);
        let (two, _second) = request(&mut outbox, 2);
        let (_, given_up) = request(&mut outbox, 1);
        drop(given_up);
        outbox.received(two);
        let again = outbox.connected(true);
        assert!(matches!(&again[0], Again::Publish(p) if p.id == one && p.dup));
        assert!(matches!(again[1], Again::Pubrel(id) if id == two));
        assert_eq!(again.len(), 2);
    }

    #[test]
    fn a_lost_session_is_an_error_for_what_was_half_delivered() {
        let mut outbox = Outbox::default();
        let (two, mut answer) = request(&mut outbox, 2);
        outbox.received(two);
        assert!(outbox.connected(false).is_empty());
        assert!(answer.try_recv().unwrap().is_err());
    }
}
