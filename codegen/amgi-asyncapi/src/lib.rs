#![doc = include_str!("../README.md")]

pub mod codes;
pub mod diag;
mod keyword;
pub mod source;

pub mod model;
pub mod node;
pub mod remote;

mod ids;

mod files;

pub mod bindings;

mod refs;
mod schema;

mod bundle;

pub mod overlay;

mod reader;

mod v2;
mod v3;

mod validate;

mod load;

pub use load::{Loaded, Options, load, load_str, load_with};
