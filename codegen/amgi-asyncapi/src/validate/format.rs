//! Forms of texts: what `format` of JSON Schema and the specification ask of a string. Nothing here reports.

use std::net::{Ipv4Addr, Ipv6Addr};

use fluent_uri::Uri;

/// Whether a text is of this format; of one that is not known, every text is.
pub(super) fn is(format: &str, text: &str) -> bool {
    match format {
        "date-time" => {
            text.split_once(['T', 't', ' ']).is_some_and(|(day, time)| date(day) && full_time(time))
        }
        "date" => date(text),
        "time" => full_time(text),
        "email" => email(text),
        "uri" => uri(text),
        "uuid" => uuid(text.strip_prefix("urn:uuid:").unwrap_or(text)),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        _ => true,
    }
}

/// Decimal digits and nothing else.
fn number(text: &str, digits: usize) -> Option<u32> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

fn date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let mut part = |digits| number(parts.next()?, digits);
    let (Some(year), Some(month), Some(day)) = (part(4), part(2), part(2)) else { return false };
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// `hh:mm:ss`, perhaps with a fraction, and an offset.
fn full_time(text: &str) -> bool {
    let Some(at) = text.find(['Z', 'z', '+', '-']) else { return false };
    let (time, offset) = text.split_at(at);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let clock = |text: &str, parts: usize| {
        let parts: Vec<_> =
            text.split(':').map(|p| number(p, 2)).collect::<Option<Vec<_>>>().filter(|p| p.len() == parts)?;
        // A leap second is the sixtieth.
        let fits = parts.iter().zip([23, 59, 60]).all(|(part, most)| *part <= most);
        fits.then_some(())
    };
    let offset = match offset {
        "Z" | "z" => true,
        _ => clock(&offset[1..], 2).is_some() || number(&offset[1..], 4).is_some(),
    };
    clock(time, 3).is_some() && offset && !fraction.is_empty() && fraction.bytes().all(|b| b.is_ascii_digit())
}

fn uuid(text: &str) -> bool {
    let groups: Vec<_> = text.split('-').collect();
    groups.len() == 5
        && groups.iter().zip([8, 4, 4, 4, 12]).all(|(g, len)| g.len() == len)
        && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

/// RFC 5321 as documents mean it: a local part without quotes and a host with a dot.
pub(super) fn email(text: &str) -> bool {
    let Some((local, host)) = text.split_once('@') else { return false };
    let atom = |part: &str| {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&b);
        !part.is_empty() && part.bytes().all(legal)
    };
    let label = |part: &str| {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        !part.is_empty() && !part.starts_with('-') && !part.ends_with('-') && part.bytes().all(legal)
    };
    local.split('.').all(atom) && host.contains('.') && host.split('.').all(label)
}

/// RFC 3986, with a scheme.
pub(super) fn uri(text: &str) -> bool {
    Uri::parse(text).is_ok()
}

/// A name of Avro.
pub(super) fn name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// RFC 6570, what an address of AsyncAPI 2 is.
pub(super) fn uri_template(text: &str) -> bool {
    let mut rest = text;
    while let Some(at) = rest.find('{') {
        let Some((expression, after)) = rest[at + 1..].split_once('}') else { return false };
        if !literal(&rest[..at]) || !variables(expression) {
            return false;
        }
        rest = after;
    }
    literal(rest)
}

fn literal(text: &str) -> bool {
    text.chars().all(|c| c > ' ' && !"\"'<>\\^`{|}".contains(c)) && escapes(text)
}

fn variables(expression: &str) -> bool {
    let names = expression.strip_prefix(['+', '#', '.', '/', ';', '?', '&', '=', ',', '!', '@', '|']);
    names.unwrap_or(expression).split(',').all(|variable| {
        let name = match variable.split_once(':') {
            Some((name, length)) if !length.is_empty() && length.len() < 5 && !length.starts_with('0') => {
                if !length.bytes().all(|b| b.is_ascii_digit()) {
                    return false;
                }
                name
            }
            Some(_) => return false,
            None => variable.strip_suffix('*').unwrap_or(variable),
        };
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'%';
        !name.is_empty() && name.bytes().all(legal) && escapes(name)
    })
}

/// Whether each `%` begins the two digits of a byte.
fn escapes(text: &str) -> bool {
    text.split('%')
        .skip(1)
        .all(|after| after.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit)))
}

#[cfg(test)]
mod tests {
    use super::{email, is, name, uri, uri_template};

    #[test]
    fn texts_are_of_their_form() {
        for (format, good, bad) in [
            ("date-time", "2024-02-29T12:30:00.5+02:00", "2023-02-29T12:30:00Z"),
            ("date-time", "1990-12-31T23:59:60Z", "1990-12-31T23:59:00"),
            ("date", "2024-12-31", "2024-13-01"),
            ("time", "23:59:59Z", "24:00:00Z"),
            ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567e89b12d3a456426614174000"),
            ("ipv4", "127.0.0.1", "127.0.0.256"),
            ("ipv6", "::1", "1::2::3"),
            ("email", "a.b@c.de", "a@b"),
            ("uri", "urn:a:b", "a/b"),
        ] {
            assert!(is(format, good), "{format} {good}");
            assert!(!is(format, bad), "{format} {bad}");
        }
        assert!(is("colour", "anything"));
    }

    #[test]
    fn uris() {
        for good in ["https://a.b/c?d=e#f", "mailto:a@b.c", "urn:x", "http://[::1]:80/", "a:%20"] {
            assert!(uri(good), "{good}");
        }
        for bad in ["", "a", "/a", "a b:c", "http://a b", "http://{a}", "a:%2", "http://ä.b", "1:a", "a:#b#c"]
        {
            assert!(!uri(bad), "{bad}");
        }
        assert!(name("_a1") && !name("1a") && !name("a.b") && !name(""));
        assert!(!email("a b@c.d") && !email("@c.d") && !email("a@-c.d") && email("A+b@c.d-e.f"));
    }

    #[test]
    fn templates() {
        for good in
            ["user/{id}", "user.created", "{a,b}", "{?x}", "{a:3}/{b*}", "a%20b", "größe", "//", "a?b"]
        {
            assert!(uri_template(good), "{good}");
        }
        for bad in ["a b", "{user-id}", "{}", "{a", "a}", "{a.b}", "a'b", "a%2", "{a:0}", "{a:x}", "a|b"] {
            assert!(!uri_template(bad), "{bad}");
        }
    }
}
