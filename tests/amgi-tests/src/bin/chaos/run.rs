//! What happens, and when, and what became of the numbers.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::sync::watch;

use crate::{
    brokers::{Broker, DeadLetters, Kind, LANES, Order, Publisher},
    instance::Instance,
    proxy::Proxy,
    service::{Service, is_poisoned},
};

/// How long the connection is held.
const HELD: Duration = Duration::from_secs(5);
/// The same where it stands for a broker that is away: longer than anything is hidden.
const HELD_LONG: Duration = Duration::from_secs(12);
/// How long the broker is away.
const AWAY: Duration = Duration::from_secs(1);
/// Least time between two events, also when the numbers are ahead.
const APART: Duration = Duration::from_millis(500);
/// How long nothing may happen before it is over.
const SILENCE: Duration = Duration::from_secs(45);

/// What is asked for.
pub(crate) struct Plan {
    pub(crate) messages: u64,
    /// A second.
    pub(crate) rate: u64,
    pub(crate) kind: Kind,
    pub(crate) service: Service,
    /// What it is called.
    pub(crate) name: String,
    /// For journals and logs.
    pub(crate) folder: PathBuf,
}

/// What became of the numbers.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) server: String,
    /// A second.
    pub(crate) rate: u64,
    /// Whether dead letters were left to the queues.
    pub(crate) redrive: bool,
    pub(crate) published: u64,
    pub(crate) published_again: u64,
    pub(crate) handled: usize,
    pub(crate) lost: Vec<u64>,
    pub(crate) duplicates: usize,
    /// Numbers that came after a later one of their lane had been handled, where that is not allowed.
    pub(crate) out_of_order: usize,
    pub(crate) poisoned: usize,
    pub(crate) dead_letters: usize,
    pub(crate) dead_letters_repeated: usize,
    pub(crate) missing_dead_letters: Vec<u64>,
    pub(crate) wrong_dead_letters: Vec<u64>,
    pub(crate) seconds: f64,
    pub(crate) events: Vec<String>,
}

impl Report {
    /// Whether every promise was kept.
    pub(crate) fn is_good(&self) -> bool {
        self.lost.is_empty()
            && self.out_of_order == 0
            && self.missing_dead_letters.is_empty()
            && self.wrong_dead_letters.is_empty()
            // A queue that counts deliveries moves a message once.
            && !(self.redrive && self.dead_letters_repeated > 0)
    }
}

/// Puts the service through it.
pub(crate) async fn run<B: Broker>(plan: &Plan) -> Result<Report, Box<dyn Error>> {
    let mut chaos = Chaos::<B>::begin(plan).await?;
    let (tell, drawn) = watch::channel(0);
    let publisher = chaos.broker.publisher();
    let publishing = tokio::spawn(publish(publisher, plan.messages, plan.rate, tell));
    let mut next = tokio::time::Instant::now();
    for twentieth in 1..20 {
        let id = plan.messages * twentieth / 20;
        drawn.clone().wait_for(|drawn| *drawn >= id).await?;
        tokio::time::sleep_until(next).await;
        chaos.step(twentieth, &drawn).await?;
        next = tokio::time::Instant::now() + APART;
    }
    let published_again = publishing.await?;
    chaos.note(&drawn, "all are published");
    chaos.end(plan, published_again).await
}

/// A run.
struct Chaos<B> {
    kind: Kind,
    service: Service,
    folder: PathBuf,
    journal: PathBuf,
    began: Instant,
    broker: B,
    proxy: Proxy,
    dead_letters: DeadLetters,
    first: Instance,
    second: Option<Instance>,
    /// From which line of the journal on two may share the work.
    shared: usize,
    events: Vec<String>,
}

impl<B: Broker> Chaos<B> {
    async fn begin(plan: &Plan) -> Result<Self, Box<dyn Error>> {
        fs::create_dir_all(&plan.folder)?;
        for old in ["journal", "1.log", "2.log"] {
            match fs::remove_file(plan.folder.join(old)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        let (folder, journal, began) = (plan.folder.clone(), plan.folder.join("journal"), Instant::now());
        let proxy = Proxy::start().await?;
        let broker = B::start(proxy.port(), plan.kind).await;
        proxy.forward_to(broker.port());
        let dead_letters = broker.watch().await;
        let service = plan.service.clone();
        let first =
            Instance::start(&service, broker.arguments(proxy.port(), 1), &journal, folder.join("1.log"))?;
        // It is there before it is published to, so that no broker needs to keep what nobody has asked for.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let (kind, second, shared, events) = (plan.kind, None, usize::MAX, Vec::new());
        Ok(Self {
            kind,
            service,
            folder,
            journal,
            began,
            broker,
            proxy,
            dead_letters,
            first,
            second,
            shared,
            events,
        })
    }

    fn note(&mut self, drawn: &watch::Receiver<u64>, what: &str) {
        let text =
            format!("{:6.1} s, number {}: {what}", self.began.elapsed().as_secs_f64(), *drawn.borrow());
        tracing::info!("{text}");
        self.events.push(text);
    }

    /// What happens when so many twentieths of the numbers are published.
    async fn step(&mut self, twentieth: u64, drawn: &watch::Receiver<u64>) -> Result<(), Box<dyn Error>> {
        let mut ended = false;
        for instance in [Some(&mut self.first), self.second.as_mut()].into_iter().flatten() {
            if instance.has_ended()? {
                ended = true;
                instance.start_again()?;
            }
        }
        if ended {
            self.note(drawn, "an instance had ended by itself, and is started again");
        }
        match twentieth {
            2 | 4 | 6 | 8 | 10 => {
                self.note(drawn, "the service is killed and started again");
                self.first.kill().await?;
                self.first.start_again()?;
            }
            12 if B::IN_MEMORY => self.hold(drawn, HELD_LONG).await,
            12 => {
                self.note(drawn, "the broker is killed");
                self.broker.kill();
                tokio::time::sleep(AWAY).await;
                self.broker.start_again().await;
                self.note(drawn, "the broker is back");
            }
            14 => self.hold(drawn, HELD).await,
            16 => {
                self.note(drawn, "a second instance shares the work");
                self.shared = read(&self.journal)?.len();
                let args = self.broker.arguments(self.proxy.port(), 2);
                self.second =
                    Some(Instance::start(&self.service, args, &self.journal, self.folder.join("2.log"))?);
            }
            18 => {
                self.note(drawn, "the first instance is stopped");
                self.first.stop().await?;
            }
            19 => {
                self.note(drawn, "and started again");
                self.first.start_again()?;
            }
            _ => {}
        }
        Ok(())
    }

    async fn hold(&mut self, drawn: &watch::Receiver<u64>, time: Duration) {
        self.note(drawn, "the connection is held");
        self.proxy.hold();
        tokio::time::sleep(time).await;
        self.proxy.cut();
        self.note(drawn, "it is cut, and connections are possible again");
    }

    /// Waits until all is done, or nothing happens any more, and stops everything.
    async fn end(mut self, plan: &Plan, published_again: u64) -> Result<Report, Box<dyn Error>> {
        let published = plan.messages;
        let (poisoned, good): (BTreeSet<u64>, BTreeSet<u64>) =
            (0..published).partition(|id| is_poisoned(*id));
        let (mut seen, mut since) = ((0, 0), Instant::now());
        while since.elapsed() < SILENCE {
            let lines = read(&self.journal)?;
            let dead: BTreeSet<u64> = self.dead_letters.all().into_iter().collect();
            if numbers(&lines).len() >= good.len() && dead.len() >= poisoned.len() {
                break;
            }
            if seen != (lines.len(), dead.len()) {
                (seen, since) = ((lines.len(), dead.len()), Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        // What comes twice comes about now.
        tokio::time::sleep(Duration::from_secs(2)).await;
        self.first.stop().await?;
        if let Some(second) = &mut self.second {
            second.stop().await?;
        }

        let lines = read(&self.journal)?;
        let handled = numbers(&lines);
        let dead = self.dead_letters.all();
        let dead_set: BTreeSet<u64> = dead.iter().copied().collect();
        let ordered = match B::order(self.kind) {
            Order::Always => lines.len(),
            Order::Alone => self.shared.min(lines.len()),
            Order::None => 0,
        };
        Ok(Report {
            server: plan.name.clone(),
            rate: plan.rate,
            redrive: self.kind.redrive,
            published,
            published_again,
            handled: handled.len(),
            lost: good.difference(&handled).copied().collect(),
            duplicates: lines.len() - handled.len(),
            out_of_order: out_of_order(&lines[..ordered]),
            poisoned: poisoned.len(),
            dead_letters: dead_set.len(),
            dead_letters_repeated: dead.len() - dead_set.len(),
            missing_dead_letters: poisoned.difference(&dead_set).copied().collect(),
            wrong_dead_letters: dead_set.difference(&poisoned).copied().collect(),
            seconds: self.began.elapsed().as_secs_f64(),
            events: self.events,
        })
    }
}

fn numbers(lines: &[(u64, u64)]) -> BTreeSet<u64> {
    lines.iter().map(|(_, id)| *id).collect()
}

/// Publishes all numbers at that rate, catching up after a pause; returns how many may be there twice.
async fn publish(mut publisher: impl Publisher, messages: u64, rate: u64, tell: watch::Sender<u64>) -> u64 {
    let began = tokio::time::Instant::now();
    for id in 0..messages {
        tokio::time::sleep_until(began + Duration::from_micros(id * 1_000_000 / rate)).await;
        publisher.publish(id % LANES, id).await;
        tell.send_replace(id + 1);
    }
    publisher.repeated()
}

/// Lane and number of every line. The last one may be half a line.
fn read(journal: &Path) -> io::Result<Vec<(u64, u64)>> {
    let text = match fs::read_to_string(journal) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    let complete = text.rfind('\n').map_or("", |end| &text[..end]);
    let number = |text: Option<&str>| {
        let text = text.ok_or_else(|| io::Error::other("a line of the journal is not whole"))?;
        text.parse().map_err(|_| io::Error::other(format!("`{text}` is in the journal")))
    };
    complete
        .lines()
        .map(|line| {
            let mut words = line.split(' ');
            Ok((number(words.next())?, number(words.next())?))
        })
        .collect()
}

/// How many numbers were handled, for the first time, after a later one of their lane.
fn out_of_order(lines: &[(u64, u64)]) -> usize {
    let mut seen = BTreeSet::new();
    let mut highest = BTreeMap::new();
    let first_times = lines.iter().filter(|(_, id)| seen.insert(*id));
    let late = first_times.filter(|(lane, id)| {
        let highest = highest.entry(*lane).or_insert(*id);
        *highest = (*highest).max(*id);
        id < highest
    });
    late.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_that_of_first_times_in_a_lane() {
        let lines = [(0, 0), (1, 1), (0, 8), (0, 0), (1, 17), (1, 9), (0, 16)];
        assert_eq!(out_of_order(&lines), 1, "9 came after 17; 0 came again");
        assert_eq!(out_of_order(&lines[..5]), 0);
    }
}
