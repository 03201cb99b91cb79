//! Calls on what lies between hosts: gateways, links, names.

use std::fmt;
use std::time::Duration;

use super::{HostId, Target, World};
use crate::machine::Machine;
use crate::machine::port::Addrs;
use crate::sim::kind::{Gateway, NatKind};
use crate::sim::link::Link;
use crate::sim::stream::Streams;
use crate::sim::timeline::NodeId;
use crate::sim::topology::{INTERNET, NetId};

/// A gateway of a [`World`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GatewayId {
    pub(super) node: NodeId,
    inside: NetId,
}

impl GatewayId {
    /// The network behind it.
    pub const fn inside(self) -> NetId {
        self.inside
    }
}

impl From<GatewayId> for NodeId {
    fn from(gateway: GatewayId) -> Self {
        gateway.node
    }
}

impl fmt::Display for GatewayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gateway {}", self.node.0)
    }
}

impl<M: Machine> World<M> {
    /// Adds a gateway whose outside is in that network, and a network behind it.
    pub fn gateway(&mut self, outside: NetId, name: &str, gateway: Gateway) -> GatewayId {
        let (node, inside) = self.network.add_gateway(outside, gateway);
        self.hosts.push(None);
        self.names.push(name.to_owned());
        GatewayId { node, inside }
    }

    /// Adds the gateways that make a network of that kind, if it has any; the innermost, behind which hosts of that
    /// kind are. Where it is nested the others are named `NAME-outer`.
    pub fn gateways(&mut self, outside: NetId, name: &str, kind: NatKind) -> Option<GatewayId> {
        let gateways = kind.gateways();
        let (innermost, outer) = gateways.split_last()?;
        let outside = outer
            .iter()
            .fold(outside, |outside, gateway| self.gateway(outside, &format!("{name}-outer"), *gateway).inside);
        Some(self.gateway(outside, name, *innermost))
    }

    /// Adds a network of that kind to the Internet; hosts go into it by [`Self::host_in`]. Of kind `none` it is the
    /// Internet itself.
    pub fn behind(&mut self, name: &str, kind: NatKind) -> NetId {
        self.gateways(INTERNET, name, kind).map_or(INTERNET, GatewayId::inside)
    }

    /// How many mappings the NAT of a gateway has now.
    pub fn mappings(&mut self, gateway: GatewayId) -> usize {
        self.network.mappings(self.now, gateway.node)
    }

    /// What lies between a host or gateway and the network that it is attached to; nothing by default.
    pub fn link(&mut self, node: impl Into<NodeId>, link: Link) {
        self.network.set_link(node.into(), link);
    }

    /// How the streams of a host behave that are opened from now on.
    pub fn streams(&mut self, host: HostId, settings: Streams) {
        self.state_mut(host).pump.sockets().set_streams(settings);
    }

    /// How long a packet takes between two neighbours in one network, one way, both ways. It may differ from the
    /// default of 1 µs also from a host to itself.
    pub fn delay(&mut self, a: impl Into<NodeId>, b: impl Into<NodeId>, delay: Duration) {
        self.network.set_delay(a.into(), b.into(), delay);
    }

    /// How long a packet takes between neighbours on the Internet for which nothing else was said; 10 ms by default.
    pub const fn default_delay(&mut self, delay: Duration) {
        self.network.set_default_delay(delay);
    }

    /// How many bytes a second, headers included, cross between two neighbours in one network, in each direction.
    pub fn rate(&mut self, a: impl Into<NodeId>, b: impl Into<NodeId>, bytes_per_second: u64) {
        self.network.set_rate(a.into(), b.into(), bytes_per_second);
    }

    /// Lets a name stand for hosts or addresses, in the order of preference. Other names are not found; an
    /// address written as a name stands for itself.
    pub fn name<T: Into<Target> + Copy>(&mut self, name: &str, targets: &[T]) {
        let address = |target: &T| match (*target).into() {
            Target::Host(host) => self.address(host),
            Target::Address(address) => address,
        };
        let addresses: Addrs = targets.iter().map(address).collect();
        self.network.names.set(name, addresses);
    }

    /// From now on the name is not found.
    pub fn name_fails(&mut self, name: &str) {
        self.network.names.forget(name);
    }

    /// From now on look-ups of the name are not answered, and fail after 10 s.
    pub fn name_is_silent(&mut self, name: &str) {
        self.network.names.silence(name);
    }

    /// How long a host goes on believing an answer; by default it asks each time.
    pub fn name_lives(&mut self, name: &str, life: Duration) {
        self.network.names.set_life(name, life);
    }

    /// How long a look-up takes; 5 ms by default.
    pub const fn resolver_delay(&mut self, delay: Duration) {
        self.network.names.set_delay(delay);
    }
}
