//! Trace context in headers: W3C `traceparent` and `tracestate`, and `baggage`.

use amgi::Headers;
use opentelemetry::propagation::{Extractor, Injector};

/// Reads headers. Their names are looked up without regard to case: other producers write them as they like.
pub(crate) struct From<'a>(pub(crate) &'a Headers);

impl Extractor for From<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let (_, value) = self.0.iter().find(|(name, _)| name.eq_ignore_ascii_case(key.as_bytes()))?;
        std::str::from_utf8(value).ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().filter_map(|(name, _)| std::str::from_utf8(name).ok()).collect()
    }
}

/// Writes headers.
pub(crate) struct Into<'a>(pub(crate) &'a mut Headers);

impl Injector for Into<'_> {
    fn set(&mut self, key: &str, value: String) {
        // An empty `tracestate` says nothing.
        if !value.is_empty() {
            self.0.remove(key);
            self.0.push(key.to_owned(), value);
        }
    }
}
