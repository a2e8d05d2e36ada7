//! Requests of generated senders, and replies to this process alone.

use amgi::{Client, server::Stop};
use amgi_amqp::Server;
use amgi_brokers_tests::{Agents, RabbitMq, Running, init_logs, within};

amgi_gen_macro::asyncapi!("../../specs/desk.yaml");

use desk::{FindAgent, FindAgentHeaders, FindAgentReply, Sender, Text, TextHeaders, types::FindAgentPayload};

async fn client(url: String) -> Client {
    let started = Client::start(desk::replies(), |app, stop: Stop| {
        Server::new(app).url(url).group("desk").stop(&stop).serve()
    });
    within("a client", started).await.expect("a client")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_one_group_get_their_own_replies() {
    init_logs();
    let broker = RabbitMq::shared();
    let (url, group) = (broker.url(), RabbitMq::name("agents"));
    let agents = Running::serve(|stop, ready| {
        Server::new(Agents).url(url).group(group).stop(stop).on_ready(ready).serve()
    })
    .await;
    let clients = [client(broker.url()).await, client(broker.url()).await];
    for client in &clients {
        let sender = Sender::from(client);
        for _ in 0..5 {
            let question = FindAgent {
                payload: FindAgentPayload { topic: "printer".to_owned() },
                headers: FindAgentHeaders { correlation_id: None },
            };
            // All of them get it, at the address that the document names.
            let reply = sender.find_agent(question).await.expect("a reply");
            assert!(matches!(reply, FindAgentReply::Agent(agent) if agent.payload.name == "Ada"));
            // Nobody else gets it, at an address that is this client's.
            let headers = TextHeaders { reply_to: None, correlation_id: None };
            let text = Text { payload: "Hello".to_owned(), headers };
            assert_eq!(sender.translate(text).await.expect("a reply").payload, "Hallo");
        }
    }
    for client in clients {
        within("its end", client.close()).await.expect("a good end");
    }
    agents.stop().await;
}
