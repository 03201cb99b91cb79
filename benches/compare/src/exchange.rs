//! Two sessions in one thread, which hand each other packets.

use std::time::Duration;

use switchboard::hub::channel::{Channel, ChannelId};
use switchboard::hub::session::Session;
use switchboard::hub::session::event::{PathId, PathInfo, SendError};
use switchboard::link::noise::{Opener, Sealer};
use switchboard::machine::limits::Limits;
use switchboard::machine::time::Instant;
use switchboard::wire::session::SessionKey;

/// A path as relays give it: what goes over it is sealed.
pub const RELAYED: PathInfo = PathInfo { direct: false, lossy: true, private: false, split: false };
/// A path to a neighbour: nothing is sealed twice.
pub const PRIVATE: PathInfo = PathInfo { direct: true, lossy: false, private: true, split: false };

/// The path that sessions of a comparison have.
pub const PATH: PathId = PathId(0);

/// The delay of the path, each way.
const DELAY: Duration = Duration::from_micros(25);

/// A sender and a receiver with one reliable, ordered channel.
pub struct Exchange {
    ends: [Session; 2],
    now: Instant,
    packet: Vec<u8>,
    received: usize,
}

/// One of two sessions that know each other's keys, with its only path.
pub fn session(now: Instant, initiator: bool, info: PathInfo) -> Session {
    let (a, b) = ([1; 32], [2; 32]);
    let (ours, theirs) = if initiator { (a, b) } else { (b, a) };
    let keys = (Sealer::new(&ours), Opener::new(&theirs));
    let channels = vec![Channel::reliable("messages")];
    let mut session = Session::new(now, &Limits::default(), SessionKey([9; 16]), initiator, keys, channels);
    session.add_path(now, PATH, info);
    session
}

/// The only channel.
pub const fn channel() -> ChannelId {
    ChannelId(1)
}

impl Exchange {
    pub fn new(info: PathInfo) -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let ends = [session(now, true, info), session(now, false, info)];
        Self { ends, now, packet: Vec::new(), received: 0 }
    }

    /// Sends so many messages at once, as far as the session takes them, until all have arrived.
    pub fn burst(&mut self, message: &[u8], count: usize) {
        let wanted = self.received + count;
        let mut unsent = count;
        for _ in 0..1_000_000 {
            while unsent > 0 && self.send(message) {
                unsent -= 1;
            }
            self.carry(0, message);
            self.carry(1, message);
            if self.received == wanted {
                return;
            }
        }
        panic!("{} messages have not arrived", wanted - self.received);
    }

    fn send(&mut self, message: &[u8]) -> bool {
        match self.ends[0].send(self.now, channel(), message) {
            Ok(()) => true,
            Err(SendError::Blocked) => false,
            Err(error) => panic!("a message is not taken: {error}"),
        }
    }

    /// Carries all that one end has for the other.
    fn carry(&mut self, from: usize, message: &[u8]) {
        self.wait();
        let [a, b] = &mut self.ends;
        let (from, to) = if from == 0 { (a, b) } else { (b, a) };
        while from.pop_ready().is_some() {}
        loop {
            self.packet.clear();
            if !from.supply(self.now, PATH, &mut self.packet) {
                return;
            }
            to.receive(self.now, PATH, &mut self.packet).expect("a session sends what a session takes");
            while to.poll_event().is_some() {}
            while let Some((_, received)) = to.recv() {
                assert!(received.as_slice().len() == message.len(), "a message has changed under way");
                self.received += 1;
            }
        }
    }

    fn wait(&mut self) {
        self.now = self.now + DELAY;
        for end in &mut self.ends {
            if end.deadline().is_some_and(|deadline| deadline.at <= self.now) {
                end.on_timeout(self.now);
            }
            while end.poll_event().is_some() {}
        }
    }
}
