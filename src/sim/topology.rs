//! Who is where: the networks of a world, their addresses, and the way from one to another.
//!
//! Networks form a tree. Its root is the Internet; every other network lies behind the gateway that made it. A member
//! of a network gets the next address there of each family and never loses it to somebody else, so that an address
//! leads to its owner by a subtraction.
//!
//! | network | IPv4 | IPv6 |
//! | --- | --- | --- |
//! | the Internet | 198.18.0.0/15 (RFC 2544) | 2001:db8::/48 (RFC 3849) |
//! | behind the gateway that was made n-th | 10.0.0.0/8, 1,022 addresses from n × 1,024 on | 2001:db8:n::/48 |
//!
//! IPv6 is routed, not translated: a packet goes down to the network that its prefix names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::timeline::NodeId;

/// A network of a world: [`INTERNET`], or what lies behind a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NetId(pub(super) u32);

/// The root of all networks.
pub const INTERNET: NetId = NetId(0);

const INTERNET_V4: u32 = u32::from_be_bytes([198, 18, 0, 0]);
const PRIVATE_V4: u32 = u32::from_be_bytes([10, 0, 0, 0]);
/// Addresses of a private network.
const PRIVATE: u32 = 1024;
/// Addresses of the Internet.
const PUBLIC: u32 = 1 << 17;

#[derive(Debug)]
pub(super) struct Topology {
    nets: Vec<Net>,
    places: Vec<Place>,
}

#[derive(Debug)]
struct Net {
    /// Its way up; none for the Internet.
    gateway: Option<NodeId>,
    members: Vec<Option<NodeId>>,
}

#[derive(Debug, Clone, Copy)]
struct Place {
    net: NetId,
    addresses: [IpAddr; 2],
}

/// Where a packet goes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NextHop {
    /// To that member of the network.
    Member(NodeId),
    /// Up, through the gateway behind which we are.
    Up(NodeId),
}

impl Topology {
    pub(super) fn new() -> Self {
        Self { nets: vec![Net::new(None)], places: Vec::new() }
    }

    /// A new member of that network.
    pub(super) fn join(&mut self, net: NetId) -> NodeId {
        let node = NodeId(self.places.len() as u32);
        let addresses = self.take(net, node);
        self.places.push(Place { net, addresses });
        node
    }

    /// Further addresses of a member in its network.
    pub(super) fn join_again(&mut self, node: NodeId) -> [IpAddr; 2] {
        self.take(self.net(node), node)
    }

    /// Whether that address leads to that node, in the network where it is.
    pub(super) fn owns(&self, node: NodeId, address: IpAddr) -> bool {
        self.member(self.net(node), address) == Some(node)
    }

    /// A network behind that node.
    pub(super) fn open(&mut self, gateway: NodeId) -> NetId {
        self.nets.push(Net::new(Some(gateway)));
        NetId(self.nets.len() as u32 - 1)
    }

    /// That node goes to another network, or to other addresses of the same.
    pub(super) fn leave_for(&mut self, node: NodeId, net: NetId) {
        let Place { net: old, addresses: [v4, _] } = self.places[node.index()];
        if let Some(member) = self.nets[old.0 as usize].member_v4(old, v4) {
            *member = None;
        }
        let addresses = self.take(net, node);
        self.places[node.index()] = Place { net, addresses };
    }

    pub(super) fn addresses(&self, node: NodeId) -> [IpAddr; 2] {
        self.places[node.index()].addresses
    }

    pub(super) fn net(&self, node: NodeId) -> NetId {
        self.places[node.index()].net
    }

    pub(super) fn nodes(&self) -> impl Iterator<Item = NodeId> + use<> {
        (0..self.places.len() as u32).map(NodeId)
    }

    /// Where a packet to that address goes from that network; nowhere is none.
    pub(super) fn next_hop(&self, net: NetId, destination: IpAddr) -> Option<NextHop> {
        let up = self.nets[net.0 as usize].gateway.map(NextHop::Up);
        match destination {
            IpAddr::V4(_) => self.member(net, destination).map(NextHop::Member).or(up),
            IpAddr::V6(address) => {
                let home = NetId(u32::from(address.segments()[2]));
                if home == net {
                    return self.member(net, destination).map(NextHop::Member);
                }
                self.way_down(net, home).map(NextHop::Member).or(up)
            }
        }
    }

    /// The gateway in `net` behind which `home` lies.
    fn way_down(&self, net: NetId, home: NetId) -> Option<NodeId> {
        let mut gateway = self.nets.get(home.0 as usize)?.gateway?;
        while self.net(gateway) != net {
            gateway = self.nets[self.net(gateway).0 as usize].gateway?;
        }
        Some(gateway)
    }

    fn member(&self, net: NetId, address: IpAddr) -> Option<NodeId> {
        let place = number(net, address)?;
        *self.nets[net.0 as usize].members.get(place as usize)?
    }

    fn take(&mut self, net: NetId, node: NodeId) -> [IpAddr; 2] {
        let members = &mut self.nets[net.0 as usize].members;
        members.push(Some(node));
        let number = members.len() as u32 - 1;
        let most = if net == INTERNET { PUBLIC } else { PRIVATE };
        assert!(number < most - 1, "a network of the world has no address left");
        addresses(net, number)
    }
}

impl Net {
    fn new(gateway: Option<NodeId>) -> Self {
        // The address 0 is the network's own; that of its gateway inside is nobody's to reach.
        let reserved = if gateway.is_some() { 2 } else { 1 };
        Self { gateway, members: vec![None; reserved] }
    }

    fn member_v4(&mut self, net: NetId, address: IpAddr) -> Option<&mut Option<NodeId>> {
        self.members.get_mut(number(net, address)? as usize)
    }
}

const fn base(net: NetId) -> u32 {
    if net.0 == INTERNET.0 { INTERNET_V4 } else { PRIVATE_V4 + net.0 * PRIVATE }
}

fn addresses(net: NetId, number: u32) -> [IpAddr; 2] {
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, net.0 as u16, 0, 0, 0, (number >> 16) as u16, number as u16);
    [IpAddr::V4(Ipv4Addr::from(base(net) + number)), IpAddr::V6(v6)]
}

/// Which member of that network an address would be.
fn number(net: NetId, address: IpAddr) -> Option<u32> {
    match address {
        IpAddr::V4(address) => {
            let number = u32::from(address).checked_sub(base(net))?;
            (number < if net == INTERNET { PUBLIC } else { PRIVATE }).then_some(number)
        }
        IpAddr::V6(address) => match address.segments() {
            [0x2001, 0xdb8, home, 0, 0, 0, high, low] if u32::from(home) == net.0 => {
                Some(u32::from(high) << 16 | u32::from(low))
            }
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_goes_up_to_what_is_not_here_and_down_to_what_a_prefix_names() {
        let mut topology = Topology::new();
        let outer = topology.join(INTERNET);
        let carrier = topology.open(outer);
        let inner = topology.join(carrier);
        let home = topology.open(inner);
        let (host, server) = (topology.join(home), topology.join(INTERNET));
        let [v4, v6] = topology.addresses(host);
        assert_eq!(topology.next_hop(INTERNET, v6), Some(NextHop::Member(outer)));
        assert_eq!(topology.next_hop(carrier, v6), Some(NextHop::Member(inner)));
        assert_eq!(topology.next_hop(home, v6), Some(NextHop::Member(host)));
        assert_eq!(topology.next_hop(home, v4), Some(NextHop::Member(host)));
        assert_eq!(topology.next_hop(INTERNET, v4), None);
        for address in topology.addresses(server) {
            assert_eq!(topology.next_hop(home, address), Some(NextHop::Up(inner)));
            assert_eq!(topology.next_hop(INTERNET, address), Some(NextHop::Member(server)));
        }
    }

    #[test]
    fn an_address_that_was_left_is_nobodys() {
        let mut topology = Topology::new();
        let host = topology.join(INTERNET);
        let old = topology.addresses(host);
        topology.leave_for(host, INTERNET);
        assert_ne!(topology.addresses(host), old);
        for address in old {
            assert_eq!(topology.next_hop(INTERNET, address), None);
        }
    }
}
