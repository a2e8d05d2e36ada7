//! `amgi-http` against a client and a receiver that share nothing with it: hyper alone, and sockets.

mod limits;
mod process;
mod receiving;
mod replies;
mod sending;

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use amgi::{
    Application, BindingInfo, Bytes, ChannelInfo, Message, OperationInfo,
    server::{Backoff, Policy, Stop},
};
use amgi_brokers_tests::{App, Running, init_logs, within};
use amgi_http::Server;
use http_body_util::{BodyExt, Full};
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, body::Incoming, server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinHandle,
};

/// The content type of an event in a body, and of a list of them.
const STRUCTURED: &str = "application/cloudevents+json";
const BATCH: &str = "application/cloudevents-batch+json";

/// A channel of that address and nothing else.
fn channel(address: &'static str) -> ChannelInfo {
    ChannelInfo::new(address, address)
}

/// A channel with an operation that has this HTTP binding, as JSON.
fn bound(address: &'static str, json: &'static str) -> ChannelInfo {
    let bindings: &'static [BindingInfo] = Box::leak(Box::new([BindingInfo { protocol: "http", json }]));
    let operation = OperationInfo { name: "receive", bindings, messages: &[] };
    ChannelInfo { operations: Box::leak(Box::new([operation])), ..channel(address) }
}

fn quick() -> Backoff {
    Backoff { first: Duration::from_millis(10), most: Duration::from_millis(50), jitter: false }
}

/// A server with pauses that a test can wait for, on a free port.
fn server(app: App) -> Server<App> {
    init_logs();
    let policy = Policy { attempts: 2, backoff: quick(), ..Policy::default() };
    Server::new(app).listen("127.0.0.1:0").policy(policy).reconnect(quick())
}

/// Serves, and says where.
async fn start<A: Application>(server: Server<A>) -> (Running, SocketAddr) {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = server.on_listening(move |at| {
        let _ = tell.send(at);
    });
    let running = Running::serve(|stop: &Stop, ready| server.stop(stop).on_ready(ready).serve()).await;
    (running, told.recv().await.expect("an address"))
}

/// What a request is answered with.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The detail of a problem.
    fn detail(&self) -> String {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        problem["detail"].as_str().expect("a detail").to_owned()
    }
}

/// Makes a request.
async fn ask(at: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let asked = async {
        let stream = TcpStream::connect(at).await.expect("a server");
        let (mut client, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.expect("HTTP");
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method.parse::<Method>().expect("a method"))
            .uri(path)
            .header("host", "x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).expect("a request");
        let response = client.send_request(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    };
    within("an answer", asked).await
}

async fn post(at: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    ask(at, "POST", path, headers, body).await
}

/// The headers of an event of this type.
fn event(kind: &str) -> [(&str, &str); 5] {
    [
        ("ce-specversion", "1.0"),
        ("ce-id", "1"),
        ("ce-source", "/test"),
        ("ce-type", kind),
        ("content-type", "application/json"),
    ]
}

/// The next message that the application was given.
async fn next(began: &mut mpsc::UnboundedReceiver<Message>) -> Message {
    within("a message", began.recv()).await.expect("a message")
}

fn header<'m>(message: &'m Message, name: &str) -> Option<&'m str> {
    message.headers.get(name).map(|value| std::str::from_utf8(value).expect("text"))
}

fn text(message: &Message) -> &str {
    message.payload.as_deref().map_or("", |payload| std::str::from_utf8(payload).expect("text"))
}

fn binding<'m>(message: &'m Message, field: &str) -> Option<&'m str> {
    message.bindings.get("http", field).and_then(|value| value.as_str())
}

/// A request that a receiver got.
#[derive(Debug)]
struct Got {
    method: String,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

/// What a receiver answers: status, headers, body.
type Says = (u16, &'static [(&'static str, &'static str)], &'static str);

/// Somebody who is sent to: answers what it is told to, one after the other, and then 204.
struct Target {
    at: SocketAddr,
    got: mpsc::UnboundedReceiver<Got>,
    task: JoinHandle<()>,
}

impl Drop for Target {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Target {
    async fn start(says: &[Says]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let at = listener.local_addr().expect("its address");
        let says = Arc::new(Mutex::new(VecDeque::from(says.to_vec())));
        let (tell, got) = mpsc::unbounded_channel();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (says, tell) = (says.clone(), tell.clone());
                let service = service_fn(move |request: Request<Incoming>| {
                    let (says, tell) = (says.clone(), tell.clone());
                    async move {
                        let (head, body) = request.into_parts();
                        let got = Got {
                            method: head.method.to_string(),
                            path: head.uri.to_string(),
                            headers: head.headers,
                            body: body.collect().await?.to_bytes(),
                        };
                        let _ = tell.send(got);
                        let (status, headers, body) =
                            says.lock().unwrap().pop_front().unwrap_or((204, &[], ""));
                        let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
                        for (name, value) in headers {
                            response = response.header(*name, *value);
                        }
                        Ok::<_, hyper::Error>(
                            response.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap(),
                        )
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { at, got, task }
    }

    fn url(&self) -> String {
        format!("http://{}/in", self.at)
    }

    async fn next(&mut self) -> Got {
        within("a request", self.got.recv()).await.expect("a request")
    }
}
