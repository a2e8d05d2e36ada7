//! TLS: whom a connection trusts, how it shows who it is, and what is said when that fails.

use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::spawn_blocking,
};
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        self, AlertDescription as Alert, CertificateError, ClientConfig, RootCertStore,
        crypto::ring,
        pki_types::{
            CertificateDer, PrivateKeyDer, ServerName,
            pem::{self, PemObject},
        },
    },
};

use crate::link::LinkError;

/// The files of a connection over TLS. They are read for every connection, so they may be renewed while the server runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tls {
    /// Certificates of those who vouch for the broker; `None` for the system's.
    pub(crate) ca: Option<PathBuf>,
    /// Certificate and key of this client.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
}

impl Tls {
    /// Reads the files. The error names all that are wrong.
    pub(crate) fn connector(&self) -> Result<TlsConnector, String> {
        let roots = self.roots();
        let client = self.client.as_ref().map(|(certificate, key)| {
            let certificates = certificates("cert-file", certificate);
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable("key-file", key, &error));
            both(certificates, key)
        });
        let (roots, client) = both(roots, client.transpose())?;
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots);
        let config = match (client, &self.client) {
            (Some((chain, key)), Some((certificate_file, key_file))) => {
                config.with_client_auth_cert(chain, key).map_err(|error| {
                    format!(
                        "cert-file `{}` does not go with key-file `{}`: {error}",
                        certificate_file.display(),
                        key_file.display()
                    )
                })?
            }
            _ => config.with_no_client_auth(),
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        if let Some(path) = &self.ca {
            for certificate in certificates("ca-file", path)? {
                roots.add(certificate).map_err(|error| format!("ca-file `{}`: {error}", path.display()))?;
            }
            return Ok(roots);
        }
        let system = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(system.certs);
        if roots.is_empty() {
            let mut text =
                "the system has no certificates that could vouch for a broker; `ca-file` names others"
                    .to_owned();
            for error in system.errors {
                let _ = write!(text, "; {error}");
            }
            return Err(text);
        }
        Ok(roots)
    }

    /// Speaks TLS over `stream`.
    pub(crate) async fn connect<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        host: &str,
        stream: S,
    ) -> Result<TlsStream<S>, LinkError> {
        let name = ServerName::try_from(host.to_owned())
            .map_err(|_| LinkError::Tls(format!("`{host}` is no name that a certificate could have")))?;
        let tls = self.clone();
        let connector = spawn_blocking(move || tls.connector()).await;
        let connector = connector.map_err(|error| error.to_string()).flatten().map_err(LinkError::Tls)?;
        connector.connect(name, stream).await.map_err(|error| match cause(&error) {
            // The signature is bad when somebody else has the issuer's name.
            Some(rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            )) => {
                LinkError::Tls(match &self.ca {
                    Some(path) => format!(
                        "the broker's certificate was not issued by those in ca-file `{}`",
                        path.display()
                    ),
                    None => "the broker's certificate was not issued by those whom the system trusts; `ca-file` names others"
                        .to_owned(),
                })
            }
            _ if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
                LinkError::Tls(
                    "the broker broke the TLS handshake off; is it another port that speaks TLS?".to_owned(),
                )
            }
            _ => error.into(),
        })
    }
}

/// Both, or everything that is wrong with them.
fn both<T, U>(one: Result<T, String>, other: Result<U, String>) -> Result<(T, U), String> {
    match (one, other) {
        (Ok(one), Ok(other)) => Ok((one, other)),
        (Err(one), Err(other)) => Err(format!("{one}; {other}")),
        (Err(error), _) | (_, Err(error)) => Err(error),
    }
}

fn certificates(option: &str, path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = || -> Result<Vec<_>, pem::Error> { CertificateDer::pem_file_iter(path)?.collect() };
    match read() {
        Ok(none) if none.is_empty() => Err(unreadable(option, path, &pem::Error::NoItemsFound)),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(unreadable(option, path, &error)),
    }
}

fn unreadable(option: &str, path: &Path, error: &pem::Error) -> String {
    let why = match error {
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound if option == "key-file" => {
            "there is no key in it (PEM, without a password)".to_owned()
        }
        pem::Error::NoItemsFound => "there is no certificate in it (PEM)".to_owned(),
        other => other.to_string(),
    };
    format!("{option} `{}`: {why}", path.display())
}

/// The error of TLS that an error of the connection is.
fn cause(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// What an error of a connection over TLS means, if it is one.
pub(crate) fn explain(error: &io::Error) -> Option<String> {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};

    Some(match cause(error)? {
        AlertReceived(Alert::CertificateRequired) => {
            "the broker wants a certificate of this client, by `cert-file` and `key-file`".to_owned()
        }
        AlertReceived(
            alert @ (Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateRevoked
            | Alert::CertificateExpired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::DecryptError
            | Alert::AccessDenied),
        ) => format!("the broker refuses the certificate of this client ({alert:?})"),
        // What a broker says at TLS 1.2 when it misses one, among other things.
        AlertReceived(Alert::HandshakeFailure) => {
            "the broker broke the TLS handshake off; it may want a certificate of this client, by `cert-file` and `key-file`"
                .to_owned()
        }
        InvalidCertificate(CertificateError::Other(other)) if other.to_string().contains("CaUsedAsEndEntity") => {
            "the broker shows the certificate of an authority, which is none for a broker; let it issue one".to_owned()
        }
        InvalidCertificate(error) => format!("the broker's certificate: {error}"),
        InvalidMessage(_) => "the broker does not speak TLS there".to_owned(),
        other => format!("TLS: {other}"),
    })
}
