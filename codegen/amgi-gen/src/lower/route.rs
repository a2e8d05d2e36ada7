//! Dispatch: which address reaches which channel.
//!
//! A literal address beats a pattern; among patterns the one with more literal characters; a tie that can matter is
//! reported.

use std::collections::{HashMap, hash_map::Entry};

use amgi_asyncapi::{
    diag::Diagnostic,
    model::{Channel, Id},
};

use super::Lowering;
use crate::{codes, ir};

impl Lowering<'_> {
    /// The routes of all channels that have handlers, in order of precedence. `ids` are the channels' ids in the document.
    pub(super) fn routes(
        &mut self,
        channels: &[ir::Channel],
        ids: &[Id<Channel>],
        types: &[ir::TypeDef],
    ) -> Vec<ir::Route> {
        let mut routes: Vec<ir::Route> = Vec::new();
        let mut by_address: HashMap<String, usize> = HashMap::new();
        for (index, channel) in channels.iter().enumerate() {
            if channel.handler.is_none() {
                continue;
            }
            // Addresses that differ only in what they call their parameters are one.
            if let Some(address) = &channel.address {
                match by_address.entry(erased(address)) {
                    Entry::Occupied(known) => {
                        routes[*known.get()].channels.push(index);
                        continue;
                    }
                    Entry::Vacant(place) => {
                        place.insert(routes.len());
                    }
                }
            }
            routes.push(ir::Route {
                address: channel.address.clone(),
                pattern: channel.parameters.is_some(),
                channels: vec![index],
                select: ir::Select::default(),
                candidates: Vec::new(),
            });
        }
        for route in routes.iter().filter(|route| route.channels.len() > 1) {
            let Some(&batch) = route.channels.iter().find(|&&index| channels[index].policy.batch.is_some())
            else {
                continue;
            };
            let diagnostic = Diagnostic::error(
                codes::POLICY,
                self.doc[ids[batch]].span,
                "another channel has the same address, so messages from it cannot be handled together",
            );
            self.shaper.diagnostics.push(diagnostic.help("make it one channel, or remove `x-amgi-batch`"));
        }
        for route in &mut routes {
            self.candidates(route, channels, ids, types);
        }
        routes.sort_by_key(|route| {
            let literal = route.address.as_deref().map_or(0, literal_characters);
            (route.pattern, if route.pattern { usize::MAX - literal } else { 0 })
        });
        self.ties(&routes, ids);
        routes
    }

    fn candidates(
        &mut self,
        route: &mut ir::Route,
        channels: &[ir::Channel],
        ids: &[Id<Channel>],
        types: &[ir::TypeDef],
    ) {
        for &channel in &route.channels {
            let Some(handler) = &channels[channel].handler else { continue };
            for (method, item) in handler.methods.iter().enumerate() {
                for &message in &item.messages {
                    if route.candidates.iter().any(|candidate| candidate.message == message) {
                        let span = self.doc[ids[channel]].span;
                        self.shaper.diagnostics.push(
                            Diagnostic::warning(
                                codes::MESSAGE_TWICE,
                                span,
                                format!(
                                    "message `{}` is received twice from the same address; only the first channel gets it",
                                    self.messages[message].key
                                ),
                            )
                            .help("let the channels share one receive operation"),
                        );
                        continue;
                    }
                    route.candidates.push(ir::Candidate { channel, method, message });
                }
            }
        }
        let messages: Vec<usize> = route.candidates.iter().map(|candidate| candidate.message).collect();
        route.select = self.select(&messages, types, true);
        let place = |candidate: &ir::Candidate| {
            route.select.messages.iter().position(|marked| marked.message == candidate.message)
        };
        route.candidates.sort_by_key(place);
    }

    fn ties(&mut self, routes: &[ir::Route], ids: &[Id<Channel>]) {
        let patterns: Vec<(&ir::Route, Levels<'_>)> = routes
            .iter()
            .filter(|route| route.pattern)
            .filter_map(|route| Some((route, Levels::of(route.address.as_deref()?))))
            .collect();
        for (index, (route, levels)) in patterns.iter().enumerate() {
            // They are in order of their literals, so that only neighbours have as many.
            for (other, earlier) in patterns[..index].iter().rev() {
                if earlier.literal != levels.literal {
                    break;
                }
                if levels.overlap(earlier) {
                    let (address, earlier) = (levels.address, earlier.address);
                    let span = |route: &ir::Route| self.doc[ids[route.channels[0]]].span;
                    let diagnostic = Diagnostic::error(
                        codes::ADDRESS_AMBIGUOUS,
                        span(route),
                        format!("an address can fit both `{address}` and `{earlier}`, and neither says more"),
                    )
                    .label(span(other), "the other channel")
                    .help("make one of the addresses more particular");
                    self.shaper.diagnostics.push(diagnostic);
                }
            }
        }
    }
}

/// An address without the names of its parameters.
fn erased(address: &str) -> String {
    let mut inside = false;
    address
        .chars()
        .filter(|&c| {
            let keep = !inside || c == '}';
            match c {
                '{' => inside = true,
                '}' => inside = false,
                _ => {}
            }
            keep
        })
        .collect()
}

fn literal_characters(address: &str) -> usize {
    let mut inside = false;
    address
        .chars()
        .filter(|&c| {
            match c {
                '{' => inside = true,
                '}' => {
                    inside = false;
                    return false;
                }
                _ => {}
            }
            !inside
        })
        .count()
}

/// A pattern, taken apart once for all that it is compared with.
struct Levels<'a> {
    address: &'a str,
    literal: usize,
    separator: char,
    texts: Vec<&'a str>,
}

impl<'a> Levels<'a> {
    fn of(address: &'a str) -> Self {
        let separator = ['/', '.', ':'].into_iter().find(|&c| address.contains(c)).unwrap_or('/');
        let texts = address.split(separator).collect();
        Self { address, literal: literal_characters(address), separator, texts }
    }

    /// Whether some address fits both patterns, level by level.
    fn overlap(&self, other: &Self) -> bool {
        self.separator == other.separator
            && self.texts.len() == other.texts.len()
            && self.texts.iter().zip(&other.texts).all(|(a, b)| levels_overlap(a, b))
    }
}

/// Whether some text fits both levels: what stands before the first parameter and behind the last must not contradict.
fn levels_overlap(a: &str, b: &str) -> bool {
    fn ends(level: &str) -> (&str, &str) {
        match (level.find('{'), level.rfind('}')) {
            (Some(open), Some(close)) => (&level[..open], &level[close + 1..]),
            _ => (level, level),
        }
    }
    if !a.contains('{') && !b.contains('{') {
        return a == b;
    }
    let ((a_start, a_end), (b_start, b_end)) = (ends(a), ends(b));
    (a_start.starts_with(b_start) || b_start.starts_with(a_start))
        && (a_end.ends_with(b_end) || b_end.ends_with(a_end))
}

#[cfg(test)]
mod tests {
    use super::{Levels, literal_characters};

    fn overlap(a: &str, b: &str) -> bool {
        Levels::of(a).overlap(&Levels::of(b))
    }

    #[test]
    fn overlap_is_seen_level_by_level() {
        assert!(overlap("user.{id}.a", "user.x.{b}"));
        assert!(!overlap("user.{id}.a", "user.{id}.b"));
        assert!(!overlap("user.{id}", "user.{id}.b"));
        assert!(!overlap("order-{id}", "offer-{id}"));
        assert!(!overlap("a-{x}/b", "c-{x}/b"));
        assert!(overlap("a-{x}/b", "{y}-1/b"));
        assert_eq!(literal_characters("user.{id}.a"), 7);
    }
}
