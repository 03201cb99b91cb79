//! ICE (RFC 8445) for one peer: which pair of addresses works, and whether it still does. The agent is the crate `is`.
//!
//! [`Ice`] keeps the agent within this library's contract: time is ours, credentials and the tie-breaker are drawn from
//! the caller's randomness, and what an unkind peer can make it keep is bounded.
//!
//! *Checks.* Each pair is checked as soon as it exists, one check every [`Config::pace`] (Ta; section 14.2 allows 5 ms)
//! and peer; a check is repeated after 100 ms, 200 ms and so on, seven times. Candidates come at any time (trickle ICE,
//! RFC 8838), also those that a request reveals.
//!
//! *Answers* count only if they come the way that their request went ([`Asked`]); the agent does not look.
//!
//! *The pair in use* is the best of those that the controlling side has nominated and that this side has found to work. It
//! changes whenever a better one does ([`Event::Pair`]). A local candidate that is withdrawn takes its pairs along, and
//! the next best one is used at once. The controlled side follows a new nomination as soon as it has found that pair to
//! work, and checks it at once, whatever its priority: the other side leaves a better pair only if it has lost it. (The agent alone would wait
//! until it has itself given that pair up.)
//!
//! *Consent* (RFC 7675). The agent checks the pair in use every 3 s and more often once an answer is missing; 9 s of
//! silence end a pair: another one that was nominated, and answers, is used in its place. It lets requests of the other
//! side count as well. Consent does not: 30 s after the last answer ([`Config::consent`], section 5.1) nothing may be sent
//! on the pair ([`Event::ConsentLost`]) until one comes.
//!
//! *Restart* (section 9). Our new credentials hold at once, [`Ice::restart`]; with the other side's, [`Ice::start`],
//! all pairs and remote candidates are forgotten. Data goes on over the pair in use until another one is found.
//!
//! *Bounds.* Until a restart: 64 remote candidates, told 256 times at most, 64 learned from requests, 64 local ones learned
//! from answers, 64 nominations. At a time: 100 pairs, 256 requests whose answers are waited for, 100 requests that came
//! before the other side's credentials.
//!
//! *Determinism.* The agent draws transaction ids from the thread's `fastrand`. Where [`Ice::new`] is given seeds, it is
//! seeded before each call.

mod asked;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use aws_lc_rs::hmac;
use is::stun::{StunMessage, StunPacket};
use is::{IceAgent, IceAgentEvent, IceConnectionState, IceCreds, Protocol, Sha1HmacProvider};

pub use asked::Asked;

use crate::machine::Deadline;
use crate::machine::rng::Rng;
use crate::machine::time::{Epoch, Instant};
use crate::wire::candidate::{Candidate, CandidateKind};

/// Candidates of one origin that are kept.
const MOST: usize = 64;
/// Remote candidates that are taken until a restart, those told again included: one that was lost may come back.
const MOST_TELLINGS: usize = 4 * MOST;
/// Without an answer for so long, the pair in use counts as lost where another works.
const SILENCE: Duration = Duration::from_secs(9);
/// Rounds of work that is due at once; the agent handles one early request a round.
const ROUNDS: usize = 128;

/// The times of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Whether it begins as the controlling side, as whoever made the offer does. A conflict is settled by tie-breakers
    /// (section 7.3.1.1).
    pub is_controlling: bool,
    /// Between two checks, of whichever pairs.
    pub pace: Duration,
    /// Until a check is repeated for the first time; the time doubles up to 3 s.
    pub check: Duration,
    /// How often a check is sent.
    pub checks: usize,
    /// How long an answer is good for.
    pub consent: Duration,
}

impl Config {
    /// 5 ms, 100 ms, 7 times, 30 s.
    pub const fn new(is_controlling: bool) -> Self {
        Self {
            is_controlling,
            pace: Duration::from_millis(5),
            check: Duration::from_millis(100),
            checks: 7,
            consent: Duration::from_secs(30),
        }
    }
}

/// What checks of one side are signed with. The password isn't shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The user name fragment.
    pub ufrag: String,
    /// The password.
    pub password: String,
}

impl Credentials {
    /// New ones (RFC 8839, section 5.4): 48 bits of name, 144 of password.
    pub fn draw(rng: &mut Rng) -> Self {
        const CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut draw = |len| (0..len).map(|_| char::from(CHARS[(rng.u32() & 63) as usize])).collect();
        Self { ufrag: draw(8), password: draw(24) }
    }

    fn to_agent(&self) -> IceCreds {
        IceCreds { ufrag: self.ufrag.clone(), pass: self.password.clone() }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

/// W3C `RTCIceConnectionState`, as far as an agent knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// No remote candidate is known.
    New,
    /// Pairs are being checked.
    Checking,
    /// A pair works; better ones may be found.
    Connected,
    /// The best pair is in use.
    Completed,
    /// No pair works any more.
    Disconnected,
}

/// What an agent tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It has another state.
    State(State),
    /// Data goes from the first to the second address from now on.
    Pair(SocketAddr, SocketAddr),
    /// The other side has not answered for so long that nothing may be sent to it.
    ConsentLost,
}

/// A message to be sent.
#[derive(Debug)]
pub struct Outgoing {
    /// From the base of this candidate.
    pub local: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// Its payload.
    pub data: Vec<u8>,
}

/// The agent of one peer.
pub struct Ice {
    agent: IceAgent,
    config: Config,
    epoch: Epoch,
    seeds: Option<Rng>,
    local: Credentials,
    is_started: bool,
    asked: Asked,
    /// Addresses that the agent keeps candidates for.
    remotes: Known,
    locals: Known,
    nominations: Nominations,
    pair: Option<Way>,
    /// Until when something may be sent on the pair.
    consent: Option<Instant>,
    deadline: Option<Instant>,
    transmits: VecDeque<Outgoing>,
    events: VecDeque<Event>,
    dropped: u64,
}

/// An address of ours, and one of the other side's.
type Way = (SocketAddr, SocketAddr);

/// What the controlling side wants.
#[derive(Debug, Default)]
struct Nominations {
    nominated: Vec<Way>,
    /// Pairs that have been found to work.
    answered: Vec<Way>,
    /// The latest nomination, until it is found to work.
    wanted: Option<Way>,
}

/// Addresses that were told to the agent, and others that it has learned.
#[derive(Debug, Default)]
struct Known {
    told: Vec<SocketAddr>,
    learned: Vec<SocketAddr>,
    /// How often one was told, known ones included: the agent may keep each anew.
    tellings: usize,
}

impl Ice {
    /// An agent that does nothing before [`Self::start`]. `seeds` are for worlds.
    pub fn new(rng: &mut Rng, epoch: Epoch, config: Config, mut seeds: Option<Rng>) -> Self {
        let local = Credentials::draw(rng);
        seed(&mut seeds);
        let mut agent = IceAgent::with_hmac(local.to_agent(), &Hmac);
        agent.set_control_tie_breaker(rng.u64());
        agent.set_controlling(config.is_controlling);
        agent.set_timing_advance(config.pace);
        agent.set_initial_stun_rto(config.check);
        agent.set_max_stun_retransmits(config.checks.saturating_sub(1));
        Self {
            agent,
            config,
            epoch,
            seeds,
            local,
            is_started: false,
            asked: Asked::default(),
            remotes: Known::default(),
            locals: Known::default(),
            nominations: Nominations::default(),
            pair: None,
            consent: None,
            deadline: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            dropped: 0,
        }
    }

    /// Our credentials.
    pub const fn local(&self) -> &Credentials {
        &self.local
    }

    /// Takes other credentials, for a restart.
    pub fn restart(&mut self, rng: &mut Rng) {
        self.local = Credentials::draw(rng);
        self.agent.set_local_credentials(self.local.to_agent());
    }

    /// Begins to check, with the other side's credentials. Called again with others it is a restart: then remote
    /// candidates are to be added anew.
    pub fn start(&mut self, now: Instant, remote: &Credentials) {
        let remote = remote.to_agent();
        if std::mem::replace(&mut self.is_started, true) && self.agent.remote_credentials() != Some(&remote) {
            self.forget_pairs();
        }
        self.agent.set_remote_credentials(remote);
        self.check(now);
    }

    /// All but the candidates that we were told of ourselves is forgotten. The agent would keep those that answers have shown.
    fn forget_pairs(&mut self) {
        let is_told = |candidate: &is::Candidate| candidate.kind() != is::CandidateKind::PeerReflexive;
        let told: Vec<_> = self.agent.local_candidates().filter(is_told).collect();
        self.agent.ice_restart(self.local.to_agent(), false);
        for candidate in told {
            self.agent.add_local_candidate(candidate);
        }
        (self.remotes, self.nominations) = (Known::default(), Nominations::default());
        self.locals.learned = Vec::new();
    }

    /// One more address of ours. False: it is of no use.
    pub fn add_local(&mut self, now: Instant, candidate: &Candidate) -> bool {
        let Some(parsed) = local_candidate(candidate) else { return false };
        let is_added = self.agent.add_local_candidate(parsed).is_some();
        self.locals.told.push(candidate.address);
        self.settle(now);
        is_added
    }

    /// An address of ours that is gone, and its pairs with it.
    pub fn remove_local(&mut self, now: Instant, candidate: &Candidate) {
        let Some(parsed) = local_candidate(candidate) else { return };
        self.agent.invalidate_candidate(&parsed);
        self.locals.told.retain(|known| *known != candidate.address);
        let is_base = matches!(candidate.kind, CandidateKind::Host | CandidateKind::Relayed);
        if is_base {
            self.nominations.forget(candidate.address);
            self.pair = self.pair.filter(|(local, _)| *local != candidate.address);
        }
        self.check(now);
    }

    /// One more address of the other side. False: it is of no use, or there are too many.
    pub fn add_remote(&mut self, now: Instant, candidate: &Candidate) -> bool {
        let Ok(parsed) = is::Candidate::from_sdp_string(&candidate.to_string()) else { return false };
        if !self.remotes.tell(candidate.address) {
            return false;
        }
        seed(&mut self.seeds);
        self.agent.add_remote_candidate(parsed);
        self.settle(now);
        true
    }

    /// Checks a pair now, if one waits, without regard to the pace.
    pub fn check(&mut self, now: Instant) {
        if self.is_started {
            self.tick(now);
            self.settle(now);
        }
    }

    /// Takes in a STUN message; `local` is the base of the candidate that it came to. False: it is of no use.
    pub fn receive(&mut self, now: Instant, local: SocketAddr, source: SocketAddr, data: &[u8]) -> bool {
        let is_taken = self.take(now, local, source, data);
        self.dropped += u64::from(!is_taken);
        self.settle(now);
        is_taken
    }

    /// Lets time pass.
    pub fn on_timeout(&mut self, now: Instant) {
        if self.consent.is_some_and(|until| until <= now) {
            self.consent = None;
            self.events.push_back(Event::ConsentLost);
        }
        self.settle(now);
    }

    /// When [`Self::on_timeout`] is due.
    pub fn deadline(&self) -> Option<Deadline> {
        let check = self.deadline.map(|at| Deadline::new(at, "ICE check"));
        let consent = self.consent.map(|at| Deadline::new(at, "ICE consent"));
        check.into_iter().chain(consent).min_by_key(|deadline| deadline.at)
    }

    /// What is to be sent.
    pub fn poll_transmit(&mut self) -> Option<Outgoing> {
        let next = self.transmits.pop_front();
        if next.is_none() && self.transmits.capacity() > 0 {
            self.transmits = VecDeque::new();
        }
        next
    }

    /// What has happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        let next = self.events.pop_front();
        if next.is_none() && self.events.capacity() > 0 {
            self.events = VecDeque::new();
        }
        next
    }

    /// The addresses, ours first, between which data may go; none without consent.
    pub fn pair(&self) -> Option<Way> {
        self.consent.and(self.pair)
    }

    /// The time of the last check of the pair in use, there and back.
    pub fn rtt(&self) -> Option<Duration> {
        self.agent.nominated_pair_rtt()
    }

    /// Whether this side nominates.
    pub fn is_controlling(&self) -> bool {
        self.agent.controlling()
    }

    /// Messages that were of no use.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    fn take(&mut self, now: Instant, local: SocketAddr, source: SocketAddr, data: &[u8]) -> bool {
        if !self.asked.takes(local, source, data) {
            return false;
        }
        let Ok(message) = StunMessage::parse(data) else { return false };
        let (is_answer, is_nomination) = (message.is_successful_binding_response(), message.use_candidate());
        let mapped = message.mapped_address().filter(|_| is_answer);
        if !self.remotes.may_learn(source) || mapped.is_some_and(|mapped| !self.locals.may_learn(mapped)) {
            return false;
        }
        let at = self.epoch.std_or_origin(now);
        seed(&mut self.seeds);
        let packet = StunPacket { proto: Protocol::Udp, source, destination: local, message };
        if !self.agent.handle_packet(at, packet) {
            return false;
        }
        self.remotes.learn(source);
        mapped.into_iter().for_each(|mapped| self.locals.learn(mapped));
        self.follow(now, (local, source), is_answer, is_nomination);
        true
    }

    /// What a message between these addresses means for the pair in use.
    ///
    /// The controlling side may go back to a pair that it has nominated before, and the agent tells of no change then: a
    /// nominated pair that works takes over as soon as the one in use does not.
    fn follow(&mut self, now: Instant, way: Way, is_answer: bool, is_nomination: bool) {
        let is_nomination = is_nomination && !self.agent.controlling() && self.nominations.is_new(way);
        let is_nominated = is_nomination && self.nominations.nominate(way);
        if is_nominated || is_answer && self.is_wanted(now, way) {
            self.choose(now, way);
        } else if is_nomination {
            self.hasten();
            self.tick(now);
        } else if is_answer && self.pair == Some(way) {
            self.consented(now);
        }
    }

    /// Whether a pair is to be used now that it has been found to work.
    fn is_wanted(&mut self, now: Instant, way: Way) -> bool {
        self.nominations.answered(way) || self.nominations.nominated.contains(&way) && self.is_silent(now)
    }

    /// Whether there is no pair that has answered lately.
    fn is_silent(&self, now: Instant) -> bool {
        self.pair.and(self.consent).is_none_or(|until| until + SILENCE <= now + self.config.consent)
    }

    fn choose(&mut self, now: Instant, way: Way) {
        if self.pair.replace(way) != Some(way) {
            self.consent = None;
        }
        self.consented(now);
    }

    fn consented(&mut self, now: Instant) {
        let is_new = self.consent.replace(now + self.config.consent).is_none();
        if let Some((local, remote)) = self.pair.filter(|_| is_new) {
            self.events.push_back(Event::Pair(local, remote));
        }
    }

    fn tick(&mut self, now: Instant) {
        let at = self.epoch.std_or_origin(now);
        seed(&mut self.seeds);
        self.agent.handle_timeout(at);
    }

    /// Takes out what the agent has to send and to tell, and does what is due.
    fn settle(&mut self, now: Instant) {
        for _ in 0..ROUNDS {
            self.drain(now);
            // The agent knows no time before its first round, and takes a round for each request that came before that.
            let next = self.agent.poll_timeout().map(|at| self.epoch.instant(at));
            self.deadline = next.or_else(|| self.is_started.then_some(now));
            if self.deadline.is_none_or(|at| at > now) {
                return;
            }
            self.tick(now);
        }
        self.drain(now);
        self.deadline = Some(now + self.config.pace);
    }

    /// A nominated pair is to be checked at once; the agent remembers when it wanted to check it next, until times change.
    fn hasten(&mut self) {
        self.agent.set_initial_stun_rto(self.config.check + Duration::from_millis(1));
        self.agent.set_initial_stun_rto(self.config.check);
    }

    fn drain(&mut self, now: Instant) {
        while let Some(transmit) = self.agent.poll_transmit() {
            let (local, to, data) = (transmit.source, transmit.destination, Vec::from(transmit.contents));
            self.asked.sent(local, to, &data);
            self.transmits.push_back(Outgoing { local, to, data });
        }
        while let Some(event) = self.agent.poll_event() {
            self.on_event(now, event);
        }
    }

    fn on_event(&mut self, now: Instant, event: IceAgentEvent) {
        match event {
            IceAgentEvent::IceConnectionStateChange(state) => {
                self.events.push_back(Event::State(from_agent(state)));
            }
            IceAgentEvent::NominatedSend { source, destination, .. } => {
                self.hasten();
                self.choose(now, (source, destination));
            }
            IceAgentEvent::IceRestart(_) | IceAgentEvent::DiscoveredRecv { .. } => {}
        }
    }
}

impl fmt::Debug for Ice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { config, local, pair, .. } = self;
        f.debug_struct("Ice").field("config", config).field("local", local).field("pair", pair).finish_non_exhaustive()
    }
}

impl Nominations {
    /// Whether a pair was not nominated before, and can be.
    fn is_new(&self, way: Way) -> bool {
        !self.nominated.contains(&way) && self.nominated.len() < MOST
    }

    /// A pair is nominated for the first time. Whether it is to be used now.
    fn nominate(&mut self, way: Way) -> bool {
        self.nominated.push(way);
        let works = self.answered.contains(&way);
        self.wanted = (!works).then_some(way);
        works
    }

    /// Whether a pair is to be used for being found to work.
    fn answered(&mut self, way: Way) -> bool {
        if !self.answered.contains(&way) && self.answered.len() < MOST {
            self.answered.push(way);
        }
        self.wanted.take_if(|wanted| *wanted == way).is_some()
    }

    fn forget(&mut self, local: SocketAddr) {
        self.nominated.retain(|way| way.0 != local);
        self.answered.retain(|way| way.0 != local);
        self.wanted = self.wanted.filter(|way| way.0 != local);
    }
}

impl Known {
    fn has(&self, address: SocketAddr) -> bool {
        self.told.contains(&address) || self.learned.contains(&address)
    }

    /// False: there are too many.
    fn tell(&mut self, address: SocketAddr) -> bool {
        let is_known = self.told.contains(&address);
        if self.tellings >= MOST_TELLINGS || !is_known && self.told.len() >= MOST {
            return false;
        }
        self.tellings += 1;
        if !is_known {
            self.told.push(address);
        }
        true
    }

    fn may_learn(&self, address: SocketAddr) -> bool {
        self.learned.len() < MOST || self.has(address)
    }

    fn learn(&mut self, address: SocketAddr) {
        if !self.has(address) {
            self.learned.push(address);
        }
    }
}

/// HMAC-SHA1, which signs STUN messages (RFC 8489, section 14.5).
#[derive(Debug)]
struct Hmac;

impl Sha1HmacProvider for Hmac {
    fn sha1_hmac(&self, key: &[u8], payloads: &[&[u8]]) -> [u8; 20] {
        let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, key));
        for payload in payloads {
            context.update(payload);
        }
        let mut tag = [0; 20];
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

fn seed(seeds: &mut Option<Rng>) {
    if let Some(rng) = seeds {
        fastrand::seed(rng.u64());
    }
}

/// A candidate of ours as the agent has it: it sends from its base, which for a relayed one is itself.
fn local_candidate(candidate: &Candidate) -> Option<is::Candidate> {
    let address = candidate.address;
    let base = candidate.related.unwrap_or(address);
    match candidate.kind {
        CandidateKind::Host => is::Candidate::host(address, Protocol::Udp).ok(),
        CandidateKind::ServerReflexive => is::Candidate::server_reflexive(address, base, Protocol::Udp).ok(),
        CandidateKind::Relayed => is::Candidate::relayed(address, base, Protocol::Udp).ok(),
        CandidateKind::PeerReflexive => None,
    }
}

const fn from_agent(state: IceConnectionState) -> State {
    match state {
        IceConnectionState::New => State::New,
        IceConnectionState::Checking => State::Checking,
        IceConnectionState::Connected => State::Connected,
        IceConnectionState::Completed => State::Completed,
        IceConnectionState::Disconnected => State::Disconnected,
    }
}
