#![doc = include_str!("../README.md")]

pub mod address;
pub mod bindings;
pub mod codec;
#[doc(hidden)]
pub mod codegen;
mod context;
pub mod contract;
pub mod error;
pub mod lifespan;
pub mod memory;
mod number;
mod peek;
pub mod reply;
mod sender;
pub mod server;
pub mod testing;

pub use bytes::Bytes;
pub use bytestring::ByteString;

pub use crate::{
    codegen::TypedMessage,
    context::Context,
    contract::{
        Application, BindingInfo, BindingValue, Bindings, ChannelInfo, ExampleInfo, Extensions, Headers,
        Message, MessageInfo, MessageSend, OperationInfo, ServerInfo, Settlement, State,
    },
    error::{
        Disposition, Error, Failure, HandlerError, NotImplemented, Reason, Rejection, Result, SendError,
        StartupError, UnknownValue, Violation,
    },
    number::{NoNumber, Number},
    sender::{NoSender, Outgoing, SendFuture},
};

/// Includes what `amgi_gen::Builder` wrote in `build.rs` for the document of that name, as a public module.
///
/// ```text
/// amgi::include_api!("user"); // makes `pub mod user`
/// ```
///
/// A second argument gives the module another name: `amgi::include_api!("user", as users)`.
#[macro_export]
macro_rules! include_api {
    ($name:literal) => {
        ::core::include!(::core::concat!(::core::env!("OUT_DIR"), "/", $name, ".mod.rs"));
    };
    ($name:literal, as $module:ident) => {
        #[doc = ::core::concat!("Generated from the document `", $name, "`.")]
        #[allow(dead_code, unreachable_pub)]
        pub mod $module {
            ::core::include!(::core::concat!(::core::env!("OUT_DIR"), "/", $name, ".rs"));
        }
    };
}
