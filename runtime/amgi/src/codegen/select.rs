//! How the messages of one address, or of one operation, are told apart.
//!
//! The generator says what marks each message: values of a member, of a header, or its content type. A message that came in is
//! read as those whose marks it has, in the order of the table; mostly that is one. Nothing here allocates until a
//! message fits none.

use std::{borrow::Cow, cmp::Reverse};

use serde_json::Value;

use super::{MOST_BYTES, TypedMessage, check::shown, json};
use crate::{
    codec,
    contract::{Message, media_type},
    error::{Part, Rejection},
    peek::{Found, peek},
};

/// A place that may tell messages apart.
#[derive(Debug, Clone, Copy)]
pub enum Key {
    /// A text in the payload, under these member names.
    Payload(&'static [&'static str]),
    /// The same for a number or boolean, written as JSON.
    PayloadJson(&'static [&'static str]),
    /// A header.
    Header(&'static str),
    /// The media type, see [`Message::content_type`]; whoever does not say it may mean any.
    ContentType,
}

/// What a place must hold.
#[derive(Debug, Clone, Copy)]
pub struct When {
    key: usize,
    required: bool,
    values: &'static [&'static str],
}

impl When {
    /// The place under this index of the keys holds one of these.
    pub const fn is(key: usize, values: &'static [&'static str]) -> Self {
        Self { key, required: true, values }
    }

    /// The same, or nothing.
    pub const fn may_be(key: usize, values: &'static [&'static str]) -> Self {
        Self { key, required: false, values }
    }
}

/// The places, and what each message has there.
#[derive(Debug)]
pub struct Select<const K: usize, const N: usize> {
    /// Where to look.
    pub keys: [Key; K],
    /// What marks each message; all of it must hold.
    pub messages: [&'static [When]; N],
}

impl<const K: usize, const N: usize> Select<K, N> {
    /// Looks at a message.
    pub fn choose<'m>(&'static self, message: &'m Message) -> Choice<'m, K, N> {
        let found = std::array::from_fn(|key| self.keys[key].find(message));
        Choice { select: self, message, found, tried: Vec::new() }
    }
}

impl Key {
    fn find<'m>(&self, message: &'m Message) -> Found<'m> {
        match self {
            Self::Payload(path) | Self::PayloadJson(path) => {
                message.payload.as_ref().map_or(Found::Missing, |payload| peek(payload, path))
            }
            Self::Header(name) => {
                let text = message.headers.get(name).and_then(|value| std::str::from_utf8(value).ok());
                text.map_or(Found::Missing, |text| Found::Text(Cow::Borrowed(text)))
            }
            Self::ContentType => message
                .content_type()
                .map_or(Found::Missing, |text| Found::Text(Cow::Borrowed(media_type(text)))),
        }
    }

    fn holds(&self, when: &When, found: &Found<'_>) -> bool {
        let any = |same: &dyn Fn(&str) -> bool| when.values.iter().any(|value| same(value));
        match (self, found) {
            (Self::ContentType, Found::Text(text)) => any(&|value| text.eq_ignore_ascii_case(value)),
            (Self::Payload(_) | Self::Header(_), Found::Text(text)) => any(&|value| text == value),
            (Self::PayloadJson(_), Found::Json(json)) if *json != "null" => {
                any(&|value| *json == value || same_number(json, value))
            }
            // Null in place of what may be missing is for the message's own types to judge.
            (_, Found::Missing | Found::Json("null")) => !when.required,
            _ => false,
        }
    }

    /// Part and pointer, for a rejection.
    fn place(&self) -> (Part, String) {
        let mut pointer = String::new();
        match self {
            Self::Payload(path) | Self::PayloadJson(path) => {
                path.iter().for_each(|name| codec::push_token(&mut pointer, name));
                (Part::Payload, pointer)
            }
            Self::Header(name) => {
                codec::push_token(&mut pointer, name);
                (Part::Headers, pointer)
            }
            Self::ContentType => (Part::Headers, "/content-type".to_owned()),
        }
    }
}

/// Whether two JSON numbers that differ in writing are one, such as `1` and `1.0`.
fn same_number(a: &str, b: &str) -> bool {
    matches!((a.parse::<f64>(), b.parse::<f64>()), (Ok(a), Ok(b)) if a.to_bits() == b.to_bits())
}

/// A message that came in, and what it was taken for so far.
#[derive(Debug)]
pub struct Choice<'m, const K: usize, const N: usize> {
    select: &'static Select<K, N>,
    message: &'m Message,
    found: [Found<'m>; K],
    tried: Vec<(&'static str, Rejection)>,
}

impl<const K: usize, const N: usize> Choice<'_, K, N> {
    /// The message as the one under this index, when it has its marks and fits.
    pub fn read<M: TypedMessage>(&mut self, index: usize) -> Option<M> {
        let select = self.select;
        let holds = |when: &When| select.keys[when.key].holds(when, &self.found[when.key]);
        if !select.messages[index].iter().all(holds) {
            return None;
        }
        match M::decode(self.message) {
            Ok(message) => Some(message),
            Err(rejection) => {
                self.failed(M::NAME, rejection);
                None
            }
        }
    }

    #[cold]
    fn failed(&mut self, name: &'static str, rejection: Rejection) {
        self.tried.push((name, rejection));
    }

    /// Why it is none of them.
    #[cold]
    pub fn none(mut self) -> Rejection {
        match self.tried.len() {
            0 => self.unmarked(),
            1 => self.tried.remove(0).1,
            _ => no_alternative(self.tried),
        }
    }

    /// It has the marks of no message.
    fn unmarked(&self) -> Rejection {
        let select = self.select;
        let at_key = |key: usize| {
            select.messages.iter().flat_map(|all| all.iter()).filter(move |when| when.key == key)
        };
        let wrong = |&key: &usize| {
            let mut whens = at_key(key).peekable();
            whens.peek().is_some() && !whens.any(|when| select.keys[key].holds(when, &self.found[key]))
        };
        let key = (0..K).find(wrong).unwrap_or_default();
        let Some(place) = select.keys.get(key) else {
            return Rejection::new(Part::Payload, "", "", "a message of this channel");
        };
        let (part, pointer) = place.place();
        // In a payload that is not JSON at all no member can be blamed.
        if part == Part::Payload
            && let Err(rejection) = json::read::<Value>(self.message, MOST_BYTES, |_, _| ())
        {
            return rejection;
        }
        let mut expected: Vec<String> = Vec::new();
        for value in at_key(key).flat_map(|when| when.values) {
            let value = format!("`{value}`");
            if !expected.contains(&value) {
                expected.push(value);
            }
        }
        let expected = format!("{}, which tells the messages of this channel apart", expected.join(" or "));
        let rejection = Rejection::new(part, pointer, "", expected);
        match &self.found[key] {
            Found::Missing => rejection,
            Found::Text(found) => rejection.found(shown(&Value::from(found.as_ref()).to_string())),
            Found::Json(found) => rejection.found(shown(found)),
        }
    }
}

/// None of several messages fits. The one that came furthest has its say, since that one was meant most likely.
fn no_alternative(tried: Vec<(&'static str, Rejection)>) -> Rejection {
    let names: Vec<String> = tried.iter().map(|(name, _)| format!("`{name}`")).collect();
    let expected = format!("one of the messages {}", names.join(", "));
    let furthest =
        tried.into_iter().min_by_key(|(_, rejection)| Reverse(rejection.pointer().matches('/').count()));
    match furthest {
        Some((name, rejection)) => {
            let (part, pointer) = (rejection.part(), rejection.pointer().to_owned());
            Rejection::new(part, pointer, "", format!("{expected}, most likely `{name}`")).and(rejection)
        }
        None => Rejection::new(Part::Payload, "", "", expected),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::contract::ExampleInfo;

    /// A message that has the member of its name.
    #[derive(Debug, PartialEq)]
    struct Has<const NAME: char>;

    impl<const NAME: char> TypedMessage for Has<NAME> {
        const NAME: &'static str = "Has";
        const EXAMPLES: &'static [ExampleInfo] = &[];

        fn decode(message: &Message) -> Result<Self, Rejection> {
            let name = NAME.to_string();
            match peek(message.payload.as_deref().unwrap_or_default(), &[&name]) {
                Found::Missing => {
                    Err(Rejection::new(Part::Payload, format!("/{name}"), "required", "a member"))
                }
                _ => Ok(Self),
            }
        }

        fn encode(&self, _: &mut Message) -> Result<(), Rejection> {
            Ok(())
        }
    }

    static BOTH: Select<2, 3> = Select {
        keys: [Key::ContentType, Key::Payload(&["meta", "type"])],
        messages: [
            &[When::is(1, &["a", "A"]), When::may_be(0, &["application/json"])],
            &[When::is(1, &["b"]), When::may_be(0, &["application/json"])],
            &[When::may_be(0, &["application/cbor"])],
        ],
    };

    fn which(message: &Message) -> Result<usize, Rejection> {
        let mut choice = BOTH.choose(message);
        if choice.read::<Has<'a'>>(0).is_some() {
            return Ok(0);
        }
        if choice.read::<Has<'b'>>(1).is_some() {
            return Ok(1);
        }
        if choice.read::<Has<'c'>>(2).is_some() {
            return Ok(2);
        }
        Err(choice.none())
    }

    fn json(payload: &'static str) -> Message {
        Message::new("x").payload(Bytes::from_static(payload.as_bytes()))
    }

    #[test]
    fn marks_say_which_message_it_is() {
        assert_eq!(which(&json(r#"{"meta":{"type":"A"},"a":1,"b":1}"#)), Ok(0));
        assert_eq!(which(&json(r#"{"meta":{"type":"b"},"a":1,"b":1}"#)), Ok(1));
        // Not marked by a tag: whoever has none is what is left.
        assert_eq!(which(&json(r#"{"meta":{"type":"z"},"a":1,"c":1}"#)), Ok(2));
        let typed = |content: &'static str| {
            json(r#"{"meta":{"type":"a"},"a":1,"c":1}"#).header("Content-Type", content)
        };
        assert_eq!(which(&typed("Application/JSON; charset=utf-8")), Ok(0));
        assert_eq!(which(&typed("application/cbor")), Ok(2));
        let mqtt = json(r#"{"a":1,"c":1}"#).binding("mqtt", "content_type", "application/cbor");
        assert_eq!(which(&mqtt), Ok(2));
    }

    #[test]
    fn a_message_without_marks_says_what_was_expected() {
        let wrong = which(&json("{}").header("content-type", "text/plain")).unwrap_err();
        assert_eq!((wrong.part(), wrong.pointer()), (Part::Headers, "/content-type"));
        assert!(
            wrong.to_string().contains("\"text/plain\"") && wrong.to_string().contains("`application/cbor`"),
            "{wrong}"
        );
        // Only one had the marks, so its own rejection is the answer.
        let json_only = json(r#"{"meta":{"type":"b"}}"#).header("content-type", "application/json");
        assert_eq!(which(&json_only).unwrap_err().pointer(), "/b");
        let unknown = json(r#"{"meta":{"type":"c"}}"#).header("content-type", "application/json");
        let unknown = which(&unknown).unwrap_err();
        assert_eq!((unknown.part(), unknown.pointer()), (Part::Payload, "/meta/type"));
        assert!(
            unknown.to_string().contains("\"c\"") && unknown.to_string().contains("`a` or `A` or `b`"),
            "{unknown}"
        );
        let broken = json(r#"{"x":[1,}"#).header("content-type", "application/json");
        let broken = which(&broken).unwrap_err();
        assert_eq!(broken.pointer(), "");
        assert!(broken.to_string().contains("line 1 column 9"), "{broken}");
        let several = which(&json(r#"{"meta":{"type":"b"}}"#)).unwrap_err();
        assert!(several.to_string().contains("one of the messages"), "{several}");
    }

    #[test]
    fn numbers_and_booleans_compare_by_value() {
        static KINDS: Select<1, 3> = Select {
            keys: [Key::PayloadJson(&["v"])],
            messages: [&[When::is(0, &["1"])], &[When::is(0, &["true"])], &[When::may_be(0, &["2"])]],
        };
        let which = |payload: &'static str| {
            let message = json(payload);
            let choice = KINDS.choose(&message);
            let holds = |index: usize| {
                KINDS.messages[index].iter().all(|when| KINDS.keys[0].holds(when, &choice.found[0]))
            };
            (0..3).filter(|index| holds(*index)).collect::<Vec<_>>()
        };
        assert_eq!(which(r#"{"v":1}"#), [0]);
        assert_eq!(which(r#"{"v":1.0}"#), [0]);
        assert_eq!(which(r#"{"v":"1"}"#), [0; 0]);
        assert_eq!(which(r#"{"v":true}"#), [1]);
        assert_eq!(which(r#"{"v":2e0}"#), [2]);
        assert_eq!(which(r#"{"v":null}"#), [2]);
        assert_eq!(which("{}"), [2]);
    }

    #[test]
    fn the_one_that_came_furthest_is_blamed() {
        let rejection = |part, pointer: &str| Rejection::new(part, pointer, "", "no");
        let tried = [
            ("A", rejection(Part::Payload, "/a")),
            ("B", rejection(Part::Payload, "/b/c")),
            ("C", rejection(Part::Headers, "/c/d")),
            ("D", rejection(Part::Payload, "")),
        ];
        let found = no_alternative(tried.into());
        assert_eq!((found.part(), found.pointer()), (Part::Payload, "/b/c"));
        assert!(found.to_string().contains("`A`") && found.to_string().contains("`D`"), "{found}");
    }
}
