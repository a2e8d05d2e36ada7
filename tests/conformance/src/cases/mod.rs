//! The cases, one function each. `table.rs` lists them.
//!
//! What must stay true: a case whose ability is missing checks what the server does instead, wherever something can be seen;
//! and every case fails on some server that breaks its promise (`tests/suite/wrong.rs`).

pub(crate) mod broker;
pub(crate) mod failures;
pub(crate) mod flow;
pub(crate) mod lifespan;
pub(crate) mod scope;
pub(crate) mod sending;
pub(crate) mod settling;
