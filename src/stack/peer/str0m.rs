//! The engine that `str0m` is: ICE, DTLS and SCTP, and media once there is any.
//!
//! The only file that touches [`str0m::Rtc`]. Every change goes through one function, `touch`, which drains it to its
//! next time-out: what it wants to send and to tell waits in queues until it is polled.
//!
//! *Partners.* Two peers of this library speak DTLS 1.3 and exchange SCTP's INIT chunks in their descriptions
//! (draft-hancke-tsvwg-snap), so that the first message arrives after 2.5 round trips; and without INIT no timer of
//! `sctp-proto` reads the clock. Others get DTLS 1.2 and SCTP's handshake.
//!
//! *Channels.* Between partners of this library there are two, agreed on beforehand ([`ChannelSpec::agreed`]). Foreign
//! peers open their own (RFC 8832).
//!
//! *Window.* At most [`WINDOW`] bytes are unacknowledged, in all channels. More would gain little and cost much, for
//! SCTP here walks over all of it. What is received can't be stopped: more than [`EngineConfig::inbox`] waiting bytes
//! end the peer.
//!
//! *Bounds.* [`MOST_REMOTES`] remote candidates in the life of a peer, for the engine forgets none at an ICE restart; those
//! until a restart and the datagrams sent to addresses that have not answered are counted by whoever owns
//! the peer. What the engine does not accept from the network is a counted drop; an error of its own ends the peer.
//!
//! # Determinism
//!
//! Addresses, sizes and times follow from the seed in worlds, whose [`Crypto`] is seeded. SCTP's tags and first
//! numbers are drawn by `sctp-proto` from the system; they change no size and no time. A world in which SCTP shakes
//! hands (a foreign partner) is not repeatable when an INIT is lost: that timer reads the clock.

mod inbox;
mod provider;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Duration;

use inbox::Inbox;
use str0m::channel::{ChannelConfig, ChannelId, Reliability as SctpReliability, SctpInitData};
use str0m::config::{DtlsVersion, Fingerprint as RtcFingerprint};
use str0m::net::{Protocol, Receive};
use str0m::{Candidate as RtcCandidate, Event as RtcEvent, IceConnectionState, IceCreds, Input, Output, RtcConfig};

use super::crypto::Crypto;
use super::engine::{
    ChannelSpec, EngineConfig, Event, IceState, Local, MOST_CHANNELS, MOST_MESSAGE, Message, Over, Partner, Remote,
    Sent, Version,
};
#[cfg(feature = "sim")]
use crate::link::dtls::seeded;
use crate::link::ice::{Asked, Credentials};
use crate::machine::datagram::Ecn;
#[cfg(feature = "sim")]
use crate::machine::rng::Rng;
use crate::machine::time::Instant;
use crate::machine::{Cx, Deadline};
use crate::wire::candidate::{Candidate, CandidateKind};
use crate::wire::demux::is_stun;

/// Bytes that may be unacknowledged, in all channels together: four packets of a session.
pub const WINDOW: usize = 4 * (16 * 1024 + 64);
/// Bytes of a datagram that the engine aims at.
const MTU: usize = 1150;
/// The first time-out of a check; it doubles.
const CHECK: Duration = Duration::from_millis(100);
/// Times that a check is sent.
const CHECKS: usize = 7;
/// Rounds of a time-out that is due at once, after which the engine is left alone until something happens.
const ROUNDS: usize = 16;

/// Remote candidates that an engine is told of.
pub const MOST_REMOTES: usize = 1_024;

/// A datagram to be sent.
#[derive(Debug)]
struct Outgoing {
    local: SocketAddr,
    to: SocketAddr,
    data: Vec<u8>,
}

/// One peer.
pub struct Str0m {
    engine: str0m::Rtc,
    crypto: Crypto,
    /// Of a world: seeds what the engine draws.
    #[cfg(feature = "sim")]
    rng: Option<Rng>,
    config: EngineConfig,
    local: Local,
    init: Option<SctpInitData>,
    is_started: bool,
    channels: Vec<Option<ChannelId>>,
    /// Nobody could write, and nobody was told of room since.
    is_full: bool,
    deadline: Option<Instant>,
    transmits: VecDeque<Outgoing>,
    events: VecDeque<Event>,
    inbox: Inbox,
    /// Remote candidates that the engine was told of.
    remotes: usize,
    /// Bytes of the largest message that the other side takes.
    most_message: usize,
    pair: Option<(SocketAddr, SocketAddr)>,
    asked: Asked,
    is_over: bool,
    /// Up to when the engine knows the time.
    clock: Option<Instant>,
    dropped: u64,
}

impl Str0m {
    /// A peer that has not begun.
    ///
    /// # Errors
    /// The engine's, in words: there is no randomness, or a certificate that does not fit.
    pub fn new(cx: &mut Cx<'_>, crypto: &Crypto, config: EngineConfig) -> Result<Self, String> {
        let Credentials { ufrag, password } = Credentials::draw(cx.rng);
        #[cfg(feature = "sim")]
        let rng = crypto.is_seeded().then(|| cx.rng.fork());
        let creds = IceCreds { ufrag: ufrag.clone(), pass: password.clone() };
        let now = crypto.std(cx.now);
        #[cfg(feature = "sim")]
        if crypto.is_seeded() {
            seeded::seed(cx.rng.u64());
        }
        let mut engine = rtc_config(crypto, config.version, creds).build(now);
        engine.direct_api().set_ice_controlling(config.is_controlling);
        let (init, sctp_init) = if config.partner == Partner::Own { init_chunk()? } else { (None, None) };
        let local = Local { ufrag, password, fingerprint: crypto.fingerprint(), sctp_init };
        Ok(Self {
            engine,
            crypto: crypto.clone(),
            #[cfg(feature = "sim")]
            rng,
            config,
            local,
            init,
            is_started: false,
            channels: Vec::new(),
            is_full: false,
            deadline: None,
            transmits: VecDeque::new(),
            events: VecDeque::new(),
            inbox: Inbox::default(),
            remotes: 0,
            most_message: 0,
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
    pub fn start(&mut self, cx: &Cx<'_>, remote: &Remote, is_active: bool) -> Result<(), String> {
        let creds = IceCreds { ufrag: remote.ufrag.clone(), pass: remote.password.clone() };
        self.most_message = remote.most_message();
        if std::mem::replace(&mut self.is_started, true) {
            self.touch(cx, |rtc| rtc.direct_api().set_remote_ice_credentials(creds));
            return Ok(());
        }
        let fingerprint = RtcFingerprint { hash_func: "sha-256".to_owned(), bytes: remote.fingerprint.to_vec() };
        let init = self.init.take().zip(remote.sctp_init.clone()).map(|(mut init, chunk)| {
            init.set_remote_init_chunk(chunk);
            init
        });
        self.advance(cx);
        let started = self.with(|rtc| {
            let mut api = rtc.direct_api();
            api.set_remote_fingerprint(fingerprint);
            api.set_remote_ice_credentials(creds);
            api.start_dtls(is_active)?;
            match init {
                Some(init) => api.start_sctp_with_snap(is_active, init)?,
                None => api.start_sctp(is_active),
            }
            Ok::<_, str0m::RtcError>(())
        });
        started.map_err(|error| error.to_string())?;
        if self.config.partner == Partner::Own {
            for spec in ChannelSpec::agreed() {
                self.create(config_of(spec));
            }
        }
        self.drain(cx.now);
        Ok(())
    }

    /// Takes other ICE credentials for a restart (RFC 8445, section 2.4); they are in [`Self::local`] then.
    pub fn restart(&mut self, cx: &mut Cx<'_>) {
        let Credentials { ufrag, password } = Credentials::draw(cx.rng);
        (self.local.ufrag, self.local.password) = (ufrag, password);
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

    /// One more address of the other side. False: it is of no use to the engine, or there are too many.
    pub fn add_remote(&mut self, cx: &Cx<'_>, candidate: &Candidate) -> bool {
        let Ok(candidate) = RtcCandidate::from_sdp_string(&candidate.to_string()) else { return false };
        if self.remotes >= MOST_REMOTES {
            return false;
        }
        self.remotes += 1;
        self.touch(cx, |rtc| rtc.add_remote_candidate(candidate));
        true
    }

    /// Checks a pair now, if one waits: the engine paces its checks, and would begin after a pause.
    pub fn check(&mut self, cx: &Cx<'_>) {
        self.tick(cx.now);
        self.drain(cx.now);
    }

    /// Takes in one datagram; `local` is the base of the candidate that it came to.
    pub fn receive(&mut self, cx: &Cx<'_>, local: SocketAddr, source: SocketAddr, _: Option<Ecn>, data: &[u8]) {
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

    /// Appends datagrams that are to be sent.
    pub fn poll_transmit(&mut self, _: &Cx<'_>, out: &mut Vec<u8>, most: usize) -> Option<Sent> {
        let Some(Outgoing { local, to, data }) = self.transmits.pop_front() else {
            self.transmits = VecDeque::new();
            return None;
        };
        let (start, segment) = (out.len(), data.len());
        out.extend_from_slice(&data);
        let fits = |next: &Outgoing, len: usize| {
            (next.local, next.to) == (local, to) && next.data.len() <= segment && len + next.data.len() <= most
        };
        while (out.len() - start).is_multiple_of(segment)
            && let Some(next) = self.transmits.front().filter(|next| fits(next, out.len() - start))
        {
            out.extend_from_slice(&next.data);
            self.transmits.pop_front();
        }
        Some(Sent { local, to, segment, ecn: None })
    }

    /// What has happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        let is_last = |event: &Event| matches!(event, Event::ChannelClosed(_) | Event::Over(_));
        if self.events.front().is_some_and(is_last) && self.inbox.has_ready() {
            return None;
        }
        let next = self.events.pop_front();
        if next.is_none() && self.events.capacity() > 0 {
            self.events = VecDeque::new();
        }
        next
    }

    /// The next message of a channel that is not held.
    pub fn poll_message(&mut self, _: &Cx<'_>) -> Option<Message<'_>> {
        self.inbox.take()
    }

    /// Holds a channel's messages back, or lets them go again.
    pub fn hold(&mut self, channel: usize, is_held: bool) {
        self.inbox.hold(channel, is_held);
    }

    /// Opens a channel towards a foreign peer; [`Event::Open`] follows. None: there are too many.
    pub fn open_channel(&mut self, cx: &Cx<'_>, spec: ChannelSpec) -> Option<usize> {
        let taken = |number| self.channels.len() > usize::from(number) && self.config.partner == Partner::Own;
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

    /// Bytes that may be written now, in all channels.
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

    /// Writes one message that fits [`Self::room`]. False: it was not taken; the engine can't send an empty one.
    pub fn write(&mut self, cx: &Cx<'_>, channel: usize, is_binary: bool, message: &[u8]) -> bool {
        if message.is_empty() || message.len() > self.most_message {
            return false;
        }
        let Some(id) = self.channels.get(channel).copied().flatten() else { return false };
        self.touch(cx, |rtc| {
            let written = rtc.channel(id).map(|mut channel| channel.write(is_binary, message));
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
            RtcEvent::ChannelData(data) => return self.on_message(data),
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

    fn on_message(&mut self, data: str0m::channel::ChannelData) {
        let Some(channel) = self.place(data.id) else { return };
        self.inbox.push(channel, data.binary, data.data);
        if self.inbox.bytes() > self.config.inbox && !std::mem::replace(&mut self.is_over, true) {
            self.events.push_back(Event::Over(Over::Flooded));
        }
    }

    fn on_open(&mut self, id: ChannelId, label: String) {
        let place = match self.place(id) {
            Some(place) => place,
            None if self.channels.len() >= MOST_CHANNELS || self.config.partner == Partner::Own => {
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

impl std::fmt::Debug for Str0m {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Str0m").field("config", &self.config).field("pair", &self.pair).finish_non_exhaustive()
    }
}

fn rtc_config(crypto: &Crypto, version: Version, creds: IceCreds) -> RtcConfig {
    let version = match version {
        Version::Dtls12 => DtlsVersion::Dtls12,
        Version::Dtls13 => DtlsVersion::Dtls13,
        Version::Auto => DtlsVersion::Auto,
    };
    let mut config = RtcConfig::new()
        .set_crypto_provider(provider::of(crypto))
        .set_dtls_cert(provider::certificate(crypto.certificate()))
        .set_local_ice_credentials(creds)
        .set_dtls_version(version)
        .set_sctp_max_buffered_amount(4 * WINDOW)
        .set_sctp_max_message_size(MOST_MESSAGE as u32)
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

fn config_of(spec: ChannelSpec) -> ChannelConfig {
    let reliability = match spec.max_retransmits {
        None => SctpReliability::Reliable,
        Some(retransmits) => SctpReliability::MaxRetransmits { retransmits },
    };
    let ChannelSpec { label, ordered, negotiated, .. } = spec;
    ChannelConfig { label, ordered, reliability, negotiated, protocol: String::new() }
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
