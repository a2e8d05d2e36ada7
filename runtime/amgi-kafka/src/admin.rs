//! Topics at startup: whether the broker is there, whether topics are, and making those that are not.

use std::{fmt::Write as _, sync::Arc, time::Duration};

use amgi::{Error, Result};
use rdkafka::{
    TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    consumer::{Consumer as _, StreamConsumer},
    error::{KafkaError, RDKafkaErrorCode},
    metadata::Metadata,
    producer::{FutureProducer, Producer as _},
};
use tokio::time::{Instant, sleep, timeout};
use tracing::{info, warn};

use crate::{
    BrokerError,
    callbacks::{Callbacks, Logs},
    config::Config,
    member,
    topic::Route,
};

/// A topic that is asked for to see whether brokers answer; it need not exist.
const PROBE: &str = "amgi";

/// How long the client waits for a broker before it is asked whether it was refused.
const SLICE: Duration = Duration::from_millis(500);

pub(crate) type Consumer = Arc<StreamConsumer<Callbacks>>;

pub(crate) fn broker(text: impl Into<String>) -> Error {
    Error::Broker(Box::new(BrokerError(text.into())))
}

/// Runs what blocks.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| broker(error.to_string()))
}

/// The same with a consumer, which may be ending meanwhile.
pub(crate) async fn blocking_with<T: Send + 'static>(
    consumer: &Consumer,
    work: impl FnOnce(&Consumer) -> T + Send + 'static,
) -> Result<T> {
    let consumer = consumer.clone();
    blocking(move || {
        let done = work(&consumer);
        member::let_go(consumer);
        done
    })
    .await
}

async fn metadata(
    consumer: &Consumer,
    topic: Option<String>,
    within: Duration,
) -> Result<Result<Metadata, KafkaError>> {
    blocking_with(consumer, move |consumer| consumer.fetch_metadata(topic.as_deref(), within)).await
}

/// Asks for the partitions of a topic; `None` when it does not exist.
pub(crate) async fn partitions(config: &Config, consumer: &Consumer, topic: &str) -> Result<Option<usize>> {
    match metadata(consumer, Some(topic.to_owned()), config.connect_timeout).await? {
        Ok(metadata) => {
            let found = metadata.topics().iter().find(|found| found.name() == topic);
            match found.and_then(|found| found.error().map(RDKafkaErrorCode::from)) {
                None => Ok(found.map(|found| found.partitions().len()).filter(|count| *count > 0)),
                Some(
                    RDKafkaErrorCode::UnknownTopicOrPartition
                    | RDKafkaErrorCode::UnknownTopic
                    | RDKafkaErrorCode::LeaderNotAvailable,
                ) => Ok(None),
                Some(error) => Err(broker(format!("topic `{topic}`: {error}"))),
            }
        }
        Err(error) => Err(broker(format!("{}: topic `{topic}`: {error}", config.url))),
    }
}

/// Whether the broker answers.
pub(crate) async fn reach(config: &Config, producer: &FutureProducer<Logs>, logs: &Logs) -> Result<()> {
    let by = Instant::now() + config.connect_timeout;
    loop {
        let (asks, within) = (producer.clone(), SLICE.min(by.duration_since(Instant::now())));
        if blocking(move || asks.client().fetch_cluster_id(within)).await?.is_some() {
            return Ok(());
        }
        // Who is refused is refused again.
        if logs.refused() || Instant::now() >= by {
            let silent = || format!("no answer within {:?}", config.connect_timeout);
            let why = logs.last_error().unwrap_or_else(silent);
            return Err(broker(format!("cannot connect to {}: {why}", config.url)));
        }
    }
}

/// Ends when a broker answers again.
pub(crate) async fn there_again(config: Arc<Config>, consumer: Consumer) {
    loop {
        sleep(Duration::from_millis(100)).await;
        if metadata(&consumer, Some(PROBE.to_owned()), config.connect_timeout)
            .await
            .is_ok_and(|asked| asked.is_ok())
        {
            return;
        }
    }
}

/// Sees to it that the topics of `routes` are there.
pub(crate) async fn check(config: &Config, consumer: &Consumer, routes: &[Route]) -> Result<()> {
    let mut missing = Vec::new();
    for route in routes {
        let Some(topic) = route.single() else { continue };
        match partitions(config, consumer, &topic).await? {
            None => missing.push((topic, route)),
            Some(count) => {
                if let Some(wanted) = route.partitions.filter(|wanted| usize::try_from(*wanted) != Ok(count))
                {
                    warn!(
                        topic,
                        count, wanted, "the topic has another number of partitions than the document says"
                    );
                }
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    if !config.create_topics {
        let mut text = String::from("topics are missing: ");
        for (index, (topic, route)) in missing.iter().enumerate() {
            let comma = if index > 0 { ", " } else { "" };
            // Writing to a string cannot fail.
            let _ = write!(text, "{comma}`{topic}` (channel `{}`)", route.name);
        }
        text.push_str("; make them, or let the server do it with create_topics(true)");
        return Err(broker(text));
    }
    let new: Vec<NewTopic<'_>> = missing.iter().map(|(topic, route)| new_topic(topic, route)).collect();
    create(config, &new).await?;
    for (topic, _) in &missing {
        shows(config, consumer, topic).await?;
    }
    Ok(())
}

fn new_topic<'a>(topic: &'a str, route: &'a Route) -> NewTopic<'a> {
    // Below zero the broker decides.
    let number = |number: Option<u32>| number.and_then(|number| i32::try_from(number).ok()).unwrap_or(-1);
    let topic =
        NewTopic::new(topic, number(route.partitions), TopicReplication::Fixed(number(route.replicas)));
    route.configuration.iter().fold(topic, |topic, (name, value)| topic.set(name, value))
}

/// Makes topics; one that is there already is fine.
pub(crate) async fn create(config: &Config, topics: &[NewTopic<'_>]) -> Result<()> {
    let admin: AdminClient<Logs> =
        config.common().create_with_context(Logs::default()).map_err(|error| broker(error.to_string()))?;
    let options = AdminOptions::new().operation_timeout(Some(config.connect_timeout));
    let made =
        admin.create_topics(topics, &options).await.map_err(|error| broker(format!("topics: {error}")))?;
    for topic in made {
        match topic {
            Ok(topic) => info!(topic, "topic made"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, error)) => return Err(broker(format!("topic `{topic}` cannot be made: {error}"))),
        }
    }
    Ok(())
}

/// Deletes a topic, as far as the broker lets us.
pub(crate) async fn delete(config: &Config, topic: &str) {
    let Ok(admin) = config.common().create_with_context::<_, AdminClient<Logs>>(Logs::default()) else {
        return;
    };
    let options = AdminOptions::new().operation_timeout(Some(config.connect_timeout));
    match timeout(config.connect_timeout, admin.delete_topics(&[topic], &options)).await {
        Ok(Ok(results)) if results.iter().all(Result::is_ok) => {}
        other => warn!(topic, ?other, "the topic could not be deleted"),
    }
}

/// Waits until clients are told of a new topic; how many partitions it has.
pub(crate) async fn shows(config: &Config, consumer: &Consumer, topic: &str) -> Result<usize> {
    let until = Instant::now() + config.connect_timeout;
    loop {
        if let Some(count) = partitions(config, consumer, topic).await? {
            return Ok(count);
        }
        if Instant::now() > until {
            return Err(broker(format!("topic `{topic}` was made and does not show")));
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Where a partition ends. Blocks.
pub(crate) fn end(
    consumer: &Consumer,
    topic: &str,
    partition: i32,
    within: Duration,
) -> Result<i64, KafkaError> {
    let until = Instant::now() + within;
    loop {
        match consumer.fetch_watermarks(topic, partition, within) {
            Ok((_, end)) => return Ok(end),
            // A new topic has no leader for a moment.
            Err(error) if Instant::now() > until => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// Fixes where partitions begin of which the group has committed nothing: at their ends as they are now, and commits that, so
/// that what is written from here on is not lost when the process dies before its first commit.
pub(crate) async fn begin_at_end(
    config: &Config,
    consumer: &Consumer,
    assigned: TopicPartitionList,
) -> Result<TopicPartitionList> {
    let within = config.connect_timeout;
    blocking_with(consumer, move |consumer| {
        let mut committed = consumer.committed_offsets(assigned, within)?;
        let mut fixed = TopicPartitionList::new();
        let places: Vec<_> =
            committed.elements().iter().map(|e| (e.topic().to_owned(), e.partition(), e.offset())).collect();
        for (topic, partition, offset) in places {
            if offset.to_raw().is_some_and(|offset| offset >= 0) {
                continue;
            }
            let end = end(consumer, &topic, partition, within)?;
            committed.set_partition_offset(&topic, partition, rdkafka::Offset::Offset(end))?;
            fixed.add_partition_offset(&topic, partition, rdkafka::Offset::Offset(end))?;
        }
        if fixed.count() > 0 {
            consumer.commit(&fixed, rdkafka::consumer::CommitMode::Sync)?;
        }
        Ok(committed)
    })
    .await?
    .map_err(|error: KafkaError| broker(format!("where to begin: {error}")))
}
