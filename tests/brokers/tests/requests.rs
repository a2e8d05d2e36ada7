//! Requests and replies between two applications on a real mosquitto.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use amgi::{Application, Batch, Client, Context, Failure, Message, RequestError, server::Stop};
use amgi_brokers_tests::{Agents, Mosquitto, init_logs, within};
use amgi_mqtt::Server;
use tokio::{sync::Notify, task::JoinHandle};

amgi_gen_macro::asyncapi!("../../specs/desk.yaml");

use desk::{
    CountVisitsMessage, FindAgent, FindAgentHeaders, FindAgentReply, Sender, Text, TextHeaders, Ticket,
    TicketsHandler, Visits, VisitsHandler, types::FindAgentPayload,
};

/// Asks for an agent for every ticket, and notes who it is.
#[derive(Clone, Default)]
struct Desk(Arc<Mutex<Vec<String>>>, Arc<Notify>);

impl TicketsHandler for Desk {
    type Error = Failure;

    async fn on_ticket(&self, message: Ticket, cx: &Context) -> Result<(), Failure> {
        let sender = Sender::from(cx);
        let (one, two) = tokio::join!(
            sender.find_agent(question(&message.payload.topic)).into_future(),
            sender.find_agent(question("another")).into_future(),
        );
        two?;
        let FindAgentReply::Agent(agent) = one? else { return Err(Failure::msg("nobody")) };
        self.0.lock().unwrap().push(agent.payload.name);
        self.1.notify_one();
        Ok(())
    }
}

impl VisitsHandler for Desk {
    type Error = Failure;

    async fn count_visits(
        &self,
        _: Vec<Visits>,
        messages: Vec<CountVisitsMessage>,
        batch: &Batch<'_>,
    ) -> Result<(), Failure> {
        assert_eq!(messages.len(), batch.len());
        self.1.notify_one();
        Ok(())
    }
}

fn question(topic: &str) -> FindAgent {
    FindAgent {
        payload: FindAgentPayload { topic: topic.to_owned() },
        headers: FindAgentHeaders { correlation_id: None },
    }
}

/// Runs an application, and waits until it has subscribed.
async fn serve(
    server: Server<impl Application>,
    broker: &Mosquitto,
    name: &str,
    stop: &Stop,
) -> JoinHandle<amgi::Result<()>> {
    let ready = Arc::new(Notify::new());
    let told = ready.clone();
    let server = server.url(broker.url()).client_id(name).stop(stop).on_ready(move || told.notify_one());
    let serving = tokio::spawn(server.serve());
    within("a subscription", ready.notified()).await;
    serving
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handlers_and_clients_get_their_own_replies() {
    init_logs();
    let broker = Mosquitto::start();
    let stop = Stop::new();
    let agents = serve(Server::new(Agents), &broker, "agents", &stop).await;
    let desk = Desk::default();
    // One after the other, and in a group of two: replies must neither wait behind the handler that waits for them, nor go to
    // the other one of the group.
    let of_group = |server: Server<_>| server.group("desks").concurrency(1);
    let first = serve(of_group(Server::new(desk::app(desk.clone()))), &broker, "desk-1", &stop).await;
    let second = serve(of_group(Server::new(desk::app(desk.clone()))), &broker, "desk-2", &stop).await;

    let url = broker.url();
    let client = Client::start(desk::replies(), |app, stop| {
        Server::new(app).url(url).client_id("client").clean_session(true).stop(&stop).serve()
    })
    .await
    .expect("a client");
    let sender = Sender::from(&client);
    for count in 1..=6_usize {
        let ticket = Message::new("desk.tickets").payload(r#"{"topic":"printer"}"#);
        client.sender().send(ticket).await.expect("a send");
        within("a reply", async {
            while desk.0.lock().unwrap().len() < count {
                desk.1.notified().await;
            }
        })
        .await;
    }
    assert!(desk.0.lock().unwrap().iter().all(|name| name == "Ada"));

    let FindAgentReply::Agent(agent) = sender.find_agent(question("a")).await.expect("a reply") else {
        panic!("somebody can help")
    };
    assert_eq!(agent.payload.name, "Ada");
    let text =
        Text { payload: "Hello".to_owned(), headers: TextHeaders { reply_to: None, correlation_id: None } };
    let translated = sender.translate(text).await.expect("a reply at an address of our own");
    assert_eq!(translated.payload, "Hallo");

    client
        .sender()
        .send(Message::new("desk.london.visits").payload(r#"{"visitor":1}"#))
        .await
        .expect("a send");
    within("a batch of one, on a server that has no others", desk.1.notified()).await;

    stop.request();
    for ended in [agents, first, second] {
        within("its end", ended).await.expect("no panic").expect("a good end");
    }
    let error = sender.find_agent(question("a")).timeout(Duration::from_millis(200)).await.unwrap_err();
    assert!(matches!(error, RequestError::TimedOut(_)), "{error}");
    within("its end", client.close()).await.expect("a good end");
}
