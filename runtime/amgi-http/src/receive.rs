//! From a request to messages, and from what became of them to the answer.
//!
//! What must hold: nothing is answered with success before its handler is done; no more is in memory than the limits allow; whatever
//! comes in, the answer says what is wrong with it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use amgi::{
    Application, BatchInfo, ByteString, ChannelInfo, Message, Result as AmgiResult,
    server::{Outcome, deliver},
};
use axum::{
    body::Body,
    extract::Request,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode,
        header::{self, ALLOW, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, WWW_AUTHENTICATE},
        request::Parts,
    },
};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::{
    sync::{Semaphore, SemaphorePermit, mpsc, oneshot},
    task::JoinSet,
    time::timeout,
};
use tracing::debug;

use crate::{
    answer::{Problem, SOON, empty},
    config::Config,
    event::{self, Envelope, Kind, Mode, Spelling, Unfit},
    lane::{Answered, Job, Lane, Shared, answering},
    message::{self, Expected, PROTOCOL, RESPONSE, field},
    places::{Found, Places},
};

/// The handshake of CloudEvents' webhooks.
const REQUEST_ORIGIN: HeaderName = HeaderName::from_static("webhook-request-origin");
const ALLOWED_ORIGIN: HeaderName = HeaderName::from_static("webhook-allowed-origin");
const ALLOWED_RATE: HeaderName = HeaderName::from_static("webhook-allowed-rate");

/// A channel that is received from.
struct Channel {
    replies: bool,
    batch: bool,
    expected: Expected,
    lane: mpsc::Sender<Job>,
}

/// What requests are given to.
pub(crate) struct Receiver<A> {
    shared: Arc<Shared<A>>,
    places: Arc<Places>,
    channels: Vec<Channel>,
    spelling: Spelling,
    config: Arc<Config>,
    answers: Envelope,
    /// For requests that are here.
    room: Semaphore,
    /// For replies, which do not wait behind requests: handlers wait for them.
    reply_room: Option<Semaphore>,
}

impl<A: Application> Receiver<A> {
    /// Starts the loops that handle messages, in `tasks`.
    pub(crate) fn start(
        shared: Arc<Shared<A>>,
        places: Arc<Places>,
        channels: &[ChannelInfo],
        config: Arc<Config>,
        envelope: &Envelope,
        tasks: &mut JoinSet<()>,
    ) -> AmgiResult<Self> {
        let mut spelling = Spelling::default();
        let mut lane = |batch: Option<BatchInfo>| {
            Lane::start(&shared, config.concurrency, config.inflight, batch, tasks)
        };
        let common = lane(None);
        let mut all = Vec::with_capacity(channels.len());
        for channel in channels {
            let alike = channels.iter().filter(|other| other.address == channel.address);
            all.push(Channel {
                replies: channel.replies,
                batch: channel.batch.is_some(),
                expected: Expected::of(alike, &mut spelling)?,
                lane: channel.batch.map_or_else(|| common.clone(), |batch| lane(Some(batch))),
            });
        }
        let replies = channels.iter().any(|channel| channel.replies);
        Ok(Self {
            room: Semaphore::new(config.inflight),
            reply_room: replies.then(|| Semaphore::new(config.inflight)),
            answers: Envelope { mode: Mode::Binary, ..envelope.clone() },
            channels: all,
            shared,
            places,
            spelling,
            config,
        })
    }

    /// Answers a request.
    pub(crate) async fn receive(&self, request: Request) -> Response<Body> {
        let mut response = self.answer(request).await.unwrap_or_else(|problem| {
            debug!(status = problem.status.as_u16(), detail = problem.detail, "request not accepted");
            problem.response()
        });
        if self.shared.stop.is_requested() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }

    async fn answer(&self, request: Request) -> Result<Response<Body>, Problem> {
        let (head, body) = request.into_parts();
        let found = self.places.find(head.uri.path());
        let post = [Method::POST];
        let (address, methods) = match &found {
            Found::Nothing => {
                return Err(Problem::new(StatusCode::NOT_FOUND, "no channel has this path"));
            }
            Found::Base => (None, &post[..]),
            Found::Channel(address, index) => {
                (Some((address, *index)), &self.channels[*index].expected.methods[..])
            }
        };
        if head.method == Method::OPTIONS && !methods.contains(&Method::OPTIONS) {
            return self.permission(&head.headers, methods);
        }
        if !self.is_permitted(&head.headers) {
            return Ok(unauthorized());
        }
        if !methods.contains(&head.method) {
            let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "the channel has another method");
            let mut response = problem.response();
            response.headers_mut().insert(ALLOW, allowed(methods));
            return Ok(response);
        }
        let kind = Kind::of(&head.headers).map_err(|error| unfit(&error))?;
        if address.is_none() && kind == Kind::Plain {
            let text = "here is the place of events, and the request is none: it has neither the header `ce-type` \
                        nor the content type of events; other messages have the path of their channel";
            return Err(Problem::new(StatusCode::BAD_REQUEST, text));
        }
        self.is_readable(&head.headers)?;
        // Before it is read, the type of an event within a body is not known: it may be a reply.
        let may_be_reply = match address {
            Some((_, index)) => self.channels[index].replies,
            None => self.reply_room.is_some(),
        };
        if self.shared.stop.is_requested() && !may_be_reply {
            return Err(Problem::stopping());
        }
        let (permit, only_replies) = self.enter(may_be_reply)?;
        let body = self.read(body).await?;
        let messages =
            event::incoming(kind, &head.headers, body, &self.spelling).map_err(|error| unfit(&error))?;
        let messages = self.addressed(messages, address, &head, kind != Kind::Batch)?;
        let all_replies = messages.iter().all(|(_, index)| self.channels[*index].replies);
        if self.shared.stop.is_requested() && !all_replies {
            return Err(Problem::stopping());
        }
        if only_replies && !all_replies {
            return Err(full());
        }
        let kinds = kind == Kind::Batch;
        let response_type = match messages.first() {
            Some((message, _)) if kind != Kind::Plain => {
                event::event_type(message).map(|kind| format!("{kind}.reply"))
            }
            _ => None,
        };
        let mut answered = self.dispatch(messages).await?;
        drop(permit);
        if kinds {
            let problems = answered.iter().map(|one| Problem::of(&one.outcome)).collect();
            return Problem::of_all(problems).map_or_else(|| Ok(empty(StatusCode::NO_CONTENT)), Err);
        }
        let Some(Answered { outcome, reply }) = answered.pop() else {
            return Ok(empty(StatusCode::NO_CONTENT));
        };
        match (Problem::of(&outcome), reply) {
            (Some(problem), _) => Err(problem),
            (None, Some(reply)) if outcome == Outcome::Acked => self.reply(&reply, response_type.as_deref()),
            (None, _) => Ok(empty(StatusCode::NO_CONTENT)),
        }
    }

    /// Whether who asks may send.
    fn is_permitted(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.config.listen_token else { return true };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|text| text.split_once(' '));
        given.is_some_and(|(scheme, given)| {
            scheme.eq_ignore_ascii_case("bearer") && same(given.trim().as_bytes(), token.0.as_bytes())
        })
    }

    /// The answer to who asks for permission to send, as CloudEvents' webhooks do.
    fn permission(&self, headers: &HeaderMap, methods: &[Method]) -> Result<Response<Body>, Problem> {
        let mut response = empty(StatusCode::NO_CONTENT);
        response.headers_mut().insert(ALLOW, allowed(methods));
        let Some(origin) = headers.get(REQUEST_ORIGIN) else { return Ok(response) };
        let named =
            |allowed: &String| allowed == "*" || origin.as_bytes().eq_ignore_ascii_case(allowed.as_bytes());
        if !self.config.webhook_origins.iter().any(named) {
            return Err(Problem::new(StatusCode::FORBIDDEN, "this origin may not send here"));
        }
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().insert(ALLOWED_ORIGIN, origin.clone());
        response.headers_mut().insert(ALLOWED_RATE, HeaderValue::from_static("*"));
        Ok(response)
    }

    /// Whether a body of these headers may be read.
    fn is_readable(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if let Some(coding) = headers.get(CONTENT_ENCODING).filter(|coding| *coding != "identity") {
            let text = format!("the content encoding {coding:?} is not read");
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        }
        let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > u64::try_from(self.config.max_body).unwrap_or(u64::MAX)) {
            return Err(self.too_large());
        }
        Ok(())
    }

    fn too_large(&self) -> Problem {
        let text = format!("a body may have {} bytes", self.config.max_body);
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text)
    }

    /// Room for a request; true where it is for replies alone.
    fn enter(&self, may_be_reply: bool) -> Result<(SemaphorePermit<'_>, bool), Problem> {
        if let Ok(permit) = self.room.try_acquire() {
            return Ok((permit, false));
        }
        let replies = self.reply_room.as_ref().filter(|_| may_be_reply);
        replies.and_then(|room| room.try_acquire().ok()).map(|permit| (permit, true)).ok_or_else(full)
    }

    async fn read(&self, body: Body) -> Result<amgi::Bytes, Problem> {
        let limit: Duration = self.config.read_timeout;
        match timeout(limit, Limited::new(body, self.config.max_body).collect()).await {
            Ok(Ok(read)) => Ok(read.to_bytes()),
            Ok(Err(error)) if error.is::<LengthLimitError>() => Err(self.too_large()),
            Ok(Err(error)) => {
                Err(Problem::new(StatusCode::BAD_REQUEST, format!("the body broke off: {error}")))
            }
            Err(_) => {
                let text = format!("the body did not come in within {limit:?}");
                Err(Problem::new(StatusCode::REQUEST_TIMEOUT, text))
            }
        }
    }

    /// The messages with their addresses and bindings: that of the path, or the type of each.
    fn addressed(
        &self,
        messages: Vec<Message>,
        address: Option<(&ByteString, usize)>,
        head: &Parts,
        answers: bool,
    ) -> Result<Vec<(Message, usize)>, Problem> {
        let mut unknown = BTreeSet::new();
        let mut all = Vec::with_capacity(messages.len());
        for mut message in messages {
            let index = match address {
                Some((address, index)) => {
                    message.address = address.clone();
                    index
                }
                None => {
                    let kind = event::event_type(&message).unwrap_or_default();
                    let Some(index) = self.places.channel(kind) else {
                        unknown.insert(kind.to_owned());
                        continue;
                    };
                    message.address = kind.into();
                    index
                }
            };
            let expected = &self.channels[index].expected;
            message.bindings = expected.bindings(&head.method, head.uri.query(), &head.headers);
            if answers {
                message.bindings.set(
                    ByteString::from_static(PROTOCOL),
                    ByteString::from_static(field::REPLY_TO),
                    ByteString::from_static(RESPONSE),
                );
            }
            all.push((message, index));
        }
        if unknown.is_empty() {
            return Ok(all);
        }
        let unknown: Vec<String> = unknown.into_iter().collect();
        let text = format!("no channel takes events of the type `{}`", unknown.join("`, `"));
        Err(Problem::new(StatusCode::NOT_FOUND, text))
    }

    /// Has messages handled, one after the other, but those of channels with batches together.
    async fn dispatch(&self, messages: Vec<(Message, usize)>) -> Result<Vec<Answered>, Problem> {
        enum Waiting {
            Done(Answered),
            Later(oneshot::Receiver<Answered>),
        }
        let mut waiting = Vec::with_capacity(messages.len());
        for (message, index) in messages {
            let channel = &self.channels[index];
            if channel.replies {
                let (cx, _slot) = answering(&self.shared.context, message);
                let outcome = deliver(&*self.shared.app, &cx, &self.shared.policies).await;
                waiting.push(Waiting::Done(Answered { outcome, reply: None }));
                continue;
            }
            let (answer, answered) = oneshot::channel();
            channel.lane.send(Job { message, answer }).await.map_err(|_| Problem::stopping())?;
            waiting.push(if channel.batch {
                Waiting::Later(answered)
            } else {
                Waiting::Done(answered.await.map_err(|_| Problem::stopping())?)
            });
        }
        let mut all = Vec::with_capacity(waiting.len());
        for one in waiting {
            all.push(match one {
                Waiting::Done(answered) => answered,
                Waiting::Later(answered) => answered.await.map_err(|_| Problem::stopping())?,
            });
        }
        Ok(all)
    }

    /// What a handler answers.
    fn reply(&self, reply: &Message, kind: Option<&str>) -> Result<Response<Body>, Problem> {
        let written = self.answers.answer(reply, kind).map_err(|error| {
            tracing::warn!(%error, "the reply cannot be sent");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the reply cannot be sent")
        })?;
        let status = StatusCode::from_u16(message::status(reply)).unwrap_or(StatusCode::OK);
        let bodiless =
            [StatusCode::NO_CONTENT, StatusCode::RESET_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
        let mut response = Response::new(if bodiless { Body::empty() } else { Body::from(written.body) });
        *response.status_mut() = status;
        *response.headers_mut() = written.headers;
        Ok(response)
    }
}

fn unfit(unfit: &Unfit) -> Problem {
    let status = match unfit {
        Unfit::Malformed(_) => StatusCode::BAD_REQUEST,
        Unfit::MediaType(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
    };
    Problem::new(status, unfit.to_string())
}

fn full() -> Problem {
    Problem::later("too many requests are here", SOON)
}

fn unauthorized() -> Response<Body> {
    let mut response = Problem::new(StatusCode::UNAUTHORIZED, "a bearer token is needed").response();
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    response
}

fn allowed(methods: &[Method]) -> HeaderValue {
    let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    HeaderValue::from_str(&names.join(", ")).unwrap_or(HeaderValue::from_static("POST"))
}

/// Whether two texts are the same, in a time that says nothing of where they differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}
