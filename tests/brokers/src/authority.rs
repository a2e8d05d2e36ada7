//! Certificates, made where they are needed.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, date_time_ymd,
};
use tempfile::TempDir;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

/// An authority that issues certificates, and the folder they are in.
pub struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

/// Files with a certificate and its key.
#[derive(Debug, Clone)]
pub struct Certified {
    /// The certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Authority {
    /// A new one, which nobody knows.
    ///
    /// # Panics
    /// When its certificate cannot be written.
    pub fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("Authority {:x}", fastrand::u64(..)));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(dir.path().join("ca.pem"), certificate.pem()).expect("the file is written");
        Self { dir, issuer: Issuer::new(params, key) }
    }

    /// File with its certificate.
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// A certificate for a broker at these names or addresses.
    pub fn broker(&self, names: &[&str]) -> Certified {
        self.issue(names, ExtendedKeyUsagePurpose::ServerAuth, false)
    }

    /// The same, which was valid in 2020.
    pub fn expired(&self, names: &[&str]) -> Certified {
        self.issue(names, ExtendedKeyUsagePurpose::ServerAuth, true)
    }

    /// A certificate for a client.
    pub fn client(&self) -> Certified {
        self.issue(&["client"], ExtendedKeyUsagePurpose::ClientAuth, false)
    }

    fn issue(&self, names: &[&str], purpose: ExtendedKeyUsagePurpose, expired: bool) -> Certified {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.push(DnType::CommonName, "Somebody");
        params.extended_key_usages = vec![purpose];
        if expired {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2020, 12, 31);
        }
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let name = format!("{:016x}", fastrand::u64(..));
        let path = |end: &str| self.dir.path().join(format!("{name}.{end}"));
        let certified = Certified { certificate: path("pem"), key: path("key") };
        fs::write(&certified.certificate, certificate.pem()).expect("the file is written");
        fs::write(&certified.key, key.serialize_pem()).expect("the file is written");
        certified
    }
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Certified {
    /// Puts this certificate and key in the place of others.
    ///
    /// # Panics
    /// When they cannot be written.
    pub fn replace(&self, other: &Self) {
        let copy = |from: &Path, to: &Path| fs::copy(from, to).expect("the file is copied");
        copy(&self.certificate, &other.certificate);
        copy(&self.key, &other.key);
    }

    /// Speaks TLS with it.
    ///
    /// # Panics
    /// When the files are not what they were.
    pub fn acceptor(&self) -> TlsAcceptor {
        let chain = vec![CertificateDer::from_pem_file(&self.certificate).expect("a certificate")];
        let key = PrivateKeyDer::from_pem_file(&self.key).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate with its key");
        TlsAcceptor::from(Arc::new(config))
    }
}
