//! From the address of a message to its channel.

use std::cmp::Reverse;

use bytestring::ByteString;

use crate::{address::Pattern, contract::ChannelInfo};

/// Finds the channel that an address belongs to: the one with exactly that address, else of those whose pattern it fits the
/// one with the most literal characters, the first of them at a tie.
///
/// ```
/// use amgi::{ChannelInfo, ChannelMap};
///
/// let channels = ["user.{id}", "user.created"].map(|address| ChannelInfo::new(address, address));
/// let map = ChannelMap::new(&channels);
/// assert_eq!(map.find("user.created"), Some(1));
/// assert_eq!(map.find("user.42"), Some(0));
/// assert_eq!(map.find("order.42"), None);
/// ```
#[derive(Debug, Clone, Default)]
pub struct ChannelMap {
    /// Sorted. Comparing texts costs less than hashing one.
    exact: Vec<(ByteString, usize)>,
    /// The closest first.
    patterns: Vec<(Pattern, usize)>,
}

impl ChannelMap {
    /// A map to indexes of `channels`. What has no valid address is not found.
    pub fn new(channels: &[ChannelInfo]) -> Self {
        let mut map = Self::default();
        for (index, channel) in channels.iter().enumerate() {
            let Ok(pattern) = Pattern::parse(&channel.address) else { continue };
            if pattern.parameters().next().is_none() {
                map.exact.push((ByteString::from(&*channel.address), index));
            } else {
                map.patterns.push((pattern, index));
            }
        }
        // Of channels with the same address the first counts.
        map.exact.sort_by(|a, b| a.0.cmp(&b.0));
        map.exact.dedup_by(|later, first| later.0 == first.0);
        map.patterns.sort_by_cached_key(|(pattern, _)| Reverse(pattern.literal_chars()));
        map
    }

    /// Index of the channel that `address` belongs to.
    pub fn find(&self, address: &str) -> Option<usize> {
        if let Ok(place) = self.exact.binary_search_by(|(known, _)| (**known).cmp(address)) {
            return Some(self.exact[place].1);
        }
        self.patterns.iter().find(|(pattern, _)| pattern.matches(address)).map(|(_, index)| *index)
    }
}
