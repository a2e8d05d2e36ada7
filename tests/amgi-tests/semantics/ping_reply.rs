//! AsyncAPI 3.0, any protocol: the reply's address and the correlation id come from the request's headers.

use amgi::{Context, Failure, Message, testing::TestApp};
use serde_json::json;

use crate::{
    common::{header, json, only},
    ping_reply::{Ping, PingHandler, Pong, PongHeaders, app, types::PongPayload},
};

struct Service;

impl PingHandler for Service {
    type Error = Failure;

    async fn ping_request(&self, request: Ping, _: &Context) -> Result<Pong, Failure> {
        // Left open, the id of the request is taken over.
        let request_id = (request.payload == Default::default()).then(|| OWN.to_owned());
        let event = "pong".parse().ok();
        Ok(Pong { payload: PongPayload { event }, headers: PongHeaders { request_id } })
    }
}

/// The document wants UUIDs.
const ASKED: &str = "5b0c7f0e-7c0a-4b52-9d53-1f1f2a2b3c4d";
const OWN: &str = "0d9f6a52-54a4-4d9c-8a6e-6f1f0f6f7a11";

fn ping(payload: &'static str) -> Message {
    Message::new("v3.issue145.ping").header("requestId", ASKED).payload(payload)
}

#[tokio::test]
async fn the_reply_names_its_request() {
    let app = TestApp::start(app(Service)).await.expect("it starts");
    let delivered = app.deliver(ping(r#"{"event": "ping"}"#).header("replyTo", "answers.1")).await;
    delivered.assert_acked();
    let sent = only(&delivered.sends);
    assert_eq!(sent.address, "answers.1");
    assert_eq!(header(sent, "requestId"), Some(ASKED));
    assert_eq!(json(sent), json!({"event": "pong"}));

    let own = app.deliver(ping("{}").header("replyTo", "answers.2")).await;
    let sent = only(&own.sends);
    assert_eq!((sent.address.as_ref() as &str, header(sent, "requestId")), ("answers.2", Some(OWN)));
    assert_eq!(sent.headers.len(), 1);
}

#[tokio::test]
async fn without_an_address_there_is_no_reply() {
    let app = TestApp::start(app(Service)).await.expect("it starts");
    let lost = app.deliver(ping(r#"{"event": "ping"}"#)).await;
    lost.assert_rejected("/replyTo");
    assert!(lost.sends.is_empty());
    let wrong = app.deliver(ping(r#"{"event": "pong"}"#).header("replyTo", "answers.1")).await;
    wrong.assert_rejected("/event");
}
