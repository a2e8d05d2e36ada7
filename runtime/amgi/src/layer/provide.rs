//! A value in the state.

use super::Layer;
use crate::{
    context::Context,
    contract::{Application, Settlement, State},
    error::StartupError,
};

/// Puts a value into the [state](Context::state) before startup, where handlers, layers and
/// [dependencies](crate::Dependency) find it by its type.
#[derive(Debug, Clone)]
pub struct Provide<T>(T);

impl<T: Clone + Send + Sync + 'static> Provide<T> {
    /// `value`, a clone of it for every startup.
    pub fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T: Clone + Send + Sync + 'static> Layer for Provide<T> {
    async fn startup<A: Application>(&self, state: &mut State, next: &A) -> Result<(), StartupError> {
        state.insert(self.0.clone());
        next.startup(state).await
    }

    fn message<A: Application>(&self, cx: &Context, next: &A) -> impl Future<Output = Settlement> + Send {
        next.message(cx)
    }

    fn batch<A: Application>(
        &self,
        contexts: &[Context],
        settlements: &mut Vec<Settlement>,
        next: &A,
    ) -> impl Future<Output = ()> + Send {
        next.batch(contexts, settlements)
    }
}
