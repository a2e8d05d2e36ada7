//! The suite itself: a server that keeps every promise passes it, and every case fails on one that breaks its promise.

mod model;
mod whole;
mod wrong;
