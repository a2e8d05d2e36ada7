//! The store of keys in a real Redis.

use std::{sync::Arc, time::Duration};

use amgi::{
    Batch, Context, Disposition, Failure, Message, Settlement,
    idempotency::{Claim, Store},
    layer::Idempotent,
    server::{Policy, Stop},
    testing::TestApp,
};
use amgi_brokers_tests::{Mosquitto, Peer, RedisServer, init_logs, within};
use amgi_mqtt::Server;
use amgi_redis::IdempotencyStore;
use tokio::{sync::mpsc, task::JoinHandle};

amgi_gen_macro::asyncapi!("../../specs/desk.yaml");

use desk::{CountVisitsMessage, Ticket, TicketsHandler, Visits, VisitsHandler};

const LONG: Duration = Duration::from_secs(60);

async fn connect(server: &RedisServer) -> IdempotencyStore {
    within("a connection", IdempotencyStore::connect(server.url())).await.expect("Redis is there")
}

async fn claim(store: &IdempotencyStore, key: &str, lease: Duration) -> Claim {
    within("a claim", store.begin(key, lease)).await.expect("Redis answers")
}

async fn token(store: &IdempotencyStore, key: &str, lease: Duration) -> u64 {
    match claim(store, key, lease).await {
        Claim::New(token) => token,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_key_is_claimed_by_one_and_remembered() {
    let server = RedisServer::start();
    let (one, two) = (connect(&server).await, connect(&server).await);
    let mine = token(&one, "o-1", LONG).await;
    assert_eq!(claim(&two, "o-1", LONG).await, Claim::InProgress);
    one.complete("o-1", mine, Duration::from_millis(200)).await.expect("Redis answers");
    assert_eq!(claim(&two, "o-1", LONG).await, Claim::Handled);
    tokio::time::sleep(Duration::from_millis(300)).await;
    token(&two, "o-1", LONG).await;

    // Another prefix is another set of keys.
    let other = two.clone().prefix("other:");
    token(&other, "o-1", LONG).await;
}

#[tokio::test]
async fn what_is_given_back_or_expires_can_be_claimed() {
    let server = RedisServer::start();
    let (one, two) = (connect(&server).await, connect(&server).await);
    let mine = token(&one, "o-1", LONG).await;
    one.release("o-1", mine).await.expect("Redis answers");
    let short = Duration::from_millis(100);
    let late = token(&one, "o-1", short).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let yours = token(&two, "o-1", LONG).await;

    // Who came too late neither gives back nor completes what is another's.
    one.release("o-1", late).await.expect("Redis answers");
    one.complete("o-1", late, LONG).await.expect("Redis answers");
    assert_eq!(claim(&one, "o-1", LONG).await, Claim::InProgress);
    two.complete("o-1", yours, LONG).await.expect("Redis answers");
    two.release("o-1", yours).await.expect("Redis answers");
    assert_eq!(claim(&one, "o-1", LONG).await, Claim::Handled, "what was handled is not given back");

    // A claim that nobody has taken over is good after its lease, too.
    let late = token(&one, "o-2", short).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    one.complete("o-2", late, LONG).await.expect("Redis answers");
    assert_eq!(claim(&two, "o-2", LONG).await, Claim::Handled);
}

#[tokio::test]
async fn of_many_that_claim_at_once_one_gets_the_key() {
    let server = RedisServer::start();
    let store = connect(&server).await;
    let claims: Vec<_> = (0..50)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { claim(&store, "o-1", LONG).await })
        })
        .collect();
    let mut claimed = 0;
    for one in claims {
        claimed += usize::from(matches!(one.await.expect("it does not panic"), Claim::New(_)));
    }
    assert_eq!(claimed, 1);
}

#[tokio::test]
async fn without_redis_there_is_no_store() {
    let mut server = RedisServer::start();
    server.kill();
    assert!(within("an answer", IdempotencyStore::connect(server.url())).await.is_err());
    assert!(IdempotencyStore::connect("no url").await.is_err());
}

/// Tells which tickets it has handled.
#[derive(Clone)]
struct Desk(mpsc::UnboundedSender<String>);

impl TicketsHandler for Desk {
    type Error = Failure;

    async fn on_ticket(&self, message: Ticket, _: &Context) -> Result<(), Failure> {
        tokio::time::sleep(Duration::from_millis(50)).await;
        self.0.send(message.payload.topic)?;
        Ok(())
    }
}

impl VisitsHandler for Desk {
    type Error = Failure;

    async fn count_visits(
        &self,
        _: Vec<Visits>,
        _: Vec<CountVisitsMessage>,
        _: &Batch<'_>,
    ) -> Result<(), Failure> {
        Ok(())
    }
}

fn desk() -> (Desk, mpsc::UnboundedReceiver<String>) {
    let (tell, told) = mpsc::unbounded_channel();
    (Desk(tell), told)
}

#[tokio::test]
async fn a_message_without_its_key_is_tried_again() {
    let mut server = RedisServer::start();
    let store = connect(&server).await;
    let (desk, mut told) = desk();
    let layer = Idempotent::new(Arc::new(store), |message| {
        Some(String::from_utf8_lossy(message.headers.get("ticket-id")?).into_owned())
    });
    let app = TestApp::start(desk::app(desk).layer(layer)).await.expect("it starts");
    let ticket = || Message::new("desk.tickets").header("ticket-id", "t-1").payload(r#"{"topic":"printer"}"#);

    server.kill();
    let delivered = within("a settlement", app.deliver(ticket())).await;
    let Settlement::Fail { disposition, reason } = delivered.settlement else { panic!("it is not handled") };
    assert_eq!(disposition, Disposition::Retry);
    assert!(reason.to_string().starts_with("the store of keys: "), "{reason}");
    assert!(told.try_recv().is_err(), "no handler saw it");

    server.start_again();
    // The connection comes back by itself, at one of the next attempts.
    within("the connection", async {
        while app.deliver(ticket()).await.settlement != Settlement::Ack {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(told.try_recv().as_deref(), Ok("printer"));
    app.deliver(ticket()).await.assert_acked();
    assert!(told.try_recv().is_err(), "it was handled before");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_applications_handle_a_key_once() {
    init_logs();
    let (broker, redis) = (Mosquitto::start(), RedisServer::start());
    let (desk, mut told) = desk();
    let stop = Stop::new();
    let mut servers: Vec<JoinHandle<amgi::Result<()>>> = Vec::new();
    for name in ["desk-1", "desk-2"] {
        // Each is given every message, and has a connection of its own.
        let policy = Policy { store: Arc::new(connect(&redis).await), ..Policy::default() };
        let (tell, mut ready) = mpsc::unbounded_channel();
        let server = Server::new(desk::app(desk.clone()))
            .url(broker.url())
            .client_id(name)
            .policy(policy)
            .stop(&stop)
            .on_ready(move || {
                let _ = tell.send(());
            });
        servers.push(tokio::spawn(server.serve()));
        within("a subscription", ready.recv()).await;
    }
    let mut dead = Peer::watch(&broker, "desk/tickets/#").await;
    for number in 0..5 {
        let (id, payload) = (format!("t-{number}"), format!(r#"{{"topic":"printer {number}"}}"#));
        broker.mosquitto_pub(&[
            "-V",
            "5",
            "-q",
            "1",
            "-t",
            "desk/tickets",
            "-m",
            &payload,
            "-D",
            "publish",
            "user-property",
            "ticket-id",
            &id,
        ]);
    }
    let mut topics = Vec::new();
    for _ in 0..5 {
        topics.push(within("a ticket", told.recv()).await.expect("the handlers are there"));
    }
    topics.sort();
    assert_eq!(topics, (0..5).map(|number| format!("printer {number}")).collect::<Vec<_>>());
    // The other server asks again after a second, and learns that it was handled.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    stop.request();
    for server in servers {
        within("its end", server).await.expect("it does not panic").expect("it ends well");
    }
    assert!(told.try_recv().is_err(), "each was handled once");
    assert!(dead.seen().iter().all(|seen| !seen.topic.ends_with("failed")), "and none was given up");
}
