#![doc = include_str!("../README.md")]

pub mod diag;
pub mod model;
pub mod node;
pub mod source;
