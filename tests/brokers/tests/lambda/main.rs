//! AWS Lambda: `amgi-lambda` under real runtime APIs, cargo-lambda's and AWS's own.

mod events;
mod life;
mod template;

use std::path::Path;

use amgi_brokers_tests::{Function, RuntimeApi};
use serde_json::{Value, json};

/// The function of `src/bin/function.rs`, with channels of these addresses.
async fn function(api: RuntimeApi, addresses: &str) -> Function {
    function_with(api, 30, &[("ADDRESSES", addresses)]).await
}

async fn function_with(api: RuntimeApi, timeout: u32, variables: &[(&str, &str)]) -> Function {
    Function::start(api, Path::new(env!("CARGO_BIN_EXE_function")), timeout, variables).await
}

/// What the function was given: address and payload, in order.
fn given(function: &Function) -> Vec<(String, Option<String>)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let told = function.told();
    told.iter().filter_map(|told| Some((text(told.get("address")?)?, text(&told["payload"])))).collect()
}

/// An event of SQS of these bodies in the queue `orders`, whose ids are their numbers.
fn queued(bodies: &[&str]) -> Value {
    let records = bodies.iter().enumerate().map(|(index, body)| {
        json!({
            "messageId": index.to_string(), "receiptHandle": "r", "body": body, "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:orders", "awsRegion": "us-east-1",
            "attributes": {"ApproximateReceiveCount": "1"}, "messageAttributes": {},
        })
    });
    json!({"Records": records.collect::<Vec<_>>()})
}

/// The answer that these failed.
fn failures(ids: &[&str]) -> Value {
    json!({"batchItemFailures": ids.iter().map(|id| json!({"itemIdentifier": id})).collect::<Vec<_>>()})
}
