//! Two associations of SCTP with an attacker between them.

use std::collections::VecDeque;
use std::time::Duration;

use switchboard::link::sctp::{Association, ChannelConfig, Config, Reliability};
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;
use switchboard::wire::sctp::{Header, Packet};

use crate::memory;
use crate::script::Script;

/// Packets that wait on the wire, at most; more are dropped.
const WAITING: usize = 64;
/// What two associations of these bounds may hold, in bytes.
const MOST_HELD: usize = 8 << 20;
/// Packets that an association may have for one call.
const MOST_PACKETS: usize = 10_000;

/// Two associations, and whatever may happen to their packets, their users' calls and their clocks. The attacker knows all
/// tags and needs no checksums, so what it writes is taken in. Neither fails but by ending, no call is endless, and both
/// stay within their bounds.
pub fn sctp_association(data: &[u8]) {
    memory::within(MOST_HELD, || {
        let mut script = Script::new(data);
        let mut stage = Stage::new(script.byte());
        script.play(2_048, |script| stage.act(script));
    });
}

struct Stage {
    now: Instant,
    ends: [Association; 2],
    tags: [u32; 2],
    wire: [VecDeque<Vec<u8>>; 2],
}

impl Stage {
    /// The bits of `kind`, from the lowest: interleaving, a small window, and two for how they are set up.
    fn new(kind: u8) -> Self {
        let mut rng = Rng::from_u64(1);
        let receive_window = if kind & 2 == 0 { 128 << 10 } else { 2_000 };
        let config = Config {
            zero_checksum: true,
            interleaving: kind & 1 != 0,
            receive_window,
            send_bound: 64 << 10,
            max_message: 64 << 10,
            most_packet: 1_400,
            max_channels: 16,
            ..Config::default()
        };
        let ends = [true, false].map(|_| Association::new(config.clone(), &mut rng));
        let chunks = [0, 1].map(|end: usize| ends[end].init_chunk());
        let tags = [0, 1].map(|end: usize| {
            let tag = chunks[end].get(4..8).expect("an INIT has a tag");
            u32::from_be_bytes(tag.try_into().expect("four bytes"))
        });
        let mut stage = Self { now: Instant::from_nanos(1_000_000_000), ends, tags, wire: Default::default() };
        stage.start(kind, &chunks);
        stage
    }

    fn start(&mut self, kind: u8, chunks: &[Vec<u8>; 2]) {
        for end in 0..2 {
            match kind >> 2 & 3 {
                0 => drop(self.ends[end].start_with(self.now, &chunks[1 - end], end == 0)),
                1 => self.ends[end].connect(self.now, end == 0),
                _ if end == 0 => self.ends[0].connect(self.now, true),
                _ => self.ends[1].listen(false),
            }
        }
        self.drain();
    }

    fn act(&mut self, script: &mut Script<'_>) {
        let action = script.byte();
        let end = usize::from(action & 1);
        match action >> 1 & 15 {
            0..=2 => self.arrive(end, |_| ()),
            3 => drop(self.wire[end].pop_front()),
            4 => self.wire[end].rotate_left(1.min(self.wire[end].len())),
            5 => self.repeat(end),
            6 => self.alter(end, script),
            7 => self.forge(end, script),
            8 => self.open(end, script),
            9 => self.write(end, script),
            10 => self.ends[end].close_channel(self.now, script.byte().into()),
            11 => self.ends[end].hold(script.byte().into(), action & 32 != 0),
            12 | 13 => self.pass_time(script),
            14 => self.ends[end].on_path(self.now, true, (action & 32 != 0).then_some(Duration::from_millis(40))),
            _ if action & 32 != 0 => self.ends[end].shutdown(self.now),
            _ if action & 64 != 0 => self.ends[end].abort(self.now, &script.text()),
            _ => self.ends[end].want_room(),
        }
        self.drain();
    }

    /// Hands the next packet over, altered.
    fn arrive(&mut self, end: usize, alter: impl FnOnce(&mut Vec<u8>)) {
        if let Some(mut packet) = self.wire[end].pop_front() {
            alter(&mut packet);
            self.ends[end].receive(self.now, &packet);
        }
    }

    fn repeat(&mut self, end: usize) {
        if let Some(packet) = self.wire[end].front() {
            self.ends[end].receive(self.now, packet);
        }
    }

    fn alter(&mut self, end: usize, script: &mut Script<'_>) {
        let (at, value) = (script.word(), script.byte());
        self.arrive(end, |packet| {
            packet[8..12].fill(0);
            let len = packet.len();
            packet[12 + at % (len - 12)] = value;
        });
    }

    /// A chunk of any type in a packet with the right tag.
    fn forge(&mut self, end: usize, script: &mut Script<'_>) {
        let (kind, flags, value) = (script.byte(), script.byte(), script.bytes());
        let header = Header { source_port: 5000, destination_port: 5000, tag: self.tags[end] };
        let mut out = Vec::new();
        let mut packet = Packet::begin(&mut out, &header, 1_000);
        packet.chunk(kind, flags, value);
        packet.finish(true);
        self.ends[end].receive(self.now, &out);
    }

    fn open(&mut self, end: usize, script: &mut Script<'_>) {
        let bits = script.byte();
        let reliability = match bits & 3 {
            0 => Reliability::MaxRetransmits(bits.into()),
            1 => Reliability::MaxLifetime(Duration::from_millis(bits.into())),
            _ => Reliability::Reliable,
        };
        let negotiated = (bits & 8 != 0).then_some(u16::from(bits >> 4));
        let is_ordered = bits & 4 == 0;
        let config = ChannelConfig { label: script.text(), is_ordered, reliability, negotiated, ..Default::default() };
        _ = self.ends[end].open(self.now, config);
    }

    fn write(&mut self, end: usize, script: &mut Script<'_>) {
        let (stream, len) = (script.byte(), script.word());
        self.ends[end].write(self.now, stream.into(), len % 2 == 0, &vec![stream; len]);
    }

    fn pass_time(&mut self, script: &mut Script<'_>) {
        self.now = self.now + Duration::from_millis(u64::from(script.byte()) * u64::from(script.byte()));
        for end in &mut self.ends {
            end.on_timeout(self.now);
        }
    }

    /// Takes all that both have; afterwards neither wants to be woken before now.
    fn drain(&mut self) {
        for end in 0..2 {
            let association = &mut self.ends[end];
            while association.poll_event().is_some() || association.recv(self.now).is_some() {}
            let mut packets = 0;
            let mut packet = Vec::new();
            while association.fill(self.now, &mut packet) {
                packets += 1;
                assert!(packets < MOST_PACKETS, "an association has packets without end");
                let packet = std::mem::take(&mut packet);
                if self.wire[1 - end].len() < WAITING {
                    self.wire[1 - end].push_back(packet);
                }
            }
            association.on_timeout(self.now);
            while association.fill(self.now, &mut packet) {}
            let deadline = association.deadline();
            assert!(deadline.is_none_or(|deadline| deadline.at > self.now), "{deadline:?} at {}", self.now);
        }
    }
}
