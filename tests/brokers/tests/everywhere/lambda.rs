//! AWS Lambda, under cargo-lambda's runtime API. What AWS does between queues and a function is done here: polls, invocations, and
//! deletes of what the function has not reported.

use std::{path::Path, sync::Arc, time::Duration};

use amgi::Message;
use amgi_brokers_tests::{Emulator, Function, Placed as _, RuntimeApi, Sqs, SqsSubject};
use amgi_conformance::{Subject as _, Watch};
use aws_sdk_sqs::{
    Client,
    types::{Message as Received, MessageSystemAttributeName, QueueAttributeName},
};
use base64::prelude::{BASE64_STANDARD as BASE64, Engine as _};
use serde_json::{Map, Value, json};
use tokio::{process::Child, sync::Mutex, task::JoinHandle, time::sleep};

use crate::{ADDRESSES, Broker, Place};

/// The queues that are mapped to the function.
const MAPPED: [&str; 4] = ["user--created", "user--7--events", "user--8--events", "user--find"];
const ARN: &str = "arn:aws:sqs:us-east-1:123456789012";

/// The function, its queues, and what is between them.
pub(crate) struct Lambda {
    queues: SqsSubject,
    mapping: Mutex<Option<Mapping>>,
}

/// Ends when it is dropped.
struct Mapping(JoinHandle<()>);

impl Drop for Mapping {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Lambda {
    pub(crate) fn new() -> Self {
        Self { queues: SqsSubject::standard(Emulator::Moto), mapping: Mutex::default() }
    }
}

async fn emulator() -> Arc<Sqs> {
    tokio::task::spawn_blocking(|| Sqs::shared(Emulator::Moto)).await.expect("an emulator")
}

async fn url(client: &Client, queue: &str) -> String {
    let answer = client.get_queue_url().queue_name(queue).send().await.expect("a queue");
    answer.queue_url.expect("a URL")
}

/// A record as Lambda has it.
fn record(queue: &str, received: &Received) -> Value {
    let attributes: Map<String, Value> =
        received.attributes.iter().flatten().map(|(name, value)| (name.to_string(), json!(value))).collect();
    let headers: Map<String, Value> = received
        .message_attributes
        .iter()
        .flatten()
        .map(|(name, value)| {
            let mut fields =
                json!({"dataType": value.data_type, "stringListValues": [], "binaryListValues": []});
            if let Some(text) = &value.string_value {
                fields["stringValue"] = json!(text);
            }
            if let Some(blob) = &value.binary_value {
                fields["binaryValue"] = json!(BASE64.encode(blob));
            }
            (name.clone(), fields)
        })
        .collect();
    json!({
        "messageId": received.message_id, "receiptHandle": received.receipt_handle, "body": received.body,
        "md5OfBody": received.md5_of_body, "attributes": attributes, "messageAttributes": headers,
        "eventSource": "aws:sqs", "eventSourceARN": format!("{ARN}:{queue}"), "awsRegion": "us-east-1",
    })
}

/// Polls the queues, one after the other, as long as the function lives.
async fn map(client: Client, mut function: Function, pid: u32) {
    let mut urls = Vec::new();
    for queue in MAPPED {
        urls.push((queue, url(&client, queue).await));
    }
    loop {
        for (queue, url) in &urls {
            if !Path::new(&format!("/proc/{pid}")).exists() {
                return;
            }
            let request = client
                .receive_message()
                .queue_url(url)
                .max_number_of_messages(10)
                .message_attribute_names("All")
                .message_system_attribute_names(MessageSystemAttributeName::All);
            let Ok(answer) = request.send().await else { return };
            let received = answer.messages.unwrap_or_default();
            if received.is_empty() {
                continue;
            }
            let records: Vec<Value> = received.iter().map(|received| record(queue, received)).collect();
            // A failed invocation deletes nothing.
            let Ok(answer) = function.invoke(&json!({"Records": records})).await else { continue };
            let failed = answer["batchItemFailures"].as_array().expect("a report").clone();
            let failed: Vec<&str> =
                failed.iter().filter_map(|failed| failed["itemIdentifier"].as_str()).collect();
            for received in &received {
                let id = received.message_id.as_deref().unwrap_or_default();
                if !failed.contains(&id) {
                    let receipt = received.receipt_handle.clone().unwrap_or_default();
                    let _ = client.delete_message().queue_url(url).receipt_handle(receipt).send().await;
                }
            }
        }
        sleep(Duration::from_millis(20)).await;
    }
}

impl Broker for Lambda {
    // The queue's redrive policy moves them, and says nothing.
    const EXPLAINS: bool = false;

    async fn place(&self) -> Place {
        let place = self.queues.place(&ADDRESSES).await;
        let client = emulator().await.client();
        for queue in MAPPED {
            let url = url(&client, queue).await;
            let change = client
                .set_queue_attributes()
                .queue_url(url)
                .attributes(QueueAttributeName::VisibilityTimeout, "1");
            let change = if queue == "user--7--events" {
                let policy = json!({"deadLetterTargetArn": format!("{ARN}:user--7--events--dlq"), "maxReceiveCount": 3});
                change.attributes(QueueAttributeName::RedrivePolicy, policy.to_string())
            } else {
                change
            };
            change.send().await.expect("a queue that can be changed");
        }
        Place { url: place, addresses: None }
    }

    async fn start(&self, _: &Place) -> Child {
        let program = Path::new(env!("CARGO_BIN_EXE_user-service"));
        // The document has two servers of AWS's, and one emulator is both.
        let endpoint = format!("http://127.0.0.1:{}", emulator().await.port());
        let variables = [("AWS_ENDPOINT_URL", endpoint.as_str()), ("AMGI_SQS_REGION", "us-east-1")];
        let mut function = Function::start(RuntimeApi::CargoLambda, program, 30, &variables).await;
        let (pid, process) = (function.pid(), function.take_process());
        let mapping = tokio::spawn(map(emulator().await.client(), function, pid));
        *self.mapping.lock().await = Some(Mapping(mapping));
        process
    }

    async fn publish(&self, message: Message) {
        self.queues.publish(&[message]).await;
    }

    async fn watch(&self, address: &str) -> Watch {
        self.queues.watch(address).await
    }
}
