//! One client by its address, and the engine that serves it alone.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use turn_server_proto::api::{SocketAllocateError, Transmit, TurnServerApi, TurnServerPollRet};
use turn_server_proto::server::TurnServer as Engine;
use turn_server_proto::types::message::ALLOCATE;
use turn_server_proto::types::prelude::DelayedTransmitBuild;
use turn_server_proto::types::stun::message::TransactionId;
use turn_server_proto::types::{AddressFamily, Instant as EngineInstant, TransportType};

use super::config::TurnServerConfig;
use super::peers::Peers;
use super::request::{self, Request, Signer};
use super::users::User;
use crate::machine::ids::PortId;
use crate::machine::time::Instant;

/// What the engine allows a nonce to live at least.
const SHORTEST_NONCE: Duration = Duration::from_secs(30);
const MOMENT: Duration = Duration::from_nanos(1);
/// Users that one client may be, one after the other; the engine forgets none.
const MOST_USERS: usize = 256;

#[derive(Debug)]
pub(super) struct Client {
    address: SocketAddr,
    listen: SocketAddr,
    engine: Engine,
    introduced: BTreeSet<String>,
    nonce_time: Duration,
    /// No nonce that it has is valid after that.
    nonces_until: Instant,
    /// The last Allocate that was answered, for when it comes again.
    pub(super) answered: Option<(TransactionId, Vec<u8>)>,
    pub(super) asking: Option<Asking>,
    /// Whose allocation it is; none: it has none.
    pub(super) user: Option<String>,
    pub(super) relays: Vec<(SocketAddr, PortId)>,
    pub(super) peers: Peers,
}

/// An Allocate that has been let in and waits for its ports.
#[derive(Debug)]
pub(super) struct Asking {
    pub(super) transaction: TransactionId,
    pub(super) signer: Signer,
    pub(super) user: String,
    pub(super) is_over_quota: bool,
    pub(super) families: Vec<Asked>,
}

impl Asking {
    pub(super) const fn new(transaction: TransactionId, signer: Signer, user: String) -> Self {
        Self { transaction, signer, user, is_over_quota: false, families: Vec::new() }
    }

    /// Whether an address was refused for want of ports.
    pub(super) fn is_over_capacity(&self) -> bool {
        self.families.iter().any(|asked| asked.result == Some(Err(SocketAllocateError::InsufficientCapacity)))
    }
}

/// One address of an Allocate: a port that is being opened, or what became of it.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) family: AddressFamily,
    pub(super) port: Option<PortId>,
    pub(super) result: Option<Result<SocketAddr, SocketAllocateError>>,
}

/// What the engine wants next.
#[derive(Debug)]
pub(super) enum Step {
    Ask(AddressFamily),
    Close(SocketAddr),
    Wait(Instant),
}

/// A datagram that the engine sends: from which of our addresses, to whom, what.
pub(super) type Outgoing = (SocketAddr, SocketAddr, Vec<u8>);

/// An engine that has a nonce for its client: else it would answer to a nonce of before by 400 instead of 438, and the
/// client would never recover.
pub(super) fn engine(config: &TurnServerConfig, now: Instant, listen: SocketAddr, client: SocketAddr) -> Engine {
    let mut engine = Engine::new(TransportType::Udp, listen, config.realm.clone());
    engine.set_nonce_expiry_duration(config.nonce_time.max(SHORTEST_NONCE));
    receive(&mut engine, now, client, listen, &request::bare(ALLOCATE, TransactionId::from(0)));
    engine
}

/// Hands a datagram to an engine.
pub(super) fn receive(
    engine: &mut Engine,
    now: Instant,
    source: SocketAddr,
    destination: SocketAddr,
    data: &[u8],
) -> Option<Outgoing> {
    let transmit = Transmit::new(data, TransportType::Udp, source, destination);
    let out = engine.recv(transmit, to_engine(now))?;
    Some((out.from, out.to, out.data.build()))
}

impl Client {
    pub(super) fn new(config: &TurnServerConfig, now: Instant, listen: SocketAddr, address: SocketAddr) -> Self {
        Self {
            address,
            listen,
            engine: engine(config, now, listen, address),
            introduced: BTreeSet::new(),
            nonce_time: config.nonce_time.max(SHORTEST_NONCE),
            nonces_until: Instant::ZERO,
            answered: None,
            asking: None,
            user: None,
            relays: Vec::new(),
            peers: Peers::default(),
        }
    }

    /// Lets the engine know of a user. It must know those that this client has shown to be, and no others.
    pub(super) fn introduce(&mut self, user: &User) {
        if self.introduced.len() < MOST_USERS && self.introduced.insert(user.name.clone()) {
            self.engine.add_user(user.name.clone(), user.password.clone());
        }
    }

    pub(super) fn receive(
        &mut self,
        now: Instant,
        source: SocketAddr,
        destination: SocketAddr,
        data: &[u8],
    ) -> Option<Outgoing> {
        receive(&mut self.engine, now, source, destination, data)
    }

    /// Hands over a request as if all nonces had expired. The engine checks the nonce before all else, so nothing else
    /// happens at that far moment.
    pub(super) fn receive_late(&mut self, now: Instant, data: &[u8]) -> Option<Outgoing> {
        let late = self.nonces_until.max(now) + self.nonce_time + MOMENT;
        self.nonces_until = late + self.nonce_time;
        receive(&mut self.engine, late, self.address, self.listen, data)
    }

    /// Whether it has an allocation or waits for one.
    pub(super) fn holds(&self) -> bool {
        self.asking.is_some() || !self.relays.is_empty()
    }

    /// For whom it has an allocation or waits for one.
    pub(super) fn holder(&self) -> Option<&str> {
        self.asking.as_ref().map(|asking| asking.user.as_str()).or(self.user.as_deref())
    }

    /// The answer that a request got which has come again.
    pub(super) fn answer_again(&self, request: &Request<'_>) -> Option<Vec<u8>> {
        let (transaction, answer) = self.answered.as_ref()?;
        (*transaction == request.transaction() && self.holds()).then(|| answer.clone())
    }

    pub(super) fn poll(&mut self, now: Instant) -> Step {
        loop {
            match self.engine.poll(to_engine(now)) {
                TurnServerPollRet::AllocateSocket { family, .. } => return Step::Ask(family),
                TurnServerPollRet::SocketClose { listen_addr, .. } => return Step::Close(listen_addr),
                // The engine counts what expires at a moment as valid at that moment.
                TurnServerPollRet::WaitUntil(at) => return Step::Wait(from_engine(at) + MOMENT),
                // Not over UDP.
                TurnServerPollRet::TcpConnect { .. } | TurnServerPollRet::TcpClose { .. } => {}
            }
        }
    }

    /// What the engine answers to an Allocate whose ports are known.
    pub(super) fn allocated(&mut self, now: Instant, families: &[Asked]) -> Option<Vec<u8>> {
        // The engine keeps an allocation only if the last of its results is a success.
        let (good, bad): (Vec<_>, Vec<_>) = families.iter().partition(|asked| matches!(asked.result, Some(Ok(_))));
        for Asked { family, result, .. } in bad.into_iter().chain(good) {
            let result = result.unwrap_or(Err(SocketAllocateError::InsufficientCapacity));
            let (udp, at) = (TransportType::Udp, to_engine(now));
            self.engine.allocated_socket(udp, self.listen, self.address, udp, *family, result, at);
        }
        self.engine.poll_transmit(to_engine(now)).map(|transmit| transmit.data)
    }
}

fn to_engine(at: Instant) -> EngineInstant {
    EngineInstant::from_nanos(i64::try_from(at.as_nanos()).unwrap_or(i64::MAX))
}

fn from_engine(at: EngineInstant) -> Instant {
    Instant::from_nanos(u64::try_from(at.as_nanos()).unwrap_or(0))
}
