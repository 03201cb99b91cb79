//! A stateful firewall that translates nothing, as a pure value: what may go out, and of what comes from outside only
//! answers. It stands inside of its gateway's NAT, if there is one, and alone before IPv6 hosts (RFC 6092).
//!
//! *Out* goes what [`Outward`] names. *In* comes everything, or what answers: an inside endpoint is let in whom it
//! has sent to, as the same [`Dependence`] says of a NAT's filter; of TCP always from that address and port. A
//! contact lasts while it is used, by default in either direction, since RFC 6092 (REC-14,
//! REC-35) speaks of idle time.

use std::net::SocketAddr;
use std::time::Duration;

use super::filter::{Contacts, Dependence, Endpoint, Protocol, Refresh, TCP_EXPIRY, UDP_EXPIRY};
use super::timeline::DropReason;
use crate::machine::time::Instant;

/// What a firewall lets out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outward {
    /// Everything.
    All,
    /// Everything but UDP.
    NoUdp,
    /// Only TCP, and only to port 443.
    TcpOnly443,
}

/// What a firewall lets in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Inward {
    /// Everything.
    All,
    /// What comes from where the inside endpoint has sent to: from anywhere once it has sent at all, from that
    /// address, or from that address and port.
    Answers(Dependence),
}

/// How a firewall behaves. By default it lets everything pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FirewallConfig {
    /// What passes out.
    pub outward: Outward,
    /// What passes in.
    pub inward: Inward,
    /// How long a contact by UDP lasts unused; 120 s by default (RFC 6092, REC-14).
    pub udp_expiry: Duration,
    /// How long a contact by TCP lasts unused; 7,440 s by default (RFC 6092, REC-35).
    pub tcp_expiry: Duration,
    /// Which packets are use; both directions by default.
    pub refresh: Refresh,
    /// At most so many contacts; 65,536 by default. A packet that needs one more is blocked.
    pub most: usize,
}

impl FirewallConfig {
    /// One that lets that pass.
    pub const fn new(outward: Outward, inward: Inward) -> Self {
        let (udp_expiry, tcp_expiry) = (UDP_EXPIRY, TCP_EXPIRY);
        Self { outward, inward, udp_expiry, tcp_expiry, refresh: Refresh::Both, most: 65_536 }
    }
}

impl Default for FirewallConfig {
    fn default() -> Self {
        Self::new(Outward::All, Inward::All)
    }
}

/// A firewall at work.
#[derive(Debug)]
pub(super) struct Firewall {
    config: FirewallConfig,
    contacts: Contacts<(Protocol, Endpoint)>,
}

impl Firewall {
    pub(super) const fn new(config: FirewallConfig) -> Self {
        Self { config, contacts: Contacts::new() }
    }

    /// Whether a packet may go out.
    pub(super) fn outbound(
        &mut self,
        now: Instant,
        protocol: Protocol,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Result<(), DropReason> {
        if !self.config.outward.passes(protocol, destination.port()) {
            return Err(DropReason::Blocked);
        }
        let Some(filter) = self.filter(protocol) else { return Ok(()) };
        self.contacts.expire(now);
        let (until, refreshes) = (self.until(now, protocol), self.config.refresh.outbound());
        let contact = ((protocol, source.into()), filter.of(destination));
        let is_known = self.contacts.sent(contact, until, refreshes, self.config.most);
        is_known.then_some(()).ok_or(DropReason::Blocked)
    }

    /// Whether a packet may come in.
    pub(super) fn inbound(
        &mut self,
        now: Instant,
        protocol: Protocol,
        source: SocketAddr,
        destination: SocketAddr,
    ) -> Result<(), DropReason> {
        let Some(filter) = self.filter(protocol) else { return Ok(()) };
        self.contacts.expire(now);
        let (until, refreshes) = (self.until(now, protocol), self.config.refresh.inbound());
        let contact = ((protocol, destination.into()), filter.of(source));
        self.contacts.comes(contact, until, refreshes).then_some(()).ok_or(DropReason::Unsolicited)
    }

    /// Forgets all contacts.
    pub(super) fn reboot(&mut self) {
        self.contacts.clear();
    }

    /// None: everything comes in, and nothing need be remembered.
    const fn filter(&self, protocol: Protocol) -> Option<Dependence> {
        match (self.config.inward, protocol) {
            (Inward::All, _) => None,
            (Inward::Answers(filter), Protocol::Udp) => Some(filter),
            (Inward::Answers(_), Protocol::Tcp) => Some(Dependence::AddressAndPortDependent),
        }
    }

    fn until(&self, now: Instant, protocol: Protocol) -> Instant {
        now + match protocol {
            Protocol::Udp => self.config.udp_expiry,
            Protocol::Tcp => self.config.tcp_expiry,
        }
    }
}

impl Outward {
    const fn passes(self, protocol: Protocol, port: u16) -> bool {
        match (self, protocol) {
            (Self::All, _) | (Self::NoUdp, Protocol::Tcp) => true,
            (Self::TcpOnly443, Protocol::Tcp) => port == 443,
            (Self::NoUdp | Self::TcpOnly443, Protocol::Udp) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn guard(filter: Dependence) -> Firewall {
        Firewall::new(FirewallConfig::new(Outward::All, Inward::Answers(filter)))
    }

    #[test]
    fn what_goes_out_is_what_the_configuration_names() {
        use Protocol::{Tcp, Udp};
        let passes = |outward, protocol, to| {
            let mut firewall = Firewall::new(FirewallConfig::new(outward, Inward::All));
            firewall.outbound(Instant::ZERO, protocol, at("[fd00::1]:5000"), at(to))
        };
        assert_eq!(passes(Outward::All, Udp, "[2001:db8::1]:3478"), Ok(()));
        assert_eq!(passes(Outward::NoUdp, Udp, "[2001:db8::1]:443"), Err(DropReason::Blocked));
        assert_eq!(passes(Outward::NoUdp, Tcp, "[2001:db8::1]:3478"), Ok(()));
        assert_eq!(passes(Outward::TcpOnly443, Udp, "[2001:db8::1]:443"), Err(DropReason::Blocked));
        assert_eq!(passes(Outward::TcpOnly443, Tcp, "[2001:db8::1]:80"), Err(DropReason::Blocked));
        assert_eq!(passes(Outward::TcpOnly443, Tcp, "[2001:db8::1]:443"), Ok(()));
    }

    #[test]
    fn only_answers_come_in_as_the_filter_says() {
        let (inside, peer) = (at("[2001:db8:1::1]:5000"), at("[2001:db8::1]:7000"));
        let froms = ["[2001:db8::1]:7000", "[2001:db8::1]:7001", "[2001:db8::2]:7000"].map(at);
        for (filter, expected) in
            Dependence::ALL.into_iter().zip([[true; 3], [true, true, false], [true, false, false]])
        {
            let mut firewall = guard(filter);
            let mut comes = |from| firewall.inbound(Instant::ZERO, Protocol::Udp, from, inside);
            assert_eq!(froms.map(&mut comes), [Err(DropReason::Unsolicited); 3], "{filter:?}");
            firewall.outbound(Instant::ZERO, Protocol::Udp, inside, peer).unwrap();
            let comes = |from| firewall.inbound(Instant::ZERO, Protocol::Udp, from, inside).is_ok();
            assert_eq!(froms.map(comes), expected, "{filter:?}");
        }
    }

    #[test]
    fn an_answer_by_tcp_comes_from_the_address_and_port_that_was_dialled() {
        let (inside, server) = (at("10.0.0.1:5000"), at("1.1.1.1:443"));
        let mut firewall = guard(Dependence::EndpointIndependent);
        firewall.outbound(Instant::ZERO, Protocol::Tcp, inside, server).unwrap();
        let mut comes = |from| firewall.inbound(Instant::ZERO, Protocol::Tcp, at(from), inside);
        assert_eq!(comes("1.1.1.1:443"), Ok(()));
        assert_eq!(comes("1.1.1.1:444"), Err(DropReason::Unsolicited));
    }

    #[test]
    fn a_contact_lasts_while_packets_pass_in_either_direction() {
        let (inside, peer) = (at("10.0.0.1:5000"), at("1.1.1.1:7000"));
        let mut firewall = guard(Dependence::AddressAndPortDependent);
        firewall.outbound(Instant::ZERO, Protocol::Udp, inside, peer).unwrap();
        let mut comes = |seconds| firewall.inbound(Instant::ZERO + seconds * SECOND, Protocol::Udp, peer, inside);
        assert_eq!(comes(119), Ok(()));
        assert_eq!(comes(238), Ok(()));
        assert_eq!(comes(358), Err(DropReason::Unsolicited));
    }

    #[test]
    fn a_reboot_forgets_contacts() {
        let (inside, peer) = (at("10.0.0.1:5000"), at("1.1.1.1:7000"));
        let mut firewall = guard(Dependence::EndpointIndependent);
        firewall.outbound(Instant::ZERO, Protocol::Udp, inside, peer).unwrap();
        firewall.reboot();
        assert_eq!(firewall.inbound(Instant::ZERO, Protocol::Udp, peer, inside), Err(DropReason::Unsolicited));
    }

    #[test]
    fn more_contacts_than_there_is_room_for_are_blocked_until_one_expires() {
        let config = FirewallConfig { most: 1, ..guard(Dependence::AddressDependent).config };
        let (mut firewall, inside) = (Firewall::new(config), at("10.0.0.1:5000"));
        let mut sends =
            |seconds, to| firewall.outbound(Instant::ZERO + seconds * SECOND, Protocol::Udp, inside, at(to));
        assert_eq!(sends(0, "1.1.1.1:1"), Ok(()));
        assert_eq!(sends(0, "1.1.1.2:1"), Err(DropReason::Blocked));
        assert_eq!(sends(0, "1.1.1.1:2"), Ok(()));
        assert_eq!(sends(120, "1.1.1.2:1"), Ok(()));
    }
}
