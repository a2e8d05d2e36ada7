//! Payloads of somebody who means no good: broken, deep, long and huge, from the text of one that may fit.

use fastrand::Rng;

/// What is put somewhere into a text.
const TOKENS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0000",
    "\\ud800",
    "\\udc00\\ud800",
    "null",
    "true",
    "NaN",
    "Infinity",
    "-",
    "+1",
    "01",
    "1.",
    ".5",
    "1e",
    "1e999",
    "-1e-999",
    "1e99999999999999999999",
    "9223372036854775808",
    "-9223372036854775809",
    "18446744073709551616",
    "0.1e1",
    "\u{feff}",
    "\u{0}",
    "\u{2028}",
    "🦀",
    "//",
    "/*",
    "'",
    "\"\":",
    "{\"\":null}",
    "[[]]",
];

/// A text that may be anything.
pub fn hostile(text: &str, rng: &mut Rng) -> String {
    let mut text = text.to_owned();
    for _ in 0..rng.usize(1..4) {
        text = changed(&text, rng);
        // What a server takes by default, and a little more.
        if text.len() > 17 << 20 {
            break;
        }
    }
    text
}

fn changed(text: &str, rng: &mut Rng) -> String {
    let (start, end) = range(text, rng);
    let (before, part, after) = (&text[..start], &text[start..end], &text[end..]);
    match rng.u8(..32) {
        0..=3 => before.to_owned(),
        4..=7 => format!("{before}{after}"),
        8..=11 => format!("{before}{}{after}", part.repeat(rng.usize(2..20))),
        12..=21 => format!("{before}{}{after}", TOKENS[rng.usize(..TOKENS.len())]),
        22..=23 => format!("{before}{}{after}", "7".repeat(rng.usize(1..500))),
        24..=25 => {
            let (open, close) = [("[", "]"), ("{\"a\":", "}")][rng.usize(..2)];
            let times = 1 << rng.u32(1..18);
            let close = if rng.bool() { close.repeat(times) } else { String::new() };
            format!("{before}{}{part}{close}{after}", open.repeat(times))
        }
        // In itself, where a schema of itself takes it.
        26..=29 => in_itself(text, rng),
        30 => format!("{before}\"{}\"{after}", "é".repeat(1 << rng.u32(1..18))),
        _ => {
            let name = "x".repeat(1 << rng.u32(1..12));
            format!("{before},\"{name}\":{}{after}", rng.i64(..))
        }
    }
}

/// The text with a value in it replaced by the whole, again and again.
fn in_itself(text: &str, rng: &mut Rng) -> String {
    let colons: Vec<usize> = text.match_indices(':').map(|(at, _)| at + 1).collect();
    let Some(&at) = colons.get(rng.usize(..colons.len().max(1))) else { return format!("[{text}]") };
    let end = text[at..].find([',', '}', ']']).map_or(text.len(), |length| at + length);
    let (before, after) = (&text[..at], &text[end..]);
    let times = (1 << rng.u32(1..14)).min((4 << 20) / (text.len() + 1));
    format!("{}{text}{}", before.repeat(times), after.repeat(times))
}

/// Somewhere in a text, at the borders of its characters.
fn range(text: &str, rng: &mut Rng) -> (usize, usize) {
    let mut place = || {
        let mut at = rng.usize(..=text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (one, other) = (place(), place());
    (one.min(other), one.max(other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_differ_and_repeat_with_the_seed() {
        let text = r#"{"a": {"b": [1, "ü"]}, "c": null}"#;
        let texts = |seed| {
            let mut rng = Rng::with_seed(seed);
            (0..200).map(|_| hostile(text, &mut rng)).collect::<Vec<_>>()
        };
        let first = texts(1);
        assert_eq!(first, texts(1));
        assert!(first.iter().filter(|changed| *changed != text).count() > 150);
        assert!(first.iter().any(|text| text.len() > 10_000));
    }
}
