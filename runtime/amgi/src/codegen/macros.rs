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

        impl<'de> $crate::codegen::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::codegen::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                $crate::codegen::text_value(deserializer)
            }
        }
    };
}

/// `TypedMessage` of a message: its name, its examples, and how its parts are read and written.
///
/// The payload has a codec, a type and, with names for the value and its place, statements that check it. Headers and
/// bindings come with an expression that reads them and statements that write them; `<-` is written before them and `->`
/// after them.
#[doc(hidden)]
#[macro_export]
macro_rules! __message {
    (
        $name:ident = $key:literal, $examples:expr
        $(; [$payload:ident $codec:ident: $ty:ty $(as $reader:ty)? $(, ($value:ident, $at:ident) { $($check:tt)* })? $(; $schema:literal)?])?
        $(; <- ($first:ident) { $($set:tt)* })?
        $(; $part:ident($message:ident, $fields:ident) { $($read:tt)* } { $($write:tt)* })*
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
                    let $payload: $ty = $crate::__message!(@read $codec message $($reader)?);
                    $(
                        {
                            let ($value, $at) = (&$payload, &$crate::codegen::At::PAYLOAD);
                            $($check)*
                        }
                    )?
                    $($crate::codegen::schema!($schema).check(message)?;)?
                )?
                $(
                    let $part = {
                        let $message = message;
                        $($read)*
                    };
                )*
                Ok(Self { $($payload,)? $($part),* })
            }

            #[inline]
            fn encode(&self, message: &mut $crate::Message) -> ::core::result::Result<(), $crate::Rejection> {
                let _ = &message;
                $(
                    $(
                        {
                            let ($value, $at) = (&self.$payload, &$crate::codegen::At::PAYLOAD);
                            $($check)*
                        }
                    )?
                    $crate::codegen::$codec::write(message, &self.$payload)?;
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
                        let ($message, $fields) = (&mut *message, &self.$part);
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
    (@read $codec:ident $message:ident) => {
        $crate::codegen::$codec::read($message)?
    };
    (@read $codec:ident $message:ident $reader:ty) => {
        $crate::codegen::$codec::read::<$crate::codegen::Value<$reader>>($message)?.0
    };
}

/// `Check` of a type: statements for each of its members, or for the whole.
#[doc(hidden)]
#[macro_export]
macro_rules! __check {
    ($name:ty, ($value:ident, $at:ident) $($member:ident $($wire:literal)? { $($check:tt)* })+) => {
        $crate::__check!($name, (this, $at) {
            $(
                {
                    let ($value, $at) = (&this.$member, $crate::__check!(@at $at $($wire)?));
                    $($check)*
                }
            )+
        });
    };
    ($name:ty, ($value:ident, $at:ident) { $($check:tt)* }) => {
        impl $crate::codegen::Check for $name {
            #[inline]
            fn check(&self, $at: &$crate::codegen::At<'_>) -> ::core::result::Result<(), $crate::Rejection> {
                // Every rule may turn out to be one that the type cannot break.
                let ($value, _) = (self, $at);
                $($check)*
                Ok(())
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

/// `Deserialize` of a struct: from a map, and nothing else. For each member its field, its name, what a missing one means
/// (`required`, `optional`: the field is an `Option` that no null fills, `default`: its empty value, `value`: what a function
/// gives), and how it is read; behind `..` the field for all others. Others are dropped, or `Refused`.
#[doc(hidden)]
#[macro_export]
macro_rules! __object {
    ($name:ty $(: $other:ident)? {
        $($field:ident $wire:literal: $kind:ident $(($function:path))? [$reader:ty];)*
        $(.. $rest:ident [$rest_reader:ty])?
    }) => {
        impl<'de> $crate::codegen::serde::Deserialize<'de> for $name {
            fn deserialize<D: $crate::codegen::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::core::result::Result<Self, D::Error> {
                #[allow(non_camel_case_types)]
                enum Place { $($field,)* End }
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
                        let _ = Place::End;
                        $(let mut $field = None;)*
                        $(let mut $rest = ::std::collections::BTreeMap::new();)?
                        let mut name = ::std::string::String::new();
                        let mut next = 0;
                        loop {
                            let other = $crate::__object!(@other name $($other)? $(.. $rest)?);
                            let seed = $crate::codegen::Member { names: NAMES, next, other };
                            let Some(place) = map.next_key_seed(seed)? else { break };
                            $(
                                if place == Place::$field as usize {
                                    next = place + 1;
                                    $crate::codegen::member::<$reader, A>(&mut $field, $wire, &mut map)?;
                                    continue;
                                }
                            )*
                            $crate::__object!(@keep map name $(.. $rest [$rest_reader])?);
                        }
                        Ok(Self::Value {
                            $($field: $crate::__object!(@$kind $field $wire $($function)?),)*
                            $($rest: $rest.into_iter().collect())?
                        })
                    }
                }

                deserializer.deserialize_map(Members)
            }
        }
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
    (@keep $map:ident $name:ident) => {
        $map.next_value::<$crate::codegen::serde::de::IgnoredAny>()?;
    };
    (@keep $map:ident $name:ident .. $rest:ident [$reader:ty]) => {
        $rest.insert(::core::mem::take(&mut $name), $map.next_value::<$crate::codegen::Value<$reader>>()?.0);
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
    __check as check, __group as group, __message as message, __object as object, __schema as schema,
    __text_enum as text_enum,
};
