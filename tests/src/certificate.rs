//! A certificate that is made on the spot, and clients that trust it and no other.

use std::path::PathBuf;
use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedKey, KeyPair, PKCS_ECDSA_P256_SHA256};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use tempfile::TempDir;

/// A folder with a certificate for `localhost` and 127.0.0.1 that is its own root, and with its key.
pub struct Certificate {
    folder: TempDir,
    made: CertifiedKey<KeyPair>,
}

impl Certificate {
    /// Makes one.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Certificate {
        let certificate = Certificate { folder: tempfile::tempdir().expect("a folder for the certificate"), made: made() };
        certificate.write();
        certificate
    }

    /// Puts another certificate and its key into the same files, as programs that renew certificates do.
    pub fn renew(&mut self) {
        self.made = made();
        self.write();
    }

    /// The file of the certificate.
    pub fn chain(&self) -> PathBuf {
        self.folder.path().join("chain.pem")
    }

    /// The file of its key.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    /// For clients that trust the certificate that is in the files now.
    pub fn client(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.made.cert.der().clone()).expect("a certificate");
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("TLS")
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Arc::new(config)
    }

    fn write(&self) {
        for (path, text) in [(self.chain(), self.made.cert.pem()), (self.key(), self.made.signing_key.serialize_pem())] {
            let new = path.with_extension("new");
            std::fs::write(&new, text).expect("a file");
            std::fs::rename(new, path).expect("another name for it");
        }
    }
}

fn made() -> CertifiedKey<KeyPair> {
    let params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).expect("names");
    let signing_key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    CertifiedKey { cert: params.self_signed(&signing_key).expect("a certificate"), signing_key }
}
