#![doc = include_str!("../README.md")]

mod cases;
mod probe;
mod report;
mod stage;
mod subject;
mod table;

pub use crate::{
    report::{Report, Verdict, check, reasons, run, table, test},
    stage::Broken,
    subject::{Abilities, Ability, Order, Ready, Run, Subject, Watch},
    table::{CASES, Case},
};

/// Makes a test of every case: the argument is an expression that makes a [`Subject`], and may `.await`. Each case gets one
/// of its own.
///
/// ```
/// # use amgi_conformance::{Run, Subject, Watch};
/// # struct Mine;
/// # impl Subject for Mine {
/// #     fn name(&self) -> &'static str { "mine" }
/// #     async fn serve<A: amgi::Application>(&self, _: A, _: Run) -> amgi::Result<()> { Ok(()) }
/// #     async fn publish(&self, _: &[amgi::Message]) {}
/// #     async fn watch(&self, _: &str) -> Watch { Watch::new(tokio::sync::mpsc::unbounded_channel().1, ()) }
/// # }
/// mod mine {
///     # use super::Mine;
///     amgi_conformance::suite!(Mine);
/// }
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! suite {
    ($subject:expr) => {
        $crate::__cases!(__tests!($subject));
    };
}
