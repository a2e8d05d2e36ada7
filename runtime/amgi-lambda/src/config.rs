//! Configuration: what the builder says, and what the environment or a command line says over it.

use std::time::Duration;

use amgi::{
    Error, Result,
    protocol::{OptionInfo, ProtocolInfo, Values},
};

amgi::server_options! {
    concurrency: usize,
    margin: Duration,
    envelopes: bool,
    report_batch_item_failures: bool,
}

/// What is settled before the first event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Config {
    pub(crate) concurrency: usize,
    pub(crate) margin: Duration,
    /// `None` for what the document says of the channel.
    pub(crate) envelopes: Option<bool>,
    /// `None` for what is usual with the source.
    pub(crate) report: Option<bool>,
}

/// The options that are given as text, on a command line or in the environment.
pub(crate) static INFO: ProtocolInfo = ProtocolInfo {
    name: "lambda",
    protocols: &["lambda", "eventbridge", "kinesis", "dynamodb"],
    schemes: &["lambda"],
    options: &[
        OptionInfo::new(
            "names",
            "ADDRESS=NAME,…",
            "Queues, topics, streams, tables and detail types by name or ARN, where they are not called as their address",
        ),
        OptionInfo::new(
            "concurrency",
            "MESSAGES",
            "How many messages of an event are handled at a time [default: 16]",
        ),
        OptionInfo::new(
            "margin",
            "SECONDS",
            "How long before the deadline of an invocation what is not done fails [default: 0.5]",
        ),
        OptionInfo::new(
            "envelopes",
            "BOOL",
            "Take messages of SQS out of the envelopes of SNS [default: as the document says]",
        ),
        OptionInfo::new(
            "report-batch-item-failures",
            "BOOL",
            "Say which records failed, as the event source mapping must expect [default: true, but not for Kafka]",
        ),
    ],
};

/// What is given as text.
pub(crate) fn given(values: &Values) -> Result<Options> {
    let flag = |name| values.choice(name, &[("true", true), ("false", false)]);
    Ok(Options {
        concurrency: values.get("concurrency")?,
        margin: values.seconds("margin")?,
        envelopes: flag("envelopes")?,
        report_batch_item_failures: flag("report-batch-item-failures")?,
    })
}

/// The names that are given as text: `ADDRESS=NAME,ADDRESS=NAME`.
pub(crate) fn names(values: &Values) -> Result<Vec<(String, String)>> {
    let Some(text) = values.text("names") else { return Ok(Vec::new()) };
    let pair = |text: &str| {
        let (address, name) = text.split_once('=')?;
        let (address, name) = (address.trim(), name.trim());
        (!address.is_empty() && !name.is_empty()).then(|| (address.to_owned(), name.to_owned()))
    };
    let pairs: Option<Vec<_>> = text.split(',').filter(|text| !text.trim().is_empty()).map(pair).collect();
    pairs.ok_or_else(|| values.refuse("names", "is not ADDRESS=NAME,ADDRESS=NAME"))
}

/// Puts the sources together and fills in the defaults.
pub(crate) fn resolve(builder: Options, given: Options) -> Result<Config> {
    let options = given.over(builder);
    if options.concurrency == Some(0) {
        return Err(Error::Config("concurrency: no message would ever be handled".into()));
    }
    Ok(Config {
        concurrency: options.concurrency.unwrap_or(16),
        margin: options.margin.unwrap_or(Duration::from_millis(500)),
        envelopes: options.envelopes,
        report: options.report_batch_item_failures,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lookup(pairs: &'static [(&'static str, &'static str)]) -> Values {
        INFO.from_lookup(|name| {
            pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn later_sources_win() {
        let builder = Options { concurrency: Some(3), envelopes: Some(true), ..Options::default() };
        let environment =
            lookup(&[("AMGI_LAMBDA_CONCURRENCY", "5"), ("AMGI_LAMBDA_REPORT_BATCH_ITEM_FAILURES", "false")]);
        let config = resolve(builder, given(&environment).unwrap()).unwrap();
        assert_eq!((config.concurrency, config.margin), (5, Duration::from_millis(500)));
        assert_eq!((config.envelopes, config.report), (Some(true), Some(false)));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        assert!(given(&lookup(&[("AMGI_LAMBDA_MARGIN", "-1")])).is_err());
        assert!(resolve(Options { concurrency: Some(0), ..Options::default() }, Options::default()).is_err());
        assert!(names(&lookup(&[("AMGI_LAMBDA_NAMES", "a")])).is_err());
        let two = names(&lookup(&[("AMGI_LAMBDA_NAMES", "a=q, b=arn:aws:sns:r:1:t")])).unwrap();
        assert_eq!(two, [("a".into(), "q".into()), ("b".into(), "arn:aws:sns:r:1:t".into())]);
    }
}
