//! MQTT, AsyncAPI 2.1: headers come from a message trait, the quality of service from an operation trait.

use std::sync::Arc;

use amgi::{Application, Context, Failure, Message, testing::TestApp};
use serde_json::json;

use crate::{
    common::{Calls, bindings, documented, header, json},
    streetlights_mqtt::{
        DimLight, DimLightHeaders, LightMeasured, Sender,
        SmartylightingStreetlights10ActionStreetlightIdDim as Dim,
        SmartylightingStreetlights10ActionStreetlightIdTurnOff as Off,
        SmartylightingStreetlights10ActionStreetlightIdTurnOn as On,
        SmartylightingStreetlights10EventStreetlightIdLightingMeasured as Measured,
        SmartylightingStreetlights10EventStreetlightIdLightingMeasuredHandler, TurnOnOff, TurnOnOffHeaders,
        app,
        types::{DimLightPayload, TurnOnOffPayload, TurnOnOffPayloadCommand as Command},
    },
};

#[derive(Default)]
struct Service(Arc<Calls>);

impl SmartylightingStreetlights10EventStreetlightIdLightingMeasuredHandler for Service {
    type Error = Failure;

    async fn on_light_measured(
        &self,
        channel: Measured,
        message: LightMeasured,
        cx: &Context,
    ) -> Result<(), Failure> {
        let id = channel.streetlight_id;
        self.0.note((&id, message.payload.lumens, &message.payload.sent_at, message.headers.my_app_header));
        let sender = Sender::from(cx);
        let turn = |command| TurnOnOff {
            payload: TurnOnOffPayload { command: Some(command), sent_at: None },
            headers: TurnOnOffHeaders { my_app_header: Some(5) },
        };
        sender.turn_on(&On { streetlight_id: id.clone() }, turn(Command::On)).await?;
        sender.turn_off(&Off { streetlight_id: id.clone() }, turn(Command::Off)).await?;
        let dim = DimLight {
            payload: DimLightPayload { percentage: Some(50), sent_at: message.payload.sent_at },
            headers: DimLightHeaders::default(),
        };
        sender.dim_light(&Dim { streetlight_id: id }, dim).await?;
        Ok(())
    }
}

fn measured(id: &str) -> Message {
    Message::new(format!("smartylighting/streetlights/1/0/event/{id}/lighting/measured"))
}

#[tokio::test]
async fn a_measurement_turns_on_off_and_dims() {
    let calls = Arc::<Calls>::default();
    let app = TestApp::start(app(Service(calls.clone()))).await.expect("it starts");
    let time = "2026-01-02T03:04:05Z";
    let message = measured("42")
        .header("my-app-header", "7")
        .payload(format!(r#"{{"lumens": 3, "sentAt": "{time}"}}"#));
    let delivered = app.deliver(message).await;
    delivered.assert_acked();
    calls.expect(&[("42", Some(3), Some(time), Some(7))]);
    assert_eq!(delivered.sends.len(), 3);
    let expected = [
        ("turn/on", json!({"command": "on"}), Some("5")),
        ("turn/off", json!({"command": "off"}), Some("5")),
        ("dim", json!({"percentage": 50, "sentAt": time}), None),
    ];
    for (sent, (address, payload, app_header)) in delivered.sends.iter().zip(expected) {
        assert_eq!(sent.address, format!("smartylighting/streetlights/1/0/action/42/{address}"));
        assert_eq!(json(sent), payload);
        assert_eq!(header(sent, "my-app-header"), app_header);
        assert_eq!(bindings(sent), [("mqtt".to_owned(), "qos".to_owned(), amgi::BindingValue::Int(1))]);
    }
}

#[tokio::test]
async fn what_the_document_does_not_allow_neither_arrives_nor_leaves() {
    let service = TestApp::start(app(Service::default())).await.expect("it starts");
    service.deliver(measured("1").payload(r#"{"lumens": -1}"#)).await.assert_rejected("/lumens");
    service
        .deliver(measured("1").header("my-app-header", "101").payload("{}"))
        .await
        .assert_rejected("/my-app-header");
    let sender = Sender::new(Arc::new(amgi::NoSender));
    let dim = DimLight {
        payload: DimLightPayload { percentage: Some(101), sent_at: None },
        headers: DimLightHeaders::default(),
    };
    let problem = sender.dim_light(&Dim { streetlight_id: "1".into() }, dim).into_message();
    assert!(problem.expect_err("101 %").to_string().contains("/percentage"));
}

#[test]
fn traits_configure_the_subscription() {
    let app = app(Service::default());
    assert_eq!(app.channels().len(), 1);
    let channel = &app.channels()[0];
    assert_eq!(channel.operations[0].name, "receiveLightMeasurement");
    assert_eq!(channel.address, "smartylighting/streetlights/1/0/event/{streetlightId}/lighting/measured");
    assert_eq!(documented(channel, "mqtt", "qos"), Some(json!(1)));
}
