//! From init to SIGTERM, over a runtime API of the test's own.

use std::{
    collections::VecDeque,
    process::Stdio,
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use amgi::{
    Application, ChannelInfo, Context, Message, Outgoing, ServerInfo, Settlement, StartupError, State,
};
use axum::{
    Router,
    extract::{Path, State as Given},
    http::{HeaderMap, StatusCode},
    response::IntoResponse,
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    net::TcpListener,
    process::{Child, Command},
    sync::Notify,
    time::timeout,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// What the child writes, line by line, is what happened.
fn say(text: &str) {
    use std::io::Write as _;
    let mut out = std::io::stderr();
    let _ = writeln!(out, "SAYS {text}");
}

struct App;

impl Application for App {
    fn channels(&self) -> &[ChannelInfo] {
        &[]
    }

    fn servers(&self) -> &[ServerInfo] {
        cli::DOCUMENT.servers
    }

    async fn startup(&self, state: &mut State) -> Result<(), StartupError> {
        say("startup");
        state.insert(42_u32);
        match std::env::var("AMGI_TEST_STARTUP") {
            Ok(why) => Err(StartupError::new(why)),
            Err(_) => Ok(()),
        }
    }

    async fn message(&self, cx: &Context) -> Settlement {
        assert_eq!(cx.state().get::<u32>(), Some(&42));
        let payload =
            String::from_utf8_lossy(cx.message().payload.as_deref().unwrap_or_default()).into_owned();
        say(&format!("begins {payload}"));
        if payload == "slow" {
            tokio::time::sleep(Duration::from_millis(800)).await;
        }
        if payload == "send" {
            let answer = Message::new("answer").payload("for one");
            Outgoing::new(cx.sender(), Ok(answer)).on(&["one"]).await.unwrap();
            cx.send(Message::new("answer").payload("for SQS")).await.unwrap();
            Outgoing::new(cx.sender(), Ok(Message::new("answer").payload("for two")))
                .on(&["two"])
                .await
                .unwrap();
        }
        say(&format!("ends {payload}"));
        if payload == "fail" { Settlement::Unsettled } else { Settlement::Ack }
    }

    async fn shutdown(&self) -> Result<(), StartupError> {
        say("shutdown");
        Ok(())
    }
}

/// A document with two servers, of which one is sent to by an operation.
mod cli {
    use amgi::{
        Application, Document, Result, ServerInfo,
        contract::{Place, SendInfo},
        memory::{Event, Hub, Server},
        protocol::{Endpoint, Protocol, ProtocolInfo},
    };

    const SERVERS: &[ServerInfo] = &[server("one", "one"), server("two", "sqs"), server("three", "unspoken")];

    const fn server(name: &'static str, protocol: &'static str) -> ServerInfo {
        ServerInfo { name, protocol, scheme: "", host: "localhost", path: "", bindings: &[] }
    }

    pub(crate) const DOCUMENT: Document = Document {
        title: "Test",
        version: "1",
        json: "{}",
        servers: SERVERS,
        receives: &[],
        sends: &[SendInfo {
            name: "answer",
            channel: Place { name: "answer", address: Some("answer"), servers: &["one"], check: |_| Ok(()) },
            messages: &[],
            bindings: |_| (),
        }],
    };

    static ONE: ProtocolInfo =
        ProtocolInfo { name: "one", protocols: &["one"], schemes: &["one"], options: &[] };
    static TWO: ProtocolInfo =
        ProtocolInfo { name: "two", protocols: &["sqs"], schemes: &["two"], options: &[] };

    /// Says what it sends.
    pub(crate) struct Out(pub(crate) &'static str);

    impl Protocol for Out {
        fn info(&self) -> &'static ProtocolInfo {
            if self.0 == "one" { &ONE } else { &TWO }
        }

        async fn serve<A: Application>(&self, app: A, endpoint: Endpoint) -> Result<()> {
            let name = self.0;
            assert!(endpoint.passing && app.channels().is_empty(), "it is for sends alone");
            super::say(&format!("{name} starts"));
            let says = move |event: Event<'_>| {
                if let Event::Sent(message) = event {
                    let payload = message.payload.as_deref().unwrap_or_default();
                    super::say(&format!("{name} sends {}", String::from_utf8_lossy(payload)));
                }
            };
            let served = Server::new(app).hub(&Hub::new()).observe(says).stop(&endpoint.stop).serve().await;
            super::say(&format!("{name} stops"));
            served
        }
    }
}

/// The function's process: this program again, with only this test. Without Lambda it does nothing.
#[tokio::test]
async fn bootstrap() {
    if std::env::var_os("AMGI_TEST_BOOTSTRAP").is_none() {
        return;
    }
    if std::env::var_os("AMGI_TEST_CLI").is_some() {
        let app = amgi::cli::App::new(cli::DOCUMENT, || App).protocol(amgi_lambda::protocol());
        let code = app.protocol(cli::Out("one")).protocol(cli::Out("two")).run_with(["app"]).await;
        return say(&format!("{code:?}"));
    }
    let served = amgi_lambda::Server::new(App).env().on_ready(|| say("ready")).serve().await;
    match served {
        Ok(()) => say("ended"),
        Err(error) => say(&format!("failed: {error}")),
    }
}

/// The test's side of the runtime API.
#[derive(Clone, Default)]
struct Api(Arc<Inner>);

#[derive(Default)]
struct Inner {
    events: Mutex<VecDeque<(String, u64)>>,
    more: Notify,
    /// Path and body of what was told.
    told: Mutex<Vec<(String, Value)>>,
    news: Notify,
}

impl Api {
    fn push(&self, event: &impl ToString, left: Duration) {
        let deadline = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap() + left;
        let deadline = u64::try_from(deadline.as_millis()).unwrap();
        self.0.events.lock().unwrap().push_back((event.to_string(), deadline));
        self.0.more.notify_one();
    }

    fn note(&self, path: impl Into<String>, body: &str) {
        let body = serde_json::from_str(body).unwrap_or(Value::Null);
        self.0.told.lock().unwrap().push((path.into(), body));
        self.0.news.notify_one();
    }

    /// The body of the next request that is told to this path.
    async fn told(&self, path: &str) -> Value {
        let found = async {
            loop {
                let news = self.0.news.notified();
                {
                    let mut told = self.0.told.lock().unwrap();
                    if let Some(at) = told.iter().position(|(known, _)| known == path) {
                        return told.remove(at).1;
                    }
                }
                news.await;
            }
        };
        let found = timeout(PATIENCE, found).await;
        found.unwrap_or_else(|_| panic!("nothing was told to {path}: {:?}", self.0.told.lock().unwrap()))
    }

    async fn serve(&self, with_extensions: bool) -> String {
        let mut router = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/{what}", post(answer))
            .route("/2018-06-01/runtime/init/error", post(init_error));
        if with_extensions {
            router = router
                .route("/2020-01-01/extension/register", post(register))
                .route("/2020-01-01/extension/event/next", get(extension_next));
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = listener.local_addr().unwrap().to_string();
        let router = router.with_state(self.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        place
    }
}

async fn next(Given(api): Given<Api>) -> impl IntoResponse {
    let (event, deadline) = loop {
        let more = api.0.more.notified();
        if let Some(event) = api.0.events.lock().unwrap().pop_front() {
            break event;
        }
        more.await;
    };
    let headers = [
        ("lambda-runtime-aws-request-id", "id".to_owned()),
        ("lambda-runtime-deadline-ms", deadline.to_string()),
        ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:eu-west-1:1:function:f".to_owned()),
    ];
    (headers, event)
}

async fn answer(Given(api): Given<Api>, Path((_, what)): Path<(String, String)>, body: String) -> StatusCode {
    api.note(what, &body);
    StatusCode::ACCEPTED
}

async fn init_error(Given(api): Given<Api>, body: String) -> StatusCode {
    api.note("init", &body);
    StatusCode::ACCEPTED
}

async fn register(Given(api): Given<Api>, headers: HeaderMap, body: String) -> impl IntoResponse {
    assert_eq!(headers["lambda-extension-name"], "amgi");
    api.note("register", &body);
    ([("lambda-extension-identifier", "e-1")], "{}")
}

async fn extension_next(Given(api): Given<Api>, headers: HeaderMap) {
    assert_eq!(headers["lambda-extension-identifier"], "e-1");
    api.note("extension", "");
    std::future::pending::<()>().await;
}

/// A process of the function.
struct Process {
    child: Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStderr>>,
}

impl Process {
    fn start(place: &str, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "bootstrap", "--nocapture"]).env("AMGI_TEST_BOOTSTRAP", "1");
        command.env("AWS_LAMBDA_RUNTIME_API", place);
        for (name, value) in [("NAME", "f"), ("MEMORY_SIZE", "128"), ("VERSION", "1")] {
            command.env(format!("AWS_LAMBDA_FUNCTION_{name}"), value);
        }
        for (name, value) in environment {
            if value.is_empty() {
                command.env_remove(name)
            } else {
                command.env(name, value)
            };
        }
        let mut child =
            command.stderr(Stdio::piped()).stdout(Stdio::null()).kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        Self { child, lines }
    }

    /// The next thing that happened; empty when the process has ended.
    async fn says(&mut self) -> String {
        loop {
            let line = timeout(PATIENCE, self.lines.next_line()).await.expect("it says something").unwrap();
            let Some(line) = line else { return String::new() };
            if let Some((_, said)) = line.split_once("SAYS ") {
                return said.to_owned();
            }
        }
    }

    fn terminate(&self) {
        let pid = rustix::process::Pid::from_raw(self.child.id().unwrap().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    }
}

fn event(bodies: &[&str]) -> Value {
    let record = |(number, body): (usize, &&str)| {
        json!({
            "messageId": format!("m-{number}"), "body": body, "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-west-1:123456789012:orders",
        })
    };
    json!({ "Records": bodies.iter().enumerate().map(record).collect::<Vec<_>>() })
}

#[tokio::test]
async fn from_init_to_sigterm() {
    let api = Api::default();
    let place = api.serve(true).await;
    let mut process = Process::start(&place, &[]);
    assert_eq!(process.says().await, "startup");
    assert_eq!(process.says().await, "ready");
    assert_eq!(api.told("register").await, json!({"events": []}));
    api.told("extension").await;

    api.push(&event(&["a", "fail"]), PATIENCE);
    assert_eq!(api.told("response").await, json!({"batchItemFailures": [{"itemIdentifier": "m-1"}]}));
    // What was no event fails its invocation, and nothing else.
    api.push(&"{}", PATIENCE);
    let error = api.told("error").await;
    assert_eq!(error["errorType"], "Event.Unknown", "{error}");
    api.push(&"no JSON", PATIENCE);
    api.told("error").await;
    api.push(&event(&["b"]), PATIENCE);
    assert_eq!(api.told("response").await, json!({"batchItemFailures": []}));
    for said in ["begins a", "ends a", "begins fail", "ends fail", "begins b", "ends b"] {
        assert_eq!(process.says().await, said);
    }

    // Half of a second is left when the margin is taken off; the handler takes longer.
    api.push(&event(&["slow"]), Duration::from_secs(1));
    assert_eq!(api.told("response").await, json!({"batchItemFailures": [{"itemIdentifier": "m-0"}]}));
    assert_eq!(process.says().await, "begins slow");

    // What is at hand is answered before it ends.
    api.push(&event(&["slow"]), PATIENCE);
    assert_eq!(process.says().await, "begins slow");
    process.terminate();
    assert_eq!(process.says().await, "ends slow");
    assert_eq!(api.told("response").await, json!({"batchItemFailures": []}));
    for said in ["shutdown", "ended", ""] {
        assert_eq!(process.says().await, said);
    }
    assert!(timeout(PATIENCE, process.child.wait()).await.unwrap().unwrap().success());
}

#[tokio::test]
async fn a_lambda_without_extensions_will_do() {
    let api = Api::default();
    let place = api.serve(false).await;
    let mut process = Process::start(&place, &[]);
    assert_eq!(process.says().await, "startup");
    assert_eq!(process.says().await, "ready");
    api.push(&event(&["a"]), PATIENCE);
    assert_eq!(api.told("response").await, json!({"batchItemFailures": []}));
    process.terminate();
    for said in ["begins a", "ends a", "shutdown", "ended", ""] {
        assert_eq!(process.says().await, said);
    }
}

#[tokio::test]
async fn a_startup_that_fails_is_told() {
    let api = Api::default();
    let place = api.serve(true).await;
    let mut process = Process::start(&place, &[("AMGI_TEST_STARTUP", "no database")]);
    assert_eq!(process.says().await, "startup");
    assert_eq!(process.says().await, "failed: startup failed: no database");
    let error = api.told("init").await;
    assert_eq!(error["errorMessage"], "startup failed: no database");
}

#[tokio::test]
async fn without_lambda_it_says_so() {
    let failed = async |name, value| {
        let said = Process::start("127.0.0.1:1", &[(name, value)]).says().await;
        said.strip_prefix("failed: configuration: ").unwrap_or_else(|| panic!("{said}")).to_owned()
    };
    let said = failed("AWS_LAMBDA_RUNTIME_API", "").await;
    assert!(said.starts_with("AWS_LAMBDA_RUNTIME_API is not set"), "{said}");
    let said = failed("AWS_LAMBDA_FUNCTION_NAME", "").await;
    assert_eq!(said, "AWS_LAMBDA_RUNTIME_API is set, but not AWS_LAMBDA_FUNCTION_NAME");
    assert!(failed("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "much").await.contains("megabytes"));
    assert!(failed("AWS_LAMBDA_RUNTIME_API", "no place").await.contains("`no place`"));
}

#[tokio::test]
async fn a_lambda_that_does_not_answer_is_an_error() {
    let mut process = Process::start("127.0.0.1:1", &[]);
    for said in ["startup", "ready"] {
        assert_eq!(process.says().await, said);
    }
    let said = process.says().await;
    // The application had started, so it is shut down.
    assert_eq!(said, "shutdown");
    let said = process.says().await;
    assert!(said.starts_with("failed: "), "{said}");
}

/// The same binary on a command line that has nothing to say.
#[tokio::test]
async fn the_command_line_needs_no_arguments_under_lambda() {
    let api = Api::default();
    let place = api.serve(true).await;
    let mut process = Process::start(&place, &[("AMGI_TEST_CLI", "1")]);
    let mut said = [process.says().await, process.says().await];
    said.sort();
    assert_eq!(said, ["one starts", "startup"], "what no operation sends to is not started yet");
    api.push(&event(&["send"]), PATIENCE);
    assert_eq!(api.told("response").await, json!({"batchItemFailures": []}));
    for said in [
        "begins send",
        "one sends for one",
        "two starts",
        "two sends for SQS",
        "two sends for two",
        "ends send",
    ] {
        assert_eq!(process.says().await, said);
    }
    // Who sends stops after who receives.
    api.push(&event(&["slow"]), PATIENCE);
    assert_eq!(process.says().await, "begins slow");
    process.terminate();
    assert_eq!(process.says().await, "ends slow");
    api.told("response").await;
    let mut said = [process.says().await, process.says().await];
    said.sort();
    assert_eq!(said, ["one stops", "two stops"]);
    assert_eq!(process.says().await, "shutdown");
    let code = process.says().await;
    assert!(code.contains("(0)"), "{code}");
}
