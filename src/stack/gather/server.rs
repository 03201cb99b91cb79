//! The servers: who gave them, where they are, and how they fare.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use smallvec::SmallVec;

use super::host::Host;
use super::relay::Relay;
#[cfg(feature = "tls")]
use crate::link::tls::TlsError;
use crate::link::turn::TurnError;
use crate::machine::Cx;
use crate::machine::ids::PortId;
use crate::machine::port::{Addrs, PortChange, PortError, PortRequest};
use crate::wire::ice_server::{IceScheme, IceServer, IceUri, MOST_SERVERS};

/// Addresses of a name that are looked at.
const MOST_ADDRESSES: usize = 8;

/// How a server fares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ServerState {
    /// It was not asked yet, or has not answered yet.
    Pending,
    /// It answered: STUN told our address, TURN relays.
    Works,
    /// It is of no use.
    Failed(ServerError),
}

/// Why a server is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServerError {
    /// Its name could not be looked up.
    #[error("its name could not be looked up: {0}")]
    Resolve(PortError),
    /// It has no address that an address of ours could reach.
    #[error("it has no address of a family that this host has")]
    NoFamily,
    /// It does not answer.
    #[error("it does not answer")]
    Silent,
    /// It lends no address.
    #[error(transparent)]
    Turn(#[from] TurnError),
    /// No connection to it could be opened, or it broke.
    #[error("no connection: {0}")]
    Connection(PortError),
    /// It ended the connection.
    #[error("it ended the connection")]
    Closed,
    /// What it sends is not TURN.
    #[error("what it sends is not TURN")]
    NotTurn,
    /// There is no TLS here: not compiled in, or nobody is trusted.
    #[error("there is no TLS here")]
    NoTls,
    /// TLS failed.
    #[cfg(feature = "tls")]
    #[error("TLS: {0}")]
    Tls(#[from] TlsError),
}

/// Who gave a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Giver {
    Config,
    Other(u64),
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) given: IceServer,
    givers: SmallVec<[Giver; 1]>,
    lookup: Option<PortId>,
    addresses: Option<Result<Addrs, PortError>>,
}

impl Server {
    fn new(given: IceServer, giver: Giver) -> Self {
        let addresses = given.uri.host.parse::<IpAddr>().ok().map(|ip| Ok(Addrs::from_slice(&[ip])));
        Self { given, givers: SmallVec::from_slice(&[giver]), lookup: None, addresses }
    }

    /// Its address in that family.
    pub(super) fn address(&self, is_ipv4: bool) -> Option<SocketAddr> {
        let addresses = self.addresses.as_ref()?.as_ref().ok()?;
        let ip = addresses.iter().find(|ip| ip.is_ipv4() == is_ipv4)?;
        Some(SocketAddr::new(*ip, self.given.uri.port))
    }

    pub(super) fn is_turn(&self) -> bool {
        self.given.uri.scheme != IceScheme::Stun
    }

    /// All its addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        let addresses = self.addresses.as_ref().and_then(|addresses| addresses.as_ref().ok());
        addresses.into_iter().flatten().map(|ip| SocketAddr::new(*ip, self.given.uri.port))
    }

    pub(super) fn state(&self, hosts: &[Host], relays: &[Relay]) -> ServerState {
        match &self.addresses {
            None => return ServerState::Pending,
            Some(Err(error)) => return ServerState::Failed(ServerError::Resolve(*error)),
            Some(Ok(_)) => {}
        }
        match self.given.uri.scheme {
            IceScheme::Stun => self.stun_state(hosts),
            IceScheme::Turn | IceScheme::Turns => self.turn_state(relays),
        }
    }

    /// The best of its allocations counts.
    fn turn_state(&self, relays: &[Relay]) -> ServerState {
        let mut relays = relays.iter().filter(|relay| relay.uri == self.given.uri).peekable();
        if relays.peek().is_none() {
            return ServerState::Failed(ServerError::NoFamily);
        }
        let mut failure = None;
        let mut is_pending = false;
        for relay in relays {
            match &relay.error {
                None if !relay.relayed().is_empty() => return ServerState::Works,
                None => is_pending = true,
                Some(error) => failure = Some(error.clone()),
            }
        }
        failure.filter(|_| !is_pending).map_or(ServerState::Pending, ServerState::Failed)
    }

    fn stun_state(&self, hosts: &[Host]) -> ServerState {
        let asked = hosts.iter().filter_map(|host| Some((host, self.address(host.ip.is_ipv4())?)));
        let verdicts: Vec<_> = asked.map(|(host, address)| host.verdict(address)).collect();
        if verdicts.contains(&Some(true)) {
            return ServerState::Works;
        }
        match verdicts.contains(&None) {
            _ if verdicts.is_empty() => ServerState::Failed(ServerError::NoFamily),
            true => ServerState::Pending,
            false => ServerState::Failed(ServerError::Silent),
        }
    }
}

/// All servers, each URI once.
#[derive(Debug, Default)]
pub(super) struct Servers(Vec<Server>);

impl Servers {
    pub(super) fn all(&self) -> &[Server] {
        &self.0
    }

    /// Replaces what a giver gave. Whether a server came or went.
    pub(super) fn set(&mut self, giver: Giver, given: &[IceServer]) -> bool {
        let before = self.0.len();
        for server in &mut self.0 {
            if !given.iter().any(|given| given.uri == server.given.uri) {
                server.givers.retain(|one| *one != giver);
            }
        }
        self.0.retain(|server| !server.givers.is_empty());
        let mut changed = self.0.len() != before;
        for given in given {
            changed |= self.add(giver, given);
        }
        changed
    }

    fn add(&mut self, giver: Giver, given: &IceServer) -> bool {
        if let Some(server) = self.0.iter_mut().find(|server| server.given.uri == given.uri) {
            server.given = given.clone();
            if !server.givers.contains(&giver) {
                server.givers.push(giver);
            }
            return false;
        }
        if self.0.len() >= MOST_SERVERS {
            return false;
        }
        self.0.push(Server::new(given.clone(), giver));
        true
    }

    /// The server of that URI.
    pub(super) fn get(&self, uri: &IceUri) -> Option<&Server> {
        self.0.iter().find(|server| server.given.uri == *uri)
    }

    /// Looks names up that were not yet.
    pub(super) fn resolve(&mut self, cx: &mut Cx<'_>, requests: &mut VecDeque<(PortId, PortRequest)>) {
        for server in &mut self.0 {
            if server.addresses.is_none() && server.lookup.is_none() {
                let port = cx.ids.port();
                requests.push_back((port, PortRequest::Resolve(server.given.uri.host.clone())));
                server.lookup = Some(port);
            }
        }
    }

    /// Looks names up again that were not found.
    pub(super) fn resolve_again(&mut self, cx: &mut Cx<'_>, requests: &mut VecDeque<(PortId, PortRequest)>) {
        for server in &mut self.0 {
            server.addresses.take_if(|addresses| addresses.is_err());
        }
        self.resolve(cx, requests);
    }

    pub(super) fn owns(&self, port: PortId) -> bool {
        self.0.iter().any(|server| server.lookup == Some(port))
    }

    pub(super) fn on_port(&mut self, port: PortId, change: PortChange) {
        let Some(server) = self.0.iter_mut().find(|server| server.lookup == Some(port)) else { return };
        server.addresses = match change {
            PortChange::Resolved(mut addresses) => {
                addresses.truncate(MOST_ADDRESSES);
                Some(Ok(addresses))
            }
            PortChange::Failed(error) => Some(Err(error)),
            _ => return,
        };
        server.lookup = None;
    }

    pub(super) fn is_resolving(&self) -> bool {
        self.0.iter().any(|server| server.addresses.is_none())
    }

    /// Ends all look-ups.
    pub(super) fn give_up(&mut self) -> Vec<PortId> {
        self.0.iter_mut().filter_map(|server| server.lookup.take()).collect()
    }

    /// The STUN servers' addresses of that family.
    pub(super) fn stun(&self, is_ipv4: bool) -> Vec<SocketAddr> {
        let servers = self.0.iter().filter(|server| server.given.uri.scheme == IceScheme::Stun);
        let mut addresses: Vec<_> = servers.filter_map(|server| server.address(is_ipv4)).collect();
        addresses.sort_unstable();
        addresses.dedup();
        addresses
    }
}
