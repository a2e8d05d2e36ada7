//! The clients of AWS, what goes wrong with them, and what is asked of queues before anything is received.

use std::{collections::HashMap, error::Error as StdError, future::Future, time::Duration};

use amgi::{Error, Result, bindings::sqs};
use aws_config::{AppName, BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_sqs::{
    Client,
    config::{Credentials, StalledStreamProtectionConfig},
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    types::QueueAttributeName,
};
use aws_smithy_http_client::{
    Builder,
    tls::{Provider, rustls_provider::CryptoMode},
};
use tokio::time::timeout;

use crate::{config::Config, place::Place};

/// What went wrong between us and AWS.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    /// There is no such queue or topic.
    #[error("{0}")]
    Missing(String),
    /// It may work later.
    #[error("{0}")]
    Passing(String),
    /// It will never work.
    #[error("{0}")]
    Refused(String),
}

impl Fault {
    /// What a request's error means.
    pub(crate) fn of<E, R>(error: &SdkError<E, R>) -> Self
    where
        E: ProvideErrorMetadata + StdError + 'static,
        R: std::fmt::Debug + 'static,
    {
        let SdkError::ServiceError(service) = error else {
            return Self::Passing(shown(error));
        };
        let error = service.err();
        let code = error.code().unwrap_or_default();
        let text = match (code, error.message()) {
            ("", None) => shown(error),
            (code, None) => code.to_owned(),
            (code, Some(message)) => format!("{code}: {message}"),
        };
        if code.contains("NonExistentQueue") || code.contains("QueueDoesNotExist") || code == "NotFound" {
            return Self::Missing(text);
        }
        if is_passing(code) { Self::Passing(text) } else { Self::Refused(text) }
    }
}

/// Whether an error of that code may go away.
pub(crate) fn is_passing(code: &str) -> bool {
    code.is_empty()
        || code.contains("Throttl")
        || code.contains("Unavailable")
        || code.contains("Internal")
        || matches!(code, "TooManyRequestsException" | "OverLimit" | "RequestTimeout" | "RequestExpired")
}

/// The whole story, in a line.
fn shown(error: &(impl StdError + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        source = error.source();
    }
    if text.is_empty() { DisplayErrorContext(error).to_string() } else { text }
}

/// A way to SQS and SNS. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Link {
    pub(crate) sqs: Client,
    #[cfg(feature = "sns")]
    pub(crate) sns: aws_sdk_sns::Client,
    /// How long AWS may take to answer.
    pub(crate) patience: Duration,
}

/// A queue that is there.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) url: String,
    /// Seconds.
    pub(crate) visibility: u32,
    /// The ARN of the dead-letter queue, and after how many deliveries messages go there.
    pub(crate) redrive: Option<(String, u32)>,
    /// Whether equal payloads are one message.
    pub(crate) deduplicates: bool,
}

impl Link {
    /// Reads what AWS says elsewhere: environment, profile, the role of the machine.
    pub(crate) async fn open(config: &Config) -> Result<Self> {
        let http = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http)
            // What is tried again, and how often, is decided here.
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().connect_timeout(config.connect_timeout).build())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        if let Ok(name) = AppName::new("amgi-sqs") {
            loader = loader.app_name(name);
        }
        if let Some(region) = &config.region {
            loader = loader.region(Region::new(region.clone()));
        } else if config.url.endpoint.is_some() {
            // What is not AWS does not care.
            let chain = aws_config::environment::EnvironmentVariableRegionProvider::new();
            loader = loader
                .region(aws_config::meta::region::RegionProviderChain::first_try(chain).or_else("us-east-1"));
        }
        if let Some((id, secret)) = &config.credentials {
            loader = loader.credentials_provider(Credentials::new(id, secret, None, None, "amgi-sqs"));
        }
        let shared = loader.load().await;
        if shared.region().is_none() {
            return Err(Error::Config(
                "no region of AWS: say one with `sqs://REGION`, `.region(…)` or AWS_REGION".into(),
            ));
        }
        let mut sqs = aws_sdk_sqs::config::Builder::from(&shared);
        if let Some(endpoint) = &config.url.endpoint {
            sqs = sqs.endpoint_url(endpoint);
        }
        #[cfg(feature = "sns")]
        let sns = {
            let mut sns = aws_sdk_sns::config::Builder::from(&shared);
            if let Some(endpoint) = &config.url.endpoint {
                sns = sns.endpoint_url(endpoint);
            }
            aws_sdk_sns::Client::from_conf(sns.build())
        };
        Ok(Self {
            sqs: Client::from_conf(sqs.build()),
            #[cfg(feature = "sns")]
            sns,
            patience: config.connect_timeout,
        })
    }

    /// The answer to a request, `extra` longer than usual.
    pub(crate) fn ask<T, E, R>(
        &self,
        extra: Duration,
        request: impl Future<Output = Result<T, SdkError<E, R>>>,
    ) -> impl Future<Output = Result<T, Fault>>
    where
        E: ProvideErrorMetadata + StdError + 'static,
        R: std::fmt::Debug + 'static,
    {
        let limit = self.patience + extra;
        // The SDK's are large, and would make everything large that waits for them.
        let request = Box::pin(request);
        async move {
            match timeout(limit, request).await {
                Ok(Ok(answer)) => Ok(answer),
                Ok(Err(error)) => Err(Fault::of(&error)),
                Err(_) => Err(Fault::Passing(format!("no answer within {limit:?}"))),
            }
        }
    }

    /// The URL of a queue that is there.
    pub(crate) async fn url(&self, place: &Place) -> Result<String, Fault> {
        if let Some(problem) = place.problem() {
            return Err(Fault::Refused(problem.into_owned()));
        }
        let mut request = self.sqs.get_queue_url();
        match place {
            Place::Url(url) => return Ok(url.clone()),
            Place::Topic(arn) => return Err(Fault::Refused(format!("`{arn}` is a topic, and no queue"))),
            Place::Name(name) => request = request.queue_name(name),
            Place::Arn { account, name } => {
                request = request.queue_name(name).queue_owner_aws_account_id(account);
            }
        }
        let answer = self.ask(Duration::ZERO, request.send()).await?;
        answer.queue_url.ok_or_else(|| Fault::Refused("SQS says no URL of it".to_owned()))
    }

    /// What there is to know of a queue. One that may not be asked about itself is taken for an ordinary one.
    pub(crate) async fn known(&self, place: &Place) -> Result<Known, Fault> {
        let url = self.url(place).await?;
        let request =
            self.sqs.get_queue_attributes().queue_url(&url).attribute_names(QueueAttributeName::All).send();
        let attributes = match self.ask(Duration::ZERO, request).await {
            Ok(answer) => answer.attributes.unwrap_or_default(),
            Err(Fault::Refused(error)) => {
                tracing::debug!(url, error, "the queue may not be asked about itself");
                HashMap::new()
            }
            Err(fault) => return Err(fault),
        };
        let text = |name| attributes.get(&name).map(String::as_str);
        let redrive = text(QueueAttributeName::RedrivePolicy).and_then(redrive);
        Ok(Known {
            url,
            visibility: text(QueueAttributeName::VisibilityTimeout)
                .and_then(|text| text.parse().ok())
                .filter(|seconds| *seconds > 0)
                .unwrap_or(30),
            redrive,
            deduplicates: text(QueueAttributeName::ContentBasedDeduplication) == Some("true"),
        })
    }

    /// The ARN of a queue.
    async fn arn(&self, url: &str) -> Result<String, Fault> {
        let request =
            self.sqs.get_queue_attributes().queue_url(url).attribute_names(QueueAttributeName::QueueArn);
        let answer = self.ask(Duration::ZERO, request.send()).await?;
        let arn = answer.attributes.and_then(|mut all| all.remove(&QueueAttributeName::QueueArn));
        arn.ok_or_else(|| Fault::Refused("SQS says no ARN of it".to_owned()))
    }

    /// Makes a queue, with what the document says of it.
    pub(crate) async fn make(&self, place: &Place, wanted: &sqs::Queue) -> Result<(), Fault> {
        let Place::Name(name) = place else {
            return Err(Fault::Refused(format!("`{place}` is not there, and only queues by name are made")));
        };
        if let Some(problem) = place.problem() {
            return Err(Fault::Refused(problem.into_owned()));
        }
        let mut attributes = HashMap::new();
        let mut number = |name, value: Option<u32>| {
            if let Some(value) = value {
                attributes.insert(name, value.to_string());
            }
        };
        number(QueueAttributeName::DelaySeconds, wanted.delivery_delay);
        number(QueueAttributeName::VisibilityTimeout, wanted.visibility_timeout);
        number(QueueAttributeName::ReceiveMessageWaitTimeSeconds, wanted.receive_message_wait_time);
        number(QueueAttributeName::MessageRetentionPeriod, wanted.message_retention_period);
        if let Some(policy) = &wanted.policy {
            attributes.insert(QueueAttributeName::Policy, policy.to_string());
        }
        if place.is_fifo() {
            attributes.insert(QueueAttributeName::FifoQueue, "true".to_owned());
            if let Some(scope) = &wanted.deduplication_scope {
                attributes.insert(QueueAttributeName::DeduplicationScope, scope.clone());
            }
            if let Some(limit) = &wanted.fifo_throughput_limit {
                attributes.insert(QueueAttributeName::FifoThroughputLimit, limit.clone());
            }
        }
        if let Some(policy) = &wanted.redrive_policy
            && let Some(dead) = &policy.dead_letter_queue
        {
            let arn = match (&dead.arn, &dead.name) {
                (Some(arn), _) => arn.clone(),
                (None, Some(name)) => {
                    let place = Place::Name(named(name, place.is_fifo()));
                    let url = match self.url(&place).await {
                        Err(Fault::Missing(_)) => {
                            Box::pin(self.make(&place, &sqs::Queue::default())).await?;
                            self.url(&place).await?
                        }
                        other => other?,
                    };
                    self.arn(&url).await?
                }
                (None, None) => return Err(Fault::Refused("its redrive policy names no queue".to_owned())),
            };
            let times = policy.max_receive_count.unwrap_or(10);
            let json = serde_json::json!({ "deadLetterTargetArn": arn, "maxReceiveCount": times });
            attributes.insert(QueueAttributeName::RedrivePolicy, json.to_string());
        }
        let attributes = (!attributes.is_empty()).then_some(attributes);
        let mut request = self.sqs.create_queue().queue_name(name).set_attributes(attributes);
        for (name, value) in wanted.tags.iter().flatten() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            request = request.tags(name, value);
        }
        self.ask(Duration::ZERO, request.send()).await?;
        tracing::info!(queue = name, "made a queue that was missing");
        Ok(())
    }
}

/// The name of a queue that must keep an order, or need not.
pub(crate) fn named(name: &str, fifo: bool) -> String {
    if fifo && name.strip_suffix(".fifo").is_none() { format!("{name}.fifo") } else { name.to_owned() }
}

/// Where messages go that were delivered too often, and how often that is.
fn redrive(json: &str) -> Option<(String, u32)> {
    let policy: serde_json::Value = serde_json::from_str(json).ok()?;
    let arn = policy.get("deadLetterTargetArn")?.as_str()?.to_owned();
    // Some write the number as text.
    let times = policy.get("maxReceiveCount")?;
    let times = times.as_u64().or_else(|| times.as_str()?.parse().ok())?;
    Some((arn, u32::try_from(times).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redrive_policies_are_read() {
        let arn = "arn:aws:sqs:r:1:dead";
        assert_eq!(
            redrive(&format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":3}}"#)),
            Some((arn.into(), 3))
        );
        assert_eq!(
            redrive(&format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"4"}}"#)),
            Some((arn.into(), 4))
        );
        assert_eq!(redrive("{}"), None);
    }

    #[test]
    fn what_passes_is_told_from_what_does_not() {
        for code in ["RequestThrottled", "ThrottlingException", "ServiceUnavailable", "InternalError", ""] {
            assert!(is_passing(code), "{code}");
        }
        for code in ["AccessDenied", "InvalidParameterValue", "ReceiptHandleIsInvalid"] {
            assert!(!is_passing(code), "{code}");
        }
    }
}
