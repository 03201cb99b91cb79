//! Trust and identity: made once, shared by many connections.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{ClientHello, ResolvesServerCert, ServerSessionMemoryCache, WebPkiClientVerifier};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::time_provider::TimeProvider;
use rustls::{InconsistentKeys, RootCertStore, SupportedProtocolVersion, version};

/// Sessions that a client or a server remembers for resumption; the oldest are forgotten.
const SESSIONS: usize = 1024;

/// What a client trusts, offers and is. Cloning shares the sessions that can be resumed.
#[derive(Clone)]
pub struct ClientConfig {
    pub(super) inner: Arc<rustls::ClientConfig>,
    pub(super) clock: Arc<Clock>,
}

impl ClientConfig {
    /// A client that trusts these root certificates (DER). Those that cannot be read are passed over, as system
    /// stores hold odd ones; none left is an error.
    pub fn new(roots: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, ConfigError> {
        Self::with_versions(roots, &[TlsVersion::Tls13, TlsVersion::Tls12])
    }

    /// The same, with these versions only.
    pub fn with_versions(
        roots: impl IntoIterator<Item = Vec<u8>>,
        versions: &[TlsVersion],
    ) -> Result<Self, ConfigError> {
        let clock = Arc::new(Clock::default());
        let provider = provider();
        let verifier = WebPkiServerVerifier::builder_with_provider(store(roots)?, Arc::clone(&provider))
            .build()
            .map_err(|error| ConfigError::Refused(error.to_string()))?;
        let mut inner = rustls::ClientConfig::builder_with_details(provider, Arc::clone(&clock) as _)
            .with_protocol_versions(&supported(versions))
            .map_err(|_| ConfigError::NoVersion)?
            .with_webpki_verifier(verifier)
            .with_no_client_auth();
        inner.resumption = Resumption::in_memory_sessions(SESSIONS);
        Ok(Self { inner: Arc::new(inner), clock })
    }

    /// Offers these application protocols, in order of preference.
    #[must_use]
    pub fn alpn(mut self, protocols: Vec<Vec<u8>>) -> Self {
        Arc::make_mut(&mut self.inner).alpn_protocols = protocols;
        self
    }

    /// Shows this certificate to servers that ask for one.
    #[must_use]
    pub fn identity(mut self, identity: &Identity) -> Self {
        let inner = Arc::make_mut(&mut self.inner);
        inner.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(Arc::clone(&identity.0)));
        inner.resumption = Resumption::in_memory_sessions(SESSIONS);
        self
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig").field("alpn", &self.inner.alpn_protocols).finish_non_exhaustive()
    }
}

/// What a server is, offers and asks for. Cloning shares the sessions that can be resumed.
#[derive(Clone)]
pub struct ServerConfig {
    pub(super) inner: Arc<rustls::ServerConfig>,
    identity: Identity,
    clock: Arc<Clock>,
}

impl ServerConfig {
    /// A server with this identity, for any client.
    pub fn new(identity: &Identity) -> Result<Self, ConfigError> {
        Self::with_versions(identity, &[TlsVersion::Tls13, TlsVersion::Tls12])
    }

    /// The same, with these versions only.
    pub fn with_versions(identity: &Identity, versions: &[TlsVersion]) -> Result<Self, ConfigError> {
        Self::build(identity, versions, WebPkiClientVerifier::no_client_auth())
    }

    /// A server that refuses clients without a certificate issued by one of these roots (DER).
    pub fn for_clients_of(identity: &Identity, roots: impl IntoIterator<Item = Vec<u8>>) -> Result<Self, ConfigError> {
        let verifier = WebPkiClientVerifier::builder_with_provider(store(roots)?, provider())
            .build()
            .map_err(|error| ConfigError::Refused(error.to_string()))?;
        Self::build(identity, &[TlsVersion::Tls13, TlsVersion::Tls12], verifier)
    }

    /// Accepts these application protocols, in order of preference; a client that offers only others is refused.
    #[must_use]
    pub fn alpn(mut self, protocols: Vec<Vec<u8>>) -> Self {
        Arc::make_mut(&mut self.inner).alpn_protocols = protocols;
        self
    }

    /// The certificate (DER) that clients are shown.
    pub fn certificate(&self) -> &[u8] {
        self.identity.certificate()
    }

    pub(super) fn own_identity(&self) -> Identity {
        self.identity.clone()
    }

    fn build(
        identity: &Identity,
        versions: &[TlsVersion],
        clients: Arc<dyn ClientCertVerifier>,
    ) -> Result<Self, ConfigError> {
        let clock = Arc::new(Clock::default());
        let mut inner = rustls::ServerConfig::builder_with_details(provider(), Arc::clone(&clock) as _)
            .with_protocol_versions(&supported(versions))
            .map_err(|_| ConfigError::NoVersion)?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(Arc::clone(&identity.0))));
        inner.session_storage = ServerSessionMemoryCache::new(SESSIONS);
        Ok(Self { inner: Arc::new(inner), identity: identity.clone(), clock })
    }

    /// What one connection needs; rustls' unbuffered server tells the name asked for to the certificate's resolver
    /// only, so each connection has its own.
    pub(super) fn for_one(&self) -> (Arc<rustls::ServerConfig>, Arc<Clock>, Arc<OnceLock<String>>) {
        let asked = Arc::new(OnceLock::new());
        let mut one = (*self.inner).clone();
        one.cert_resolver = Arc::new(Resolver { key: Arc::clone(&self.identity.0), asked: Arc::clone(&asked) });
        (Arc::new(one), Arc::clone(&self.clock), asked)
    }
}

impl fmt::Debug for ServerConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerConfig").field("alpn", &self.inner.alpn_protocols).finish_non_exhaustive()
    }
}

/// A certificate chain and its private key, checked to belong together.
#[derive(Clone)]
pub struct Identity(Arc<CertifiedKey>);

impl Identity {
    /// From DER: the chain with the own certificate first; the key as PKCS #8, SEC 1 or PKCS #1.
    pub fn from_der(chain: Vec<Vec<u8>>, key: Vec<u8>) -> Result<Self, ConfigError> {
        let key = PrivateKeyDer::try_from(key).map_err(|why| ConfigError::BadKey(why.to_owned()))?;
        Self::new(chain.into_iter().map(CertificateDer::from).collect(), key)
    }

    /// From PEM, as found in files: all certificates of the one, the first key of the other.
    pub fn from_pem(chain: &[u8], key: &[u8]) -> Result<Self, ConfigError> {
        let chain = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|error| ConfigError::BadPem(error.to_string()))?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| ConfigError::BadKey(error.to_string()))?;
        Self::new(chain, key)
    }

    /// The own certificate (DER).
    pub fn certificate(&self) -> &[u8] {
        self.0.cert.first().map(AsRef::as_ref).unwrap_or_default()
    }

    fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, ConfigError> {
        if chain.is_empty() {
            return Err(ConfigError::NoCertificate);
        }
        let key = provider().key_provider.load_private_key(key).map_err(|why| ConfigError::BadKey(why.to_string()))?;
        let identity = CertifiedKey::new(chain, key);
        match identity.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(Self(Arc::new(identity))),
            Err(rustls::Error::InconsistentKeys(_)) => Err(ConfigError::KeyMismatch),
            Err(error) => Err(ConfigError::BadCertificate(error.to_string())),
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("certificates", &self.0.cert.len()).finish_non_exhaustive()
    }
}

/// A version of TLS that this library speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// What is wrong with trust or identity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Nothing to trust.
    #[error("not one root certificate can be read: give at least one, in DER")]
    NoRoots,
    /// No version allowed.
    #[error("no TLS version is allowed: allow 1.2, 1.3 or both")]
    NoVersion,
    /// No certificate to show.
    #[error("there is no certificate: the file must hold at least one, the own one first")]
    NoCertificate,
    /// The own certificate cannot be read.
    #[error("the certificate cannot be read: {0}")]
    BadCertificate(String),
    /// The text is not PEM.
    #[error("the certificates are not PEM: {0}")]
    BadPem(String),
    /// The key cannot be read.
    #[error("the private key cannot be read (it must be PKCS #8, SEC 1 or PKCS #1, unencrypted): {0}")]
    BadKey(String),
    /// The key is another certificate's.
    #[error("the private key does not belong to the first certificate")]
    KeyMismatch,
    /// The roots cannot be used to verify.
    #[error("these root certificates cannot be used: {0}")]
    Refused(String),
}

/// The time that the caller told last, in seconds since the Unix epoch.
#[derive(Debug, Default)]
pub(super) struct Clock(AtomicU64);

impl Clock {
    pub(super) fn set(&self, unix: Duration) {
        self.0.store(unix.as_secs(), Ordering::Relaxed);
    }
}

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(self.0.load(Ordering::Relaxed))))
    }
}

/// Gives every client the same certificate, and notes the name that this one asked for.
#[derive(Debug)]
struct Resolver {
    key: Arc<CertifiedKey>,
    asked: Arc<OnceLock<String>>,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if let Some(name) = hello.server_name() {
            self.asked.get_or_init(|| name.to_owned());
        }
        Some(Arc::clone(&self.key))
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

fn store(roots: impl IntoIterator<Item = Vec<u8>>) -> Result<Arc<RootCertStore>, ConfigError> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots.into_iter().map(CertificateDer::from));
    if store.is_empty() {
        return Err(ConfigError::NoRoots);
    }
    Ok(Arc::new(store))
}

fn supported(versions: &[TlsVersion]) -> Vec<&'static SupportedProtocolVersion> {
    let of = |version: &TlsVersion| match version {
        TlsVersion::Tls12 => &version::TLS12,
        TlsVersion::Tls13 => &version::TLS13,
    };
    versions.iter().map(of).collect()
}
