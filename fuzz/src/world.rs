//! What the targets above the parsers share: an authority, a certificate of it, and the time.

use std::sync::OnceLock;
use std::time::Duration;

use switchboard::link::tls::{ClientConfig, Identity, ServerConfig, TlsVersion};

/// A moment at which the certificate is valid.
pub(crate) const UNIX: Duration = Duration::from_secs(1_750_000_000);

/// The name in the certificate.
pub(crate) const NAME: &str = "board.example";

/// A certificate authority's root, and the certificate of one server. Made once per process.
pub(crate) struct World {
    root: Vec<u8>,
    identity: Identity,
}

impl World {
    pub(crate) fn get() -> &'static Self {
        static WORLD: OnceLock<World> = OnceLock::new();
        WORLD.get_or_init(Self::new)
    }

    fn new() -> Self {
        let key = || rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
        let mut params = rcgen::CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let issuer_key = key();
        let root = params.self_signed(&issuer_key).expect("a root").der().to_vec();
        let issuer = rcgen::Issuer::new(params, issuer_key);
        let own = key();
        let params = rcgen::CertificateParams::new(vec![NAME.to_owned()]).expect("parameters");
        let certificate = params.signed_by(&own, &issuer).expect("a certificate");
        let identity = Identity::from_der(vec![certificate.der().to_vec()], own.serialize_der()).expect("an identity");
        Self { root, identity }
    }

    pub(crate) fn client(&self, version: TlsVersion) -> ClientConfig {
        ClientConfig::with_versions([self.root.clone()], &[version]).expect("a client")
    }

    pub(crate) fn server(&self) -> ServerConfig {
        ServerConfig::new(&self.identity).expect("a server")
    }
}
