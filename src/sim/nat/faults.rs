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

mod tests {
    use super::Fault;
    use crate::sim::nat::checks;
    use crate::sim::oracle::tests::disagreements;

    #[test]
    fn a_filter_that_ignores_the_port_turns_the_matrix_red() {
        assert_ne!(disagreements(Some(Fault::FilterIgnoresPort)).len(), 0);
        checks::filters(Some(Fault::FilterIgnoresPort)).unwrap_err();
    }

    #[test]
    fn a_filter_that_minds_the_port_turns_the_matrix_red() {
        assert_ne!(disagreements(Some(Fault::FilterMindsPort)).len(), 0);
        checks::filters(Some(Fault::FilterMindsPort)).unwrap_err();
    }

    #[test]
    fn a_filter_that_lets_all_in_turns_the_matrix_red() {
        assert_ne!(disagreements(Some(Fault::FilterLetsAllIn)).len(), 0);
        checks::filters(Some(Fault::FilterLetsAllIn)).unwrap_err();
    }

    #[test]
    fn a_mapping_that_ignores_the_port_turns_the_matrix_red() {
        assert_ne!(disagreements(Some(Fault::MappingIgnoresPort)).len(), 0);
        checks::mappings(Some(Fault::MappingIgnoresPort)).unwrap_err();
    }

    #[test]
    fn a_mapping_that_ignores_the_address_turns_the_matrix_red() {
        assert_ne!(disagreements(Some(Fault::MappingIgnoresAddress)).len(), 0);
        checks::mappings(Some(Fault::MappingIgnoresAddress)).unwrap_err();
    }

    #[test]
    fn a_mapping_that_insiders_share_turns_the_test_of_port_choice_red() {
        checks::owners(Some(Fault::MappingIsShared)).unwrap_err();
        checks::ports_are_preserved(Some(Fault::MappingIsShared)).unwrap_err();
    }

    #[test]
    fn a_port_that_is_not_preserved_turns_the_test_of_port_choice_red() {
        checks::ports_are_preserved(Some(Fault::PortIsNotPreserved)).unwrap_err();
    }

    #[test]
    fn a_mapping_that_never_expires_turns_the_test_of_expiry_red() {
        checks::expiry(Some(Fault::NeverExpires)).unwrap_err();
    }

    #[test]
    fn a_mapping_that_expires_at_once_turns_the_matrix_and_the_test_of_expiry_red() {
        assert_ne!(disagreements(Some(Fault::ExpiresAtOnce)).len(), 0);
        checks::expiry(Some(Fault::ExpiresAtOnce)).unwrap_err();
    }

    #[test]
    fn a_refresh_from_outside_turns_the_test_of_expiry_red() {
        checks::refresh(Some(Fault::InboundRefreshes)).unwrap_err();
    }

    #[test]
    fn a_refresh_that_fails_from_inside_turns_the_test_of_expiry_red() {
        checks::refresh(Some(Fault::OutboundDoesNotRefresh)).unwrap_err();
    }

    #[test]
    fn hairpinning_that_nobody_asked_for_turns_the_test_of_hairpinning_red() {
        checks::hairpins(Some(Fault::HairpinsUnasked)).unwrap_err();
    }
}
