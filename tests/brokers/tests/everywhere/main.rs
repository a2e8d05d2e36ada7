//! One generated service, the same program everywhere, put through the same on every server: what it is told differs by the
//! server's URL, and by the list of addresses where the broker has no wildcards. Nothing else can differ, see [`Place`].
//!
//! A new server is a test more, with a [`Broker`].

mod lambda;
mod lines;

use std::{process::Stdio, time::Duration};

use amgi::Message;
use amgi_brokers_tests::{Amqp, Emulator, Http, KafkaSubject, Mqtt, Nats, Placed, Redis, SqsSubject, within};
use amgi_conformance::Watch;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use self::{lambda::Lambda, lines::Lines};

/// All that the service is told of a server.
struct Place {
    /// `amqp://127.0.0.1:5672`, or `memory`.
    url: String,
    /// The addresses of channels with parameters, where the broker has no wildcards.
    addresses: Option<&'static str>,
}

/// A server's broker, and a client that shares nothing with the server.
trait Broker: Send + Sync {
    /// Whether it keeps what comes while the service is away.
    const KEEPS: bool = true;

    /// Whether dead letters always say why.
    const EXPLAINS: bool = true;

    /// Makes what must be there beforehand, such as topics.
    async fn place(&self) -> Place;

    /// Starts the service in a process of its own, which knows nothing but its place.
    async fn start(&self, place: &Place) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_user-service"));
        command.env_clear().args(["run", &place.url]);
        if let Some(addresses) = place.addresses {
            command.args(["--addresses", addresses]);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut service = command.spawn().expect("the service is started");
        self.started(&mut service);
        service
    }

    /// The service runs; its standard input and output are pipes.
    fn started(&self, _service: &mut Child) {}

    /// Publishes, and returns when the broker has it.
    async fn publish(&self, message: Message);

    /// Watches what comes to an address from now on.
    async fn watch(&self, address: &str) -> Watch;
}

/// Every address of the scenario.
const ADDRESSES: [&str; 9] = [
    "user.created",
    "user.created.failed",
    "user.find",
    "user.welcome",
    "user.7.events",
    "user.7.events.dlq",
    "user.8.events",
    "shop.answers",
    "shop.others",
];

/// A real broker of the conformance suite, and the addresses where it has no wildcards.
struct Real<S>(S, Option<&'static str>);

impl<S: Placed> Broker for Real<S> {
    async fn place(&self) -> Place {
        Place { url: self.0.place(&ADDRESSES).await, addresses: self.1 }
    }

    async fn publish(&self, message: Message) {
        self.0.publish(&[message]).await;
    }

    async fn watch(&self, address: &str) -> Watch {
        self.0.watch(address).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_memory() {
    scenario(Lines::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_amqp() {
    scenario(Real(Amqp::default(), None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_http() {
    scenario(Real(Http::retried(), None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_kafka() {
    scenario(Real(KafkaSubject::shared(), None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_lambda() {
    scenario(Lambda::new()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_mqtt() {
    scenario(Real(Mqtt::new(amgi_mqtt::Version::V5), None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_nats_jetstream() {
    scenario(Real(Nats::streams(), None)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis_streams() {
    scenario(Real(Redis::new(amgi_redis::Via::Stream), Some("userEvents=user.7.events,user.8.events"))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_sqs() {
    let broker = SqsSubject::standard(Emulator::Fauxqs);
    scenario(Real(broker, Some("userEvents=user.7.events,user.8.events"))).await;
}

/// Asks it to end, and waits until it has, well.
async fn stop(mut service: Child) {
    let pid = i32::try_from(service.id().expect("it runs")).ok().and_then(Pid::from_raw).expect("a pid");
    kill_process(pid, Signal::TERM).expect("it can be asked to end");
    let status = within("the end of the service", service.wait()).await.expect("its status");
    assert_eq!(status.code(), Some(0), "{status}");
}

/// What comes out, by address.
struct Seen {
    welcomes: Watch,
    answers: Watch,
    others: Watch,
    failed: Watch,
    dead: Watch,
}

/// A message as it came: its payload, and it itself for the headers.
async fn next(watch: &mut Watch, what: &str) -> (Value, Message) {
    loop {
        let message = within(what, watch.next()).await.expect("the watch goes on");
        let payload = message.payload.as_deref().expect("a payload");
        let payload: Value = serde_json::from_slice(payload).expect("JSON");
        if !is_probe(&payload, &message) {
            return (payload, message);
        }
    }
}

fn header<'m>(message: &'m Message, name: &str) -> &'m str {
    message.headers.get(name).and_then(|value| std::str::from_utf8(value).ok()).unwrap_or_default()
}

fn is_probe(payload: &Value, message: &Message) -> bool {
    payload.to_string().contains("probe") || header(message, "correlation-id") == "probe"
}

async fn welcomed(seen: &mut Seen, text: &str) -> Message {
    let (payload, message) = next(&mut seen.welcomes, text).await;
    assert_eq!(payload, json!({"email": "ada@example.org", "text": text}));
    message
}

fn message(address: &'static str, payload: &Value) -> Message {
    Message::new(address).payload(payload.to_string())
}

fn created(name: &str) -> Message {
    let payload = json!({"id": 7, "email": "ada@example.org", "name": name});
    message("user.created", &payload).header("correlation-id", name.to_owned())
}

fn renamed(address: &'static str, name: &str) -> Message {
    message(address, &json!({"event": "renamed", "at": "2026-03-15T12:00:00Z", "name": name}))
}

fn question(id: u64, reply_to: &'static str, correlation: &'static str) -> Message {
    message("user.find", &json!({"id": id}))
        .header("reply-to", reply_to)
        .header("correlation-id", correlation)
}

/// Publishes on every channel until all of them are handled: not every broker keeps what comes before the first subscription.
async fn ready(broker: &impl Broker, seen: &mut Seen) {
    let mut missing = vec!["Welcome, probe!", "7 is probe now.", "8 is probe now.", "an answer"];
    let probing = async {
        while !missing.is_empty() {
            broker.publish(created("probe")).await;
            broker.publish(renamed("user.7.events", "probe")).await;
            broker.publish(renamed("user.8.events", "probe")).await;
            broker.publish(question(1, "shop.answers", "probe")).await;
            let soon = tokio::time::sleep(Duration::from_millis(500));
            tokio::pin!(soon);
            while !missing.is_empty() {
                tokio::select! {
                    Some(message) = seen.welcomes.next() => {
                        let payload = message.payload.unwrap_or_default();
                        let payload = String::from_utf8_lossy(&payload).into_owned();
                        missing.retain(|text| !payload.contains(text));
                    }
                    Some(_) = seen.answers.next() => missing.retain(|text| *text != "an answer"),
                    () = &mut soon => break,
                }
            }
        }
    };
    // A broker's group may take its time to begin.
    tokio::time::timeout(Duration::from_secs(40), probing).await.expect("every channel is handled");
}

async fn scenario<B: Broker>(broker: B) {
    let place = broker.place().await;
    let mut seen = Seen {
        welcomes: broker.watch("user.welcome").await,
        answers: broker.watch("shop.answers").await,
        others: broker.watch("shop.others").await,
        failed: broker.watch("user.created.failed").await,
        dead: broker.watch("user.7.events.dlq").await,
    };
    let service = broker.start(&place).await;
    ready(&broker, &mut seen).await;
    handles(&broker, &mut seen).await;
    fails(&broker, &mut seen).await;

    // Asked to stop in the middle of a handler, it finishes that one.
    broker.publish(created("Slow")).await;
    welcomed(&mut seen, "This takes a while.").await;
    stop(service).await;
    welcomed(&mut seen, "Welcome, Slow!").await;
    if B::KEEPS {
        broker.publish(created("Meanwhile")).await;
    }
    let service = broker.start(&place).await;
    if B::KEEPS {
        welcomed(&mut seen, "Welcome, Meanwhile!").await;
    }
    broker.publish(created("After")).await;
    welcomed(&mut seen, "Welcome, After!").await;

    // And nothing else was sent, nor anything twice.
    for (address, watch) in [
        ("user.welcome", &mut seen.welcomes),
        ("shop.answers", &mut seen.answers),
        ("shop.others", &mut seen.others),
        ("user.created.failed", &mut seen.failed),
        ("user.7.events.dlq", &mut seen.dead),
    ] {
        let more = tokio::time::timeout(Duration::from_millis(200), next(watch, "more")).await;
        assert!(more.is_err(), "{address} has more: {more:?}");
    }
    stop(service).await;
}

/// What fits: headers, parameters, several messages on a channel, requests.
async fn handles(broker: &impl Broker, seen: &mut Seen) {
    broker.publish(created("Grace").header("attempt", "3")).await;
    let welcome = welcomed(seen, "Welcome, Grace!").await;
    assert_eq!((header(&welcome, "correlation-id"), header(&welcome, "attempt")), ("Grace", "3"));

    broker.publish(renamed("user.7.events", "Ada")).await;
    let welcome = welcomed(seen, "7 is Ada now.").await;
    assert_eq!((header(&welcome, "correlation-id"), header(&welcome, "attempt")), ("7", "1"));
    let deleted = json!({"event": "deleted", "at": "2026-03-16T12:00:00Z", "reason": "moved"});
    broker.publish(message("user.8.events", &deleted)).await;
    welcomed(seen, "8 is gone: moved").await;

    broker.publish(question(42, "shop.answers", "q-1")).await;
    let (payload, answer) = next(&mut seen.answers, "an answer").await;
    assert_eq!(payload, json!({"user": {"id": 42, "email": "grace@example.org", "plan": "pro"}}));
    assert_eq!(header(&answer, "correlation-id"), "q-1");
    broker.publish(question(43, "shop.others", "q-2")).await;
    let (payload, answer) = next(&mut seen.others, "an answer elsewhere").await;
    assert_eq!((payload, header(&answer, "correlation-id")), (json!({"user": null}), "q-2"));
}

/// What does not fit never reaches a handler; what a handler fails at is tried again, or set aside where it says so.
async fn fails<B: Broker>(broker: &B, seen: &mut Seen) {
    let wrong = json!({"id": 0, "email": "x"});
    broker.publish(message("user.created", &wrong).header("correlation-id", "c-9")).await;
    let (payload, letter) = next(&mut seen.failed, "a dead letter").await;
    assert_eq!((&payload, header(&letter, "correlation-id")), (&wrong, "c-9"), "it goes on as it came");
    assert_eq!(header(&letter, "amgi-dead-letter-kind"), "rejected");
    let reason = header(&letter, "amgi-dead-letter-reason");
    assert!(reason.contains("payload `/id`") && reason.contains("payload `/email`"), "{reason}");

    broker.publish(message("user.created", &json!({"id": 1, "email": "ada@example.org"}))).await;
    let (_, letter) = next(&mut seen.failed, "a dead letter").await;
    let reason = header(&letter, "amgi-dead-letter-reason");
    assert!(reason.contains("`/correlation-id`"), "{reason}");

    broker.publish(renamed("user.7.events", "Later")).await;
    welcomed(seen, "7 is Later now.").await;
    broker.publish(renamed("user.7.events", "Nobody")).await;
    let (payload, letter) = next(&mut seen.dead, "what the handler refuses").await;
    assert_eq!(payload["name"], "Nobody");
    if B::EXPLAINS {
        assert_eq!(header(&letter, "amgi-dead-letter-kind"), "failed");
        assert_eq!(header(&letter, "amgi-dead-letter-reason"), "nobody is called Nobody");
    }
}
