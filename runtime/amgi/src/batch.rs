//! Messages that are handled together.

use std::sync::{Mutex, PoisonError};

use crate::{
    context::Context,
    contract::Settlement,
    error::{Disposition, Failed, HandlerError, Reason, Rejection},
};

/// The messages of a batch beside their content: what each came with, and how each is settled.
///
/// Indexes are those of the messages that the handler was given. When the handler returns `Ok`, all are acknowledged
/// but those of which it said that they [failed](Self::fail); when it returns an error, all fail with it but those.
#[derive(Debug)]
pub struct Batch<'a> {
    contexts: &'a [Context],
    /// For every message that the handler was given, where its context is; empty when that is all of them.
    given: Vec<usize>,
    rejected: Vec<(usize, Rejection)>,
    failed: Mutex<Vec<(usize, Failed)>>,
}

impl<'a> Batch<'a> {
    /// Reads messages; those that do not fit are rejected by themselves, and the handler is not given them.
    pub(crate) fn read<M>(
        contexts: &'a [Context],
        mut read: impl FnMut(&Context) -> Result<M, Rejection>,
    ) -> (Vec<M>, Self) {
        let mut messages = Vec::with_capacity(contexts.len());
        let mut batch = Self { contexts, given: Vec::new(), rejected: Vec::new(), failed: Mutex::default() };
        for (index, cx) in contexts.iter().enumerate() {
            match read(cx) {
                Ok(message) => {
                    if !batch.rejected.is_empty() {
                        batch.given.push(index);
                    }
                    messages.push(message);
                }
                Err(rejection) => {
                    if batch.rejected.is_empty() {
                        batch.given.extend(0..index);
                    }
                    batch.rejected.push((index, rejection));
                }
            }
        }
        (messages, batch)
    }

    /// How many messages the handler was given.
    pub fn len(&self) -> usize {
        self.contexts.len() - self.rejected.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What message number `index` came with, and its way to send.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn context(&self, index: usize) -> &'a Context {
        &self.contexts[self.place(index)]
    }

    /// What the messages came with, in their order.
    pub fn contexts(&self) -> impl Iterator<Item = &'a Context> + '_ {
        (0..self.len()).map(|index| self.context(index))
    }

    /// Lets message number `index` fail by itself, whatever becomes of the others. Said again, the first time counts.
    #[allow(clippy::needless_pass_by_value)] // an error is given away, as everywhere
    pub fn fail(&self, index: usize, error: impl HandlerError) {
        let failed = (self.place(index), Failed::new(&error));
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).push(failed);
    }

    fn place(&self, index: usize) -> usize {
        if self.rejected.is_empty() { index } else { self.given[index] }
    }

    /// A settlement for every context.
    pub(crate) fn settle<E: HandlerError>(self, result: Result<(), E>, settlements: &mut Vec<Settlement>) {
        let all = result.map_or_else(|error| Failed::new(&error).into(), |()| Settlement::Ack);
        settlements.resize(self.contexts.len(), all);
        let failed = self.failed.into_inner().unwrap_or_else(PoisonError::into_inner);
        for (place, failed) in failed.into_iter().rev() {
            if let Some(settlement) = settlements.get_mut(place) {
                *settlement = failed.into();
            }
        }
        for (place, rejection) in self.rejected {
            settlements[place] = Settlement::Fail {
                disposition: Disposition::DeadLetter,
                reason: Reason::Rejected(rejection),
            };
        }
    }
}
