//! STUN and TURN servers: handed out by relays, asked for by endpoints.
//!
//! A relay that serves them hands a neighbour credentials of its own, on request, at most once a minute and link; the
//! hub knows of no TURN server and asks its owner by [`ServersFor`]. An endpoint that has use for servers asks each of
//! its relays once the link is proved, and again when three quarters of the shortest lifetime are over. Only a relay
//! that was asked is heard. What it gave is kept by its id until it gives more, also while the link is down, since
//! credentials do not end with it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::core::Core;
use crate::machine::ids::LinkId;
use crate::machine::time::Instant;
use crate::machine::timers::DeadlineHeap;
use crate::machine::{Cx, Deadline};
use crate::wire::frame::Frame;
use crate::wire::identity::EndpointId;
use crate::wire::servers::{self, GrantedServer};

/// A neighbour that asks again within that time is not answered.
const PAUSE: Duration = Duration::from_secs(60);
/// Relays whose servers are kept; of more, those are forgotten that expire first.
const RELAYS: usize = 16;

type Grant = dyn Fn(&EndpointId, Duration) -> Vec<GrantedServer> + Send + Sync;

/// What a relay hands out: for whom, and at what time since the Unix epoch.
#[derive(Clone)]
pub struct ServersFor(Arc<Grant>);

impl ServersFor {
    /// By a function that is called for each request.
    pub fn new(grant: impl Fn(&EndpointId, Duration) -> Vec<GrantedServer> + Send + Sync + 'static) -> Self {
        Self(Arc::new(grant))
    }
}

impl fmt::Debug for ServersFor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ServersFor(..)")
    }
}

/// What a relay has given us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayServers {
    /// The servers.
    pub servers: Vec<GrantedServer>,
    /// When the first of their credentials expires; none: never.
    pub expires: Option<Instant>,
}

/// What a hub hands out, and what it was given.
#[derive(Debug)]
pub(super) struct Servers {
    wanted: bool,
    grant: Option<ServersFor>,
    /// When which neighbour was answered last.
    answered: BTreeMap<LinkId, Instant>,
    /// Relays that were asked and have not answered.
    asked: Vec<LinkId>,
    renewals: DeadlineHeap<LinkId>,
    given: BTreeMap<EndpointId, RelayServers>,
}

impl Servers {
    pub(super) fn new(grant: Option<ServersFor>, wanted: bool) -> Self {
        Self {
            wanted,
            grant,
            answered: BTreeMap::new(),
            asked: Vec::new(),
            renewals: DeadlineHeap::default(),
            given: BTreeMap::new(),
        }
    }

    pub(super) fn given(&self) -> impl Iterator<Item = (EndpointId, &RelayServers)> {
        self.given.iter().map(|(relay, servers)| (*relay, servers))
    }

    pub(super) fn deadline(&mut self) -> Option<Deadline> {
        self.renewals.earliest()
    }

    /// The link is gone.
    pub(super) fn forget(&mut self, link: LinkId) {
        self.answered.remove(&link);
        self.asked.retain(|asked| *asked != link);
        self.renewals.set(link, None);
    }

    fn keep(&mut self, relay: EndpointId, servers: RelayServers) {
        self.given.insert(relay, servers);
        if self.given.len() > RELAYS
            && let Some((first, _)) =
                self.given.iter().min_by_key(|(_, it)| it.expires.map_or(u64::MAX, Instant::as_nanos))
        {
            let first = *first;
            self.given.remove(&first);
        }
    }
}

impl Core {
    /// Asks a relay for servers, if we have use for them.
    pub(super) fn ask_for_servers(&mut self, id: LinkId) {
        if self.servers.wanted && self.relays().contains(&id) && !self.servers.asked.contains(&id) {
            self.servers.asked.push(id);
            self.push(id, &Frame::WantServers);
        }
    }

    /// A neighbour wants servers.
    pub(super) fn on_want_servers(&mut self, cx: &Cx<'_>, id: LinkId) {
        let Some(neighbour) = self.links.get(id).and_then(|link| link.address()) else { return };
        if self.servers.answered.get(&id).is_some_and(|last| *last + PAUSE > cx.now) {
            self.statistics.dropped_frames += 1;
            return;
        }
        self.servers.answered.insert(id, cx.now);
        let grant = self.servers.grant.as_ref();
        let granted = grant.map(|grant| (grant.0)(&neighbour.id, cx.unix)).unwrap_or_default();
        self.push(id, &Frame::Servers(&servers::encode(&granted)));
    }

    /// A relay has given servers.
    pub(super) fn on_servers(&mut self, now: Instant, id: LinkId, list: &[u8]) {
        let relay = self.links.get(id).and_then(|link| link.address());
        let place = self.servers.asked.iter().position(|asked| *asked == id);
        let (Some(relay), Some(place), Ok(servers)) = (relay, place, servers::decode(list)) else {
            self.statistics.dropped_frames += 1;
            return;
        };
        self.servers.asked.swap_remove(place);
        let lifetimes = servers.iter().map(|server| server.lifetime).filter(|lifetime| *lifetime > 0);
        let shortest = lifetimes.min().map(|seconds| Duration::from_secs(seconds.into()));
        let renewal = shortest.map(|shortest| now + (shortest / 4 * 3).max(PAUSE + Duration::from_secs(1)));
        self.servers.renewals.set(id, renewal.map(|at| Deadline::new(at, "servers of a relay")));
        self.servers.keep(relay.id, RelayServers { servers, expires: shortest.map(|shortest| now + shortest) });
        self.servers_changed(relay.id);
    }

    /// A relay has given servers, read by [`Servers::given`].
    fn servers_changed(&mut self, relay: EndpointId) {
        self.event(super::Event::Servers { relay });
        self.servers_for_upgrade(relay);
    }

    /// There is use for servers from now on.
    pub(super) fn want_servers(&mut self) {
        self.servers.wanted = true;
        for relay in self.relays() {
            self.ask_for_servers(relay);
        }
    }

    pub(super) fn on_servers_timeout(&mut self, now: Instant) {
        while let Some(link) = self.servers.renewals.take_due(now) {
            self.ask_for_servers(link);
        }
    }
}
