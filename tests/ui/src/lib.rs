//! The module of `specs/user.yaml`, for the cases of the compile-fail tests: the expectation of the golden tests, so that
//! nothing but the runtime has to be built for them.

/// Generated from `user.yaml`.
#[rustfmt::skip]
#[path = "../../golden/expected/user.rs"]
pub mod user;
