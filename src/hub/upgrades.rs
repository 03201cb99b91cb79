//! Direct paths: when a session tries to get one, and what becomes of that.
//!
//! A hub may have an [upgrade](crate::transport::upgrade). Then the initiator of each session between applications
//! offers a direct path as soon as the session stands, which it does once the application at the other end has
//! accepted it: before that no address of either side leaves through it. What the two peers have to tell each other
//! goes over the session's own channel, sealed. Whoever answers builds a peer for the first offer of an attempt, or
//! refuses by a code: it has no upgrade, the session shall be relayed, there are too many.
//!
//! *Attempts* are numbered by the side that begins them; in the low byte of the number is the path that the attempt may
//! become, above it a count. A session has one at a time. If both sides begin one, both keep the initiator's; what is
//! late names an attempt of the past and changes nothing.
//!
//! *Links.* A peer that is up has two links that are private to the session (`links.rs`); they make one path of two
//! lanes. It is used once it answers, and whatever is on the way on another path arrives there.
//!
//! *Failure.* The initiator tries again, with pauses that double from [`Limits::attempt_pause`], and at once when
//! something has changed: other addresses, other servers, a `Restart` by which the other side asks for it. Either side
//! counts at most [`Limits::attempts`] a minute and refuses more.
//!
//! *Replacement.* A direct path that makes no progress is not used (the session sees to that), and if it is still
//! suspect [`Limits::replace_after`] later, either side gives it up for a new attempt, as long as another path can carry
//! the signals. After a sleep all paths are suspect at once; each has that time to answer before anything is built.
//!
//! The core decides all that, and lists *orders* for the upgrade, which the hub carries out (`peers.rs`): the upgrade
//! calls back into the core, so it is never called from there.
//!
//! [`Limits::attempt_pause`]: crate::machine::limits::Limits::attempt_pause
//! [`Limits::attempts`]: crate::machine::limits::Limits::attempts
//! [`Limits::replace_after`]: crate::machine::limits::Limits::replace_after

mod attempts;
mod direct;
mod heard;
mod links;
mod news;
mod peers;
mod signals;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use zeroize::Zeroizing;

use direct::Next;
pub(super) use direct::{Attempt, Direct};
pub(super) use links::Private;

use super::{SessionId, TransportId};
use crate::machine::ids::{LinkId, Table};
use crate::transport::upgrade::PeerId;
use crate::wire::ice_server::IceUri;
use crate::wire::identity::EndpointId;
use crate::wire::outlook::Outlook;

/// Of so many it is remembered which servers they gave.
const GIVERS: usize = 32;

/// What the core has to do with the upgrade.
#[derive(Default)]
pub(super) struct Upgrades {
    pub(super) transport: Option<TransportId>,
    /// It is being removed.
    leaving: bool,
    pub(super) outlook: Outlook,
    /// How often the upgrade's network has changed.
    moves: u64,
    /// The upgrade's own number for the two, when they were asked for last.
    revision: Option<u64>,
    /// What the upgrade shall do. Bounded by what comes in one call, for it is emptied after each.
    orders: VecDeque<Order>,
    peers: Table<PeerId, (SessionId, u32)>,
    by_attempt: BTreeMap<(SessionId, u32), PeerId>,
    links: Table<LinkId, Private>,
    /// The servers that were given last, by who gave them; at most [`GIVERS`], for nothing but comparison.
    servers: BTreeMap<u64, Vec<IceUri>>,
    /// Sessions that have a direct path, or try to get one.
    sessions: BTreeSet<SessionId>,
}

/// What the upgrade shall do for an attempt.
enum Order {
    Open {
        session: SessionId,
        number: u32,
        offers: bool,
    },
    Signal {
        session: SessionId,
        number: u32,
        bytes: Zeroizing<Vec<u8>>,
    },
    Close {
        session: SessionId,
        number: u32,
        ending: Option<(u8, &'static str)>,
    },
    /// This relay has given servers.
    Servers {
        relay: EndpointId,
    },
}

impl Upgrades {
    /// Whether there is one, and it is not being removed.
    pub(super) const fn is_here(&self) -> bool {
        self.transport.is_some() && !self.leaving
    }

    pub(super) fn peer(&self, session: SessionId, number: u32) -> Option<PeerId> {
        self.by_attempt.get(&(session, number)).copied()
    }

    fn forget(&mut self, peer: PeerId) -> Option<(SessionId, u32)> {
        let attempt = self.peers.remove(peer)?;
        self.by_attempt.remove(&attempt);
        Some(attempt)
    }

    /// Whether these servers are others than those that were given last.
    fn knows_no(&mut self, from: u64, uris: Vec<IceUri>) -> bool {
        if self.servers.get(&from) == Some(&uris) {
            return false;
        }
        if self.servers.len() >= GIVERS {
            self.servers.clear();
        }
        let some = !uris.is_empty();
        self.servers.insert(from, uris);
        some
    }

    /// Whether it has something to do at once.
    pub(super) fn has_orders(&self) -> bool {
        !self.orders.is_empty()
    }
}
