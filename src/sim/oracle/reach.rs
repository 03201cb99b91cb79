//! Whether two hosts have a direct path in one family: the rules of the [parent](super), repeated until nothing new
//! is learnt.

use std::collections::BTreeSet;

use super::{Depends, Gateway, sends_udp};

/// An end of packets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Address {
    /// The STUN server's.
    Server,
    /// Of that side, as it is towards somebody.
    Of(usize, Towards),
}

/// What a mapping is for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Towards {
    Anyone,
    /// Every port there: of that side, or of the server.
    Whole(Option<usize>),
    One(Box<Address>),
}

impl Address {
    /// Rule 1: as what of it a mapping by `depends` counts it.
    fn by(&self, depends: Depends) -> Towards {
        match (depends, self) {
            (Depends::Nothing, _) => Towards::Anyone,
            (Depends::Address, Self::Server) => Towards::Whole(None),
            (Depends::Address, Self::Of(side, _)) => Towards::Whole(Some(*side)),
            (Depends::AddressAndPort, _) => Towards::One(Box::new(self.clone())),
        }
    }
}

impl Towards {
    /// Whether the mapping inside of this one, by at most as much, also serves `destination`.
    fn covers(&self, depends: Depends, destination: &Address) -> bool {
        match self {
            Self::One(address) => address.by(depends) == destination.by(depends),
            Self::Whole(_) if depends == Depends::Address => *self == destination.by(depends),
            Self::Whole(_) | Self::Anyone => true,
        }
    }
}

/// Whether there is a direct path between hosts behind those gateways, the first `shared` of which are the same.
/// `asks`: which of the two have a server that tells them their address, if their packets get there.
pub(super) fn is_direct(chains: [&[Gateway]; 2], asks: [bool; 2], shared: usize) -> bool {
    let asks = [0, 1].map(|side| asks[side] && sends_udp(chains[side]));
    let shared = shared.min(chains[0].len()).min(chains[1].len());
    let inner = chains.map(|chain| &chain[shared..]);
    let Some(top) = chains[0][..shared].iter().position(|gateway| gateway.nat.is_some()) else {
        return meet(inner, asks);
    };
    let hairpins = chains[0][top].nat.is_some_and(|nat| nat.hairpins);
    meet(inner, [false; 2]) || (hairpins && meet(chains.map(|chain| &chain[top..]), asks))
}

/// Whether hosts behind those gateways, all of which are between them, find a pair of addresses.
fn meet(chains: [&[Gateway]; 2], asks: [bool; 2]) -> bool {
    let (mut a, mut b) = (Side::new(0, chains[0], asks[0]), Side::new(1, chains[1], asks[1]));
    let never = a.mapping == Depends::AddressAndPort && b.mapping == Depends::AddressAndPort;
    if never || !chains.into_iter().all(sends_udp) {
        return false;
    }
    a.knows.extend(b.first_address());
    b.knows.extend(a.first_address());
    while a.learns_from(&b) | b.learns_from(&a) {}
    a.knows.iter().any(|q| {
        let p = a.towards(q);
        b.knows.contains(&p) && b.towards(&p) == *q
    })
}

/// One side: what stands before it, and what it knows of the other.
struct Side {
    index: usize,
    mapping: Depends,
    filters: Vec<Filter>,
    is_translated: bool,
    asks: bool,
    knows: BTreeSet<Address>,
}

/// A filter, and by what the mapping is made that it belongs to.
struct Filter {
    mapping: Depends,
    filtering: Depends,
}

impl Side {
    fn new(index: usize, chain: &[Gateway], asks: bool) -> Self {
        let (mut mapping, mut filters) = (Depends::Nothing, Vec::new());
        for gateway in chain.iter().rev() {
            filters.extend(gateway.guard.map(|filtering| Filter { mapping, filtering }));
            if let Some(nat) = gateway.nat {
                mapping = mapping.max(nat.mapping);
                filters.push(Filter { mapping, filtering: nat.filtering });
            }
        }
        let is_translated = chain.iter().any(|gateway| gateway.nat.is_some());
        Self { index, mapping, filters, is_translated, asks, knows: BTreeSet::new() }
    }

    /// Rule 1.
    fn towards(&self, destination: &Address) -> Address {
        Address::Of(self.index, destination.by(self.mapping))
    }

    /// Rule 2.
    fn first_address(&self) -> Option<Address> {
        (self.asks || !self.is_translated).then(|| self.towards(&Address::Server))
    }

    /// Rules 3 and 4, for a packet to an address of this side.
    fn lets_in(&self, from: &Address, to: &Address) -> bool {
        let Address::Of(_, towards) = to else { return false };
        let mut asked = self.filters.iter().filter(|filter| filter.filtering != Depends::Nothing);
        asked.all(|Filter { mapping, filtering }| {
            let counts = |sent: &Address| towards.covers(*mapping, sent) && sent.by(*filtering) == from.by(*filtering);
            self.knows.iter().any(counts)
        })
    }

    /// Rule 5, for all that the other sends; whether anything was new.
    fn learns_from(&mut self, other: &Self) -> bool {
        let sent = other.knows.iter().map(|to| (other.towards(to), to));
        let learnt: Vec<_> = sent.filter(|(from, to)| self.lets_in(from, to)).map(|(from, _)| from).collect();
        let before = self.knows.len();
        self.knows.extend(learnt);
        self.knows.len() > before
    }
}
