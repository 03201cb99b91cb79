//! What a NAT decides, from its configuration alone.

use std::net::SocketAddr;
use std::time::Duration;

use super::ports::{COUNT, FIRST};
use super::{Inside, NatConfig, PortChoice};
use crate::machine::rng::Rng;
use crate::sim::filter::{Dependence, Protocol, Refresh};

/// For what a mapping is made, and used again (RFC 4787, section 4.1).
pub(super) fn key(config: &NatConfig, protocol: Protocol, source: SocketAddr, destination: SocketAddr) -> Inside {
    Inside { protocol, source: source.into(), remote: config.mapping.of(destination) }
}

/// RFC 4787, section 5; for TCP only what was asked for comes in.
pub(super) const fn filtering(config: &NatConfig, protocol: Protocol) -> Dependence {
    match protocol {
        Protocol::Udp => config.filtering,
        Protocol::Tcp => Dependence::AddressAndPortDependent,
    }
}

/// RFC 4787, REQ-5, and RFC 5382, REQ-5.
pub(super) const fn expiry(config: &NatConfig, protocol: Protocol) -> Duration {
    match protocol {
        Protocol::Udp => config.udp_expiry,
        Protocol::Tcp => config.tcp_expiry,
    }
}

/// RFC 4787, REQ-6.
pub(super) const fn refresh(config: &NatConfig) -> Refresh {
    config.refresh
}

/// RFC 4787, REQ-9.
pub(super) const fn hairpins(config: &NatConfig) -> bool {
    config.hairpin
}

/// The external port to take if it is free (RFC 4787, section 4.2); `last` is the one taken before.
pub(super) fn wish(config: &NatConfig, inside: u16, last: u16, rng: &mut Rng) -> u16 {
    match config.ports {
        PortChoice::Preserving => inside,
        PortChoice::Sequential => last.wrapping_add(1),
        PortChoice::Random => FIRST + rng.below(u64::from(COUNT)) as u16,
    }
}
