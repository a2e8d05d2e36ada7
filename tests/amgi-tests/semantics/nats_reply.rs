//! NATS, AsyncAPI 2.2: one channel is received from and sent to, and an operation has no name of its own.

use amgi::{Application, Context, Failure, Message, testing::TestApp};
use serde_json::json;

use crate::{
    common::{documented, json, only},
    nats_reply::{
        Sender, StreetlightStreetlightIdCommandTurnon as Answer,
        StreetlightStreetlightIdCommandTurnonChannel as Channel,
        StreetlightStreetlightIdCommandTurnonHandler, TurnonCommand, app, types::GeneralReply,
    },
};

struct Service;

impl StreetlightStreetlightIdCommandTurnonHandler for Service {
    type Error = Failure;

    async fn on_turnon_command(
        &self,
        channel: Channel,
        message: TurnonCommand,
        cx: &Context,
    ) -> Result<(), Failure> {
        let status_message = Some(format!("{} at {}", channel.streetlight_id, message.payload.lumen));
        let answer = Answer { payload: GeneralReply { status_code: Some(200), status_message } };
        Sender::from(cx).send_streetlight_streetlight_id_command_turnon(&channel, answer).await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_command_is_answered_on_its_channel() {
    let app = TestApp::start(app(Service)).await.expect("it starts");
    let address = "streetlight/north-1/command/turnon";
    let delivered = app.deliver(Message::new(address).payload(r#"{"lumen": 30}"#)).await;
    delivered.assert_acked();
    let sent = only(&delivered.sends);
    assert_eq!(sent.address, address);
    assert_eq!(json(sent), json!({"status_code": 200, "status_message": "north-1 at 30"}));

    app.deliver(Message::new(address).payload("{}")).await.assert_rejected("");
    app.deliver(Message::new(address).payload(r#"{"lumen": 1.5}"#)).await.assert_rejected("/lumen");
}

#[test]
fn the_channel_says_that_it_replies() {
    let app = app(Service);
    let channel = &app.channels()[0];
    assert_eq!(channel.address, "streetlight/{streetlight_id}/command/turnon");
    assert_eq!(documented(channel, "nats", "requestReply"), Some(json!({"is": "replier"})));
    assert_eq!(app.servers()[0].host, "localhost:4222");
}
