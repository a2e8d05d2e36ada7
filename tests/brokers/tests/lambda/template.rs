//! The template that a crate gets for SAM: SAM's own translator takes it, and what that makes of it is right by `CloudFormation`'s rules.

use std::{fs, path::Path, process::Command};

use amgi_brokers_tests::sam_python;
use amgi_gen::settings::Settings;
use amgi_golden_tests::root;

/// Every kind of source, FIFO queues, addresses that are left open, and words that mean something to YAML.
const EVERYTHING: &str = r"asyncapi: 3.1.0
info: {title: 'All: of # them', version: 1.0.0}
servers:
  queues: {host: localhost, protocol: sqs}
  topics: {host: localhost, protocol: sns}
  events: {host: localhost, protocol: eventbridge}
  streams: {host: localhost, protocol: kinesis}
  tables: {host: localhost, protocol: dynamodb}
  kafka: {host: 'localhost:9092', protocol: kafka}
channels:
  orders: &queue {address: orders, servers: [{$ref: '#/servers/queues'}], x-amgi-dead-letter: orders.failed, messages: {text: {payload: {type: string}}}}
  fifo: {<<: *queue, address: orders.fifo, x-amgi-dead-letter: orders.failed.fifo}
  mixed: {<<: *queue, address: mixed.fifo}
  failed: {<<: *queue, address: orders.failed, x-amgi-dead-letter: orders.lost}
  lost: {<<: *queue, address: orders.lost, x-amgi-dead-letter: orders.failed}
  named: {<<: *queue, address: named, bindings: {sqs: {queue: {name: my-queue, fifoQueue: true}}}}
  open: &open {<<: *queue, address: 'order.{id}', parameters: {id: {}}}
  later: {<<: *queue, address: null}
  news: {<<: *queue, address: news, servers: [{$ref: '#/servers/topics'}]}
  placed: {<<: *queue, address: 'Order: placed', servers: [{$ref: '#/servers/events'}]}
  openEvent: {<<: *open, address: 'Order {id}', servers: [{$ref: '#/servers/events'}]}
  clicks: {<<: *queue, address: clicks, servers: [{$ref: '#/servers/streams'}]}
  table: {<<: *queue, address: table, servers: [{$ref: '#/servers/tables'}]}
  topic: {<<: *queue, address: a.topic, servers: [{$ref: '#/servers/kafka'}]}
  openTopic: {<<: *open, address: 'a.topic.{id}', servers: [{$ref: '#/servers/kafka'}]}
  laterTopic: {<<: *queue, address: null, servers: [{$ref: '#/servers/kafka'}]}
  out: {<<: *open, address: 'out.{id}.fifo'}
operations:
";

const RECEIVED: [&str; 16] = [
    "orders",
    "fifo",
    "mixed",
    "failed",
    "lost",
    "named",
    "open",
    "later",
    "news",
    "placed",
    "openEvent",
    "clicks",
    "table",
    "topic",
    "openTopic",
    "laterTopic",
];

fn everything() -> String {
    let received =
        |channel| format!("  {channel}: {{action: receive, channel: {{$ref: '#/channels/{channel}'}}}}\n");
    let document = EVERYTHING.to_owned() + &RECEIVED.map(received).concat();
    document + "  out: {action: send, channel: {$ref: '#/channels/out'}}\n"
}

fn template(document: &Path, settings: &Settings) -> String {
    let generation = amgi_gen::generate(document, settings);
    let problems = generation.sources.report(&generation.diagnostics);
    let plan = amgi_gen::plan::crate_files(&generation, settings, Path::new("app"));
    let plan = plan.unwrap_or_else(|error| panic!("{error}\n{problems}"));
    plan.into_iter().find(|file| file.path == Path::new("template.yaml")).expect("a template").contents
}

#[tokio::test]
async fn sam_takes_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    fs::write(path("everything.yaml"), everything()).expect("a document");
    let asked = Settings { lambda: true, ..Settings::default() };
    let all = template(&path("everything.yaml"), &Settings::default());
    for (name, text) in [
        ("user", template(&root().join("specs/user.yaml"), &Settings::default())),
        ("numbers", template(&root().join("specs/numbers.yaml"), &asked)),
        ("everything", all.clone()),
        ("wrong", all.replacen("BatchSize: 10", "BatchSize: ten", 1)),
        ("missing", all.replacen("!GetAtt FifoDeadLetters", "!GetAtt NoFifoDeadLetters", 1)),
    ] {
        fs::write(path(&format!("{name}.template")), text).expect("a template");
    }
    let python = tokio::task::spawn_blocking(sam_python).await.expect("SAM's translator");
    let lint = |names: &[&str]| {
        let mut command = Command::new(&python);
        command.arg(root().join("tests/brokers/tests/lambda/template.py"));
        command.args(names.iter().map(|name| path(&format!("{name}.template"))));
        let output = command.env("AWS_DEFAULT_REGION", "eu-central-1").output().expect("Python");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    assert_eq!(lint(&["user", "numbers", "everything"]), "", "{all}");
    assert!(lint(&["wrong"]).contains("'BatchSize'"), "what is wrong is found");
    assert!(lint(&["missing"]).contains("NoFifoDeadLetters"), "so is this");
}
