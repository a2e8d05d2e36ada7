//! The network, for references that lead there. Only `--allow-remote` gets here.

use std::{io::Read as _, time::Duration};

use amgi_asyncapi::{remote::Fetch, source::MAX_BYTES};
use ureq::Agent;

/// What one text may take from the first packet to the last.
const PATIENCE: Duration = Duration::from_secs(30);

/// Fetches with a new connection for each host. Proxies come from the environment (`HTTPS_PROXY`, `NO_PROXY`).
pub(super) struct Http(Agent);

impl Http {
    pub(super) fn new() -> Self {
        let config = Agent::config_builder().timeout_global(Some(PATIENCE)).max_redirects(5);
        Self(config.user_agent(concat!("amgi-gen/", env!("CARGO_PKG_VERSION"))).build().new_agent())
    }
}

impl Fetch for Http {
    fn fetch(&self, address: &str) -> Result<String, String> {
        let mut response = self.0.get(address).call().map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        let body = response.body_mut().as_reader().take(MAX_BYTES + 1).read_to_end(&mut bytes);
        body.map_err(|error| error.to_string())?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(format!("it is larger than {} MiB", MAX_BYTES >> 20));
        }
        String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
    }
}
