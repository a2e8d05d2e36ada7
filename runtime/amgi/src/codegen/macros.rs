//! What generated code repeats for every type: said once here, so that the code is short and quick to compile.

/// `as_str`, `Display`, `FromStr`, `Serialize` and `Deserialize` of an enum of texts.
#[doc(hidden)]
#[macro_export]
macro_rules! __text_enum {
    ($name:ty { $($variant:ident = $text:literal),+ $(,)? }) => {
        impl $name {
            /// The text on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl ::core::fmt::Display for $name {
            fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::core::str::FromStr for $name {
            type Err = $crate::UnknownValue;

            fn from_str(text: &str) -> ::core::result::Result<Self, Self::Err> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::UnknownValue { found: text.to_owned(), expected: &[$($text),+] }),
                }
            }
        }

        impl $crate::codegen::serde::Serialize for $name {
            fn serialize<S: $crate::codegen::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl $crate::codegen::Read for $name {
            type Value = Self;

            const EXPECTED: &'static str = "a string";

            fn read<'de, D: $crate::codegen::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                $crate::codegen::text_value(deserializer)
            }

            fn repair(text: Option<&str>, at: &$crate::codegen::At<'_>) -> ::std::string::String {
                $crate::codegen::repair_text(&[$($text),+], text, at)
            }
        }

        $crate::__deserialize!($name);
    };
}

/// `Deserialize` of what can be read.
#[doc(hidden)]
#[macro_export]
macro_rules! __deserialize {
    ($name:ty) => {
        impl<'de> $crate::codegen::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::codegen::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                <Self as $crate::codegen::Read>::read(deserializer)
            }
        }
    };
}

/// `TypedMessage` of a message: its name, its examples, and how its parts are read and written.
///
/// The payload has a codec, a type and, with names for the value and its place, statements that check it; perhaps a schema for
/// the validator, and the most bytes it may have. Headers and bindings have a block that reads them, whose value is an `Option`,
/// and one that writes them, with names for the message, and for their place or themselves.
#[doc(hidden)]
#[macro_export]
macro_rules! __message {
    (
        $name:ident = $key:literal, $examples:expr
        $(; [$payload:ident $codec:ident: $ty:ty $(, ($value:ident, $at:ident) { $($check:tt)* })? $(; $schema:literal)? $(; up to $most:literal)?])?
        $(; <- ($first:ident) { $($set:tt)* })?
        $(; $field:ident $part:ident($message:ident, $fields:ident) { $($read:tt)* } { $($write:tt)* })*
        $(; -> ($last:ident) { $($say:tt)* })?
    ) => {
        impl $crate::TypedMessage for $name {
            const NAME: &'static str = $key;
            const EXAMPLES: &'static [$crate::ExampleInfo] = $examples;

            // Compiled where it is used: what is only received is never written, and the other way round.
            #[inline]
            fn decode(message: &$crate::Message) -> ::core::result::Result<Self, $crate::Rejection> {
                let _ = message;
                $(
                    let $payload = $crate::__message!(@read $codec $ty)(
                        message,
                        $crate::__message!(@most $($most)?),
                        |value, at| {
                            let _ = (value, at);
                            $(
                                let ($value, $at) = (value, at);
                                $($check)*
                            )?
                        },
                    );
                    $(
                        let $payload = $payload.and_then(|value| {
                            $crate::codegen::schema!($schema).check(message).map(|()| value)
                        });
                    )?
                )?
                $(
                    let $field = $crate::codegen::fields($crate::error::Part::$part, |$fields| {
                        let $message = message;
                        $($read)*
                    });
                )*
                match ($($payload,)? $($field,)*) {
                    ($(Ok($payload),)? $(Ok($field),)*) => Ok(Self { $($payload,)? $($field),* }),
                    #[allow(unreachable_patterns)]
                    ($($payload,)? $($field,)*) => {
                        Err($crate::codegen::rejections([$($payload.err(),)? $($field.err(),)*]))
                    }
                }
            }

            #[inline]
            fn encode(&self, message: &mut $crate::Message) -> ::core::result::Result<(), $crate::Rejection> {
                let _ = &message;
                $(
                    $(
                        $crate::codegen::checked($crate::error::Part::Payload, |$at| {
                            let $value = &self.$payload;
                            $($check)*
                        })?;
                    )?
                    $crate::__message!(@write $codec $ty)(message, &self.$payload)?;
                    $($crate::codegen::schema!($schema).check(message)?;)?
                )?
                $(
                    {
                        let $first = &mut *message;
                        $($set)*
                    }
                )?
                $(
                    {
                        let ($message, $fields) = (&mut *message, &self.$field);
                        $($write)*
                    }
                )*
                $(
                    {
                        let $last = &mut *message;
                        $($say)*
                    }
                )?
                Ok(())
            }
        }
    };
    (@read json $ty:ty) => {
        $crate::codegen::json::read::<$ty>
    };
    (@read reread_json $ty:ty) => {
        $crate::codegen::reread_json::read::<$ty>
    };
    (@read $codec:ident $ty:ty) => {
        $crate::codegen::$codec::read
    };
    (@write reread_json $ty:ty) => {
        $crate::codegen::reread_json::write::<$ty>
    };
    (@write $codec:ident $ty:ty) => {
        $crate::codegen::$codec::write
    };
    (@most) => {
        $crate::codegen::MOST_BYTES
    };
    (@most $most:literal) => {
        $most
    };
}

/// `Check` of a type: statements for each of its members, or for the whole.
#[doc(hidden)]
#[macro_export]
macro_rules! __check {
    ($name:ty, ($value:ident, $at:ident) $($member:ident $($wire:literal $($secret:ident)?)? { $($check:tt)* })+) => {
        $crate::__check!($name, (this, $at) {
            $(
                {
                    let ($value, $at) = (&this.$member, $crate::__check!(@at $at $($wire $($secret)?)?));
                    $($check)*
                }
            )+
        });
    };
    ($name:ty, ($value:ident, $at:ident) { $($check:tt)* }) => {
        impl $crate::codegen::Check for $name {
            #[inline]
            fn check(&self, $at: &$crate::codegen::At<'_>) {
                // Every rule may turn out to be one that the type cannot break.
                let ($value, _) = (self, $at);
                $($check)*
            }
        }
    };
    // Members without a field of their own lie beside the others, not below.
    (@at $at:ident) => {
        $at
    };
    (@at $at:ident $wire:literal) => {
        &$at.name($wire)
    };
    (@at $at:ident $wire:literal secret) => {
        &$at.name($wire).secret()
    };
}

/// A trait for a group of handlers, implemented by what implements all of them.
#[doc(hidden)]
#[macro_export]
macro_rules! __group {
    ($name:ident: $($bound:ident),+) => {
        /// Some of the handler traits; implemented by what implements all of them.
        pub trait $name: $($bound +)+ {}
        impl<A: $($bound +)+> $name for A {}
    };
}

/// `Read`, `Serialize` and `Deserialize` of a struct: from a map, and nothing else. For each member its place, its field, its name, its type,
/// and what a missing one means (`required`, `optional`: the field is an `Option` that no null fills, `default`: its empty value,
/// `value`: what a function gives), and whether it is `secret`; behind `..` the field for all others. Others are dropped, or
/// `Refused`.
#[doc(hidden)]
#[macro_export]
macro_rules! __object {
    ($name:ty $(: $other:ident)? {
        $($place:literal $field:ident $wire:literal: $ty:ty, $kind:ident $(($function:path))? $([$secret:ident])?;)*
        $(.. $rest:ident: $rest_ty:ty)?
    }) => {
        impl $crate::codegen::Read for $name {
            type Value = Self;

            const EXPECTED: &'static str = "an object";

            fn read<'de, D: $crate::codegen::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                struct Members;

                impl<'de> $crate::codegen::serde::de::Visitor<'de> for Members {
                    type Value = $name;

                    fn expecting(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {
                        f.write_str("an object")
                    }

                    #[allow(unused_mut, unused_assignments, unused_variables)]
                    fn visit_map<A: $crate::codegen::serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> ::core::result::Result<$name, A::Error> {
                        const NAMES: &[&str] = &[$($wire),*];
                        $(let mut $field = None;)*
                        $(let mut $rest = ::std::collections::BTreeMap::new();)?
                        let mut name = ::std::string::String::new();
                        let mut next = 0;
                        loop {
                            let other = $crate::__object!(@other name $($other)? $(.. $rest)?);
                            let seed = $crate::codegen::Member { names: NAMES, next, other };
                            let Some(place) = map.next_key_seed(seed)? else { break };
                            next = place.wrapping_add(1);
                            match place {
                                $($place => $crate::codegen::member::<$ty, A>(&mut $field, $wire, &mut map),)*
                                _ => $crate::__object!(@keep map name $(.. $rest [$rest_ty])?),
                            }?;
                        }
                        Ok(Self::Value {
                            $($field: $crate::__object!(@$kind $field $wire $($function)?),)*
                            $($rest: $rest.into_iter().collect())?
                        })
                    }
                }

                deserializer.deserialize_map(Members)
            }

            fn repair(text: Option<&str>, at: &$crate::codegen::At<'_>) -> ::std::string::String {
                const MEMBERS: &[$crate::codegen::MemberInfo] = &[$($crate::codegen::MemberInfo {
                    name: $wire,
                    required: $crate::__object!(@is_required $kind),
                    secret: $crate::__object!(@is_secret $($secret)?),
                    repair: <$ty as $crate::codegen::Read>::repair,
                }),*];
                $crate::codegen::repair_object(MEMBERS, $crate::__object!(@others $($other)? $(.. $rest_ty)?), text, at)
            }
        }

        impl $crate::codegen::serde::Serialize for $name {
            fn serialize<S: $crate::codegen::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                #[allow(unused_mut)]
                let mut map = $crate::codegen::serde::Serializer::serialize_map(serializer, None)?;
                $($crate::__object!(@write $kind map $wire self.$field);)*
                $($crate::codegen::write_others(&mut map, &self.$rest)?;)?
                $crate::codegen::serde::ser::SerializeMap::end(map)
            }
        }

        $crate::__deserialize!($name);
    };
    (@write optional $map:ident $wire:literal $value:expr) => {
        $crate::codegen::write_optional(&mut $map, $wire, &$value)?
    };
    (@write default $map:ident $wire:literal $value:expr) => {
        $crate::codegen::write_optional(&mut $map, $wire, &$value)?
    };
    (@write $kind:ident $map:ident $wire:literal $value:expr) => {
        $crate::codegen::serde::ser::SerializeMap::serialize_entry(&mut $map, $wire, &$value)?
    };
    (@other $name:ident) => {
        $crate::codegen::Other::Dropped
    };
    (@other $name:ident $other:ident) => {
        $crate::codegen::Other::$other
    };
    (@other $name:ident $($other:ident)? .. $rest:ident) => {
        $crate::codegen::Other::Kept(&mut $name)
    };
    (@others) => {
        $crate::codegen::Others::Dropped
    };
    (@others $other:ident) => {
        $crate::codegen::Others::$other
    };
    (@others $($other:ident)? .. $rest_ty:ty) => {
        $crate::codegen::Others::Read(<$rest_ty as $crate::codegen::Read>::repair)
    };
    (@keep $map:ident $name:ident) => {
        $map.next_value::<$crate::codegen::serde::de::IgnoredAny>().map(|_| ())
    };
    (@keep $map:ident $name:ident .. $rest:ident [$ty:ty]) => {
        $crate::codegen::other::<$ty, A>(&mut $rest, &mut $name, &mut $map)
    };
    (@is_required required) => {
        true
    };
    (@is_required $kind:ident) => {
        false
    };
    (@is_secret) => {
        false
    };
    (@is_secret secret) => {
        true
    };
    (@required $field:ident $wire:literal) => {
        match $field {
            Some(value) => value,
            None => return Err($crate::codegen::serde::de::Error::missing_field($wire)),
        }
    };
    (@optional $field:ident $wire:literal) => {
        $field
    };
    (@default $field:ident $wire:literal) => {
        $field.unwrap_or_default()
    };
    (@value $field:ident $wire:literal $function:path) => {
        $field.unwrap_or_else($function)
    };
}

/// `Read`, `Serialize` and `Deserialize` of an enum of alternatives: `any` that fits, the first in their order, or the only `one`. Where
/// alternatives have rules, a value `holds` them; otherwise it `always` does.
#[doc(hidden)]
#[macro_export]
macro_rules! __union {
    ($name:ty: $how:ident $holds:ident { $($variant:ident($ty:ty)),+ $(,)? }) => {
        impl $crate::codegen::Read for $name {
            type Value = Self;

            const EXPECTED: &'static str = "one of several alternatives";

            fn read<'de, D: $crate::codegen::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                let text = $crate::codegen::Alternatives::take(deserializer)?;
                $crate::__union!(@$how text $holds { $($variant($ty)),+ })
            }

            fn repair(text: Option<&str>, at: &$crate::codegen::At<'_>) -> ::std::string::String {
                let all = [$($crate::codegen::Alternative {
                    name: stringify!($variant),
                    repair: $crate::__union!(@repair $holds $variant $ty),
                }),+];
                $crate::codegen::alternatives::<Self>($crate::__union!(@keyword $how), &all, text, at)
            }
        }

        impl $crate::codegen::serde::Serialize for $name {
            fn serialize<S: $crate::codegen::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                match self {
                    $(Self::$variant(value) => $crate::codegen::serde::Serialize::serialize(value, serializer),)+
                }
            }
        }

        $crate::__deserialize!($name);
    };
    (@any $text:ident $holds:ident { $($variant:ident($ty:ty)),+ }) => {{
        $(
            if let Some(value) = $text.read::<$ty, Self>(Self::$variant, $crate::codegen::$holds) {
                return Ok(value);
            }
        )+
        Err($text.none())
    }};
    (@one $text:ident $holds:ident { $($variant:ident($ty:ty)),+ }) => {{
        let mut found = None;
        $(
            if let Some(value) = $text.read::<$ty, Self>(Self::$variant, $crate::codegen::$holds) {
                if found.replace(value).is_some() {
                    return Err($text.several());
                }
            }
        )+
        found.ok_or_else(|| $text.none())
    }};
    (@repair always $variant:ident $ty:ty) => {
        $crate::codegen::alternative::<$ty>
    };
    (@repair holds $variant:ident $ty:ty) => {
        |text, at| $crate::codegen::checked_alternative::<$ty, Self>(text, at, Self::$variant)
    };
    (@keyword any) => {
        "anyOf"
    };
    (@keyword one) => {
        "oneOf"
    };
}

/// `Read`, `Serialize` and `Deserialize` of a struct around one value.
#[doc(hidden)]
#[macro_export]
macro_rules! __newtype {
    ($name:ty: $ty:ty) => {
        impl $crate::codegen::Read for $name {
            type Value = Self;

            const EXPECTED: &'static str = <$ty as $crate::codegen::Read>::EXPECTED;

            fn read<'de, D: $crate::codegen::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                <$ty as $crate::codegen::Read>::read(deserializer).map(Self)
            }

            fn repair(text: Option<&str>, at: &$crate::codegen::At<'_>) -> ::std::string::String {
                <$ty as $crate::codegen::Read>::repair(text, at)
            }
        }

        impl $crate::codegen::serde::Serialize for $name {
            fn serialize<S: $crate::codegen::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::core::result::Result<S::Ok, S::Error> {
                $crate::codegen::serde::Serialize::serialize(&self.0, serializer)
            }
        }

        $crate::__deserialize!($name);
    };
}

/// A schema for the validator.
#[cfg(feature = "validate")]
#[doc(hidden)]
#[macro_export]
macro_rules! __schema {
    ($schema:literal) => {{
        static SCHEMA: $crate::codegen::Schema = $crate::codegen::Schema::new($schema);
        &SCHEMA
    }};
}

/// A schema for the validator, which is not there.
#[cfg(not(feature = "validate"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __schema {
    ($schema:literal) => {
        compile_error!(
            "a schema of this document needs a validator: `amgi = { …, features = [\"validate\"] }` in Cargo.toml"
        )
    };
}

pub use crate::{
    __check as check, __group as group, __message as message, __newtype as newtype, __object as object,
    __schema as schema, __text_enum as text_enum, __union as union,
};
