//! Certificates made on the spot, and clients that trust them.

#![allow(dead_code)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertificateParams, CertifiedKey, DnType, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use wsgi_http::tls::Certificates;

/// A folder with a certificate for `localhost` and its key.
pub(crate) struct Site {
    pub(crate) folder: TempDir,
    made: CertifiedKey<KeyPair>,
}

impl Site {
    pub(crate) fn new() -> Site {
        let site = Site { folder: tempfile::tempdir().unwrap(), made: made() };
        std::fs::write(site.chain(), site.made.cert.pem()).unwrap();
        std::fs::write(site.key(), site.made.signing_key.serialize_pem()).unwrap();
        site
    }

    /// Puts a new certificate and its key into the same files.
    pub(crate) fn renew(&mut self) {
        self.made = made();
        // Renamed over the old ones, as programs that renew certificates do.
        for (name, text) in [("chain.pem", self.made.cert.pem()), ("key.pem", self.made.signing_key.serialize_pem())] {
            let new = self.folder.path().join("new");
            std::fs::write(&new, text).unwrap();
            std::fs::rename(new, self.folder.path().join(name)).unwrap();
        }
    }

    pub(crate) fn chain(&self) -> PathBuf {
        self.folder.path().join("chain.pem")
    }

    pub(crate) fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    pub(crate) fn certificates(&self) -> Certificates {
        Certificates::load(self.chain(), self.key()).unwrap()
    }

    /// What a client needs to trust the certificate that is in the folder now.
    pub(crate) fn client_config(&self, versions: &[&'static SupportedProtocolVersion], alpn: &[&str]) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.made.cert.der().clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }

    pub(crate) fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> ClientConnection {
        client_of(self.client_config(versions, &["http/1.1"]))
    }
}

pub(crate) fn client_of(config: Arc<ClientConfig>) -> ClientConnection {
    ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap()
}

/// A certificate that is its own root, under a name of its own.
fn made() -> CertifiedKey<KeyPair> {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, format!("test {}", COUNT.fetch_add(1, Ordering::Relaxed)));
    let signing_key = KeyPair::generate().unwrap();
    CertifiedKey { cert: params.self_signed(&signing_key).unwrap(), signing_key }
}

pub(crate) static TLS12: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];
pub(crate) static TLS13: &[&SupportedProtocolVersion] = &[&rustls::version::TLS13];
