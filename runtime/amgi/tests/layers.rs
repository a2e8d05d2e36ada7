//! The layers, each around an application that does what its test says.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use amgi::{
    Application, ChannelInfo, Context, Disposition, Message, Reason, Settlement,
    idempotency::{Claim, MemoryStore, Store, StoreFuture},
    layer::{CatchPanic, CircuitBreaker, DeadLetter, Idempotent, Layer, Retry, Timeout},
    server::Backoff,
    testing::TestApp,
};
use tokio::time::Instant;

/// Settles by the number of the attempt, which counts from one.
struct Scripted<F>(F, AtomicU32);

impl<F: Fn(u32) -> Settlement + Send + Sync + 'static> Application for Scripted<F> {
    fn channels(&self) -> &[ChannelInfo] {
        &[]
    }

    async fn message(&self, cx: &Context) -> Settlement {
        let attempt = self.1.fetch_add(1, Relaxed) + 1;
        if cx.message().headers.get("slow").is_some() {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        (self.0)(attempt)
    }
}

fn scripted<F: Fn(u32) -> Settlement + Send + Sync + 'static>(script: F) -> Scripted<F> {
    Scripted(script, AtomicU32::new(0))
}

fn fail(disposition: Disposition) -> Settlement {
    Settlement::Fail { disposition, reason: Reason::Failed("no luck".to_owned()) }
}

fn message() -> Message {
    Message::new("user.created").payload("{}")
}

#[tokio::test(start_paused = true)]
async fn retry_tries_again_and_gives_up() {
    let backoff = Backoff { first: Duration::from_secs(1), most: Duration::from_secs(3), jitter: false };
    let app = scripted(|attempt| if attempt < 5 { fail(Disposition::Retry) } else { Settlement::Ack });
    let app = TestApp::start(app.layer(Retry::new(4).backoff(backoff))).await.unwrap();
    let begun = Instant::now();
    app.deliver(message()).await.assert_nacked("no luck").assert_disposition(Disposition::DeadLetter);
    assert_eq!(begun.elapsed().as_secs(), 1 + 2 + 3);
    app.deliver(message()).await.assert_acked();

    let app = scripted(|_| fail(Disposition::RetryAfter(Duration::from_secs(9))));
    let app = TestApp::start(app.layer(Retry::new(2).then(Disposition::Retry))).await.unwrap();
    let begun = Instant::now();
    app.deliver(message()).await.assert_disposition(Disposition::Retry);
    assert_eq!(begun.elapsed().as_secs(), 9);

    // What asks for something else gets it at once.
    let app = scripted(|_| fail(Disposition::Discard));
    let app = TestApp::start(app.layer(Retry::new(9))).await.unwrap();
    app.deliver(message()).await.assert_disposition(Disposition::Discard);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_knows_its_number() {
    struct Numbers(Arc<Mutex<Vec<u32>>>);
    impl Layer for Numbers {
        async fn message<A: Application>(&self, cx: &Context, next: &A) -> Settlement {
            self.0.lock().unwrap().push(cx.attempt());
            next.message(cx).await
        }
    }
    let numbers = Arc::<Mutex<Vec<u32>>>::default();
    let app = scripted(|_| fail(Disposition::Retry)).layer(Numbers(numbers.clone())).layer(Retry::new(3));
    let app = TestApp::start(app).await.unwrap();
    app.deliver(message()).await;
    app.deliver(message()).await;
    assert_eq!(*numbers.lock().unwrap(), [1, 2, 3, 1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn timeouts_and_panics_are_failures() {
    let app = scripted(|_| Settlement::Ack).layer(Timeout::new(Duration::from_secs(5)));
    let app = TestApp::start(app).await.unwrap();
    app.deliver(message().header("slow", "")).await.assert_nacked("handler took longer than 5s");
    app.deliver(message()).await.assert_acked();

    let app = scripted(|attempt| if attempt == 1 { panic!("oh") } else { Settlement::Ack });
    let app = TestApp::start(app.layer(CatchPanic).layer(Retry::new(2))).await.unwrap();
    app.deliver(message()).await.assert_acked();
}

#[tokio::test]
async fn dead_letters_go_where_they_are_told() {
    let app =
        scripted(|attempt| fail(if attempt == 2 { Disposition::Retry } else { Disposition::DeadLetter }));
    let app = TestApp::start(app.layer(DeadLetter::to("morgue"))).await.unwrap();
    let delivered = app.deliver(message().header("h", "v")).await;
    delivered.assert_acked().assert_sends(["morgue"]);
    let letter = &delivered.sends[0];
    for (name, value) in [
        ("h", "v"),
        ("amgi-dead-letter-address", "user.created"),
        ("amgi-dead-letter-kind", "failed"),
        ("amgi-dead-letter-reason", "no luck"),
        ("amgi-dead-letter-attempts", "1"),
    ] {
        assert_eq!(letter.headers.get(name), Some(value.as_bytes()), "{name}");
    }
    app.deliver(message()).await.assert_disposition(Disposition::Retry).assert_no_sends();
    app.fail_sends(Some("broken"));
    app.deliver(message()).await.assert_nacked("broken").assert_disposition(Disposition::Retry);
}

fn key(message: &Message) -> Option<String> {
    Some(String::from_utf8(message.headers.get("id")?.to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_key_is_handled_once() {
    let store = Arc::new(MemoryStore::new(2));
    let app = scripted(|attempt| if attempt == 1 { fail(Disposition::Retry) } else { Settlement::Ack });
    let app = app.layer(Idempotent::new(store.clone(), key).remember(Duration::from_secs(60)));
    let app = TestApp::start(app).await.unwrap();
    let deliver = |id: &'static str| app.deliver(message().header("id", id));
    // A failure gives the key back.
    deliver("a").await.assert_nacked("no luck");
    deliver("a").await.assert_acked();
    deliver("a").await.assert_acked();
    assert_eq!(app.app().inner().1.load(Relaxed), 2);
    // It is forgotten after a while, or when there are newer ones.
    tokio::time::advance(Duration::from_secs(61)).await;
    for id in ["a", "b", "c", "b", "a"] {
        deliver(id).await.assert_acked();
    }
    assert_eq!(app.app().inner().1.load(Relaxed), 6);
    // Without a key nothing is remembered.
    app.deliver(message()).await.assert_acked();
    app.deliver(message()).await.assert_acked();
    assert_eq!(app.app().inner().1.load(Relaxed), 8);
    // While somebody else is at it, it has to wait; a claim that is never ended ends.
    let Ok(Claim::New(_)) = store.begin("d", Duration::from_secs(5)).await else { panic!("not new") };
    deliver("d").await.assert_nacked("another message with the key `d` is being handled");
    tokio::time::advance(Duration::from_secs(6)).await;
    deliver("d").await.assert_acked();
}

#[tokio::test]
async fn a_store_that_fails_keeps_the_message_away() {
    struct Broken;
    impl Store for Broken {
        fn begin<'a>(&'a self, _: &'a str, _: Duration) -> StoreFuture<'a, Claim> {
            Box::pin(async { Err("no store".into()) })
        }
        fn complete<'a>(&'a self, _: &'a str, _: u64, _: Duration) -> StoreFuture<'a, ()> {
            Box::pin(async { Err("no store".into()) })
        }
        fn release<'a>(&'a self, _: &'a str, _: u64) -> StoreFuture<'a, ()> {
            Box::pin(async { Err("no store".into()) })
        }
    }
    let app = scripted(|_| Settlement::Ack).layer(Idempotent::new(Arc::new(Broken), key));
    let app = TestApp::start(app).await.unwrap();
    app.deliver(message().header("id", "1"))
        .await
        .assert_nacked("no store")
        .assert_disposition(Disposition::Retry);
    assert_eq!(app.app().inner().1.load(Relaxed), 0);
}

#[tokio::test(start_paused = true)]
async fn a_circuit_breaker_opens_and_closes() {
    let app = scripted(|attempt| match attempt {
        // A message's own fault says nothing about others.
        2 => fail(Disposition::DeadLetter),
        3..=6 => fail(Disposition::Retry),
        _ => Settlement::Ack,
    });
    let app = TestApp::start(app.layer(CircuitBreaker::new(3, Duration::from_secs(10)))).await.unwrap();
    for _ in 0..2 {
        app.deliver(message()).await;
    }
    let begun = Instant::now();
    for _ in 0..3 {
        app.deliver(message()).await.assert_nacked("no luck");
    }
    assert_eq!(begun.elapsed().as_secs(), 0);
    // Open: the trial fails, the next one does not.
    app.deliver(message()).await.assert_nacked("no luck");
    assert_eq!(begun.elapsed().as_secs(), 10);
    // While one is tried the others wait.
    let (first, second) = tokio::join!(app.deliver(message().header("slow", "")), app.deliver(message()));
    first.assert_acked();
    second.assert_acked();
    assert_eq!(begun.elapsed().as_secs(), 20 + 60);
}
