//! One WebRTC peer for data: ICE, DTLS and SCTP by `str0m`.
//!
//! The only file that touches [`str0m::Rtc`]; its face names no type of that crate, so that another engine can stand
//! beside it. Every change goes through one function, `touch`, which drains the engine to its next time-out:
//! what it wants to send and to tell waits in two queues until [`Rtc::poll_transmit`] and [`Rtc::poll_event`].
//!
//! *Partners.* Two peers of this library speak DTLS 1.3 and exchange SCTP's INIT chunks in their descriptions
//! (draft-hancke-tsvwg-snap), so that the first message arrives after 2.5 round trips; and without INIT no timer of
//! `sctp-proto` reads the clock. Others get DTLS 1.2 and SCTP's handshake.
//!
//! *Channels.* Between partners of this library there are two, agreed on beforehand: [`BULK`], reliable, and [`QUICK`],
//! sent once; neither keeps order, which is the session's work. Foreign peers open their own (RFC 8832).
//!
//! *Window.* At most [`WINDOW`] bytes are unacknowledged, in all channels: [`Rtc::room`] is to be asked first. More
//! would gain little and cost much, for SCTP here walks over all of it.
//!
//! *Bounds.* Remote candidates and the datagrams sent to addresses that have not answered are counted by whoever owns
//! the peer. What the engine does not accept from the network is a counted drop; an error of its own ends the peer.
//!
//! # Determinism
//!
//! Addresses, sizes and times follow from the seed in worlds, whose [`Crypto`] is seeded. SCTP's tags and first
//! numbers are drawn by `sctp-proto` from the system; they change no size and no time. A world in which SCTP shakes
//! hands (a foreign partner) is not repeatable when an INIT is lost: that timer reads the clock.

mod asked;
mod crypto;
mod provider;
#[cfg(feature = "sim")]
mod seeded;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use asked::Asked;
use str0m::channel::{ChannelConfig, ChannelId, Reliability as SctpReliability, SctpInitData};
use str0m::config::{DtlsVersion, Fingerprint as RtcFingerprint};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate as RtcCandidate, Event as RtcEvent, IceConnectionState, IceCreds, Input, Output, RtcConfig};

pub use crypto::Crypto;

use crate::machine::rng::Rng;
use crate::machine::time::Instant;
use crate::machine::{Cx, Deadline};
use crate::wire::candidate::{Candidate, CandidateKind};

/// The reliable channel of a peer of this library, by its place among the channels.
pub const BULK: usize = 0;
/// The channel whose messages are sent once.
pub const QUICK: usize = 1;
/// Bytes that may be unacknowledged, in all channels together: four packets of a session.
pub const WINDOW: usize = 4 * (16 * 1024 + 64);
/// Most channels that a foreign peer may have opened; further ones are closed.
pub const MOST_CHANNELS: usize = 64;
/// Bytes of a datagram that the engine aims at.
const MTU: usize = 1150;
/// The first time-out of a check; it doubles.
const CHECK: Duration = Duration::from_millis(100);
/// Times that a check is sent.
const CHECKS: usize = 7;
/// What a foreign peer is told that it may send in one message.
const MESSAGE: u32 = 256 * 1024;
/// Rounds of a time-out that is due at once, after which the engine is left alone until something happens.
const ROUNDS: usize = 16;

/// With whom a peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partner {
    /// One of this library: DTLS 1.3, SNAP, two channels agreed on.
    Own,
    /// Any other: DTLS 1.2, channels by DCEP (RFC 8832).
    Foreign,
}

/// What a peer's own side of a description says.
#[derive(Debug, Clone)]
pub struct Local {
    /// ICE user name fragment.
    pub ufrag: String,
    /// ICE password.
    pub password: String,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// The SCTP INIT chunk, towards a partner of this library.
    pub sctp_init: Option<Vec<u8>>,
}

/// What the other side's description says.
#[derive(Debug, Clone)]
pub struct Remote {
    /// ICE user name fragment.
    pub ufrag: String,
    /// ICE password.
    pub password: String,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// The SCTP INIT chunk, from a partner of this library.
    pub sctp_init: Option<Vec<u8>>,
}

/// One datagram to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// From which of our candidates' bases.
    pub local: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// Its payload.
    pub data: Vec<u8>,
}

/// W3C `RTCIceConnectionState`, as far as an engine knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IceState {
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

/// What happened to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// ICE has another state.
    Ice(IceState),
    /// DTLS is connected.
    Connected,
    /// A channel is open: its place among the channels, and its label.
    Open(usize, String),
    /// A message on a channel.
    Message {
        /// The channel.
        channel: usize,
        /// Whether it is binary, and not text.
        binary: bool,
        /// The message.
        bytes: Vec<u8>,
    },
    /// There is room again after [`Rtc::room`] was too small.
    Writable,
    /// A channel is closed.
    ChannelClosed(usize),
    /// The peer has ended; nothing follows.
    Over(Over),
}

/// Why a peer has ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Over {
    /// The other side has closed DTLS or SCTP.
    #[error("closed by the other side")]
    Closed,
    /// The engine failed: the handshake, a fingerprint that is not the announced one, an association that was lost.
    #[error("{0}")]
    Failed(String),
}

/// A channel that is to be opened towards a foreign peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelSpec {
    /// Its label.
    pub label: String,
    /// Whether order is kept.
    pub ordered: bool,
    /// How often a lost message is sent again; none: until it arrives.
    pub max_retransmits: Option<u16>,
    /// Its number, if both sides have agreed on one beforehand.
    pub negotiated: Option<u16>,
}

/// One peer.
pub struct Rtc {
    engine: Box<str0m::Rtc>,
    crypto: Crypto,
    /// Of a world: seeds what the engine draws.
    #[cfg(feature = "sim")]
    rng: Option<Rng>,
    partner: Partner,
    local: Local,
    init: Option<SctpInitData>,
    is_started: bool,
    channels: Vec<Option<ChannelId>>,
    /// Nobody could write, and nobody was told of room since.
    is_full: bool,
    deadline: Option<Instant>,
    transmits: VecDeque<Outgoing>,
    events: VecDeque<Event>,
    pair: Option<(SocketAddr, SocketAddr)>,
    asked: Asked,
    is_over: bool,
    /// Up to when the engine knows the time.
    clock: Option<Instant>,
    dropped: u64,
}

impl Rtc {
    /// A peer that has not begun; `controls` by ICE whoever made the offer.
    ///
    /// # Errors
    /// The engine's, in words: there is no randomness, or a certificate that does not fit.
    pub fn new(cx: &mut Cx<'_>, crypto: &Crypto, partner: Partner, controls: bool) -> Result<Self, String> {
        let (ufrag, password) = (ice_chars(cx.rng, 8), ice_chars(cx.rng, 24));
        #[cfg(feature = "sim")]
        let rng = crypto.is_seeded().then(|| cx.rng.fork());
        let creds = IceCreds { ufrag: ufrag.clone(), pass: password.clone() };
        let now = crypto.std(cx.now);
        let mut engine = Box::new(crypto.build(cx.rng, || config(crypto, partner, creds), now));
        engine.direct_api().set_ice_controlling(controls);
        let (init, sctp_init) = if partner == Partner::Own { init_chunk()? } else { (None, None) };
        let local = Local { ufrag, password, fingerprint: crypto.fingerprint(), sctp_init };
        Ok(Self {
            engine,
            crypto: crypto.clone(),
            #[cfg(feature = "sim")]
            rng,
            partner,
            local,
            init,
            is_started: false,
            channels: Vec::new(),
            is_full: false,
            deadline: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            pair: None,
            asked: Asked::default(),
            is_over: false,
            clock: None,
            dropped: 0,
        })
    }

    /// What our description says.
    pub const fn local(&self) -> &Local {
        &self.local
    }

    /// Begins, towards the other side: `active` connects by DTLS. Called again with other credentials it is an ICE
    /// restart; then all else must be as before.
    ///
    /// # Errors
    /// The engine's, in words.
    pub fn start(&mut self, cx: &Cx<'_>, remote: &Remote, active: bool) -> Result<(), String> {
        let creds = IceCreds { ufrag: remote.ufrag.clone(), pass: remote.password.clone() };
        if std::mem::replace(&mut self.is_started, true) {
            self.touch(cx, |rtc| rtc.direct_api().set_remote_ice_credentials(creds));
            return Ok(());
        }
        let fingerprint = RtcFingerprint { hash_func: "sha-256".to_owned(), bytes: remote.fingerprint.to_vec() };
        let init = self.init.take().zip(remote.sctp_init.clone()).map(|(mut init, chunk)| {
            init.set_remote_init_chunk(chunk);
            init
        });
        let partner = self.partner;
        self.advance(cx);
        let started = self.with(|rtc| {
            let mut api = rtc.direct_api();
            api.set_remote_fingerprint(fingerprint);
            api.set_remote_ice_credentials(creds);
            api.start_dtls(active)?;
            match init {
                Some(init) => api.start_sctp_with_snap(active, init)?,
                None => api.start_sctp(active),
            }
            Ok::<_, str0m::RtcError>(())
        });
        started.map_err(|error| error.to_string())?;
        if partner == Partner::Own {
            for spec in [bulk(), quick()] {
                self.create(spec);
            }
        }
        self.drain(cx.now);
        Ok(())
    }

    /// Takes other ICE credentials for a restart (RFC 8445, section 2.4); they are in [`Self::local`] then.
    pub fn restart(&mut self, cx: &mut Cx<'_>) {
        self.local.ufrag = ice_chars(cx.rng, 8);
        self.local.password = ice_chars(cx.rng, 24);
        let creds = IceCreds { ufrag: self.local.ufrag.clone(), pass: self.local.password.clone() };
        self.touch(cx, |rtc| rtc.direct_api().set_local_ice_credentials(creds));
    }

    /// One more address of ours. False: it is of no use to the engine.
    pub fn add_local(&mut self, cx: &Cx<'_>, candidate: &Candidate) -> bool {
        let Some(candidate) = local_candidate(candidate) else { return false };
        self.touch(cx, |rtc| rtc.add_local_candidate(candidate).is_some())
    }

    /// An address of ours that is gone.
    pub fn remove_local(&mut self, cx: &Cx<'_>, candidate: &Candidate) {
        let Some(candidate) = local_candidate(candidate) else { return };
        self.touch(cx, |rtc| rtc.direct_api().invalidate_candidate(&candidate));
    }

    /// One more address of the other side. False: it is of no use to the engine.
    pub fn add_remote(&mut self, cx: &Cx<'_>, candidate: &Candidate) -> bool {
        let Ok(candidate) = RtcCandidate::from_sdp_string(&candidate.to_string()) else { return false };
        self.touch(cx, |rtc| rtc.add_remote_candidate(candidate));
        true
    }

    /// Checks a pair now, if one waits: the engine paces its checks, and would begin after a pause.
    pub fn check(&mut self, cx: &Cx<'_>) {
        self.tick(cx.now);
        self.drain(cx.now);
    }

    /// Takes in one datagram; `local` is the base of the candidate that it came to.
    pub fn receive(&mut self, cx: &Cx<'_>, local: SocketAddr, source: SocketAddr, data: &[u8]) {
        let useful = !is_stun(data) || self.asked.takes(local, source, data);
        let Some(contents) = data.try_into().ok().filter(|_| useful) else {
            self.dropped += 1;
            return;
        };
        let receive = Receive { proto: Protocol::Udp, source, destination: local, contents };
        let now = self.crypto.std(cx.now);
        let taken = self.with(|rtc| rtc.handle_input(Input::Receive(now, receive)));
        self.clock = Some(cx.now);
        self.dropped += u64::from(taken.is_err());
        self.drain(cx.now);
    }

    /// Lets time pass.
    pub fn on_timeout(&mut self, cx: &Cx<'_>) {
        if self.deadline.is_some_and(|at| at <= cx.now) {
            self.tick(cx.now);
            self.drain(cx.now);
        }
    }

    /// When [`Self::on_timeout`] is due.
    pub fn deadline(&self) -> Option<Deadline> {
        self.deadline.map(|at| Deadline::new(at, "WebRTC peer"))
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

    /// Opens a channel towards a foreign peer; [`Event::Open`] follows. None: there are too many.
    pub fn open_channel(&mut self, cx: &Cx<'_>, spec: ChannelSpec) -> Option<usize> {
        let taken = |number| self.channels.len() > usize::from(number) && self.partner == Partner::Own;
        if self.channels.len() >= MOST_CHANNELS || spec.negotiated.is_some_and(taken) {
            return None;
        }
        let place = self.create(config_of(spec));
        self.drain(cx.now);
        Some(place)
    }

    /// Closes a channel of a foreign peer.
    pub fn close_channel(&mut self, cx: &Cx<'_>, channel: usize) {
        let Some(id) = self.channels.get(channel).copied().flatten() else { return };
        self.touch(cx, |rtc| rtc.direct_api().close_data_channel(id));
    }

    /// Bytes that may be written now, in all channels; where that is too little, [`Event::Writable`] follows.
    pub fn room(&mut self) -> usize {
        let mut buffered = 0;
        for id in self.channels.iter().flatten() {
            buffered += self.engine.channel(*id).map_or(0, |mut channel| channel.buffered_amount());
        }
        WINDOW.saturating_sub(buffered)
    }

    /// Notes that somebody waits for room.
    pub const fn want_room(&mut self) {
        self.is_full = true;
    }

    /// Writes one message that fits [`Self::room`]. False: it was not taken.
    pub fn write(&mut self, cx: &Cx<'_>, channel: usize, binary: bool, message: &[u8]) -> bool {
        let Some(id) = self.channels.get(channel).copied().flatten() else { return false };
        self.touch(cx, |rtc| {
            let written = rtc.channel(id).map(|mut channel| channel.write(binary, message));
            matches!(written, Some(Ok(true)))
        })
    }

    /// The addresses, ours first, between which data goes; none before that.
    pub const fn pair(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.pair
    }

    /// Datagrams that were of no use.
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Tells the other side that it is over, as far as that can be sent at once.
    pub fn close(&mut self, cx: &Cx<'_>) {
        if !self.is_over {
            _ = self.with(str0m::Rtc::close);
            self.drain(cx.now);
            self.is_over = true;
        }
    }

    fn create(&mut self, config: ChannelConfig) -> usize {
        let id = self.with(|rtc| rtc.direct_api().create_data_channel(config));
        self.channels.push(Some(id));
        self.channels.len() - 1
    }

    /// Changes the engine, and takes what follows.
    fn touch<R>(&mut self, cx: &Cx<'_>, change: impl FnOnce(&mut str0m::Rtc) -> R) -> R {
        self.advance(cx);
        let result = self.with(change);
        self.drain(cx.now);
        result
    }

    /// What the engine draws comes from the world, where there is one.
    fn with<R>(&mut self, change: impl FnOnce(&mut str0m::Rtc) -> R) -> R {
        #[cfg(feature = "sim")]
        if let Some(rng) = &mut self.rng {
            seeded::seed(rng.u64());
        }
        change(&mut self.engine)
    }

    /// Brings the engine's clock to now. It looks at everything again for that, so it is not told twice.
    fn advance(&mut self, cx: &Cx<'_>) {
        if self.clock != Some(cx.now) {
            self.tick(cx.now);
        }
    }

    fn tick(&mut self, now: Instant) {
        self.clock = Some(now);
        let at = self.crypto.std(now);
        if let Err(error) = self.with(|rtc| rtc.handle_input(Input::Timeout(at))) {
            self.fail(error.to_string());
        }
    }

    /// Takes out what the engine wants to send and to tell.
    fn drain(&mut self, now: Instant) {
        for _ in 0..ROUNDS {
            let Some(at) = self.drain_once() else { return self.deadline = None };
            let at = self.crypto.instant(at);
            self.deadline = at;
            if at.is_none_or(|at| at > now) {
                return;
            }
            self.tick(now);
        }
        self.deadline = Some(now + Duration::from_millis(1));
    }

    fn drain_once(&mut self) -> Option<std::time::Instant> {
        while !self.is_over {
            match self.with(str0m::Rtc::poll_output) {
                Ok(Output::Timeout(at)) => return Some(at),
                Ok(Output::Transmit(transmit)) => self.on_transmit(transmit),
                Ok(Output::Event(event)) => self.on_event(event),
                Err(error) => self.fail(error.to_string()),
            }
        }
        None
    }

    fn on_transmit(&mut self, transmit: str0m::net::Transmit) {
        let data: Vec<u8> = transmit.contents.into();
        let pair = (transmit.source, transmit.destination);
        if is_stun(&data) {
            self.asked.sent(pair.0, pair.1, &data);
        } else {
            self.pair = Some(pair);
        }
        self.transmits.push_back(Outgoing { local: pair.0, to: pair.1, data });
    }

    fn on_event(&mut self, event: RtcEvent) {
        let event = match event {
            RtcEvent::Connected => Event::Connected,
            RtcEvent::IceConnectionStateChange(state) => Event::Ice(from_engine(state)),
            RtcEvent::ChannelOpen(id, label) => return self.on_open(id, label),
            RtcEvent::ChannelData(data) => {
                let Some(channel) = self.place(data.id) else { return };
                Event::Message { channel, binary: data.binary, bytes: data.data }
            }
            RtcEvent::ChannelBufferedAmountLow(_) if std::mem::take(&mut self.is_full) => Event::Writable,
            RtcEvent::ChannelClose(id) => {
                let Some(channel) = self.place(id) else { return };
                self.channels[channel] = None;
                Event::ChannelClosed(channel)
            }
            RtcEvent::Closed => {
                self.is_over = true;
                Event::Over(Over::Closed)
            }
            _ => return,
        };
        self.events.push_back(event);
    }

    fn on_open(&mut self, id: ChannelId, label: String) {
        let place = match self.place(id) {
            Some(place) => place,
            None if self.channels.len() >= MOST_CHANNELS || self.partner == Partner::Own => {
                self.dropped += 1;
                return self.engine.direct_api().close_data_channel(id);
            }
            None => {
                self.channels.push(Some(id));
                self.channels.len() - 1
            }
        };
        if let Some(mut channel) = self.engine.channel(id) {
            channel.set_buffered_amount_low_threshold(WINDOW / 2);
        }
        self.events.push_back(Event::Open(place, label));
    }

    fn place(&self, id: ChannelId) -> Option<usize> {
        self.channels.iter().position(|known| *known == Some(id))
    }

    fn fail(&mut self, why: String) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.events.push_back(Event::Over(Over::Failed(why)));
        }
    }
}

impl std::fmt::Debug for Rtc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rtc").field("partner", &self.partner).field("pair", &self.pair).finish_non_exhaustive()
    }
}

/// Whether a datagram is STUN, by its first byte (RFC 7983).
pub fn is_stun(data: &[u8]) -> bool {
    data.first().is_some_and(|first| *first < 4)
}

fn config(crypto: &Crypto, partner: Partner, creds: IceCreds) -> RtcConfig {
    let version = if partner == Partner::Own { DtlsVersion::Dtls13 } else { DtlsVersion::Dtls12 };
    let mut config = RtcConfig::new()
        .set_crypto_provider(crypto.provider())
        .set_dtls_cert(crypto.certificate())
        .set_local_ice_credentials(creds)
        .set_dtls_version(version)
        .set_sctp_max_buffered_amount(4 * WINDOW)
        .set_sctp_max_message_size(MESSAGE)
        .set_mtu(MTU..=MTU + 130)
        .clear_codecs();
    config.set_initial_stun_rto(CHECK);
    config.set_max_stun_retransmits(CHECKS - 1);
    config
}

fn init_chunk() -> Result<(Option<SctpInitData>, Option<Vec<u8>>), String> {
    let mut init = SctpInitData::new();
    let chunk = init.local_init_chunk().map_err(|error| error.to_string())?;
    Ok((Some(init), Some(chunk)))
}

fn bulk() -> ChannelConfig {
    let spec = ChannelSpec { label: "bulk".to_owned(), ordered: false, max_retransmits: None, negotiated: Some(0) };
    config_of(spec)
}

fn quick() -> ChannelConfig {
    let spec = ChannelSpec { label: "quick".to_owned(), ordered: false, max_retransmits: Some(0), negotiated: Some(1) };
    config_of(spec)
}

fn config_of(spec: ChannelSpec) -> ChannelConfig {
    let reliability = match spec.max_retransmits {
        None => SctpReliability::Reliable,
        Some(retransmits) => SctpReliability::MaxRetransmits { retransmits },
    };
    let ChannelSpec { label, ordered, negotiated, .. } = spec;
    ChannelConfig { label, ordered, reliability, negotiated, protocol: String::new() }
}

/// Characters of ICE (RFC 8839, section 5.4), six random bits each.
fn ice_chars(rng: &mut Rng, len: usize) -> String {
    const CHARS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    (0..len).map(|_| char::from(CHARS[(rng.u32() & 63) as usize])).collect()
}

/// A candidate of ours as the engine has it: it sends from its base, which for a relayed one is itself.
fn local_candidate(candidate: &Candidate) -> Option<RtcCandidate> {
    let address = candidate.address;
    let base = candidate.related.unwrap_or(address);
    match candidate.kind {
        CandidateKind::Host => RtcCandidate::host(address, Protocol::Udp).ok(),
        CandidateKind::ServerReflexive => RtcCandidate::server_reflexive(address, base, Protocol::Udp).ok(),
        CandidateKind::Relayed => RtcCandidate::relayed(address, base, Protocol::Udp).ok(),
        CandidateKind::PeerReflexive => None,
    }
}

const fn from_engine(state: IceConnectionState) -> IceState {
    match state {
        IceConnectionState::New => IceState::New,
        IceConnectionState::Checking => IceState::Checking,
        IceConnectionState::Connected => IceState::Connected,
        IceConnectionState::Completed => IceState::Completed,
        IceConnectionState::Disconnected => IceState::Disconnected,
    }
}

#[cfg(test)]
mod tests;
