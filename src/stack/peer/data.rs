//! The engine of this library: ICE, DTLS records and SCTP of our own, for peers without media.
//!
//! A [`Data`] composes [`Ice`], [`Dtls`] and [`Association`], each of which is documented and usable by itself. It speaks
//! to whatever else speaks WebRTC data channels, and needs neither hub nor driver:
//!
//! ```
//! use std::time::Duration;
//!
//! use switchboard::machine::Cx;
//! use switchboard::machine::ids::Ids;
//! use switchboard::machine::rng::Rng;
//! use switchboard::machine::time::{Epoch, Instant};
//! use switchboard::stack::peer::data::Data;
//! use switchboard::stack::peer::engine::{BULK, EngineConfig, Event, Partner, Remote};
//! use switchboard::stack::peer::Crypto;
//! use switchboard::wire::candidate::{Candidate, CandidateKind};
//!
//! let (mut rng, mut ids) = (Rng::from_seed([7; 32]), Ids::new()); // A program asks its system for a seed.
//! let epoch = Epoch::new(std::time::Instant::now(), Duration::from_secs(1_800_000_000));
//! let crypto = Crypto::new(epoch, &mut rng)?;
//! let mut now = Instant::from_nanos(1_000_000_000);
//! let mut cx = Cx { now, unix: Duration::ZERO, rng: &mut rng, ids: &mut ids };
//!
//! // Two peers, and what signalling would carry: a description and a candidate each way.
//! let hosts = ["192.0.2.1:1000", "192.0.2.2:2000"].map(|host| host.parse().unwrap());
//! let mut peers = [true, false].map(|is_controlling| {
//!     Data::new(&mut cx, &crypto, EngineConfig::new(Partner::Own, is_controlling))
//! });
//! let remotes = [1, 0].map(|n: usize| Remote::from(peers[n].local()));
//! for n in [0, 1] {
//!     let host = |n: usize| Candidate::new(CandidateKind::Host, hosts[n], None);
//!     peers[n].add_local(&mut cx, &host(n));
//!     peers[n].start(&mut cx, &remotes[n], n == 0)?;
//!     peers[n].add_remote(&mut cx, &host(1 - n));
//! }
//! // A loop in place of two sockets and a clock.
//! let mut heard = None;
//! while heard.is_none() {
//!     for n in [0, 1] {
//!         let mut cx = Cx { now, unix: Duration::ZERO, rng: &mut rng, ids: &mut ids };
//!         peers[n].on_timeout(&mut cx);
//!         while let Some(event) = peers[n].poll_event() {
//!             if n == 0 && event == Event::Open(BULK, "bulk".to_owned()) {
//!                 assert!(peers[n].write(&cx, BULK, false, b"hello"));
//!             }
//!         }
//!         heard = heard.or(peers[n].poll_message(&cx).map(|message| message.bytes.to_vec()));
//!         let mut batch = Vec::new();
//!         while let Some(sent) = peers[n].poll_transmit(&cx, &mut batch, 64_000) {
//!             for datagram in batch.chunks_mut(sent.segment) {
//!                 peers[1 - n].receive(&mut cx, sent.to, sent.local, None, datagram);
//!             }
//!             batch.clear();
//!         }
//!     }
//!     now = now + Duration::from_millis(1);
//! }
//! assert_eq!(heard.as_deref(), Some(b"hello".as_slice()));
//! # Ok::<(), String>(())
//! ```
//!
//! # How it works
//!
//! *Partners.* Two of this library speak DTLS 1.3 and carry SCTP's INIT chunks in their descriptions
//! (draft-hancke-tsvwg-snap), so that the first message arrives after 2.5 round trips; they leave checksums to DTLS (RFC
//! 9653) and interleave messages (RFC 8260). Others get SCTP's handshake, and whatever they say that they can.
//!
//! *Order of things.* DTLS begins with the first pair of addresses, not before: its first flight would only be lost. SCTP
//! begins with DTLS. Datagrams are told apart by their first byte (RFC 7983).
//!
//! *Sending* writes what ICE has to say, then what DTLS has, then SCTP's packets, each sealed where it lies in the
//! caller's buffer, as long as they are of one length. One that is longer than those before it waits for the next batch.
//! It pays to take in all that has come before anything is taken out: it is acknowledged at once then.
//!
//! *Receiving* decrypts a datagram where it lies, and lends its text to SCTP.
//!
//! *Room.* Besides the association's bound, [`UNSENT`] bytes at most wait to be sent for the first time: who writes decides
//! late what comes next. What is under way is bounded by the congestion controller.
//!
//! *Without a pair*, or without consent to use it, nothing is sent and SCTP's clocks rest; with the next pair all goes on, and
//! what was measured on the one before is forgotten.
//!
//! *The end.* [`Data::close`] lets what may still be sent go, then an ABORT and a close_notify, in datagrams that wait to be
//! taken. Who hears either has closed; so has who hears a rule broken. What came before can still be taken.
//!
//! *Bounds* are those of [`sctp::Config`], [`ice`] and [`dtls`]; [`MOST_CHANNELS`] channels.
//!
//! *Determinism.* With a world's [`Crypto`] all bytes follow from the caller's randomness.

mod channels;
mod closing;
mod sending;

use std::collections::VecDeque;
use std::net::SocketAddr;

use channels::{Channels, Opening};

use super::crypto::Crypto;
use super::engine::{ChannelSpec, EngineConfig, Event, IceState, Local, MOST_CHANNELS, Message, Over, Partner, Remote};
use crate::link::dtls::{self, Dtls};
use crate::link::ice::{self, Credentials, Ice};
use crate::link::sctp::{self, Association};
use crate::machine::datagram::Ecn;
use crate::machine::time::Instant;
use crate::machine::{Cx, Deadline};
use crate::wire::candidate::{Candidate, CandidateKind};
use crate::wire::demux::Carried;

/// Bytes written that may wait to be sent for the first time.
pub const UNSENT: usize = 128 * 1024;
/// Time-outs in a row after which an association is lost. RFC 9260's 10 end one in a thousand runs of them at 30 % of loss.
const PATIENCE: u32 = 30;
/// What DTLS adds to an SCTP packet at most, rounded up.
const OVERHEAD: usize = 40;
/// Bytes of a datagram that passes everywhere.
const DATAGRAM: usize = 1_200;
/// Bytes of the longest datagram that is tried.
const MOST_DATAGRAM: usize = 1_480;
/// Addresses of relays that are known, of both sides; of more the oldest is forgotten.
const MOST_RELAYED: usize = 64;

/// One peer.
pub struct Data {
    config: EngineConfig,
    crypto: Crypto,
    local: Local,
    ice: Ice,
    dtls: Stage,
    dtls_seed: Option<u64>,
    is_client: bool,
    sctp: Association,
    channels: Channels,
    events: VecDeque<Event>,
    /// Sealed datagrams that did not fit a batch, or are the last ones.
    spilled: VecDeque<Vec<u8>>,
    /// Somebody waits for room.
    is_full: bool,
    /// Addresses of relays, of either side.
    relayed: Vec<SocketAddr>,
    has_lost_consent: bool,
    /// How it ended; told once all messages are taken.
    end: Option<Over>,
    is_over: bool,
    /// The latest time that was told.
    now: Instant,
    dropped: u64,
}

/// How far DTLS is.
enum Stage {
    /// The other side is not known.
    New,
    /// There is no pair yet.
    Ready([u8; 32]),
    /// It shakes hands, or is connected.
    Begun(Box<Dtls>),
}

impl Data {
    /// A peer that has not begun.
    pub fn new(cx: &mut Cx<'_>, crypto: &Crypto, config: EngineConfig) -> Self {
        Self::with(cx, crypto, config, Self::association_config(&config))
    }

    /// The same, with an association of one's own choice: usually [`Self::association_config`] with changes.
    pub fn with(cx: &mut Cx<'_>, crypto: &Crypto, config: EngineConfig, association: sctp::Config) -> Self {
        let seeds = crypto.is_seeded().then(|| cx.rng.fork());
        let dtls_seed = crypto.is_seeded().then(|| cx.rng.u64());
        let ice = Ice::new(cx.rng, crypto.epoch(), ice::Config::new(config.is_controlling), seeds);
        let sctp = Association::new(association, cx.rng);
        let Credentials { ufrag, password } = ice.local().clone();
        let sctp_init = (config.partner == Partner::Own).then(|| sctp.init_chunk());
        let local = Local { ufrag, password, fingerprint: crypto.fingerprint(), sctp_init };
        Self {
            config,
            crypto: crypto.clone(),
            local,
            ice,
            dtls: Stage::New,
            dtls_seed,
            is_client: false,
            sctp,
            channels: Channels::default(),
            events: VecDeque::new(),
            spilled: VecDeque::new(),
            is_full: false,
            relayed: Vec::new(),
            has_lost_consent: false,
            end: None,
            is_over: false,
            now: cx.now,
            dropped: 0,
        }
    }

    /// What an association is made with: datagrams of 1,200 bytes to begin with and of 1,480 at most, a window of
    /// [`EngineConfig::inbox`], and 4 MiB that may be unacknowledged. It gives up after 30 time-outs in a row, some four
    /// minutes: whether the other side is there is for ICE's consent checks to say.
    pub fn association_config(config: &EngineConfig) -> sctp::Config {
        let is_own = config.partner == Partner::Own;
        sctp::Config {
            packet: DATAGRAM - OVERHEAD,
            most_packet: MOST_DATAGRAM - OVERHEAD,
            receive_window: u32::try_from(config.inbox).unwrap_or(u32::MAX),
            send_bound: 4 << 20,
            zero_checksum: true,
            interleaving: is_own,
            max_channels: MOST_CHANNELS,
            most_retransmits: PATIENCE,
            most_setup_retransmits: PATIENCE,
            ..sctp::Config::default()
        }
    }

    /// What our description says.
    pub const fn local(&self) -> &Local {
        &self.local
    }

    /// Begins, towards the other side: `is_active` connects by DTLS. Called again with other credentials it is an ICE
    /// restart; then all else must be as before.
    ///
    /// # Errors
    /// In words: the other side's INIT chunk can't be read.
    pub fn start(&mut self, cx: &mut Cx<'_>, remote: &Remote, is_active: bool) -> Result<(), String> {
        self.advance(cx.now);
        if matches!(self.dtls, Stage::New) {
            self.is_client = is_active;
            self.begin_association(cx.now, remote)?;
            self.dtls = Stage::Ready(remote.fingerprint);
        }
        let Remote { ufrag, password, .. } = remote.clone();
        self.ice.start(cx.now, &Credentials { ufrag, password });
        self.settle();
        Ok(())
    }

    fn begin_association(&mut self, now: Instant, remote: &Remote) -> Result<(), String> {
        self.sctp.set_peer_max_message(remote.most_message());
        match remote.sctp_init.as_ref().filter(|_| self.config.partner == Partner::Own) {
            Some(init) => self.sctp.start_with(now, init, self.is_client).map_err(|error| error.to_string())?,
            None => self.sctp.listen(self.is_client),
        }
        if self.config.partner == Partner::Own {
            for spec in ChannelSpec::agreed() {
                self.channels.add(spec);
            }
        }
        while let Err(place) = self.open_waiting(now) {
            self.events.push_back(Event::ChannelClosed(place));
        }
        Ok(())
    }

    /// Takes other ICE credentials for a restart (RFC 8445, section 2.4); they are in [`Self::local`] then.
    pub fn restart(&mut self, cx: &mut Cx<'_>) {
        self.ice.restart(cx.rng);
        let Credentials { ufrag, password } = self.ice.local().clone();
        (self.local.ufrag, self.local.password) = (ufrag, password);
    }

    /// One more address of ours. False: it is of no use.
    pub fn add_local(&mut self, cx: &mut Cx<'_>, candidate: &Candidate) -> bool {
        self.advance(cx.now);
        self.note_relayed(candidate);
        let is_added = self.ice.add_local(cx.now, candidate);
        self.settle();
        is_added
    }

    /// An address of ours that is gone.
    pub fn remove_local(&mut self, cx: &mut Cx<'_>, candidate: &Candidate) {
        self.advance(cx.now);
        self.ice.remove_local(cx.now, candidate);
        self.settle();
    }

    /// One more address of the other side. False: it is of no use, or there are too many.
    pub fn add_remote(&mut self, cx: &mut Cx<'_>, candidate: &Candidate) -> bool {
        self.advance(cx.now);
        self.note_relayed(candidate);
        let is_added = self.ice.add_remote(cx.now, candidate);
        self.settle();
        is_added
    }

    /// Checks a pair now, if one waits.
    pub fn check(&mut self, cx: &mut Cx<'_>) {
        self.advance(cx.now);
        self.ice.check(cx.now);
        self.settle();
    }

    /// Takes in one datagram, which is decrypted in place; `local` is the base of the candidate that it came to. Marks of
    /// congestion change nothing yet: no sender of data channels sets the bits that allow them.
    pub fn receive(&mut self, cx: &mut Cx<'_>, local: SocketAddr, source: SocketAddr, _: Option<Ecn>, data: &mut [u8]) {
        self.advance(cx.now);
        match Carried::of(data) {
            _ if self.is_over => self.dropped += 1,
            Carried::Stun => _ = self.ice.receive(cx.now, local, source, data),
            Carried::Dtls => self.receive_record(data),
            Carried::Other => self.dropped += 1,
        }
        self.settle();
    }

    fn receive_record(&mut self, data: &mut [u8]) {
        let now = self.now;
        if !self.is_client {
            self.begin_dtls();
        }
        match self {
            Self { dtls: Stage::Begun(dtls), sctp, .. } => dtls.receive(now, data, |packet| sctp.receive(now, packet)),
            _ => self.dropped += 1,
        }
    }

    /// Lets time pass.
    pub fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        self.now = cx.now;
        self.pass();
    }

    /// When [`Self::on_timeout`] is due. What waits to be taken out needs no time-out.
    pub fn deadline(&self) -> Option<Deadline> {
        if self.is_over {
            return None;
        }
        self.deadlines().filter(|deadline| deadline.at > self.now).min_by_key(|deadline| deadline.at)
    }

    /// It is so late now. What has fallen due is done first, for [`Self::deadline`] tells only of what is to come, and
    /// a call may be ahead of the time-out.
    fn advance(&mut self, now: Instant) {
        if now > self.now {
            self.now = now;
            if self.deadlines().any(|deadline| deadline.at <= now) {
                self.pass();
            }
        }
    }

    fn pass(&mut self) {
        let now = self.now;
        self.ice.on_timeout(now);
        if let Stage::Begun(dtls) = &mut self.dtls {
            dtls.on_timeout(now);
        }
        if self.can_send() {
            self.sctp.on_timeout(now);
        }
        self.settle();
    }

    fn deadlines(&self) -> impl Iterator<Item = Deadline> {
        let dtls = if let Stage::Begun(dtls) = &self.dtls { dtls.deadline() } else { None };
        let sctp = self.sctp.deadline().filter(|_| self.can_send());
        [self.ice.deadline(), dtls, sctp].into_iter().flatten()
    }

    /// What has happened. To be asked until there is nothing, before each [`Self::poll_message`].
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.events.is_empty() {
            self.settle_association();
        }
        if self.end.is_some() && self.events.is_empty() && !self.sctp.has_message() {
            self.events.extend(self.end.take().map(Event::Over));
        }
        let next = self.events.pop_front();
        if next.is_none() && self.events.capacity() > 0 {
            self.events = VecDeque::new();
        }
        next
    }

    /// The next message of a channel that is not held, lent until the peer is used again.
    pub fn poll_message(&mut self, cx: &Cx<'_>) -> Option<Message<'_>> {
        self.advance(cx.now);
        let message = self.sctp.recv(cx.now)?;
        let channel = self.channels.place(message.stream)?;
        Some(Message { channel, is_binary: message.is_binary, bytes: message.bytes })
    }

    /// Holds a channel's messages back, or lets them go again.
    pub fn hold(&mut self, channel: usize, is_held: bool) {
        if let Some(stream) = self.channels.stream(channel) {
            self.sctp.hold(stream, is_held);
        }
    }

    /// Opens a channel towards a foreign peer; [`Event::Open`] follows, or [`Event::ChannelClosed`] if the other side's
    /// description shows that it can't be. None: there are too many, or the number is taken.
    pub fn open_channel(&mut self, cx: &mut Cx<'_>, spec: ChannelSpec) -> Option<usize> {
        self.advance(cx.now);
        // What is closed for the association still has its place here, and may have its id.
        self.settle_association();
        let is_taken = spec.negotiated.is_some_and(|stream| self.channels.place(stream).is_some());
        if is_taken || self.channels.len() >= MOST_CHANNELS || self.is_over {
            return None;
        }
        let place = self.channels.add(spec);
        let is_open = matches!(self.dtls, Stage::New) || self.open_waiting(cx.now).is_ok();
        self.settle();
        is_open.then_some(place)
    }

    /// Asks the association for channels that wait for it to begin; it ends with the first that it does not open.
    fn open_waiting(&mut self, now: Instant) -> Result<(), usize> {
        while let Some(Opening { place, config }) = self.channels.next_opening() {
            let Ok(stream) = self.sctp.open(now, config) else {
                self.channels.remove(place);
                return Err(place);
            };
            self.channels.assign(place, stream);
        }
        if self.channels.is_connected() {
            self.tell_negotiated();
        }
        Ok(())
    }

    /// Closes a channel of a foreign peer.
    pub fn close_channel(&mut self, cx: &mut Cx<'_>, channel: usize) {
        self.advance(cx.now);
        if let Some(stream) = self.channels.stream(channel) {
            self.sctp.close_channel(cx.now, stream);
        }
        self.settle();
    }

    /// Bytes that may be written now, in all channels.
    pub fn room(&self) -> usize {
        self.sctp.room().min(UNSENT.saturating_sub(self.sctp.unsent()))
    }

    /// Notes that somebody waits for room.
    pub const fn want_room(&mut self) {
        self.is_full = true;
    }

    /// Writes one message, perhaps an empty one, that fits [`Self::room`]. False: it was not taken, as one that is larger
    /// than [`Remote::max_message`].
    pub fn write(&mut self, cx: &Cx<'_>, channel: usize, is_binary: bool, message: &[u8]) -> bool {
        self.advance(cx.now);
        let Some(stream) = self.channels.stream(channel) else { return false };
        self.sctp.write(cx.now, stream, is_binary, message)
    }

    /// The addresses, ours first, between which data goes; none before that, and without consent.
    pub fn pair(&self) -> Option<(SocketAddr, SocketAddr)> {
        self.ice.pair()
    }

    /// Datagrams that were of no use.
    pub const fn dropped(&self) -> u64 {
        self.dropped + self.ice.dropped()
    }

    /// The agent, for what it measures.
    pub const fn ice(&self) -> &Ice {
        &self.ice
    }

    /// The DTLS connection, for what it counts; none before there is a pair.
    pub fn dtls(&self) -> Option<&Dtls> {
        if let Stage::Begun(dtls) = &self.dtls { Some(dtls) } else { None }
    }

    /// The association, for what it counts and measures.
    pub const fn association(&self) -> &Association {
        &self.sctp
    }

    /// Whether SCTP's packets may go.
    fn can_send(&self) -> bool {
        self.dtls().is_some_and(Dtls::is_connected) && self.ice.pair().is_some()
    }

    /// Takes what follows from whatever was done.
    fn settle(&mut self) {
        while let Some(event) = self.ice.poll_event() {
            self.on_ice(event);
        }
        while let Stage::Begun(dtls) = &mut self.dtls
            && let Some(event) = dtls.poll_event()
        {
            self.on_dtls(event);
        }
        self.settle_association();
        if self.is_full && self.room() >= UNSENT / 2 {
            self.is_full = false;
            self.events.push_back(Event::Writable);
        }
    }

    fn settle_association(&mut self) {
        while let Some(event) = self.sctp.poll_event() {
            self.on_association(event);
        }
    }

    fn on_ice(&mut self, event: ice::Event) {
        match event {
            // Without consent there is no pair, whatever the agent takes one for.
            ice::Event::State(IceState::Connected | IceState::Completed) if self.has_lost_consent => {}
            ice::Event::State(state) => self.events.push_back(Event::Ice(state)),
            ice::Event::Pair(local, remote) => self.on_pair(local, remote),
            ice::Event::ConsentLost => {
                self.has_lost_consent = true;
                self.events.push_back(Event::Ice(IceState::Disconnected));
            }
        }
    }

    fn on_pair(&mut self, local: SocketAddr, remote: SocketAddr) {
        if std::mem::take(&mut self.has_lost_consent) {
            self.events.push_back(Event::Ice(IceState::Connected));
        }
        self.begin_dtls();
        let is_relayed = self.relayed.contains(&local) || self.relayed.contains(&remote);
        let checked = self.ice.rtt().filter(|_| self.config.partner == Partner::Own);
        self.sctp.on_path(self.now, !is_relayed, checked);
        if self.can_send() {
            // Its clocks have rested; what fell due meanwhile would not be told of again.
            self.sctp.on_timeout(self.now);
        }
    }

    /// A relay adds to each datagram, so larger ones are not tried over it.
    fn note_relayed(&mut self, candidate: &Candidate) {
        if candidate.kind != CandidateKind::Relayed || self.relayed.contains(&candidate.address) {
            return;
        }
        if self.relayed.len() >= MOST_RELAYED {
            self.relayed.remove(0);
        }
        self.relayed.push(candidate.address);
    }

    /// DTLS begins, if it waits for that.
    fn begin_dtls(&mut self) {
        let Stage::Ready(fingerprint) = self.dtls else { return };
        let (context, version) = (self.crypto.dtls(), self.config.version);
        let dtls = Dtls::new(context, self.now, version, self.is_client, fingerprint, self.dtls_seed);
        self.dtls = Stage::Begun(Box::new(dtls));
    }

    fn on_dtls(&mut self, event: dtls::Event) {
        match event {
            dtls::Event::Connected => {
                self.events.push_back(Event::Connected);
                self.sctp.connect(self.now, self.is_client);
            }
            dtls::Event::Closed => self.finish(Over::Closed),
            dtls::Event::Failed(broken) => self.finish(Over::Failed(broken.to_string())),
        }
    }

    fn on_association(&mut self, event: sctp::Event) {
        match event {
            sctp::Event::Connected => {
                self.channels.connect();
                self.tell_negotiated();
            }
            sctp::Event::Open(opened) => self.on_open(opened),
            sctp::Event::Closed(stream) => {
                let place = self.channels.forget(stream);
                self.events.extend(place.map(Event::ChannelClosed));
            }
            sctp::Event::Writable => {}
            sctp::Event::Over(sctp::Over::Closed | sctp::Over::Aborted { .. }) => self.finish(Over::Closed),
            sctp::Event::Over(over) => self.finish(Over::Failed(over.to_string())),
        }
    }

    /// A partner of this library has all its channels from the beginning.
    fn on_open(&mut self, opened: sctp::Opened) {
        if self.config.partner == Partner::Own && opened.is_by_peer {
            self.dropped += 1;
            return self.sctp.close_channel(self.now, opened.stream);
        }
        let place = self.channels.place_of(opened.stream);
        self.events.push_back(Event::Open(place, opened.label));
    }

    fn tell_negotiated(&mut self) {
        while let Some((place, label)) = self.channels.next_negotiated() {
            self.events.push_back(Event::Open(place, label));
        }
    }

    fn finish(&mut self, over: Over) {
        if !std::mem::replace(&mut self.is_over, true) {
            self.end = Some(over);
        }
    }
}

impl std::fmt::Debug for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Data").field("config", &self.config).field("pair", &self.pair()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
