//! Whatever a handler does, a message is settled once, and none is lost.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use amgi::{
    Application, BreakerInfo, ChannelInfo, Context, Dependency, Disposition, Failed, IdempotencyInfo,
    Message, MessageSend, Outgoing, PolicyInfo, Reason, SendError, SendFuture, Settlement, State,
    layer::{CatchPanic, Retry, Timeout},
    memory::{Event, Queue, Server},
    reply::Location,
    server::{Backoff, Exhausted, Outcome, Policies, Policy, Stop, deliver, deliver_batch},
};
use proptest::prelude::*;

/// What a handler does in one attempt.
#[derive(Debug, Clone, Copy)]
enum Act {
    Ack,
    Fail(Disposition),
    Silence,
    Panic,
    /// Never ends by itself.
    Hang,
    /// Takes that many milliseconds.
    Slow(u64),
    /// Has sent a message, which may fail.
    Send,
    /// Wants a message to be sent once it has succeeded.
    SendLater,
    /// Uses a value whose clean-up fails.
    Dirty,
    /// Uses a value whose clean-up panics.
    Bomb,
    /// Stops the server.
    Stop,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Ack),
        2 => Just(Act::Fail(Disposition::Retry)),
        1 => (0_u64..5000).prop_map(|ms| Act::Fail(Disposition::RetryAfter(Duration::from_millis(ms)))),
        1 => Just(Act::Fail(Disposition::DeadLetter)),
        1 => Just(Act::Fail(Disposition::Discard)),
        1 => Just(Act::Silence),
        1 => Just(Act::Panic),
        1 => Just(Act::Hang),
        1 => (0_u64..3000).prop_map(Act::Slow),
        1 => Just(Act::Send),
        1 => Just(Act::SendLater),
        1 => Just(Act::Dirty),
        1 => Just(Act::Bomb),
    ]
}

/// What is said of all messages.
#[derive(Debug, Clone, Copy)]
struct Setting {
    attempts: u32,
    exhausted: Exhausted,
    policy: PolicyInfo,
    layers: bool,
    /// Every so many sends one fails.
    sends: usize,
    /// Stops when this message is handled.
    stop_at: Option<usize>,
}

fn setting() -> impl Strategy<Value = Setting> {
    let breaker = (1_u32..4, 1_u64..60)
        .prop_map(|(failures, s)| BreakerInfo { failures, pause: Duration::from_secs(s) });
    let idempotency =
        Just(IdempotencyInfo { key: Location::Header("key"), remember: Duration::from_secs(60) });
    (
        1_u32..5,
        any::<bool>(),
        prop::option::of(breaker),
        prop::option::of(idempotency),
        any::<bool>(),
        1_usize..6,
        prop::option::of(0_usize..12),
    )
        .prop_map(|(attempts, dead, breaker, idempotency, layers, sends, stop_at)| Setting {
            attempts,
            exhausted: if dead { Exhausted::DeadLetter } else { Exhausted::Nack },
            policy: PolicyInfo {
                // Or what hangs would hang for ever.
                timeout: Some(Duration::from_secs(2)),
                breaker,
                idempotency,
                ..PolicyInfo::NONE
            },
            layers,
            sends,
            stop_at,
        })
}

/// Handles message number N by script N, attempt by attempt; the last act is for all that follow.
struct Scripts {
    acts: Vec<Vec<Act>>,
    attempts: Mutex<HashMap<usize, usize>>,
    channels: Vec<ChannelInfo>,
    stop: Stop,
}

struct Dirty;

impl Dependency for Dirty {
    type Error = Failed;

    async fn create(_: &Context) -> Result<Self, Failed> {
        Ok(Self)
    }

    async fn finish(&self, _: &Context, _: &Settlement) -> Result<(), Failed> {
        Err(failed(Disposition::Retry))
    }
}

struct Bomb;

impl Dependency for Bomb {
    type Error = Failed;

    async fn create(_: &Context) -> Result<Self, Failed> {
        Ok(Self)
    }

    async fn finish(&self, _: &Context, _: &Settlement) -> Result<(), Failed> {
        panic!("at the end")
    }
}

fn failed(disposition: Disposition) -> Failed {
    Failed { disposition, reason: Reason::Failed("no".to_owned()) }
}

fn number(message: &Message) -> usize {
    String::from_utf8(message.headers.get("number").expect("a number").to_vec()).unwrap().parse().unwrap()
}

impl Scripts {
    async fn act(&self, cx: &Context) -> Result<Settlement, Failed> {
        let number = number(cx.message());
        let act = {
            let mut attempts = self.attempts.lock().unwrap();
            let attempt = attempts.entry(number).or_default();
            *attempt += 1;
            let script = &self.acts[number];
            script.get(*attempt - 1).or(script.last()).copied().unwrap_or(Act::Ack)
        };
        match act {
            Act::Ack => {}
            Act::Fail(disposition) => return Err(failed(disposition)),
            Act::Silence => return Ok(Settlement::Unsettled),
            Act::Panic => panic!("in the middle"),
            Act::Hang => std::future::pending().await,
            Act::Slow(ms) => tokio::time::sleep(Duration::from_millis(ms)).await,
            Act::Send => cx.send(Message::new("out")).await.map_err(|error| Failed::new(&error))?,
            Act::SendLater => {
                let outgoing = Outgoing::new(cx.sender(), Ok(Message::new("out")));
                cx.send_on_success(outgoing).map_err(|error| Failed::new(&error))?;
            }
            Act::Dirty => drop(cx.get::<Dirty>().await?),
            Act::Bomb => drop(cx.get::<Bomb>().await?),
            Act::Stop => self.stop.request(),
        }
        Ok(Settlement::Ack)
    }
}

impl Application for Scripts {
    fn channels(&self) -> &[ChannelInfo] {
        &self.channels
    }

    async fn message(&self, cx: &Context) -> Settlement {
        self.act(cx).await.unwrap_or_else(Settlement::from)
    }
}

/// Fails every so often.
struct Sends(usize, Mutex<usize>);

impl MessageSend for Sends {
    fn send(&self, message: Message) -> SendFuture<'_> {
        SendFuture::pending(async move {
            tokio::task::yield_now().await;
            let mut count = self.1.lock().unwrap();
            *count += 1;
            if count.is_multiple_of(self.0) {
                return Err(SendError::new(message.address.to_string(), "broken"));
            }
            Ok(())
        })
    }
}

fn messages(count: usize) -> Vec<Message> {
    (0..count)
        .map(|n| Message::new("in").header("number", n.to_string()).header("key", (n / 2).to_string()))
        .collect()
}

fn app(scripts: &[Vec<Act>], setting: Setting, stop: &Stop) -> Scripts {
    let mut scripts = scripts.to_vec();
    if let Some(script) = setting.stop_at.and_then(|at| scripts.get_mut(at)) {
        script.insert(0, Act::Stop);
    }
    let channel = ChannelInfo { policy: setting.policy, ..ChannelInfo::new("in", "in") };
    Scripts { acts: scripts, attempts: Mutex::default(), channels: vec![channel], stop: stop.clone() }
}

fn policy(setting: Setting) -> Policy {
    Policy { attempts: setting.attempts, exhausted: setting.exhausted, ..Policy::default() }
}

/// Runs with time that passes when nothing else does.
fn paused<T>(future: impl Future<Output = T>) -> T {
    // What is thrown on purpose need not be told.
    std::panic::set_hook(Box::new(|info| {
        let text = info.to_string();
        if !["in the middle", "at the end"].iter().any(|known| text.contains(known)) {
            std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes()).unwrap();
        }
    }));
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

async fn serve(app: impl Application, setting: Setting, stop: &Stop, queue: &Queue) -> Vec<(usize, Outcome)> {
    let settled = Arc::new(Mutex::new(Vec::new()));
    let notes = settled.clone();
    Server::new(app)
        .queue(queue)
        .policy(policy(setting))
        .stop(stop)
        .observe(move |event| {
            if let Event::Settled(message, outcome) = event {
                notes.lock().unwrap().push((number(message), outcome.clone()));
            }
        })
        .serve()
        .await
        .unwrap();
    let mut settled = settled.lock().unwrap();
    std::mem::take(&mut *settled)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_message_is_settled_once_or_still_there(
        scripts in prop::collection::vec(prop::collection::vec(act(), 0..6), 1..12),
        setting in setting(),
    ) {
        paused(async {
            let (queue, stop) = (Queue::new(), Stop::new());
            for message in messages(scripts.len()) {
                queue.push(message);
            }
            queue.close();
            let app = app(&scripts, setting, &stop);
            let settled = if setting.layers {
                let app = app.layer(Timeout::new(Duration::from_secs(1))).layer(CatchPanic).layer(Retry::new(2));
                serve(app, setting, &stop, &queue).await
            } else {
                serve(app, setting, &stop, &queue).await
            };
            // One after the other, none twice, and what was not settled was not taken.
            let numbers: Vec<usize> = settled.iter().map(|(number, _)| *number).collect();
            let expected: Vec<usize> = (0..settled.len()).collect();
            assert_eq!(numbers, expected);
            assert_eq!(settled.len() + queue.len(), scripts.len());
            if !stop.is_requested() {
                assert_eq!(settled.len(), scripts.len());
            }
        });
    }

    #[test]
    fn outcomes_follow_from_what_the_last_attempt_did(
        script in prop::collection::vec(act(), 1..6),
        setting in setting(),
    ) {
        paused(async {
            let setting = Setting { stop_at: None, ..setting };
            let stop = Stop::new();
            let app = app(std::slice::from_ref(&script), setting, &stop);
            let sender = Arc::new(Sends(usize::MAX, Mutex::default()));
            let cx = Context::new(messages(1).remove(0), State::default(), sender).with_stop(&stop);
            let policies = Policies::new(app.channels(), policy(setting));
            let outcome = deliver(&app, &cx, &policies).await;
            let attempts = app.attempts.lock().unwrap()[&0];
            let last = script.get(attempts - 1).or(script.last()).copied().unwrap();
            let limit = usize::try_from(setting.attempts).unwrap();
            assert!(attempts <= limit, "{attempts} attempts of {limit}");
            let used_up = |outcome: &Outcome| match setting.exhausted {
                Exhausted::DeadLetter => matches!(outcome, Outcome::DeadLettered(_)),
                Exhausted::Nack => matches!(outcome, Outcome::Nacked { .. }),
            };
            let expected = match last {
                Act::Ack | Act::Send | Act::SendLater | Act::Stop => outcome == Outcome::Acked,
                Act::Slow(ms) if ms < 2000 => outcome == Outcome::Acked,
                Act::Silence => outcome == Outcome::Unsettled,
                Act::Fail(Disposition::Discard) => matches!(outcome, Outcome::Discarded(_)),
                Act::Fail(Disposition::DeadLetter) => matches!(outcome, Outcome::DeadLettered(_)),
                // All others are tried again until attempts are used up.
                _ => attempts == limit && used_up(&outcome),
            };
            assert!(expected, "{last:?} after {attempts} gave {outcome:?}");
        });
    }

    #[test]
    fn a_batch_has_an_outcome_a_message(
        scripts in prop::collection::vec(prop::collection::vec(act(), 0..4), 1..12),
        setting in setting(),
    ) {
        paused(async {
            let stop = Stop::new();
            let app = app(&scripts, setting, &stop);
            let sender: Arc<dyn MessageSend> = Arc::new(Sends(setting.sends, Mutex::default()));
            let contexts: Vec<Context> = messages(scripts.len())
                .into_iter()
                .map(|message| Context::new(message, State::default(), sender.clone()).with_stop(&stop))
                .collect();
            let policies = Policies::new(app.channels(), policy(setting));
            let mut seen = Vec::new();
            deliver_batch(&app, &contexts, &policies, &mut Vec::new(), |index, _| seen.push(index)).await;
            assert_eq!(seen, (0..contexts.len()).collect::<Vec<_>>());
        });
    }
}

#[test]
fn a_stop_amid_a_thousand_messages_loses_none() {
    paused(async {
        let (queue, stop) = (Queue::new(), Stop::new());
        for message in messages(1000) {
            queue.push(message);
        }
        let setting = Setting {
            attempts: 3,
            exhausted: Exhausted::Nack,
            policy: PolicyInfo::NONE,
            layers: false,
            sends: 1,
            stop_at: None,
        };
        let scripts = vec![vec![Act::Slow(10)]; 1000];
        let asked = Arc::new(AtomicBool::new(false));
        let (stopper, note) = (stop.clone(), asked.clone());
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(5003)).await;
            note.store(true, Relaxed);
            stopper.request();
        });
        let settled = serve(app(&scripts, setting, &stop), setting, &stop, &queue).await;
        assert!(asked.load(Relaxed));
        // The one in flight was finished, the others are still there.
        let expected: Vec<_> = (0..501).map(|number| (number, Outcome::Acked)).collect();
        assert_eq!(settled, expected);
        assert_eq!(queue.len(), 499);
    });
}

#[test]
fn pauses_have_jitter() {
    let backoff = Backoff::default();
    let pauses: Vec<Duration> = (0..100).map(|_| backoff.pause(3)).collect();
    assert!(pauses.iter().all(|pause| (200..=400).contains(&pause.as_millis())));
    assert!(pauses.iter().any(|pause| *pause != pauses[0]));
}

/// Takes dead letters.
struct Letters(Mutex<Vec<Message>>);
impl MessageSend for Letters {
    fn send(&self, message: Message) -> SendFuture<'_> {
        self.0.lock().unwrap().push(message);
        SendFuture::ready(Ok(()))
    }
}

/// Where the broker delivers again, an attempt is a delivery.
#[tokio::test]
async fn a_broker_that_delivers_again_does_the_waiting() {
    struct Fails;
    impl Application for Fails {
        fn channels(&self) -> &[ChannelInfo] {
            &[]
        }
        async fn message(&self, cx: &Context) -> Settlement {
            let reason = Reason::Failed(format!("attempt {}", cx.attempt()));
            Settlement::Fail { disposition: Disposition::Retry, reason }
        }
    }
    let backoff = Backoff { first: Duration::from_secs(1), jitter: false, ..Backoff::default() };
    let policy = Policy { attempts: 3, backoff, exhausted: Exhausted::DeadLetter, ..Policy::default() };
    let policies = Policies::new(&[], policy).redelivered();
    let letters = Arc::new(Letters(Mutex::default()));
    let mut cx = Context::new(Message::default(), State::default(), letters.clone());
    for (before, pause) in [(0, 1), (1, 2)] {
        cx.replace(Message::new("a"));
        cx.set_redelivered(before);
        let outcome = deliver(&Fails, &cx, &policies).await;
        let Outcome::Nacked { reason, disposition } = outcome else { panic!("{outcome:?}") };
        assert_eq!(disposition, Disposition::RetryAfter(Duration::from_secs(pause)));
        assert_eq!(reason.to_string(), format!("attempt {}", before + 1));
    }
    cx.replace(Message::new("a"));
    assert_eq!(cx.attempt(), 1, "what was said of the last message is forgotten");
    cx.set_redelivered(2);
    let outcome = deliver(&Fails, &cx, &policies).await;
    assert!(matches!(outcome, Outcome::DeadLettered(_)), "{outcome:?}");
    let letters = letters.0.lock().unwrap();
    assert_eq!(letters[0].headers.get("amgi-dead-letter-attempts"), Some(&b"3"[..]));
}

/// A broker that puts messages aside itself is left to do it, unless somebody names an address.
#[tokio::test]
async fn what_the_broker_puts_aside_is_nacked() {
    struct Gives;
    impl Application for Gives {
        fn channels(&self) -> &[ChannelInfo] {
            &[]
        }
        async fn message(&self, _: &Context) -> Settlement {
            Settlement::Fail { disposition: Disposition::DeadLetter, reason: Reason::Failed("bad".into()) }
        }
    }
    let letters = Arc::new(Letters(Mutex::default()));
    let cx = Context::new(Message::new("a"), State::default(), letters.clone());
    let policies = Policies::new(&[], Policy::default()).put_aside_by_broker();
    let outcome = deliver(&Gives, &cx, &policies).await;
    assert!(
        matches!(outcome, Outcome::Nacked { disposition: Disposition::DeadLetter, .. }),
        "nothing is sent: {outcome:?}"
    );
    assert!(letters.0.lock().unwrap().is_empty());
    let policy = Policy { dead_letter: Some("aside".into()), ..Policy::default() };
    let outcome = deliver(&Gives, &cx, &Policies::new(&[], policy).put_aside_by_broker()).await;
    assert!(matches!(outcome, Outcome::DeadLettered(_)), "{outcome:?}");
    assert_eq!(letters.0.lock().unwrap()[0].address, "aside");
}
