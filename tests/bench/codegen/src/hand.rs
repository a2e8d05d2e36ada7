//! A purchase as a careful person writes it: serde's derives, and checks in plain Rust that are as strict as those of the
//! generated type. Formats are checked by the same functions.

use std::{fmt, sync::LazyLock};

use amgi::{
    codegen::{At, Violations, format},
    error::Part,
};
use regress::Regex;
use serde::{Deserialize, Serialize};

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// Members from the outside in, divided by slashes.
    pub place: String,
    /// What is wrong there.
    pub problem: String,
}

impl Error {
    #[cold]
    fn new(place: &str, problem: impl Into<String>) -> Self {
        Self { place: place.to_owned(), problem: problem.into() }
    }

    #[cold]
    fn within(self, place: &str) -> Self {
        Self { place: format!("{place}/{}", self.place), ..self }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.problem)
    }
}

fn has_length(text: &str, least: usize, most: usize) -> bool {
    (least..=most).contains(&text.chars().count())
}

/// Whether a text has a format, by the function that generated code calls.
pub(crate) fn has_format(text: &str, name: &'static str) -> bool {
    let out = Violations::new();
    format(&At::root(Part::Payload, &out), text, name);
    out.finish().is_ok()
}

/// Something was bought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Purchase {
    /// Of all purchases everywhere.
    pub id: String,
    /// What people call it.
    pub number: String,
    /// When it was ordered.
    pub placed_at: String,
    /// How far it is.
    pub status: Status,
    /// Of all amounts.
    pub currency: String,
    /// What all costs.
    pub total: f64,
    /// What of that are taxes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tax: Option<f64>,
    /// Higher is earlier.
    pub priority: u32,
    /// Whether it is wrapped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gift: Option<bool>,
    /// What the customer says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// What makes it cheaper.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coupon: Option<String>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Who bought it.
    pub customer: Customer,
    /// Where it goes.
    pub shipping: Address,
    /// Where the invoice goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billing: Option<Address>,
    /// How it is paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment: Option<Payment>,
    /// What was bought.
    pub lines: Vec<Line>,
    /// In how many pieces it comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parcels: Option<u32>,
    /// In kilograms.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// Where it was ordered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
}

/// How far a purchase is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It has come in.
    New,
    /// The money is there.
    Paid,
    /// It is on its way.
    Shipped,
    /// It will not be.
    Cancelled,
}

/// Who bought it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    /// Number.
    pub id: u32,
    /// Name.
    pub name: String,
    /// Address for messages.
    pub email: String,
    /// Telephone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
}

/// A place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    /// Street and number.
    pub street: String,
    /// City.
    pub city: String,
    /// Postal code.
    pub zip: String,
    /// Country.
    pub country: String,
}

/// How it is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// By what means.
    pub method: Method,
    /// The bank's.
    pub reference: String,
    /// When it was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid_at: Option<String>,
}

/// Means to pay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// A card.
    Card,
    /// From account to account.
    Transfer,
    /// Later.
    Invoice,
}

/// One of the things that were bought.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Number of the article.
    pub sku: String,
    /// What it is.
    pub title: String,
    /// How many.
    pub quantity: u32,
    /// Of one.
    pub price: f64,
    /// Part that is taken off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub discount: Option<f64>,
}

/// Reads and checks a purchase.
///
/// # Errors
/// What is wrong, and where.
pub fn decode(bytes: &[u8]) -> Result<Purchase, Error> {
    checked(serde_json::from_slice(bytes))
}

/// The same for whoever knows that one look at the whole is cheaper than one at each string in it.
///
/// # Errors
/// What is wrong, and where.
pub fn decode_text(bytes: &[u8]) -> Result<Purchase, Error> {
    let text = std::str::from_utf8(bytes).map_err(|error| Error::new("", error.to_string()))?;
    checked(serde_json::from_str(text))
}

fn checked(purchase: serde_json::Result<Purchase>) -> Result<Purchase, Error> {
    let purchase = purchase.map_err(|error| Error::new("", error.to_string()))?;
    purchase.check()?;
    Ok(purchase)
}

impl Purchase {
    /// What the types do not say.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn check(&self) -> Result<(), Error> {
        static NUMBER: LazyLock<Regex> =
            LazyLock::new(|| Regex::with_flags("^PO-[0-9]{4}-[0-9]{6}$", "u").expect("the pattern is one"));
        if !has_format(&self.id, "uuid") {
            return Err(Error::new("id", "is no UUID"));
        }
        if NUMBER.find(&self.number).is_none() {
            return Err(Error::new("number", "is not like PO-2024-000001"));
        }
        if !has_format(&self.placed_at, "date-time") {
            return Err(Error::new("placedAt", "is no point in time"));
        }
        if !has_length(&self.currency, 3, 3) {
            return Err(Error::new("currency", "has not 3 letters"));
        }
        if self.total < 0.0 {
            return Err(Error::new("total", "is less than 0"));
        }
        if self.tax.is_some_and(|tax| tax < 0.0) {
            return Err(Error::new("tax", "is less than 0"));
        }
        if self.priority > 9 {
            return Err(Error::new("priority", "is greater than 9"));
        }
        if self.note.as_ref().is_some_and(|note| !has_length(note, 0, 500)) {
            return Err(Error::new("note", "is longer than 500 characters"));
        }
        if self.coupon.as_ref().is_some_and(|coupon| !has_length(coupon, 4, 20)) {
            return Err(Error::new("coupon", "has not 4 to 20 characters"));
        }
        if self.tags.len() > 10 {
            return Err(Error::new("tags", "are more than 10"));
        }
        for (index, tag) in self.tags.iter().enumerate() {
            if !has_length(tag, 0, 30) {
                return Err(Error::new(&format!("tags/{index}"), "is longer than 30 characters"));
            }
        }
        self.customer.check().map_err(|error| error.within("customer"))?;
        self.shipping.check().map_err(|error| error.within("shipping"))?;
        if let Some(billing) = &self.billing {
            billing.check().map_err(|error| error.within("billing"))?;
        }
        if let Some(payment) = &self.payment {
            payment.check().map_err(|error| error.within("payment"))?;
        }
        if self.lines.is_empty() || self.lines.len() > 100 {
            return Err(Error::new("lines", "are not 1 to 100"));
        }
        for (index, line) in self.lines.iter().enumerate() {
            line.check().map_err(|error| error.within(&format!("lines/{index}")))?;
        }
        if self.parcels.is_some_and(|parcels| !(1..=1000).contains(&parcels)) {
            return Err(Error::new("parcels", "are not 1 to 1000"));
        }
        if self.weight.is_some_and(|weight| weight < 0.0) {
            return Err(Error::new("weight", "is less than 0"));
        }
        if self.channel.as_ref().is_some_and(|channel| !has_length(channel, 0, 40)) {
            return Err(Error::new("channel", "is longer than 40 characters"));
        }
        Ok(())
    }
}

impl Customer {
    fn check(&self) -> Result<(), Error> {
        if self.id < 1 {
            return Err(Error::new("id", "is less than 1"));
        }
        if !has_length(&self.name, 1, 100) {
            return Err(Error::new("name", "has not 1 to 100 characters"));
        }
        if !has_format(&self.email, "email") {
            return Err(Error::new("email", "is no address"));
        }
        if self.phone.as_ref().is_some_and(|phone| !has_length(phone, 0, 30)) {
            return Err(Error::new("phone", "is longer than 30 characters"));
        }
        Ok(())
    }
}

impl Address {
    fn check(&self) -> Result<(), Error> {
        if !has_length(&self.street, 1, 100) {
            return Err(Error::new("street", "has not 1 to 100 characters"));
        }
        if !has_length(&self.city, 1, 60) {
            return Err(Error::new("city", "has not 1 to 60 characters"));
        }
        if !has_length(&self.zip, 3, 10) {
            return Err(Error::new("zip", "has not 3 to 10 characters"));
        }
        if !has_length(&self.country, 2, 2) {
            return Err(Error::new("country", "has not 2 letters"));
        }
        Ok(())
    }
}

impl Payment {
    fn check(&self) -> Result<(), Error> {
        if !has_format(&self.reference, "uuid") {
            return Err(Error::new("reference", "is no UUID"));
        }
        if self.paid_at.as_ref().is_some_and(|paid_at| !has_format(paid_at, "date-time")) {
            return Err(Error::new("paidAt", "is no point in time"));
        }
        Ok(())
    }
}

impl Line {
    fn check(&self) -> Result<(), Error> {
        if !has_length(&self.sku, 4, 20) {
            return Err(Error::new("sku", "has not 4 to 20 characters"));
        }
        if !has_length(&self.title, 1, 200) {
            return Err(Error::new("title", "has not 1 to 200 characters"));
        }
        if !(1..=1000).contains(&self.quantity) {
            return Err(Error::new("quantity", "is not 1 to 1000"));
        }
        if self.price < 0.0 {
            return Err(Error::new("price", "is less than 0"));
        }
        if self.discount.is_some_and(|discount| !(0.0..=1.0).contains(&discount)) {
            return Err(Error::new("discount", "is not 0 to 1"));
        }
        Ok(())
    }
}
