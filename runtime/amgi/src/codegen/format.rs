//! The formats that are checked without a validator (JSON Schema draft-07, 7.3): those that documents use most.
//!
//! Nothing here allocates: a text is read once, byte by byte.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::At;

/// A format by its name in the document; `None` for one that is not checked here.
///
/// Generated code names only those that are there.
fn check_of(name: &str) -> Option<fn(&str) -> bool> {
    Some(match name {
        "date-time" => is_date_time,
        "date" => is_date,
        "time" => is_time,
        "email" => is_email,
        "ipv4" => is_ipv4,
        "ipv6" => is_ipv6,
        "uri" => is_uri,
        "uri-reference" => is_uri_reference,
        "uuid" => is_uuid,
        "json-pointer" => is_json_pointer,
        "relative-json-pointer" => is_relative_json_pointer,
        _ => return None,
    })
}

/// Names of the formats that are checked here.
#[cfg(feature = "validate")]
pub(super) const NAMES: &[&str] = &[
    "date-time",
    "date",
    "time",
    "email",
    "ipv4",
    "ipv6",
    "uri",
    "uri-reference",
    "uuid",
    "json-pointer",
    "relative-json-pointer",
];

/// Whether a text has a format; one that is not known, every text has.
pub fn has_format(text: &str, name: &str) -> bool {
    check_of(name).is_none_or(|check| check(text))
}

/// Whether a text has a format.
pub fn format(at: &At<'_>, text: &str, name: &'static str) {
    if !has_format(text, name) {
        at.refuse("format", format!("the format {name}"), Some(&serde_json::Value::from(text)));
    }
}

/// `count` digits from `at` on, as a number.
fn digits(text: &[u8], at: usize, count: usize) -> Option<u32> {
    let digits = text.get(at..at + count)?;
    digits
        .iter()
        .try_fold(0, |number, byte| byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0')))
}

/// RFC 3339, 5.6: `full-date`.
fn is_date(text: &str) -> bool {
    let text = text.as_bytes();
    let (Some(year), Some(month), Some(day)) = (digits(text, 0, 4), digits(text, 5, 2), digits(text, 8, 2))
    else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if leap => 29,
        2 => 28,
        _ => return false,
    };
    text.len() == 10 && text[4] == b'-' && text[7] == b'-' && (1..=last).contains(&day)
}

/// RFC 3339, 5.6: `full-time`. A leap second is one only at the end of a day in UTC.
fn is_time(text: &str) -> bool {
    let text = text.as_bytes();
    let (Some(hour), Some(minute), Some(second)) =
        (digits(text, 0, 2), digits(text, 3, 2), digits(text, 6, 2))
    else {
        return false;
    };
    if text[2] != b':' || text[5] != b':' || hour > 23 || minute > 59 || second > 60 {
        return false;
    }
    let mut rest = &text[8..];
    if let [b'.', fraction @ ..] = rest {
        let count = fraction.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return false;
        }
        rest = &fraction[count..];
    }
    let offset = match rest {
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), offset @ ..] => {
            let (Some(hours), Some(minutes)) = (digits(offset, 0, 2), digits(offset, 3, 2)) else {
                return false;
            };
            if offset.len() != 5 || offset[2] != b':' || hours > 23 || minutes > 59 {
                return false;
            }
            let offset = hours * 60 + minutes;
            if *sign == b'+' { offset } else { 1440 - offset }
        }
        _ => return false,
    };
    second < 60 || (hour * 60 + minute + 1440 - offset % 1440) % 1440 == 1439
}

/// RFC 3339, 5.6: `date-time`.
fn is_date_time(text: &str) -> bool {
    let bytes = text.as_bytes();
    matches!(bytes.get(10), Some(b'T' | b't'))
        && text.get(..10).is_some_and(is_date)
        && text.get(11..).is_some_and(is_time)
}

fn is_ipv4(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok()
}

fn is_ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

/// RFC 4122, 3.
fn is_uuid(text: &str) -> bool {
    let dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    text.len() == 36
        && text
            .bytes()
            .enumerate()
            .all(|(at, byte)| if dash(at) { byte == b'-' } else { byte.is_ascii_hexdigit() })
}

/// RFC 5321, 4.1.2: `Mailbox`.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let atom = |part: &str| {
        !part.is_empty()
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte))
    };
    let local_fits = match local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(quoted) => is_quoted(quoted),
        None => local.split('.').all(atom),
    };
    let domain_fits = match domain.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        // RFC 5321, 4.1.3; the case of what its grammar spells out does not matter (RFC 5234, 2.3).
        Some(address) => match address.split_at_checked(5) {
            Some((tag, address)) if tag.eq_ignore_ascii_case("IPv6:") => is_ipv6(address),
            _ => is_ipv4(address),
        },
        None => domain.len() <= 253 && domain.split('.').all(is_label),
    };
    local_fits && domain_fits
}

/// What may stand between the quotes of a local part.
fn is_quoted(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let escaped = byte == b'\\';
        let byte = if escaped { bytes.next() } else { Some(byte) };
        if !byte.is_some_and(|byte| (32..127).contains(&byte) && (escaped || byte != b'"')) {
            return false;
        }
    }
    true
}

/// RFC 1123, 2.1.
fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// RFC 6901, 3.
fn is_json_pointer(text: &str) -> bool {
    let escapes = text.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    (text.is_empty() || text.starts_with('/')) && escapes
}

fn is_relative_json_pointer(text: &str) -> bool {
    let count = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at(count);
    let number_fits = number == "0" || (!number.is_empty() && !number.starts_with('0'));
    number_fits && (rest == "#" || is_json_pointer(rest))
}

/// RFC 3986, 3: `URI`.
fn is_uri(text: &str) -> bool {
    scheme(text).is_some_and(is_hierarchy)
}

/// RFC 3986, 4.1: `URI-reference`.
fn is_uri_reference(text: &str) -> bool {
    if let Some(rest) = scheme(text) {
        return is_hierarchy(rest);
    }
    // Before the first slash a colon would end a scheme.
    let first = text.split(['/', '?', '#']).next().unwrap_or_default();
    !first.contains(':') && is_hierarchy(text)
}

/// What stands behind the scheme, where there is one.
fn scheme(text: &str) -> Option<&str> {
    let (scheme, rest) = text.split_once(':')?;
    let fits = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    fits.then_some(rest)
}

/// Authority, path, query and fragment.
fn is_hierarchy(text: &str) -> bool {
    let (text, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (text, query) = text.split_once('?').unwrap_or((text, ""));
    let path = match text.strip_prefix("//") {
        Some(rest) => {
            let end = rest.find('/').unwrap_or(rest.len());
            let (authority, path) = rest.split_at(end);
            if !is_authority(authority) {
                return false;
            }
            path
        }
        None => text,
    };
    is_made_of(path, b":@/") && is_made_of(query, b":@/?") && is_made_of(fragment, b":@/?")
}

fn is_authority(text: &str) -> bool {
    let (user, host) = text.split_once('@').unwrap_or(("", text));
    let (host, port) = match host.strip_prefix('[') {
        Some(literal) => {
            let Some((address, port)) = literal.split_once(']') else { return false };
            if !is_ip_literal(address) {
                return false;
            }
            ("", port)
        }
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    let port_fits =
        port.is_empty() || port.strip_prefix(':').is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit()));
    port_fits && is_made_of(user, b":") && is_made_of(host, b"")
}

fn is_ip_literal(text: &str) -> bool {
    let Some(future) = text.strip_prefix(['v', 'V']) else { return is_ipv6(text) };
    future.split_once('.').is_some_and(|(version, address)| {
        !version.is_empty()
            && version.bytes().all(|byte| byte.is_ascii_hexdigit())
            && !address.is_empty()
            && !address.contains('%')
            && is_made_of(address, b":")
    })
}

/// Whether a text has only unreserved characters, sub-delimiters, percent-encoded bytes, and those in `also`.
fn is_made_of(text: &str, also: &[u8]) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let fits = match byte {
            b'%' => {
                let mut hex = || bytes.next().is_some_and(|byte| byte.is_ascii_hexdigit());
                hex() && hex()
            }
            byte => {
                byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte) || also.contains(&byte)
            }
        };
        if !fits {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{codegen::Violations, error::Part};

    #[track_caller]
    fn holds(name: &str, yes: &[&str], no: &[&str]) {
        for text in yes {
            assert!(has_format(text, name), "{text}");
        }
        for text in no {
            assert!(!has_format(text, name), "{text}");
        }
    }

    #[test]
    fn dates_and_times_are_those_of_rfc_3339() {
        holds(
            "date",
            &["2024-02-29", "2000-02-29"],
            &["2023-02-29", "1900-02-29", "2024-13-01", "2024-1-01", "2024-01-011"],
        );
        holds(
            "time",
            &["10:20:30Z", "10:20:30.5+05:30", "23:59:60Z", "05:29:60+05:30", "18:59:60-05:00"],
            &["10:20:30", "10:20:30.Z", "10:20:60Z", "24:00:00Z", "10:20:30+24:00", "10:20Z", "é0:20:30Z"],
        );
        holds(
            "date-time",
            &["2024-02-29T10:20:30Z", "2024-02-29t10:20:30z"],
            &["2024-02-29 10:20:30Z", "2024-02-2é10:20:30Z"],
        );
    }

    #[test]
    fn addresses() {
        holds("ipv4", &["127.0.0.1"], &["127.0.0.01", "127.0.0", "1.2.3.256"]);
        holds("ipv6", &["::1", "::ffff:1.2.3.4"], &["::1%eth0", "[::1]", "1::2::3"]);
        holds(
            "email",
            &["a.b+c@example.com", "\"a b\\\"\"@example.com", "a@[127.0.0.1]", "a@[IPv6:::1]"],
            &["a", "a@", "@b", "a..b@c", "a b@c", "\"a\"b\"@c", "a@-c", "a@c_d", "a@[1.2.3]", "\"a\\\"@c"],
        );
        holds(
            "uuid",
            &["2eb8aa08-aa98-11ea-b4aa-73b441d16380"],
            &["2eb8aa08aa9811eab4aa73b441d16380", "2eb8aa08-aa98-11ea-b4aa-73b441d1638g"],
        );
    }

    #[test]
    fn uris_and_pointers() {
        holds(
            "uri",
            &["http://a:b@c:80/d?e#f", "urn:a:b", "http://[::1]/", "http://[v1.a:b]", "a:"],
            &[
                "/a",
                "1a:b",
                "http://a:b",
                "http://[::1",
                "http://a/ b",
                "http://a/%4",
                "http://a@b@c",
                "http://[vx.a]",
            ],
        );
        holds("uri-reference", &["", "a/b:c", "?a", "#b", "//c"], &["1:b", "\\a", "#a#b"]);
        holds("json-pointer", &["", "/", "/a~0~1"], &["a", "/~", "/~2", "#/a"]);
        holds("relative-json-pointer", &["0", "10/a", "1#"], &["", "01", "1##", "/a", "-1"]);
    }

    #[test]
    fn a_format_that_is_not_known_is_had_by_every_text() {
        holds("color", &["", "x"], &[]);
        let out = Violations::new();
        format(&At::root(Part::Payload, &out).name("at"), "x", "date");
        let rejection = out.finish().unwrap_err();
        assert_eq!(rejection.to_string(), "payload `/at`: expected the format date, found \"x\" (format)");
    }
}
