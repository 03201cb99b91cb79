//! A TURN client (RFC 8656): one allocation at one server, over UDP or a byte stream.
//!
//! A [`Turn`] takes in the messages of its server one by one, gives out messages to be sent, and says when it wants to be
//! woken. It owns no socket: over UDP a message is a datagram, over a stream [`Splitter`] finds its end.
//!
//! # How it works
//!
//! *Credentials* are long-term ones (RFC 8489, section 9.2); time-limited ones (the REST API of TURN servers) are the
//! same on the wire. The first request goes without and is refused by 401, which brings realm and nonce; a second 401
//! in a row means that user or password is wrong, known after two round trips. A stale nonce (438) is replaced as often
//! as it takes for an honest server. [`set_credentials`](Turn::set_credentials) gives newer ones: the old stay in use
//! until the server refuses them, for a server that binds an allocation to the name that made it answers another name,
//! and time-limited names are always others, by 441.
//!
//! *One allocation* has a relayed address for each family that is asked for: IPv4, and IPv6 by
//! ADDITIONAL-ADDRESS-FAMILY, which older servers pass over. A server that has no IPv4 (440) is asked for IPv6 alone, and
//! one that has not both (508) for IPv4 alone.
//!
//! *Permissions* come before anything that is sent, one for each address of a peer, counted by users. They are renewed
//! a minute before they end (section 9) as long as somebody wants them. *Channels* are bound on request and renewed
//! likewise; no number is used for another peer while the allocation lasts (section 12).
//!
//! *Refreshing.* An allocation is renewed a minute before it ends, at half its lifetime if that is short, and on request
//! ([`check`](Turn::check)), which is how a server that has forgotten us is found out early. What is not answered is asked
//! again until the lifetime is over.
//!
//! *Trust.* A response counts if its transaction is open, and a success only with a signature by our key. Errors may
//! lack one, as servers leave it out, but a wrong one is a drop; but for 401 and 438, which may come before we know the
//! key that they are signed with. Data counts from peers that we permit. All else is
//! [`Received::Useless`] or [`Received::Unwanted`], for callers to count.
//!
//! # Why not a client of a crate
//!
//! The codec is that of `turn-types` and `stun-types`. The client that comes with them draws transaction ids from the
//! system, can't change credentials, never lets go of a permission, and does not tell why it failed.

mod message;
mod peers;
mod splitter;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

use smallvec::SmallVec;

use crate::machine::Deadline;
use crate::machine::rng::Rng;
use crate::machine::time::Instant;
use crate::wire::ice_server::Secret;
use message::{Answer, Ask, Incoming, Refusal, Signer};
use peers::Peers;
pub use splitter::{NotTurn, Splitter};

/// How often a nonce may be stale in a row.
const STALE: u32 = 4;
/// Before the end of something that is renewed.
const EARLY: Duration = Duration::from_secs(60);
/// Between two attempts to renew what was not answered, and the least time between two renewals.
const AGAIN: Duration = Duration::from_secs(5);
/// A permission's life (RFC 8656, section 9).
const PERMISSION: Duration = Duration::from_secs(300);
/// A channel's life (RFC 8656, section 12).
const CHANNEL: Duration = Duration::from_secs(600);
/// More of a datagram may not fit into a Send indication, whose length has 16 bits.
const LARGEST: usize = 65_000;

/// What a [`Turn`] asks for, and its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TurnConfig {
    /// Who asks.
    pub username: String,
    /// The password.
    pub credential: Secret,
    /// Whether an IPv4 address is wanted.
    pub ipv4: bool,
    /// Whether an IPv6 address is wanted.
    pub ipv6: bool,
    /// Whether it runs over a byte stream, where nothing is lost: a request is sent once.
    pub stream: bool,
    /// The time to the first repetition of a request, which doubles with each.
    pub first: Duration,
    /// How often a request is sent in all; at least once.
    pub sends: u32,
    /// How many times `first` passes after the last before it is given up.
    pub patience: u32,
    /// Peers' addresses with permissions, and peers with channels.
    pub permissions: usize,
}

/// Why there is no allocation, or no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TurnError {
    /// User or password is wrong (401 twice, or 441).
    #[error("the TURN server does not accept user and password")]
    WrongCredentials,
    /// The server does not serve us (403).
    #[error("the TURN server refuses (403)")]
    Forbidden,
    /// The user has too many allocations (486).
    #[error("the TURN user has too many allocations (486)")]
    QuotaReached,
    /// The server is full (508).
    #[error("the TURN server is full (508)")]
    Capacity,
    /// The server has no address of the families asked for (440).
    #[error("the TURN server has no address of that family (440)")]
    Family,
    /// Another server shall be asked (300).
    #[error("the TURN server sends us elsewhere (300)")]
    AlternateServer(Option<SocketAddr>),
    /// The server has forgotten the allocation (437), as after a restart.
    #[error("the TURN server does not know the allocation (437)")]
    Mismatch,
    /// Any other refusal.
    #[error("the TURN server refuses with code {0}")]
    Other(u16),
    /// It answers what makes no sense: an allocation without an address, or an error without a code.
    #[error("the TURN server answers nonsense")]
    Malformed,
    /// No answer came in time.
    #[error("the TURN server does not answer")]
    Silent,
}

impl TurnError {
    /// The code of the server's refusal, if it is one.
    pub const fn code(self) -> Option<u16> {
        match self {
            Self::WrongCredentials => Some(401),
            Self::Forbidden => Some(403),
            Self::QuotaReached => Some(486),
            Self::Capacity => Some(508),
            Self::Family => Some(440),
            Self::AlternateServer(_) => Some(300),
            Self::Mismatch => Some(437),
            Self::Other(code) => Some(code),
            Self::Malformed | Self::Silent => None,
        }
    }

    const fn of(refusal: Refusal) -> Self {
        match refusal.code {
            401 | 441 => Self::WrongCredentials,
            403 => Self::Forbidden,
            486 => Self::QuotaReached,
            508 => Self::Capacity,
            440 => Self::Family,
            300 => Self::AlternateServer(refusal.alternate),
            437 => Self::Mismatch,
            code => Self::Other(code),
        }
    }
}

/// What a [`Turn`] tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnEvent {
    /// The allocation is there: [`Turn::relayed`] has its addresses.
    Allocated,
    /// Datagrams to and from that address of a peer pass.
    Permitted(IpAddr),
    /// The server does not allow that address, or there are too many.
    Refused(IpAddr),
    /// There is no allocation, or no longer; nothing more comes.
    Ended(TurnError),
}

/// What a message was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// The protocol's own, and taken in.
    Handled,
    /// A peer's datagram: where it came to, from whom, and where in the message it lies.
    Data(SocketAddr, SocketAddr, Range<usize>),
    /// A datagram of a peer that we do not permit.
    Unwanted,
    /// Nothing that answers a question of ours, or not by the rules.
    Useless,
}

/// Why a datagram can't be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum Unsendable {
    /// There is no allocation of that family, or it is not there yet.
    #[error("there is no relayed address of that family")]
    NoAllocation,
    /// The server has not permitted that peer yet.
    #[error("the TURN server has not permitted that peer")]
    NoPermission,
    /// It is empty, or larger than a message can be.
    #[error("the datagram does not fit")]
    Size,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Allocating,
    Allocated { expires: Instant, renew: Instant },
    Ended,
}

/// A request that waits for its answer.
#[derive(Debug)]
struct Pending {
    ask: Ask,
    id: u128,
    bytes: Vec<u8>,
    signed: bool,
    stale: u32,
    sent: u32,
    next: Instant,
}

/// One allocation.
#[derive(Debug)]
pub struct Turn {
    config: TurnConfig,
    newer: Option<(String, Secret)>,
    signer: Option<Signer>,
    phase: Phase,
    relayed: SmallVec<[SocketAddr; 2]>,
    mapped: Option<SocketAddr>,
    peers: Peers,
    pending: Vec<Pending>,
    heard: Option<Instant>,
    out: VecDeque<Vec<u8>>,
    events: VecDeque<TurnEvent>,
}

impl Turn {
    /// Begins to ask for an allocation: [`Self::poll_transmit`] has the first request.
    pub fn new(now: Instant, rng: &mut Rng, config: TurnConfig) -> Self {
        let mut turn = Self {
            peers: Peers::new(config.permissions),
            config,
            newer: None,
            signer: None,
            phase: Phase::Allocating,
            relayed: SmallVec::new(),
            mapped: None,
            pending: Vec::new(),
            heard: None,
            out: VecDeque::new(),
            events: VecDeque::new(),
        };
        turn.ask(now, rng, Ask::Allocate { ipv4: turn.config.ipv4, ipv6: turn.config.ipv6 });
        turn
    }

    /// Newer credentials, for when the server refuses those in use.
    pub fn set_credentials(&mut self, username: &str, credential: &Secret) {
        let in_use = self.config.username == username && self.config.credential == *credential;
        self.newer = (!in_use).then(|| (username.to_owned(), credential.clone()));
    }

    /// The relayed addresses: none before the allocation is there, at most one of each family.
    pub fn relayed(&self) -> &[SocketAddr] {
        &self.relayed
    }

    /// Our address as the server sees it.
    pub const fn mapped(&self) -> Option<SocketAddr> {
        self.mapped
    }

    /// When the server was last heard by a message of the protocol.
    pub const fn heard(&self) -> Option<Instant> {
        self.heard
    }

    /// Whether that address of a peer is permitted by the server.
    pub fn is_permitted(&self, peer: IpAddr) -> bool {
        self.peers.is_granted(peer)
    }

    /// Wants a permission for a peer. Told at once if it is there.
    pub fn permit(&mut self, now: Instant, rng: &mut Rng, peer: SocketAddr) {
        match self.peers.want(peer) {
            _ if self.relayed_for(peer).is_none() => self.events.push_back(TurnEvent::Refused(peer.ip())),
            None => self.events.push_back(TurnEvent::Refused(peer.ip())),
            Some(true) => self.events.push_back(TurnEvent::Permitted(peer.ip())),
            Some(false) => self.ask(now, rng, Ask::Permit(peer.ip())),
        }
    }

    /// Undoes one [`Self::permit`].
    pub fn forbid(&mut self, peer: SocketAddr) {
        self.peers.unwant(peer);
    }

    /// Binds a channel to a peer that a permission is wanted for. What can't be bound goes on without.
    pub fn bind_channel(&mut self, now: Instant, rng: &mut Rng, peer: SocketAddr) {
        if self.relayed_for(peer).is_some()
            && let Some(channel) = self.peers.channel_for(peer)
        {
            self.ask(now, rng, Ask::Bind(channel, peer));
        }
    }

    /// Asks the server whether the allocation is still there.
    pub fn check(&mut self, now: Instant, rng: &mut Rng) {
        if matches!(self.phase, Phase::Allocated { .. }) {
            self.ask(now, rng, Ask::Refresh { release: false });
        }
    }

    /// Gives the allocation back. What is sent for it is sent once, and its answer is not waited for.
    pub fn release(&mut self, now: Instant, rng: &mut Rng) {
        if matches!(self.phase, Phase::Allocated { .. }) {
            self.pending.clear();
            self.ask(now, rng, Ask::Refresh { release: true });
        }
        self.phase = Phase::Ended;
        self.pending.clear();
        self.relayed.clear();
    }

    /// Wraps a datagram to a peer.
    ///
    /// # Errors
    /// Why it can't be sent.
    pub fn wrap(&self, rng: &mut Rng, peer: SocketAddr, data: &[u8]) -> Result<Vec<u8>, Unsendable> {
        self.relayed_for(peer).ok_or(Unsendable::NoAllocation)?;
        if data.is_empty() || data.len() > LARGEST {
            return Err(Unsendable::Size);
        }
        if !self.peers.is_granted(peer.ip()) {
            return Err(Unsendable::NoPermission);
        }
        match self.peers.bound(peer) {
            Some(channel) => Ok(message::channel_data(channel, data, self.config.stream)),
            None => message::send_indication(rng, peer, data).ok_or(Unsendable::Size),
        }
    }

    /// Takes in one message of the server.
    pub fn receive(&mut self, now: Instant, rng: &mut Rng, data: &[u8]) -> Received {
        match message::parse(data) {
            Some(Incoming::Channel(number, range)) => self.on_data(self.peers.peer_of(number), range),
            Some(Incoming::Data(peer, range)) => self.on_data(Some(peer), range),
            Some(Incoming::Answer(answer)) => self.on_answer(now, rng, data, answer),
            None => Received::Useless,
        }
    }

    /// The next message to be sent to the server.
    pub fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.out.pop_front()
    }

    /// The next event.
    pub fn poll_event(&mut self) -> Option<TurnEvent> {
        self.events.pop_front()
    }

    /// When it wants [`Self::on_timeout`].
    pub fn deadline(&self) -> Option<Deadline> {
        let requests = self.pending.iter().map(|pending| Deadline::new(pending.next, "TURN request"));
        let renewal = match self.phase {
            Phase::Allocated { renew, .. } => Some(Deadline::new(renew, "TURN refresh")),
            Phase::Allocating | Phase::Ended => None,
        };
        let peers = renewal.and_then(|_| self.peers.deadline()).map(|at| Deadline::new(at, "TURN permission"));
        requests.chain(renewal).chain(peers).min_by_key(|deadline| deadline.at)
    }

    /// Repeats, renews and gives up what is due.
    pub fn on_timeout(&mut self, now: Instant, rng: &mut Rng) {
        while let Some(at) = self.pending.iter().position(|pending| pending.next <= now) {
            self.on_due(now, at);
        }
        let Phase::Allocated { expires, renew } = self.phase else { return };
        if expires <= now {
            return self.end(TurnError::Silent);
        }
        if renew <= now {
            self.phase = Phase::Allocated { expires, renew: expires };
            self.ask(now, rng, Ask::Refresh { release: false });
        }
        while let Some(ask) = self.peers.take_due(now) {
            self.ask(now, rng, ask);
        }
    }

    fn relayed_for(&self, peer: SocketAddr) -> Option<SocketAddr> {
        self.relayed.iter().copied().find(|relayed| relayed.is_ipv4() == peer.is_ipv4())
    }

    /// Sends a request, unless the same is under way.
    fn ask(&mut self, now: Instant, rng: &mut Rng, ask: Ask) {
        if !self.pending.iter().any(|pending| pending.ask == ask) {
            self.ask_again(now, rng, ask, 0);
        }
    }

    fn ask_again(&mut self, now: Instant, rng: &mut Rng, ask: Ask, stale: u32) {
        let (id, bytes) = message::request(rng, &ask, self.signer.as_ref());
        let next = now + self.pause(1);
        self.out.push_back(bytes.clone());
        self.pending.push(Pending { ask, id, bytes, signed: self.signer.is_some(), stale, sent: 1, next });
    }

    /// From the `sent`-th sending to what follows.
    fn pause(&self, sent: u32) -> Duration {
        let doublings = |n: u32| self.config.first.saturating_mul(1_u32.checked_shl(n).unwrap_or(u32::MAX));
        let sends = self.config.sends.max(1);
        if self.config.stream {
            return (0..sends - 1).fold(self.config.first.saturating_mul(self.config.patience), |sum, n| {
                sum.saturating_add(doublings(n))
            });
        }
        if sent >= sends { self.config.first.saturating_mul(self.config.patience) } else { doublings(sent - 1) }
    }

    fn on_due(&mut self, now: Instant, at: usize) {
        let sent = self.pending[at].sent;
        if !self.config.stream && sent < self.config.sends.max(1) {
            let next = now + self.pause(sent + 1).max(Duration::from_nanos(1));
            let pending = &mut self.pending[at];
            (pending.sent, pending.next) = (sent + 1, next);
            return self.out.push_back(pending.bytes.clone());
        }
        match self.pending.swap_remove(at).ask {
            Ask::Allocate { .. } => self.end(TurnError::Silent),
            Ask::Refresh { .. } => self.renew_at(now + AGAIN),
            Ask::Permit(peer) => self.peers.permit_again(peer, now + AGAIN),
            Ask::Bind(_, peer) => self.peers.bind_again(peer, now + AGAIN),
        }
    }

    fn renew_at(&mut self, at: Instant) {
        if let Phase::Allocated { expires, renew } = &mut self.phase {
            *renew = at.min(*expires);
        }
    }

    fn on_data(&self, peer: Option<SocketAddr>, range: Range<usize>) -> Received {
        let Some(peer) = peer else { return Received::Useless };
        match self.relayed_for(peer) {
            Some(relayed) if self.peers.is_wanted(peer.ip()) => Received::Data(relayed, peer, range),
            _ => Received::Unwanted,
        }
    }

    fn on_answer(&mut self, now: Instant, rng: &mut Rng, data: &[u8], answer: Answer) -> Received {
        let is_of = |pending: &Pending| pending.id == answer.id && pending.ask.method() == answer.method;
        let Some(at) = self.pending.iter().position(is_of) else { return Received::Useless };
        let signer = self.signer.as_ref().filter(|_| self.pending[at].signed);
        let is_signed = signer.is_some_and(|signer| signer.has_signed(data));
        match answer.refusal {
            None if !is_signed => return Received::Useless,
            Some(refusal) if answer.is_signed && signer.is_some() && !is_signed && !refusal.is_challenge() => {
                return Received::Useless;
            }
            _ => {}
        }
        self.heard = Some(now);
        let pending = self.pending.swap_remove(at);
        match answer.refusal {
            Some(refusal) => self.on_refusal(now, rng, pending, refusal, answer),
            None => self.on_success(now, pending.ask, &answer),
        }
        Received::Handled
    }

    fn on_refusal(&mut self, now: Instant, rng: &mut Rng, pending: Pending, refusal: Refusal, answer: Answer) {
        let is_first = refusal.code == 401 && !pending.signed;
        let is_stale = refusal.code == 438 && pending.stale < STALE;
        if let (true, Some((realm, nonce))) = (is_first || is_stale, answer.challenge) {
            self.signer = Signer::new(&self.config.username, &self.config.credential, realm, nonce);
            return self.ask_again(now, rng, pending.ask, pending.stale + u32::from(is_stale));
        }
        let is_wrong = matches!(refusal.code, 401 | 441);
        if is_wrong && let (Some(signer), Some((username, credential))) = (&self.signer, self.newer.take()) {
            self.signer = signer.for_user(&username, &credential);
            (self.config.username, self.config.credential) = (username, credential);
            return self.ask_again(now, rng, pending.ask, pending.stale);
        }
        match pending.ask {
            Ask::Allocate { ipv4: true, ipv6: true } if refusal.code == 440 => {
                self.ask_again(now, rng, Ask::Allocate { ipv4: false, ipv6: true }, 0);
            }
            Ask::Allocate { ipv4: true, ipv6: true } if refusal.code == 508 => {
                self.ask_again(now, rng, Ask::Allocate { ipv4: true, ipv6: false }, 0);
            }
            Ask::Permit(peer) if !is_wrong && refusal.code != 437 => {
                self.peers.refused(peer);
                self.events.push_back(TurnEvent::Refused(peer));
            }
            Ask::Bind(_, peer) if !is_wrong && refusal.code != 437 => self.peers.unbind(peer),
            _ => self.end(TurnError::of(refusal)),
        }
    }

    fn on_success(&mut self, now: Instant, ask: Ask, answer: &Answer) {
        match ask {
            Ask::Allocate { ipv4, ipv6 } => self.on_allocated(now, ipv4, ipv6, answer),
            Ask::Refresh { .. } => self.live_on(now, answer.lifetime),
            Ask::Permit(peer) => {
                if self.peers.granted(peer, now) {
                    self.events.push_back(TurnEvent::Permitted(peer));
                }
            }
            Ask::Bind(channel, peer) => self.peers.bind(channel, peer, now),
        }
    }

    fn on_allocated(&mut self, now: Instant, ipv4: bool, ipv6: bool, answer: &Answer) {
        for relayed in &answer.relayed {
            let is_asked = if relayed.is_ipv4() { ipv4 } else { ipv6 };
            let is_usable = relayed.port() != 0 && !relayed.ip().is_unspecified() && !relayed.ip().is_multicast();
            if is_asked && is_usable && self.relayed_for(*relayed).is_none() {
                self.relayed.push(*relayed);
            }
        }
        if self.relayed.is_empty() {
            return self.end(TurnError::Malformed);
        }
        self.mapped = answer.mapped;
        self.phase = Phase::Allocated { expires: now, renew: now };
        self.live_on(now, answer.lifetime);
        self.events.push_back(TurnEvent::Allocated);
    }

    fn live_on(&mut self, now: Instant, lifetime: Option<Duration>) {
        // Ten minutes is what the RFC has where nothing is said.
        let lifetime = lifetime.unwrap_or(2 * PERMISSION);
        let expires = now + lifetime.max(AGAIN);
        let renew = now + lifetime.saturating_sub(EARLY).max(lifetime / 2).max(AGAIN);
        self.phase = Phase::Allocated { expires, renew };
    }

    fn end(&mut self, error: TurnError) {
        self.phase = Phase::Ended;
        self.pending.clear();
        self.relayed.clear();
        self.events.push_back(TurnEvent::Ended(error));
    }
}
