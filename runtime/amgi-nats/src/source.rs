//! Where the messages of one channel come from.
//!
//! What must hold: no more is asked for than was promised; after a stop nothing more comes from JetStream, and what was not
//! begun is handed back.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use amgi::{Bytes, server::Stop};
use async_nats::{Message, StatusCode, Subject, Subscriber, jetstream::AckKind};
use futures_util::StreamExt;
use tokio::{
    sync::watch,
    time::{Instant, Sleep, sleep},
};
use tracing::{debug, warn};

use crate::{link::Link, message::Deliveries};

/// How long a request for messages is good.
const EXPIRES: Duration = Duration::from_secs(60);
/// How often the broker says that it still knows of one.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// How long a subscription may take to end: the broker may be away.
const GRACE: Duration = Duration::from_secs(1);
/// How long to wait when it does not want to.
const PAUSE: Duration = Duration::from_millis(500);

type Signal = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A subscription, of a channel or of what is asked of a consumer.
pub(crate) struct Source {
    subscriber: Subscriber,
    pull: Option<Pull>,
    /// Read, not handed out.
    waiting: VecDeque<Message>,
    stop: Stop,
    /// The stop; once that has come, the last moment for a subscription.
    signal: Signal,
    stopping: bool,
    /// How often its messages were delivered.
    pub(crate) deliveries: Deliveries,
}

/// Asking a consumer of JetStream for messages.
struct Pull {
    link: Arc<Link>,
    /// Where to ask, and where the messages are to go.
    subject: Subject,
    inbox: Subject,
    /// The most to ask for.
    most: usize,
    /// Asked for and not here yet.
    asked: usize,
    /// Whether anything came since the timer began.
    heard: bool,
    /// Nothing is asked for until the timer ends.
    paused: bool,
    timer: Pin<Box<Sleep>>,
    /// Ends with the next connection. It is kept, since what waits is told only as long as it is there.
    connected: Pin<Box<dyn Future<Output = watch::Receiver<u64>> + Send>>,
}

/// The next connection.
async fn connected(mut told: watch::Receiver<u64>) -> watch::Receiver<u64> {
    if told.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
    told
}

enum Event {
    Message(Option<Message>),
    Stop,
    Timer,
    Connected,
}

impl Source {
    fn new(subscriber: Subscriber, pull: Option<Pull>, stop: Stop) -> Self {
        let asked = stop.clone();
        let signal = Box::pin(async move { asked.requested().await });
        let deliveries = Deliveries::default();
        Self { subscriber, pull, waiting: VecDeque::new(), stop, signal, stopping: false, deliveries }
    }

    /// What comes to a subscription until a stop is asked for. What has come by then is still handed out.
    pub(crate) fn subscription(subscriber: Subscriber, stop: Stop) -> Self {
        Self::new(subscriber, None, stop)
    }

    /// What a consumer has until a stop is asked for, at most `most` messages at a time.
    pub(crate) async fn consumer(
        link: &Arc<Link>,
        next: String,
        most: usize,
        stop: Stop,
    ) -> Result<Self, async_nats::SubscribeError> {
        let inbox = Subject::from(link.client.new_inbox());
        let subscriber = link.client.subscribe(inbox.clone()).await?;
        let pull = Pull {
            link: link.clone(),
            subject: next.into(),
            inbox,
            most,
            asked: 0,
            heard: true,
            paused: false,
            timer: Box::pin(sleep(2 * HEARTBEAT)),
            connected: Box::pin(connected(link.connected())),
        };
        Ok(Self::new(subscriber, Some(pull), stop))
    }

    /// The next message; `None` when there will be no more.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            if let Some(pull) = &mut self.pull {
                if self.stopping {
                    return None;
                }
                if self.stop.is_requested() {
                    self.stop().await;
                    continue;
                }
                pull.ask().await;
            }
            if let Some(message) = self.waiting.pop_front() {
                return Some(message);
            }
            match self.event().await {
                Event::Message(Some(message)) => match &mut self.pull {
                    None if message.status.is_none() => return Some(message),
                    None => debug!(subject = %message.subject, status = ?message.status, "ignored"),
                    Some(pull) if message.status.is_none() => {
                        pull.heard = true;
                        pull.asked = pull.asked.saturating_sub(1);
                        if !self.stop.is_requested() {
                            return Some(message);
                        }
                        // Handed back, with all that come.
                        self.waiting.push_back(message);
                    }
                    Some(pull) => pull.status(&message),
                },
                Event::Message(None) => return None,
                Event::Stop => self.stop().await,
                Event::Timer => self.pull.iter_mut().for_each(Pull::look),
                Event::Connected => self.pull.iter_mut().for_each(Pull::begin),
            }
        }
    }

    async fn event(&mut self) -> Event {
        poll_fn(|task| {
            if let Poll::Ready(message) = self.subscriber.poll_next_unpin(task) {
                return Poll::Ready(Event::Message(message));
            }
            if self.signal.as_mut().poll(task).is_ready() {
                return Poll::Ready(Event::Stop);
            }
            if let Some(pull) = &mut self.pull {
                if pull.timer.as_mut().poll(task).is_ready() {
                    return Poll::Ready(Event::Timer);
                }
                if let Poll::Ready(told) = pull.connected.as_mut().poll(task) {
                    pull.connected = Box::pin(connected(told));
                    return Poll::Ready(Event::Connected);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Ends the subscription.
    async fn stop(&mut self) {
        let ended = match &self.pull {
            // What the broker has sent by now is still handed out.
            None if !self.stopping => {
                self.signal = Box::pin(sleep(GRACE));
                self.subscriber.drain().await
            }
            _ => {
                self.signal = Box::pin(std::future::pending());
                self.subscriber.unsubscribe().await
            }
        };
        self.stopping = true;
        if let Err(error) = ended {
            debug!(%error, "the connection is closed");
        }
        let Some(pull) = &mut self.pull else { return };
        while let Some(message) = self.subscriber.next().await {
            self.waiting.push_back(message);
        }
        let mut left = 0;
        for message in self.waiting.drain(..) {
            if let (None, Some(reply)) = (message.status, message.reply) {
                left += 1;
                let _ = pull.link.client.publish(reply, AckKind::Nak(None).into()).await;
            }
        }
        debug!(left, "handed back to the broker");
    }

    /// Tells the broker that the messages which wait here are not forgotten.
    pub(crate) async fn hold(&mut self) {
        let Some(pull) = &mut self.pull else { return };
        while let Some(Some(message)) = now(self.subscriber.next()).await {
            if message.status.is_none() {
                pull.heard = true;
                pull.asked = pull.asked.saturating_sub(1);
                self.waiting.push_back(message);
            } else {
                pull.status(&message);
            }
        }
        for reply in self.waiting.iter().filter_map(|message| message.reply.clone()) {
            let _ = pull.link.client.publish(reply, AckKind::Progress.into()).await;
        }
    }
}

impl Pull {
    /// Asks for more when less than half of the most is on its way.
    async fn ask(&mut self) {
        if self.paused || self.asked * 2 > self.most {
            return;
        }
        let count = self.most - self.asked;
        let request = serde_json::json!({
            "batch": count,
            "expires": nanos(EXPIRES),
            "idle_heartbeat": nanos(HEARTBEAT),
        });
        let request = Bytes::from(request.to_string());
        let sent =
            self.link.client.publish_with_reply(self.subject.clone(), self.inbox.clone(), request).await;
        // Who asks may be given up meanwhile, and then nothing is on its way.
        self.asked = self.most;
        if let Err(error) = sent {
            debug!(%error, "the connection is closed");
        }
    }

    /// The broker says something about a request.
    fn status(&mut self, message: &Message) {
        self.heard = true;
        let said = message.description.as_deref().unwrap_or_default();
        let left = message
            .headers
            .as_ref()
            .and_then(|headers| headers.get("Nats-Pending-Messages"))
            .and_then(|count| count.as_str().parse::<usize>().ok());
        match message.status {
            Some(StatusCode::IDLE_HEARTBEAT) => {}
            Some(StatusCode::TIMEOUT) => self.asked = self.asked.saturating_sub(left.unwrap_or(self.asked)),
            status => {
                warn!(consumer = %self.subject, ?status, said, "the consumer gives nothing; asking again");
                self.pause();
            }
        }
    }

    fn pause(&mut self) {
        self.asked = 0;
        self.paused = true;
        self.timer.as_mut().reset(Instant::now() + PAUSE);
    }

    /// The timer has ended.
    fn look(&mut self) {
        if self.paused || !self.heard {
            self.asked = 0;
        }
        self.begin_timer();
    }

    /// The connection is another one: what was asked for on the last is forgotten.
    fn begin(&mut self) {
        self.asked = 0;
        self.begin_timer();
    }

    fn begin_timer(&mut self) {
        (self.paused, self.heard) = (false, false);
        self.timer.as_mut().reset(Instant::now() + 2 * HEARTBEAT);
    }
}

/// What is ready now.
async fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = std::pin::pin!(future);
    poll_fn(|task| match future.as_mut().poll(task) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
