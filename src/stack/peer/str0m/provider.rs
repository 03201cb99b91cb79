//! DTLS by `dimpl` with one configuration for all peers.
//!
//! Making a configuration checks all of the cryptography, which takes longer than a handshake; `str0m`'s own provider
//! does so for every peer.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Instant;

use str0m::config::{CryptoProvider, DtlsCert, DtlsVersion};
use str0m::crypto::CryptoError;
use str0m::crypto::dtls::{DtlsImplError, DtlsInstance, DtlsOutput, DtlsProvider, ProtocolVersion};

use crate::link::dtls::paced;
#[cfg(feature = "sim")]
use crate::link::dtls::seeded;
use crate::stack::peer::crypto::Crypto;

type Configs = Mutex<BTreeMap<Option<usize>, Arc<dimpl::Config>>>;

/// The provider of peers with that cryptography.
pub(super) fn of(crypto: &Crypto) -> Arc<CryptoProvider> {
    static SYSTEM: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| provider(&Dtls(cached)));
    #[cfg(feature = "sim")]
    if crypto.is_seeded() {
        static SEEDED: LazyLock<Arc<CryptoProvider>> = LazyLock::new(|| provider(&Dtls(seeded)));
        return SEEDED.clone();
    }
    let _ = crypto;
    SYSTEM.clone()
}

fn provider(dtls_provider: &'static dyn DtlsProvider) -> Arc<CryptoProvider> {
    Arc::new(CryptoProvider { dtls_provider, ..str0m::crypto::from_feature_flags() })
}

/// A certificate as `str0m` has it.
pub(super) fn certificate(certificate: &dimpl::DtlsCertificate) -> DtlsCert {
    let dimpl::DtlsCertificate { certificate, private_key } = certificate.clone();
    DtlsCert { certificate, private_key }
}

/// Connections with what configuration there is for datagrams of so many bytes.
#[derive(Debug)]
struct Dtls(fn(Option<usize>) -> Result<Arc<dimpl::Config>, CryptoError>);

impl DtlsProvider for Dtls {
    fn generate_certificate(&self) -> Option<DtlsCert> {
        None
    }

    fn new_dtls(
        &self,
        certificate: &DtlsCert,
        now: Instant,
        version: DtlsVersion,
        mtu: Option<usize>,
    ) -> Result<Box<dyn DtlsInstance>, CryptoError> {
        Ok(Box::new(Instance::new((self.0)(mtu)?, certificate.clone(), version, now)))
    }
}

/// The one that all peers share.
fn cached(mtu: Option<usize>) -> Result<Arc<dimpl::Config>, CryptoError> {
    static CONFIGS: LazyLock<Configs> = LazyLock::new(Mutex::default);
    let mut configs = CONFIGS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(config) = configs.get(&mtu) {
        return Ok(config.clone());
    }
    let config = Arc::new(build(dimpl::Config::builder(), mtu)?);
    configs.insert(mtu, config.clone());
    Ok(config)
}

/// For worlds: one for each seed.
#[cfg(feature = "sim")]
fn seeded(mtu: Option<usize>) -> Result<Arc<dimpl::Config>, CryptoError> {
    let builder = dimpl::Config::builder().with_crypto_provider(seeded::primitives());
    Ok(Arc::new(build(builder.dangerously_set_rng_seed(seeded::latest()), mtu)?))
}

/// A configuration with our times.
fn build(builder: dimpl::ConfigBuilder, mtu: Option<usize>) -> Result<dimpl::Config, CryptoError> {
    let builder = mtu.into_iter().fold(paced(builder), dimpl::ConfigBuilder::mtu);
    builder.build().map_err(|error| CryptoError::Other(error.to_string()))
}

/// One connection.
struct Instance(dimpl::Dtls);

impl Instance {
    fn new(config: Arc<dimpl::Config>, certificate: DtlsCert, version: DtlsVersion, now: Instant) -> Self {
        Self(match version {
            DtlsVersion::Dtls13 => dimpl::Dtls::new_13(config, certificate, now),
            DtlsVersion::Auto => dimpl::Dtls::new_auto(config, certificate, now),
            _ => dimpl::Dtls::new_12(config, certificate, now),
        })
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").finish_non_exhaustive()
    }
}

impl DtlsInstance for Instance {
    fn set_active(&mut self, active: bool) {
        self.0.set_active(active);
    }

    fn handle_packet(&mut self, packet: &[u8]) -> Result<(), DtlsImplError> {
        self.0.handle_packet(packet)
    }

    fn poll_output<'a>(&mut self, buf: &'a mut [u8]) -> DtlsOutput<'a> {
        self.0.poll_output(buf)
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), DtlsImplError> {
        self.0.handle_timeout(now)
    }

    fn send_application_data(&mut self, data: &[u8]) -> Result<usize, DtlsImplError> {
        self.0.send_application_data(data)
    }

    fn is_active(&self) -> bool {
        self.0.is_active()
    }

    fn protocol_version(&self) -> Option<ProtocolVersion> {
        self.0.protocol_version()
    }

    fn is_closing(&self) -> bool {
        self.0.is_closing()
    }

    fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    fn close(&mut self) -> Result<(), DtlsImplError> {
        self.0.close()
    }
}
