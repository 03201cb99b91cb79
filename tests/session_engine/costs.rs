//! What a session costs: bytes on the wire, allocations, memory at rest.

use std::time::Duration;

use allocation_counter::measure;
use switchboard::hub::channel::{Channel, ChannelId};
use switchboard::hub::session::Session;
use switchboard::hub::session::event::PathInfo;
use switchboard::machine::limits::Limits;
use switchboard::machine::time::Instant;

use super::net::{DIRECT, Net, PRIVATE, Quality, RELAYED, session};

const CHAT: ChannelId = ChannelId(1);
/// Bytes of a hub's frame around a packet.
const FRAME: usize = 5;
const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_message_alone_costs_few_bytes_more_than_its_own() {
    for (info, most) in [(PRIVATE, 20), (RELAYED, 52)] {
        let mut net = established(info);
        let now = net.now;
        net.ends[0].send(now, CHAT, &[1; 64]).unwrap();
        let path = net.ends[0].pop_ready().unwrap();
        let mut packet = Vec::new();
        assert!(net.ends[0].supply(now, path, &mut packet));
        let overhead = packet.len() + FRAME - 64;
        println!("{info:?}: {overhead} bytes beyond a message of 64");
        assert!(overhead <= most);
    }
}

/// A session that has carried enough messages for numbers to be long, and has just pinged.
fn established(info: PathInfo) -> Net {
    let mut net = Net::new(1, &Limits::default(), &[Channel::reliable("chat")]);
    net.first_path(info, Quality::clean(1));
    for _ in 0..20_000 {
        assert!(net.send(0, CHAT, b"x"));
        net.run_for(Duration::from_micros(100));
    }
    net.run_for(Duration::from_millis(100));
    net
}

#[test]
fn messages_allocate_nothing_once_it_is_warm() {
    for (info, batch) in [(PRIVATE, 250), (DIRECT, 250), (RELAYED, 250), (RELAYED, 1), (DIRECT, 3)] {
        let mut pair = Pair::new(info);
        (0..2000).for_each(|_| pair.exchange(batch));
        let counted = measure(|| (0..2000).for_each(|_| pair.exchange(batch)));
        let each = counted.count_total as f64 / f64::from(2000 * batch);
        println!("{info:?}, {batch} at once: {each:.4} allocations per message");
        assert!(each <= 0.05, "{each}");
    }
}

#[test]
fn a_session_at_rest_takes_at_most_four_kilobytes() {
    let channels = [Channel::reliable("chat"), Channel::reliable("files").unordered()];
    let mut net = Net::new(1, &Limits::default(), &channels);
    net.first_path(RELAYED, Quality::clean(10));
    for _ in 0..200 {
        net.send(0, CHAT, &[1; 5000]);
        net.send(1, ChannelId(2), &[1; 50_000]);
        net.run_for(Duration::from_millis(10));
    }
    net.run_for(10 * SECOND);
    for end in net.ends {
        assert_eq!(end.deadline(), None, "an idle session runs no timer");
        let held = -measure(|| drop(end)).bytes_current + size_of::<Session>() as i64;
        println!("a session at rest takes {held} bytes");
        assert!(held <= 4096, "{held}");
    }
}

/// Two sessions that hand each other their packets at once.
struct Pair {
    ends: [Session; 2],
    info: PathInfo,
    now: Instant,
    packet: Vec<u8>,
}

impl Pair {
    fn new(info: PathInfo) -> Self {
        let now = Instant::from_nanos(1);
        let mut ends =
            [true, false].map(|initiator| session(now, &Limits::default(), initiator, &[Channel::reliable("chat")]));
        ends.iter_mut().for_each(|end| end.add_path(now, switchboard::hub::session::event::PathId(0), info));
        Self { ends, info, now, packet: Vec::new() }
    }

    fn exchange(&mut self, batch: u32) {
        self.now = self.now + Duration::from_micros(100);
        (0..batch).for_each(|_| self.ends[0].send(self.now, CHAT, &[3; 64]).unwrap());
        let mut taken = 0;
        while self.hand_over(0) | self.hand_over(1) {
            while self.ends[1].recv().is_some() {
                taken += 1;
            }
        }
        assert_eq!(taken, batch, "{:?}", self.info);
        for end in &mut self.ends {
            while end.poll_event().is_some() {}
            if end.deadline().is_some_and(|deadline| deadline.at <= self.now) {
                end.on_timeout(self.now);
            }
        }
    }

    fn hand_over(&mut self, from: usize) -> bool {
        let mut any = false;
        while let Some(path) = self.ends[from].pop_ready() {
            self.packet.clear();
            while self.ends[from].supply(self.now, path, &mut self.packet) {
                self.ends[1 - from].receive(self.now, path, &mut self.packet).unwrap();
                self.packet.clear();
                any = true;
            }
        }
        any
    }
}
