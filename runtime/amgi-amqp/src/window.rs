//! What of a queue was delivered and is not acknowledged.
//!
//! What must hold: nothing is acknowledged that is not handled; tags that follow one another are acknowledged together, and
//! what is behind a message that takes long does not wait for it.

use std::collections::VecDeque;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// With a handler, or waiting for one, or for its time to be given back.
    Open,
    /// Handled; the broker does not know it yet.
    Handled,
    /// The broker knows.
    Settled,
}

/// An acknowledgement that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ack {
    pub(crate) tag: u64,
    /// All before it too.
    pub(crate) multiple: bool,
}

/// Messages of one channel, by tag.
#[derive(Debug)]
pub(crate) struct Window {
    /// Tag of the first entry.
    first: u64,
    entries: VecDeque<State>,
    /// How many are handled and not acknowledged.
    handled: usize,
}

impl Default for Window {
    fn default() -> Self {
        Self { first: 1, entries: VecDeque::new(), handled: 0 }
    }
}

impl Window {
    /// A message was delivered.
    pub(crate) fn delivered(&mut self, tag: u64) {
        if self.entries.is_empty() {
            self.first = tag;
        }
        self.entries.push_back(State::Open);
    }

    fn set(&mut self, tag: u64, state: State) {
        let index = tag.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        if let Some(entry) = index.and_then(|index| self.entries.get_mut(index)) {
            *entry = state;
        }
    }

    /// It is handled.
    pub(crate) fn handled(&mut self, tag: u64) {
        self.set(tag, State::Handled);
        self.handled += 1;
    }

    /// It was given back to the broker.
    pub(crate) fn given_back(&mut self, tag: u64) {
        self.set(tag, State::Settled);
    }

    /// Acknowledges all that are handled, by as few as it takes.
    pub(crate) fn flush(&mut self, mut ack: impl FnMut(Ack)) {
        let (mut last, mut run) = (None, 0);
        while let Some(state @ (State::Handled | State::Settled)) = self.entries.front() {
            if *state == State::Handled {
                last = Some(self.first);
                run += 1;
            }
            self.entries.pop_front();
            self.first += 1;
        }
        if let Some(tag) = last {
            ack(Ack { tag, multiple: run > 1 });
            self.handled -= run;
        }
        if self.handled > 0 {
            for (tag, state) in (self.first..).zip(&mut self.entries) {
                if *state == State::Handled {
                    *state = State::Settled;
                    ack(Ack { tag, multiple: false });
                }
            }
            self.handled = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flushed(window: &mut Window) -> Vec<(u64, bool)> {
        let mut acks = Vec::new();
        window.flush(|ack| acks.push((ack.tag, ack.multiple)));
        acks
    }

    fn window(messages: u64) -> Window {
        let mut window = Window::default();
        (1..=messages).for_each(|tag| window.delivered(tag));
        window
    }

    #[test]
    fn what_follows_one_another_is_acknowledged_together() {
        let mut window = window(5);
        for tag in [2, 1, 3] {
            window.handled(tag);
        }
        assert_eq!(flushed(&mut window), [(3, true)]);
        window.handled(4);
        assert_eq!(flushed(&mut window), [(4, false)]);
        assert_eq!(flushed(&mut window), []);
    }

    #[test]
    fn nothing_that_is_open_is_acknowledged() {
        let mut window = window(6);
        for tag in [1, 3, 5] {
            window.handled(tag);
        }
        assert_eq!(flushed(&mut window), [(1, false), (3, false), (5, false)]);
        window.handled(2);
        // 3 is settled, so 2 alone is; then the rest.
        assert_eq!(flushed(&mut window), [(2, false)]);
        window.delivered(7);
        for tag in [4, 6, 7] {
            window.handled(tag);
        }
        assert_eq!(flushed(&mut window), [(7, true)]);
        assert_eq!(window.handled, 0);
    }

    #[test]
    fn what_was_given_back_is_not_in_the_way() {
        let mut window = window(3);
        window.given_back(1);
        window.handled(2);
        assert_eq!(flushed(&mut window), [(2, false)]);
        window.given_back(3);
        assert_eq!(flushed(&mut window), []);
        window.delivered(4);
        window.handled(4);
        assert_eq!(flushed(&mut window), [(4, false)]);
    }
}
