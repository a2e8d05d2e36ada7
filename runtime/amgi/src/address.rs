//! Address patterns: `user.{userId}.events` and the addresses they stand for.
//!
//! Matching and formatting are inverse: a value that holds what the pattern gives a meaning to (the separator, `/`, `%`,
//! a broker's wildcard, the literal that follows) is percent-encoded on the way out and decoded on the way in. So
//! `{a}.{b}` never reads `x.y.z` as two values, and no value can address another channel.

mod alias;

use std::{borrow::Cow, fmt};

pub use self::alias::Alias;

/// A piece of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// Text that stands as it is.
    Literal(Cow<'static, str>),
    /// The name between braces.
    Parameter(Cow<'static, str>),
}

impl Part {
    /// A literal in constant data.
    pub const fn literal(text: &'static str) -> Self {
        Self::Literal(Cow::Borrowed(text))
    }

    /// A parameter in constant data.
    pub const fn parameter(name: &'static str) -> Self {
        Self::Parameter(Cow::Borrowed(name))
    }
}

/// An address with parameters.
///
/// ```
/// use amgi::address::Pattern;
///
/// let pattern = Pattern::parse("{tenant}.user.{id}").unwrap();
/// assert_eq!(pattern.captures::<2>("acme.user.4%2E2"), Some(["acme", "4%2E2"]));
/// assert_eq!(pattern.captures::<2>("acme.eu.user.42"), None);
/// assert_eq!(pattern.format(&["acme", "4.2"]), "acme.user.4%2E2");
/// assert_eq!(amgi::address::decode("4%2E2"), "4.2");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    parts: Cow<'static, [Part]>,
    separator: Option<u8>,
}

/// A pattern that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("address `{address}`: {detail}")]
pub struct PatternError {
    /// The whole pattern.
    pub address: String,
    /// What is wrong with it.
    pub detail: &'static str,
}

impl Pattern {
    /// Reads `{name}` as parameters and the rest as literals.
    pub fn parse(address: &str) -> Result<Self, PatternError> {
        let fail = |detail| PatternError { address: address.to_owned(), detail };
        let mut parts = Vec::new();
        let mut rest = address;
        while let Some(open) = rest.find('{') {
            let (literal, tail) = rest.split_at(open);
            let close = tail.find('}').ok_or_else(|| fail("`{` without `}`"))?;
            let name = &tail[1..close];
            if name.is_empty() || name.contains('{') {
                return Err(fail("a parameter needs a name"));
            }
            if literal.contains('}') {
                return Err(fail("`}` without `{`"));
            }
            if !literal.is_empty() {
                parts.push(Part::Literal(literal.to_owned().into()));
            } else if matches!(parts.last(), Some(Part::Parameter(_))) {
                return Err(fail("two parameters need something between them"));
            }
            parts.push(Part::Parameter(name.to_owned().into()));
            rest = &tail[close + 1..];
        }
        if rest.contains('}') {
            return Err(fail("`}` without `{`"));
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned().into()));
        }
        let separator = separator(&parts);
        Ok(Self { parts: parts.into(), separator })
    }

    /// A pattern from constant data.
    pub const fn from_parts(parts: &'static [Part]) -> Self {
        Self { separator: separator(parts), parts: Cow::Borrowed(parts) }
    }

    /// The pieces in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// What divides the levels of this address: `/` where it has one, else `.`, else `:`; `None` for a single level.
    pub fn separator(&self) -> Option<char> {
        self.separator.map(char::from)
    }

    /// Names of the parameters in order.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Parameter(name) => Some(name.as_ref()),
            Part::Literal(_) => None,
        })
    }

    /// How many characters are not part of a parameter. Of several patterns that fit an address, the one with the most is the
    /// closest.
    ///
    /// ```
    /// use amgi::address::Pattern;
    ///
    /// assert_eq!(Pattern::parse("user.{id}").unwrap().literal_chars(), 5);
    /// ```
    pub fn literal_chars(&self) -> usize {
        let literals = self.parts.iter().map(|part| match part {
            Part::Literal(text) => text.chars().count(),
            Part::Parameter(_) => 0,
        });
        literals.sum()
    }

    /// Values of the parameters, still encoded (see [`decode`]), when `address` fits and the pattern has `N` of them.
    ///
    /// A value is never empty, never holds the separator, and is as short as what follows allows.
    pub fn captures<'a, const N: usize>(&self, address: &'a str) -> Option<[&'a str; N]> {
        let mut values = [""; N];
        let count = self.scan(address, |index, value| {
            if let Some(slot) = values.get_mut(index) {
                *slot = value;
            }
        })?;
        (count == N).then_some(values)
    }

    /// Whether `address` fits.
    pub fn matches(&self, address: &str) -> bool {
        self.scan(address, |_, _| ()).is_some()
    }

    /// Walks the parts along `address`, hands out each value with its index, and returns how many there were.
    fn scan<'a>(&self, address: &'a str, mut found: impl FnMut(usize, &'a str)) -> Option<usize> {
        let mut count = 0;
        let mut rest = address;
        let mut parts = self.parts.iter().peekable();
        while let Some(part) = parts.next() {
            match part {
                Part::Literal(text) => rest = rest.strip_prefix(text.as_ref())?,
                Part::Parameter(_) => {
                    let level = self
                        .separator
                        .and_then(|s| rest.as_bytes().iter().position(|&b| b == s))
                        .unwrap_or(rest.len());
                    let end = match parts.peek() {
                        Some(Part::Literal(text)) => {
                            // A value is not empty, so the literal is looked for behind its first character.
                            let first = rest.chars().next()?.len_utf8();
                            let end = first + rest[first..].find(text.as_ref())?;
                            (end <= level).then_some(end)?
                        }
                        _ => (level == rest.len()).then_some(level)?,
                    };
                    if end == 0 {
                        return None;
                    }
                    found(count, &rest[..end]);
                    count += 1;
                    rest = &rest[end..];
                }
            }
        }
        rest.is_empty().then_some(count)
    }

    /// The address for these values, in the order of the parameters; missing values are left empty.
    ///
    /// An empty value yields an address that this pattern does not match: in [`captures`](Self::captures) no value is
    /// empty.
    pub fn format(&self, values: &[&str]) -> String {
        let mut out = String::new();
        let mut values = values.iter();
        let mut parts = self.parts.iter().peekable();
        while let Some(part) = parts.next() {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Parameter(_) => {
                    let next = match parts.peek() {
                        Some(Part::Literal(text)) => text.chars().next(),
                        _ => None,
                    };
                    encode(values.next().copied().unwrap_or_default(), self.separator(), next, &mut out);
                }
            }
        }
        out
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Literal(text) => f.write_str(text),
            Part::Parameter(name) => write!(f, "{{{name}}}"),
        })
    }
}

const fn separator(parts: &[Part]) -> Option<u8> {
    let candidates = [b'/', b'.', b':'];
    let mut c = 0;
    while c < candidates.len() {
        let mut p = 0;
        while p < parts.len() {
            if let Part::Literal(text) = &parts[p] {
                let bytes = match text {
                    Cow::Borrowed(text) => text.as_bytes(),
                    Cow::Owned(text) => text.as_bytes(),
                };
                let mut i = 0;
                while i < bytes.len() {
                    if bytes[i] == candidates[c] {
                        return Some(candidates[c]);
                    }
                    i += 1;
                }
            }
            p += 1;
        }
        c += 1;
    }
    None
}

/// What no value may hold as it is, whatever the pattern: the escape itself, levels and wildcards of any broker.
fn reserved(c: char) -> bool {
    c.is_control() || c.is_whitespace() || matches!(c, '%' | '/' | '+' | '#' | '*' | '>' | '{' | '}')
}

fn encode(value: &str, separator: Option<char>, next: Option<char>, out: &mut String) {
    for c in value.chars() {
        if reserved(c) || Some(c) == separator || Some(c) == next {
            let mut buffer = [0; 4];
            for byte in c.encode_utf8(&mut buffer).bytes() {
                out.push('%');
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
        } else {
            out.push(c);
        }
    }
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

/// The value that a captured piece of an address stands for. What is no valid escape stays as it is.
pub fn decode(value: &str) -> Cow<'_, str> {
    if !value.contains('%') {
        return Cow::Borrowed(value);
    }
    let bytes = value.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        let digit = |at: usize| bytes.get(at).and_then(|&b| char::from(b).to_digit(16));
        match (bytes[i], digit(i + 1), digit(i + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or_default());
                i += 3;
            }
            (byte, ..) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    String::from_utf8(out).map_or(Cow::Borrowed(value), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn several_parameters_are_not_greedy() {
        let p = pattern("{a}.{b}");
        assert_eq!(p.captures("x.y"), Some(["x", "y"]));
        assert_eq!(p.captures::<2>("x.y.z"), None);
        assert_eq!(p.captures::<2>(".y"), None);
        assert_eq!(p.captures::<2>("x."), None);
        assert_eq!(pattern("{a}-{b}/c").captures("1-2-3/c"), Some(["1", "2-3"]));
        assert_eq!(pattern("a.{x}-end").captures("a.1-end"), Some(["1"]));
    }

    #[test]
    fn slashes_beat_dots_as_the_separator() {
        let p = pattern("lamps/{id}/on");
        assert_eq!(p.captures("lamps/a.b/on"), Some(["a.b"]));
        assert_eq!(p.captures::<1>("lamps/a/b/on"), None);
        assert_eq!(p.format(&["a.b/c"]), "lamps/a.b%2Fc/on");
    }

    #[test]
    fn every_value_comes_back() {
        for text in ["{a}.{b}", "u.{a}-{b}", "x/{a}:{b}/y", "{a}_{b}"] {
            let p = pattern(text);
            for a in ["1", "a.b", "a/b", "50%", "%41", "a-b", "a:b", "ü +#*>", "_", "a_b"] {
                let address = p.format(&[a, "z"]);
                let values = p.captures::<2>(&address).unwrap_or_else(|| panic!("{text} {a}: {address}"));
                assert_eq!(
                    values.map(|v| decode(v).into_owned()),
                    [a.to_owned(), "z".to_owned()],
                    "{address}"
                );
            }
        }
    }

    #[test]
    fn many_parameters_match() {
        let p = pattern("{a}.{b}.{c}.{d}.{e}");
        assert!(p.matches("1.2.3.4.5"));
        assert!(!p.matches("1.2.3.4.5.6"));
    }

    #[test]
    fn bad_patterns_say_why() {
        for text in ["a.{b", "a}b", "{}", "{a}{b}", "{a{b}}"] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn text_that_is_no_escape_stays() {
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%zz"), "%zz");
        assert_eq!(decode("%FF"), "%FF");
    }
}
