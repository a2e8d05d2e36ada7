//! `amgi-http` between a sender and a receiver of its own: both speak HTTP by hyper alone.
//!
//! There is no broker in HTTP. What stands for it is the sender, which sends once, or again until it is answered with success, to
//! one of the instances that run, as a load balancer does; and the receiver, where the application's sends go.

use std::{
    collections::VecDeque,
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use amgi::{Application, Bindings, ByteString, Bytes, Message, server::Backoff};
use amgi_conformance::{Abilities, Ability, Run, Subject, Watch};
use amgi_http::Server;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, StatusCode,
    body::Incoming,
    header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Notify, OnceCell, mpsc},
    task::JoinSet,
    time::sleep,
};

use super::Placed;

/// How many requests the sender makes at a time: more than the server lets in.
const AT_A_TIME: usize = 300;
/// Its pause before it sends again.
const PAUSE: Duration = Duration::from_millis(20);
/// Where nobody may send.
const REFUSED: &str = "refused.here";
/// The query that the suite's messages have, and what it is as a binding.
const QUERY: (&str, &str) = ("a=1&b=x%20y", r#"{"a":"1","b":"x y"}"#);

/// `amgi-http`.
pub struct Http {
    retries: bool,
    sender: Arc<Sender>,
    receiver: OnceCell<Receiver>,
    tasks: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct Sender {
    waiting: Mutex<VecDeque<Message>>,
    more: Notify,
    instances: Mutex<Vec<SocketAddr>>,
    turn: AtomicUsize,
}

/// Who watches which address.
type Watches = Arc<Mutex<Vec<(ByteString, mpsc::UnboundedSender<Message>)>>>;

/// Where sends go.
struct Receiver {
    address: SocketAddr,
    watches: Watches,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Http {
    /// With a sender that sends again what was not answered with success.
    pub fn retried() -> Self {
        Self::new(true)
    }

    /// With a sender that sends once.
    pub fn once() -> Self {
        Self::new(false)
    }

    fn new(retries: bool) -> Self {
        Self { retries, sender: Arc::default(), receiver: OnceCell::new(), tasks: Mutex::default() }
    }

    async fn receiver(&self) -> &Receiver {
        self.receiver
            .get_or_init(async || {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                let address = listener.local_addr().expect("its address");
                let watches = Arc::default();
                lock(&self.tasks).spawn(receive(listener, Arc::clone(&watches)));
                for _ in 0..AT_A_TIME {
                    lock(&self.tasks).spawn(send(self.sender.clone(), self.retries));
                }
                Receiver { address, watches }
            })
            .await
    }
}

/// Sends what waits.
async fn send(sender: Arc<Sender>, retries: bool) {
    loop {
        let next = lock(&sender.waiting).pop_front();
        let Some(message) = next else {
            sender.more.notified().await;
            continue;
        };
        let instance = {
            let instances = lock(&sender.instances);
            let turn = sender.turn.fetch_add(1, Ordering::SeqCst);
            (!instances.is_empty()).then(|| instances[turn % instances.len()])
        };
        let taken = match instance {
            Some(instance) => post(instance, &message).await.is_some_and(|status| status.is_success()),
            None => false,
        };
        if !taken && retries {
            sleep(PAUSE).await;
            lock(&sender.waiting).push_back(message);
        }
    }
}

/// The answer to a message that is sent to where its address is a path; `None` when there is none.
async fn post(to: SocketAddr, message: &Message) -> Option<StatusCode> {
    let stream = TcpStream::connect(to).await.ok()?;
    let (mut client, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.ok()?;
    let query = message.bindings.get("http", "query").map_or(String::new(), |_| format!("?{}", QUERY.0));
    let mut request = Request::post(format!("/{}{query}", message.address)).header(HOST, to.to_string());
    for (name, value) in &message.headers {
        request = request.header(&name[..], &value[..]);
    }
    if message.payload.as_ref().is_some_and(Bytes::is_empty) {
        // It says that there is a content.
        request = request.header(CONTENT_TYPE, "application/octet-stream");
    }
    let request = request.body(Full::new(message.payload.clone().unwrap_or_default())).expect("a request");
    let answered = async {
        let response = client.send_request(request).await.ok()?;
        let status = response.status();
        response.into_body().collect().await.ok()?;
        Some(status)
    };
    let mut answered = std::pin::pin!(answered);
    tokio::select! {
        status = &mut answered => status,
        // The answer may have come with its end.
        _ = connection => answered.await,
    }
}

/// Takes what is sent.
async fn receive(listener: TcpListener, watches: Watches) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let watches = watches.clone();
        connections.spawn(async move {
            let service = service_fn(move |request| take(request, watches.clone()));
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn take(request: Request<Incoming>, watches: Watches) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let text = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return Ok(answer(StatusCode::BAD_REQUEST)),
    };
    let address = ByteString::from(text("ce-type"));
    let whole = ["ce-id", "ce-source", "ce-time"].iter().all(|name| !text(name).is_empty());
    if address == *REFUSED || head.uri.path() != "/events" || !whole || text("ce-specversion") != "1.0" {
        return Ok(answer(StatusCode::FORBIDDEN));
    }
    let mut message = Message::new(address.clone());
    message.payload = (!body.is_empty() || head.headers.contains_key(CONTENT_TYPE)).then_some(body);
    for (name, value) in &head.headers {
        if !is_envelope(name) {
            message.headers.push(name.as_str().to_owned(), HeaderValue::as_bytes(value).to_vec());
        }
    }
    if head.uri.query() == Some("a=1&b=x+y") {
        message.bindings.set("http", "query", QUERY.1);
    }
    for (watched, saw) in lock(&watches).iter() {
        if *watched == address {
            let _ = saw.send(message.clone());
        }
    }
    Ok(answer(StatusCode::ACCEPTED))
}

fn answer(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// What every request of the server has.
fn is_envelope(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("ce-")
        || ["accept", "content-length", "content-type", "host", "user-agent"].contains(&name)
}

/// Takes an instance out when it ends.
struct Runs(Arc<Sender>, Arc<Mutex<Option<SocketAddr>>>);

impl Drop for Runs {
    fn drop(&mut self) {
        if let Some(address) = lock(&self.1).take() {
            lock(&self.0.instances).retain(|other| *other != address);
        }
    }
}

impl Subject for Http {
    fn name(&self) -> &'static str {
        if self.retries { "HTTP, retried" } else { "HTTP, sent once" }
    }

    fn abilities(&self) -> Abilities {
        let all = Abilities::all()
            .without(Ability::HeaderOrder, "The order of headers with different names is lost.")
            .without(
                Ability::BinaryHeaders,
                "Headers have no control characters: a send with another one is an error.",
            )
            .without(Ability::Order, "Requests have no order; a sender that waits for each answer has one.")
            .without(
                Ability::BrokerLoss,
                "There is no broker that could be missing or go away; a send that reaches nobody is an error.",
            );
        if self.retries {
            return all;
        }
        all.without(
            Ability::Redelivery,
            "What a sender sends once comes once: what was nacked, or was in a handler when the process died, is the sender's business.",
        )
        .without(Ability::Queueing, "What is sent once while no server is there is gone.")
        .without(Ability::Nack, "A nack is told to the sender; what it sent once does not come again.")
        .without(
            Ability::BackPressure,
            "What is too much is answered with 503; what was sent once is gone then.",
        )
    }

    fn bindings(&self) -> Bindings {
        let mut bindings = Bindings::default();
        bindings.set("http", "query", QUERY.1);
        bindings
    }

    fn refused(&self) -> Option<ByteString> {
        Some(REFUSED.into())
    }

    async fn serve<A: Application>(&self, app: A, run: Run) -> amgi::Result<()> {
        let quick =
            Backoff { first: Duration::from_millis(10), most: Duration::from_millis(100), jitter: false };
        let url = format!("http://{}/events", self.receiver().await.address);
        let (sender, address) = (self.sender.clone(), Arc::<Mutex<Option<SocketAddr>>>::default());
        let _runs = Runs(sender.clone(), address.clone());
        Server::new(app)
            .url(url)
            .listen("127.0.0.1:0")
            .concurrency(run.concurrency)
            .policy(run.policy)
            .shutdown_deadline(run.shutdown_deadline)
            .send_timeout(run.send_timeout)
            .reconnect(quick)
            .stop(&run.stop)
            .on_listening(move |at| {
                *lock(&address) = Some(at);
                lock(&sender.instances).push(at);
                run.ready.tell();
            })
            .serve()
            .await
    }

    async fn publish(&self, messages: &[Message]) {
        self.receiver().await;
        for message in messages {
            lock(&self.sender.waiting).push_back(message.clone());
            self.sender.more.notify_one();
        }
        self.sender.more.notify_waiters();
    }

    async fn watch(&self, address: &str) -> Watch {
        let (saw, messages) = mpsc::unbounded_channel();
        lock(&self.receiver().await.watches).push((address.into(), saw));
        Watch::new(messages, ())
    }
}

impl Placed for Http {
    async fn place(&self, _: &[&str]) -> String {
        let receiver = self.receiver().await;
        let service = SocketAddr::from(([127, 0, 0, 1], crate::free_port()));
        lock(&self.sender.instances).push(service);
        format!("http://{}/events?listen={service}&path=/", receiver.address)
    }
}
