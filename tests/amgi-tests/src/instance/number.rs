//! Numbers, as texts: how one is written is part of what is tested.

use fastrand::Rng;
use serde_json::Value;

use super::{Parts, Source, first};

/// Numbers at the edges of types.
const EDGES: &[&str] = &[
    "0",
    "-0",
    "1",
    "-1",
    "1.0",
    "-1.0",
    "1e2",
    "1E+2",
    "15e-1",
    "1.5",
    "0.1",
    "-0.0",
    "127",
    "128",
    "-129",
    "255",
    "256",
    "65536",
    "2147483647",
    "2147483648",
    "-2147483649",
    "4294967295",
    "4294967296",
    "9007199254740992",
    "9007199254740993",
    "9007199254740993.0",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "-9223372036854775809",
    "18446744073709551615",
    "18446744073709551616",
    "1e19",
    "1e308",
    "-1e308",
    "1e-300",
    "123456789012345678901234567890",
    "-123456789012345678901234567890",
    "0.30000000000000004",
    "123456.789012345678901234567890",
];

/// A number that has nothing to do with a schema.
pub(super) fn scrap(rng: &mut Rng) -> String {
    match rng.u8(..3) {
        0 => rng.i32(-100..100).to_string(),
        _ => EDGES[rng.usize(..EDGES.len())].to_owned(),
    }
}

impl<'s> Source<'s> {
    pub(super) fn integer(&mut self, parts: &Parts<'s>) -> String {
        let bound = |keyword: &'static str| parts.iter().filter_map(move |part| whole(part.get(keyword)?));
        let least = bound("minimum").chain(bound("exclusiveMinimum").map(|n| n + 1)).max();
        let most = bound("maximum").chain(bound("exclusiveMaximum").map(|n| n - 1)).min();
        if (least.is_some() || most.is_some()) && self.strays() {
            let over = most.map(|n| n + 1);
            let under = least.map(|n| n - 1);
            return if self.rng.bool() { over.or(under) } else { under.or(over) }.unwrap_or(0).to_string();
        }
        if self.strays() {
            return scrap(&mut self.rng);
        }
        let (low, high) = match (least, most) {
            (Some(low), Some(high)) => (low, high.max(low)),
            (Some(low), None) => (low, low + 1000),
            (None, Some(high)) => (high - 1000, high),
            (None, None) => match self.rng.u8(..8) {
                0 => (i128::from(i64::MIN), i128::from(i64::MAX)),
                1 => (-(1 << 31), 1 << 31),
                _ => (-10, 1000),
            },
        };
        let mut number = match self.rng.u8(..6) {
            0 => low,
            1 => high,
            _ => self.rng.i128(low..=high),
        };
        if let Some(of) = first(parts, "multipleOf").and_then(|of| whole(Some(of)?)).filter(|of| *of > 1) {
            let strays = self.strays();
            number =
                number.div_euclid(of) * of + if number.rem_euclid(of) > 0 && number < high { of } else { 0 };
            number = if number > high { number - of } else { number } + i128::from(strays);
        }
        self.written(&number.to_string())
    }

    pub(super) fn number(&mut self, parts: &Parts<'s>) -> String {
        if self.rng.u8(..4) == 0 {
            return self.integer(parts);
        }
        let bound = |keyword: &'static str| parts.iter().filter_map(move |part| part.get(keyword)?.as_f64());
        let least = bound("minimum").chain(bound("exclusiveMinimum")).fold(f64::NEG_INFINITY, f64::max);
        let most = bound("maximum").chain(bound("exclusiveMaximum")).fold(f64::INFINITY, f64::min);
        let low = if least.is_finite() { least } else { most.min(1000.0) - 1000.0 };
        let high = if most.is_finite() { most } else { low + 2000.0 };
        let strays = self.strays();
        let mut number = match self.rng.u8(..6) {
            0 => low,
            1 => high,
            _ => low + (high - low) * self.rng.f64(),
        };
        if strays {
            number = if self.rng.bool() { high + 0.5 } else { low - 0.5 };
        }
        if let Some(of) = first(parts, "multipleOf").and_then(Value::as_f64).filter(|of| *of > 0.0) {
            // Written with as many digits as the factor, a multiple is one.
            let digits = of.to_string().split_once('.').map_or(0, |(_, digits)| digits.len());
            let number = (number / of).round() * of;
            if self.strays() {
                let digits = digits + 1;
                return format!("{number:.digits$}1");
            }
            return format!("{number:.digits$}");
        }
        let digits = self.rng.usize(..4);
        let text = if self.rng.bool() { format!("{number:.digits$}") } else { number.to_string() };
        self.written(&text)
    }

    /// A number in one of the ways to write it.
    fn written(&mut self, text: &str) -> String {
        if text.contains(['.', 'e', 'E']) {
            return text.to_owned();
        }
        match self.rng.u8(..16) {
            0 => format!("{text}.0"),
            1 => format!("{text}e0"),
            2 if text.len() > 2 && text.ends_with("00") => format!("{}e2", &text[..text.len() - 2]),
            3 if !text.ends_with('0') => format!("{text}0e-1"),
            4 => format!("{text}.000"),
            _ => text.to_owned(),
        }
    }
}

/// A bound of integers.
fn whole(value: &Value) -> Option<i128> {
    let exact = value.as_i64().map(i128::from).or(value.as_u64().map(i128::from));
    // Beyond 100 digits it bounds nothing that is made here, and `as` keeps to the type's limits.
    #[allow(clippy::cast_possible_truncation)]
    exact.or_else(|| value.as_f64().map(|bound| (bound.ceil() as i128).clamp(-(1 << 100), 1 << 100)))
}
