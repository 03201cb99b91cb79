//! What all peers of a process share: the certificate, the primitives, and the clock's origin.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair, PKCS_ECDSA_P256_SHA256};

#[cfg(feature = "sim")]
use crate::link::dtls::seeded;
use crate::link::dtls::{Context, Provider, Unfit};
use crate::machine::rng::Rng;
use crate::machine::time::Epoch;
#[cfg(feature = "str0m")]
use crate::machine::time::Instant;

/// How long a certificate is valid, from a day before it was made.
const VALIDITY: Duration = Duration::from_secs(366 * 24 * 3600);
/// Ten years: longer than any time-out of a peer.
#[cfg(feature = "str0m")]
const NEVER: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// What all peers of a process share. Cheap to clone.
#[derive(Clone)]
pub struct Crypto(Arc<Shared>);

struct Shared {
    epoch: Epoch,
    #[cfg(feature = "str0m")]
    certificate: dimpl::DtlsCertificate,
    dtls: Context,
    is_seeded: bool,
}

impl Crypto {
    /// A certificate of its own (ECDSA, P-256), whose key `aws-lc-rs` draws from the system, as it does for every
    /// handshake. `epoch` is any pair of clocks that agree; `unix` of it dates the certificate.
    ///
    /// # Errors
    /// In words: no key or no certificate could be made.
    pub fn new(epoch: Epoch, rng: &mut Rng) -> Result<Self, String> {
        let certificate = self_signed(epoch.unix_at_origin(), rng).map_err(|error| error.to_string())?;
        let made = Provider::system().and_then(|provider| Self::with(epoch, certificate, provider, false));
        made.map_err(|error| error.to_string())
    }

    /// For worlds: everything follows from the seeds of its peers. It protects nothing.
    #[cfg(feature = "sim")]
    pub(crate) fn seeded(epoch: Epoch) -> Self {
        let made = Self::with(epoch, seeded::certificate(), seeded::provider(), true);
        made.expect("worlds never look at the key")
    }

    fn with(
        epoch: Epoch,
        certificate: dimpl::DtlsCertificate,
        provider: Provider,
        is_seeded: bool,
    ) -> Result<Self, Unfit> {
        #[cfg(feature = "str0m")]
        let kept = certificate.clone();
        let dimpl::DtlsCertificate { certificate: shown, private_key } = certificate;
        let dtls = Context::new(provider, shown, private_key, epoch)?;
        Ok(Self(Arc::new(Shared {
            epoch,
            #[cfg(feature = "str0m")]
            certificate: kept,
            dtls,
            is_seeded,
        })))
    }

    /// SHA-256 of the certificate, as descriptions tell it (RFC 8122).
    pub fn fingerprint(&self) -> [u8; 32] {
        self.0.dtls.fingerprint()
    }

    pub(super) fn is_seeded(&self) -> bool {
        self.0.is_seeded
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.0.epoch
    }

    pub(super) fn dtls(&self) -> &Context {
        &self.0.dtls
    }
}

/// What `str0m` asks for besides.
#[cfg(feature = "str0m")]
impl Crypto {
    pub(super) fn certificate(&self) -> &dimpl::DtlsCertificate {
        &self.0.certificate
    }

    pub(super) fn std(&self, at: Instant) -> std::time::Instant {
        self.0.epoch.std_or_origin(at)
    }

    /// Our moment; none for an engine's "never", which lies decades ahead.
    pub(super) fn instant(&self, at: std::time::Instant) -> Option<Instant> {
        let at = self.0.epoch.instant(at);
        (at - Instant::ZERO < NEVER).then_some(at)
    }
}

impl fmt::Debug for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Crypto").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}

fn self_signed(unix: Duration, rng: &mut Rng) -> Result<dimpl::DtlsCertificate, rcgen::Error> {
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
    let mut params = CertificateParams::new(Vec::<String>::new())?;
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, "WebRTC");
    params.distinguished_name = name;
    let day = Duration::from_secs(24 * 3600);
    let from = time::OffsetDateTime::UNIX_EPOCH + unix.saturating_sub(day);
    (params.not_before, params.not_after) = (from, from + VALIDITY);
    // Firefox refuses two certificates of one serial number, from whichever process.
    params.serial_number = Some(rng.array::<16>().to_vec().into());
    let certificate = params.self_signed(&key)?.der().to_vec();
    Ok(dimpl::DtlsCertificate { certificate, private_key: key.serialize_der() })
}
