//! A chain of certificates and its key, from files that may change while the server runs.
//!
//! A handshake takes whatever is current when it begins; connections that stand are not touched. A change that cannot be used is an error and
//! changes nothing, so that half a renewal does not take a site down.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// A chain of certificates and its key, for any number of listeners.
///
/// Clones are cheap, and share what is loaded: a [`reload`](Certificates::reload) of one is a reload of all, and of every configuration that
/// was made from them.
#[derive(Clone, Debug)]
pub struct Certificates {
    files: Arc<Files>,
    config: ServerConfig,
}

/// Why a certificate or its key cannot be used. The operator is at fault, or the file system.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificatesError {
    /// A file is not there, or not to be read.
    #[error("cannot read {path:?}: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// A file is PEM in part, and then is not.
    #[error("{path:?} is not sound PEM: {reason}")]
    NotPem {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No `-----BEGIN CERTIFICATE-----` in the file.
    #[error("no certificate in {0:?}, expected PEM with a section CERTIFICATE")]
    NoCertificate(PathBuf),
    /// No private key in the file.
    #[error("no private key in {0:?}, expected PEM with a section PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY")]
    NoKey(PathBuf),
    /// The key needs a passphrase, for which nobody can be asked here.
    #[error("the private key in {0:?} is encrypted, expected one without a passphrase: `openssl pkey -in FILE -out NEW` makes it")]
    EncryptedKey(PathBuf),
    /// The first certificate is not one that can be understood.
    #[error("the certificate in {path:?} cannot be used: {reason}")]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key is of a kind that is not spoken here, or broken.
    #[error("the private key in {path:?} cannot be used: {reason}")]
    BadKey {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The key is another certificate's.
    #[error("the private key in {key:?} does not fit the certificate in {chain:?}")]
    Mismatch {
        /// The file of the key.
        key: PathBuf,
        /// The file of the chain.
        chain: PathBuf,
    },
    /// TLS cannot be had at all: the system gives no random numbers, for one.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[source] rustls::Error),
}

impl Certificates {
    /// Reads a chain and its key, both in PEM: certificates from the server's own to the one below the root, and a key in PKCS#8, PKCS#1 or
    /// SEC1. Both may be in one file. Blocks on the file system.
    ///
    /// Relative paths count from the working directory of this call, also for what is loaded later: an application may change it.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn load(chain: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Result<Certificates, CertificatesError> {
        let (chain, key) = (absolute(chain.into())?, absolute(key.into())?);
        let provider = Arc::new(ring::default_provider());
        let stamp = Stamp::of(&chain, &key);
        let current = RwLock::new(read(&provider, &chain, &key)?);
        let seen = Mutex::new(Seen { stamp, looked: Instant::now() });
        let files = Arc::new(Files { chain, key, provider: Arc::clone(&provider), current, seen, every: OnceLock::new() });
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(CertificatesError::Tls)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&files) as Arc<dyn ResolvesServerCert>);
        // A session that a client can resume is kept by the client: here that costs nothing, whatever their number.
        config.ticketer = ring::Ticketer::new().map_err(CertificatesError::Tls)?;
        Ok(Certificates { files, config })
    }

    /// Looks from now on, at a handshake but at most this often, whether the files have changed, and then [reloads](Certificates::reload)
    /// them. Each change is logged once (`tracing`, target `wsgi`), also one that cannot be used. Calls after the first change nothing.
    ///
    /// The look is two `stat`s on the thread of the handshake.
    pub fn watch(self, every: Duration) -> Certificates {
        self.files.every.get_or_init(|| every);
        self
    }

    /// Reads the files again, for the handshakes that begin from now on. Blocks on the file system.
    ///
    /// # Errors
    /// What is wrong with which file; then what was loaded before stays.
    pub fn reload(&self) -> Result<(), CertificatesError> {
        // Held to the end, so that of two reloads the one that read last counts. Handshakes do not wait for it.
        let mut seen = self.files.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.stamp = Stamp::of(&self.files.chain, &self.files.key);
        self.files.reload()
    }

    /// A configuration with these certificates, now and after each reload, that offers these protocols (ALPN, such as `h2` and `http/1.1`),
    /// the preferred one first. For whatever front end takes one.
    pub fn server_config(&self, alpn: &[&[u8]]) -> Arc<ServerConfig> {
        let mut config = self.config.clone();
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }
}

/// The files, and what was read from them.
#[derive(Debug)]
struct Files {
    chain: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    seen: Mutex<Seen>,
    /// How often to look for changes; unset: not at all.
    every: OnceLock<Duration>,
}

/// The last look at the files.
#[derive(Debug)]
struct Seen {
    stamp: Stamp,
    looked: Instant,
}

impl Files {
    fn reload(&self) -> Result<(), CertificatesError> {
        let new = read(&self.provider, &self.chain, &self.key)?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    fn look(&self, every: Duration) {
        // Whoever comes while another looks takes what there is.
        let Ok(mut seen) = self.seen.try_lock() else { return };
        if seen.looked.elapsed() < every {
            return;
        }
        seen.looked = Instant::now();
        // Before they are read: what changes meanwhile is another change.
        let stamp = Stamp::of(&self.chain, &self.key);
        if stamp == seen.stamp {
            return;
        }
        seen.stamp = stamp;
        match self.reload() {
            Ok(()) => tracing::info!(target: "wsgi", "certificate {:?} has changed and is in use now", self.chain),
            Err(error) => tracing::error!(target: "wsgi", "certificate {:?} has changed, but the old one stays: {error}", self.chain),
        }
    }
}

impl ResolvesServerCert for Files {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(every) = self.every.get() {
            self.look(*every);
        }
        Some(Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// What a change of the files changes: of each its inode, length and time; nothing where there is none.
#[derive(Debug, PartialEq, Eq)]
struct Stamp([Option<(u64, u64, i64, i64)>; 2]);

impl Stamp {
    fn of(chain: &Path, key: &Path) -> Stamp {
        Stamp([chain, key].map(|path| {
            let file = fs::metadata(path).ok()?;
            Some((file.ino(), file.len(), file.mtime(), file.mtime_nsec()))
        }))
    }
}

fn absolute(path: PathBuf) -> Result<PathBuf, CertificatesError> {
    std::path::absolute(&path).map_err(|error| CertificatesError::Unreadable { path, error })
}

fn read(provider: &CryptoProvider, chain: &Path, key: &Path) -> Result<Arc<CertifiedKey>, CertificatesError> {
    let contents = |path: &Path| fs::read(path).map_err(|error| CertificatesError::Unreadable { path: path.to_owned(), error });
    let not_pem = |path: &Path, error: pem::Error| CertificatesError::NotPem { path: path.to_owned(), reason: error.to_string() };

    let certificates: Vec<_> =
        CertificateDer::pem_slice_iter(&contents(chain)?).collect::<Result<_, _>>().map_err(|error| not_pem(chain, error))?;
    if certificates.is_empty() {
        return Err(CertificatesError::NoCertificate(chain.to_owned()));
    }
    let text = contents(key)?;
    if ENCRYPTED.iter().any(|mark| text.windows(mark.len()).any(|part| part == *mark)) {
        return Err(CertificatesError::EncryptedKey(key.to_owned()));
    }
    let private = PrivateKeyDer::from_pem_slice(&text).map_err(|error| match error {
        pem::Error::NoItemsFound => CertificatesError::NoKey(key.to_owned()),
        error => not_pem(key, error),
    })?;
    let private = provider
        .key_provider
        .load_private_key(private)
        .map_err(|error| CertificatesError::BadKey { path: key.to_owned(), reason: error.to_string() })?;
    let certified = CertifiedKey::new(certificates, private);
    match certified.keys_match() {
        // A kind of key that does not say what its public half is cannot be compared.
        Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => Ok(Arc::new(certified)),
        Err(rustls::Error::InconsistentKeys(_)) => Err(CertificatesError::Mismatch { key: key.to_owned(), chain: chain.to_owned() }),
        Err(error) => Err(CertificatesError::BadCertificate { path: chain.to_owned(), reason: error.to_string() }),
    }
}

/// How PKCS#8 says so (RFC 7468, 11), and what came before it (RFC 1421, 4.6.1.1).
const ENCRYPTED: [&[u8]; 2] = [b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED"];
