//! Delivery on brokers that know no negative acknowledgement.

use tokio::time::sleep;
use tracing::{debug, warn};

use super::{Policies, deliver};
use crate::{context::Context, contract::Application};

/// [`deliver`](super::deliver), again and again with growing pauses until the broker may forget the message: for brokers that
/// know no nack. What comes behind it in the same order waits meanwhile.
///
/// False when the context's [`Stop`](super::Stop) was requested first: the message stays with the broker.
pub async fn insist<A: Application>(app: &A, cx: &Context, policies: &Policies) -> bool {
    deliver(app, cx, policies).await.is_acked() || insist_again(app, cx, policies).await
}

/// The rest of [`insist`], for a message that was delivered and is not settled.
pub async fn insist_again<A: Application>(app: &A, cx: &Context, policies: &Policies) -> bool {
    Box::pin(again(app, cx, policies)).await
}

#[cold]
async fn again<A: Application>(app: &A, cx: &Context, policies: &Policies) -> bool {
    let (stop, policy) = (cx.stop(), policies.base());
    let mut rounds = 0_u32;
    loop {
        if stop.is_requested() {
            debug!(address = cx.address(), "left with the broker");
            return false;
        }
        rounds = rounds.saturating_add(1);
        let pause = policy.backoff.pause(policy.attempts.saturating_add(rounds));
        warn!(
            address = cx.address(),
            ?pause,
            "message not settled; it blocks what comes behind it and is tried again"
        );
        tokio::select! {
            () = sleep(pause) => {}
            () = stop.requested() => return false,
        }
        if deliver(app, cx, policies).await.is_acked() {
            return true;
        }
    }
}
