//! MQTT, AsyncAPI 3.1: correlation ids in a header of two levels and in the payload.

use amgi::{Application, Context, Failure, Message, testing::TestApp};
use serde_json::json;

use crate::{
    common::{bindings, json, only},
    correlation_mqtt::{
        DimLight, LightMeasured, LightingMeasured, LightingMeasuredHandler, LightsDim, Sender, app,
        types::DimLightPayload,
    },
};

struct Service;

impl LightingMeasuredHandler for Service {
    type Error = Failure;

    async fn on_light_measured(
        &self,
        channel: LightingMeasured,
        message: LightMeasured,
        cx: &Context,
    ) -> Result<(), Failure> {
        // The document correlates by the time of the measurement.
        let payload = DimLightPayload {
            percentage: message
                .payload
                .lumens
                .map(|lumens| 100 - u32::try_from(lumens).unwrap_or(100).min(100)),
            sent_at: message.payload.sent_at,
        };
        let lamp = LightsDim { streetlight_id: channel.streetlight_id };
        Sender::from(cx).dim_light(&lamp, DimLight { payload }).await?;
        Ok(())
    }
}

#[tokio::test]
async fn a_measurement_dims_its_lamp() {
    let app = TestApp::start(app(Service)).await.expect("it starts");
    let address = "smartylighting/streetlights/1/0/event/lamp-1/lighting/measured";
    let measured = json!({"lumens": 30, "sentAt": "2026-01-02T03:04:05Z"});
    let delivered = app.deliver(Message::new(address).payload(measured.to_string())).await;
    delivered.assert_acked();
    let sent = only(&delivered.sends);
    assert_eq!(sent.address, "smartylighting/streetlights/1/0/action/lamp-1/dim");
    assert_eq!(json(sent), json!({"percentage": 70, "sentAt": "2026-01-02T03:04:05Z"}));
    assert_eq!(bindings(sent), []);
    app.deliver(Message::new(address).payload(r#"{"sentAt": 5}"#)).await.assert_rejected("/sentAt");
}

#[test]
fn servers_have_their_variables_filled_in() {
    let app = app(Service);
    let server = &app.servers()[0];
    assert_eq!((server.protocol, server.host), ("mqtt", "test.mosquitto.org:1883"));
}
