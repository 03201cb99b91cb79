//! Two peers of the data engine with an attacker on the wire.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use switchboard::link::sctp;
use switchboard::machine::Cx;
use switchboard::machine::ids::Ids;
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;
use switchboard::stack::peer::data::Data;
use switchboard::stack::peer::engine::{EngineConfig, Event, Over, Remote};
use switchboard::stack::peer::{BULK, ChannelSpec, Partner, QUICK};
use switchboard::wire::candidate::{Candidate, CandidateKind};

use crate::memory;
use crate::peers::{Outgoing, crypto};
use crate::script::Script;

/// Datagrams that wait on the wire each way, at most; more are dropped.
const WAITING: usize = 256;
/// Bytes of a batch.
const MOST_BATCH: usize = 16_000;
/// What two peers of these bounds may hold, in bytes.
const MOST_HELD: usize = 8 << 20;

/// Whatever happens to datagrams between two peers, what is received was sent, once, and both stay within their bounds;
/// once they are connected, nothing ends either but its user, or silence. The first byte's lowest bit says that they are
/// foreign to each other, the next that their connecting is left to the script.
pub fn data_peer(data: &[u8]) {
    crypto();
    let ((), held) = memory::peak(|| {
        let mut script = Script::new(data);
        let how = script.byte();
        let partner = if how & 1 == 0 { Partner::Own } else { Partner::Foreign };
        let mut stage = Stage::new(partner);
        if how & 2 == 0 {
            stage.connect();
        }
        for _ in 0..512 {
            if script.is_over() {
                break;
            }
            stage.act(&mut script);
        }
    });
    assert!(held < MOST_HELD, "{held} bytes are held");
}

struct Stage {
    now: Instant,
    rng: Rng,
    ids: Ids,
    peers: [Data; 2],
    connected: [bool; 2],
    wire: [VecDeque<Outgoing>; 2],
    /// Messages sent to each, and how often each may still arrive.
    sent: [BTreeMap<Vec<u8>, u32>; 2],
    count: u32,
    /// Both were connected before anything was meddled with.
    is_whole: bool,
    has_closed: bool,
}

impl Stage {
    fn new(partner: Partner) -> Self {
        let (now, mut rng, mut ids) = (Instant::from_nanos(1_000_000_000), Rng::from_u64(1), Ids::new());
        let mut cx = Cx { now, unix: Duration::ZERO, rng: &mut rng, ids: &mut ids };
        let peers = [true, false].map(|is_controlling| {
            let config = EngineConfig { inbox: 256 << 10, ..EngineConfig::new(partner, is_controlling) };
            let association = sctp::Config { send_bound: 512 << 10, ..Data::association_config(&config) };
            Data::with(&mut cx, crypto(), config, association)
        });
        let mut stage = Self {
            now,
            rng,
            ids,
            peers,
            connected: [false; 2],
            wire: Default::default(),
            sent: Default::default(),
            count: 0,
            is_whole: false,
            has_closed: false,
        };
        stage.start(partner);
        stage
    }

    fn start(&mut self, partner: Partner) {
        let remotes = [1, 0].map(|n: usize| Remote::from(self.peers[n].local()));
        for (n, remote) in remotes.iter().enumerate() {
            self.with(n, |peer, cx| {
                peer.add_local(cx, &Candidate::new(CandidateKind::Host, address(n), None));
                peer.start(cx, remote, n == 0).expect("it starts");
                peer.add_remote(cx, &Candidate::new(CandidateKind::Host, address(1 - n), None));
                for spec in ChannelSpec::agreed().into_iter().filter(|_| partner == Partner::Foreign && n == 0) {
                    _ = peer.open_channel(cx, ChannelSpec { negotiated: None, ..spec });
                }
            });
        }
    }

    /// Over a wire on which nothing is lost.
    fn connect(&mut self) {
        for _ in 0..200 {
            self.carry();
            self.pass(Duration::from_millis(10));
        }
        assert_eq!(self.connected, [true; 2], "they don't connect");
        self.is_whole = true;
    }

    fn act(&mut self, script: &mut Script<'_>) {
        let action = script.byte();
        let n = usize::from(action >> 7);
        match action & 15 {
            0..=2 => self.deliver(n),
            3 => self.carry(),
            4 | 5 => self.tamper(n, script),
            6 => drop(self.wire[n].pop_front()),
            7 => self.wire[n].extend(self.wire[n].front().cloned()),
            8 => self.wire[n].rotate_left(1.min(self.wire[n].len())),
            9 => self.inject(n, script),
            10 => self.cut(n, script),
            11 => self.pass(Duration::from_millis(script.byte().into())),
            12 => self.pass(Duration::from_secs((script.byte() & 15).into())),
            13 => self.say(n, usize::from(action >> 4 & 7) * 5_000),
            14 => self.channel(n, script),
            _ if action & 0x40 == 0 => self.splice(n),
            _ => self.close(n),
        }
    }

    fn with<R>(&mut self, n: usize, act: impl FnOnce(&mut Data, &mut Cx<'_>) -> R) -> R {
        let mut cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.rng, ids: &mut self.ids };
        let result = act(&mut self.peers[n], &mut cx);
        let mut batch = Vec::new();
        while let Some(sent) = self.peers[n].poll_transmit(&cx, &mut batch, MOST_BATCH) {
            let room = WAITING - self.wire[1 - n].len();
            self.wire[1 - n].extend(Outgoing::of(sent, &batch).take(room));
            batch.clear();
        }
        self.take(n);
        result
    }

    fn take(&mut self, n: usize) {
        loop {
            let cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.rng, ids: &mut self.ids };
            if let Some(event) = self.peers[n].poll_event() {
                self.on_event(n, event);
            } else if let Some(message) = self.peers[n].poll_message(&cx) {
                let left = self.sent[n].get_mut(message.bytes).expect("what nobody has sent");
                *left = left.checked_sub(1).expect("a message came twice");
            } else {
                return;
            }
        }
    }

    fn on_event(&mut self, n: usize, event: Event) {
        match event {
            Event::Connected => self.connected[n] = true,
            Event::Over(Over::Failed(why)) if why == sctp::Over::Lost.to_string() => self.has_closed = true,
            Event::Over(over) => assert!(self.has_closed || !self.is_whole, "a stranger has ended it: {over}"),
            _ => {}
        }
    }

    fn deliver(&mut self, n: usize) {
        let Some(Outgoing { local, to, mut data }) = self.wire[n].pop_front() else { return };
        self.with(n, |peer, cx| peer.receive(cx, to, local, None, &mut data));
    }

    /// All that is on the wire, and what answers it.
    fn carry(&mut self) {
        for _ in 0..8 * WAITING {
            if self.wire.iter().all(VecDeque::is_empty) {
                return;
            }
            self.deliver(0);
            self.deliver(1);
        }
    }

    fn tamper(&mut self, n: usize, script: &mut Script<'_>) {
        let (at, bits) = (script.word(), script.byte());
        let Some(Outgoing { data, .. }) = self.wire[n].front_mut() else { return };
        let len = data.len();
        data.iter_mut().skip(at % len.max(1)).take(1).for_each(|byte| *byte ^= bits);
    }

    fn cut(&mut self, n: usize, script: &mut Script<'_>) {
        let at = script.word();
        let Some(Outgoing { data, .. }) = self.wire[n].front_mut() else { return };
        data.truncate(at % (data.len() + 1));
    }

    /// Two datagrams in one.
    fn splice(&mut self, n: usize) {
        let Some(Outgoing { data, .. }) = self.wire[n].pop_front() else { return };
        if let Some(next) = self.wire[n].front_mut() {
            next.data.extend_from_slice(&data);
        }
    }

    fn inject(&mut self, n: usize, script: &mut Script<'_>) {
        let source = if script.byte() & 1 == 0 { address(1 - n) } else { ([192, 0, 2, 66], 666).into() };
        let mut bytes = script.bytes().to_vec();
        self.with(n, |peer, cx| peer.receive(cx, address(n), source, None, &mut bytes));
    }

    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..64 {
            let next = self.peers.iter().filter_map(|peer| Some(peer.deadline()?.at)).min();
            let Some(next) = next.filter(|at| *at <= end) else { break };
            self.now = next.max(self.now);
            for n in 0..2 {
                self.with(n, |peer, cx| peer.on_timeout(cx));
            }
        }
        self.now = end;
    }

    fn say(&mut self, n: usize, size: usize) {
        self.count += 1;
        let mut message = self.count.to_be_bytes().to_vec();
        message.resize(4 + size, 7);
        let channel = if size == 0 { QUICK } else { BULK };
        if self.peers[n].room() >= message.len() && self.with(n, |peer, cx| peer.write(cx, channel, true, &message)) {
            *self.sent[1 - n].entry(message).or_default() += 1;
        }
    }

    fn channel(&mut self, n: usize, script: &mut Script<'_>) {
        let bits = script.byte();
        let place = usize::from(bits >> 3 & 7);
        self.with(n, |peer, cx| match bits & 7 {
            0 => peer.close_channel(cx, place),
            1..=3 => peer.hold(place, bits & 1 == 0),
            _ => {
                let label = script.text();
                let max_retransmits = (bits & 64 != 0).then_some(1);
                let spec = ChannelSpec { label, ordered: bits & 1 == 0, max_retransmits, negotiated: None };
                _ = peer.open_channel(cx, spec);
            }
        });
    }

    fn close(&mut self, n: usize) {
        self.has_closed = true;
        self.with(n, |peer, cx| peer.close(cx));
    }
}

fn address(n: usize) -> SocketAddr {
    ([192, 0, 2, 1 + n as u8], 5000).into()
}
