//! The servers as subjects of the conformance suite: how each is run, what its broker can do, and a way to the broker past it.
//!
//! A new server is added to [`pages`], `tests/conformance` and the program `conformance`.

mod amqp;
mod http;
mod kafka;
mod memory;
mod mqtt;
mod nats;
mod redis;
mod sqs;

use std::fs;

use amgi_conformance::{Abilities, Report, Subject, reasons, table};
use amgi_golden_tests::root;

use crate::Emulator;

pub use self::{
    amqp::Amqp, http::Http, kafka::Kafka as KafkaSubject, memory::Memory, mqtt::Mqtt, nats::Nats,
    redis::Redis, sqs::Sqs as SqsSubject,
};

/// A subject whose broker a process can use, too.
pub trait Placed: Subject {
    /// Makes what the broker must have for these addresses, such as topics, and says where it is: the URL that a service's
    /// command line takes.
    fn place(&self, addresses: &[&str]) -> impl Future<Output = String> + Send;
}

/// Around what is printed.
const BEGIN: &str = "<!-- conformance: cargo run -p amgi-brokers-tests --bin conformance -- --write -->\n";
const END: &str = "<!-- /conformance -->\n";

/// A server, and the page that says what it cannot do.
struct Page {
    name: &'static str,
    abilities: Abilities,
    /// Seen from the root of the checkout.
    path: &'static str,
}

impl Page {
    fn of(subject: &impl Subject, path: &'static str) -> Self {
        Self { name: subject.name(), abilities: subject.abilities(), path }
    }
}

/// All of them, in the order of the table.
fn pages() -> Vec<Page> {
    vec![
        Page::of(&Memory::new(), "runtime/amgi/src/memory/README.md"),
        Page::of(&Mqtt::new(amgi_mqtt::Version::V5), "runtime/amgi-mqtt/README.md"),
        Page::of(&Mqtt::new(amgi_mqtt::Version::V311), "runtime/amgi-mqtt/README.md"),
        Page::of(&Nats::streams(), "runtime/amgi-nats/README.md"),
        Page::of(&Nats::ordered(), "runtime/amgi-nats/README.md"),
        Page::of(&Nats::subjects(), "runtime/amgi-nats/README.md"),
        Page::of(&KafkaSubject::page(), "runtime/amgi-kafka/README.md"),
        Page::of(&Amqp::default(), "runtime/amgi-amqp/README.md"),
        Page::of(&Redis::new(amgi_redis::Via::Stream), "runtime/amgi-redis/README.md"),
        Page::of(&Redis::new(amgi_redis::Via::PubSub), "runtime/amgi-redis/README.md"),
        Page::of(&Http::retried(), "runtime/amgi-http/README.md"),
        Page::of(&Http::once(), "runtime/amgi-http/README.md"),
        Page::of(&SqsSubject::standard(Emulator::Fauxqs), "runtime/amgi-sqs/README.md"),
        Page::of(&SqsSubject::fifo(Emulator::Fauxqs), "runtime/amgi-sqs/README.md"),
    ]
}

/// What must stand between the marks of each page: the table in the README, and on the servers' pages why it has a –.
///
/// The table is what the suite is expected to give; where a server breaks a promise, its test fails.
fn printed() -> Vec<(&'static str, String)> {
    let pages = pages();
    let reports: Vec<Report> =
        pages.iter().map(|page| Report::expected(page.name, &page.abilities)).collect();
    let mut printed = vec![("README.md", format!("{}\n", table(&reports)))];
    for page in &pages {
        let lines = reasons(&page.abilities);
        match printed.iter_mut().find(|(path, _)| *path == page.path) {
            None => printed.push((page.path, lines)),
            // Several columns may share a page, and a reason.
            Some((_, text)) => {
                for line in lines.lines() {
                    if !text.lines().any(|known| known == line) {
                        text.extend([line, "\n"]);
                    }
                }
            }
        }
    }
    printed
}

/// Compares the pages with what the suite prints, or writes it into them: the paths of those that differed.
///
/// # Panics
/// When a page has no marks, or cannot be read or written.
pub fn differing_pages(write: bool) -> Vec<&'static str> {
    let mut differing = Vec::new();
    for (path, text) in printed() {
        let file = root().join(path);
        let page = fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
        let marks = page.find(BEGIN).map(|at| at + BEGIN.len()).zip(page.find(END));
        let (begin, end) = marks.unwrap_or_else(|| panic!("{path} lacks {BEGIN}{END}"));
        if page[begin..end].trim() == text.trim() && page[..end].ends_with("\n\n") {
            continue;
        }
        differing.push(path);
        if write {
            let page = format!("{}\n{}\n\n{}", &page[..begin], text.trim_end(), &page[end..]);
            fs::write(&file, page).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
    }
    differing
}
