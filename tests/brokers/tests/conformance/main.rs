//! Every server under the conformance suite.

use amgi_brokers_tests::{Memory, Mqtt, differing_pages, init_logs};
use amgi_mqtt::Version;

fn memory() -> Memory {
    init_logs();
    Memory::new()
}

fn mqtt(version: Version) -> Mqtt {
    init_logs();
    Mqtt::new(version)
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

#[test]
fn pages_have_what_the_suite_prints() {
    let differing = differing_pages(false);
    assert!(
        differing.is_empty(),
        "{differing:?}: run `cargo run -p amgi-brokers-tests --bin conformance -- --write`"
    );
}
