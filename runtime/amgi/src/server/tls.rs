//! TLS, for servers that encrypt their connections with rustls: whom a connection trusts, how it shows who it is, and what is
//! said when that fails. So the options `ca-file`, `cert-file` and `key-file` mean the same everywhere.

use std::{
    fmt::Write as _,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    AlertDescription as Alert, CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore,
    SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{
        CertificateDer, PrivateKeyDer, ServerName, UnixTime,
        pem::{self, PemObject},
    },
};
use tokio::task::spawn_blocking;

use crate::error::{Error, Result};

/// The files of a connection over TLS, all PEM. They are read for every connection, so they may be renewed while a server runs.
///
/// ```
/// use amgi::server::tls::Tls;
///
/// let error = Tls::new(Some("missing.pem".into()), None, None).unwrap_err();
/// assert!(error.to_string().contains("ca-file `missing.pem`: "));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    trust: Trust,
    /// Certificate and key of this client.
    client: Option<(PathBuf, PathBuf)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Trust {
    System,
    /// A file with the certificates of those who vouch for the broker.
    Authorities(PathBuf),
    Anybody,
}

impl Tls {
    /// `ca` has the certificates of those who vouch for the broker, instead of those whom the system trusts; `certificate` and
    /// `key` are this client's.
    ///
    /// # Errors
    /// [`Error::Config`] when `certificate` and `key` do not go together, or names all files that cannot be read.
    pub fn new(ca: Option<PathBuf>, certificate: Option<PathBuf>, key: Option<PathBuf>) -> Result<Self> {
        let client = match (certificate, key) {
            (Some(certificate), Some(key)) => Some((certificate, key)),
            (None, None) => None,
            _ => return Err(Error::Config("cert-file and key-file go together; one is missing".to_owned())),
        };
        let tls = Self { trust: ca.map_or(Trust::System, Trust::Authorities), client };
        tls.read().map_err(Error::Config)?;
        Ok(tls)
    }

    /// Trusts whoever answers, and looks at no certificate of theirs.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn insecure(certificate: Option<PathBuf>, key: Option<PathBuf>) -> Result<Self> {
        Ok(Self { trust: Trust::Anybody, ..Self::new(None, certificate, key)? })
    }

    /// What rustls connects with: the files as they are now, on ring.
    ///
    /// # Errors
    /// Names all files that cannot be read.
    pub async fn config(&self) -> Result<Arc<ClientConfig>, String> {
        let tls = self.clone();
        let read = spawn_blocking(move || tls.read()).await;
        read.map_err(|error| error.to_string()).flatten()
    }

    fn read(&self) -> Result<Arc<ClientConfig>, String> {
        let roots = self.roots();
        let client = self.client.as_ref().map(|(certificate, key)| {
            let certificates = certificates("cert-file", certificate);
            let key = PrivateKeyDer::from_pem_file(key).map_err(|error| unreadable("key-file", key, &error));
            both(certificates, key)
        });
        let (roots, client) = both(roots, client.transpose())?;
        let provider = Arc::new(ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?;
        let config = match self.trust {
            Trust::Anybody => {
                config.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider)))
            }
            _ => config.with_root_certificates(roots),
        };
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
        Ok(Arc::new(config))
    }

    fn roots(&self) -> Result<RootCertStore, String> {
        let mut roots = RootCertStore::empty();
        match &self.trust {
            Trust::Anybody => {}
            Trust::Authorities(path) => {
                for certificate in certificates("ca-file", path)? {
                    roots
                        .add(certificate)
                        .map_err(|error| format!("ca-file `{}`: {error}", path.display()))?;
                }
            }
            Trust::System => {
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
            }
        }
        Ok(roots)
    }

    /// What an error of the handshake means, if it is TLS that failed.
    pub fn explain(&self, error: &io::Error) -> Option<String> {
        match cause(error) {
            Some(rustls::Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::BadSignature,
            )) => match &self.trust {
                Trust::Authorities(path) => Some(format!(
                    "the broker's certificate was not issued by those in ca-file `{}`",
                    path.display()
                )),
                _ => explain(error),
            },
            // How brokers in Go say that they miss one.
            Some(rustls::Error::AlertReceived(Alert::BadCertificate)) if self.client.is_none() => {
                Some(WANTS_CERTIFICATE.to_owned())
            }
            None if matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset) => {
                // It may have said more, which is lost when it does not wait until that is read.
                let certificate = match self.client {
                    Some(_) => "does it refuse the certificate of this client",
                    None => "does it want a certificate of this client",
                };
                Some(format!(
                    "the broker broke the TLS handshake off; is it another port that speaks TLS, or {certificate}?"
                ))
            }
            _ => explain(error),
        }
    }
}

const WANTS_CERTIFICATE: &str =
    "the broker wants a certificate of this client, by `cert-file` and `key-file`";

/// The name that a broker's certificate must have.
///
/// # Errors
/// When no certificate could have it.
pub fn server_name(host: &str) -> Result<ServerName<'static>, String> {
    ServerName::try_from(host.to_owned())
        .map_err(|_| format!("`{host}` is no name that a certificate could have"))
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

/// The error of TLS that an error of the connection is; clients wrap them in each other.
fn cause(error: &io::Error) -> Option<&rustls::Error> {
    let inner = error.get_ref()?;
    inner.downcast_ref().or_else(|| cause(inner.downcast_ref()?))
}

/// What an error of a connection over TLS means, if it is one. A broker refuses certificates after the handshake, too.
pub fn explain(error: &io::Error) -> Option<String> {
    use rustls::Error::{AlertReceived, InvalidCertificate, InvalidMessage};

    Some(match cause(error)? {
        AlertReceived(Alert::CertificateRequired) => WANTS_CERTIFICATE.to_owned(),
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
        // The signature is bad when somebody else has the issuer's name.
        InvalidCertificate(CertificateError::UnknownIssuer | CertificateError::BadSignature) => {
            "the broker's certificate was not issued by those whom the system trusts; `ca-file` names others".to_owned()
        }
        InvalidCertificate(CertificateError::Other(other)) if other.to_string().contains("CaUsedAsEndEntity") => {
            "the broker shows the certificate of an authority, which is none for a broker; let it issue one".to_owned()
        }
        InvalidCertificate(error) => format!("the broker's certificate: {error}"),
        InvalidMessage(_) => "the broker does not speak TLS there".to_owned(),
        other => format!("TLS: {other}"),
    })
}

/// Trusts whoever answers.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
