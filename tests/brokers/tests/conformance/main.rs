//! Every server under the conformance suite.

use amgi_brokers_tests::{
    Amqp, Emulator, Http, KafkaSubject, Memory, Mqtt, Nats, Redis, SqsSubject, differing_pages, init_logs,
};
use amgi_mqtt::Version;
use amgi_redis::Via;

fn memory() -> Memory {
    init_logs();
    Memory::new()
}

fn mqtt(version: Version) -> Mqtt {
    init_logs();
    Mqtt::new(version)
}

fn amqp() -> Amqp {
    init_logs();
    Amqp::default()
}

fn nats(subject: Nats) -> Nats {
    init_logs();
    subject
}

fn redis(via: Via) -> Redis {
    init_logs();
    Redis::new(via)
}

fn http(subject: Http) -> Http {
    init_logs();
    subject
}

fn sqs() -> SqsSubject {
    init_logs();
    SqsSubject::standard(Emulator::Fauxqs)
}

fn sqs_fifo() -> SqsSubject {
    init_logs();
    SqsSubject::fifo(Emulator::Fauxqs)
}

fn sqs_on_moto(kind: fn(Emulator) -> SqsSubject) -> SqsSubject {
    init_logs();
    kind(Emulator::Moto)
}

fn kafka() -> KafkaSubject {
    init_logs();
    KafkaSubject::shared()
}

mod in_memory {
    amgi_conformance::suite!(super::memory());
}

mod mqtt_5 {
    amgi_conformance::suite!(super::mqtt(amgi_mqtt::Version::V5));
}

mod mqtt_311 {
    amgi_conformance::suite!(super::mqtt(amgi_mqtt::Version::V311));
}

mod amqp {
    amgi_conformance::suite!(super::amqp());
}

mod nats_jetstream {
    amgi_conformance::suite!(super::nats(amgi_brokers_tests::Nats::streams()));
}

mod nats_jetstream_ordered {
    amgi_conformance::suite!(super::nats(amgi_brokers_tests::Nats::ordered()));
}

mod nats {
    amgi_conformance::suite!(super::nats(amgi_brokers_tests::Nats::subjects()));
}

mod redis_streams {
    amgi_conformance::suite!(super::redis(amgi_redis::Via::Stream));
}

mod redis_pubsub {
    amgi_conformance::suite!(super::redis(amgi_redis::Via::PubSub));
}

mod http_retried {
    amgi_conformance::suite!(super::http(amgi_brokers_tests::Http::retried()));
}

mod http_once {
    amgi_conformance::suite!(super::http(amgi_brokers_tests::Http::once()));
}

mod sqs {
    amgi_conformance::suite!(super::sqs());
}

mod sqs_fifo {
    amgi_conformance::suite!(super::sqs_fifo());
}

/// The same on another emulator, which is slow.
mod sqs_moto {
    amgi_conformance::suite!(super::sqs_on_moto(amgi_brokers_tests::SqsSubject::standard));
}

mod sqs_fifo_moto {
    amgi_conformance::suite!(super::sqs_on_moto(amgi_brokers_tests::SqsSubject::fifo));
}

mod kafka {
    amgi_conformance::suite!(super::kafka());

    /// What hurts the broker, on one of its own.
    mod of_its_own {
        use amgi_brokers_tests::KafkaSubject;
        use amgi_conformance::Broken;

        #[test]
        fn a_broker_missing_at_startup_is_an_error() -> Result<(), Broken> {
            amgi_conformance::test("a_broker_missing_at_startup_is_an_error", async { KafkaSubject::own() })
        }

        #[test]
        fn a_broker_that_returns_is_used_again() -> Result<(), Broken> {
            amgi_conformance::test("a_broker_that_returns_is_used_again", async { KafkaSubject::own() })
        }

        #[test]
        fn a_send_without_a_broker_is_an_error() -> Result<(), Broken> {
            amgi_conformance::test("a_send_without_a_broker_is_an_error", async { KafkaSubject::own() })
        }
    }
}

#[test]
fn pages_have_what_the_suite_prints() {
    let differing = differing_pages(false);
    assert!(
        differing.is_empty(),
        "{differing:?}: run `cargo run -p amgi-brokers-tests --bin conformance -- --write`"
    );
}
