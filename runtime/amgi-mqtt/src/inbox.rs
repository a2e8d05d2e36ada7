//! What came in and is not acknowledged yet.
//!
//! What must hold: acknowledgements leave in the order in which the messages came (MQTT 4.6), only for messages that are
//! handled, and only on the connection that delivered them. What is handled or in a handler's hands when the connection breaks
//! is not handled again when the broker delivers it again.

use std::collections::{BTreeSet, HashMap, VecDeque};

use amgi::{ByteString, Bytes};

use crate::wire::Publish;

/// Number of a delivery to the application; zero for what needs no acknowledgement.
pub(crate) type Job = u64;

#[derive(Debug)]
struct Entry {
    id: u16,
    qos: u8,
    job: Job,
    handled: bool,
    topic: ByteString,
    payload: Bytes,
}

impl Entry {
    /// Whether `publish` is this message again.
    fn is(&self, publish: &Publish) -> bool {
        publish.dup
            && publish.qos == self.qos
            && publish.topic == self.topic
            && publish.payload == self.payload
    }
}

/// Whether a message is to be handled.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Yes, under this number.
    New(Job),
    /// No: it is being handled, or was.
    Known,
}

/// An acknowledgement that is due.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Ack {
    /// QoS 1.
    Puback(u16),
    /// QoS 2, first half.
    Pubrec(u16),
}

#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// In order of receipt on this connection.
    entries: VecDeque<Entry>,
    /// Left over from earlier connections of this session, by packet id.
    left: HashMap<u16, Entry>,
    /// QoS 2: PUBREC sent, PUBREL not here yet.
    unreleased: BTreeSet<u16>,
    last: Job,
    /// Jobs that are not settled yet, QoS 0 included.
    running: usize,
}

impl Inbox {
    /// How many deliveries wait or are being handled.
    pub(crate) fn running(&self) -> usize {
        self.running
    }

    /// Takes note of a message. A new one must be settled by [`settled`](Self::settled).
    pub(crate) fn received(&mut self, publish: &Publish) -> Received {
        if publish.qos == 0 {
            self.running += 1;
            return Received::New(0);
        }
        let left = self.left.remove(&publish.id).filter(|entry| entry.is(publish));
        if let Some(entry) = left {
            self.entries.push_back(entry);
            return Received::Known;
        }
        let again = publish.qos == 2 && self.unreleased.contains(&publish.id);
        self.last += 1;
        self.entries.push_back(Entry {
            id: publish.id,
            qos: publish.qos,
            job: self.last,
            handled: again,
            topic: publish.topic.clone(),
            payload: publish.payload.clone(),
        });
        if again {
            return Received::Known;
        }
        self.running += 1;
        Received::New(self.last)
    }

    /// A job is over. What is not `handled` stays with the broker, and so does what came after it.
    pub(crate) fn settled(&mut self, job: Job, handled: bool) {
        self.running = self.running.saturating_sub(1);
        if job == 0 || !handled {
            return;
        }
        let entry = self.entries.iter_mut().find(|entry| entry.job == job);
        if let Some(entry) = entry.or_else(|| self.left.values_mut().find(|entry| entry.job == job)) {
            entry.handled = true;
        }
    }

    /// The next acknowledgement that is due on this connection.
    pub(crate) fn next_ack(&mut self) -> Option<Ack> {
        if !self.entries.front()?.handled {
            return None;
        }
        let entry = self.entries.pop_front()?;
        Some(if entry.qos == 2 {
            self.unreleased.insert(entry.id);
            Ack::Pubrec(entry.id)
        } else {
            Ack::Puback(entry.id)
        })
    }

    /// PUBREL: the broker forgets the message, its packet id is free again.
    pub(crate) fn released(&mut self, id: u16) {
        self.unreleased.remove(&id);
    }

    /// The connection broke: nothing may be acknowledged until the broker delivers it again.
    pub(crate) fn disconnected(&mut self) {
        self.left.extend(self.entries.drain(..).map(|entry| (entry.id, entry)));
    }

    /// A connection is there. Without the broker's session, packet ids mean nothing any more.
    pub(crate) fn connected(&mut self, session_present: bool) {
        if !session_present {
            self.left.clear();
            self.unreleased.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(id: u16, qos: u8, dup: bool) -> Publish {
        Publish {
            id,
            qos,
            dup,
            topic: "t".into(),
            payload: Bytes::from(vec![id.to_le_bytes()[0]]),
            ..Publish::default()
        }
    }

    fn new(inbox: &mut Inbox, id: u16, qos: u8) -> Job {
        match inbox.received(&publish(id, qos, false)) {
            Received::New(job) => job,
            Received::Known => panic!("{id} should be new"),
        }
    }

    #[test]
    fn acknowledgements_keep_the_order_of_receipt() {
        let mut inbox = Inbox::default();
        let jobs: Vec<_> = (1..=3).map(|id| new(&mut inbox, id, if id == 2 { 2 } else { 1 })).collect();
        inbox.settled(jobs[2], true);
        assert_eq!(inbox.next_ack(), None);
        inbox.settled(jobs[0], true);
        assert_eq!(inbox.next_ack(), Some(Ack::Puback(1)));
        assert_eq!(inbox.next_ack(), None);
        inbox.settled(jobs[1], true);
        assert_eq!(inbox.next_ack(), Some(Ack::Pubrec(2)));
        assert_eq!(inbox.next_ack(), Some(Ack::Puback(3)));
        assert_eq!(inbox.running(), 0);
    }

    #[test]
    fn what_is_not_handled_is_never_acknowledged() {
        let mut inbox = Inbox::default();
        let (first, second) = (new(&mut inbox, 1, 1), new(&mut inbox, 2, 1));
        inbox.settled(first, false);
        inbox.settled(second, true);
        assert_eq!(inbox.next_ack(), None);
    }

    #[test]
    fn a_broken_connection_does_not_handle_twice() {
        let mut inbox = Inbox::default();
        let (first, second) = (new(&mut inbox, 1, 1), new(&mut inbox, 2, 1));
        inbox.settled(second, true);
        inbox.disconnected();
        assert_eq!(inbox.next_ack(), None);
        inbox.connected(true);
        assert_eq!(inbox.received(&publish(1, 1, true)), Received::Known);
        assert_eq!(inbox.received(&publish(2, 1, true)), Received::Known);
        assert_eq!(inbox.next_ack(), None, "the first is still in its handler");
        inbox.settled(first, true);
        assert_eq!(inbox.next_ack(), Some(Ack::Puback(1)));
        assert_eq!(inbox.next_ack(), Some(Ack::Puback(2)));
    }

    #[test]
    fn a_packet_id_that_is_used_anew_is_another_message() {
        let mut inbox = Inbox::default();
        let first = new(&mut inbox, 1, 1);
        inbox.settled(first, true);
        inbox.disconnected();
        inbox.connected(true);
        let mut other = publish(1, 1, true);
        other.payload = Bytes::from_static(b"other");
        assert!(matches!(inbox.received(&other), Received::New(_)));

        inbox.disconnected();
        inbox.connected(false);
        assert!(matches!(inbox.received(&other), Received::New(_)), "the session is another one");
    }

    #[test]
    fn qos_2_is_handled_once_until_it_is_released() {
        let mut inbox = Inbox::default();
        let job = new(&mut inbox, 7, 2);
        inbox.settled(job, true);
        assert_eq!(inbox.next_ack(), Some(Ack::Pubrec(7)));
        inbox.disconnected();
        inbox.connected(true);
        assert_eq!(inbox.received(&publish(7, 2, true)), Received::Known);
        assert_eq!(inbox.next_ack(), Some(Ack::Pubrec(7)));
        inbox.released(7);
        assert!(matches!(inbox.received(&publish(7, 2, false)), Received::New(_)));
    }
}
