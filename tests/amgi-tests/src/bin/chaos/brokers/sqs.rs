//! SQS, ordinary and FIFO queues, on an emulator, which has nothing on its disk. A queue a lane.

use std::time::Duration;

use amgi_brokers_tests::{Emulator, Sqs as Fixture};
use aws_sdk_sqs::{Client, types::QueueAttributeName};

use super::{Broker, DeadLetters, Kind, LANES, Order, Publisher, payload};

/// Pause before a client tries again.
const PAUSE: Duration = Duration::from_millis(50);
/// After how many deliveries SQS moves a message, where it does.
const DELIVERIES: u32 = 5;

pub(crate) struct Sqs<const FIFO: bool> {
    fixture: Fixture,
    kind: Kind,
    /// URLs of the lanes' queues, and of that of dead letters.
    lanes: Vec<String>,
    dead_letters: String,
}

/// Its name, with what FIFO queues end in.
fn named(name: &str, fifo: bool) -> String {
    if fifo { format!("{name}.fifo") } else { name.to_owned() }
}

/// Makes a queue: its URL.
async fn make(client: &Client, name: &str, redrive: Option<&str>) -> String {
    let mut request = client.create_queue().queue_name(name);
    if name.strip_suffix(".fifo").is_some() {
        request = request.attributes(QueueAttributeName::FifoQueue, "true");
    }
    if let Some(policy) = redrive {
        request = request.attributes(QueueAttributeName::RedrivePolicy, policy);
    }
    request.send().await.expect("a queue").queue_url.expect("its URL")
}

impl<const FIFO: bool> Broker for Sqs<FIFO> {
    const NAME: &'static str = if FIFO { "sqs-fifo" } else { "sqs" };
    const ORDER: Order = if FIFO { Order::Always } else { Order::None };
    const IN_MEMORY: bool = true;

    fn order(kind: Kind) -> Order {
        match kind.emulator {
            Emulator::Fauxqs => Self::ORDER,
            // When ten messages that nobody has deleted are shown again, moto 5.2.5 gives the tenth and those after it before the
            // nine: it looks at each in turn, and the group is free only when it comes to the last.
            Emulator::Moto => Order::None,
        }
    }

    fn rate(kind: Kind) -> u64 {
        match kind.emulator {
            Emulator::Fauxqs => 200,
            // It takes some 20 ms for a message.
            Emulator::Moto => 20,
        }
    }

    async fn start(_: u16, kind: Kind) -> Self {
        let fixture = Fixture::start(kind.emulator);
        let client = fixture.client();
        // What SQS moves from a FIFO queue goes to one; an address of dead letters is where the document says.
        let dead_letters = make(&client, &named("failed--numbers", FIFO && kind.redrive), None).await;
        let request = client.get_queue_attributes().queue_url(&dead_letters);
        let answer = request.attribute_names(QueueAttributeName::QueueArn).send().await.expect("a queue");
        let arn = answer.attributes.and_then(|mut all| all.remove(&QueueAttributeName::QueueArn));
        let policy = format!(
            r#"{{"deadLetterTargetArn":"{}","maxReceiveCount":{DELIVERIES}}}"#,
            arn.expect("its ARN")
        );
        let mut lanes = Vec::new();
        for lane in 0..LANES {
            let name = named(&format!("numbers-{lane}"), FIFO);
            lanes.push(make(&client, &name, kind.redrive.then_some(&policy)).await);
        }
        Self { fixture, kind, lanes, dead_letters }
    }

    fn port(&self) -> u16 {
        self.fixture.port()
    }

    fn arguments(&self, port: u16, _: usize) -> Vec<String> {
        let lanes: Vec<_> = (0..LANES).map(|lane| format!("numbers.{lane}")).collect();
        let url = format!("sqs+http://test:test@127.0.0.1:{port}");
        let addresses = format!("numbers={}", lanes.join(","));
        let queues = format!("numbers.{{lane}}={}", named("numbers-{lane}", FIFO));
        // How long messages are hidden, and an answer may take, which moto does when it is asked much.
        let (visibility, patience) = match self.kind.emulator {
            Emulator::Fauxqs => ("3", "2"),
            Emulator::Moto => ("6", "5"),
        };
        [
            &url,
            "--addresses",
            &addresses,
            "--queues",
            &queues,
            "--visibility",
            visibility,
            // An emulator answers a poll that nobody waits for any more; what it gives is hidden.
            "--wait",
            "1",
            "--connect-timeout",
            patience,
        ]
        .map(str::to_owned)
        .into()
    }

    fn publisher(&self) -> impl Publisher + use<FIFO> {
        Sending { client: self.fixture.client(), lanes: self.lanes.clone(), fifo: FIFO, repeated: 0 }
    }

    async fn watch(&self) -> DeadLetters {
        let seen = DeadLetters::default();
        let (into, client, queue) = (seen.clone(), self.fixture.client(), self.dead_letters.clone());
        // The task lives as long as the runtime.
        tokio::spawn(async move {
            loop {
                let taken = take(&client, &queue, &into).await;
                if taken.is_none() {
                    tokio::time::sleep(PAUSE).await;
                }
            }
        });
        seen
    }
}

/// Takes what waits in a queue; `None` when it cannot.
async fn take(client: &Client, queue: &str, into: &DeadLetters) -> Option<()> {
    let request = client.receive_message().queue_url(queue).max_number_of_messages(10).wait_time_seconds(2);
    for message in request.send().await.ok()?.messages.unwrap_or_default() {
        into.saw(message.body.unwrap_or_default().as_bytes());
        let receipt = message.receipt_handle.unwrap_or_default();
        client.delete_message().queue_url(queue).receipt_handle(receipt).send().await.ok()?;
    }
    Some(())
}

/// One message after the other.
struct Sending {
    client: Client,
    lanes: Vec<String>,
    fifo: bool,
    repeated: u64,
}

impl Publisher for Sending {
    async fn publish(&mut self, lane: u64, id: u64) {
        let url = &self.lanes[usize::try_from(lane).unwrap_or_default()];
        loop {
            let mut request = self.client.send_message().queue_url(url).message_body(payload(id));
            if self.fifo {
                // What is sent again is not there twice.
                request = request.message_group_id(lane.to_string()).message_deduplication_id(id.to_string());
            }
            if request.send().await.is_ok() {
                return;
            }
            self.repeated += 1;
            tokio::time::sleep(PAUSE).await;
        }
    }

    fn repeated(&self) -> u64 {
        self.repeated
    }
}
