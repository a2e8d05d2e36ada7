//! Sends: requests to where an address is.
//!
//! What must hold: a send is fine when it was answered with success, and not before; who sends is told to nobody but the server that
//! it is for.

use std::{future::Future, pin::Pin, sync::OnceLock, time::Duration};

use amgi::{ByteString, Bytes, Message, MessageSend, Result, SendError, SendFuture, server::Backoff};
use axum::http::{HeaderMap, HeaderValue, Method, header};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use reqwest::{Client, Response, StatusCode, Url, redirect};
use tokio::time::{Instant, sleep};
use tracing::debug;

use crate::{
    BrokerError,
    config::{Config, Login},
    event::{self, Envelope, Kind, Spelling},
    message,
    places::{Place, Places},
    tls,
};

/// How much of what a server says about a refusal is read.
const MOST_SAID: usize = 16 * 1024;
/// How much of it is told.
const MOST_TOLD: usize = 300;

type Delivery = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Where answers to sends go, if anybody may wait for one.
pub(crate) struct Answers {
    /// Addresses of channels that replies come from.
    pub(crate) addresses: Vec<ByteString>,
    pub(crate) deliver: Box<dyn Fn(Message) -> Delivery + Send + Sync>,
}

/// The server's `send`.
pub(crate) struct Outbox {
    client: Client,
    url: Option<Url>,
    login: Option<HeaderValue>,
    places: std::sync::Arc<Places>,
    envelope: Envelope,
    timeout: Duration,
    backoff: Backoff,
    max_body: usize,
    /// Known when the application has started.
    pub(crate) answers: OnceLock<Answers>,
}

/// A request that can be made again.
struct Ready {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
}

/// Why an attempt failed.
struct Failed {
    text: String,
    /// Whether the time was up.
    late: bool,
    again: Again,
}

/// Whether another attempt may succeed, and when.
enum Again {
    Never,
    Later,
    After(Duration),
}

impl Outbox {
    pub(crate) fn new(
        config: &Config,
        places: std::sync::Arc<Places>,
        envelope: Envelope,
        encrypts: bool,
    ) -> Result<Self> {
        let needed = encrypts || config.url.as_ref().is_some_and(|url| url.scheme() == "https");
        let tls = tls::client(needed, config.ca_file.as_deref(), config.client.as_ref())?;
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(config.connect_timeout)
            // Another method or another body may be what a redirection makes of a send.
            .redirect(redirect::Policy::none())
            .user_agent(concat!("amgi-http/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| amgi::Error::Broker(Box::new(BrokerError(chain(&error)))))?;
        let login = config.login.as_ref().map(|login| match login {
            Login::Password(user, password) => {
                format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.0)))
            }
            Login::Token(token) => format!("Bearer {}", token.0),
        });
        let secret = |text: String| {
            let mut value = HeaderValue::from_str(&text)
                .map_err(|_| amgi::Error::Config("token: no header in HTTP can hold it".to_owned()))?;
            value.set_sensitive(true);
            Ok::<_, amgi::Error>(value)
        };
        Ok(Self {
            client,
            url: config.url.clone(),
            login: login.map(secret).transpose()?,
            places,
            envelope,
            timeout: config.send_timeout,
            backoff: config.reconnect,
            max_body: config.max_body,
            answers: OnceLock::new(),
        })
    }

    /// What is to be sent, or why it cannot be.
    fn ready(&self, message: &Message) -> std::result::Result<Ready, String> {
        let place = self.places.place(&message.address)?;
        let base = || {
            self.url
                .as_ref()
                .ok_or("nothing says where sends go: the option `url`, or a server of the document")
        };
        let mut url = match &place {
            Place::Base => base()?.clone(),
            Place::Path(path) => {
                let mut url = base()?.clone();
                url.set_path(&format!("{}{path}", url.path().trim_end_matches('/')));
                url
            }
            Place::Url(url) => Url::parse(url).map_err(|error| format!("`{url}`: {error}"))?,
        };
        let query = message::query(message)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let event::Written { mut headers, body } =
            self.envelope.write(message, &message.address, place == Place::Base)?;
        message::bound_headers(message, &mut headers)?;
        let ours = self.url.as_ref().is_some_and(|ours| ours.origin() == url.origin());
        if let Some(login) = self.login.as_ref().filter(|_| ours) {
            headers.entry(header::AUTHORIZATION).or_insert(login.clone());
        }
        Ok(Ready { method: message::method(message)?, url, headers, body })
    }

    /// Sends until it is taken, refused, or too late.
    async fn deliver(&self, ready: &Ready) -> std::result::Result<Response, String> {
        let until = Instant::now() + self.timeout;
        let mut tries = 0_u32;
        let mut before: Option<String> = None;
        loop {
            let mut failed = match self.attempt(ready, until).await {
                Ok(response) => return Ok(response),
                Err(failed) => failed,
            };
            // That there was no time for the last attempt says less than what was wrong before.
            if let Some(before) = before.take().filter(|_| failed.late) {
                failed.text = before;
            }
            tries = tries.saturating_add(1);
            let pause = match failed.again {
                Again::Never => return Err(failed.text),
                Again::Later => self.backoff.pause(tries),
                Again::After(pause) => pause,
            };
            if Instant::now() + pause >= until {
                return Err(format!("{}; given up after {tries} attempts", failed.text));
            }
            debug!(url = %ready.url, tries, ?pause, error = failed.text, "sending again");
            before = Some(failed.text);
            sleep(pause).await;
        }
    }

    async fn attempt(&self, ready: &Ready, until: Instant) -> std::result::Result<Response, Failed> {
        let request = self
            .client
            .request(ready.method.clone(), ready.url.clone())
            .headers(ready.headers.clone())
            .body(ready.body.clone())
            .timeout(until.saturating_duration_since(Instant::now()));
        let response = request.send().await.map_err(|error| Failed {
            text: chain(&error),
            late: error.is_timeout(),
            again: if error.is_builder() { Again::Never } else { Again::Later },
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let after = response.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
        let after = after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
        let again = match status {
            StatusCode::REQUEST_TIMEOUT
            | StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => after.map_or(Again::Later, Again::After),
            _ => Again::Never,
        };
        let said = said(response).await;
        let colon = if said.is_empty() { "" } else { ": " };
        Err(Failed { late: false, text: format!("{} answers {status}{colon}{said}", ready.url), again })
    }

    /// Gives an answer to who waits for one.
    async fn answered(&self, request: &Message, mut response: Response) {
        let Some(answers) = self.answers.get() else { return };
        let headers = response.headers().clone();
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = response.chunk().await {
            if body.len() + chunk.len() > self.max_body {
                debug!(address = &*request.address, "an answer that is too large; ignored");
                return;
            }
            body.extend_from_slice(&chunk);
        }
        if body.is_empty() {
            return;
        }
        let read = Kind::of(&headers)
            .and_then(|kind| event::incoming(kind, &headers, body.into(), &Spelling::default()));
        let Some(mut reply) = read.ok().filter(|all| all.len() == 1).and_then(|mut all| all.pop()) else {
            debug!(address = &*request.address, "an answer that is no message; ignored");
            return;
        };
        let Some(address) = answers.address(request, &reply) else {
            debug!(address = &*request.address, "an answer that nobody waits for; ignored");
            return;
        };
        reply.address = address;
        // The answer belongs to the request, whether it says so or not.
        for (name, value) in &request.headers {
            let name = String::from_utf8_lossy(name);
            if !name.starts_with("ce-") && name != "content-type" && reply.headers.get(&name).is_none() {
                reply.headers.push(name.into_owned(), value.clone());
            }
        }
        (answers.deliver)(reply).await;
    }
}

impl Answers {
    /// The address of the channel that an answer belongs to: what the request names, the only one, or the type of the answer.
    fn address(&self, request: &Message, reply: &Message) -> Option<ByteString> {
        let named =
            |address: &&ByteString| request.headers.iter().any(|(_, value)| *value == address.as_bytes());
        let kind = event::event_type(reply);
        let typed = |address: &&ByteString| kind == Some(&***address);
        match self.addresses.as_slice() {
            [only] => Some(only),
            all => all.iter().find(named).or_else(|| all.iter().find(typed)),
        }
        .cloned()
    }
}

impl MessageSend for Outbox {
    fn send(&self, message: Message) -> SendFuture<'_> {
        let ready = match self.ready(&message) {
            Ok(ready) => ready,
            Err(error) => return SendFuture::ready(Err(SendError::new(message.address.to_string(), error))),
        };
        SendFuture::pending(async move {
            match self.deliver(&ready).await {
                Ok(response) => {
                    self.answered(&message, response).await;
                    Ok(())
                }
                Err(error) => Err(SendError::new(message.address.to_string(), error)),
            }
        })
    }
}

/// What a server says about a refusal: the detail of a problem, or the beginning of a text.
async fn said(mut response: Response) -> String {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MOST_SAID {
            break;
        }
    }
    let problem: Option<serde_json::Value> = serde_json::from_slice(&body).ok();
    let detail = problem.as_ref().and_then(|problem| problem.get("detail")?.as_str());
    let text = detail.map_or_else(|| String::from_utf8_lossy(&body).into_owned(), str::to_owned);
    text.chars().filter(|c| !c.is_control()).take(MOST_TOLD).collect()
}

/// An error with its causes: reqwest's own text says little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
