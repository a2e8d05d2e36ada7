//! Payloads: a module for each way in which bytes hold one.

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use crate::{
    codec,
    contract::Message,
    error::{Part, Rejection},
};

fn payload(message: &Message) -> Result<&Bytes, Rejection> {
    message.payload.as_ref().ok_or_else(|| Rejection::new(Part::Payload, "", "the message has no payload"))
}

/// A payload of JSON.
pub mod json {
    use super::{DeserializeOwned, Message, Part, Rejection, Serialize, codec, payload};

    /// Reads it.
    pub fn read<T: DeserializeOwned>(message: &Message) -> Result<T, Rejection> {
        codec::from_json(Part::Payload, payload(message)?)
    }

    /// Writes it.
    pub fn write<T: Serialize + ?Sized>(message: &mut Message, value: &T) -> Result<(), Rejection> {
        let json = codec::to_json(value);
        message.payload = Some(json.map_err(|error| Rejection::new(Part::Payload, "", error.to_string()))?);
        Ok(())
    }
}

/// A payload of JSON of which only the text tells whether it fits exactly one of several alternatives.
pub mod reread_json {
    pub use super::json::read;

    use super::{DeserializeOwned, Message, Rejection, Serialize, json};

    /// Writes it, and reads what was written.
    pub fn write<T: Serialize + DeserializeOwned>(message: &mut Message, value: &T) -> Result<(), Rejection> {
        json::write(message, value)?;
        json::read::<T>(message).map(drop)
    }
}

/// A payload of text.
pub mod text {
    use super::{Bytes, Message, Part, Rejection, codec, payload};

    /// Reads it.
    pub fn read(message: &Message) -> Result<String, Rejection> {
        codec::from_text(Part::Payload, payload(message)?).map(str::to_owned)
    }

    /// Writes it.
    #[allow(clippy::unnecessary_wraps)] // as the others
    pub fn write(message: &mut Message, value: &str) -> Result<(), Rejection> {
        message.payload = Some(Bytes::copy_from_slice(value.as_bytes()));
        Ok(())
    }
}

/// A payload as it is.
#[allow(clippy::unnecessary_wraps)] // as the others
pub mod raw {
    use super::{Bytes, Message, Rejection};

    /// Reads it; empty when there is none.
    pub fn read(message: &Message) -> Result<Bytes, Rejection> {
        Ok(message.payload.clone().unwrap_or_default())
    }

    /// Writes it.
    pub fn write(message: &mut Message, value: &Bytes) -> Result<(), Rejection> {
        message.payload = Some(value.clone());
        Ok(())
    }
}
