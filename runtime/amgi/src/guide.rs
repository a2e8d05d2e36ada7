//! The guide: from the first service to one that is watched, in the order in which one needs it.
//!
//! Every example compiles, and most run, with the tests of this crate. Those that speak of a document take it from the folder
//! `guide/` of this crate; yours lies where your package has it.
//!
//! | page | |
//! |---|---|
//! | [`first_service`] | a document, a handler, a run |
//! | [`messages`] | payloads, headers, parameters, bindings, and what is checked of them |
//! | [`failures`] | what becomes of a message that could not be handled: retries, dead letters, time limits, idempotency, circuit breakers, batches |
//! | [`values`] | what a message comes with and what lives longer: dependencies, state, startup and shutdown |
//! | [`sending`] | sends, requests that wait for their reply, clients outside of handlers |
//! | [`layers`] | what is done around every message, by layers of our own and of `tower` |
//! | [`mod@testing`] | tests without a broker |
//! | [`brokers`] | one broker, another broker, several at once |
//! | [`observability`] | logs, traces, metrics, health |
//! | [`embedding`] | a crate, a build script, a macro |
//! | [`asyncfast`] | for those who come from AsyncFast: its documentation page by page |

#[doc = include_str!("../guide/first_service.md")]
pub mod first_service {}

#[doc = include_str!("../guide/messages.md")]
pub mod messages {}

#[doc = include_str!("../guide/failures.md")]
pub mod failures {}

#[doc = include_str!("../guide/values.md")]
pub mod values {}

#[doc = include_str!("../guide/sending.md")]
pub mod sending {}

#[doc = include_str!("../guide/layers.md")]
pub mod layers {}

#[doc = include_str!("../guide/testing.md")]
pub mod testing {}

#[doc = include_str!("../guide/brokers.md")]
pub mod brokers {}

#[doc = include_str!("../guide/observability.md")]
pub mod observability {}

#[doc = include_str!("../guide/embedding.md")]
pub mod embedding {}

#[doc = include_str!("../guide/asyncfast.md")]
pub mod asyncfast {}
