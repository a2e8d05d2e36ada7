//! NATS.

use super::objects;

objects! {
    /// On an operation.
    Operation {
        /// Queue group: of its members one gets a message.
        queue: String,
    }
}
