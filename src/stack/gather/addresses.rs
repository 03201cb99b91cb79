//! Which of the host's addresses are of use to others.

use std::net::IpAddr;

/// The addresses to open sockets on, at most `most`: loopback ones where `loopback` says so or there is no other.
pub(super) fn usable(list: &[IpAddr], loopback: bool, most: usize) -> Vec<IpAddr> {
    let mut usable: Vec<_> = list.iter().copied().filter(is_usable).collect();
    usable.sort_unstable();
    usable.dedup();
    if !loopback && usable.iter().any(|ip| !ip.is_loopback()) {
        usable.retain(|ip| !ip.is_loopback());
    }
    usable.truncate(most);
    usable
}

/// Link-local addresses are left out: an IPv6 one needs a zone, which candidates can't say, and an IPv4 one is of a host
/// that found no network.
fn is_usable(ip: &IpAddr) -> bool {
    if ip.is_unspecified() || ip.is_multicast() {
        return false;
    }
    match ip {
        IpAddr::V4(ip) => !ip.is_link_local() && !ip.is_broadcast(),
        IpAddr::V6(ip) => !ip.is_unicast_link_local() && ip.to_ipv4_mapped().is_none(),
    }
}

/// Whether something at that address can talk to something at the other.
pub(super) fn can_reach(from: IpAddr, to: IpAddr) -> bool {
    from.is_ipv4() == to.is_ipv4() && (from.is_loopback() == to.is_loopback() || !to.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(list: &[&str]) -> Vec<IpAddr> {
        list.iter().map(|ip| ip.parse().unwrap()).collect()
    }

    #[test]
    fn addresses_that_nobody_else_can_use_are_left_out() {
        let list =
            ips(&["127.0.0.1", "::1", "169.254.1.1", "fe80::1", "0.0.0.0", "224.0.0.1", "192.0.2.1", "2001:db8::1"]);
        assert_eq!(usable(&list, false, 16), ips(&["192.0.2.1", "2001:db8::1"]));
        assert_eq!(usable(&list, true, 16), ips(&["127.0.0.1", "192.0.2.1", "::1", "2001:db8::1"]));
    }

    #[test]
    fn loopback_is_used_where_there_is_nothing_else() {
        assert_eq!(usable(&ips(&["127.0.0.1", "fe80::1"]), false, 16), ips(&["127.0.0.1"]));
    }

    #[test]
    fn there_are_never_more_than_the_bound() {
        let list: Vec<IpAddr> = (0..100).map(|i| IpAddr::from([10, 0, 0, i])).collect();
        assert_eq!(usable(&list, false, 16).len(), 16);
    }
}
