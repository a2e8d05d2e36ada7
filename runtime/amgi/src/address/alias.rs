//! Addresses that a broker knows by another name.

use std::fmt;

use super::{Pattern, decode};
use crate::error::{Error, Result};

/// Most parameters that an alias may have.
const PARAMETERS: usize = 8;

/// An address pattern and the name that a broker has for it, parameter for parameter.
///
/// ```
/// use amgi::address::Alias;
///
/// let alias = Alias::parse("user.{id}.{kind}", "v1/{kind}/of/{id}")?;
/// assert_eq!(alias.to_name("user.7.renamed").as_deref(), Some("v1/renamed/of/7"));
/// assert_eq!(alias.to_address("v1/renamed/of/7").as_deref(), Some("user.7.renamed"));
/// assert_eq!(alias.to_name("order.7"), None);
/// # Ok::<(), amgi::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Alias {
    address: Pattern,
    name: Pattern,
}

impl Alias {
    /// Reads both patterns.
    ///
    /// # Errors
    /// When one of them is no pattern, they have different parameters, or more than eight.
    pub fn parse(address: &str, name: &str) -> Result<Self> {
        let fail =
            |error: &dyn fmt::Display| Error::Config(format!("address `{address}` as `{name}`: {error}"));
        let one = Pattern::parse(address).map_err(|error| fail(&error))?;
        let other = Pattern::parse(name).map_err(|error| fail(&error))?;
        let (mut a, mut b): (Vec<_>, Vec<_>) = (one.parameters().collect(), other.parameters().collect());
        a.sort_unstable();
        b.sort_unstable();
        if a != b {
            return Err(fail(&"both must have the same parameters"));
        }
        if a.len() > PARAMETERS {
            return Err(fail(&format_args!("more than {PARAMETERS} parameters")));
        }
        Ok(Self { address: one, name: other })
    }

    /// The address.
    pub fn address(&self) -> &Pattern {
        &self.address
    }

    /// What the broker calls it.
    pub fn name(&self) -> &Pattern {
        &self.name
    }

    /// What the broker calls `address`; `None` when it does not fit.
    pub fn to_name(&self, address: &str) -> Option<String> {
        translate(address, &self.address, &self.name)
    }

    /// The address of what the broker calls `name`; `None` when it does not fit.
    pub fn to_address(&self, name: &str) -> Option<String> {
        translate(name, &self.name, &self.address)
    }
}

/// `text` fits `from`; the same values in `to`.
fn translate(text: &str, from: &Pattern, to: &Pattern) -> Option<String> {
    let mut values = [""; PARAMETERS];
    let count = from.scan(text, |index, value| {
        if let Some(slot) = values.get_mut(index) {
            *slot = value;
        }
    })?;
    let decoded: Vec<_> = values[..count].iter().map(|value| decode(value)).collect();
    let ordered: Vec<&str> = to
        .parameters()
        .filter_map(|name| from.parameters().position(|other| other == name))
        .map(|at| decoded[at].as_ref())
        .collect();
    Some(to.format(&ordered))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_must_have_the_same_parameters() {
        assert!(Alias::parse("a.{b}", "c/{d}").is_err());
        assert!(Alias::parse("a.{b}", "c/{b}").is_ok());
    }

    #[test]
    fn values_are_encoded_as_their_side_needs_it() {
        let alias = Alias::parse("user.{id}", "v1/{id}/out").unwrap();
        assert_eq!(alias.to_address("v1/7.5/out").as_deref(), Some("user.7%2E5"));
        assert_eq!(alias.to_name("user.7%2E5").as_deref(), Some("v1/7.5/out"));
    }
}
