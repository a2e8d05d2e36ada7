//! Texts: of a format, of a pattern, of a length.

use fastrand::Rng;
use regex_syntax::{
    Parser,
    hir::{Class, Hir, HirKind},
};
use serde_json::Value;

use super::{Parts, Source, first};

/// Formats with texts that have them, and texts that do not.
const FORMATS: &[(&str, &[&str], &[&str])] = &[
    (
        "date-time",
        &[
            "2024-02-29T10:20:30Z",
            "2024-02-29t10:20:30z",
            "1998-12-31T23:59:60Z",
            "1990-12-31T15:59:60-08:00",
            "2024-01-01T00:00:00.123456789012+05:30",
            "0000-01-01T00:00:00Z",
            "9999-12-31T23:59:59-23:59",
        ],
        &[
            "2024-02-29 10:20:30Z",
            "2023-02-29T10:20:30Z",
            "2024-02-29T10:20:30",
            "2024-02-29T24:00:00Z",
            "2024-02-29T10:20:60Z",
            "2024-02-29T10:20:30.Z",
            "2024-02-29T10:20Z",
            "24-02-29T10:20:30Z",
            "2024-02-29T10:20:30+0530",
            "2024-02-29",
            "2024-02-29T10:20:30+24:00",
            "1700000000",
        ],
    ),
    (
        "date",
        &["2024-02-29", "0000-01-01", "9999-12-31"],
        &["2023-02-29", "2024-1-1", "2024-13-01", "20240101", "2024-02-29T00:00:00Z"],
    ),
    (
        "time",
        &["10:20:30Z", "23:59:60Z", "10:20:30.5+05:30", "00:00:00z"],
        &["10:20:30", "24:00:00Z", "10:20Z", "10:20:60Z", "10:20:30+5:30"],
    ),
    (
        "email",
        &[
            "ada@example.org",
            "a.b+c@example.com",
            "\"a b\"@example.com",
            "a@[127.0.0.1]",
            "a@[IPv6:::1]",
            "a@localhost",
            "!#$@example.org",
        ],
        &[
            "ada",
            "ada@",
            "@example.org",
            "a..b@c.org",
            "a b@example.org",
            "a@-c.org",
            "a@b@c",
            ".a@example.org",
            "é@example.org",
        ],
    ),
    ("idn-email", &["ada@example.org", "실례@실례.테스트"], &["ada", "2962"]),
    (
        "hostname",
        &["example.org", "localhost", "a-b.c", "xn--ihqwcrb4cv8a8dqg056pqjye.org"],
        &["-a.org", "a_b.org", "a..b", "", "a b"],
    ),
    ("idn-hostname", &["example.org", "실례.테스트"], &["-a", "〮한"]),
    (
        "ipv4",
        &["127.0.0.1", "0.0.0.0", "255.255.255.255"],
        &["127.0.0.01", "256.0.0.1", "127.0.0", "0x7f.0.0.1", "1.2.3.4.5"],
    ),
    (
        "ipv6",
        &["::1", "::", "2001:db8::8:800:200c:417a", "::ffff:1.2.3.4"],
        &["::1%eth0", "[::1]", "1::2::3", "12345::", "127.0.0.1"],
    ),
    (
        "uri",
        &[
            "http://example.org/a?b#c",
            "urn:a:b",
            "mailto:ada@example.org",
            "http://[::1]:80/",
            "a:",
            "http://a/%41",
            "http://:@b:/",
        ],
        &[
            "/a",
            "example.org",
            "http://a b",
            "http://a/<>",
            "http://[::1",
            "http://a:b",
            "http://é.org",
            "1a:b",
            "http://a/%4",
        ],
    ),
    (
        "uri-reference",
        &["http://example.org/a?b#c", "/a", "", "?a", "#b", "//c", "a/b:c", "../x"],
        &["\\a", "1:b", "a b", "#a#b", "http://[::1", "é"],
    ),
    ("iri", &["http://example.org/é", "http://ƒøø.ßår/?∂éœ=πîx#πîüx"], &["/a", "http://a b", "\\a"]),
    ("iri-reference", &["http://example.org/é", "/é", ""], &["\\a", "a b"]),
    ("uri-template", &["http://example.org/{a}", "", "{a}{?b*}"], &["http://example.org/{a", "{", "}"]),
    (
        "uuid",
        &[
            "2eb8aa08-aa98-11ea-b4aa-73b441d16380",
            "2EB8AA08-AA98-11EA-B4AA-73B441D16380",
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-ffff-ffff-ffff-ffffffffffff",
        ],
        &[
            "2eb8aa08aa9811eab4aa73b441d16380",
            "2eb8aa08-aa98-11ea-b4aa-73b441d1638",
            "{2eb8aa08-aa98-11ea-b4aa-73b441d16380}",
            "2eb8aa08-aa98-11ea-b4aa-73b441d1638g",
            "urn:uuid:2eb8aa08-aa98-11ea-b4aa-73b441d16380",
        ],
    ),
    ("json-pointer", &["", "/", "/a~0~1/0"], &["a", "/~", "/~2", "#/a"]),
    ("relative-json-pointer", &["0", "10/a", "1#"], &["", "01", "1##", "/a", "-1"]),
    ("regex", &["^a*$", "", "\\d+", "(?=a)"], &["(", "[a-", "*", "a{2,1}"]),
    ("duration", &["P1D", "PT1H"], &["P", "1D"]),
];

/// Texts that are trouble somewhere.
const TEXTS: &[&str] = &[
    "",
    " ",
    "a",
    "ab",
    "0",
    "1",
    "-1",
    "1.5",
    "true",
    "null",
    "{}",
    "[]",
    "é",
    "e\u{301}",
    "日本語",
    "🦀",
    "👩\u{200d}👩\u{200d}👧",
    "\u{0}",
    "\n",
    "\t\"\\/",
    "\u{7f}",
    "\u{2028}",
    "\u{feff}",
    "\u{10ffff}",
    "ABC",
    "a b",
    "a-b",
    "a_b",
];

/// Names of members that documents do not describe, some of them special elsewhere.
const NAMES: &[&str] = &[
    "",
    "x",
    "extra",
    "0",
    "a b",
    "a/b",
    "a~b",
    "é",
    "🦀",
    "type",
    "$ref",
    "__proto__",
    "additionalProperties",
    "ID",
    "Id",
];

/// A text that has nothing to do with a schema.
pub(super) fn scrap(rng: &mut Rng) -> String {
    if rng.u8(..3) > 0 {
        return TEXTS[rng.usize(..TEXTS.len())].to_owned();
    }
    let (_, good, bad) = FORMATS[rng.usize(..FORMATS.len())];
    let list = if rng.bool() { good } else { bad };
    list[rng.usize(..list.len())].to_owned()
}

/// A name for a member.
pub(super) fn name(rng: &mut Rng) -> String {
    NAMES[rng.usize(..NAMES.len())].to_owned()
}

/// A character, mostly plain.
pub(super) fn character(rng: &mut Rng) -> char {
    match rng.u8(..12) {
        0 => '🦀',
        1 => 'é',
        2 => ['"', '\\', '\n', '\u{1}', ' ', '\u{2028}'][rng.usize(..6)],
        _ => rng.alphanumeric(),
    }
}

impl<'s> Source<'s> {
    pub(super) fn text(&mut self, parts: &Parts<'s>) -> String {
        let bound = |keyword: &str| {
            parts
                .iter()
                .filter_map(|part| usize::try_from(part.get(keyword)?.as_u64()?).ok())
                .collect::<Vec<_>>()
        };
        let least = bound("minLength").into_iter().max();
        let most = bound("maxLength").into_iter().min();
        let low = least.unwrap_or(0).min(5000);
        let high = most.unwrap_or(low + 12).clamp(low, 5000);
        let fits =
            |text: &str| (low..=high.max(low)).contains(&text.chars().count()) || least.or(most).is_none();
        if let Some(format) = first(parts, "format").and_then(Value::as_str)
            && let Some((_, good, bad)) = FORMATS.iter().find(|(name, ..)| *name == format)
        {
            let list = if self.strays() { bad } else { good };
            return list[self.rng.usize(..list.len())].to_owned();
        }
        if let Some(pattern) = first(parts, "pattern").and_then(Value::as_str) {
            if self.strays() {
                return scrap(&mut self.rng);
            }
            let mut text = self.matching(pattern);
            for _ in 0..20 {
                if fits(&text) {
                    break;
                }
                text = self.matching(pattern);
            }
            return text;
        }
        let mut count = match self.rng.u8(..6) {
            0 => low,
            1 => high,
            _ => self.rng.usize(low..=high.min(low + 12)),
        };
        if least.or(most).is_some() && self.strays() {
            let over = most.map(|most| most.min(5000) + 1);
            let under = least.and_then(|least| least.checked_sub(1));
            count = if self.rng.bool() { over.or(under) } else { under.or(over) }.unwrap_or(0);
        } else if least.or(most).is_none() && self.rng.u8(..4) == 0 {
            return scrap(&mut self.rng);
        }
        // Lengths are counted in characters, not in what a character is written with.
        let odd = self.rng.u8(..4) == 0;
        (0..count).map(|_| if odd { character(&mut self.rng) } else { self.rng.alphanumeric() }).collect()
    }

    /// A text that matches a pattern, where it is one that can be read as a plain expression.
    pub(super) fn matching(&mut self, pattern: &'s str) -> String {
        let parsed = self.patterns.entry(pattern).or_insert_with(|| Parser::new().parse(pattern).ok());
        let mut text = String::new();
        match parsed {
            Some(hir) => write(hir, &mut self.rng, &mut text),
            None => text = scrap(&mut self.rng),
        }
        // Without an anchor a match may stand anywhere.
        if !pattern.starts_with('^') && self.rng.u8(..4) == 0 {
            text.insert(0, character(&mut self.rng));
        }
        if !pattern.ends_with('$') && self.rng.u8(..4) == 0 {
            text.push(character(&mut self.rng));
        }
        text
    }
}

/// Writes a text that an expression matches; what it asserts about places is not looked at.
fn write(hir: &Hir, rng: &mut Rng, out: &mut String) {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.push_str(&String::from_utf8_lossy(&literal.0)),
        HirKind::Class(Class::Unicode(class)) => {
            let ranges = class.ranges();
            if !ranges.is_empty() {
                // Classes such as `\d` and `.` are wider here than in ECMA-262; what is plain is in both.
                let plain: Vec<_> = ranges.iter().filter(|range| range.start().is_ascii()).collect();
                let all = || &ranges[0];
                let range = if plain.is_empty() { all() } else { plain[rng.usize(..plain.len())] };
                let end =
                    if plain.is_empty() || rng.u8(..20) == 0 { range.end() } else { range.end().min('~') };
                let start = if range.start() == '\0' && end > ' ' { ' ' } else { range.start() };
                out.push(rng.char(start..=end.max(start)));
            }
        }
        HirKind::Class(Class::Bytes(class)) => {
            if let Some(range) = class.ranges().first() {
                out.push(char::from(range.start()));
            }
        }
        HirKind::Repetition(repetition) => {
            let low = repetition.min;
            let high = repetition.max.unwrap_or(low + 6).max(low);
            let high = if rng.u8(..4) == 0 { high.min(low + 60) } else { high.min(low + 6) };
            for _ in 0..rng.u32(low..=high).min(2000) {
                write(&repetition.sub, rng, out);
            }
        }
        HirKind::Capture(capture) => write(&capture.sub, rng, out),
        HirKind::Concat(parts) => parts.iter().for_each(|part| write(part, rng, out)),
        HirKind::Alternation(parts) => write(&parts[rng.usize(..parts.len())], rng, out),
    }
}
