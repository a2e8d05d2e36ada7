//! The contract as servers and applications see it: settlement, retries, dead letters, lifespan, panics.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use amgi::{
    Application, ChannelInfo, Context, Disposition, Error, Failure, HandlerError, Message, MessageSend,
    Reason, SendError, SendFuture, Settlement, StartupError, State,
    memory::{Event, Queue, Server},
    server::{self, Backoff, Exhausted, Outcome, Policies, Policy, Stop},
    testing::TestApp,
};

/// An application that does with each message what its test says.
struct Scripted<F>(F, AtomicU32);

impl<F: Fn(u32) -> Settlement + Send + Sync + 'static> Application for Scripted<F> {
    fn channels(&self) -> &[ChannelInfo] {
        &[]
    }

    async fn message(&self, _: &Context) -> Settlement {
        (self.0)(self.1.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

fn scripted<F: Fn(u32) -> Settlement + Send + Sync + 'static>(script: F) -> Scripted<F> {
    Scripted(script, AtomicU32::new(0))
}

#[derive(Default)]
struct Sent(Mutex<Vec<Message>>, bool);

impl MessageSend for Sent {
    fn send(&self, message: Message) -> SendFuture<'_> {
        if self.1 {
            return SendFuture::ready(Err(SendError::new(message.address.to_string(), "broken")));
        }
        SendFuture::pending(async move {
            tokio::task::yield_now().await;
            self.0.lock().unwrap().push(message);
            Ok(())
        })
    }
}

fn fail(disposition: Disposition) -> Settlement {
    Settlement::Fail { disposition, reason: Reason::Failed("no luck".to_owned()) }
}

fn context(sender: &Arc<Sent>) -> Context {
    let message = Message::new("user.created").header("h", "v").payload("{}");
    Context::new(message, State::default(), sender.clone())
}

async fn deliver<A: Application>(app: &A, cx: &Context, policy: &Policy, stop: &Stop) -> Outcome {
    server::deliver(app, &cx.clone().with_stop(stop), &Policies::new(app.channels(), policy.clone())).await
}

fn policy(attempts: u32, exhausted: Exhausted) -> Policy {
    Policy {
        attempts,
        exhausted,
        backoff: Backoff { jitter: false, ..Backoff::default() },
        ..Policy::default()
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_tried_again_with_growing_pauses() {
    let app = scripted(|attempt| if attempt < 4 { fail(Disposition::Retry) } else { Settlement::Ack });
    let started = tokio::time::Instant::now();
    let outcome = deliver(&app, &context(&Arc::default()), &policy(5, Exhausted::Nack), &Stop::new()).await;
    assert_eq!(outcome, Outcome::Acked);
    assert_eq!(started.elapsed().as_millis() / 10 * 10, 100 + 200 + 400);
}

#[tokio::test(start_paused = true)]
async fn retry_after_says_how_long() {
    let app = scripted(|attempt| match attempt {
        1 => fail(Disposition::RetryAfter(Duration::from_secs(7))),
        _ => Settlement::Ack,
    });
    let started = tokio::time::Instant::now();
    let outcome = deliver(&app, &context(&Arc::default()), &policy(2, Exhausted::Nack), &Stop::new()).await;
    assert_eq!(outcome, Outcome::Acked);
    assert_eq!(started.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn what_is_used_up_is_nacked_or_dead_lettered() {
    let sent = Arc::new(Sent::default());
    let app = scripted(|_| fail(Disposition::Retry));
    let outcome = deliver(&app, &context(&sent), &policy(3, Exhausted::Nack), &Stop::new()).await;
    assert!(matches!(outcome, Outcome::Nacked { disposition: Disposition::Retry, .. }), "{outcome:?}");
    assert_eq!(app.1.load(Ordering::Relaxed), 3);

    let outcome = deliver(&app, &context(&sent), &policy(3, Exhausted::DeadLetter), &Stop::new()).await;
    assert!(matches!(outcome, Outcome::DeadLettered(_)), "{outcome:?}");
    let sent = sent.0.lock().unwrap();
    assert_eq!(sent[0].address, "user.created.dlq");
    assert_eq!(sent[0].headers.get("h"), Some(&b"v"[..]));
    assert_eq!(sent[0].headers.get("amgi-dead-letter-reason"), Some(&b"no luck"[..]));
    assert_eq!(sent[0].headers.get("amgi-dead-letter-attempts"), Some(&b"3"[..]));
    assert_eq!(sent[0].headers.get("amgi-dead-letter-address"), Some(&b"user.created"[..]));
}

#[tokio::test]
async fn a_dead_letter_that_cannot_be_sent_stays_with_the_broker() {
    let sent = Arc::new(Sent(Mutex::default(), true));
    let app = scripted(|_| fail(Disposition::DeadLetter));
    let outcome = deliver(&app, &context(&sent), &Policy::default(), &Stop::new()).await;
    assert!(matches!(outcome, Outcome::Nacked { disposition: Disposition::DeadLetter, .. }), "{outcome:?}");
}

#[tokio::test]
async fn discard_is_acknowledged_and_silence_is_not() {
    let outcome = deliver(
        &scripted(|_| fail(Disposition::Discard)),
        &context(&Arc::default()),
        &Policy::default(),
        &Stop::new(),
    )
    .await;
    assert!(matches!(outcome, Outcome::Discarded(_)) && outcome.is_acked());
    let silent = scripted(|_| Settlement::Unsettled);
    let outcome = deliver(&silent, &context(&Arc::default()), &Policy::default(), &Stop::new()).await;
    assert!(outcome == Outcome::Unsettled && !outcome.is_acked());
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_like_any_other() {
    let app = scripted(|attempt| if attempt == 1 { panic!("oh") } else { Settlement::Ack });
    let outcome = deliver(&app, &context(&Arc::default()), &Policy::default(), &Stop::new()).await;
    assert_eq!(outcome, Outcome::Acked);
    let app = scripted(|_| panic!("oh"));
    let outcome = deliver(&app, &context(&Arc::default()), &policy(1, Exhausted::Nack), &Stop::new()).await;
    let Outcome::Nacked { reason: Reason::Panicked(text), .. } = outcome else { panic!("{outcome:?}") };
    assert_eq!(text, "oh");
}

#[tokio::test]
async fn a_stop_ends_the_waiting_between_attempts() {
    let stop = Stop::new();
    let app = scripted(|_| fail(Disposition::RetryAfter(Duration::from_secs(3600))));
    let cx = context(&Arc::default());
    let policy = Policy { backoff: Backoff::default(), ..policy(9, Exhausted::DeadLetter) };
    let (outcome, ()) = tokio::join!(deliver(&app, &cx, &policy, &stop), async { stop.request() });
    assert!(matches!(outcome, Outcome::Nacked { .. }), "{outcome:?}");
}

struct Life;

impl Application for Life {
    fn channels(&self) -> &[ChannelInfo] {
        &[]
    }

    async fn startup(&self, state: &mut State) -> Result<(), StartupError> {
        state.insert(41_u32);
        Ok(())
    }

    async fn message(&self, cx: &Context) -> Settlement {
        if cx.state().get::<u32>() == Some(&41) { Settlement::Ack } else { Settlement::Unsettled }
    }

    async fn shutdown(&self) -> Result<(), StartupError> {
        Err(StartupError::new("still busy"))
    }
}

/// What servers make of startup and shutdown, the conformance suite tests.
#[tokio::test]
async fn tests_run_startup_and_shutdown() {
    let app = TestApp::start(Life).await.unwrap();
    app.deliver(Message::new("a")).await.assert_acked();
    let error = app.stop().await.unwrap_err();
    assert!(matches!(error, Error::Shutdown(_)), "{error:?}");
    assert_eq!(error.to_string(), "shutdown failed: still busy");
}

#[tokio::test]
async fn the_memory_server_keeps_order_and_tells_what_happened() {
    let queue = Queue::new();
    for n in 0..100_u32 {
        queue.push(Message::new("a").payload(n.to_string()));
    }
    queue.close();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let record = seen.clone();
    let server =
        Server::new(scripted(
            |attempt| if attempt % 2 == 0 { Settlement::Ack } else { fail(Disposition::Discard) },
        ))
        .queue(&queue)
        .observe(move |event| {
            if let Event::Settled(message, outcome) = event {
                record.lock().unwrap().push((message.payload.clone().unwrap(), outcome.clone()));
            }
        });
    server.serve().await.unwrap();
    let seen = seen.lock().unwrap();
    assert_eq!(seen.len(), 100);
    for (n, (payload, outcome)) in seen.iter().enumerate() {
        assert_eq!(*payload, n.to_string());
        assert_eq!(matches!(outcome, Outcome::Discarded(_)), n % 2 == 0);
    }
}

#[test]
fn failures_take_any_error_and_name_their_causes() {
    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);
    impl std::fmt::Display for Outer {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("outer")
        }
    }
    impl std::error::Error for Outer {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.0)
        }
    }
    let failure: Failure = Outer("x".parse::<u32>().unwrap_err()).into();
    assert_eq!(failure.disposition(), Disposition::Retry);
    let failure = failure.discard();
    assert_eq!(failure.disposition(), Disposition::Discard);
    assert_eq!(failure.reason(), Reason::Failed("outer: invalid digit found in string".to_owned()));
}
