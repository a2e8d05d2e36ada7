//! `amgi-sqs` against emulators: what the conformance suite does not ask of every server.

mod queues;
mod sending;

use std::time::Duration;

use amgi::{
    Application, ByteString, ChannelInfo, Message, MessageSend, Settlement,
    server::{Backoff, Stop},
};
use amgi_brokers_tests::{App, Emulator, Sqs, failed, within};
use amgi_sqs::Server;
use aws_sdk_sqs::{
    Client,
    types::{Message as Received, MessageSystemAttributeName, QueueAttributeName},
};
use tokio::{sync::mpsc, task::JoinHandle};

/// A server at an emulator, whose messages are hidden for 2 s.
fn server<A: Application>(app: A, broker: &Sqs) -> Server<A> {
    let quick = Backoff { first: Duration::from_millis(10), most: Duration::from_millis(100), jitter: false };
    let short = Duration::from_secs(1);
    Server::new(app).url(broker.url()).visibility(2 * short).wait(short).reconnect(quick)
}

/// A server in a task; dropping it ends it as if its process had died.
struct Running {
    stop: Stop,
    task: JoinHandle<amgi::Result<()>>,
}

impl Running {
    /// Serves, and returns when it polls.
    async fn start(server: Server<impl Application>) -> Self {
        let (tell, mut ready) = mpsc::unbounded_channel();
        let stop = Stop::ignoring_signals();
        let server = server.stop(&stop).on_ready(move || {
            let _ = tell.send(());
        });
        let mut task = tokio::spawn(server.serve());
        let ready = within("the polls", ready.recv()).await;
        assert!(ready.is_some(), "the server ended: {:?}", (&mut task).await);
        Self { stop, task }
    }

    async fn stop(mut self) {
        self.stop.request();
        let ended = within("the server's end", &mut self.task).await;
        ended.expect("the server does not panic").expect("the server ends well");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A name that no other test has.
fn name(what: &str) -> String {
    format!("t{:08x}-{what}", fastrand::u32(..))
}

/// A client that shares nothing with the server.
struct Hand(Client);

impl Hand {
    /// Makes a queue: its URL.
    async fn make(&self, name: &str, attributes: &[(QueueAttributeName, &str)]) -> String {
        let mut request = self.0.create_queue().queue_name(name);
        for (name, value) in attributes {
            request = request.attributes(name.clone(), *value);
        }
        request.send().await.expect("a queue").queue_url.expect("its URL")
    }

    async fn attribute(&self, url: &str, name: QueueAttributeName) -> Option<String> {
        let request = self.0.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::All);
        request.send().await.expect("a queue").attributes.and_then(|mut all| all.remove(&name))
    }

    async fn arn(&self, url: &str) -> String {
        self.attribute(url, QueueAttributeName::QueueArn).await.expect("its ARN")
    }

    async fn send(&self, url: &str, body: &str) {
        self.0.send_message().queue_url(url).message_body(body).send().await.expect("it is taken");
    }

    async fn send_grouped(&self, url: &str, group: &str, body: &str) {
        let id = format!("{:016x}", fastrand::u64(..));
        let request = self.0.send_message().queue_url(url).message_body(body).message_group_id(group);
        request.message_deduplication_id(id).send().await.expect("it is taken");
    }

    /// The next message, which is deleted.
    async fn take(&self, url: &str) -> Received {
        within("a message", async {
            loop {
                let request = self.0.receive_message().queue_url(url).wait_time_seconds(1);
                let request = request
                    .message_attribute_names("All")
                    .message_system_attribute_names(MessageSystemAttributeName::All);
                let messages = request.send().await.expect("a queue").messages.unwrap_or_default();
                if let Some(message) = messages.into_iter().next() {
                    let receipt = message.receipt_handle.clone().expect("a receipt");
                    self.0
                        .delete_message()
                        .queue_url(url)
                        .receipt_handle(receipt)
                        .send()
                        .await
                        .expect("deleted");
                    return message;
                }
            }
        })
        .await
    }

    /// How many messages wait in a queue.
    async fn waiting(&self, url: &str) -> u32 {
        let count = self.attribute(url, QueueAttributeName::ApproximateNumberOfMessages).await;
        count.and_then(|count| count.parse().ok()).expect("a count")
    }
}

fn text(received: &Received) -> &str {
    received.body.as_deref().unwrap_or_default()
}

fn attribute<'m>(received: &'m Received, name: &str) -> Option<&'m str> {
    received.message_attributes.as_ref()?.get(name)?.string_value.as_deref()
}

fn payload(message: &Message) -> String {
    String::from_utf8_lossy(message.payload.as_deref().unwrap_or_default()).into_owned()
}

/// A channel that is called like its address.
fn channel(address: impl Into<String>) -> ChannelInfo {
    ChannelInfo::new("channel", address.into())
}
