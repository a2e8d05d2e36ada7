//! AMQP, AsyncAPI 2.5: one message on two channels, each received from and sent to.

use std::sync::Arc;

use amgi::{Application, Context, Failure, Message, testing::TestApp};
use serde_json::json;

use crate::{
    common::{Calls, documented, json, only},
    streetlights_amqp::{
        LightMeasured, LightMeasuredStreetlight1Handler, LightMeasuredStreetlight2Handler, Sender, app,
        types::LightMeasuredPayload,
    },
};

struct Service(Arc<Calls>);

/// The measurement, one lumen brighter.
fn brighter(message: &LightMeasured) -> LightMeasured {
    let lumens = message.payload.lumens.map(|lumens| lumens + 1);
    LightMeasured { payload: LightMeasuredPayload { id: message.payload.id, lumens } }
}

impl LightMeasuredStreetlight1Handler for Service {
    type Error = Failure;

    async fn on_light_measured(&self, message: LightMeasured, cx: &Context) -> Result<(), Failure> {
        self.0.note(1);
        Sender::from(cx).update_light_measurement_streetlight2(brighter(&message)).await?;
        Ok(())
    }
}

impl LightMeasuredStreetlight2Handler for Service {
    type Error = Failure;

    async fn on_light_measured(&self, message: LightMeasured, cx: &Context) -> Result<(), Failure> {
        self.0.note(2);
        Sender::from(cx).update_light_measurement_streetlight1(brighter(&message)).await?;
        Ok(())
    }
}

#[tokio::test]
async fn each_channel_has_its_own_handler_of_the_same_message() {
    let calls = Arc::<Calls>::default();
    let app = TestApp::start(app(Service(calls.clone()))).await.expect("it starts");
    for (number, from, to) in [
        (1, "lightMeasured_Streetlight1", "lightMeasured_Streetlight2"),
        (2, "lightMeasured_Streetlight2", "lightMeasured_Streetlight1"),
    ] {
        let delivered = app.deliver(Message::new(from).payload(r#"{"id": 7, "lumens": 1}"#)).await;
        delivered.assert_acked();
        calls.expect(&[number]);
        let sent = only(&delivered.sends);
        assert_eq!(sent.address, to);
        assert_eq!(json(sent), json!({"id": 7, "lumens": 2}));
        app.deliver(Message::new(from).payload(r#"{"id": -7}"#)).await.assert_rejected("/id");
    }
}

#[test]
fn only_the_bindings_of_the_receiving_operation_count() {
    let app = app(Service(Arc::default()));
    for (channel, number) in app.channels().iter().zip(1..) {
        assert_eq!(documented(channel, "amqp", "is"), Some(json!("queue")));
        let queue = json!({"name": format!("lightMeasurementQueue_Streetlight{number}")});
        assert_eq!(documented(channel, "amqp", "queue"), Some(queue));
        assert_eq!(documented(channel, "amqp", "routingKey"), None);
    }
    assert_eq!(app.channels().len(), 2);
}
