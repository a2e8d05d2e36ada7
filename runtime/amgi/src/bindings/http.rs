//! HTTP.

use serde_json::Value;

use super::objects;

objects! {
    /// On an operation.
    Operation {
        /// `request` or `response`; until version 0.2.0 of the binding.
        r#type: String,
        /// Method, such as `POST`.
        method: String,
        /// JSON Schema of the parameters of the query.
        query: Value,
    }
    /// On a message.
    Message {
        /// JSON Schema of the headers.
        headers: Value,
        /// Status of the response that the message is.
        status_code: u16,
    }
}
