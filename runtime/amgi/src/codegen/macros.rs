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
        $(; [$payload:ident $codec:ident: $ty:ty $(, ($value:ident, $at:ident) { $($check:tt)* })?])?
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
                    let $payload: $ty = $crate::codegen::$codec::read(message)?;
                    $(
                        {
                            let ($value, $at) = (&$payload, &$crate::codegen::At::PAYLOAD);
                            $($check)*
                        }
                    )?
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

pub use crate::{__check as check, __group as group, __message as message, __text_enum as text_enum};
