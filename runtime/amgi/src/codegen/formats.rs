//! The formats whose texts may have a type of their own, each as a type.

use super::read::Format;

macro_rules! formats {
    ($($(#[$doc:meta])* $marker:ident = $name:literal like $example:literal;)+) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        pub struct $marker;

        impl Format for $marker {
            const NAME: &'static str = $name;
            const EXAMPLE: &'static str = concat!("\"", $example, "\"");
        }
    )+};
}

formats! {
    /// RFC 3339, `full-date`.
    Date = "date" like "1970-01-01";
    /// RFC 3339, `date-time`.
    DateTime = "date-time" like "1970-01-01T00:00:00Z";
    /// RFC 5321, `Mailbox`.
    Email = "email" like "a@b.c";
    /// RFC 2673, dotted quad.
    Ipv4 = "ipv4" like "127.0.0.1";
    /// RFC 4291.
    Ipv6 = "ipv6" like "::1";
    /// RFC 6901.
    JsonPointer = "json-pointer" like "";
    /// Relative JSON Pointer.
    RelativeJsonPointer = "relative-json-pointer" like "0";
    /// RFC 3339, `full-time`.
    Time = "time" like "00:00:00Z";
    /// RFC 3986.
    Uri = "uri" like "a:b";
    /// RFC 3986, URI or relative reference.
    UriReference = "uri-reference" like "a";
    /// RFC 4122.
    Uuid = "uuid" like "00000000-0000-0000-0000-000000000000";
}

#[cfg(test)]
mod tests {
    use super::{super::format::has_format, *};

    fn fits<F: Format>() {
        let example: String = serde_json::from_str(F::EXAMPLE).expect("JSON");
        assert!(has_format(&example, F::NAME), "{}", F::NAME);
    }

    #[test]
    fn examples_have_their_format() {
        fits::<Date>();
        fits::<DateTime>();
        fits::<Email>();
        fits::<Ipv4>();
        fits::<Ipv6>();
        fits::<JsonPointer>();
        fits::<RelativeJsonPointer>();
        fits::<Time>();
        fits::<Uri>();
        fits::<UriReference>();
        fits::<Uuid>();
    }
}
