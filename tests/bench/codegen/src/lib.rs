//! What the benchmarks of generated code share: a message, the ways to read it, and packages to compile.

pub mod hand;
pub mod package;
pub mod purchase;
pub mod typify;
