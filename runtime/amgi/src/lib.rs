#![doc = include_str!("../README.md")]

pub mod address;
mod batch;
pub mod bindings;
mod channels;
#[cfg(feature = "cli")]
pub mod cli;
pub mod client;
pub mod codec;
#[doc(hidden)]
pub mod codegen;
mod context;
pub mod contract;
mod dependency;
pub mod error;
pub mod guide;
pub mod idempotency;
pub mod layer;
pub mod lifespan;
pub mod memory;
mod number;
mod peek;
pub mod protocol;
pub mod reply;
mod route;
mod sender;
pub mod server;
pub mod servers;
mod stop;
pub mod testing;

pub use bytes::Bytes;
pub use bytestring::ByteString;

pub use crate::{
    batch::Batch,
    channels::ChannelMap,
    client::{Client, Replies, Request, RequestError},
    codegen::TypedMessage,
    context::Context,
    contract::{
        Application, BatchInfo, BindingInfo, BindingValue, Bindings, BreakerInfo, ChannelInfo, Document,
        ExampleInfo, Extensions, Headers, IdempotencyInfo, Message, MessageInfo, MessageSend, OperationInfo,
        PolicyInfo, ServerInfo, Settlement, State,
    },
    dependency::Dependency,
    error::{
        Disposition, Error, Failed, Failure, HandlerError, NotImplemented, Reason, Rejection, Result,
        SendError, StartupError, UnknownValue, Violation,
    },
    layer::{Layer, Layered},
    number::{NoNumber, Number},
    route::{Routed, SendRouter},
    sender::{NoSender, Outgoing, SendFuture, send_all},
    servers::Servers,
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
