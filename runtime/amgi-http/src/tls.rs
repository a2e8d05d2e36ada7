//! TLS, by rustls: whom sends trust and who they are, and who this server is.

use std::{path::Path, sync::Arc};

use amgi::{Error, Result};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    crypto::{CryptoProvider, ring},
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

use crate::config::Pair;

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn fail(option: &str, path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Config(format!("{option} `{}`: {error}", path.display()))
}

fn certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let read =
        CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>);
    match read {
        Ok(read) if read.is_empty() => Err(fail(option, path, &"there is no certificate in it")),
        Ok(read) => Ok(read),
        Err(error) => Err(fail(option, path, &error)),
    }
}

/// A certificate with its key.
fn pair(option: &str, pair: &Pair) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
    let chain = certificates(&format!("{option}cert-file"), &pair.cert)?;
    let key = PrivateKeyDer::from_pem_file(&pair.key)
        .map_err(|error| fail(&format!("{option}key-file"), &pair.key, &error))?;
    Ok((chain, key))
}

/// For sends. `needed` says whether one goes to `https`: the system's certificates take a while to read.
pub(crate) fn client(needed: bool, ca: Option<&Path>, own: Option<&Pair>) -> Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(path) => {
            for certificate in certificates("ca-file", path)? {
                roots.add(certificate).map_err(|error| fail("ca-file", path, &error))?;
            }
        }
        None if needed => {
            let system = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(system.certs);
            if roots.is_empty() {
                let text =
                    "the system has no certificates that could vouch for a server; `ca-file` names others";
                return Err(Error::Config(text.to_owned()));
            }
        }
        None => {}
    }
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Config(error.to_string()))?
        .with_root_certificates(roots);
    let Some(own) = own else { return Ok(config.with_no_client_auth()) };
    let (chain, key) = pair("", own)?;
    config.with_client_auth_cert(chain, key).map_err(|error| fail("key-file", &own.key, &error))
}

/// For what is received.
pub(crate) fn acceptor(own: &Pair) -> Result<TlsAcceptor> {
    let (chain, key) = pair("listen-", own)?;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(|error| Error::Config(error.to_string()))?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(|error| fail("listen-key-file", &own.key, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
