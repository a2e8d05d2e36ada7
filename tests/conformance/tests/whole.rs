//! The suite is passed by a server that keeps every promise.

#[allow(dead_code, reason = "what is wrong is the other test's")]
mod model;

amgi_conformance::suite!(model::Model::default());
