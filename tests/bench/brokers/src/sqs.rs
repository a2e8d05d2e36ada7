//! SQS: a queue for each lane, or one queue and handlers that take their time. On an emulator, which is slower than its clients.

use std::{future::Future, ops::Range, time::Duration};

use amgi::{Application, server::Stop};
use amgi_bench_measured::Meter;
use amgi_brokers_tests::{Emulator, sqs};
use aws_sdk_sqs::{
    Client,
    types::{DeleteMessageBatchRequestEntry, MessageSystemAttributeName, SendMessageBatchRequestEntry},
};
use futures_util::future::{join_all, try_join_all};

use crate::{Broker, LANES, Publisher, payload, text};

/// The most messages that a request takes, and what is received at a time.
const TEN: usize = 10;
/// How long a message is hidden, and a poll waits, in seconds.
const VISIBILITY: u16 = 30;
const WAIT: u16 = 20;
const DEAD_LETTERS: &str = "failed--numbers";

/// As many queues as there are lanes, or one whose handlers take their time.
pub(crate) struct Queues<const SLOW: bool>(sqs::Sqs);

pub(crate) type Sqs = Queues<false>;
pub(crate) type Slow = Queues<true>;

impl<const SLOW: bool> Queues<SLOW> {
    const LANES: u64 = if SLOW { 1 } else { LANES };
}

fn name(lane: u64) -> String {
    format!("numbers-{lane}")
}

/// A client of what listens at a URL.
fn client(url: &str) -> Result<Client, String> {
    let port = url.rsplit(':').next().and_then(|port| port.parse().ok()).ok_or("no port in the URL")?;
    Ok(sqs::client(port))
}

/// The URL of a queue.
async fn found(client: &Client, name: String) -> Result<String, String> {
    let answer = client.get_queue_url().queue_name(name).send().await.map_err(text)?;
    answer.queue_url.ok_or_else(|| "a queue has a URL".to_owned())
}

impl<const SLOW: bool> Broker for Queues<SLOW> {
    const NAME: &'static str = if SLOW { "sqs-slow" } else { "sqs" };
    const MESSAGES: u64 = if SLOW { 400 } else { 12_000 };
    const STEADY: u64 = if SLOW { 0 } else { 100_000 };
    const PYTHON: Option<f64> = Some(20.0);
    const PAUSE: Option<(Duration, f64)> = if SLOW { Some((Duration::from_millis(200), 40.0)) } else { None };

    type Publisher = Sending;

    async fn start() -> Self {
        Self(sqs::Sqs::start(Emulator::Fauxqs))
    }

    fn url(&self) -> String {
        self.0.url()
    }

    async fn publisher(&self) -> Result<Sending, String> {
        let client = self.0.client();
        let mut queues = Vec::new();
        for lane in (0..Self::LANES).map(Some).chain([None]) {
            let name = lane.map_or(DEAD_LETTERS.to_owned(), name);
            // With a queue go the polls of the process before, which the emulator would answer first.
            if let Ok(url) = found(&client, name.clone()).await {
                client.delete_queue().queue_url(url).send().await.map_err(text)?;
            }
            let made = client.create_queue().queue_name(name).send().await.map_err(text)?;
            queues.extend(lane.and(made.queue_url));
        }
        Ok(Sending { client, queues })
    }

    async fn raw(url: &str, meter: &Meter, ready: fn()) -> Result<(), String> {
        let client = client(url)?;
        let queues = try_join_all((0..Self::LANES).map(|lane| found(&client, name(lane)))).await?;
        ready();
        let polls = queues.into_iter().map(|queue| tokio::spawn(poll(client.clone(), queue, meter.clone())));
        for ended in join_all(polls).await {
            ended.map_err(text)??;
        }
        Ok(())
    }

    fn serve<A: Application>(
        url: &str,
        app: A,
        stop: &Stop,
        ready: fn(),
    ) -> impl Future<Output = amgi::Result<()>> {
        let addresses = (0..Self::LANES).map(|lane| format!("numbers.{lane}"));
        let mut server = amgi_sqs::Server::new(app).url(url).stop(stop).on_ready(ready);
        server = server.addresses("numbers", addresses).address("numbers.{lane}", "numbers-{lane}");
        server =
            server.visibility(Duration::from_secs(VISIBILITY.into())).wait(Duration::from_secs(WAIT.into()));
        if SLOW {
            server = server.concurrency(TEN);
        }
        server.serve()
    }
}

/// Receives ten messages, handles them at the same time, deletes them, and begins again.
async fn poll(client: Client, queue: String, meter: Meter) -> Result<(), String> {
    loop {
        let request = client
            .receive_message()
            .queue_url(&queue)
            .max_number_of_messages(10)
            .visibility_timeout(VISIBILITY.into())
            .wait_time_seconds(WAIT.into())
            .message_attribute_names("All")
            .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
            .message_system_attribute_names(MessageSystemAttributeName::MessageGroupId)
            .message_system_attribute_names(MessageSystemAttributeName::MessageDeduplicationId);
        let messages = request.send().await.map_err(text)?.messages.unwrap_or_default();
        let handled = messages.into_iter().enumerate().map(async |(id, message)| {
            meter.pause().await;
            meter.decode(message.body.unwrap_or_default().as_bytes());
            let entry = DeleteMessageBatchRequestEntry::builder().id(id.to_string());
            entry.receipt_handle(message.receipt_handle.unwrap_or_default()).build().map_err(text)
        });
        let entries = try_join_all(handled).await?;
        if !entries.is_empty() {
            let deletes = client.delete_message_batch().queue_url(&queue).set_entries(Some(entries));
            deletes.send().await.map_err(text)?;
        }
    }
}

/// Sends in requests of ten, to all queues at the same time.
pub(crate) struct Sending {
    client: Client,
    queues: Vec<String>,
}

impl Publisher for Sending {
    async fn publish(&mut self, numbers: Range<u64>) -> Result<(), String> {
        let (client, count) = (&self.client, self.queues.len());
        let sends = self.queues.iter().enumerate().map(async |(at, queue)| {
            let first = numbers.start + at as u64;
            let mut ids = (first..numbers.end).step_by(count).peekable();
            while ids.peek().is_some() {
                let entries = ids.by_ref().take(TEN).map(|id| {
                    let entry = SendMessageBatchRequestEntry::builder().id(id.to_string());
                    entry.message_body(payload(id)).build().map_err(text)
                });
                let entries = entries.collect::<Result<Vec<_>, _>>()?;
                let request = client.send_message_batch().queue_url(queue).set_entries(Some(entries));
                let answer = request.send().await.map_err(text)?;
                if let Some(failed) = answer.failed.first() {
                    return Err(failed.code.clone());
                }
            }
            Ok(())
        });
        try_join_all(sends).await?;
        Ok(())
    }
}
