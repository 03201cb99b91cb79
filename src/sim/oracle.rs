//! What two hosts can reach of each other, said from the RFCs' rules alone.
//!
//! The oracle imports nothing of the simulator: it has words of its own for what stands before a host ([`Gateway`]),
//! and no packet, port number, clock or table. What the simulator does in packets must come out as is said here.
//!
//! ```
//! use switchboard::sim::{Gateway, NatKind};
//! use switchboard::sim::oracle::{Host, Turn, Verdict};
//!
//! let host = |kind: &str| {
//!     let gateways = kind.parse::<NatKind>().unwrap().gateways();
//!     Host { v4: Some(gateways.into_iter().map(Gateway::v4).collect()), stun: true, ..Host::default() }
//! };
//! assert_eq!(Verdict::of(&host("eim-adf"), &host("apdm-apdf"), 0), Verdict::Direct);
//! assert_eq!(Verdict::of(&host("eim-apdf"), &host("apdm-apdf"), 0), Verdict::Impossible);
//! let with_turn = |kind| Host { turn: Turn::ALL, ..host(kind) };
//! assert_eq!(Verdict::of(&with_turn("eim-apdf"), &with_turn("apdm-apdf"), 0), Verdict::Relayed);
//! ```
//!
//! # The rules
//!
//! *Direct* is a pair of addresses, *p* of one host and *q* of the other, between which packets go both ways: it is
//! what a connectivity check of ICE needs, since an answer counts only if it comes from where the check was sent to
//! (RFC 8445, section 7.2.5.2.1). Two one-way paths between other addresses are no path.
//!
//! 1. *What an address is* (RFC 4787, section 4.1). Behind NATs a host has no address by itself, only one *towards* a
//!    destination: towards anyone where mapping is endpoint-independent, towards one address, or towards one address
//!    and port. A chain of NATs maps by the most of what its members map by. So an address is written down as whose
//!    it is and towards whom, which is all of a port number that matters.
//! 2. *What is known at first.* With STUN each side tells the other the address that it has towards the server. A
//!    host before which nothing translates has one address, and knows it without.
//! 3. *What is sent.* Each side sends to every address of the other that it knows, and did send to the server. It
//!    also sends to what leads nowhere, such as addresses inside of the other's NAT: so it has always sent something,
//!    and a filter that depends on nothing is open.
//! 4. *What comes in* (RFC 4787, section 5). A packet for an address passes a gateway if the gateway's filter finds
//!    its sender among those whom the host has sent to *through the mapping that the address belongs to*. A NAT
//!    deeper inside, which maps by less, may lead several outer addresses to one mapping of its own, and that has
//!    the contacts of all of them. A firewall translates nothing: it is a filter with one mapping for each host.
//! 5. *What is learnt.* Whoever gets a packet knows where it came from (the peer-reflexive candidate of RFC 8445,
//!    section 7.3.1.3), and rule 3 applies to that address too.
//!
//! Rules 3 to 5 are repeated until nothing new is learnt. They only ever add, so order and timing do not matter, as
//! long as checks are repeated and mappings live. The path is direct if then one side knows *q*, the other knows *p*,
//! and *p* is what the first has towards *q*, *q* what the second has towards *p*: once each has sent to the other,
//! all filters let both in.
//!
//! If both sides map by address and port there is no such pair: *p* would be made by the first packet to *q*, and
//! *q* by the first packet to *p*, each before the other. In all other cases a side has at most three addresses and
//! the repetition ends.
//!
//! # What follows for one NAT on each side, with STUN
//!
//! - Mapping endpoint-independent on both sides: direct, whatever the filters.
//! - Endpoint-independent here, any other mapping there: the other side's packets come from its second address, and
//!   it hears nothing before. Direct if the filter here is not by address and port.
//! - By address on both sides, or by address and by address and port: both known addresses lead to mappings towards
//!   the server, which let others in only if the filter there is endpoint-independent. Through such a side the other
//!   becomes known, and the answer comes from an address and port that it has not sent to, so the other must not
//!   filter by address and port. Direct if one filter is endpoint-independent and the other is not by address and
//!   port.
//! - By address and port on both sides: never.
//!
//! # Hosts that share gateways
//!
//! Gateways that both hosts are behind are not between them: packets to an address that is valid inside go straight.
//! Packets to an external address go up to the gateway that has it, and come back only if it hairpins (RFC 4787,
//! REQ-9); all filters from there down see an external sender (REQ-9 a). The two ways share no address, so the path
//! is direct if it is by one of them.
//!
//! # Relays
//!
//! *Relayed* is a path through a TURN server (RFC 8656), which everybody reaches whose firewalls let through UDP or
//! TCP to port 3478, or TLS to port 443, as far as the server offers it. Two hosts that reach it always have a path.
//! If only one does, the other sends UDP to the relayed address and is let in if it has told its external address,
//! since permissions are for addresses (section 9); an address learnt by rule 5 does not help, since ICE pairs it with
//! the address that it was learnt at only (RFC 8445, section 7.3.1.4). An allocation by UDP tells a host its address
//! as STUN would (section 7.2). The server speaks IPv4 and IPv6 and relays between them.

mod reach;

#[cfg(test)]
mod bench;
#[cfg(test)]
pub(super) mod tests;

use std::fmt;

/// What a mapping or a filter depends on, of the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Depends {
    /// Nothing.
    Nothing,
    /// The address.
    Address,
    /// The address and the port.
    AddressAndPort,
}

/// A NAT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Nat {
    /// On what the external address depends.
    pub mapping: Depends,
    /// On what it depends who is let in through a mapping.
    pub filtering: Depends,
    /// Whether it turns packets for its own external address back to the inside.
    pub hairpins: bool,
}

/// What a firewall lets out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Passes {
    /// Everything.
    #[default]
    All,
    /// Everything but UDP.
    NoUdp,
    /// TCP to port 443.
    Tcp443,
}

/// What stands before a host, or before a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Gateway {
    /// Its NAT, if it translates.
    pub nat: Option<Nat>,
    /// What it lets out.
    pub passes: Passes,
    /// Whom its firewall, inside of the NAT, lets in once the host has sent something; none: all.
    pub guard: Option<Depends>,
}

/// How a TURN server can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Turn {
    /// By UDP, port 3478.
    pub udp: bool,
    /// By TCP, port 3478.
    pub tcp: bool,
    /// By TLS, port 443.
    pub tls: bool,
}

impl Turn {
    /// In all three ways.
    pub const ALL: Self = Self { udp: true, tcp: true, tls: true };
}

/// A host, and what stands between it and the internet.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Host {
    /// Its gateways by IPv4, the outermost first; none: it has no IPv4.
    pub v4: Option<Vec<Gateway>>,
    /// Its gateways by IPv6, the outermost first; none: it has no IPv6.
    pub v6: Option<Vec<Gateway>>,
    /// Whether it asks a STUN server, on the internet and at an address of its own, what its addresses are.
    pub stun: bool,
    /// How it may use a TURN server.
    pub turn: Turn,
}

/// What path two hosts can have. Ordered from the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// From one to the other by UDP.
    Direct,
    /// Through a TURN server.
    Relayed,
    /// None.
    Impossible,
}

impl Verdict {
    /// What the rules say of two hosts that have the `shared` outermost gateways in common, in each family as far as
    /// it has so many: 0 for hosts in different places, as many as each has for hosts of one network.
    pub fn of(a: &Host, b: &Host, shared: usize) -> Self {
        let is_direct = |a: &Option<Vec<_>>, b: &Option<Vec<_>>, knows| match (a, b) {
            (Some(a), Some(b)) => reach::is_direct([a, b], knows, shared),
            _ => false,
        };
        let knows = [a, b].map(Host::asks);
        if is_direct(&a.v4, &b.v4, knows) || is_direct(&a.v6, &b.v6, knows) {
            Self::Direct
        } else if is_relayed(a, b) || is_relayed(b, a) {
            Self::Relayed
        } else {
            Self::Impossible
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Direct => "direct",
            Self::Relayed => "relayed",
            Self::Impossible => "impossible",
        })
    }
}

/// Whether the first can allocate a relayed address to which the second gets through.
fn is_relayed(a: &Host, b: &Host) -> bool {
    a.reaches_turn() && (b.reaches_turn() || b.chains().any(|chain| sends_udp(chain) && b.tells(chain)))
}

impl Host {
    fn chains(&self) -> impl Iterator<Item = &[Gateway]> {
        [&self.v4, &self.v6].into_iter().filter_map(Option::as_deref)
    }

    /// Whether some server tells it what its addresses are.
    const fn asks(&self) -> bool {
        self.stun || self.turn.udp
    }

    /// Whether it can tell the other by which address its packets come.
    fn tells(&self, chain: &[Gateway]) -> bool {
        self.asks() || chain.iter().all(|gateway| gateway.nat.is_none())
    }

    fn reaches_turn(&self) -> bool {
        let Turn { udp, tcp, tls } = self.turn;
        self.chains().any(|chain| {
            let all = |passes: fn(Passes) -> bool| chain.iter().all(|gateway| passes(gateway.passes));
            tls || (udp && sends_udp(chain)) || (tcp && all(|passes| passes != Passes::Tcp443))
        })
    }
}

fn sends_udp(chain: &[Gateway]) -> bool {
    chain.iter().all(|gateway| gateway.passes == Passes::All)
}
