//! The application of `specs/mirror.yaml` as a Python module: what its handlers have seen they send to `seen`.

use std::{
    env,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use amgi::{Context, Failure, send_all};
use serde_json::json;

amgi_gen_macro::asyncapi!("../../../specs/mirror.yaml");

use mirror::{
    Counted, CountedHandler, DeadLettered, DeadLetteredHandler, Failing, FailingHandler, Headers,
    HeadersHandler, HeadersHeaders, Object, ObjectHandler, Order, OrderChannel, OrderHandler, Refused,
    RefusedHandler, Relay, RelayHandler, Relayed, RelayedChannel, RelayedHeaders, Seen, Sender, Simple,
    SimpleHandler, Waiting, WaitingHandler,
};

mod python {
    use std::sync::Arc;

    use super::{Mirror, mirror};

    amgi_python::module!("mirror", || {
        let app = || {
            let stop = |mirror: Arc<Mirror>| async move { mirror.stop() };
            mirror::app_with(Mirror::start).on_shutdown(stop)
        };
        Ok(amgi_python::App::new(mirror::DOCUMENT, app))
    });
}

/// Tells what it has seen.
#[derive(Default)]
struct Mirror {
    counted: AtomicU64,
}

/// Waiting handlers that were given up before they were done.
static GIVEN_UP: AtomicU64 = AtomicU64::new(0);

struct GivenUp(bool);

impl Drop for GivenUp {
    fn drop(&mut self) {
        if !self.0 {
            GIVEN_UP.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Mirror {
    #[allow(clippy::unused_async)] // as a startup is
    async fn start() -> Result<Self, String> {
        match env::var("MIRROR_STARTUP_FAILS") {
            Ok(why) => Err(why),
            Err(_) => Ok(Self::default()),
        }
    }

    fn stop(&self) -> Result<(), String> {
        match env::var("MIRROR_SHUTDOWN_FAILS") {
            Ok(why) => Err(format!("{why} after {}", self.counted.load(Ordering::Relaxed))),
            Err(_) => Ok(()),
        }
    }
}

/// Sends what was seen.
async fn tell(cx: &Context, seen: &serde_json::Value) -> Result<(), Failure> {
    Ok(Sender::from(cx).send_seen(Seen { payload: seen.to_string() }).await?)
}

impl ObjectHandler for Mirror {
    type Error = Failure;

    async fn on_object(&self, message: Object, cx: &Context) -> Result<(), Failure> {
        let group = cx.message().bindings.get("sqs", "message_group_id").and_then(|group| group.as_str());
        let extensions: Vec<&str> = cx.extensions().iter().map(|(name, _)| name).collect();
        let key = message.bindings.kafka_key;
        tell(cx, &json!({"id": message.payload.id, "key": key, "group": group, "extensions": extensions}))
            .await
    }
}

impl SimpleHandler for Mirror {
    type Error = Failure;

    async fn on_simple(&self, message: Simple, cx: &Context) -> Result<(), Failure> {
        tell(cx, &json!(message.payload)).await
    }
}

impl HeadersHandler for Mirror {
    type Error = Failure;

    async fn on_headers(&self, Headers { headers }: Headers, cx: &Context) -> Result<(), Failure> {
        let HeadersHeaders { e_tag, id, idempotency_key, page, note } = headers;
        tell(cx, &json!([e_tag, id, idempotency_key, page, note])).await
    }
}

impl OrderHandler for Mirror {
    type Error = Failure;

    async fn on_order(&self, channel: OrderChannel, _: Order, cx: &Context) -> Result<(), Failure> {
        tell(cx, &json!(channel.user_id)).await
    }
}

impl RelayHandler for Mirror {
    type Error = Failure;

    async fn on_relay(&self, Relay { payload }: Relay, cx: &Context) -> Result<(), Failure> {
        let sender = Sender::from(cx);
        let channel = RelayedChannel { name: payload.name };
        let sends = (0..i64::try_from(payload.count)?).map(|number| {
            let message = Relayed { payload: number, headers: RelayedHeaders { id: number } };
            sender.send_relayed(&channel, message).key(number.to_string()).qos(1)
        });
        if payload.at_once {
            send_all(sends).await?;
        } else {
            for send in sends {
                send.await?;
            }
        }
        Ok(())
    }
}

impl RefusedHandler for Mirror {
    type Error = Failure;

    async fn on_refused(&self, _: Refused, cx: &Context) -> Result<(), Failure> {
        let channel = RelayedChannel { name: "refused".to_owned() };
        let message = Relayed { payload: 1, headers: RelayedHeaders { id: 1 } };
        match Sender::from(cx).send_relayed(&channel, message).await {
            Ok(()) => Ok(()),
            Err(error) => tell(cx, &json!([error.address, error.to_string()])).await,
        }
    }
}

impl FailingHandler for Mirror {
    type Error = Failure;

    async fn on_failing(&self, _: Failing, _: &Context) -> Result<(), Failure> {
        Err(Failure::msg("test"))
    }
}

impl DeadLetteredHandler for Mirror {
    type Error = Failure;

    async fn on_dead_lettered(&self, message: DeadLettered, _: &Context) -> Result<(), Failure> {
        Err(Failure::msg(format!("{} is not wanted", message.payload.id)).dead_letter())
    }
}

impl WaitingHandler for Mirror {
    type Error = Failure;

    async fn on_waiting(&self, message: Waiting, cx: &Context) -> Result<(), Failure> {
        let before = GIVEN_UP.load(Ordering::Relaxed);
        let mut given_up = GivenUp(false);
        tokio::time::sleep(Duration::from_secs_f64(message.payload.seconds)).await;
        given_up.0 = true;
        tell(cx, &json!(before)).await
    }
}

impl CountedHandler for Mirror {
    type Error = Failure;

    async fn on_counted(&self, message: Counted, cx: &Context) -> Result<(), Failure> {
        self.counted.fetch_add(1, Ordering::Relaxed);
        match message.payload.id {
            id if id % 10 == 0 => tell(cx, &json!(id)).await,
            _ => Ok(()),
        }
    }
}
