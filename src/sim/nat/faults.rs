//! Faults planted in a NAT, to see the tests of it fail: the [rules](super::rules), less the one that is broken.

use std::net::SocketAddr;
use std::time::Duration;

use super::rules;
use super::{Inside, NatConfig, PortChoice};
use crate::machine::rng::Rng;
use crate::sim::filter::{Dependence, Endpoint, Protocol, Refresh};

/// What a NAT does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in crate::sim) enum Fault {
    /// A filter by address and port goes by the address.
    FilterIgnoresPort,
    /// A filter by address goes by the port as well.
    FilterMindsPort,
    /// Whoever sends is let in.
    FilterLetsAllIn,
    /// A mapping by address and port goes by the address.
    MappingIgnoresPort,
    /// A mapping goes by the port alone where it should go by the address.
    MappingIgnoresAddress,
    /// Two insiders with the same port share a mapping.
    MappingIsShared,
    /// Ports are counted up where they should be preserved.
    PortIsNotPreserved,
    /// Mappings last for ever.
    NeverExpires,
    /// Mappings are gone at once.
    ExpiresAtOnce,
    /// What comes in keeps a mapping alive.
    InboundRefreshes,
    /// What goes out does not keep a mapping alive.
    OutboundDoesNotRefresh,
    /// Packets turn back to the inside where they must not.
    HairpinsUnasked,
}

pub(super) fn key(config: &NatConfig, protocol: Protocol, source: SocketAddr, destination: SocketAddr) -> Inside {
    let key = rules::key(config, protocol, source, destination);
    let remote = match config.fault {
        Some(Fault::MappingIgnoresPort) => Endpoint { port: 0, ..key.remote },
        Some(Fault::MappingIgnoresAddress) if key.remote.ip != 0 => Endpoint { ip: 0, port: destination.port() },
        _ => key.remote,
    };
    let ip = if config.fault == Some(Fault::MappingIsShared) { 0 } else { key.source.ip };
    Inside { source: Endpoint { ip, ..key.source }, remote, ..key }
}

pub(super) fn filtering(config: &NatConfig, protocol: Protocol) -> Dependence {
    use Dependence::{AddressAndPortDependent, AddressDependent};
    match (config.fault, rules::filtering(config, protocol)) {
        (Some(Fault::FilterIgnoresPort), AddressAndPortDependent) => AddressDependent,
        (Some(Fault::FilterMindsPort), AddressDependent) => AddressAndPortDependent,
        (Some(Fault::FilterLetsAllIn), _) => Dependence::EndpointIndependent,
        (_, filtering) => filtering,
    }
}

pub(super) fn expiry(config: &NatConfig, protocol: Protocol) -> Duration {
    match config.fault {
        Some(Fault::NeverExpires) => Duration::MAX,
        Some(Fault::ExpiresAtOnce) => Duration::ZERO,
        _ => rules::expiry(config, protocol),
    }
}

pub(super) fn refresh(config: &NatConfig) -> Refresh {
    match (config.fault, rules::refresh(config)) {
        (Some(Fault::InboundRefreshes), Refresh::Outbound) => Refresh::Both,
        (Some(Fault::OutboundDoesNotRefresh), _) => Refresh::Inbound,
        (_, refresh) => refresh,
    }
}

pub(super) fn hairpins(config: &NatConfig) -> bool {
    config.fault == Some(Fault::HairpinsUnasked) || rules::hairpins(config)
}

pub(super) fn wish(config: &NatConfig, inside: u16, last: u16, rng: &mut Rng) -> u16 {
    match config.fault {
        Some(Fault::PortIsNotPreserved) => {
            rules::wish(&NatConfig { ports: PortChoice::Sequential, ..*config }, inside, last, rng)
        }
        _ => rules::wish(config, inside, last, rng),
    }
}
