//! An application that has started, and what becomes of an event.
//!
//! What must hold: every record is settled by its handler, or fails; behind one that failed nothing of its line is begun; the
//! answer is there before the deadline.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use amgi::{
    Application, ByteString, ChannelInfo, Context, Disposition, Message, MessageSend, Reason, Result,
    SendFuture, Settlement, lifespan,
    server::{Outcome, Policies, Policy, Stop, deliver, deliver_batch},
};
use futures_util::stream::{self, StreamExt as _};
use tokio::time::{Instant, sleep_until, timeout_at};
use tracing::warn;

use crate::{
    config::Config,
    error::EventError,
    event::{self, Event, Id, Record, Source},
    names::Names,
};

/// An application that has started, as [`Server::start`](crate::Server::start) gives it: it takes events, one after the other or
/// several at a time.
pub struct Function<A> {
    app: Arc<A>,
    config: Config,
    names: Names,
    /// Of sources that deliver once, as far as anybody knows.
    policies: Policies,
    /// Of those that count their deliveries.
    counted: Policies,
    context: Context,
    /// Of each source, the document's servers that its messages are answered by.
    answers: [(Source, &'static [&'static str]); 6],
    stop: Stop,
}

/// What the handlers of a message send with: what they send goes where it came from, as far as the document leaves that open.
struct Origin {
    sender: Arc<dyn MessageSend>,
    /// Servers of its channel; none for all.
    channel: &'static [&'static str],
    /// Servers by which it may be answered, the likeliest first.
    answers: &'static [&'static str],
}

impl MessageSend for Origin {
    fn send(&self, message: Message) -> SendFuture<'_> {
        self.send_on(&[], message)
    }

    fn send_on(&self, servers: &'static [&'static str], message: Message) -> SendFuture<'_> {
        let servers = if servers.is_empty() { self.channel } else { servers };
        let fits = |name: &&str| servers.is_empty() || servers.contains(name);
        let likely = self.answers.iter().position(fits).map(|at| &self.answers[at..=at]);
        self.sender.send_on(likely.unwrap_or(servers), message)
    }
}

/// When handlers are cut off, and when everything is.
struct Limit {
    soft: Instant,
    hard: Instant,
}

impl Limit {
    fn new(left: Duration, margin: Duration) -> Self {
        let now = Instant::now();
        let soft = left.saturating_sub(margin).max(left / 2);
        let hard = soft + left.saturating_sub(soft) / 2;
        // Nobody waits for years.
        let at = |time: Duration| now + time.min(Duration::from_secs(365 * 86_400));
        Self { soft: at(soft), hard: at(hard) }
    }
}

/// The application until a deadline: handlers that are not done then have failed, and what was made for them is cleaned up.
struct Limited<A> {
    app: Arc<A>,
    until: Instant,
}

/// Why what was not done has failed.
const DEADLINE: &str = "the invocation is at its deadline";

fn cut_off() -> Settlement {
    Settlement::Fail { disposition: Disposition::Retry, reason: Reason::Failed(DEADLINE.to_owned()) }
}

impl<A: Application> Application for Limited<A> {
    fn channels(&self) -> &[ChannelInfo] {
        self.app.channels()
    }

    async fn message(&self, cx: &Context) -> Settlement {
        timeout_at(self.until, self.app.message(cx)).await.unwrap_or_else(|_| cut_off())
    }

    async fn batch(&self, contexts: &[Context], settlements: &mut Vec<Settlement>) {
        if timeout_at(self.until, self.app.batch(contexts, settlements)).await.is_err() {
            settlements.resize(contexts.len(), cut_off());
        }
    }
}

/// What is known of a record beside its message.
struct Known {
    id: Option<Id>,
    line: Option<String>,
    address: ByteString,
}

/// A record that is to be handled.
struct Job {
    /// Index of the record.
    index: usize,
    delivered: u32,
    message: Message,
}

/// Records that are handled one after the other, or together.
struct Line {
    jobs: Vec<Job>,
    channel: Option<usize>,
    is_ordered: bool,
    /// Behind a record that cannot be read nothing is begun.
    is_broken: bool,
}

/// Of each record what became of it, or why it failed; `None` where it was not begun, or is not done.
type Outcomes = Vec<Option<Result<(), String>>>;

impl<A: Application> Function<A> {
    pub(crate) async fn start(
        app: A,
        config: Config,
        names: Names,
        policy: Policy,
        sender: Arc<dyn MessageSend>,
        stop: &Stop,
    ) -> Result<Self> {
        let policies = Policies::new(&names.channels, policy.clone()).put_aside_by_broker();
        let counted = Policies::new(&names.channels, policy).put_aside_by_broker().redelivered();
        let state = lifespan::startup(&app, sender.clone()).await?;
        // Startup may have put another in its place.
        let sender = state.sender().cloned().unwrap_or(sender);
        let answers = Source::ALL.map(|source| (source, servers(&app, source)));
        let context = Context::new(Message::default(), state, sender);
        Ok(Self {
            app: Arc::new(app),
            config,
            names,
            policies,
            counted,
            context,
            answers,
            stop: stop.clone(),
        })
    }

    /// Handles an event, which is JSON as Lambda hands it over, and gives the answer, JSON too: what failed, where its source can
    /// be told. `left` is the time until the deadline.
    ///
    /// # Errors
    /// [`EventError`], when the invocation is to fail as a whole.
    pub async fn invoke(&self, event: &[u8], left: Duration) -> Result<String, EventError> {
        let Event { source, records } = event::read(event, &self.names, &self.config)?;
        let (known, lines, outcomes) = self.arrange(records);
        let outcomes = Mutex::new(outcomes);
        let limit = Limit::new(left, self.config.margin);
        // Waits of handlers and between attempts end with the server, and with the time.
        let stop = Stop::ignoring_signals();
        let app = Limited { app: self.app.clone(), until: limit.soft };
        let work = stream::iter(lines).for_each_concurrent(self.config.concurrency, |line| {
            self.work(source, line, &app, &stop, &outcomes)
        });
        let handled = async {
            tokio::select! {
                // First: then nothing more is begun.
                biased;
                () = self.over(&limit, &stop) => {}
                () = work => {}
            }
        };
        // What does not even clean up in time is left behind.
        let in_time = timeout_at(limit.hard, handled).await.is_ok() && Instant::now() < limit.soft;
        let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.answer(source, &known, outcomes, in_time)
    }

    /// Asks for a stop when the server is asked to, or at the deadline; never ends.
    async fn over(&self, limit: &Limit, stop: &Stop) {
        tokio::select! {
            () = self.stop.requested() => {}
            () = sleep_until(limit.soft) => {}
        }
        stop.request();
        std::future::pending::<()>().await;
    }

    /// Runs shutdown.
    ///
    /// # Errors
    /// What it fails with.
    pub async fn shutdown(self) -> Result<()> {
        self.end().await
    }

    pub(crate) async fn end(&self) -> Result<()> {
        lifespan::shutdown(&*self.app).await
    }

    fn batch(&self, channel: Option<usize>) -> Option<usize> {
        Some(self.names.channels[channel?].batch?.size.max(1))
    }

    /// What is handled in which order.
    fn arrange(&self, records: Vec<Record>) -> (Vec<Known>, Vec<Line>, Outcomes) {
        let mut lines: Vec<Line> = Vec::new();
        let mut ordered: HashMap<String, usize> = HashMap::new();
        // Batches that have room.
        let mut open: HashMap<Option<usize>, usize> = HashMap::new();
        let (mut known, mut outcomes) = (Vec::new(), Vec::new());
        for (index, Record { id, line, delivered, channel, message }) in records.into_iter().enumerate() {
            let address = message.as_ref().map_or_else(|_| ByteString::default(), |m| m.address.clone());
            let new = |lines: &mut Vec<Line>, is_ordered| {
                lines.push(Line { jobs: Vec::new(), channel, is_ordered, is_broken: false });
                lines.len() - 1
            };
            let batch = self.batch(channel);
            let place = match (&line, batch) {
                (Some(line), _) => *ordered.entry(line.clone()).or_insert_with(|| new(&mut lines, true)),
                (None, Some(_)) => *open.entry(channel).or_insert_with(|| new(&mut lines, false)),
                (None, None) => new(&mut lines, false),
            };
            let here = &mut lines[place];
            let mut outcome = None;
            match message {
                Ok(_) if self.names.is_elsewhere(channel) => {
                    here.is_broken = here.is_ordered;
                    outcome = Some(Err("its channel is on another server".to_owned()));
                }
                Ok(message) if !here.is_broken => {
                    here.channel = channel;
                    here.jobs.push(Job { index, delivered, message });
                }
                Ok(_) => {}
                Err(reason) => {
                    here.is_broken = here.is_ordered;
                    outcome = Some(Err(format!("it cannot be read: {reason}")));
                }
            }
            if batch.is_some_and(|size| here.jobs.len() >= size) && !here.is_ordered {
                open.remove(&channel);
            }
            known.push(Known { id, line, address });
            outcomes.push(outcome);
        }
        (known, lines, outcomes)
    }

    async fn work(
        &self,
        source: Source,
        line: Line,
        app: &Limited<A>,
        stop: &Stop,
        outcomes: &Mutex<Outcomes>,
    ) {
        let policies = if source.counts() { &self.counted } else { &self.policies };
        let Line { mut jobs, channel, is_ordered, .. } = line;
        let servers = channel.map_or(&[][..], |channel| self.names.channels[channel].servers);
        let answers =
            self.answers.iter().find(|(known, _)| *known == source).map_or(&[][..], |(_, names)| names);
        let mut base = self.context.clone().with_stop(stop);
        if !servers.is_empty() || !answers.is_empty() {
            let sender = self.context.sender().clone();
            base = base.with_sender(Arc::new(Origin { sender, channel: servers, answers }));
        }
        let put = |cx: &mut Context, job: &mut Job| {
            drop(cx.replace(std::mem::take(&mut job.message)));
            if source.counts() && job.delivered > 1 {
                cx.set_redelivered(job.delivered - 1);
            }
        };
        let note = |job: &Job, outcome: Outcome| {
            let result = failure(outcome).map_or(Ok(()), Err);
            let failed = result.is_err();
            outcomes.lock().unwrap_or_else(PoisonError::into_inner)[job.index] = Some(result);
            failed
        };
        let Some(size) = self.batch(channel) else {
            for mut job in jobs {
                if stop.is_requested() {
                    return;
                }
                put(&mut base, &mut job);
                let outcome = deliver(app, &base, policies).await;
                if note(&job, outcome) && is_ordered {
                    return;
                }
            }
            return;
        };
        let mut settlements = Vec::new();
        while !jobs.is_empty() && !stop.is_requested() {
            let mut batch: Vec<Job> = jobs.drain(..size.min(jobs.len())).collect();
            let mut contexts = Vec::with_capacity(batch.len());
            for job in &mut batch {
                let mut cx = base.clone();
                put(&mut cx, job);
                contexts.push(cx);
            }
            let mut failed = false;
            let done = |index: usize, outcome| failed |= note(&batch[index], outcome);
            deliver_batch(app, &contexts, policies, &mut settlements, done).await;
            if failed && is_ordered {
                return;
            }
        }
    }

    fn answer(
        &self,
        source: Source,
        known: &[Known],
        outcomes: Outcomes,
        in_time: bool,
    ) -> Result<String, EventError> {
        let mut broken: HashSet<&str> = HashSet::new();
        let mut ids: Vec<Option<&Id>> = Vec::new();
        let mut first = None;
        let mut count = 0;
        for (Known { id, line, address }, outcome) in known.iter().zip(outcomes) {
            let behind = line.as_deref().is_some_and(|line| broken.contains(line));
            let reason = match outcome {
                // What SQS need not deliver again, it does not.
                Some(Ok(())) if !behind || source == Source::Sqs => continue,
                Some(Err(reason)) => reason,
                _ if behind => "one before it failed".to_owned(),
                _ if in_time => "the server is stopping".to_owned(),
                _ => DEADLINE.to_owned(),
            };
            let shown = id.as_ref().map(ToString::to_string).unwrap_or_default();
            warn!(%source, id = shown, %address, reason, "record failed");
            count += 1;
            first.get_or_insert(reason);
            if let Some(line) = line {
                broken.insert(line);
            }
            if !(behind && source.resumes()) {
                ids.push(id.as_ref());
            }
        }
        let Some(reason) = first else {
            let tells = !matches!(source, Source::Sns | Source::EventBridge);
            return Ok(if tells { event::answer([].into_iter()) } else { "null".to_owned() });
        };
        let ids = ids.into_iter().collect::<Option<Vec<_>>>().filter(|_| source.reports(&self.config));
        let failed = || EventError::Failed { failed: count, records: known.len(), reason };
        ids.map(|ids| event::answer(ids.into_iter())).ok_or_else(failed)
    }
}

impl<A> fmt::Debug for Function<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").field("names", &self.names).finish_non_exhaustive()
    }
}

/// The document's servers that messages of a source are answered by. They are as long as the process is.
fn servers<A: Application>(app: &A, source: Source) -> &'static [&'static str] {
    let speaking = |protocol| app.servers().iter().filter(move |server| server.protocol == protocol);
    let names: Vec<&'static str> = source
        .answered_by()
        .iter()
        .flat_map(|protocol| speaking(*protocol))
        .map(|server| server.name)
        .collect();
    if names.is_empty() { &[] } else { names.leak() }
}

/// Why the source has to deliver a message again; `None` when it has not.
fn failure(outcome: Outcome) -> Option<String> {
    match outcome {
        Outcome::Acked | Outcome::Discarded(_) | Outcome::DeadLettered(_) => None,
        Outcome::Nacked { reason, .. } => Some(reason.to_string()),
        Outcome::Unsettled => Some("its handler did not say what became of it".to_owned()),
    }
}
