//! Putting messages aside.

use bytestring::ByteString;
use tracing::warn;

use super::Layer;
use crate::{
    context::Context,
    contract::{Application, Settlement},
    error::{Disposition, Failed, Reason, SendError},
};

/// Sends messages that failed with [`DeadLetter`](Disposition::DeadLetter) to an address, and acknowledges them: what a server
/// does with them, but to an address of its own. If that fails the message has failed and is tried again.
///
/// The dead letter is the message as it came, with these headers more:
///
/// | header | |
/// |---|---|
/// | `amgi-dead-letter-address` | where it came from |
/// | `amgi-dead-letter-kind` | what went wrong: `rejected`, `failed`, `panicked`, `timed-out`, `no-channel`, `not-implemented` |
/// | `amgi-dead-letter-reason` | why, in words |
/// | `amgi-dead-letter-attempts` | how often it was tried |
#[derive(Debug, Clone)]
pub struct DeadLetter(ByteString);

impl DeadLetter {
    /// Dead letters go to `address`.
    pub fn to(address: impl Into<ByteString>) -> Self {
        Self(address.into())
    }
}

impl Layer for DeadLetter {
    async fn message<A: Application>(&self, cx: &Context, next: &A) -> Settlement {
        match next.message(cx).await {
            Settlement::Fail { disposition: Disposition::DeadLetter, reason } => {
                match send_dead_letter(cx, self.0.clone(), cx.attempt(), &reason).await {
                    Ok(()) => Settlement::Ack,
                    Err(error) => Failed::new(&error).into(),
                }
            }
            settlement => settlement,
        }
    }
}

/// Sends the message of `cx` to `address` with what, why, from where and how often.
pub(crate) async fn send_dead_letter(
    cx: &Context,
    address: ByteString,
    attempts: u32,
    reason: &Reason,
) -> Result<(), SendError> {
    let original = cx.message();
    let mut message = original.clone();
    message.address = address;
    message.headers.push("amgi-dead-letter-address", original.address.to_string());
    message.headers.push("amgi-dead-letter-kind", reason.kind());
    message.headers.push("amgi-dead-letter-reason", reason.to_string());
    message.headers.push("amgi-dead-letter-attempts", attempts.to_string());
    warn!(address = cx.address(), to = %message.address, attempts, %reason, "message dead-lettered");
    cx.send(message).await
}
