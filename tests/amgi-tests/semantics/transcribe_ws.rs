//! WebSocket, AsyncAPI 3.0: one address for everything, two messages told apart by a member, a reply, audio as bytes.

use std::{fmt::Debug, sync::Arc};

use amgi::{Bytes, Context, Failure, Message, testing::TestApp};
use serde_json::json;

use crate::{
    common::{Calls, json},
    transcribe_ws::{
        AudioChunk, EndOfStream, FinalResult, Initialize, PartialResult, RealtimeHandler, Sender, app,
        types::{
            AuthResultPayload, EndOfStreamPayload, InitializePayload, InitializePayloadConfig, Model,
            TokenType,
        },
    },
};

struct Service(Arc<Calls>);

impl RealtimeHandler for Service {
    type Error = Failure;

    async fn on_partial_result(&self, message: PartialResult, cx: &Context) -> Result<(), Failure> {
        self.0.note(("partial", message.payload.partial));
        let config = InitializePayloadConfig {
            model: Some(Model::IoFa),
            r#type: TokenType::FlashToken,
            token: "t".to_owned(),
        };
        let sender = Sender::from(cx);
        let session = sender.start_session(Initialize { payload: InitializePayload { config } }).await?;
        self.0.note(("session", matches!(session.payload, AuthResultPayload::Authorized { .. })));
        sender.stream_audio(AudioChunk { payload: Bytes::from_static(&[0, 159, 146, 150]) }).await?;
        Ok(())
    }

    async fn on_final_result(&self, message: FinalResult, cx: &Context) -> Result<(), Failure> {
        self.0.note(("final", message.payload.text));
        Sender::from(cx).end_stream(EndOfStream { payload: EndOfStreamPayload { eof: 1 } }).await?;
        Ok(())
    }
}

const ADDRESS: &str = "/socket/realtime";

#[tokio::test]
async fn results_are_told_apart_by_their_member() {
    let calls = Arc::<Calls>::default();
    // Also what comes when nobody waits for it, as after audio.
    let authorized = |_: &Message| Message::new(ADDRESS).payload(r#"{"status": "authorized"}"#);
    let app =
        TestApp::start(app(Service(calls.clone()))).await.expect("it starts").answer(ADDRESS, authorized);
    let partial = app.deliver(Message::new(ADDRESS).payload(r#"{"partial": ""}"#)).await;
    partial.assert_acked();
    calls.expect::<&dyn Debug>(&[&("partial", ""), &("session", true)]);
    let [session, audio] = partial.sends.as_slice() else { panic!("{:?}", partial.sends) };
    assert_eq!((session.address.as_ref() as &str, audio.address.as_ref() as &str), (ADDRESS, ADDRESS));
    assert_eq!(json(session), json!({"config": {"model": "io-fa", "type": "flash_token", "token": "t"}}));
    assert_eq!(audio.payload.as_deref(), Some(&[0, 159, 146, 150][..]));

    let last = app.deliver(Message::new(ADDRESS).payload(r#"{"text": "سلام"}"#)).await;
    last.assert_acked();
    calls.expect(&[("final", "سلام")]);
    assert_eq!(json(&last.sends[0]), json!({"eof": 1}));

    app.deliver(Message::new(ADDRESS).payload(r#"{"other": 1}"#)).await.assert_nacked("");
    calls.expect::<()>(&[]);
}

#[test]
fn the_end_of_a_stream_is_one() {
    let sender = Sender::new(Arc::new(amgi::NoSender));
    let wrong = sender.end_stream(EndOfStream { payload: EndOfStreamPayload { eof: 2 } }).into_message();
    assert!(wrong.expect_err("it must be 1").to_string().contains("/eof"));
}
