//! SQS, AsyncAPI 3.1: schemas in a Multi Format Schema Object, names of Java classes, FIFO queues.

use std::sync::Arc;

use amgi::{Application, Context, Failure, Message, testing::TestApp};
use serde_json::json;

use crate::{
    common::{Calls, bindings, documented, json, only},
    springwolf_sqs::{
        AnotherPayloadDto, AnotherQueueHandler, ExamplePayloadDto, ExampleQueueHandler, Sender, app, types,
    },
};

struct Service(Arc<Calls>);

impl AnotherQueueHandler for Service {
    type Error = Failure;

    async fn on_another_payload_dto(&self, message: AnotherPayloadDto, _: &Context) -> Result<(), Failure> {
        self.0.note((message.payload.foo, message.payload.example.some_string));
        Ok(())
    }
}

impl ExampleQueueHandler for Service {
    type Error = Failure;

    async fn on_example_payload_dto(&self, message: ExamplePayloadDto, cx: &Context) -> Result<(), Failure> {
        let payload = types::AnotherPayloadDto { example: message.payload, foo: Some("bar".to_owned()) };
        Sender::from(cx)
            .another_queue_send_send_message(AnotherPayloadDto { payload })
            .message_group_id("group")
            .await?;
        Ok(())
    }
}

#[tokio::test]
async fn an_example_is_wrapped_and_sent_on() {
    let calls = Arc::<Calls>::default();
    let app = TestApp::start(app(Service(calls.clone()))).await.expect("it starts");
    let example = json!({"someEnum": "FOO2", "someLong": 5, "someString": "some string value"});
    let delivered = app.deliver(Message::new("example-queue").payload(example.to_string())).await;
    delivered.assert_acked();
    let sent = only(&delivered.sends);
    assert_eq!(sent.address, "another-queue");
    assert_eq!(json(sent), json!({"example": example, "foo": "bar"}));
    let group = ("sqs".to_owned(), "message_group_id".to_owned(), amgi::BindingValue::Text("group".into()));
    assert_eq!(bindings(sent), [group]);

    app.deliver(sent.clone()).await.assert_acked();
    calls.expect(&[(Some("bar"), "some string value")]);

    let wrong = json!({"someEnum": "FOO4", "someString": ""});
    app.deliver(Message::new("example-queue").payload(wrong.to_string())).await.assert_rejected("/someEnum");
    let long = json!({"example": example, "foo": "x".repeat(101)});
    app.deliver(Message::new("another-queue").payload(long.to_string())).await.assert_rejected("/foo");
}

#[test]
fn the_queues_are_first_in_first_out() {
    let app = app(Service(Arc::default()));
    for channel in app.channels() {
        let queue = documented(channel, "sqs", "queue").expect("a queue");
        assert_eq!((&queue["fifoQueue"], &queue["name"]), (&json!(true), &json!(channel.address)));
        assert!(documented(channel, "sqs", "queues").is_some(), "those of the operation");
    }
    assert_eq!(app.channels().len(), 2);
}
