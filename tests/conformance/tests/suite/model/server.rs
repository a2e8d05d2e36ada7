//! The server: so many workers that take messages one by one.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use amgi::{
    Application, BindingValue, Bytes, ChannelInfo, ChannelMap, Context, Disposition, Error, Extensions,
    Layer, Message, MessageSend, SendError, SendFuture, Settlement, State,
    address::Pattern,
    lifespan,
    server::{Backoff, Exhausted, Outcome, Policies, Stop, deliver, deliver_batch},
};
use amgi_conformance::Run;
use tokio::{task::JoinSet, time::sleep};

use super::{
    Fault,
    broker::{Broker, Choice, Taken},
};

const MOMENT: Duration = Duration::from_millis(2);

/// What its parts know.
struct Shared<A> {
    app: A,
    broker: Arc<Broker>,
    queue: String,
    channels: Vec<ChannelInfo>,
    policies: Policies,
    fault: Option<Fault>,
    /// Told before workers.
    stop: Stop,
    /// Losses of the broker that are known.
    losses: Mutex<u64>,
    /// What is taken and not settled.
    held: Mutex<Vec<u64>>,
}

impl<A> Shared<A> {
    fn has(&self, fault: Fault) -> bool {
        self.fault == Some(fault)
    }

    fn losses(&self) -> u64 {
        *self.losses.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn held(&self) -> std::sync::MutexGuard<'_, Vec<u64>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A> Drop for Shared<A> {
    /// A connection that ends gives back what it has.
    fn drop(&mut self) {
        for id in std::mem::take(&mut *self.held()) {
            self.broker.give_back(&self.queue, id, false);
        }
    }
}

pub(super) async fn serve<A: Application>(
    app: A,
    mut run: Run,
    broker: Arc<Broker>,
    fault: Option<Fault>,
) -> amgi::Result<()> {
    let has = |other| fault == Some(other);
    while !broker.is_up() {
        if !has(Fault::WaitsForTheBroker) {
            return Err(Error::Broker("the broker is gone".into()));
        }
        sleep(MOMENT).await;
    }
    let app = app.layer(Changes(fault));
    let (replies, channels): (Vec<ChannelInfo>, Vec<ChannelInfo>) =
        app.channels().iter().cloned().partition(|channel| channel.replies && !has(Fault::RepliesWait));
    let group = run.group.clone().filter(|_| !has(Fault::IgnoresGroups)).unwrap_or_else(|| run.name.clone());
    let (queue, answers) = (group.to_string(), format!("{}/replies", run.name));
    let patterns = |channels: &[ChannelInfo]| -> Vec<Pattern> {
        let wide = |address: &str| {
            if has(Fault::FiltersNothing) { address.replace("lamp-", "") } else { address.to_owned() }
        };
        channels.iter().filter_map(|channel| Pattern::parse(&wide(&channel.address)).ok()).collect()
    };
    broker.subscribe(&queue, patterns(&channels));
    broker.subscribe(&answers, patterns(&replies));
    change_policy(&mut run, fault);

    let later = Arc::new(Mutex::new(JoinSet::new()));
    let sender: Arc<dyn MessageSend> =
        Arc::new(Sender { broker: broker.clone(), fault, timeout: run.send_timeout, later: later.clone() });
    let early = State::default();
    let started =
        if has(Fault::StartsTooEarly) { Ok(early) } else { lifespan::startup(&app, sender.clone()).await };
    let state = match started {
        Ok(state) => state,
        Err(_) if has(Fault::IgnoresStartup) => State::default(),
        Err(error) => return Err(error),
    };
    let described = if has(Fault::IgnoresTheDocument) { &[][..] } else { app.channels() };
    let policies = Policies::new(described, run.policy.clone());
    let losses = Mutex::new(broker.losses());
    let drain = Stop::new();
    let shared = Arc::new(Shared {
        app,
        broker: broker.clone(),
        queue,
        channels,
        policies,
        fault,
        stop: drain.clone(),
        losses,
        held: Mutex::default(),
    });
    let state = if has(Fault::LosesState) { State::default() } else { state };
    let mut extensions = Extensions::default();
    if has(Fault::UndeclaredExtension) {
        extensions.insert("model.secret", true.into());
    }
    let cx =
        Context::new(Message::default(), state, sender.clone()).with_stop(&drain).with_extensions(extensions);
    let mut workers = JoinSet::new();
    let count = match fault {
        Some(Fault::OneAtATime) => 1,
        Some(Fault::TwiceAsMany) => 2 * run.concurrency,
        _ => run.concurrency,
    };
    let hoard = Arc::new(Mutex::new(Vec::new()));
    for _ in 0..count {
        workers.spawn(work(shared.clone(), cx.clone(), hoard.clone()));
    }
    if has(Fault::StartsTooEarly) {
        sleep(10 * MOMENT).await;
        lifespan::startup(&shared.app, sender).await?;
    }
    let mut answering = JoinSet::new();
    answering.spawn(answer(shared.clone(), cx, answers));
    run.ready.tell();

    until_stopped(&shared, &run).await;
    if has(Fault::RepliesEndAtStop) {
        answering.abort_all();
    }
    if has(Fault::ShutsDownTooEarly) {
        lifespan::shutdown(&shared.app).await?;
    }
    if !has(Fault::StopGoesOn) {
        drain.request();
    }
    finish(&shared, workers, run.shutdown_deadline).await;
    if has(Fault::ForgetsItsQueue) {
        broker.forget(&shared.queue);
    }
    if has(Fault::ShutsDownTooEarly) {
        return Ok(());
    }
    let ended = lifespan::shutdown(&shared.app).await;
    if has(Fault::IgnoresShutdown) { Ok(()) } else { ended }
}

/// Waits for a stop, and connects again when the broker was gone.
async fn until_stopped<A>(shared: &Shared<A>, run: &Run) {
    while !run.stop.is_requested() {
        tokio::select! {
            () = run.stop.requested() => {}
            () = sleep(MOMENT) => {}
        }
        let losses = shared.broker.losses();
        if losses != shared.losses() && shared.broker.is_up() && !shared.has(Fault::StaysAway) {
            // Connected again: what was taken before is the broker's again.
            *shared.losses.lock().unwrap_or_else(PoisonError::into_inner) = losses;
            shared.held().clear();
            run.ready.tell();
        }
    }
}

/// Waits for workers, but not beyond the deadline.
async fn finish<A>(shared: &Shared<A>, mut workers: JoinSet<()>, deadline: Duration) {
    let ended = async { while workers.join_next().await.is_some() {} };
    let deadline = match shared.fault {
        Some(Fault::NoDeadline) => Duration::from_secs(3600),
        Some(Fault::StopCuts) => Duration::ZERO,
        Some(Fault::StopGoesOn) => Duration::from_secs(1),
        _ => deadline,
    };
    if tokio::time::timeout(deadline, ended).await.is_err() {
        workers.abort_all();
        while workers.join_next().await.is_some() {}
        if shared.has(Fault::DeadlineAcks) {
            for id in std::mem::take(&mut *shared.held()) {
                shared.broker.ack(&shared.queue, id, shared.losses());
            }
        }
    }
}

fn change_policy(run: &mut Run, fault: Option<Fault>) {
    match fault {
        Some(Fault::NeverRetries) => run.policy.attempts = 1,
        Some(Fault::RetriesAtOnce) => {
            run.policy.backoff = Backoff { first: Duration::ZERO, most: Duration::ZERO, jitter: false };
        }
        Some(Fault::NeverTimesOut) => run.policy.timeout = None,
        Some(Fault::NoDeadLetters) => run.policy.exhausted = Exhausted::Nack,
        _ => {}
    }
}

/// Takes and handles one message after the other.
async fn work<A: Application>(shared: Arc<Shared<A>>, mut cx: Context, hoard: Arc<Mutex<Vec<Message>>>) {
    let map = ChannelMap::new(&shared.channels);
    let mut settlements = Vec::new();
    loop {
        if shared.stop.is_requested() {
            return;
        }
        if shared.has(Fault::TakesEverything) {
            take_everything(&shared, &hoard);
        }
        let Some(taken) = take(&shared) else {
            sleep(MOMENT).await;
            continue;
        };
        if shared.has(Fault::AcksEarly) {
            shared.broker.ack(&shared.queue, taken.id, shared.losses());
        }
        let channel = map.find(&taken.message.address);
        let batch = channel.and_then(|index| shared.channels[index].batch);
        if let Some(batch) = batch.filter(|_| !shared.has(Fault::BatchesOfOne)) {
            let most = if shared.has(Fault::BatchesOfAll) { 100 } else { batch.size };
            let mut all = vec![taken];
            while all.len() < most
                && let Some(taken) = take_any(&shared)
            {
                all.push(taken);
            }
            let contexts: Vec<Context> =
                all.iter().map(|taken| context(&shared, &cx, &taken.message)).collect();
            let mut outcomes = Vec::new();
            let keep = |_, outcome| outcomes.push(outcome);
            deliver_batch(&shared.app, &contexts, &shared.policies, &mut settlements, keep).await;
            let all_well = outcomes.iter().all(|outcome| matches!(outcome, Outcome::Acked));
            for (taken, outcome) in all.iter().zip(&outcomes) {
                let acked = outcome.is_acked() && (all_well || !shared.has(Fault::BatchIsAllOrNothing));
                settle(&shared, taken.id, outcome, acked);
            }
            continue;
        }
        cx = context(&shared, &cx, &taken.message);
        let outcome = if shared.has(Fault::PanicsToo) {
            match shared.app.message(&cx).await {
                Settlement::Ack => Outcome::Acked,
                _ => Outcome::Unsettled,
            }
        } else {
            deliver(&shared.app, &cx, &shared.policies).await
        };
        if shared.has(Fault::NackBlocks) && !outcome.is_acked() && !shared.stop.is_requested() {
            let mut outcome = outcome;
            while !outcome.is_acked() && !shared.stop.is_requested() {
                sleep(MOMENT).await;
                outcome = deliver(&shared.app, &cx, &shared.policies).await;
            }
            settle(&shared, taken.id, &outcome, outcome.is_acked());
            continue;
        }
        let acked = match &outcome {
            Outcome::Unsettled => shared.has(Fault::AcksUnsettled),
            Outcome::Nacked { .. } => shared.has(Fault::AcksNacked),
            Outcome::DeadLettered(_) => !shared.has(Fault::KeepsDeadLettered),
            _ => !shared.has(Fault::AcksNothing),
        };
        settle(&shared, taken.id, &outcome, acked);
    }
}

/// Copies what is there into memory, as a socket would that is read without end.
fn take_everything<A>(shared: &Shared<A>, hoard: &Mutex<Vec<Message>>) {
    let mut hoard = hoard.lock().unwrap_or_else(PoisonError::into_inner);
    for mut message in shared.broker.take_everything(&shared.queue) {
        message.payload = message.payload.map(|payload| Bytes::copy_from_slice(&payload));
        hoard.push(message);
    }
}

fn take<A>(shared: &Shared<A>) -> Option<Taken> {
    let choice = match shared.fault {
        Some(Fault::Reorders) => Choice::Last,
        Some(Fault::Overtakes | Fault::OvertakesRetries) => Choice::Any,
        _ => Choice::InOrder,
    };
    let taken = shared.broker.take(&shared.queue, shared.losses(), choice)?;
    shared.held().push(taken.id);
    Some(taken)
}

fn take_any<A>(shared: &Shared<A>) -> Option<Taken> {
    let taken = shared.broker.take(&shared.queue, shared.losses(), Choice::Any)?;
    shared.held().push(taken.id);
    Some(taken)
}

fn settle<A>(shared: &Shared<A>, id: u64, outcome: &Outcome, acked: bool) {
    shared.held().retain(|held| *held != id);
    if acked {
        shared.broker.ack(&shared.queue, id, shared.losses());
    } else if outcome.is_acked() {
        // Neither acknowledged nor given back: it comes again after a restart.
        shared.held().push(id);
    } else {
        shared.broker.give_back(&shared.queue, id, true);
    }
}

fn context<A>(shared: &Shared<A>, cx: &Context, message: &Message) -> Context {
    let mut next = cx.clone();
    next.replace(changed(shared.fault, message.clone()));
    next
}

/// Replies, past everything else, also during a stop.
async fn answer<A: Application>(shared: Arc<Shared<A>>, mut cx: Context, queue: String) {
    loop {
        match shared.broker.take(&queue, shared.losses(), Choice::InOrder) {
            Some(taken) => {
                cx.replace(taken.message);
                if deliver(&shared.app, &cx, &shared.policies).await.is_acked() {
                    shared.broker.ack(&queue, taken.id, shared.losses());
                }
            }
            None => sleep(MOMENT).await,
        }
    }
}

/// What becomes of a message on its way in.
fn changed(fault: Option<Fault>, mut message: Message) -> Message {
    let lossy = |bytes: &Bytes| Bytes::from(String::from_utf8_lossy(bytes).into_owned());
    match fault {
        Some(Fault::OtherAddress) => message.address = message.address.replace('.', "/").into(),
        Some(Fault::LosesHeaders) => message.headers = amgi::Headers::default(),
        Some(Fault::LosesBindings) => message.bindings = amgi::Bindings::default(),
        Some(Fault::BindsTwice) => message.bindings.set("other", "field", BindingValue::Int(1)),
        Some(Fault::SortsHeaders) => {
            let mut pairs: Vec<_> = message.headers.iter().cloned().collect();
            pairs.sort();
            message.headers = pairs.into_iter().collect();
        }
        Some(Fault::OneHeaderEach) => {
            let mut pairs: Vec<_> = message.headers.iter().cloned().collect();
            pairs.reverse();
            let mut seen = std::collections::BTreeSet::new();
            pairs.retain(|(name, _)| seen.insert(name.clone()));
            pairs.reverse();
            message.headers = pairs.into_iter().collect();
        }
        Some(Fault::TextHeaders) => {
            message.headers =
                message.headers.iter().map(|(name, value)| (name.clone(), lossy(value))).collect();
        }
        Some(Fault::TextPayload) => message.payload = message.payload.as_ref().map(lossy),
        Some(Fault::EmptyIsAbsent) => message.payload = message.payload.filter(|payload| !payload.is_empty()),
        Some(Fault::AbsentIsEmpty) => message.payload = Some(message.payload.unwrap_or_default()),
        Some(Fault::CutsPayloads) => message.payload = message.payload.map(|payload| payload.slice(1..)),
        Some(Fault::CutsLargePayloads) => {
            message.payload = message.payload.map(|payload| payload.slice(..payload.len().min(65_536)));
        }
        _ => {}
    }
    message
}

/// What becomes of a settlement on its way out.
struct Changes(Option<Fault>);

impl Layer for Changes {
    async fn message<A: Application>(&self, cx: &Context, next: &A) -> Settlement {
        match (self.0, next.message(cx).await) {
            (
                Some(Fault::RetriesRejected),
                Settlement::Fail { disposition: Disposition::DeadLetter, reason },
            ) => Settlement::Fail { disposition: Disposition::Retry, reason },
            (
                Some(Fault::DeadLettersDiscarded),
                Settlement::Fail { disposition: Disposition::Discard, reason },
            ) => Settlement::Fail { disposition: Disposition::DeadLetter, reason },
            (_, settlement) => settlement,
        }
    }

    async fn batch<A: Application>(&self, contexts: &[Context], settlements: &mut Vec<Settlement>, next: &A) {
        next.batch(contexts, settlements).await;
    }
}

struct Sender {
    broker: Arc<Broker>,
    fault: Option<Fault>,
    timeout: Duration,
    /// Sends that are done after they returned; they end with the server.
    later: Arc<Mutex<JoinSet<()>>>,
}

impl Sender {
    async fn give(&self, mut message: Message) -> Result<(), &'static str> {
        match self.fault {
            Some(Fault::LosesHeadersOut) => message.headers = amgi::Headers::default(),
            Some(Fault::LosesBindingsOut) => message.bindings = amgi::Bindings::default(),
            Some(Fault::SendsTwice) => self.broker.publish(&message)?,
            Some(Fault::SendsLose) if message.payload.as_deref() == Some(b"7") => return Ok(()),
            Some(Fault::SendsLater) => {
                let broker = self.broker.clone();
                self.later.lock().unwrap_or_else(PoisonError::into_inner).spawn(async move {
                    sleep(Duration::from_millis(50)).await;
                    let _ = broker.publish(&message);
                });
                return Ok(());
            }
            _ => {}
        }
        if self.fault == Some(Fault::StopsAtRefusals) && message.address == super::broker::REFUSED {
            self.broker.go();
        }
        let until = tokio::time::Instant::now() + self.timeout;
        loop {
            match self.broker.publish(&message) {
                Err(_) if self.fault == Some(Fault::IgnoresRefusals) => return Ok(()),
                Err(_) if self.fault == Some(Fault::SendsWithoutBroker) => return Ok(()),
                Err(_) if self.fault == Some(Fault::SendsHang) => sleep(MOMENT).await,
                Err(_) if !self.broker.is_up() && tokio::time::Instant::now() < until => sleep(MOMENT).await,
                sent => return sent,
            }
        }
    }
}

impl MessageSend for Sender {
    fn send(&self, message: Message) -> SendFuture<'_> {
        let address = message.address.to_string();
        SendFuture::pending(
            async move { self.give(message).await.map_err(|why| SendError::new(address, why)) },
        )
    }
}
