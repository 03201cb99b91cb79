//! Two peers of the data engine with an attacker on the wire.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use switchboard::link::sctp;
use switchboard::stack::peer::data::Data;
use switchboard::stack::peer::engine::{EngineConfig, Event, Over, Remote};
use switchboard::stack::peer::{BULK, ChannelSpec, Partner, QUICK};
use switchboard::wire::candidate::{Candidate, CandidateKind};

use crate::memory;
use crate::peers::crypto;
use crate::script::Script;
use crate::two::{Outgoing, Stage as _, Two, WAITING, address};

/// What two peers of these bounds may hold, in bytes.
const MOST_HELD: usize = 8 << 20;

/// Whatever happens to datagrams between two peers, what is received was sent, once, and both stay within their bounds;
/// once they are connected, nothing ends either but its user, or silence. The first byte's lowest bit says that they are
/// foreign to each other, the next that their connecting is left to the script.
pub fn data_peer(data: &[u8]) {
    crypto();
    memory::within(MOST_HELD, || {
        let mut script = Script::new(data);
        let how = script.byte();
        let partner = if how & 1 == 0 { Partner::Own } else { Partner::Foreign };
        let mut stage = Stage::new(partner);
        if how & 2 == 0 {
            stage.connect();
        }
        script.play(512, |script| stage.act(script));
    });
}

struct Stage {
    two: Two<Data>,
    connected: [bool; 2],
    /// Messages sent to each, and how often each may still arrive.
    sent: [BTreeMap<Vec<u8>, u32>; 2],
    count: u32,
    /// Both were connected before anything was meddled with.
    is_whole: bool,
    has_closed: bool,
}

impl crate::two::Stage for Stage {
    type Peer = Data;

    fn two(&mut self) -> &mut Two<Data> {
        &mut self.two
    }

    fn take(&mut self, n: usize) {
        loop {
            let (peer, cx) = self.two.peer(n);
            if let Some(event) = peer.poll_event() {
                self.on_event(n, event);
            } else if let Some(message) = peer.poll_message(&cx) {
                let left = self.sent[n].get_mut(message.bytes).expect("what nobody has sent");
                *left = left.checked_sub(1).expect("a message came twice");
            } else {
                return;
            }
        }
    }
}

impl Stage {
    fn new(partner: Partner) -> Self {
        let two = Two::new(|cx, is_controlling| {
            let config = EngineConfig { inbox: 256 << 10, ..EngineConfig::new(partner, is_controlling) };
            let association = sctp::Config { send_bound: 512 << 10, ..Data::association_config(&config) };
            Data::with(cx, crypto(), config, association)
        });
        let mut stage =
            Self { two, connected: [false; 2], sent: Default::default(), count: 0, is_whole: false, has_closed: false };
        stage.start(partner);
        stage
    }

    fn start(&mut self, partner: Partner) {
        let remotes = [1, 0].map(|n: usize| Remote::from(self.two.peers[n].local()));
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
            6 => drop(self.two.wire[n].pop_front()),
            7 => self.two.wire[n].extend(self.two.wire[n].front().cloned()),
            8 => self.two.wire[n].rotate_left(1.min(self.two.wire[n].len())),
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

    fn on_event(&mut self, n: usize, event: Event) {
        match event {
            Event::Connected => self.connected[n] = true,
            Event::Over(Over::Failed(why)) if why == sctp::Over::Lost.to_string() => self.has_closed = true,
            Event::Over(over) => assert!(self.has_closed || !self.is_whole, "a stranger has ended it: {over}"),
            _ => {}
        }
    }

    /// All that is on the wire, and what answers it.
    fn carry(&mut self) {
        for _ in 0..8 * WAITING {
            if self.two.wire.iter().all(VecDeque::is_empty) {
                return;
            }
            self.deliver(0);
            self.deliver(1);
        }
    }

    fn cut(&mut self, n: usize, script: &mut Script<'_>) {
        let at = script.word();
        let Some(Outgoing { data, .. }) = self.two.wire[n].front_mut() else { return };
        data.truncate(at % (data.len() + 1));
    }

    /// Two datagrams in one.
    fn splice(&mut self, n: usize) {
        let Some(Outgoing { data, .. }) = self.two.wire[n].pop_front() else { return };
        if let Some(next) = self.two.wire[n].front_mut() {
            next.data.extend_from_slice(&data);
        }
    }

    fn say(&mut self, n: usize, size: usize) {
        self.count += 1;
        let mut message = self.count.to_be_bytes().to_vec();
        message.resize(4 + size, 7);
        let channel = if size == 0 { QUICK } else { BULK };
        if self.two.peers[n].room() >= message.len() && self.with(n, |peer, cx| peer.write(cx, channel, true, &message))
        {
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
