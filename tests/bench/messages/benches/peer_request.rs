//! The peer, a request and its answer: both sides in one process.

#![allow(missing_docs)] // what the macros write

use std::{hint::black_box, time::Duration};

use amgi_bench_harness::{MESSAGES, config, region, runtime};
use amgi_bench_peer::{ADDRESS, Order};
use gungraun::prelude::*;
use ruststream::{
    OutgoingMessage,
    memory::{MemoryRequester, prelude::*},
    runtime::{Outgoing as Sending, PublishContext},
};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

/// How long a client waits; no answer takes that long.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, Serialize, Deserialize, Outgoing)]
struct Confirmation {
    id: u64,
}

/// Sends an answer where the request wants it.
struct ToSender;

impl<C, O> PublishTransform<ForReply<C>, O> for ToSender {
    type Destination = Names;

    fn apply(&self, answer: &mut Sending<'_>, _options: &mut Option<O>, cx: &PublishContext<'_, C>) {
        let address = cx.headers().get_shared("reply-to").and_then(|address| Str::try_from(address).ok());
        answer.set_name(address.expect("the request says where"));
    }
}

#[subscriber("orders", reply("confirmations"))]
async fn confirm_order(order: &Order) -> Confirmation {
    let (id, _) = black_box((order.id, order.quantity));
    Confirmation { id }
}

/// A service, who asks it, and how often.
struct Setup {
    runtime: Runtime,
    start: amgi_bench_peer::Start,
    client: MemoryRequester,
    count: usize,
}

fn setup(count: usize) -> Setup {
    let broker = MemoryBroker::new();
    let client = broker.requester();
    let service = RustStream::new(AppInfo::new("bench", "1.0.0")).with_broker(broker, |scope| {
        scope.include(confirm_order).out_reply(Publish).transform(ToSender);
    });
    Setup { runtime: runtime(), start: Box::pin(service.start()), client, count }
}

/// What a client does: it writes the request, sends it, waits, and reads the answer.
async fn ask(client: &MemoryRequester, order: &Order) -> Confirmation {
    let payload = serde_json::to_vec(order).expect("an order is JSON");
    let request = OutgoingMessage::new(ADDRESS, payload.as_slice());
    let answer = client.request(request, PATIENCE).await.expect("an answer");
    serde_json::from_slice(answer.payload()).expect("the answer is a confirmation")
}

#[library_benchmark(config = config())]
#[bench::first(setup(1))]
#[bench::base(setup(MESSAGES))]
#[bench::twice(setup(2 * MESSAGES))]
fn service(setup: Setup) {
    let Setup { runtime, start, client, count } = setup;
    let service = region(|| runtime.block_on(start)).expect("the service starts");
    region(|| {
        runtime.block_on(async {
            for _ in 0..count {
                let answer = ask(&client, black_box(&Order { id: 1_000_000, quantity: 37 })).await;
                assert_eq!(black_box(answer.id), 1_000_000);
            }
        });
    });
    drop(service);
}

library_benchmark_group!(name = peer_request, benchmarks = [service]);
main!(library_benchmark_groups = peer_request);
