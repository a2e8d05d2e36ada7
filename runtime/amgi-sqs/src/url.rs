//! Where SQS is: a region of AWS, or an endpoint of one's own.

use std::fmt;

use amgi::{Error, Result, address::decode};

/// `sqs://REGION`, `sqs://sqs.REGION.amazonaws.com`, or `sqs+http://KEY:SECRET@HOST:PORT`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Url {
    /// What takes the place of AWS' own endpoint.
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) credentials: Option<(String, String)>,
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.endpoint, &self.region) {
            (Some(endpoint), _) => f.write_str(endpoint),
            (None, Some(region)) => write!(f, "SQS in {region}"),
            (None, None) => f.write_str("SQS"),
        }
    }
}

/// `eu-west-1`, `us-gov-east-1`.
fn is_region(text: &str) -> bool {
    let mut parts = text.rsplit('-');
    let number =
        parts.next().is_some_and(|last| !last.is_empty() && last.bytes().all(|c| c.is_ascii_digit()));
    let words: Vec<&str> = parts.collect();
    number
        && words.len() >= 2
        && words.iter().all(|word| !word.is_empty() && word.bytes().all(|c| c.is_ascii_lowercase()))
}

/// The region in a host of AWS.
fn region_of(host: &str) -> Option<&str> {
    if !(host.ends_with(".amazonaws.com") || host.ends_with(".amazonaws.com.cn")) {
        return None;
    }
    host.split('.').find(|label| is_region(label))
}

impl Url {
    pub(crate) fn parse(text: &str) -> Result<Self> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("sqs", text));
        let (login, place) = match rest.rsplit_once('@') {
            Some((login, place)) => (Some(login), place),
            None => (None, rest),
        };
        let place = place.trim_end_matches('/');
        // Whatever is wrong, the secret is not repeated.
        let fail = |detail: &str| Error::Config(format!("url `{scheme}://{place}`: {detail}"));
        let credentials = match login.map(|login| login.split_once(':')) {
            None => None,
            Some(Some((id, secret))) => Some((decode(id).into_owned(), decode(secret).into_owned())),
            Some(None) => return Err(fail("before the `@` there must be an access key and its secret")),
        };
        let mut url = Self { credentials, ..Self::default() };
        let authority = place.split('/').next().unwrap_or_default();
        let host = match authority.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|c| c.is_ascii_digit()) => host,
            Some((_, port)) if !port.ends_with(']') => return Err(fail("the port is no number")),
            _ => authority,
        };
        url.region = region_of(host).map(str::to_owned);
        match scheme {
            "sqs" if place.is_empty() => {}
            "sqs" if is_region(place) => url.region = Some(place.to_owned()),
            "sqs" | "https" | "sqs+https" if is_public(host) => {}
            "sqs" => {
                let loopback = matches!(host, "localhost" | "[::1]") || host.starts_with("127.");
                url.endpoint = Some(format!("{}://{place}", if loopback { "http" } else { "https" }));
            }
            "sqs+http" | "http" | "sqs+https" | "https" => {
                if host.is_empty() {
                    return Err(fail("the host is missing"));
                }
                let scheme = scheme.strip_prefix("sqs+").unwrap_or(scheme);
                url.endpoint = Some(format!("{scheme}://{place}"));
            }
            _ => return Err(fail("the scheme must be sqs, sqs+http or sqs+https")),
        }
        Ok(url)
    }
}

/// Whether it is what the SDK asks by itself.
fn is_public(host: &str) -> bool {
    let Some(region) = region_of(host) else { return false };
    let rest = host.strip_prefix("sqs.").or_else(|| host.strip_prefix("sns."));
    rest.and_then(|rest| rest.strip_prefix(region))
        .is_some_and(|rest| matches!(rest, ".amazonaws.com" | ".amazonaws.com.cn"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> (Option<String>, Option<String>) {
        let url = Url::parse(text).unwrap();
        (url.endpoint, url.region)
    }

    #[test]
    fn regions_and_endpoints_are_told_apart() {
        let at = |endpoint: Option<&str>, region: Option<&str>| {
            (endpoint.map(str::to_owned), region.map(str::to_owned))
        };
        assert_eq!(url("sqs://"), at(None, None));
        assert_eq!(url("sqs://eu-west-1"), at(None, Some("eu-west-1")));
        assert_eq!(url("sqs://sqs.us-gov-east-1.amazonaws.com"), at(None, Some("us-gov-east-1")));
        assert_eq!(url("sns.cn-north-1.amazonaws.com.cn"), at(None, Some("cn-north-1")));
        let private = "vpce-1.sqs.us-east-1.vpce.amazonaws.com";
        assert_eq!(
            url(&format!("sqs://{private}")),
            at(Some(&format!("https://{private}")), Some("us-east-1"))
        );
        assert_eq!(url("sqs://localhost:4566"), at(Some("http://localhost:4566"), None));
        assert_eq!(url("sqs://emulator:4566"), at(Some("https://emulator:4566"), None));
        assert_eq!(url("sqs+http://k:s@emulator:4566/"), at(Some("http://emulator:4566"), None));
        assert_eq!(url("https://sqs.eu-west-1.amazonaws.com"), at(None, Some("eu-west-1")));
        assert_eq!(url("sqs://[::1]:4566"), at(Some("http://[::1]:4566"), None));
    }

    #[test]
    fn bad_urls_say_why_and_keep_the_secret() {
        for text in ["amqp://k:secret@x", "sqs+http://k:secret@", "sqs://secret@x", "sqs://k:secret@x:port"] {
            let error = Url::parse(text).unwrap_err().to_string();
            assert!(error.contains("url `") && !error.contains("secret@"), "{error}");
        }
    }
}
