//! Layers: what is done around every message, and around startup and shutdown.
//!
//! A layer wraps an application and is one itself, so that any number of them lie around each other without boxing:
//!
//! ```
//! # use amgi::{Application, ChannelInfo, Context, Settlement};
//! # struct App;
//! # impl Application for App {
//! #     fn channels(&self) -> &[ChannelInfo] { &[] }
//! #     async fn message(&self, _: &Context) -> Settlement { Settlement::Ack }
//! # }
//! use std::time::{Duration, Instant};
//! use amgi::layer::{Layer, Timeout};
//!
//! struct Timing;
//!
//! impl Layer for Timing {
//!     async fn message<A: Application>(&self, cx: &Context, next: &A) -> Settlement {
//!         let begun = Instant::now();
//!         let settlement = next.message(cx).await;
//!         println!("{}: {:?}", cx.address(), begun.elapsed());
//!         settlement
//!     }
//! }
//!
//! let app = App.layer(Timeout::new(Duration::from_secs(5))).layer(Timing);
//! ```
//!
//! The last one is the outer one: here a message passes `Timing`, then `Timeout`, then the application, and its settlement
//! goes back the other way.
//!
//! Around all layers lies what every server does (see the module `server`): panics are caught, messages that failed are tried
//! again or dead-lettered as the document and the server's policy say.
//! The layers here do the same in a place of your choice, such as [for one operation](Only):
//!
//! | layer | |
//! |---|---|
//! | [`CatchPanic`] | a panic is a failure like any other |
//! | [`CircuitBreaker`] | after some failures in a row nothing is handled for a while |
//! | [`DeadLetter`] | messages that are given up are sent to another address |
//! | [`Idempotent`] | messages with the same key are handled once |
//! | [`Only`] | a layer for the messages of one operation |
//! | [`Provide`] | a value in the state |
//! | [`Retry`] | a message that failed is tried again, with growing pauses |
//! | [`Timeout`] | how long a message may take |
//! | [`Trace`] | lines that are logged meanwhile say the message's operation, channel and address |
//! | `Tower` | any layer of `tower` (feature `tower`) |

mod attempt;
mod breaker;
mod dead_letter;
mod idempotent;
mod only;
mod provide;
mod retry;
mod timeout;
#[cfg(feature = "tower")]
mod tower;
mod trace;

use std::future::Future;

#[cfg(feature = "tower")]
pub use self::tower::{Next, Tower};
pub use self::{
    attempt::CatchPanic,
    breaker::CircuitBreaker,
    dead_letter::DeadLetter,
    idempotent::Idempotent,
    only::Only,
    provide::Provide,
    retry::{Backoff, Retry},
    timeout::Timeout,
    trace::Trace,
};
pub(crate) use self::{
    attempt::{all, attempt, caught, finished},
    breaker::{Breaker, stopped},
    dead_letter::send_dead_letter,
    idempotent::{Begun, Guard},
    timeout::within,
};
use crate::{
    context::Context,
    contract::{Application, ChannelInfo, ServerInfo, Settlement, State},
    error::StartupError,
};

#[diagnostic::on_unimplemented(
    message = "`{Self}` is no layer",
    note = "implement `amgi::Layer` for it: `async fn message<A: Application>(&self, cx: &Context, next: &A) -> Settlement`",
    note = "a layer of `tower` goes around an application by `Application::tower_layer`"
)]
/// Something done around every message of an application; see the [module](self).
pub trait Layer: Send + Sync + 'static {
    /// Around startup.
    fn startup<A: Application>(
        &self,
        state: &mut State,
        next: &A,
    ) -> impl Future<Output = Result<(), StartupError>> + Send {
        next.startup(state)
    }

    /// Around a message. `next.message(cx)` may be called any number of times.
    fn message<A: Application>(&self, cx: &Context, next: &A) -> impl Future<Output = Settlement> + Send;

    /// Around a batch. A layer that says nothing about batches sees its messages one by one, and the handler gets batches of
    /// one; one that wants them whole calls `next.batch(contexts, settlements)`, which adds to `settlements`, empty so far,
    /// how each message ended.
    fn batch<A: Application>(
        &self,
        contexts: &[Context],
        settlements: &mut Vec<Settlement>,
        next: &A,
    ) -> impl Future<Output = ()> + Send {
        async move {
            for cx in contexts {
                settlements.push(self.message(cx, next).await);
            }
        }
    }

    /// Around shutdown.
    fn shutdown<A: Application>(&self, next: &A) -> impl Future<Output = Result<(), StartupError>> + Send {
        next.shutdown()
    }
}

/// An application inside a layer, see [`Application::layer`].
#[derive(Debug, Clone)]
pub struct Layered<L, A> {
    layer: L,
    app: A,
}

impl<L, A> Layered<L, A> {
    /// `app` inside `layer`.
    pub fn new(layer: L, app: A) -> Self {
        Self { layer, app }
    }

    /// What is inside.
    pub fn inner(&self) -> &A {
        &self.app
    }
}

impl<L: Layer, A: Application> Layered<L, A> {
    /// This inside another layer, like [`Application::layer`] for those who have not imported the trait.
    pub fn layer<M: Layer>(self, layer: M) -> Layered<M, Self> {
        Layered::new(layer, self)
    }
}

impl<L: Layer, A: Application> Application for Layered<L, A> {
    fn channels(&self) -> &[ChannelInfo] {
        self.app.channels()
    }

    fn servers(&self) -> &[ServerInfo] {
        self.app.servers()
    }

    fn startup(&self, state: &mut State) -> impl Future<Output = Result<(), StartupError>> + Send {
        self.layer.startup(state, &self.app)
    }

    fn message(&self, cx: &Context) -> impl Future<Output = Settlement> + Send {
        self.layer.message(cx, &self.app)
    }

    fn batch(
        &self,
        contexts: &[Context],
        settlements: &mut Vec<Settlement>,
    ) -> impl Future<Output = ()> + Send {
        self.layer.batch(contexts, settlements, &self.app)
    }

    fn shutdown(&self) -> impl Future<Output = Result<(), StartupError>> + Send {
        self.layer.shutdown(&self.app)
    }
}
