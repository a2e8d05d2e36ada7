//! Numbers as JSON writes them: of any size, with every digit.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use serde_json::value::RawValue;

/// A JSON number of any size, which keeps its digits: what the generator uses where no type of 64 bits holds what a schema allows
/// (`numbers = "exact"` in `amgi.toml`, or bounds beyond them).
///
/// It is compared by value, so `1`, `1.0` and `1e0` are equal, and written as it was read.
///
/// ```
/// use amgi::Number;
///
/// let number: Number = "123456789012345678901234567890".parse()?;
/// assert!(number > Number::from(u64::MAX) && number.is_integer());
/// assert_eq!((number.as_i64(), number.as_f64()), (None, 123456789012345678901234567890.0));
/// assert_eq!("2.50".parse::<Number>()?.to_string(), "2.50");
/// assert_eq!("7.0".parse::<Number>()?.as_i64(), Some(7));
/// # Ok::<(), amgi::NoNumber>(())
/// ```
#[derive(Clone)]
pub struct Number(Box<RawValue>);

/// A text that is no JSON number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no JSON number")]
pub struct NoNumber(pub String);

impl Number {
    /// The number as it was written.
    pub fn as_str(&self) -> &str {
        self.0.get()
    }

    /// The number, where it is a whole one that 64 bits hold.
    pub fn as_i64(&self) -> Option<i64> {
        self.decimal().whole().and_then(|(negative, magnitude)| {
            let value = i128::from(magnitude);
            i64::try_from(if negative { -value } else { value }).ok()
        })
    }

    /// The number, where it is a whole one that 64 bits without a sign hold.
    pub fn as_u64(&self) -> Option<u64> {
        self.decimal().whole().filter(|(negative, magnitude)| !negative || *magnitude == 0).map(|(_, n)| n)
    }

    /// The nearest number of 64 bits; infinite where it is too large for those.
    pub fn as_f64(&self) -> f64 {
        // Rust reads every JSON number.
        self.as_str().parse().unwrap_or(f64::NAN)
    }

    /// Whether it has no fraction: `1.0` and `1e30` have none.
    pub fn is_integer(&self) -> bool {
        self.decimal().exponent >= 0
    }

    /// Whether it is a multiple of another, both taken as they are written.
    pub fn is_multiple_of(&self, of: &Self) -> bool {
        let (value, of_value) = (self.decimal(), of.decimal());
        if value.digits.is_empty() || of_value.digits.is_empty() {
            return value.digits.is_empty();
        }
        if value.cmp_magnitude(&of_value) == Ordering::Less {
            return false;
        }
        // Both as whole multiples of the smaller power of ten; the divisor must be small enough to count with.
        let lowest = value.exponent.min(of_value.exponent);
        let (up, of_up) = (value.exponent - lowest, of_value.exponent - lowest);
        let divisor =
            of_value.magnitude().zip(u32::try_from(of_up).ok().and_then(|up| 10_u64.checked_pow(up)));
        match divisor.and_then(|(magnitude, power)| magnitude.checked_mul(power)) {
            Some(divisor) => {
                let divisor = u128::from(divisor);
                let digits =
                    value.digits.iter().fold(0, |rest, digit| (rest * 10 + u128::from(*digit)) % divisor);
                (digits * power_of_ten(up, divisor)).is_multiple_of(divisor)
            }
            None => self.as_f64() % of.as_f64() == 0.0,
        }
    }

    fn decimal(&self) -> Decimal {
        Decimal::of(self.as_str())
    }
}

/// `10^exponent` modulo a divisor below 2^64.
fn power_of_ten(mut exponent: i64, divisor: u128) -> u128 {
    let (mut result, mut base) = (1 % divisor, 10 % divisor);
    while exponent > 0 {
        if exponent % 2 == 1 {
            result = result * base % divisor;
        }
        base = base * base % divisor;
        exponent /= 2;
    }
    result
}

/// A number as digits, none of them a zero at either end, times a power of ten. Zero has no digits.
struct Decimal {
    negative: bool,
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    fn of(text: &str) -> Self {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        // An exponent that no 64 bits hold is as far away as one that these hold just so.
        let exponent = exponent.trim_start_matches('+');
        let far = if exponent.starts_with('-') { i64::MIN / 4 } else { i64::MAX / 4 };
        let exponent = exponent.parse::<i64>().unwrap_or(far).clamp(i64::MIN / 4, i64::MAX / 4);
        let mut digits: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
        let mut exponent = exponent.saturating_sub(i64::try_from(fraction.len()).unwrap_or(i64::MAX / 4));
        while digits.last() == Some(&0) {
            digits.pop();
            exponent += 1;
        }
        let zeros = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..zeros);
        if digits.is_empty() {
            return Self { negative: false, digits, exponent: 0 };
        }
        Self { negative, digits, exponent }
    }

    /// Its digits as a number, when they are few enough.
    fn magnitude(&self) -> Option<u64> {
        self.digits.iter().try_fold(0_u64, |all, digit| all.checked_mul(10)?.checked_add(u64::from(*digit)))
    }

    /// Sign and magnitude of a whole number of at most 64 bits.
    fn whole(&self) -> Option<(bool, u64)> {
        let power = 10_u64.checked_pow(u32::try_from(self.exponent).ok()?)?;
        Some((self.negative, self.magnitude()?.checked_mul(power)?))
    }

    fn cmp_magnitude(&self, other: &Self) -> Ordering {
        let size = |decimal: &Self| {
            let digits = i64::try_from(decimal.digits.len()).unwrap_or(i64::MAX / 4);
            (!decimal.digits.is_empty()).then(|| decimal.exponent.saturating_add(digits))
        };
        size(self).cmp(&size(other)).then_with(|| self.digits.cmp(&other.digits))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Self) -> Ordering {
        let (a, b) = (self.decimal(), other.decimal());
        match (a.negative, b.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => a.cmp_magnitude(&b),
            (true, true) => b.cmp_magnitude(&a),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Number {}

impl std::hash::Hash for Number {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        let decimal = self.decimal();
        (decimal.negative, decimal.digits, decimal.exponent).hash(state);
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Default for Number {
    fn default() -> Self {
        Self::from(0)
    }
}

impl FromStr for Number {
    type Err = NoNumber;

    fn from_str(text: &str) -> Result<Self, NoNumber> {
        let number = text.starts_with(|c: char| c == '-' || c.is_ascii_digit());
        let raw = number.then(|| RawValue::from_string(text.to_owned()).ok()).flatten();
        raw.map(Self).ok_or_else(|| NoNumber(text.to_owned()))
    }
}

/// Numbers whose text is JSON.
macro_rules! from {
    ($($ty:ty)+) => {$(
        impl From<$ty> for Number {
            fn from(number: $ty) -> Self {
                // What `serde_json` writes of an integer is a number.
                Self(serde_json::value::to_raw_value(&number).unwrap_or_default())
            }
        }
    )+};
}

from!(i8 i16 i32 i64 u8 u16 u32 u64);

impl TryFrom<f64> for Number {
    type Error = NoNumber;

    fn try_from(number: f64) -> Result<Self, NoNumber> {
        if number.is_finite() { number.to_string().parse() } else { Err(NoNumber(number.to_string())) }
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        // A raw value is JSON, so its beginning tells what it is.
        if raw.get().starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
            Ok(Self(raw))
        } else {
            Err(D::Error::custom("invalid type, expected a number"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> Number {
        text.parse().expect("a number")
    }

    #[test]
    fn numbers_are_compared_by_value() {
        let sorted = [
            "-1e400",
            "-1e30",
            "-18446744073709551616",
            "-1.5",
            "-1",
            "-1e-400",
            "0",
            "1e-400",
            "0.1",
            "0.11",
            "1",
            "1.000000000000000000001",
            "9",
            "10",
            "9007199254740993",
            "18446744073709551616",
            "1e30",
            "1e400",
            "1e99999999999999999999999",
        ];
        for (a, text) in sorted.iter().enumerate() {
            for (b, other) in sorted.iter().enumerate() {
                assert_eq!(number(text).cmp(&number(other)), a.cmp(&b), "{text} {other}");
            }
        }
        for (a, b) in [("1", "1.0"), ("1e2", "100"), ("0", "-0.0"), ("0e9", "0"), ("12.50", "125E-1")] {
            assert_eq!(number(a), number(b));
        }
    }

    #[test]
    fn whole_numbers_are_found_however_they_are_written() {
        for (text, signed, unsigned) in [
            ("1.0", Some(1), Some(1)),
            ("-0", Some(0), Some(0)),
            ("-9223372036854775808", Some(i64::MIN), None),
            ("9223372036854775808", None, Some(1 << 63)),
            ("18446744073709551616", None, None),
            ("1.5", None, None),
            ("1e300", None, None),
        ] {
            assert_eq!((number(text).as_i64(), number(text).as_u64()), (signed, unsigned), "{text}");
        }
        assert!(
            number("1e300").is_integer() && number("1.50e1").is_integer() && !number("1e-1").is_integer()
        );
    }

    #[test]
    fn multiples_are_exact() {
        for (value, of) in [
            ("1e308", "0.5"),
            ("0.3", "0.1"),
            ("19.99", "0.01"),
            ("0", "7"),
            ("123456789012345678901234567890", "10"),
            ("-4.50", "1.5"),
        ] {
            assert!(number(value).is_multiple_of(&number(of)), "{value} {of}");
        }
        for (value, of) in
            [("0.35", "0.1"), ("1e-400", "1"), ("123456789012345678901234567891", "10"), ("7", "2")]
        {
            assert!(!number(value).is_multiple_of(&number(of)), "{value} {of}");
        }
    }

    #[test]
    fn what_is_read_is_written() {
        for text in ["1.50", "-1E+2", "123456789012345678901234567890", "1e400"] {
            let read: Number = serde_json::from_str(text).expect("it is a number");
            assert_eq!(serde_json::to_string(&read).expect("it can be written"), text);
        }
        for text in ["\"1\"", "null", "[1]", "01", "1 2"] {
            assert!(
                serde_json::from_str::<Number>(text).is_err() && text.parse::<Number>().is_err(),
                "{text}"
            );
        }
        assert_eq!(Number::try_from(0.5), Ok(number("0.5")));
        assert!(Number::try_from(f64::NAN).is_err());
    }
}
