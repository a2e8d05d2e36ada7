//! What an application does beyond one message after the other: policies of the document, batches, requests, lifespan,
//! values that belong to a message, layers. The application is that of `specs/desk.yaml`.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use amgi::{
    Application, Batch, Client, Context, Dependency, Failure, Message, Replies, RequestError, Settlement,
    State,
    layer::{Layer, Only},
    memory::{Event, Hub, Queue, Server},
    server::{Outcome, Stop},
    testing::TestApp,
};

/// Generated from `desk.yaml`.
#[allow(dead_code, unreachable_pub)]
#[path = "../expected/desk.rs"]
#[rustfmt::skip]
mod desk;

use desk::{
    Agent, Assigned, CountVisitsMessage, FindAgent, FindAgentHeaders, FindAgentReply, Sender, Text,
    TextHeaders, Ticket, TicketsHandler, Visits, VisitsHandler,
    types::{AssignedPayload, FindAgentPayload},
};

type OnTicket = dyn Fn(u32) -> Result<(), Failure> + Send + Sync;

/// Does with every ticket what the test says, and notes the sizes of batches.
#[derive(Clone)]
struct Desk {
    on_ticket: Arc<OnTicket>,
    tickets: Arc<AtomicU32>,
    batches: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Desk {
    fn new(on_ticket: impl Fn(u32) -> Result<(), Failure> + Send + Sync + 'static) -> Self {
        Self { on_ticket: Arc::new(on_ticket), tickets: Arc::default(), batches: Arc::default() }
    }
}

impl TicketsHandler for Desk {
    type Error = Failure;

    async fn on_ticket(&self, message: Ticket, cx: &Context) -> Result<(), Failure> {
        let count = self.tickets.fetch_add(1, Relaxed) + 1;
        if message.payload.topic == "slow" {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
        if message.payload.topic == "whom" {
            let question = FindAgent {
                payload: FindAgentPayload { topic: "printer".to_owned() },
                headers: FindAgentHeaders { correlation_id: None },
            };
            let FindAgentReply::Agent(agent) = Sender::from(cx).find_agent(question).await? else {
                return Err(Failure::msg("nobody"));
            };
            Sender::from(cx).send_assigned(assigned(&agent.payload.name)).await?;
        }
        (self.on_ticket)(count)
    }
}

impl VisitsHandler for Desk {
    type Error = Failure;

    async fn count_visits(
        &self,
        channels: Vec<Visits>,
        messages: Vec<CountVisitsMessage>,
        batch: &Batch<'_>,
    ) -> Result<(), Failure> {
        assert_eq!((channels.len(), messages.len()), (batch.len(), batch.len()));
        let mut seen = Vec::new();
        for (index, (channel, message)) in channels.iter().zip(&messages).enumerate() {
            assert_eq!(batch.context(index).address(), channel.to_string());
            match message {
                CountVisitsMessage::Visit(visit) if visit.payload.visitor == 13 => {
                    batch.fail(index, Failure::msg("unlucky").discard());
                }
                CountVisitsMessage::Visit(visit) => {
                    seen.push(format!("{} {}", channel.site, visit.payload.visitor));
                }
                CountVisitsMessage::Leave(leave) => {
                    seen.push(format!("{} -{}", channel.site, leave.payload.left));
                }
            }
        }
        self.batches.lock().unwrap().push(seen);
        Ok(())
    }
}

fn assigned(agent: &str) -> Assigned {
    Assigned { payload: AssignedPayload { agent: agent.to_owned() } }
}

fn ticket(id: &str, topic: &str) -> Message {
    let message = Message::new("desk.tickets").payload(format!(r#"{{"topic":"{topic}"}}"#));
    if id.is_empty() { message } else { message.header("ticket-id", id.to_owned()) }
}

/// What the in-memory server made of messages: outcomes, and addresses of sends.
async fn run(app: impl Application, messages: Vec<Message>) -> (Vec<Outcome>, Vec<Message>) {
    let queue = Queue::new();
    for message in messages {
        queue.push(message);
    }
    queue.close();
    let seen = Arc::new(Mutex::new((Vec::new(), Vec::new())));
    let notes = seen.clone();
    Server::new(app)
        .queue(&queue)
        .observe(move |event| match event {
            Event::Settled(_, outcome) => notes.lock().unwrap().0.push(outcome.clone()),
            Event::Sent(message) => notes.lock().unwrap().1.push(message.clone()),
            _ => {}
        })
        .serve()
        .await
        .unwrap();
    let mut seen = seen.lock().unwrap();
    std::mem::take(&mut *seen)
}

#[tokio::test(start_paused = true)]
async fn the_document_says_how_often_how_long_and_where_to() {
    let begun = tokio::time::Instant::now();
    let desk = Desk::new(|_| Err(Failure::msg("no")));
    let (outcomes, sent) = run(desk::app(desk.clone()), vec![ticket("", "printer")]).await;
    assert!(matches!(&outcomes[..], [Outcome::DeadLettered(_)]), "{outcomes:?}");
    assert_eq!(desk.tickets.load(Relaxed), 3);
    assert_eq!(begun.elapsed().as_millis(), 50 + 100);
    assert_eq!(sent[0].address, "desk.tickets.failed");
    assert_eq!(sent[0].headers.get("amgi-dead-letter-attempts"), Some(&b"3"[..]));
    assert_eq!(sent[0].headers.get("amgi-dead-letter-kind"), Some(&b"failed"[..]));

    let begun = tokio::time::Instant::now();
    let (outcomes, sent) = run(desk::app(Desk::new(|_| Ok(()))), vec![ticket("", "slow")]).await;
    assert!(matches!(&outcomes[..], [Outcome::DeadLettered(_)]), "{outcomes:?}");
    assert_eq!(begun.elapsed().as_millis(), 3 * 500 + 50 + 100);
    assert_eq!(sent[0].headers.get("amgi-dead-letter-kind"), Some(&b"timed-out"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_key_is_handled_once_unless_it_failed() {
    let desk = Desk::new(|_| Ok(()));
    let (outcomes, _) = run(
        desk::app(desk.clone()),
        vec![ticket("1", "a"), ticket("1", "a"), ticket("2", "a"), ticket("", "a")],
    )
    .await;
    assert_eq!(outcomes, vec![Outcome::Acked; 4]);
    assert_eq!(desk.tickets.load(Relaxed), 3);

    // Three attempts fail, and the message is dead-lettered: that has ended, too.
    let desk = Desk::new(|count| if count == 1 { Err(Failure::msg("no")) } else { Ok(()) });
    let (outcomes, _) = run(desk::app(desk.clone()), vec![ticket("1", "a"), ticket("1", "a")]).await;
    assert_eq!(outcomes, vec![Outcome::Acked; 2]);
    assert_eq!(desk.tickets.load(Relaxed), 2);
}

#[tokio::test(start_paused = true)]
async fn a_circuit_breaker_pauses_and_tries_one() {
    // Six failures: four open the breaker, the fifth is the trial and opens it again, then all is well.
    let begun = tokio::time::Instant::now();
    let desk = Desk::new(|count| if count <= 5 { Err(Failure::msg("no")) } else { Ok(()) });
    let (outcomes, _) =
        run(desk::app(desk.clone()), vec![ticket("", "a"), ticket("", "b"), ticket("", "c")]).await;
    assert!(
        matches!(&outcomes[..], [Outcome::DeadLettered(_), Outcome::Acked, Outcome::Acked]),
        "{outcomes:?}"
    );
    assert_eq!(begun.elapsed().as_secs(), 60);
    assert_eq!(desk.tickets.load(Relaxed), 7);
}

#[tokio::test(start_paused = true)]
async fn messages_come_in_batches_and_are_settled_one_by_one() {
    let visit = |site: &str, visitor: i32| {
        Message::new(format!("desk.{site}.visits")).payload(format!(r#"{{"visitor":{visitor}}}"#))
    };
    let mut messages: Vec<Message> = (1..=70).map(|n| visit("london", n)).collect();
    messages[2] = visit("paris", 0);
    messages[3] = Message::new("desk.paris.visits").payload(r#"{"left":4}"#);
    messages.insert(66, ticket("", "a"));
    let desk = Desk::new(|_| Ok(()));
    let (outcomes, sent) = run(desk::app(desk.clone()), messages).await;
    let batches = std::mem::take(&mut *desk.batches.lock().unwrap());
    assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [62, 2, 4]);
    assert_eq!(batches[0][..3], ["london 1", "london 2", "paris -4"]);
    assert_eq!(outcomes.len(), 71);
    for (index, outcome) in outcomes.iter().enumerate() {
        match index {
            2 => assert!(matches!(outcome, Outcome::DeadLettered(_)), "{outcome:?}"),
            12 => assert!(matches!(outcome, Outcome::Discarded(_)), "{outcome:?}"),
            _ => assert_eq!(*outcome, Outcome::Acked, "{index}"),
        }
    }
    assert_eq!(sent.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_for_others() {
    let (queue, desk) = (Queue::new(), Desk::new(|_| Ok(())));
    let server = tokio::spawn(Server::new(desk::app(desk.clone())).queue(&queue).observe(|_| {}).serve());
    let visit = Message::new("desk.x.visits").payload(r#"{"visitor":1}"#);
    for pause in [0, 30, 30, 30] {
        tokio::time::sleep(Duration::from_millis(pause)).await;
        queue.push(visit.clone());
    }
    queue.close();
    server.await.unwrap().unwrap();
    // The first waits 50 ms: two fit, then two again.
    assert_eq!(desk.batches.lock().unwrap().iter().map(Vec::len).collect::<Vec<_>>(), [2, 2]);
}

/// Answers questions about agents after a while, the last one first.
struct Agents(AtomicUsize);

impl Application for Agents {
    fn channels(&self) -> &[amgi::ChannelInfo] {
        static CHANNELS: std::sync::LazyLock<Vec<amgi::ChannelInfo>> = std::sync::LazyLock::new(|| {
            ["desk.agents.find", "desk.translate"]
                .map(|address| amgi::ChannelInfo::new(address, address))
                .to_vec()
        });
        &CHANNELS
    }

    async fn message(&self, cx: &Context) -> Settlement {
        let asked = u64::try_from(self.0.fetch_add(1, Relaxed)).unwrap();
        let id = cx.message().headers.get_bytes("correlation-id").cloned().unwrap_or_default();
        let (address, payload) = match cx.address() {
            "desk.translate" => {
                let to = cx.message().headers.get("reply-to").expect("an address");
                (String::from_utf8(to.to_vec()).unwrap(), "Hallo".to_owned())
            }
            _ => {
                let question = String::from_utf8(cx.message().payload.clone().unwrap().to_vec()).unwrap();
                if question.contains("silence") {
                    return Settlement::Ack;
                }
                let answer = if question.contains("wrong") { r#"{"nome":1}"# } else { r#"{"name":"Q"}"# };
                ("desk.agents".to_owned(), answer.replace('Q', &format!("agent {asked}")))
            }
        };
        let reply = Message::new(address).header("correlation-id", id).payload(payload);
        let sender = cx.sender().clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(100 - 10 * asked)).await;
            sender.send(reply).await.unwrap();
        });
        Settlement::Ack
    }
}

fn question(topic: &str) -> FindAgent {
    FindAgent {
        payload: FindAgentPayload { topic: topic.to_owned() },
        headers: FindAgentHeaders { correlation_id: None },
    }
}

fn agent(reply: FindAgentReply) -> Agent {
    match reply {
        FindAgentReply::Agent(agent) => agent,
        FindAgentReply::Nobody(nobody) => panic!("{nobody:?}"),
    }
}

/// A hub with agents, and a handle to stop what is on it.
fn agents() -> (Hub, Stop) {
    let (hub, stop) = (Hub::new(), Stop::new());
    tokio::spawn(Server::new(Agents(AtomicUsize::new(0))).hub(&hub).observe(|_| {}).stop(&stop).serve());
    (hub, stop)
}

async fn client(hub: &Hub) -> Client {
    let hub = hub.clone();
    Client::start(desk::replies(), |app, stop| Server::new(app).hub(&hub).observe(|_| {}).stop(&stop).serve())
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_its_own_reply() {
    let (hub, _stop) = agents();
    let client = client(&hub).await;
    let sender = Sender::from(&client);
    let (first, second) = tokio::join!(
        sender.find_agent(question("a")).into_future(),
        sender.find_agent(question("b")).into_future()
    );
    // The second was answered first.
    assert_eq!(agent(first.unwrap()).payload.name, "agent 0");
    assert_eq!(agent(second.unwrap()).payload.name, "agent 1");

    // An address of our own, where the document leaves it to the request.
    let text = Text {
        payload: "Hello".to_owned(),
        headers: TextHeaders { reply_to: None, correlation_id: Some("mine".to_owned()) },
    };
    let translated = sender.translate(text).await.unwrap();
    assert_eq!(translated.payload, "Hallo");
    assert_eq!(translated.headers.correlation_id.as_deref(), Some("mine"));
    assert_eq!(client.replies().waiting(), 0);
    client.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_reply_ends() {
    let (hub, _stop) = agents();
    let client = client(&hub).await;
    let sender = Sender::from(&client);
    let begun = tokio::time::Instant::now();
    let error = sender.find_agent(question("silence")).await.unwrap_err();
    assert!(matches!(error, RequestError::TimedOut(_)), "{error}");
    assert_eq!(begun.elapsed().as_secs(), 2);
    let error = sender.find_agent(question("wrong")).await.unwrap_err();
    assert!(matches!(&error, RequestError::Rejected(_)), "{error}");
    let error = Sender::new(Arc::new(hub)).find_agent(question("a")).await.unwrap_err();
    assert!(matches!(error, RequestError::NoReplies), "{error}");
    assert_eq!(client.replies().waiting(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_handler_asks_too() {
    let (hub, stop) = agents();
    let outcomes = Arc::new(Mutex::new(Vec::new()));
    let notes = outcomes.clone();
    let desk = tokio::spawn(
        Server::new(desk::app(Desk::new(|_| Ok(()))))
            .hub(&hub)
            .observe(move |event| match event {
                Event::Settled(message, outcome) => {
                    notes.lock().unwrap().push((message.address.to_string(), outcome.clone()));
                }
                Event::Sent(message) => {
                    notes.lock().unwrap().push((message.address.to_string(), Outcome::Unsettled));
                }
                _ => {}
            })
            .stop(&stop)
            .serve(),
    );
    tokio::task::yield_now().await;
    let sender: Arc<dyn amgi::MessageSend> = Arc::new(hub);
    sender.send(ticket("", "whom")).await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.request();
    desk.await.unwrap().unwrap();
    let notes = std::mem::take(&mut *outcomes.lock().unwrap());
    let addresses: Vec<&str> = notes.iter().map(|(address, _)| address.as_str()).collect();
    // The reply is settled while the handler waits for it.
    assert_eq!(addresses, ["desk.agents.find", "desk.agents", "desk.assigned", "desk.tickets"]);
    assert_eq!(notes[3].1, Outcome::Acked);
}

#[tokio::test]
async fn a_client_says_why_it_cannot_start() {
    let started =
        Client::start(Replies::default(), |_, _| async { Err(amgi::Error::Config("no broker".to_owned())) });
    assert_eq!(started.await.unwrap_err().to_string(), "configuration: no broker");
}

#[tokio::test]
async fn handlers_are_made_at_startup_and_leave_at_shutdown() {
    let left = Arc::new(Mutex::new(Vec::new()));
    let (first, second) = (left.clone(), left.clone());
    let app = desk::app_with(|| async { Ok::<_, std::io::Error>(Desk::new(|_| Ok(()))) })
        .on_shutdown(move |desk: Arc<Desk>| {
            let left = first.clone();
            async move {
                left.lock().unwrap().push(format!("{} tickets", desk.tickets.load(Relaxed)));
                Ok::<_, std::io::Error>(())
            }
        })
        .on_shutdown(move |_| {
            second.lock().unwrap().push("second".to_owned());
            async { Err(std::io::Error::other("no luck")) }
        });
    let test = TestApp::start(app).await.unwrap();
    test.deliver(ticket("", "a")).await.assert_acked();
    let error = test.stop().await.unwrap_err();
    assert_eq!(error.to_string(), "shutdown failed: no luck");
    assert_eq!(*left.lock().unwrap(), ["1 tickets", "second"]);

    let app = desk::app_with(|| async { Err::<Desk, _>(std::io::Error::other("no database")) });
    let queue = Queue::new();
    queue.push(ticket("", "a"));
    let error =
        Server::new(app).queue(&queue).observe(|_| panic!("nothing is delivered")).serve().await.unwrap_err();
    assert_eq!(error.to_string(), "startup failed: no database");
}

/// Notes what happens to it.
struct Transaction(Arc<Mutex<Vec<String>>>);

impl Dependency for Transaction {
    type Error = Failure;

    async fn create(cx: &Context) -> Result<Self, Failure> {
        let log = cx.state().get::<Arc<Mutex<Vec<String>>>>().expect("a log").clone();
        if cx.message().headers.get("ticket-id") == Some(b"no") {
            return Err(Failure::msg("no transaction").dead_letter());
        }
        log.lock().unwrap().push("begin".to_owned());
        Ok(Self(log))
    }

    async fn finish(&self, _: &Context, settlement: &Settlement) -> Result<(), Failure> {
        let end = if *settlement == Settlement::Ack { "commit" } else { "roll back" };
        self.0.lock().unwrap().push(end.to_owned());
        Ok(())
    }
}

/// Needs a transaction.
struct Rows(Arc<Transaction>);

impl Dependency for Rows {
    type Error = Failure;

    async fn create(cx: &Context) -> Result<Self, Failure> {
        let transaction = cx.get::<Transaction>().await?;
        transaction.0.lock().unwrap().push("rows".to_owned());
        Ok(Self(transaction))
    }

    async fn finish(&self, cx: &Context, _: &Settlement) -> Result<(), Failure> {
        self.0.0.lock().unwrap().push("rows end".to_owned());
        if cx.message().headers.get("ticket-id") == Some(b"end") {
            return Err(Failure::msg("rows failed").discard());
        }
        Ok(())
    }
}

/// Uses them around the handler.
struct Uses;

impl Layer for Uses {
    async fn message<A: Application>(&self, cx: &Context, next: &A) -> Settlement {
        let used = async {
            let (transaction, rows) = (cx.get::<Transaction>().await?, cx.get::<Rows>().await?);
            assert!(Arc::ptr_eq(&transaction, &rows.0), "made once");
            cx.send_on_success(Sender::from(cx).send_assigned(assigned("Ada")))?;
            Ok::<_, Failure>(())
        };
        match used.await {
            Ok(()) => next.message(cx).await,
            Err(failure) => amgi::Failed::new(&failure).into(),
        }
    }

    async fn startup<A: Application>(&self, state: &mut State, next: &A) -> Result<(), amgi::StartupError> {
        state.insert(Arc::<Mutex<Vec<String>>>::default());
        next.startup(state).await
    }
}

#[tokio::test]
async fn values_belong_to_a_message_and_are_cleaned_up() {
    let log = Arc::<Mutex<Vec<String>>>::default();
    let app = desk::app(Desk::new(|count| match count {
        2 => Err(Failure::msg("no")),
        3 => panic!("oh"),
        _ => Ok(()),
    }))
    .layer(Uses)
    .layer(amgi::layer::Provide::new(()));
    let test = TestApp::start(app).await.unwrap().provide(log.clone());
    let events = || std::mem::take(&mut *log.lock().unwrap());

    let delivered = test.deliver(ticket("1", "a")).await;
    assert_eq!(delivered.assert_acked().sent_to("desk.assigned").len(), 1);
    assert_eq!(events(), ["begin", "rows", "rows end", "commit"]);

    let delivered = test.deliver(ticket("1", "a")).await;
    assert!(delivered.assert_nacked("no").sends.is_empty(), "{:?}", delivered.sends);
    assert_eq!(events(), ["begin", "rows", "rows end", "roll back"]);

    test.deliver(ticket("1", "a")).await.assert_nacked("handler panicked: oh");
    assert_eq!(events(), ["begin", "rows", "rows end", "roll back"]);

    // Cleaning up fails: the message fails by that, and what is cleaned up later knows.
    let delivered = test.deliver(ticket("end", "a")).await;
    delivered.assert_nacked("rows failed").assert_disposition(amgi::Disposition::Discard);
    assert_eq!(events(), ["begin", "rows", "rows end", "roll back"]);

    // Making fails: the message is settled by that.
    let delivered = test.deliver(ticket("no", "a")).await;
    delivered.assert_nacked("no transaction").assert_disposition(amgi::Disposition::DeadLetter);
    assert!(events().is_empty());

    // A send that was kept fails.
    test.fail_sends(Some("broken"));
    test.deliver(ticket("1", "a")).await.assert_nacked("broken");
    assert_eq!(events(), ["begin", "rows", "rows end", "roll back"]);
}

/// Counts messages.
struct Counts(Arc<AtomicU32>);

impl Layer for Counts {
    async fn message<A: Application>(&self, cx: &Context, next: &A) -> Settlement {
        self.0.fetch_add(1, Relaxed);
        next.message(cx).await
    }
}

#[tokio::test]
async fn a_layer_is_for_all_messages_or_for_an_operation() {
    let counts = [(); 2].map(|()| Arc::<AtomicU32>::default());
    let desk = Desk::new(|_| Ok(()));
    let app = desk::app(desk.clone())
        .layer(Only::new("onTicket", Counts(counts[0].clone())))
        .layer(Counts(counts[1].clone()));
    let visit = Message::new("desk.x.visits").payload(r#"{"visitor":1}"#);
    let (outcomes, _) =
        run(app, vec![ticket("", "a"), visit.clone(), visit, Message::new("desk.unknown")]).await;
    assert_eq!(outcomes.len(), 4);
    assert_eq!(counts.map(|count| count.load(Relaxed)), [1, 4]);
    // A layer that says nothing about batches sees messages one by one.
    assert_eq!(desk.batches.lock().unwrap().len(), 2);

    let app = desk::app(Desk::new(|_| Ok(()))).layer(Only::new("onTickets", Counts(Arc::default())));
    let error = TestApp::start(app).await.err().expect("a startup that fails");
    assert_eq!(
        error.to_string(),
        "startup failed: there is no receive operation `onTickets` for a layer, only onTicket, countVisits"
    );
}

#[tokio::test]
async fn tests_answer_requests_and_deliver_batches() {
    let app = TestApp::start(desk::app(Desk::new(|_| Ok(()))))
        .await
        .unwrap()
        .answer("desk.agents.find", |_| Message::new("desk.agents").payload(r#"{"name":"Ada"}"#));
    let delivered = app.deliver(ticket("", "whom")).await;
    delivered.assert_acked().assert_sends(["desk.agents.find", "desk.assigned"]);
    delivered.assert_sends_in_any_order(["desk.assigned", "desk.agents.find"]);
    assert_eq!(delivered.assert_sent::<Assigned>("desk.assigned").payload.agent, "Ada");

    let visits = [1, 0, 13].map(|n| Message::new("desk.x.visits").payload(format!(r#"{{"visitor":{n}}}"#)));
    let delivered = app.deliver_batch(visits).await;
    delivered[0].assert_acked();
    delivered[1].assert_rejected("/visitor");
    delivered[2].assert_nacked("unlucky");
}

#[tokio::test]
async fn examples_of_the_document_are_a_test() {
    amgi::testing::assert_examples(desk::app(Desk::new(|_| Ok(())))).await;
    let failing = desk::app(Desk::new(|_| Err(Failure::msg("no printer"))));
    let examples = tokio::spawn(amgi::testing::assert_examples(failing));
    let panic = examples.await.unwrap_err().into_panic();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("1 examples were not handled") && text.contains("no printer"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn layers_of_tower_fit() {
    let desk = Desk::new(|count| match count {
        1 => Err(Failure::msg("no")),
        2 => Err(Failure::msg("never").discard()),
        _ => Ok(()),
    });
    let layers = tower::ServiceBuilder::new()
        .layer(tower::limit::ConcurrencyLimitLayer::new(1))
        .layer(tower::timeout::TimeoutLayer::new(Duration::from_secs(1)))
        .into_inner();
    let app = TestApp::start(desk::app(desk).tower_layer(&layers)).await.unwrap();
    app.deliver(ticket("", "a")).await.assert_nacked("no").assert_disposition(amgi::Disposition::Retry);
    app.deliver(ticket("", "a")).await.assert_nacked("never").assert_disposition(amgi::Disposition::Discard);
    app.deliver(ticket("", "a")).await.assert_acked();
    app.deliver(ticket("", "slow")).await.assert_nacked("request timed out");
}
