//! AMQP, AsyncAPI 2.0: a queue is received from, results are sent to the queue that the caller has.

use amgi::{Application, Context, Failure, Message, testing::TestApp};
use serde_json::json;

use crate::{
    common::{bindings, documented, header, json, only},
    rpc_server::{Queue, QueueChannel, RpcQueue, RpcQueueHandler, Sender, app, types::QueuePayload},
};

struct Service;

impl RpcQueueHandler for Service {
    type Error = Failure;

    async fn on_rpc_queue(&self, message: RpcQueue, cx: &Context) -> Result<(), Failure> {
        let header = |name: &str| {
            let value = cx.message().headers.get(name).ok_or_else(|| Failure::msg("a header is missing"))?;
            Ok::<_, Failure>(String::from_utf8_lossy(value).into_owned())
        };
        let queue = QueueChannel { queue: header("reply_to")? };
        let result = Queue { payload: QueuePayload { result: Some(message.payload.numbers.iter().sum()) } };
        let sender = Sender::from(cx);
        sender.send_sum_result(&queue, result).header("correlation_id", header("correlation_id")?).await?;
        Ok(())
    }
}

#[tokio::test]
async fn sums_are_answered_to_the_queue_of_the_caller() {
    let app = TestApp::start(app(Service)).await.expect("it starts");
    let request = Message::new("rpc_queue")
        .header("reply_to", "amq.gen-7")
        .header("correlation_id", "c-1")
        .payload(r#"{"numbers": [4, 3]}"#);
    let delivered = app.deliver(request).await;
    delivered.assert_acked();
    let sent = only(&delivered.sends);
    assert_eq!(sent.address, "amq.gen-7");
    assert_eq!(json(sent), json!({"result": 7.0}));
    assert_eq!(header(sent, "correlation_id"), Some("c-1"));
    // `ack` is how a consumer confirms, nothing that a message carries.
    assert_eq!(bindings(sent), []);

    app.deliver(Message::new("rpc_queue").payload(r#"{"numbers": ["4"]}"#))
        .await
        .assert_rejected("/numbers/0");
}

#[tokio::test]
async fn only_what_others_publish_is_subscribed_to() {
    let app = app(Service);
    let channels: Vec<&str> = app.channels().iter().map(|channel| channel.address.as_ref()).collect();
    assert_eq!(channels, ["rpc_queue"]);
    let channel = &app.channels()[0];
    assert_eq!(documented(channel, "amqp", "queue"), Some(json!({"durable": false})));
    assert_eq!(channel.operations[0].name, "sum");
    assert_eq!(
        channel.operations[0].messages[0].bindings[0].field("replyTo"),
        Some(json!({"type": "string"}))
    );
}
