//! Packets of sessions, and a session whose peer says anything at all.

use std::time::Duration;

use switchboard::hub::channel::{Channel, ChannelId, Reliability};
use switchboard::hub::session::Session;
use switchboard::hub::session::event::{CloseReason, PathId, PathInfo, PathPolicy, SessionEvent};
use switchboard::link::noise::{Opener, Sealer};
use switchboard::machine::limits::Limits;
use switchboard::machine::time::Instant;
use switchboard::wire::cursor::Cursor;
use switchboard::wire::session::{Head, Record, SessionKey};

use crate::memory;
use crate::script::Script;

const LARGEST_MESSAGE: usize = 20_000;
const LARGEST_SIGNAL: usize = 100;
const LARGEST_PACKET: usize = 1000;
/// What a session with four channels of such limits may hold.
const MOST_MEMORY: usize = 1536 * 1024;

/// Any bytes as a packet's head, and as records: what is one is written as it was.
pub fn session_packet(data: &[u8]) {
    let mut cursor = Cursor::new(data);
    if let Ok(head) = Head::take(&mut cursor) {
        let mut again = Vec::new();
        head.put(&mut again);
        assert_eq!(again, data[..data.len() - cursor.len()]);
    }
    let mut cursor = Cursor::new(data);
    while !cursor.is_empty() {
        let before = cursor.len();
        let Ok(record) = Record::take(&mut cursor) else { return };
        let mut again = Vec::new();
        record.put(&mut again);
        assert_eq!(Record::take(&mut Cursor::new(&again)), Ok(record));
        let taken = &data[data.len() - before..data.len() - cursor.len()];
        assert!(taken == again || taken[0] & 128 != 0, "{taken:?} was written {again:?}");
    }
}

/// A session within its bounds, whatever its peer says and whenever, and silent once it is closed.
pub fn session_peer(data: &[u8]) {
    let ((), peak) = memory::peak(|| Victim::new().run(&mut Script::new(data)));
    assert!(peak < MOST_MEMORY + 8 * data.len(), "{peak} bytes of memory for a script of {}", data.len());
}

struct Victim {
    session: Session,
    now: Instant,
    packet: Vec<u8>,
    closed: Option<CloseReason>,
}

const fn path_info(bits: u8) -> PathInfo {
    PathInfo { direct: bits & 1 != 0, lossy: bits & 2 != 0, private: bits & 4 == 0, split: false }
}

impl Victim {
    fn new() -> Self {
        let now = Instant::from_nanos(1);
        let limits = Limits {
            message: LARGEST_MESSAGE,
            signal: LARGEST_SIGNAL,
            packet: LARGEST_PACKET,
            session_send: 4000,
            session_receive: 4000,
            session_paths: 3,
            ..Limits::default()
        };
        let lossy = Reliability::MaxLifetime(Duration::from_millis(300));
        let channels = vec![
            Channel::reliable("a"),
            Channel::reliable("b").unordered().priority(1),
            Channel::reliable("c").with(Reliability::MaxRetransmits(1)),
            Channel::reliable("d").with(lossy).unordered(),
        ];
        let keys = (Sealer::new(&[1; 32]), Opener::new(&[2; 32]));
        let mut session = Session::new(now, &limits, SessionKey([0; 16]), true, keys, channels);
        session.add_path(now, PathId(0), path_info(0));
        Self { session, now, packet: Vec::new(), closed: None }
    }

    fn run(&mut self, script: &mut Script<'_>) {
        while !script.is_over() {
            self.act(script);
            self.look();
        }
        self.session.abort(CloseReason::Forgotten);
        self.look();
        assert!(self.closed.is_some());
    }

    fn act(&mut self, script: &mut Script<'_>) {
        let (now, action) = (self.now, script.byte());
        let path = PathId(action >> 4 & 3);
        match action & 15 {
            0..=2 => self.receive(path, &[&[3], script.bytes()].concat()),
            3 => self.receive(path, script.bytes()),
            4 => self.pass(Duration::from_millis(script.byte().into())),
            5 => self.pass(Duration::from_millis(script.word() as u64)),
            6 => drop(self.session.send(now, ChannelId(path.0.into()), &vec![7; script.word() % 5000])),
            7 => drop(self.session.send(now, ChannelId(script.byte().into()), script.bytes())),
            8 => drop(self.session.signal(now, script.bytes())),
            9 => self.take(),
            10 => self.supply(),
            11 => self.session.add_path(now, path, path_info(script.byte())),
            12 => self.session.attach(now, path, path_info(script.byte())),
            13 => self.session.remove_path(now, path),
            14 => self.session.set_policy(now, policy(script.byte())),
            _ => self.session.close(now, 1, &script.text()),
        }
    }

    fn receive(&mut self, path: PathId, packet: &[u8]) {
        let error = self.session.receive(self.now, path, &mut packet.to_vec());
        if let Err(rule) = error {
            assert!(!rule.to_string().is_empty());
        }
    }

    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(deadline) = self.session.deadline().filter(|deadline| deadline.at <= until) {
            self.now = self.now.max(deadline.at);
            self.session.on_timeout(self.now);
            let next = self.session.deadline();
            assert!(next.is_none_or(|next| next.at > self.now), "it spins: {next:?} at {}", self.now);
            self.look();
        }
        self.now = until;
    }

    fn take(&mut self) {
        while let Some((channel, message)) = self.session.recv() {
            assert!((1..=4).contains(&channel.0) && message.as_slice().len() <= LARGEST_MESSAGE);
        }
        while let Some(signal) = self.session.recv_signal() {
            assert!(signal.as_slice().len() <= LARGEST_SIGNAL);
        }
    }

    fn supply(&mut self) {
        for _ in 0..1000 {
            let Some(path) = self.session.pop_ready() else { return };
            self.packet.clear();
            while self.session.supply(self.now, path, &mut self.packet) {
                assert!(!self.packet.is_empty() && self.packet.len() <= LARGEST_PACKET);
                self.packet.clear();
            }
            assert!(self.packet.is_empty());
        }
        panic!("there is always something to be sent");
    }

    fn look(&mut self) {
        while let Some(event) = self.session.poll_event() {
            assert_eq!(self.closed, None, "{event:?} came after the end");
            if let SessionEvent::Closed(reason) = event {
                self.closed = Some(reason);
            }
        }
        if self.closed.is_some() {
            assert_eq!(self.session.deadline(), None);
            assert_eq!(self.session.pop_ready(), None);
            assert_eq!(self.session.path(), None);
            assert!(!self.session.supply(self.now, PathId(0), &mut self.packet));
        }
    }
}

const fn policy(byte: u8) -> PathPolicy {
    match byte % 3 {
        0 => PathPolicy::PreferDirect,
        1 => PathPolicy::RelayOnly,
        _ => PathPolicy::DirectOnly,
    }
}
