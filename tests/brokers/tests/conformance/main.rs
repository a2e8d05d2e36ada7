//! Every server under the conformance suite.

use amgi_brokers_tests::{Memory, Mqtt, Redis, init_logs};
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

fn redis(via: Via) -> Redis {
    init_logs();
    Redis::new(via)
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

mod redis_streams {
    amgi_conformance::suite!(super::redis(amgi_redis::Via::Stream));
}

mod redis_pubsub {
    amgi_conformance::suite!(super::redis(amgi_redis::Via::PubSub));
}
