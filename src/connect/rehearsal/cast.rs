//! Who plays: relays and endpoints, each with a key that follows from the scenario's seed and its place.

use crate::connect::{Builder, Endpoint, Options};
use crate::hub::{Policy, Quotas};
use crate::link::noise::SecretKey;
use crate::machine::Cx;
use crate::machine::limits::Limits;
use crate::machine::rng::Rng;
use crate::sim::scenario::{Cast, HostSpec};
use crate::sim::{NatKind, Scenario};
#[cfg(all(feature = "webrtc", feature = "turn"))]
use crate::stack::turn_server::{PeerPolicy, TurnSecret};
use crate::transport::Reconnect;
#[cfg(all(feature = "webrtc", feature = "turn"))]
use crate::transport::serve::TurnService;
#[cfg(feature = "webrtc")]
use crate::transport::webrtc::WebrtcConfig;
use crate::wire::identity::EndpointId;
use std::time::Duration;

const RELAY: &str = "relay";
/// The port of STUN and TURN.
#[cfg(feature = "webrtc")]
pub(super) const STUN: u16 = 3478;

pub(super) struct Troupe {
    scenario: Scenario,
    #[cfg(feature = "webrtc")]
    direct: Option<WebrtcConfig>,
}

impl Troupe {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            scenario: scenario.clone(),
            #[cfg(feature = "webrtc")]
            direct: None,
        }
    }

    /// Endpoints that make direct paths, and relays that serve STUN and TURN for it.
    #[cfg(feature = "webrtc")]
    pub(super) fn with_direct(scenario: &Scenario, config: &WebrtcConfig) -> Self {
        Self { direct: Some(config.clone()), ..Self::new(scenario) }
    }

    /// What is over and above a relay.
    #[cfg(all(feature = "webrtc", feature = "turn"))]
    fn serve(&self, host: &HostSpec, builder: Builder, options: Options) -> Builder {
        if self.direct.is_none() {
            return builder.options(options);
        }
        let mut service = TurnService::new("rehearsal", TurnSecret::new("rehearsal"));
        service.config.peers = PeerPolicy::Any;
        service.uris = ["stun", "turn"].map(|scheme| format!("{scheme}:{}:{STUN}", host.name)).to_vec();
        builder.options(Options { turn: Some(service), ..options }).listen(&format!("turn:0.0.0.0:{STUN}"))
    }

    #[cfg(not(all(feature = "webrtc", feature = "turn")))]
    fn serve(&self, _: &HostSpec, builder: Builder, options: Options) -> Builder {
        builder.options(options)
    }

    #[cfg(feature = "webrtc")]
    fn make_direct(&self, builder: Builder) -> Builder {
        match &self.direct {
            Some(config) => builder.direct(config.clone()),
            None => builder,
        }
    }

    #[cfg(not(feature = "webrtc"))]
    fn make_direct(&self, builder: Builder) -> Builder {
        builder
    }

    /// The names and ids of all that are not relays.
    pub(super) fn endpoints(&self) -> Vec<(String, EndpointId)> {
        let hosts = self.scenario.hosts.iter().enumerate().filter(|(_, host)| host.role != RELAY);
        hosts.map(|(place, host)| (host.name.clone(), self.secret(place).id())).collect()
    }

    fn secret(&self, place: usize) -> SecretKey {
        SecretKey::generate(&mut Rng::from_u64(self.scenario.seed ^ (place as u64 + 1) << 40))
    }

    /// Where an endpoint can dial: behind a firewall that lets out port 443 only, that.
    fn strings(&self, endpoint: &HostSpec) -> Vec<String> {
        let gateway = self.scenario.gateways.iter().find(|gateway| Some(&gateway.name) == endpoint.inside.as_ref());
        let only_443 = gateway.is_some_and(|gateway| gateway.kind == NatKind::TcpOnly443);
        let relays = self.scenario.hosts.iter().filter(|host| host.role == RELAY);
        let string = |relay: &HostSpec| {
            let port = relay.ports.iter().find(|port| !only_443 || **port == 443)?;
            Some(format!("tcp:{}:{port}", relay.name))
        };
        relays.filter_map(string).collect()
    }
}

impl Cast<Endpoint> for Troupe {
    #[allow(clippy::needless_update, reason = "options have more fields with the features `tls` and `ws`")]
    fn machine(&mut self, host: &HostSpec, boot: u32) -> Endpoint {
        let place = self.scenario.hosts.iter().position(|other| other.name == host.name).unwrap_or_default();
        let reconnect = Reconnect::Backoff { first: Duration::from_millis(500), cap: Duration::from_secs(5) };
        let limits = Limits::default();
        let options = Options { reconnect, limits, ..Options::default() };
        let mut builder = Endpoint::builder(self.secret(place));
        if host.role == RELAY {
            builder = self.serve(host, builder, options).relays_for(Policy::Open, Quotas::default());
            for port in &host.ports {
                builder = builder.listen(&format!("tcp:0.0.0.0:{port}"));
            }
        } else {
            builder = self.make_direct(builder.options(options));
            builder = self.strings(host).iter().fold(builder, |builder, string| builder.relay(string));
        }
        let seed = self.scenario.seed ^ (place as u64 + 1) << 32 | u64::from(boot);
        builder.build(&mut Rng::from_u64(seed)).expect("the strings are well-formed")
    }

    fn start(&mut self, _: &HostSpec, machine: &mut Endpoint, cx: &mut Cx<'_>) {
        machine.start(cx);
    }
}
