//! Direct peers: WebRTC data channels as links.
//!
//! One set of sockets serves all peers ([`Gatherer`]): a UDP socket for each address of the host, and what TURN servers
//! lend. It opens with the first peer and closes a while after the last.
//!
//! *As an upgrade* of sessions ([`Upgrade`]) each peer speaks to one of this library and has two links, `bulk` and
//! `quick`; see there. *Alone*, towards any other program, [`Webrtc::connect`] makes a peer whose every data channel is
//! a link, told by [`TransportEvent::Up`] and [`TransportEvent::Down`]; its signals are [`PeerEvent::Signal`] all the
//! same, for the owner to translate for whatever carries them.
//!
//! *Demultiplexing* (`routes.rs`) asks no peer: a STUN request names ours by its user name, everything else by the two
//! addresses, learned from what that peer itself has sent. So a request binds nothing unless the engine has found it
//! good and answers.
//!
//! *Sending* is pulled (`sending.rs`): peers take turns on the port that their pair leaves by, and the engine writes
//! into the buffer that the system is given. A packet is asked for only when the engine can take the largest; then it is
//! written at once, `quick` first.
//!
//! *Receiving*: a batch of datagrams is one input. Messages are lent to the layer above as the engine has them; those of
//! a link that was stopped stay there, at most [`WebrtcConfig::inbox`], and the other side's window closes.
//!
//! *Amplification*: towards an address that does not answer by a signed message at most [`WebrtcConfig::unanswered`] bytes
//! are sent, and the engine gives a check up after seven times. Towards a loopback address nothing is sent but from one.

mod entry;
mod events;
mod receiving;
mod reports;
mod routes;
mod sending;
mod turns;
mod writing;

use std::collections::VecDeque;
use std::time::Duration;

use entry::Entry;
use routes::Routes;
use turns::Turns;

use super::{Outbox, PeerEvent, PeerId, PeerReport, PeerState, Transport, TransportCommand, TransportEvent, Upgrade};
use crate::machine::buf::Buf;
use crate::machine::ids::{LinkId, PortId, Slab, Table};
use crate::machine::payload::Upper;
use crate::machine::port::{PortChange, PortRequest};
use crate::machine::queue::ReadyList;
use crate::machine::time::Instant;
use crate::machine::timers::DeadlineHeap;
use crate::machine::{Cx, Deadline, Fill, Input, Output};
use crate::stack::gather::{GatherConfig, GatherEvent, Gatherer};
use crate::stack::peer::{ChannelSpec, Crypto, EngineKind, Event, Partner, Peer, PeerConfig, Version};
use crate::wire::candidate::{Candidate, CandidateKind};
use crate::wire::ice_server::IceServer;
use crate::wire::outlook::Outlook;
use crate::wire::signal::Signal;

/// How direct peers are made.
#[derive(Debug, Clone)]
pub struct WebrtcConfig {
    /// The certificate and what goes with it.
    pub crypto: Crypto,
    /// What carries peers.
    pub engine: EngineKind,
    /// Which versions of DTLS are spoken; none: 1.3 with peers of this library, 1.2 with others.
    pub version: Option<Version>,
    /// Servers, policy and bounds of gathering.
    pub gather: GatherConfig,
    /// Peers at a time; more are not opened.
    pub peers: usize,
    /// Largest packet that is asked for on a link, in bytes.
    pub packet: usize,
    /// Bytes received by one peer that wait for the layer above.
    pub inbox: usize,
    /// Bytes sent to an address that has not answered.
    pub unanswered: usize,
    /// Sockets stay open so long after the last peer: longer than sessions pause between two attempts, so that these hear
    /// of other addresses.
    pub linger: Duration,
}

impl WebrtcConfig {
    /// The usual bounds, without servers.
    pub fn new(crypto: Crypto) -> Self {
        Self {
            crypto,
            engine: EngineKind::default(),
            version: None,
            gather: GatherConfig::default(),
            peers: 65_536,
            packet: 16 * 1024 + 64,
            inbox: 2 * 1024 * 1024,
            unanswered: 10 * 1024,
            linger: Duration::from_secs(90),
        }
    }
}

/// What was dropped, in datagrams.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WebrtcCounters {
    /// They are for no peer.
    pub nobodys: u64,
    /// They were not sent: the address has not answered what was sent to it before, or it is a loopback address and ours
    /// is not.
    pub unanswered: u64,
    /// Messages, and no datagrams: they were larger than a foreign peer or the engine takes, or empty, which `str0m` does
    /// not send.
    pub unwritten: u64,
}

/// All direct peers of a process.
#[derive(Debug)]
pub struct Webrtc {
    config: WebrtcConfig,
    gatherer: Gatherer,
    ids: Slab,
    peers: Table<PeerId, Entry>,
    routes: Routes,
    links: Table<LinkId, (PeerId, usize)>,
    deadlines: DeadlineHeap<PeerId>,
    /// Peers with something to be taken out.
    touched: ReadyList<PeerId>,
    turns: Turns,
    told: VecDeque<(PeerId, PeerEvent)>,
    outbox: Outbox,
    /// When the sockets are closed, once there is no peer.
    idle: Option<Instant>,
    scratch: Vec<u8>,
    counters: WebrtcCounters,
}

impl Webrtc {
    /// No peer, no socket.
    pub fn new(config: WebrtcConfig) -> Self {
        Self {
            gatherer: Gatherer::new(config.gather.clone()),
            config,
            ids: Slab::default(),
            peers: Table::new(),
            routes: Routes::default(),
            links: Table::new(),
            deadlines: DeadlineHeap::default(),
            touched: ReadyList::new(),
            turns: Turns::default(),
            told: VecDeque::new(),
            outbox: Outbox::new(),
            idle: None,
            scratch: Vec::new(),
            counters: WebrtcCounters::default(),
        }
    }

    /// A peer towards any program that speaks WebRTC, as [`Upgrade::open`] makes one towards this library.
    pub fn connect(&mut self, cx: &mut Cx<'_>, offers: bool) -> Option<PeerId> {
        self.begin(cx, 0, PeerConfig::new(Partner::Foreign, offers))
    }

    /// Opens a channel of such a peer; a link follows, once both sides have it. False: there is no such peer, or there
    /// are too many channels.
    pub fn open_channel(&mut self, cx: &mut Cx<'_>, peer: PeerId, spec: ChannelSpec) -> bool {
        let Some(entry) = self.peers.get_mut(peer) else { return false };
        let opened = entry.peer.open_channel(cx, spec).is_some();
        self.touched.push(peer);
        opened
    }

    /// The label of a channel, by its link.
    pub fn label(&self, link: LinkId) -> Option<&str> {
        let (peer, channel) = self.links.get(link)?;
        self.peers.get(*peer)?.label(*channel)
    }

    /// Whose link that is.
    pub fn peer_of(&self, link: LinkId) -> Option<PeerId> {
        self.links.get(link).map(|(peer, _)| *peer)
    }

    /// Whether all servers have answered: no further candidates come for now.
    pub fn is_gathered(&self) -> bool {
        self.gatherer.outlook().gathered
    }

    /// The candidates of this side.
    pub fn candidates(&self) -> impl Iterator<Item = &Candidate> {
        self.gatherer.candidates()
    }

    /// What gathers candidates, for its servers' states and its counters.
    pub const fn gatherer(&self) -> &Gatherer {
        &self.gatherer
    }

    /// Drops since the start.
    pub const fn counters(&self) -> WebrtcCounters {
        self.counters
    }

    fn begin(&mut self, cx: &mut Cx<'_>, attempt: u32, config: PeerConfig) -> Option<PeerId> {
        if self.peers.len() >= self.config.peers {
            return None;
        }
        self.idle = None;
        self.gatherer.start(cx);
        self.gatherer.refresh(cx);
        let candidates = self.gatherer.candidates();
        let WebrtcConfig { engine, inbox, .. } = self.config;
        let version = self.config.version.unwrap_or(config.version);
        let config = PeerConfig { engine, version, inbox, ..config };
        let mut peer = Peer::new(cx, &self.config.crypto, attempt, config, candidates).ok()?;
        if self.gatherer.outlook().gathered {
            peer.gathered(cx);
        }
        let id = self.ids.take();
        self.routes.name(peer.ufrag(), id);
        self.peers.insert(id, Entry::new(peer, config.partner));
        self.told.push_back((id, PeerEvent::State(PeerState::Gathering)));
        self.touched.push(id);
        Some(id)
    }

    /// Forgets a peer that is over.
    fn end(&mut self, cx: &mut Cx<'_>, id: PeerId) {
        let Some(entry) = self.peers.remove(id) else { return };
        for link in entry.links() {
            self.links.remove(link);
            cx.ids.release_link(link);
        }
        for (relayed, remote) in &entry.permitted {
            self.gatherer.forbid(cx, *relayed, *remote);
        }
        self.routes.forget(id);
        self.deadlines.set(id, None);
        self.touched.remove(id);
        self.ids.give(id);
        if self.peers.is_empty() {
            self.idle = Some(cx.now + self.config.linger);
        }
    }

    /// Works until nothing more follows from what was given in.
    fn settle(&mut self, cx: &mut Cx<'_>, upper: &mut dyn Upper) {
        self.hear_gatherer(cx);
        while let Some(id) = self.touched.pop() {
            self.drain(cx, id, upper);
        }
    }

    fn hear_gatherer(&mut self, cx: &mut Cx<'_>) {
        while let Some(event) = self.gatherer.poll_event() {
            match event {
                GatherEvent::Candidate(candidate) => self.on_candidate(cx, &candidate),
                GatherEvent::Lost(candidate) => self.each(|peer| peer.remove_local(cx, &candidate)),
                GatherEvent::Permitted { relayed, peer: to } => self.each(|peer| peer.permitted(cx, relayed, to)),
                GatherEvent::Refused { .. } => {}
                GatherEvent::Done => self.each(|peer| peer.gathered(cx)),
            }
        }
    }

    fn on_candidate(&mut self, cx: &mut Cx<'_>, candidate: &Candidate) {
        self.each(|peer| peer.add_local(cx, candidate));
        if candidate.kind == CandidateKind::Relayed {
            let Self { peers, gatherer, .. } = self;
            for id in peers.keys().collect::<Vec<_>>() {
                let Some(entry) = peers.get_mut(id) else { continue };
                for remote in entry.remotes() {
                    entry.permit(cx, gatherer, candidate.address, remote);
                }
            }
        }
    }

    /// What concerns all peers; the network changes seldom.
    fn each(&mut self, mut act: impl FnMut(&mut Peer)) {
        for id in self.peers.keys().collect::<Vec<_>>() {
            let Some(entry) = self.peers.get_mut(id) else { continue };
            act(&mut entry.peer);
            self.touched.push(id);
        }
    }

    /// Takes out what a peer has to tell, and has it send what follows.
    fn drain(&mut self, cx: &mut Cx<'_>, id: PeerId, upper: &mut dyn Upper) {
        self.take_out(cx, id, Some(upper));
        self.send(cx, id, Some(upper));
    }

    /// What follows from calls, which come without the layer above: signals, new peers. None of them brings a message, so
    /// there is nothing to deliver; and what may be written has not changed.
    fn settle_calls(&mut self, cx: &mut Cx<'_>) {
        while let Some(id) = self.touched.pop() {
            self.take_out(cx, id, None);
            self.send(cx, id, None);
        }
    }

    fn take_out(&mut self, cx: &mut Cx<'_>, id: PeerId, mut upper: Option<&mut dyn Upper>) {
        while let Some(entry) = self.peers.get_mut(id) {
            if let Some(event) = entry.peer.poll_event(cx) {
                self.on_event(cx, id, event);
            } else if !upper.as_deref_mut().is_some_and(|upper| entry.deliver(cx, upper)) {
                return;
            }
        }
    }

    fn arm(&mut self, id: PeerId) {
        let Some(entry) = self.peers.get(id) else { return };
        self.routes.name(entry.peer.ufrag(), id);
        self.deadlines.set(id, entry.peer.deadline());
    }

    /// The same before a peer has had its turn, which does what is due at once.
    fn arm_ahead(&mut self, cx: &Cx<'_>, id: PeerId) {
        let Some(entry) = self.peers.get(id) else { return };
        self.routes.name(entry.peer.ufrag(), id);
        if let Some(deadline) = entry.peer.deadline().filter(|deadline| deadline.at > cx.now) {
            self.deadlines.set(id, Some(deadline));
        }
    }

    fn on_port(&mut self, cx: &mut Cx<'_>, port: PortId, change: PortChange) {
        if matches!(change, PortChange::Failed(_) | PortChange::Closed) {
            self.turns.forget(port);
        }
        self.gatherer.on_port(cx, port, change);
    }

    fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        self.gatherer.on_timeout(cx);
        while let Some(id) = self.deadlines.take_due(cx.now) {
            if let Some(entry) = self.peers.get_mut(id) {
                entry.peer.on_timeout(cx);
                self.touched.push(id);
            }
        }
        if self.idle.is_some_and(|at| at <= cx.now) {
            self.idle = None;
            self.gatherer.stop(cx);
        }
    }
}

impl Transport for Webrtc {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, TransportCommand>, upper: &mut dyn Upper) {
        match input {
            Input::Timeout => self.on_timeout(cx),
            Input::Receive(port, data) => self.on_bytes(cx, port, data),
            Input::Datagrams(port, datagrams) => self.on_datagrams(cx, port, datagrams),
            Input::Port(port, change) => self.on_port(cx, port, change),
            Input::Command(command) => self.on_command(cx, command),
        }
        self.settle(cx, upper);
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<TransportEvent> {
        self.settle_calls(cx);
        while let Some((port, request)) = self.gatherer.poll_request() {
            if request == PortRequest::Abort {
                self.turns.forget(port);
            }
            self.outbox.request(port, request);
        }
        while let Some(port) = self.gatherer.poll_ready().or_else(|| self.turns.pop_ready()) {
            self.outbox.ready(port);
        }
        let idle = self.idle.map(|at| Deadline::new(at, "sockets without a peer"));
        let deadlines = [self.deadlines.earliest(), self.gatherer.deadline(), idle];
        self.outbox.poll(deadlines.into_iter().flatten().min_by_key(|deadline| deadline.at))
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf, upper: &mut dyn Upper) -> Fill {
        match self.gatherer.fill(cx, port, buf) {
            Fill::Done => self.fill_by_turns(cx, port, buf, upper),
            filled => filled,
        }
    }
}

impl Upgrade for Webrtc {
    fn open(&mut self, cx: &mut Cx<'_>, attempt: u32, offers: bool) -> Option<PeerId> {
        self.begin(cx, attempt, PeerConfig::new(Partner::Own, offers))
    }

    fn signal(&mut self, cx: &mut Cx<'_>, peer: PeerId, signal: &Signal<'_>) {
        let Some(entry) = self.peers.get_mut(peer) else { return };
        entry.peer.signal(cx, signal);
        self.touched.push(peer);
    }

    fn close(&mut self, cx: &mut Cx<'_>, peer: PeerId, ending: Option<(u8, &str)>) {
        let Some(entry) = self.peers.get_mut(peer) else { return };
        entry.peer.close(cx, ending);
        self.transmit(cx, peer);
        while let Some(event) = self.peers.get_mut(peer).and_then(|entry| entry.peer.poll_event(cx)) {
            if let Event::Signal(bytes) = event {
                self.told.push_back((peer, PeerEvent::Signal(bytes)));
            }
        }
        self.end(cx, peer);
    }

    fn poll_peer(&mut self, cx: &mut Cx<'_>) -> Option<(PeerId, PeerEvent)> {
        self.settle_calls(cx);
        self.told.pop_front()
    }

    fn set_servers(&mut self, cx: &mut Cx<'_>, from: u64, servers: &[IceServer]) {
        self.gatherer.set_servers(cx, from, servers);
        self.hear_gatherer(cx);
    }

    fn report(&self, peer: PeerId) -> Option<PeerReport> {
        self.peers.get(peer).map(reports::report)
    }

    fn outlook(&self) -> Outlook {
        self.gatherer.outlook()
    }

    fn moves(&self) -> u64 {
        self.gatherer.counters().moves
    }

    fn revision(&self) -> u64 {
        self.gatherer.revision()
    }
}
