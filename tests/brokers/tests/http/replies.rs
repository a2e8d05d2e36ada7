//! Requests and replies: the answer to a request is the reply.

use std::time::Duration;

use amgi::{Client, Message, RequestError, Settlement};
use amgi_brokers_tests::{Agents, App, within};
use amgi_http::Server;

use super::{Target, channel, event, post, server, start};

amgi_gen_macro::asyncapi!("../../specs/desk.yaml");

use desk::{FindAgent, FindAgentHeaders, FindAgentReply, Sender, Text, TextHeaders, types::FindAgentPayload};

/// Answers what it is asked, with the binding if there is one.
fn answers(status: Option<i64>) -> App {
    let (app, _) = App::new([channel("question")], move |cx| async move {
        let to = match status {
            // A message with a status is a response, wherever it is sent.
            Some(_) => "answers".to_owned(),
            None => cx
                .message()
                .bindings
                .get("http", "reply_to")
                .and_then(|to| to.as_str())
                .unwrap_or_default()
                .to_owned(),
        };
        let mut reply = Message::new(to).payload(r#"{"answer":42}"#).header("correlation-id", "c");
        if let Some(status) = status {
            reply = reply.binding("http", "status_code", status);
        }
        match cx.send(reply).await {
            Ok(()) => Settlement::Ack,
            Err(_) => Settlement::Unsettled,
        }
    });
    app
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reply_is_the_response() {
    let (running, at) = start(server(answers(None)).source("/sage")).await;
    let answer = post(at, "/", &event("question"), "{}").await;
    assert_eq!((answer.status, &answer.body[..]), (200, &br#"{"answer":42}"#[..]));
    for (name, value) in [
        ("content-type", "application/json"),
        ("correlation-id", "c"),
        ("ce-type", "question.reply"),
        ("ce-source", "/sage"),
        ("ce-specversion", "1.0"),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
    // Who sends no event gets none.
    let answer = post(at, "/question", &[], "{}").await;
    assert_eq!(
        (answer.status, answer.header("ce-type"), answer.json()["answer"].as_i64()),
        (200, "", Some(42))
    );
    running.stop().await;
    for (status, expected, length) in [(201, 201, 13), (204, 204, 0)] {
        let (running, at) = start(server(answers(Some(status)))).await;
        let answer = post(at, "/question", &[], "{}").await;
        assert_eq!((answer.status, answer.body.len()), (expected, length));
        running.stop().await;
    }
}

fn question(topic: &str) -> FindAgent {
    FindAgent {
        payload: FindAgentPayload { topic: topic.to_owned() },
        headers: FindAgentHeaders { correlation_id: None },
    }
}

fn hello() -> Text {
    Text { payload: "Hello".to_owned(), headers: TextHeaders { reply_to: None, correlation_id: None } }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn generated_applications_ask_each_other() {
    amgi_brokers_tests::init_logs();
    // Where replies come in whose address the document says; others are the responses.
    let asks = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("its address")
    };
    let (agents, at) = start(Server::new(Agents).listen("127.0.0.1:0").url(format!("http://{asks}/"))).await;
    let client = Client::start(desk::replies(), |app, stop| {
        Server::new(app).url(format!("http://{at}/")).listen(asks.to_string()).stop(&stop).serve()
    })
    .await
    .expect("a client");
    let sender = Sender::from(&client);
    let asked: Vec<_> = (0..20).map(|_| sender.translate(hello()).into_future()).collect();
    for asked in asked {
        assert_eq!(within("a reply", asked).await.expect("a reply").payload, "Hallo");
    }
    let found = async {
        // The client may not listen yet.
        loop {
            let asked = sender.find_agent(question("a")).timeout(Duration::from_secs(1)).await;
            match asked {
                Ok(FindAgentReply::Agent(agent)) => return agent.payload.name,
                Ok(_) => panic!("somebody can help"),
                Err(RequestError::TimedOut(_) | RequestError::Send(_)) => {}
                Err(error) => panic!("{error}"),
            }
        }
    };
    assert_eq!(within("a reply at its address", found).await, "Ada");
    within("its end", client.close()).await.expect("a good end");
    agents.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_knows_nothing_of_us_answers_too() {
    amgi_brokers_tests::init_logs();
    let mut target = Target::start(&[(200, &[("content-type", "text/plain")], "Bonjour")]).await;
    let url = target.url();
    // It receives nothing but replies, and those are responses: it does not listen.
    let client = Client::start(desk::replies(), |app, stop| Server::new(app).url(url).stop(&stop).serve())
        .await
        .expect("a client");
    let translated = Sender::from(&client).translate(hello()).timeout(Duration::from_secs(5)).await;
    assert_eq!(translated.expect("a reply").payload, "Bonjour");
    assert!(!target.next().await.header("correlation-id").is_empty());
    within("its end", client.close()).await.expect("a good end");
}
