//! One peer: an engine, and the negotiation that brings it together with the other side's. It owns no socket.
//!
//! Its owner carries signals both ways, tells it the candidates of this side as they are found, and moves datagrams. Any
//! carrier will do: a session, a pasted line of text, a web server. A description goes out at once, with the candidates
//! that are known; further ones follow (trickle ICE, RFC 8838).
//!
//! *Relayed candidates* are told to the other side at once, but the engine does not use one before its server has let
//! some address of the other side in ([`Peer::permitted`]): a check that its server refuses costs a retransmission.
//!
//! *Networks change.* Candidates come and go in the life of a peer: new ones are signalled and checked, and what goes
//! over a pair that is gone moves to another, with the same DTLS and SCTP. An offer with other credentials is an ICE
//! restart and is answered by one.
//!
//! *Time-outs*: [`PeerConfig::answer`] until the other side has described itself, [`PeerConfig::connect`] from then until
//! DTLS is connected, [`PeerConfig::silence`] from the loss of all pairs until it is over.

mod config;
mod crypto;
pub mod data;
pub mod engine;
mod events;
#[cfg(feature = "str0m")]
pub mod str0m;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use engine::{Engine, EngineConfig, IceState, Local, MOST_MESSAGE, Over, Remote};

pub use config::PeerConfig;
pub use crypto::Crypto;
pub use engine::{BULK, ChannelSpec, EngineKind, Message, Partner, QUICK, Sent, Version};
pub use events::{End, Event, State};

use crate::link::negotiation::{Negotiation, NegotiationConfig, Step};
use crate::machine::datagram::Ecn;
use crate::machine::time::Instant;
use crate::machine::{Cx, Deadline};
use crate::wire::candidate::{Candidate, CandidateKind};
use crate::wire::outlook::Outlook;
use crate::wire::sdp::{Description, Password, Setup};
use crate::wire::signal::Signal;

/// The code of [`Signal::Error`] for a rule that the other side broke.
const MISBEHAVED: u8 = 1;
/// The code of [`Signal::Error`] for a failure of this side.
const FAILED: u8 = 2;
/// Candidates of each side that a peer keeps.
const MOST_CANDIDATES: usize = 64;
/// Candidates of the other side that an engine is told of until an ICE restart, those told again included.
const MOST_TELLINGS: usize = 4 * MOST_CANDIDATES;

/// One peer.
#[derive(Debug)]
pub struct Peer {
    config: PeerConfig,
    negotiation: Negotiation,
    engine: Engine,
    state: State,
    /// The time-out under way, and since when there was none.
    until: Option<Instant>,
    candidates: Vec<Candidate>,
    /// Relayed candidates that the engine does not know yet.
    held: Vec<Candidate>,
    remotes: Vec<Candidate>,
    /// How often the engine was told one since the last ICE restart.
    tellings: usize,
    /// The user name fragment that the engine checks by; another one is a restart.
    theirs: Option<String>,
    gathered: bool,
    events: VecDeque<Event>,
    is_over: bool,
}

impl Peer {
    /// A peer of that attempt, with the candidates that are known. Whoever offers does so at once.
    ///
    /// # Errors
    /// The engine's, in words.
    pub fn new<'a>(
        cx: &mut Cx<'_>,
        crypto: &Crypto,
        attempt: u32,
        config: PeerConfig,
        candidates: impl Iterator<Item = &'a Candidate>,
    ) -> Result<Self, String> {
        let PeerConfig { engine: kind, version, partner, offers: is_controlling, inbox, .. } = config;
        let engine = EngineConfig { kind, partner, version, is_controlling, inbox };
        let engine = Engine::new(cx, crypto, engine)?;
        let mut peer = Self {
            config,
            negotiation: Negotiation::new(attempt, NegotiationConfig::new(config.polite)),
            engine,
            state: State::New,
            until: Some(cx.now + config.answer),
            candidates: Vec::new(),
            held: Vec::new(),
            remotes: Vec::new(),
            tellings: 0,
            theirs: None,
            gathered: false,
            events: VecDeque::new(),
            is_over: false,
        };
        for candidate in candidates.take(MOST_CANDIDATES) {
            peer.keep(cx, candidate);
        }
        if config.offers {
            let offer = peer.describe();
            _ = peer.negotiation.offer(&offer);
        }
        peer.settle(cx);
        Ok(peer)
    }

    /// Our ICE user name fragment: what comes for it is this peer's.
    pub fn ufrag(&self) -> &str {
        &self.engine.local().ufrag
    }

    /// The passwords that STUN is signed by: what comes to us by ours, what answers us by the other side's.
    pub fn passwords(&self) -> (&str, Option<&str>) {
        let theirs = self.negotiation.remote().map(|remote| remote.password.expose());
        (&self.engine.local().password, theirs)
    }

    /// Our candidates.
    pub fn candidates(&self) -> &[Candidate] {
        &self.candidates
    }

    /// The other side's.
    pub fn remotes(&self) -> &[Candidate] {
        &self.remotes
    }

    /// How far it is.
    pub const fn state(&self) -> State {
        self.state
    }

    /// The addresses, ours first, between which data goes.
    pub fn pair(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.engine.pair()
    }

    /// Takes in what the other side has to say.
    pub fn signal(&mut self, cx: &mut Cx<'_>, signal: &Signal<'_>) {
        if self.is_over {
            return;
        }
        if let Err(rule) = self.negotiation.receive(signal) {
            return self.misbehaved(cx, rule.to_string());
        }
        self.settle(cx);
        self.engine.check(cx);
        self.settle(cx);
    }

    /// A candidate of ours was found.
    pub fn add_local(&mut self, cx: &mut Cx<'_>, candidate: &Candidate) {
        if self.candidates.len() < MOST_CANDIDATES {
            self.keep(cx, candidate);
            self.negotiation.candidate(candidate);
            self.settle(cx);
        }
    }

    /// A candidate of ours is gone.
    pub fn remove_local(&mut self, cx: &mut Cx<'_>, candidate: &Candidate) {
        let same = |known: &Candidate| (known.kind, known.address) == (candidate.kind, candidate.address);
        self.held.retain(|known| !same(known));
        if let Some(at) = self.candidates.iter().position(same) {
            let candidate = self.candidates.remove(at);
            self.engine.remove_local(cx, &candidate);
            self.settle(cx);
        }
    }

    /// All servers have answered: no more candidates follow for now.
    pub fn gathered(&mut self, cx: &mut Cx<'_>) {
        if !std::mem::replace(&mut self.gathered, true) {
            self.negotiation.end_of_candidates();
            self.settle(cx);
        }
    }

    /// Tells the other side what is known of our ways out.
    pub fn outlook(&mut self, cx: &mut Cx<'_>, outlook: Outlook) {
        self.negotiation.outlook(outlook);
        self.settle(cx);
    }

    /// A relay lets that address of the other side in.
    pub fn permitted(&mut self, cx: &mut Cx<'_>, relayed: SocketAddr, peer: IpAddr) {
        if !self.remotes.iter().any(|remote| remote.address.ip() == peer) {
            return;
        }
        let ready: Vec<_> = self.held.extract_if(.., |held| held.address == relayed).collect();
        for candidate in ready {
            self.engine.add_local(cx, &candidate);
        }
        self.settle(cx);
    }

    /// Takes in a datagram that came to the base of a candidate; it is decrypted in place.
    pub fn receive(
        &mut self,
        cx: &mut Cx<'_>,
        local: SocketAddr,
        source: SocketAddr,
        ecn: Option<Ecn>,
        data: &mut [u8],
    ) {
        self.engine.receive(cx, local, source, ecn, data);
        self.settle(cx);
    }

    /// Lets time pass.
    pub fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        self.engine.on_timeout(cx);
        self.settle(cx);
        if self.until.is_some_and(|until| until <= cx.now) {
            self.too_late(cx);
        }
    }

    /// When [`Self::on_timeout`] is due.
    pub fn deadline(&self) -> Option<Deadline> {
        let until = self.until.map(|at| Deadline::new(at, "progress of a peer"));
        until.into_iter().chain(self.engine.deadline()).min_by_key(|deadline| deadline.at).filter(|_| !self.is_over)
    }

    /// Opens a channel towards a foreign peer. None: there are too many.
    pub fn open_channel(&mut self, cx: &mut Cx<'_>, spec: ChannelSpec) -> Option<usize> {
        let place = self.engine.open_channel(cx, spec);
        self.settle(cx);
        place
    }

    /// Closes a channel of a foreign peer; [`Event::ChannelClosed`] follows.
    pub fn close_channel(&mut self, cx: &mut Cx<'_>, channel: usize) {
        self.engine.close_channel(cx, channel);
        self.settle(cx);
    }

    /// Bytes that may be written now; if less than `wanted`, [`Event::Writable`] follows.
    pub fn room(&mut self, wanted: usize) -> usize {
        let room = self.engine.room();
        if room < wanted {
            self.engine.want_room();
        }
        room
    }

    /// Writes a message that fits [`Self::room`]. False: it was not taken.
    pub fn write(&mut self, cx: &mut Cx<'_>, channel: usize, is_binary: bool, message: &[u8]) -> bool {
        let written = self.engine.write(cx, channel, is_binary, message);
        self.settle(cx);
        written
    }

    /// Ends it: the other side hears why by a last signal, and by what DTLS and SCTP have for that.
    pub fn close(&mut self, cx: &mut Cx<'_>, ending: Option<(u8, &str)>) {
        match ending {
            None => self.negotiation.bye(0, ""),
            Some((code, text)) => self.negotiation.error(code, text),
        }
        self.settle(cx);
        self.engine.close(cx);
        self.is_over = true;
    }

    /// Appends datagrams of one length to `out`, `most` bytes of them or a single one. None: nothing is to be sent now.
    pub fn poll_transmit(&mut self, cx: &mut Cx<'_>, out: &mut Vec<u8>, most: usize) -> Option<Sent> {
        self.engine.poll_transmit(cx, out, most)
    }

    /// What has happened.
    pub fn poll_event(&mut self, cx: &mut Cx<'_>) -> Option<Event> {
        self.settle(cx);
        let next = self.events.pop_front();
        if next.is_none() && self.events.capacity() > 0 {
            self.events = VecDeque::new();
        }
        next
    }

    /// The next message of a channel that is not held, lent until the peer is used again. A channel's end and the
    /// peer's are told once these are taken.
    pub fn poll_message(&mut self, cx: &mut Cx<'_>) -> Option<Message<'_>> {
        self.engine.poll_message(cx)
    }

    /// Holds a channel's messages back, or lets them go again.
    pub fn hold(&mut self, channel: usize, is_held: bool) {
        self.engine.hold(channel, is_held);
    }

    fn keep(&mut self, cx: &mut Cx<'_>, candidate: &Candidate) {
        self.candidates.push(candidate.clone());
        if candidate.kind == CandidateKind::Relayed {
            self.held.push(candidate.clone());
        } else {
            self.engine.add_local(cx, candidate);
        }
    }

    /// Takes what follows from whatever was done, until nothing more does.
    fn settle(&mut self, cx: &mut Cx<'_>) {
        loop {
            if let Some(step) = self.negotiation.poll() {
                self.on_step(cx, step);
            } else if let Some(event) = self.engine.poll_event() {
                self.on_engine(cx, event);
            } else {
                return;
            }
        }
    }

    fn on_step(&mut self, cx: &mut Cx<'_>, step: Step) {
        match step {
            Step::Send(bytes) => self.events.push_back(Event::Signal(bytes)),
            Step::Offer(offer) => self.on_offer(cx, &offer),
            Step::Answer(answer) => self.begin(cx, &answer, answer.setup != Setup::Active),
            Step::Rollback => {}
            Step::Candidate(candidate) => self.on_remote(cx, candidate),
            Step::EndOfCandidates => {}
            Step::Outlook(outlook) => self.events.push_back(Event::Outlook(outlook)),
            Step::Restart => self.restart(cx),
            Step::Ended(ending) => self.end(cx, End::Told(ending)),
        }
    }

    fn on_offer(&mut self, cx: &mut Cx<'_>, offer: &Description) {
        if self.theirs.as_ref().is_some_and(|before| *before != offer.ufrag) {
            self.engine.restart(cx);
        }
        let mut answer = self.describe().answering(offer);
        if self.config.partner == Partner::Own && offer.setup == Setup::ActPass {
            // Who nominates the pair knows first that it works, and need not wait for the other side to begin.
            answer.setup = Setup::Passive;
        }
        let active = answer.setup == Setup::Active;
        if self.negotiation.answer(&answer).is_ok() {
            let active = self.negotiation.role().map_or(active, |role| role == Setup::Active);
            self.begin(cx, offer, active);
        }
    }

    /// The other side is known: checks begin.
    fn begin(&mut self, cx: &mut Cx<'_>, remote: &Description, active: bool) {
        let theirs = Remote {
            ufrag: remote.ufrag.clone(),
            password: remote.password.expose().to_owned(),
            fingerprint: remote.fingerprint,
            sctp_init: remote.sctp_init.clone(),
            max_message: remote.max_message,
        };
        if let Err(error) = self.engine.start(cx, &theirs, active) {
            return self.fail(cx, error);
        }
        if self.theirs.as_ref() != Some(&remote.ufrag) {
            self.theirs = Some(remote.ufrag.clone());
            (self.remotes, self.tellings) = (Vec::new(), 0);
        }
        if self.state == State::New {
            self.until = Some(cx.now + self.config.connect);
            self.set_state(State::Checking);
        }
        for candidate in &remote.candidates {
            self.on_remote(cx, candidate.clone());
        }
    }

    /// One that is told again may have been lost in between, so the engine hears of it again.
    fn on_remote(&mut self, cx: &mut Cx<'_>, candidate: Candidate) {
        let same = |known: &Candidate| (known.kind, known.address) == (candidate.kind, candidate.address);
        let is_known = self.remotes.iter().any(same);
        let has_room = self.tellings < MOST_TELLINGS && (is_known || self.remotes.len() < MOST_CANDIDATES);
        if !has_room || !self.engine.add_remote(cx, &candidate) {
            return;
        }
        self.tellings += 1;
        if !is_known {
            self.events.push_back(Event::Remote(candidate.address));
            self.remotes.push(candidate);
        }
    }

    /// An ICE restart, asked for by the other side.
    fn restart(&mut self, cx: &mut Cx<'_>) {
        self.engine.restart(cx);
        let mut offer = self.describe();
        if let Some(remote) = self.negotiation.remote() {
            offer = offer.shaped_like(remote);
        }
        _ = self.negotiation.offer(&offer);
    }

    fn describe(&self) -> Description {
        let Local { ufrag, password, fingerprint, sctp_init } = self.engine.local().clone();
        // Made of ICE characters, and long enough.
        let password = Password::new(password).unwrap_or_else(|_| unreachable!());
        Description {
            sctp_init,
            max_message: Some(if self.config.partner == Partner::Own { 64 * 1024 } else { MOST_MESSAGE }),
            candidates: self.candidates.clone(),
            end_of_candidates: self.gathered,
            ..Description::offer(ufrag, password, fingerprint)
        }
    }

    fn on_engine(&mut self, cx: &mut Cx<'_>, event: engine::Event) {
        let event = match event {
            engine::Event::Ice(state) => return self.on_ice(cx, state),
            engine::Event::Connected => {
                self.until = None;
                return self.set_state(State::Connected);
            }
            engine::Event::Over(Over::Closed) => return self.end(cx, End::Closed),
            engine::Event::Over(Over::Failed(error)) => return self.fail(cx, error),
            engine::Event::Over(flooded @ Over::Flooded) => return self.misbehaved(cx, flooded.to_string()),
            engine::Event::Open(place, label) => Event::Open(place, label),
            engine::Event::Writable => Event::Writable,
            engine::Event::ChannelClosed(place) => Event::ChannelClosed(place),
        };
        self.events.push_back(event);
    }

    fn on_ice(&mut self, cx: &mut Cx<'_>, state: IceState) {
        match (state, self.state) {
            (IceState::Connected | IceState::Completed, State::Checking) => self.set_state(State::Connecting),
            (IceState::Connected | IceState::Completed, State::Disconnected) => {
                self.until = None;
                self.set_state(State::Connected);
            }
            (IceState::Disconnected, State::Connected) => {
                self.until = Some(cx.now + self.config.silence);
                self.set_state(State::Disconnected);
            }
            _ => {}
        }
    }

    fn set_state(&mut self, state: State) {
        if std::mem::replace(&mut self.state, state) != state {
            self.events.push_back(Event::State(state));
        }
    }

    fn too_late(&mut self, cx: &mut Cx<'_>) {
        let end = match self.state {
            State::New => End::Unanswered,
            State::Checking => End::Unconnected,
            State::Connecting => End::Handshake("it took too long".to_owned()),
            State::Connected | State::Disconnected => End::Silent,
        };
        self.give_up(cx, end);
    }

    fn fail(&mut self, cx: &mut Cx<'_>, error: String) {
        let end = match self.state {
            State::Connected | State::Disconnected => End::Failed(error),
            _ => End::Handshake(error),
        };
        self.give_up(cx, end);
    }

    /// Ends it for a rule that the other side broke, and tells it which.
    fn misbehaved(&mut self, cx: &mut Cx<'_>, rule: String) {
        self.negotiation.error(MISBEHAVED, &rule);
        self.settle(cx);
        self.end(cx, End::Misbehaved(rule));
    }

    /// Ends it, and tells the other side.
    fn give_up(&mut self, cx: &mut Cx<'_>, end: End) {
        if !self.is_over {
            self.negotiation.error(FAILED, end.text());
            self.settle(cx);
            self.end(cx, end);
        }
    }

    fn end(&mut self, cx: &mut Cx<'_>, end: End) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.engine.close(cx);
            self.events.push_back(Event::Over(end));
        }
    }
}

#[cfg(test)]
mod tests;
