//! Whom a TURN server reaches for its clients, and whom never (RFC 8656, section 21.4.1, CVE-2020-26262).
//!
//! A relay stands where its clients do not: behind firewalls, in a data centre, beside services that trust the network
//! they are on. So by default it reaches public addresses only. An address that hides an IPv4 address is judged by what
//! it hides: a way through 6to4, Teredo or NAT64 leads to that. The forms `::ffff:a.b.c.d` and `::a.b.c.d` have no
//! place on a wire and are always forbidden.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whom clients may reach, beside each other.
///
/// Always forbidden are unspecified, multicast and broadcast addresses, 0.0.0.0/8, and loopback ones unless
/// [`TurnServerConfig::loopback`](super::TurnServerConfig::loopback) says otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum PeerPolicy {
    /// Public addresses: not private ones (RFC 1918, RFC 4193), not those shared by carriers (100.64.0.0/10, RFC 6598),
    /// link-local, site-local or reserved ones.
    #[default]
    PublicOnly,
    /// All that are not always forbidden.
    Any,
    /// Those in one of these ranges, private ones too.
    AllowList(Vec<Prefix>),
}

/// A range of addresses, as `10.0.0.0/8`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Prefix {
    address: IpAddr,
    len: u8,
}

/// A text is no range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not a range of addresses: write ADDRESS/LENGTH, as 10.0.0.0/8")]
pub struct NotAPrefix;

impl Prefix {
    /// The addresses that have the first `len` bits of `address`; none: it has not so many.
    pub fn new(address: IpAddr, len: u8) -> Option<Self> {
        let most = if address.is_ipv4() { 32 } else { 128 };
        (len <= most).then_some(Self { address, len })
    }

    /// Whether an address lies in it.
    pub fn contains(&self, other: IpAddr) -> bool {
        match (self.address, other) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(self.len),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros() >= u32::from(self.len),
            _ => false,
        }
    }
}

impl std::str::FromStr for Prefix {
    type Err = NotAPrefix;

    fn from_str(text: &str) -> Result<Self, NotAPrefix> {
        let (address, len) = text.split_once('/').ok_or(NotAPrefix)?;
        let (address, len) = (address.parse().map_err(|_| NotAPrefix)?, len.parse().map_err(|_| NotAPrefix)?);
        Self::new(address, len).ok_or(NotAPrefix)
    }
}

impl PeerPolicy {
    /// Whether clients may reach that address.
    pub fn allows(&self, peer: IpAddr, loopback: bool) -> bool {
        if peer.is_loopback() {
            return loopback;
        }
        if is_nowhere(peer) {
            return false;
        }
        if let Some(hidden) = hidden(peer) {
            return self.allows(hidden.into(), false);
        }
        match self {
            Self::PublicOnly => !is_private(peer),
            Self::Any => true,
            Self::AllowList(ranges) => ranges.iter().any(|range| range.contains(peer)),
        }
    }
}

/// Nobody, many at once, or a form that no datagram has.
fn is_nowhere(peer: IpAddr) -> bool {
    match peer {
        IpAddr::V4(peer) => peer.octets()[0] == 0 || peer.is_multicast() || peer.is_broadcast(),
        IpAddr::V6(peer) => {
            let is_mapped = peer.to_ipv4_mapped().is_some();
            is_mapped || peer.segments()[..6] == [0; 6] || peer.is_multicast()
        }
    }
}

fn is_private(peer: IpAddr) -> bool {
    match peer {
        IpAddr::V4(peer) => is_private_v4(peer),
        IpAddr::V6(peer) => {
            let first = peer.segments()[0];
            // fc00::/7, fe80::/10, fec0::/10, and 100::/16, of which 100::/64 leads nowhere (RFC 6666).
            first & 0xfe00 == 0xfc00 || first & 0xff80 == 0xfe80 || first == 0x0100
        }
    }
}

fn is_private_v4(peer: Ipv4Addr) -> bool {
    let [a, b, c, _] = peer.octets();
    // 192.0.0.0/24 (RFC 6890) and 240.0.0.0/4 are of protocols and of nobody.
    peer.is_private() || peer.is_link_local() || (a == 100 && b & 0xc0 == 64) || [a, b, c] == [192, 0, 0] || a >= 240
}

/// The IPv4 address behind an IPv6 one: 6to4 (RFC 3056), Teredo (RFC 4380), NAT64 (RFC 6052, RFC 8215).
fn hidden(peer: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(peer) = peer else { return None };
    let pair = |high: u16, low: u16| Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low));
    match peer.segments() {
        [0x2002, high, low, ..] => Some(pair(high, low)),
        [0x2001, 0, .., high, low] => Some(pair(!high, !low)),
        [0x64, 0xff9b, 0 | 1, .., high, low] => Some(pair(high, low)),
        _ => None,
    }
}

/// The family's unspecified address.
pub(super) const fn unspecified(is_v4: bool) -> IpAddr {
    if is_v4 { IpAddr::V4(Ipv4Addr::UNSPECIFIED) } else { IpAddr::V6(Ipv6Addr::UNSPECIFIED) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(policy: &PeerPolicy, peers: &[&str]) -> Vec<String> {
        let allows = |peer: &&&str| policy.allows(peer.parse().unwrap(), false);
        peers.iter().filter(allows).map(|peer| (*peer).to_owned()).collect()
    }

    const NOWHERE: &[&str] = &[
        "0.0.0.0",
        "0.1.2.3",
        "127.0.0.1",
        "127.255.255.255",
        "224.0.0.1",
        "239.1.1.1",
        "255.255.255.255",
        "::",
        "::1",
        "ff02::1",
        "::ffff:198.18.0.1",
        "::ffff:127.0.0.1",
        "::198.18.0.1",
        "::127.0.0.1",
        "2002:7f00:1::1",
        "64:ff9b::7f00:1",
        "64:ff9b::",
        "2001:0:1:2:3:4:80ff:fffe",
    ];
    const PRIVATE: &[&str] = &[
        "10.0.0.1",
        "10.255.255.255",
        "172.16.0.1",
        "172.31.255.255",
        "192.168.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "169.254.1.1",
        "192.0.0.8",
        "240.0.0.1",
        "fc00::1",
        "fdff::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "100::1",
        "2002:a00:1::1",
        "64:ff9b::a00:1",
        "64:ff9b:1::c0a8:1",
        "2001:0:1:2:3:4:f5ff:fffe",
    ];
    const PUBLIC: &[&str] = &[
        "1.1.1.1",
        "100.63.255.255",
        "100.128.0.0",
        "172.15.0.1",
        "172.32.0.1",
        "192.169.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "203.0.113.1",
        "2001:db8::1",
        "2a00::1",
        "2002:c612:1::1",
        "64:ff9b::c612:1",
        "2001:0:1:2:3:4:39ed:fffe",
    ];

    #[test]
    fn by_default_public_addresses_are_reached_and_no_others() {
        let policy = PeerPolicy::default();
        assert_eq!(allowed(&policy, PUBLIC), PUBLIC);
        assert_eq!(allowed(&policy, PRIVATE), [""; 0]);
        assert_eq!(allowed(&policy, NOWHERE), [""; 0]);
    }

    #[test]
    fn a_policy_for_all_still_reaches_neither_loopback_nor_many_at_once() {
        assert_eq!(allowed(&PeerPolicy::Any, PUBLIC), PUBLIC);
        assert_eq!(allowed(&PeerPolicy::Any, PRIVATE), PRIVATE);
        assert_eq!(allowed(&PeerPolicy::Any, NOWHERE), [""; 0]);
        assert!(PeerPolicy::Any.allows("127.0.0.1".parse().unwrap(), true));
        assert!(!PeerPolicy::Any.allows("2002:7f00:1::1".parse().unwrap(), true));
    }

    #[test]
    fn a_list_is_all_that_is_reached() {
        let list = ["10.1.0.0/16", "fd00::/8", "127.0.0.0/8"].map(|range| range.parse().unwrap());
        let peers = ["10.1.2.3", "10.2.0.1", "1.1.1.1", "fd12::1", "fc12::1", "127.0.0.1", "64:ff9b::a01:203"];
        let reached = ["10.1.2.3", "fd12::1", "64:ff9b::a01:203"];
        assert_eq!(allowed(&PeerPolicy::AllowList(list.to_vec()), &peers), reached);
        for wrong in ["10.0.0.0", "10.0.0.0/33", "x/8", "::/129", "10.0.0.0/-1"] {
            assert_eq!(wrong.parse::<Prefix>(), Err(NotAPrefix), "{wrong}");
        }
    }
}
