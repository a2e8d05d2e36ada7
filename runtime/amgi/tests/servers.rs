//! One application on several servers.

use std::sync::{Arc, Mutex};

use amgi::{
    Application, ChannelInfo, Context, Error, Message, MessageSend, Outgoing, SendError, ServerInfo, Servers,
    Settlement, StartupError, State,
    memory::{Event, Hub, Queue, Server},
    server::Stop,
};

/// What happened, in order.
#[derive(Clone, Default)]
struct Seen(Arc<Mutex<Vec<String>>>);

impl Seen {
    fn push(&self, text: impl Into<String>) {
        self.0.lock().unwrap().push(text.into());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }

    fn count(&self, text: &str) -> usize {
        self.all().iter().filter(|seen| *seen == text).count()
    }
}

struct App {
    seen: Seen,
    channels: Vec<ChannelInfo>,
    servers: Vec<ServerInfo>,
    starts: bool,
}

fn channel(name: &'static str, servers: &'static [&'static str]) -> ChannelInfo {
    ChannelInfo { servers, ..ChannelInfo::new(name, name) }
}

impl App {
    fn new(seen: &Seen) -> Self {
        let server = |name| ServerInfo {
            name,
            protocol: "memory",
            scheme: "",
            host: "localhost",
            path: "",
            bindings: &[],
        };
        Self {
            seen: seen.clone(),
            channels: vec![channel("both", &[]), channel("left", &["left"]), channel("right", &["right"])],
            servers: vec![server("left"), server("right"), server("third")],
            starts: true,
        }
    }
}

impl Application for App {
    fn channels(&self) -> &[ChannelInfo] {
        &self.channels
    }

    fn servers(&self) -> &[ServerInfo] {
        &self.servers
    }

    async fn startup(&self, state: &mut State) -> Result<(), StartupError> {
        self.seen.push("startup");
        state.insert(42_u32);
        if self.starts { Ok(()) } else { Err(StartupError::new("no database")) }
    }

    async fn message(&self, cx: &Context) -> Settlement {
        assert_eq!(cx.state().get::<u32>(), Some(&42));
        let send = |servers| Outgoing::new(cx.sender(), Ok(Message::new("answer"))).on(servers);
        let result: Result<(), SendError> = match cx.address() {
            "to the right" => send(&["right"]).await,
            "to the third" => send(&["third"]).await,
            _ => send(&[]).await,
        };
        match result {
            Ok(()) => self.seen.push(format!("handled {}", cx.address())),
            Err(error) => self.seen.push(error.to_string()),
        }
        Settlement::Ack
    }

    async fn shutdown(&self) -> Result<(), StartupError> {
        self.seen.push("shutdown");
        Ok(())
    }
}

/// Notes what is sent on a server.
fn observer(seen: &Seen, name: &'static str) -> impl Fn(Event<'_>) + Send + Sync + 'static {
    let seen = seen.clone();
    move |event| {
        if let Event::Sent(message) = event {
            seen.push(format!("{name} sends {}", message.address));
        }
    }
}

/// A queue with these addresses, closed.
fn queue(addresses: &[&'static str]) -> Queue {
    let queue = Queue::new();
    for address in addresses {
        queue.push(Message::new(*address));
    }
    queue.close();
    queue
}

#[tokio::test]
async fn starts_once_and_shuts_down_once() {
    let seen = Seen::default();
    let mut servers = Servers::new(App::new(&seen));
    for name in ["left", "right", "elsewhere"] {
        let (queue, observer) = (queue(&["a", "b"]), observer(&seen, name));
        servers = servers.server(name, move |app, stop| {
            Server::new(app).queue(&queue).stop(&stop).observe(observer).serve()
        });
    }
    servers.serve().await.unwrap();
    let all = seen.all();
    assert_eq!((seen.count("startup"), seen.count("shutdown")), (1, 1));
    assert_eq!((all.first().unwrap().as_str(), all.last().unwrap().as_str()), ("startup", "shutdown"));
    assert_eq!((seen.count("handled a"), seen.count("handled b")), (3, 3));
    for name in ["left", "right", "elsewhere"] {
        assert_eq!(
            seen.count(&format!("{name} sends answer")),
            2,
            "every server sends its own answers: {all:?}"
        );
    }
}

#[tokio::test]
async fn sends_go_to_the_server_of_their_channel() {
    let seen = Seen::default();
    // The right server begins late: the send waits for it.
    let (left, right) = (queue(&["to the right", "to the third", "here"]), Queue::new());
    let (at_left, at_right, closing) = (observer(&seen, "left"), observer(&seen, "right"), right.clone());
    Servers::new(App::new(&seen))
        .server("left", move |app, stop| async move {
            Server::new(app).queue(&left).stop(&stop).observe(at_left).serve().await?;
            closing.close();
            Ok(())
        })
        .server("right", move |app, stop| async move {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            Server::new(app).queue(&right).stop(&stop).observe(at_right).serve().await
        })
        .serve()
        .await
        .unwrap();
    let expected = [
        "startup",
        "right sends answer",
        "handled to the right",
        "could not send to `answer`: its channel is on `third`, and here run `left`, `right`",
        "left sends answer",
        "handled here",
        "shutdown",
    ];
    assert_eq!(seen.all(), expected);
}

#[tokio::test]
async fn servers_for_sends_send_what_others_handle() {
    let seen = Seen::default();
    let (from, hub) = (queue(&["to the right", "to the third", "here"]), Hub::new());
    let (at_left, at_right, at_other) =
        (observer(&seen, "left"), observer(&seen, "right"), observer(&seen, "other"));
    let (right, other) = (hub.clone(), hub);
    Servers::new(App::new(&seen))
        .server("left", move |app, stop| Server::new(app).queue(&from).stop(&stop).observe(at_left).serve())
        .sender("other", move |app, stop| {
            assert!(app.channels().is_empty(), "{:?}", app.channels());
            Server::new(app).hub(&other).stop(&stop).observe(at_other).serve()
        })
        .sender("right", move |app, stop| async move {
            // It begins late, and stops last.
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            Server::new(app).hub(&right).stop(&stop).observe(at_right).serve().await
        })
        .serve()
        .await
        .unwrap();
    let expected = [
        "startup",
        "right sends answer",
        "handled to the right",
        "could not send to `answer`: its channel is on `third`, and here run `left`, `other`, `right`",
        "other sends answer",
        "handled here",
        "shutdown",
    ];
    assert_eq!(seen.all(), expected);
}

/// A service that asks gets its answers by the server that it asks with.
#[tokio::test]
async fn servers_for_sends_receive_replies() {
    let seen = Seen::default();
    let inbox = ChannelInfo { replies: true, ..channel("inbox", &[]) };
    let app = App { channels: vec![channel("orders", &[]), inbox], ..App::new(&seen) };
    let (from, hub) = (queue(&["a"]), Hub::new());
    Servers::new(app)
        .server("from", move |app, stop| Server::new(app).queue(&from).stop(&stop).serve())
        .sender("left", move |app, stop| {
            let names: Vec<&str> = app.channels().iter().map(|channel| channel.name).collect();
            assert_eq!(names, ["inbox"]);
            Server::new(app).hub(&hub).stop(&stop).serve()
        })
        .serve()
        .await
        .unwrap();
    assert_eq!((seen.count("handled a"), seen.count("shutdown")), (1, 1));
}

#[tokio::test]
async fn a_single_server_takes_every_send() {
    let seen = Seen::default();
    let (queue, observer) = (queue(&["to the third"]), observer(&seen, "left"));
    Servers::new(App::new(&seen))
        .server("left", move |app, stop| Server::new(app).queue(&queue).stop(&stop).observe(observer).serve())
        .serve()
        .await
        .unwrap();
    assert_eq!(seen.all(), ["startup", "left sends answer", "handled to the third", "shutdown"]);
}

#[tokio::test]
async fn each_server_gets_its_channels() {
    let seen = Seen::default();
    let mut servers = Servers::new(App::new(&seen));
    for name in ["left", "right", "elsewhere"] {
        let seen = seen.clone();
        servers = servers.server(name, move |app, _| async move {
            let channels: Vec<&str> = app.channels().iter().map(|channel| channel.name).collect();
            let known: Vec<&str> = app.servers().iter().map(|server| server.name).collect();
            seen.push(format!("{name} {channels:?} {known:?}"));
            Ok(())
        });
    }
    servers.serve().await.unwrap();
    let mut all = seen.all();
    all.sort();
    assert_eq!(
        all,
        [
            r#"elsewhere ["both", "left", "right"] []"#,
            r#"left ["both", "left"] ["left"]"#,
            r#"right ["both", "right"] ["right"]"#,
        ]
    );
}

#[tokio::test]
async fn a_server_that_fails_stops_the_others() {
    let seen = Seen::default();
    let waits = Queue::new();
    let error = Servers::new(App::new(&seen))
        .server("left", move |app, stop| Server::new(app).queue(&waits).stop(&stop).serve())
        .server("right", |_, _| async { Err(Error::Config("no such broker".to_owned())) })
        .serve()
        .await
        .unwrap_err();
    assert_eq!(error.to_string(), "configuration: no such broker");
    assert_eq!(seen.all(), ["startup", "shutdown"]);
}

#[tokio::test]
async fn a_startup_that_fails_ends_all() {
    let seen = Seen::default();
    let app = App { starts: false, ..App::new(&seen) };
    let mut servers = Servers::new(app);
    for name in ["left", "right"] {
        servers = servers.server(name, |app, stop| Server::new(app).queue(&Queue::new()).stop(&stop).serve());
    }
    let error = servers.serve().await.unwrap_err();
    assert_eq!(error.to_string(), "startup failed: no database");
    assert_eq!(seen.all(), ["startup"], "what did not start is not shut down");
}

#[tokio::test]
async fn a_stop_ends_all() {
    let (seen, stop) = (Seen::default(), Stop::new());
    let mut servers = Servers::new(App::new(&seen)).stop(&stop);
    for name in ["left", "right"] {
        servers = servers.server(name, |app, stop| Server::new(app).queue(&Queue::new()).stop(&stop).serve());
    }
    let (ended, ()) = tokio::join!(servers.serve(), async { stop.request() });
    ended.unwrap();
    assert!(seen.all().len() <= 2, "{:?}", seen.all());
}

/// What the application puts in place of the sender is for all servers.
#[tokio::test]
async fn a_router_of_the_application_stays() {
    #[derive(Clone)]
    struct Noted(Seen);
    impl MessageSend for Noted {
        fn send(&self, message: Message) -> amgi::SendFuture<'_> {
            self.0.push(format!("router {}", message.address));
            amgi::SendFuture::ready(Ok(()))
        }
    }
    let seen = Seen::default();
    let router = amgi::SendRouter::new().route("answer", Arc::new(Noted(seen.clone()))).unwrap();
    let mut servers = Servers::new(router.around(App::new(&seen)));
    for name in ["left", "right"] {
        let queue = queue(&["a"]);
        servers = servers.server(name, move |app, stop| Server::new(app).queue(&queue).stop(&stop).serve());
    }
    servers.serve().await.unwrap();
    assert_eq!(seen.count("router answer"), 2, "{:?}", seen.all());
}

#[tokio::test]
async fn a_signal_stops_servers_but_not_clients() {
    use amgi::server::Stop;

    let (service, client) = (Stop::new(), Stop::ignoring_signals());
    service.on_signal().unwrap();
    client.on_signal().unwrap();
    let pid = rustix::process::getpid();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    tokio::time::timeout(std::time::Duration::from_secs(10), service.requested()).await.expect("a stop");
    assert!(service.is_requested() && !client.is_requested());
}
