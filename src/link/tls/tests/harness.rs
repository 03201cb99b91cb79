//! A client and a server in memory, and an authority that both know.

use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, date_time_ymd,
};

use super::*;

/// Records of 32 bytes, so that most handshake messages span several.
pub(super) fn in_small_pieces(mut config: ServerConfig) -> ServerConfig {
    Arc::make_mut(&mut config.inner).max_fragment_size = Some(37);
    config
}

/// A certificate authority and one server.
pub(super) struct World {
    pub(super) root: Vec<u8>,
    pub(super) identity: Identity,
}

impl World {
    pub(super) fn new() -> Self {
        Self::named("authority")
    }

    pub(super) fn named(authority_name: &str) -> Self {
        let mut authority = CertificateParams::default();
        authority.distinguished_name.push(DnType::CommonName, authority_name);
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate().unwrap()).unwrap();
        let names = ["board.example", "192.0.2.1", "2001:db8::1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).unwrap();
        (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2040, 1, 1));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();
        let identity = Identity::from_der(vec![certificate.der().to_vec()], key.serialize_der()).unwrap();
        Self { root: authority.der().to_vec(), identity }
    }

    pub(super) fn client(&self, version: TlsVersion) -> ClientConfig {
        ClientConfig::with_versions([self.root.clone()], &[version]).unwrap()
    }

    pub(super) fn server(&self, version: TlsVersion) -> ServerConfig {
        ServerConfig::with_versions(&self.identity, &[version]).unwrap()
    }

    pub(super) fn fresh(&self, version: TlsVersion) -> Pair {
        Pair::new(&self.client(version), &self.server(version))
    }

    pub(super) fn pair(&self, version: TlsVersion) -> Pair {
        let mut pair = self.fresh(version);
        pair.run().unwrap();
        pair
    }
}

/// A client and a server, and the wire between them, which cuts what it carries at random.
pub(super) struct Pair {
    pub(super) client: End,
    pub(super) server: End,
    pub(super) rng: Rng,
    pub(super) most: usize,
}

impl Pair {
    pub(super) fn new(client: &ClientConfig, server: &ServerConfig) -> Self {
        Self::to(client, server, "board.example")
    }

    pub(super) fn to(client: &ClientConfig, server: &ServerConfig, name: &str) -> Self {
        let client = End::new(Tls::client(client, name, NOW).unwrap());
        let server = End::new(Tls::server(server).unwrap());
        Self { client, server, rng: Rng::from_u64(0), most: usize::MAX }
    }

    /// Until neither side has anything to send; the first error of either, once both know.
    pub(super) fn run(&mut self) -> Result<(), TlsError> {
        let mut first = Ok(());
        loop {
            let (to_server, to_client) = (self.client.output(), self.server.output());
            if to_server.is_empty() && to_client.is_empty() {
                return first;
            }
            for (end, mut wire) in [(&mut self.server, to_server), (&mut self.client, to_client)] {
                let mut rest = &mut wire[..];
                while !rest.is_empty() && end.error.is_none() {
                    let most = rest.len().min(self.most) as u64;
                    let (part, after) = rest.split_at_mut(1 + self.rng.below(most) as usize);
                    let result = end.receive(part);
                    first = first.and_then(|()| result.map(|_| ()));
                    rest = after;
                }
            }
        }
    }

    pub(super) fn errors(&self) -> [Option<TlsError>; 2] {
        [self.client.error.clone(), self.server.error.clone()]
    }
}

pub(super) struct End {
    pub(super) tls: Tls,
    pub(super) unix: Duration,
    pub(super) flow: Flow,
    pub(super) got: Vec<u8>,
    pub(super) largest: usize,
    pub(super) buf: Buf,
    pub(super) error: Option<TlsError>,
}

impl End {
    pub(super) fn new(tls: Tls) -> Self {
        let buf = Buf::new(100_000);
        Self { tls, unix: NOW, flow: Flow::Go, got: Vec::new(), largest: 0, buf, error: None }
    }

    pub(super) fn receive(&mut self, wire: &mut [u8]) -> Result<Flow, TlsError> {
        let (got, largest, flow) = (&mut self.got, &mut self.largest, self.flow);
        let result = self.tls.receive(self.unix, wire, &mut |plain| {
            got.extend_from_slice(plain);
            *largest = plain.len().max(*largest);
            flow
        });
        self.error = result.clone().err();
        result
    }

    pub(super) fn send(&mut self, plain: &[u8]) {
        if self.tls.can_send() {
            self.tls.encrypt(plain, &mut self.buf).unwrap();
        }
    }

    pub(super) fn output(&mut self) -> Vec<u8> {
        if self.tls.wants_fill() {
            self.tls.fill(&mut self.buf).unwrap();
        }
        assert!(!self.tls.wants_fill());
        mem::take(self.buf.vec())
    }

    pub(super) fn take(&mut self) -> Vec<u8> {
        mem::take(&mut self.got)
    }

    pub(super) fn refresh_keys(&mut self) {
        let Connection::Client(client) = &mut self.tls.connection else { panic!("a client") };
        let ConnectionState::WriteTraffic(traffic) = client.process_tls_records(&mut []).state.unwrap() else {
            panic!("idle")
        };
        traffic.refresh_traffic_keys().unwrap();
        self.tls.collect();
    }
}
