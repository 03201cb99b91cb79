//! What connections share: primitives, configurations made of them, a certificate, and the clock's origin.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

use dimpl::crypto::CryptoProvider;
use dimpl::{Config, ConfigBuilder, DtlsCertificate};
use sha2::{Digest as _, Sha256};

use super::tap;
use crate::machine::time::{Epoch, Instant};

/// The first time-out of a flight of the handshake; it doubles.
const FLIGHT: Duration = Duration::from_millis(250);
/// How often a flight is sent again: with the usual four, a handshake fails after 8 s of bad luck.
const RETRIES: usize = 7;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(40);
/// Bytes of a datagram of the handshake: it passes everywhere.
const DATAGRAM: usize = 1_200;
/// How many configurations there are of seeded primitives: the draws of so many connections differ.
const SEEDS: u64 = 16;
/// Ten years, less an hour: dimpl's "never".
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600 - 3600);

/// Primitives, with the configurations made of them. Cheap to clone.
///
/// Making a configuration checks all of the cryptography, which takes longer than a handshake: have one `Provider` per
/// process.
#[derive(Clone)]
pub struct Provider(Arc<Primitives>);

struct Primitives {
    provider: CryptoProvider,
    is_tapped: bool,
    seed: Option<fn(u64)>,
    configs: Mutex<BTreeMap<Option<u64>, Arc<Config>>>,
}

/// dimpl refuses the primitives, or the key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("DTLS cannot work with these primitives, or with this key: {0}")]
pub struct Unfit(dimpl::Error);

impl Provider {
    /// Those of aws-lc-rs, which draw from the system: one provider for the whole process.
    ///
    /// # Errors
    /// dimpl's checks fail.
    pub fn system() -> Result<Self, Unfit> {
        static SYSTEM: LazyLock<Result<Provider, Unfit>> =
            LazyLock::new(|| Provider::new(&dimpl::crypto::aws_lc_rs::default_provider()));
        SYSTEM.clone()
    }

    /// The primitives of a provider of dimpl's.
    ///
    /// Its AEADs and its HMAC give way to equal ones of aws-lc-rs that tell what own records need. If it has a suite that
    /// we don't know they stay, and its connections stay on dimpl's records.
    ///
    /// # Errors
    /// dimpl's checks fail.
    pub fn new(primitives: &CryptoProvider) -> Result<Self, Unfit> {
        Self::with(tap::tapped(primitives), primitives, None)
    }

    /// The same, but connections stay on dimpl's records for ever: to compare, and to test.
    ///
    /// # Errors
    /// dimpl's checks fail.
    pub fn untapped(primitives: &CryptoProvider) -> Result<Self, Unfit> {
        Self::with(None, primitives, None)
    }

    /// For worlds: `seed` is called with the seed of a connection before anything is drawn for it, so that what
    /// primitives draw can follow from it. dimpl's own draws follow from the seed's last four bits, as each needs a
    /// configuration of its own.
    ///
    /// # Errors
    /// dimpl's checks fail.
    pub fn seeded(primitives: &CryptoProvider, seed: fn(u64)) -> Result<Self, Unfit> {
        Self::with(tap::tapped(primitives), primitives, Some(seed))
    }

    /// With a configuration of dimpl's, and on its records.
    #[cfg(test)]
    pub(super) fn of(config: Config) -> Self {
        let (provider, configs) = (config.crypto_provider().clone(), BTreeMap::from([(None, Arc::new(config))]));
        Self(Arc::new(Primitives { provider, is_tapped: false, seed: None, configs: Mutex::new(configs) }))
    }

    fn with(tapped: Option<CryptoProvider>, given: &CryptoProvider, seed: Option<fn(u64)>) -> Result<Self, Unfit> {
        let is_tapped = tapped.is_some();
        let provider = tapped.unwrap_or_else(|| given.clone());
        let configs = BTreeMap::from([(None, Arc::new(build(&provider, given, None).map_err(Unfit)?))]);
        Ok(Self(Arc::new(Primitives { provider, is_tapped, seed, configs: Mutex::new(configs) })))
    }

    fn config(&self, seed: Option<u64>) -> Arc<Config> {
        let seed = seed.filter(|_| self.0.seed.is_some()).map(|seed| seed % SEEDS);
        let mut configs = self.0.configs.lock().unwrap_or_else(PoisonError::into_inner);
        let build = || build(&self.0.provider, &self.0.provider, seed);
        let config = configs.entry(seed).or_insert_with(|| Arc::new(build().expect("it was checked before")));
        config.clone()
    }
}

/// With the times of handshakes, and without cookies: a peer's answers leave over a pair of ICE's only, whose check has
/// shown what a cookie would.
pub(crate) fn paced(builder: ConfigBuilder) -> ConfigBuilder {
    let builder = builder.use_server_cookie(false).flight_start_rto(FLIGHT).flight_retries(RETRIES);
    builder.handshake_timeout(HANDSHAKE)
}

/// A configuration that offers the suites of `given`.
fn build(provider: &CryptoProvider, given: &CryptoProvider, seed: Option<u64>) -> Result<Config, dimpl::Error> {
    let of_12: Vec<_> = given.cipher_suites.iter().map(|suite| suite.suite()).collect();
    let of_13: Vec<_> = given.dtls13_cipher_suites.iter().map(|suite| suite.suite()).collect();
    let builder = paced(Config::builder()).mtu(DATAGRAM).with_crypto_provider(provider.clone());
    let builder = builder.dtls12_cipher_suites(&of_12).dtls13_cipher_suites(&of_13);
    seed.into_iter().fold(builder, ConfigBuilder::dangerously_set_rng_seed).build()
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("is_tapped", &self.0.is_tapped).finish_non_exhaustive()
    }
}

/// What connections share. Cheap to clone.
#[derive(Clone)]
pub struct Context(Arc<Shared>);

struct Shared {
    provider: Provider,
    certificate: DtlsCertificate,
    fingerprint: [u8; 32],
    epoch: Epoch,
}

impl Context {
    /// `certificate` is DER of X.509 (ECDSA with P-256 or P-384), `key` DER of its private key (PKCS #8); `epoch` is any
    /// pair of clocks that agree.
    ///
    /// # Errors
    /// The primitives cannot read the key. Whether it is that of the certificate shows in the first handshake only.
    pub fn new(provider: Provider, certificate: Vec<u8>, key: Vec<u8>, epoch: Epoch) -> Result<Self, Unfit> {
        let signs = provider.0.provider.key_provider.load_private_key(&key);
        signs.map_err(|error| Unfit(error.into()))?;
        let fingerprint = fingerprint(&certificate);
        let certificate = DtlsCertificate { certificate, private_key: key };
        Ok(Self(Arc::new(Shared { provider, certificate, fingerprint, epoch })))
    }

    /// SHA-256 of the certificate, as descriptions tell it (RFC 8122).
    pub fn fingerprint(&self) -> [u8; 32] {
        self.0.fingerprint
    }

    pub(super) fn certificate(&self) -> DtlsCertificate {
        self.0.certificate.clone()
    }

    pub(super) fn config(&self, seed: Option<u64>) -> Arc<Config> {
        self.0.provider.config(seed)
    }

    pub(super) fn is_tapped(&self) -> bool {
        self.0.provider.0.is_tapped
    }

    /// Seeds what primitives draw next.
    pub(super) fn seed(&self, seed: Option<u64>) {
        if let (Some(call), Some(seed)) = (self.0.provider.0.seed, seed) {
            call(seed);
        }
    }

    pub(super) fn std(&self, at: Instant) -> std::time::Instant {
        // Beyond what the standard library's clock can hold there is nothing to wait for.
        self.0.epoch.std(at).or_else(|| self.0.epoch.std(Instant::ZERO)).unwrap_or_else(|| unreachable!())
    }

    /// Our moment; none for dimpl's "never", which lies years ahead.
    pub(super) fn instant(&self, now: Instant, at: std::time::Instant) -> Option<Instant> {
        let at = self.0.epoch.instant(at);
        (at - now < NEVER).then_some(at)
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("fingerprint", &self.0.fingerprint).finish_non_exhaustive()
    }
}

pub(super) fn fingerprint(certificate: &[u8]) -> [u8; 32] {
    Sha256::digest(certificate).into()
}
