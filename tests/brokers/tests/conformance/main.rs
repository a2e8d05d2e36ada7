//! Every server under the conformance suite.

use amgi_brokers_tests::{Amqp, Memory, Mqtt, init_logs};
use amgi_mqtt::Version;

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
