use amgi::{BindingInfo, OperationInfo};

use super::*;

fn get(config: &ClientConfig, name: &str) -> Option<String> {
    config.get(name).map(str::to_owned)
}

#[test]
fn urls_are_taken_apart_and_shown_without_the_password() {
    let url = Url::parse("kafka://us%40er:p%2Fw@a.example:1,b.example/").unwrap();
    assert_eq!(url.servers, "a.example:1,b.example:9092");
    assert_eq!(url.login, Some(("us@er".to_owned(), "p/w".to_owned())));
    assert_eq!(url.to_string(), "kafka://us@er@a.example:1,b.example:9092");
    assert!(Url::parse("kafka-secure://x").unwrap().secure);
    assert_eq!(Url::parse("[::1]:5,[::2]").unwrap().servers, "[::1]:5,[::2]:9092");
    for url in
        ["http://u:secret@x", "kafka://u:secret@x:port", "kafka://u:secret@", "kafka://a,,b", "kafka://:9"]
    {
        let error = Url::parse(url).unwrap_err().to_string();
        assert!(error.contains("url `") && !error.contains("secret"), "{error}");
    }
}

const SERVER: ServerInfo =
    ServerInfo { name: "main", protocol: "kafka", scheme: "", host: "document:1", path: "", bindings: &[] };

fn channel() -> ChannelInfo {
    const OPERATION: OperationInfo = OperationInfo {
        name: "receive",
        bindings: &[BindingInfo {
            protocol: "kafka",
            json: r#"{"groupId":{"type":"string","enum":["billing"]},"clientId":"bill-1"}"#,
        }],
        messages: &[],
    };
    ChannelInfo { operations: &[OPERATION], ..ChannelInfo::new("a", "a") }
}

#[test]
fn later_sources_win() {
    let channel = channel();
    let config = resolve(Some(&SERVER), &[&channel], Options::default(), Options::default()).unwrap();
    assert_eq!(config.url.servers, "document:1");
    assert_eq!(get(&config.producer(), "client.id").as_deref(), Some("bill-1"));
    assert_eq!(group_of(&channel).unwrap().as_deref(), Some("billing"));

    let builder = Options {
        url: Some("kafka://builder".into()),
        client_id: Some("builder".into()),
        keys: Some(3),
        ..Options::default()
    };
    let environment = given(&INFO.from_lookup(|name| match name {
        "AMGI_KAFKA_URL" => Some("kafka://environment".into()),
        "AMGI_KAFKA_SESSION_TIMEOUT" => Some("6".into()),
        _ => None,
    }))
    .unwrap();
    let config = resolve(Some(&SERVER), &[&channel], builder, environment).unwrap();
    assert_eq!((config.url.servers.as_str(), config.keys), ("environment:9092", 3));
    assert_eq!(get(&config.common(), "client.id").as_deref(), Some("builder"));
    assert_eq!(get(&config.consumer("g", false), "session.timeout.ms").as_deref(), Some("6000"));
}

#[test]
fn properties_go_where_they_belong() {
    let builder = Options {
        properties: Some(
            [("compression.type", "zstd"), ("fetch.wait.max.ms", "7"), ("socket.keepalive.enable", "true")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec(),
        ),
        ..Options::default()
    };
    let mut environment = Values::default();
    environment.set("properties", "linger.ms=5, fetch.wait.max.ms=9", "AMGI_KAFKA_PROPERTIES");
    let config = resolve(None, &[], builder, given(&environment).unwrap()).unwrap();
    let (consumer, producer) = (config.consumer("g", false), config.producer());
    assert_eq!(get(&consumer, "fetch.wait.max.ms").as_deref(), Some("9"));
    assert_eq!(get(&producer, "linger.ms").as_deref(), Some("5"));
    assert_eq!(get(&producer, "compression.type").as_deref(), Some("zstd"));
    assert!(get(&producer, "fetch.wait.max.ms").is_none() && get(&consumer, "compression.type").is_none());
    for config in [consumer, producer, config.common()] {
        assert_eq!(get(&config, "socket.keepalive.enable").as_deref(), Some("true"));
    }
}

#[test]
fn deadlines_stay_below_the_poll_interval() {
    let options = |deadline: Option<u64>| Options {
        max_poll_interval: Some(Duration::from_secs(20)),
        shutdown_deadline: deadline.map(Duration::from_secs),
        ..Options::default()
    };
    let config = resolve(None, &[], options(None), Options::default()).unwrap();
    assert_eq!(config.shutdown_deadline, Duration::from_secs(10));
    let Err(error) = resolve(None, &[], options(Some(20)), Options::default()) else {
        panic!("it is too long")
    };
    assert!(error.to_string().contains("the shutdown deadline 20s must be below"), "{error}");
}

#[test]
fn security_follows_from_what_is_given() {
    let protocol = |url: &str, login: bool| {
        let options = Options {
            url: Some(url.to_owned()),
            credentials: login.then(|| ("u".to_owned(), "p".to_owned())),
            ..Options::default()
        };
        resolve(None, &[], options, Options::default())
            .map(|config| get(&config.common(), "security.protocol").unwrap())
    };
    assert_eq!(protocol("kafka://x", false).unwrap(), "plaintext");
    assert_eq!(protocol("kafka://x", true).unwrap(), "sasl_plaintext");
    assert_eq!(protocol("kafka://u:p@x", false).unwrap(), "sasl_plaintext");
    if cfg!(feature = "tls") {
        assert_eq!(protocol("kafka-secure://x", false).unwrap(), "ssl");
        assert_eq!(protocol("kafka-secure://x", true).unwrap(), "sasl_ssl");
    } else {
        assert!(protocol("kafka-secure://x", false).unwrap_err().to_string().contains("feature `tls`"));
    }
}

#[test]
fn names_are_stable() {
    assert_eq!(default_group(), default_group());
    assert!(default_group().starts_with("amgi-"));
}
