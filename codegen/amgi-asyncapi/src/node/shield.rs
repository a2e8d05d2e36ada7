//! Characters that JSON allows in a string and YAML refuses in a text: DEL and the C1 controls.
//!
//! Real documents have them in patterns. While the parser runs, a private character that the text does not use stands in
//! for each; columns stay as they are, offsets are put right, and nobody outside sees the difference.

use std::collections::{BTreeMap, BTreeSet};

/// What stands in for what, and how far offsets are off.
#[derive(Default)]
pub(super) struct Shield {
    /// The text as the parser gets it; `None` when it needs no change.
    pub(super) text: Option<String>,
    /// Stand-in and original.
    swapped: BTreeMap<char, char>,
    /// Offset just behind each stand-in, and how many bytes all up to there have added.
    added: Vec<(usize, usize)>,
}

impl Shield {
    pub(super) fn new(text: &str) -> Self {
        let refused =
            |c: char| matches!(c, '\u{7f}'..='\u{84}' | '\u{86}'..='\u{9f}' | '\u{fffe}' | '\u{ffff}');
        // Outside JSON they are a mistake that the parser reports.
        let json = text.trim_start_matches(['\u{feff}', ' ', '\t', '\r', '\n']).starts_with(['{', '[']);
        if !json || !text.contains(refused) {
            return Self::default();
        }
        let used: BTreeSet<char> = text.chars().collect();
        let free = ('\u{e000}'..='\u{f8ff}').filter(|c| !used.contains(c));
        let originals: BTreeMap<char, char> =
            used.iter().copied().filter(|c| refused(*c)).zip(free).collect();
        let mut shield = Self::default();
        let mut out = String::with_capacity(text.len() + 64);
        let mut grown = 0;
        for c in text.chars() {
            out.push(*originals.get(&c).unwrap_or(&c));
            if let Some(stand_in) = originals.get(&c) {
                grown += stand_in.len_utf8() - c.len_utf8();
                shield.added.push((out.len(), grown));
            }
        }
        shield.text = Some(out);
        shield.swapped = originals.into_iter().map(|(original, stand_in)| (stand_in, original)).collect();
        shield
    }

    /// A scalar as the document has it.
    pub(super) fn restore(&self, text: String) -> String {
        if self.swapped.is_empty() {
            return text;
        }
        text.chars().map(|c| *self.swapped.get(&c).unwrap_or(&c)).collect()
    }

    /// An offset in the document, from one in the parser's text.
    pub(super) fn offset(&self, offset: usize) -> usize {
        let before = self.added.partition_point(|(end, _)| *end <= offset);
        offset - before.checked_sub(1).map_or(0, |last| self.added[last].1)
    }
}
