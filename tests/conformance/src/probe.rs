//! The application that cases run: it does what its case says, and tells what happens to it.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use amgi::{Application, ChannelInfo, Context, Settlement, StartupError, State};
use tokio::sync::mpsc;

use crate::stage::{Broken, Outcome, text};

type Handler = Box<dyn Fn(Context) -> Pin<Box<dyn Future<Output = Settlement> + Send>> + Send + Sync>;

/// What startup puts into the state.
pub(crate) struct Mark;

/// A message that is about to be handled.
#[derive(Debug)]
pub(crate) struct Began {
    pub(crate) cx: Context,
    pub(crate) attempt: u32,
    pub(crate) at: Instant,
    /// How many messages are in its batch.
    pub(crate) batch: usize,
}

impl Began {
    /// The payload as text.
    pub(crate) fn text(&self) -> String {
        text(self.cx.message())
    }
}

#[derive(Debug)]
pub(crate) enum Event {
    Startup,
    Began(Box<Began>),
    /// A handler has finished: the payload as text.
    Ended(String),
    Shutdown,
}

/// Handlers at work.
#[derive(Debug, Default)]
pub(crate) struct Work {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Work {
    pub(crate) fn now(&self) -> usize {
        self.now.load(Ordering::SeqCst)
    }

    /// The most there ever were at a time.
    pub(crate) fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst)
    }
}

struct AtWork(Arc<Work>);

impl AtWork {
    fn new(work: &Arc<Work>) -> Self {
        let now = work.now.fetch_add(1, Ordering::SeqCst) + 1;
        work.most.fetch_max(now, Ordering::SeqCst);
        Self(work.clone())
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

pub(crate) struct Probe {
    channels: Vec<ChannelInfo>,
    handler: Handler,
    events: mpsc::UnboundedSender<Event>,
    work: Arc<Work>,
    pub(crate) startup_takes: Duration,
    pub(crate) startup_fails: Option<&'static str>,
    pub(crate) shutdown_fails: Option<&'static str>,
}

impl Probe {
    pub(crate) fn new<F: Future<Output = Settlement> + Send + 'static>(
        channels: impl IntoIterator<Item = ChannelInfo>,
        handler: impl Fn(Context) -> F + Send + Sync + 'static,
    ) -> (Self, Seen) {
        let (tell, events) = mpsc::unbounded_channel();
        let work = Arc::<Work>::default();
        let probe = Self {
            channels: channels.into_iter().collect(),
            handler: Box::new(move |cx| Box::pin(handler(cx))),
            events: tell,
            work: work.clone(),
            startup_takes: Duration::ZERO,
            startup_fails: None,
            shutdown_fails: None,
        };
        (probe, Seen { events, work, patience: Duration::from_secs(15) })
    }

    /// Acknowledges everything.
    pub(crate) fn content(channels: impl IntoIterator<Item = ChannelInfo>) -> (Self, Seen) {
        Self::new(channels, |_| async { Settlement::Ack })
    }

    fn tell(&self, event: Event) {
        // A case that has ended hears no more.
        let _ = self.events.send(event);
    }

    async fn handle(&self, cx: &Context, batch: usize) -> Settlement {
        let _at_work = AtWork::new(&self.work);
        let began = Began { cx: cx.clone(), attempt: cx.attempt(), at: Instant::now(), batch };
        self.tell(Event::Began(Box::new(began)));
        let settlement = (self.handler)(cx.clone()).await;
        self.tell(Event::Ended(text(cx.message())));
        settlement
    }
}

impl Application for Probe {
    fn channels(&self) -> &[ChannelInfo] {
        &self.channels
    }

    async fn startup(&self, state: &mut State) -> Result<(), StartupError> {
        tokio::time::sleep(self.startup_takes).await;
        if let Some(text) = self.startup_fails {
            return Err(StartupError::new(text));
        }
        state.insert(Mark);
        self.tell(Event::Startup);
        Ok(())
    }

    async fn message(&self, cx: &Context) -> Settlement {
        self.handle(cx, 1).await
    }

    async fn batch(&self, contexts: &[Context], settlements: &mut Vec<Settlement>) {
        for cx in contexts {
            settlements.push(self.handle(cx, contexts.len()).await);
        }
    }

    async fn shutdown(&self) -> Result<(), StartupError> {
        self.tell(Event::Shutdown);
        self.shutdown_fails.map_or(Ok(()), |text| Err(StartupError::new(text)))
    }
}

/// What a probe tells.
pub(crate) struct Seen {
    events: mpsc::UnboundedReceiver<Event>,
    pub(crate) work: Arc<Work>,
    pub(crate) patience: Duration,
}

impl Seen {
    /// The next event.
    pub(crate) async fn event(&mut self) -> Outcome<Event> {
        match tokio::time::timeout(self.patience, self.events.recv()).await {
            Ok(Some(event)) => Ok(event),
            Ok(None) => Err(Broken::new("the server is gone, and more should have come")),
            Err(_) => Err(Broken::new(format!("nothing comes within {:?}", self.patience))),
        }
    }

    /// The next message that is handled.
    pub(crate) async fn began(&mut self) -> Outcome<Began> {
        loop {
            if let Event::Began(began) = self.event().await? {
                return Ok(*began);
            }
        }
    }

    /// The end of the next handler: the payload of its message.
    pub(crate) async fn ended(&mut self) -> Outcome<String> {
        loop {
            if let Event::Ended(text) = self.event().await? {
                return Ok(text);
            }
        }
    }

    /// What is known already.
    pub(crate) fn rest(&mut self) -> Vec<Event> {
        std::iter::from_fn(|| self.events.try_recv().ok()).collect()
    }

    /// Payloads of messages whose handling has begun, of what is known already.
    pub(crate) fn rest_began(&mut self) -> Vec<String> {
        let began = |event| match event {
            Event::Began(began) => Some(began.text()),
            _ => None,
        };
        self.rest().into_iter().filter_map(began).collect()
    }
}
