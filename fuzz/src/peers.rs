//! Two WebRTC peers with an attacker on the wire and on the carrier of their signals, and a gatherer among servers that
//! say anything.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::OnceLock;
use std::time::Duration;

use switchboard::machine::buf::Buf;
use switchboard::machine::datagram::Datagram;
use switchboard::machine::ids::{Ids, PortId};
use switchboard::machine::port::{PortChange, PortError, PortRequest, PortSpec};
use switchboard::machine::rng::Rng;
use switchboard::machine::time::{Epoch, Instant};
use switchboard::machine::{Cx, Fill};
use switchboard::stack::gather::{GatherConfig, Gatherer};
use switchboard::stack::peer::{BULK, Crypto, Event, Partner, Peer, PeerConfig, QUICK};
use switchboard::wire::candidate::{Candidate, CandidateKind};
use switchboard::wire::ice_server::IceServer;
use switchboard::wire::signal::Signal;

use crate::script::Script;
use crate::two::{Stage as _, Two, WAITING, address};

/// Two peers of one attempt. Whatever happens to their datagrams, what is received was sent, once; whatever is put into
/// the mouth of either, none fails but by ending.
pub fn peer_pair(data: &[u8]) {
    let mut script = Script::new(data);
    let partner = if script.byte() & 1 == 0 { Partner::Own } else { Partner::Foreign };
    let mut stage = Pair::new(partner);
    script.play(512, |script| stage.act(script));
}

pub(crate) fn crypto() -> &'static Crypto {
    static CRYPTO: OnceLock<Crypto> = OnceLock::new();
    CRYPTO.get_or_init(|| {
        let epoch = Epoch::new(std::time::Instant::now(), Duration::from_secs(1_700_000_000));
        Crypto::new(epoch, &mut Rng::from_u64(1)).expect("a certificate")
    })
}

struct Pair {
    two: Two<Peer>,
    signals: [VecDeque<Vec<u8>>; 2],
    /// Messages sent to each, and how often each may still arrive.
    sent: [BTreeMap<Vec<u8>, u32>; 2],
    count: u32,
    /// Somebody has spoken in the name of the other side: it may be somebody else by now.
    forged: bool,
}

impl crate::two::Stage for Pair {
    type Peer = Peer;

    fn two(&mut self) -> &mut Two<Peer> {
        &mut self.two
    }

    /// First what happened, then what came.
    fn take(&mut self, n: usize) {
        loop {
            let (peer, mut cx) = self.two.peer(n);
            if let Some(event) = peer.poll_event(&mut cx) {
                self.on_event(n, event);
            } else if let Some(message) = peer.poll_message(&mut cx) {
                let bytes = message.bytes.to_vec();
                self.on_message(n, &bytes);
            } else {
                return;
            }
        }
    }
}

impl Pair {
    fn new(partner: Partner) -> Self {
        let two = Two::new(|cx, offers| {
            let host = Candidate::new(CandidateKind::Host, address(usize::from(!offers)), None);
            Peer::new(cx, crypto(), 1, PeerConfig::new(partner, offers), [&host].into_iter()).expect("a peer")
        });
        let mut stage = Self { two, signals: Default::default(), sent: Default::default(), count: 0, forged: false };
        stage.with(0, |_, _| {});
        stage.with(1, |_, _| {});
        stage
    }

    fn act(&mut self, script: &mut Script<'_>) {
        let choice = script.byte();
        let n = usize::from(choice >> 7);
        match choice & 0x0f {
            0..=4 => self.deliver(n),
            5 => self.carry(n),
            6 => self.tamper(n, script),
            7 => _ = self.two.wire[n].pop_front(),
            8 => self.two.wire[n].extend(self.two.wire[n].front().cloned()),
            9 => self.inject(n, script),
            10 => self.forge(n, script),
            11 => self.pass(Duration::from_millis(u64::from(script.byte()))),
            12 => self.pass(Duration::from_secs(u64::from(script.byte() & 15))),
            13 => self.say(n, usize::from(choice >> 4 & 7) * 1000),
            14 => self.move_host(n, script.byte()),
            _ => self.with(n, |peer, cx| peer.close(cx, None)),
        }
    }

    fn on_message(&mut self, n: usize, bytes: &[u8]) {
        if !self.forged {
            let left = self.sent[n].get_mut(bytes).expect("what nobody has sent");
            *left = left.checked_sub(1).expect("a message came twice");
        }
    }

    fn on_event(&mut self, n: usize, event: Event) {
        match event {
            Event::Signal(bytes) if self.signals[1 - n].len() < WAITING => {
                self.signals[1 - n].push_back(bytes.to_vec())
            }
            _ => {}
        }
    }

    fn carry(&mut self, n: usize) {
        let Some(bytes) = self.signals[n].pop_front() else { return };
        self.hear(n, &bytes);
    }

    fn hear(&mut self, n: usize, bytes: &[u8]) {
        if let Ok(signal) = Signal::decode(bytes, 64 * 1024) {
            self.with(n, |peer, cx| peer.signal(cx, &signal));
        }
    }

    fn forge(&mut self, n: usize, script: &mut Script<'_>) {
        self.forged = true;
        let bytes = match self.signals[n].pop_front() {
            Some(mut bytes) if script.byte() & 1 == 0 => {
                let at = script.word() % bytes.len().max(1);
                let patch = script.bytes();
                bytes.splice(at.min(bytes.len()).., patch.iter().copied());
                bytes
            }
            _ => script.bytes().to_vec(),
        };
        self.hear(n, &bytes);
    }

    fn say(&mut self, n: usize, size: usize) {
        self.count += 1;
        let mut message = self.count.to_be_bytes().to_vec();
        message.resize(4 + size, 7);
        let channel = if size < 1000 { QUICK } else { BULK };
        if self.with(n, |peer, _| peer.room(message.len())) >= message.len() {
            *self.sent[1 - n].entry(message.clone()).or_default() += 1;
            self.with(n, |peer, cx| peer.write(cx, channel, true, &message));
        }
    }

    fn move_host(&mut self, n: usize, port: u8) {
        let host = Candidate::new(CandidateKind::Host, ([192, 0, 2, 10 + n as u8], u16::from(port) + 1).into(), None);
        self.with(n, |peer, cx| if port & 1 == 0 { peer.add_local(cx, &host) } else { peer.remove_local(cx, &host) });
    }
}

/// A gatherer with servers of every kind: whatever comes on its ports, in whatever order they change, nothing fails, and
/// what it sends stays in proportion.
pub fn gatherer(data: &[u8]) {
    let mut stage = Gathering::new();
    let mut script = Script::new(data);
    script.play(512, |script| stage.act(script));
    stage.with(|gatherer, cx| gatherer.stop(cx));
}

struct Gathering {
    now: Instant,
    rng: Rng,
    ids: Ids,
    gatherer: Gatherer,
    opening: VecDeque<(PortId, PortSpec)>,
    asking: VecDeque<PortId>,
    open: Vec<(PortId, PortSpec)>,
    sent: VecDeque<(PortId, Vec<u8>)>,
    relayed: Vec<SocketAddr>,
}

impl Gathering {
    fn new() -> Self {
        let server = |uri| IceServer::new(uri, "alice", "open sesame").expect("a server");
        let servers = vec![
            IceServer::stun("stun:192.0.2.1").expect("a server"),
            server("turn:192.0.2.1"),
            server("turn:turn.example.org?transport=tcp"),
        ];
        let (now, rng, ids) = (Instant::from_nanos(1_000_000_000), Rng::from_u64(1), Ids::new());
        let gatherer = Gatherer::new(GatherConfig { servers, ..GatherConfig::default() });
        let mut stage = Self {
            now,
            rng,
            ids,
            gatherer,
            opening: VecDeque::new(),
            asking: VecDeque::new(),
            open: Vec::new(),
            sent: VecDeque::new(),
            relayed: Vec::new(),
        };
        stage.with(|gatherer, cx| gatherer.start(cx));
        stage
    }

    fn act(&mut self, script: &mut Script<'_>) {
        match script.byte() & 15 {
            0 | 1 => self.opened(),
            2 => self.resolved(script.byte()),
            3 => self.addresses(script.byte()),
            4 => self.fails(script.byte()),
            5..=8 => self.receive(script),
            9 => self.answer(script),
            10 => self.pass(Duration::from_millis(10 * u64::from(script.byte()))),
            11 => self.pass(Duration::from_secs(u64::from(script.byte()))),
            12 => self.peer(script.byte()),
            13 => self.with(|gatherer, cx| gatherer.refresh(cx)),
            14 => self.send(script),
            _ => self.with(|gatherer, cx| gatherer.set_servers(cx, 7, &[])),
        }
    }

    fn with<R>(&mut self, act: impl FnOnce(&mut Gatherer, &mut Cx<'_>) -> R) -> R {
        let mut cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.rng, ids: &mut self.ids };
        let result = act(&mut self.gatherer, &mut cx);
        while let Some((port, request)) = self.gatherer.poll_request() {
            match request {
                PortRequest::Open(spec) => self.opening.push_back((port, spec)),
                PortRequest::Resolve(_) => self.asking.push_back(port),
                PortRequest::Abort | PortRequest::Finish => self.forget(port),
                PortRequest::Pause | PortRequest::Resume => {}
            }
        }
        while self.gatherer.poll_event().is_some() {}
        let candidates = self.gatherer.candidates().filter(|candidate| candidate.kind == CandidateKind::Relayed);
        self.relayed = candidates.map(|candidate| candidate.address).collect();
        while let Some(port) = self.gatherer.poll_ready() {
            self.drain(port);
        }
        result
    }

    fn drain(&mut self, port: PortId) {
        let mut cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.rng, ids: &mut self.ids };
        let mut buf = Buf::new(16 * 1024);
        for _ in 0..1024 {
            let fill = self.gatherer.fill(&mut cx, port, &mut buf);
            if !buf.is_empty() && self.sent.len() < WAITING {
                self.sent.push_back((port, buf.as_slice().to_vec()));
            }
            buf.clear();
            if fill == Fill::Done {
                return;
            }
        }
        panic!("a port that never ends");
    }

    fn forget(&mut self, port: PortId) {
        self.opening.retain(|(other, _)| *other != port);
        self.asking.retain(|other| *other != port);
        self.open.retain(|(other, _)| *other != port);
    }

    fn opened(&mut self) {
        let Some((port, spec)) = self.opening.pop_front() else { return };
        let (local, peer) = match &spec {
            PortSpec::Bind(at) => (Some(SocketAddr::new(at.ip(), 40_000)), None),
            PortSpec::Dial(to) => (Some(([192, 0, 2, 7], 41_000).into()), Some(*to)),
            _ => (None, None),
        };
        self.open.push((port, spec));
        self.with(|gatherer, cx| gatherer.on_port(cx, port, PortChange::Opened { local, peer }));
    }

    fn resolved(&mut self, choice: u8) {
        let Some(port) = self.asking.pop_front() else { return };
        let answer = match choice & 3 {
            0 => PortChange::Failed(PortError::NameNotFound),
            n => PortChange::Resolved((0..n).map(|n| IpAddr::from([192, 0, 2, 100 + n])).collect()),
        };
        self.with(|gatherer, cx| gatherer.on_port(cx, port, answer));
    }

    fn addresses(&mut self, choice: u8) {
        let is_list = |(_, spec): &&(PortId, PortSpec)| *spec == PortSpec::Addresses;
        let Some((port, _)) = self.open.iter().find(is_list) else { return };
        let (port, bits) = (*port, (0..4_u8).filter(|bit| choice >> bit & 1 == 1));
        let list = bits.map(|bit| IpAddr::from([192, 0, 2, 7 + bit])).collect();
        self.with(|gatherer, cx| gatherer.on_port(cx, port, PortChange::Addresses(list)));
    }

    fn fails(&mut self, choice: u8) {
        if self.open.is_empty() {
            return;
        }
        let (port, _) = self.open.remove(usize::from(choice) % self.open.len());
        let change = if choice & 1 == 0 { PortChange::Failed(PortError::Reset) } else { PortChange::Closed };
        self.with(|gatherer, cx| gatherer.on_port(cx, port, change));
    }

    fn receive(&mut self, script: &mut Script<'_>) {
        let (which, source) = (usize::from(script.byte()), script.byte());
        let bytes = script.bytes().to_vec();
        self.arrive(which, source, bytes);
    }

    /// What was asked comes back as an answer, with something changed in it.
    fn answer(&mut self, script: &mut Script<'_>) {
        let (kind, at, bits) = (script.byte(), script.word(), script.byte());
        let Some((port, mut bytes)) = self.sent.pop_front() else { return };
        let Some(which) = self.open.iter().position(|(other, _)| *other == port) else { return };
        if let Some(first) = bytes.first_mut() {
            *first |= kind & 1;
        }
        if let Some(second) = bytes.get_mut(1) {
            *second |= (kind & 2) << 3;
        }
        let patch = script.bytes();
        if bytes.len() >= 20 {
            let len = bytes.len();
            bytes[20 % len.max(1)..].iter_mut().zip(patch).for_each(|(byte, new)| *byte = *new);
            bytes[at % len] ^= bits;
        }
        self.arrive(which, 0, bytes);
    }

    fn arrive(&mut self, which: usize, source: u8, mut bytes: Vec<u8>) {
        if self.open.is_empty() {
            return;
        }
        let (port, spec) = self.open[which % self.open.len()].clone();
        let source = match source {
            0 => ([192, 0, 2, 1], 3478).into(),
            n => ([198, 51, 100, n], 9).into(),
        };
        self.with(|gatherer, cx| match spec {
            PortSpec::Bind(_) => {
                let datagram = Datagram { source, destination: None, ecn: None, data: &mut bytes };
                _ = gatherer.on_datagram(cx, port, datagram);
            }
            PortSpec::Dial(_) => gatherer.on_bytes(cx, port, &mut bytes, &mut |_, _| {}),
            _ => {}
        });
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..256 {
            let next = self.gatherer.deadline().map(|deadline| deadline.at).filter(|at| *at <= end);
            let Some(next) = next else { break };
            self.now = next.max(self.now);
            self.with(|gatherer, cx| gatherer.on_timeout(cx));
        }
        self.now = end;
    }

    fn peer(&mut self, n: u8) {
        let Some(relayed) = self.relayed.first().copied() else { return };
        let peer = ([203, 0, 113, n >> 2], 5000).into();
        self.with(|gatherer, cx| match n & 3 {
            0 | 1 => gatherer.permit(cx, relayed, peer),
            2 => gatherer.forbid(cx, relayed, peer),
            _ => gatherer.bind_channel(cx, relayed, peer),
        });
    }

    fn send(&mut self, script: &mut Script<'_>) {
        let to = ([203, 0, 113, script.byte() >> 2], 5000).into();
        let data = script.bytes();
        let local = self.relayed.first().copied().unwrap_or_else(|| ([192, 0, 2, 7], 40_000).into());
        self.with(|gatherer, cx| gatherer.send(cx, local, to, data));
    }
}
