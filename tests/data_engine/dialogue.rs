//! A conversation: channels are opened, messages written and compared, channels closed and opened again.

use std::time::Duration;

use switchboard::machine::time::Instant;

use crate::lane::Lane;
use crate::pair::{Pair, Wire};
use crate::partner::{Happened, Limit, Partner, Spec};

/// How long a step of a conversation may take, in virtual time.
const PATIENCE: Duration = Duration::from_secs(600);
/// How long nothing may come before what is missing counts as given up.
const QUIET: Duration = Duration::from_secs(5);
/// So many messages on a lane are enough to say how many of them must arrive over a wire that loses some.
const MANY: usize = 40;
/// So many, that some must live long enough: the first ones wait behind large messages of other channels.
const HUNDREDS: usize = 500;

struct Channel {
    spec: Spec,
    /// What each side calls it, once it knows it.
    names: [Option<u16>; 2],
    is_closed: [bool; 2],
    /// What each side writes.
    lanes: [Lane; 2],
}

pub(crate) struct Dialogue {
    pub(crate) pair: Pair,
    channels: Vec<Channel>,
    pub(crate) is_connected: [bool; 2],
    pub(crate) over: [Option<String>; 2],
    last_message: Instant,
}

/// All six kinds of channels.
pub(crate) fn kinds() -> impl Iterator<Item = (bool, Limit)> {
    let limits = [Limit::None, Limit::Retransmits(2), Limit::Lifetime(Duration::from_millis(500))];
    limits.into_iter().flat_map(|limit| [(true, limit), (false, limit)])
}

impl Dialogue {
    pub(crate) fn new(sides: [Box<dyn Partner>; 2], wire: Wire, seed: u64) -> Self {
        let pair = Pair::new(sides, wire, seed);
        let last_message = pair.now;
        Self { pair, channels: Vec::new(), is_connected: [false; 2], over: [None, None], last_message }
    }

    /// Lets those sides ask for an association, and waits until both have one.
    pub(crate) fn connect(&mut self, who: [bool; 2]) {
        for side in [0, 1] {
            if who[side] {
                self.pair.sides[side].connect(self.pair.now);
            }
        }
        self.until("connected", |dialogue| dialogue.is_connected == [true, true]);
    }

    /// Opens a channel of each kind from each side, and has each side write `count` messages in all.
    pub(crate) fn talk(&mut self, count: usize) {
        self.talk_by(&[0, 1], count);
    }

    /// The same by channels that those sides open.
    pub(crate) fn talk_by(&mut self, openers: &[usize], count: usize) {
        let kinds: Vec<_> = kinds()
            .flat_map(|kind| openers.iter().map(move |opener| (*opener, kind)))
            .filter(|(opener, (_, limit))| {
                !matches!(limit, Limit::Lifetime(_)) || self.pair.sides[*opener].limits_by_time()
            })
            .collect();
        let each = count.div_ceil(kinds.len());
        for (opener, (is_ordered, limit)) in kinds {
            let label = format!("channel {} of side {opener}", self.channels.len());
            self.open(opener, Spec { label, is_ordered, limit }, each);
        }
        self.exchange();
    }

    pub(crate) fn open(&mut self, opener: usize, spec: Spec, count: usize) {
        let name = self.pair.sides[opener].open(self.pair.now, &spec);
        self.agree(spec, count);
        self.channels.last_mut().expect("it is there").names[opener] = Some(name);
    }

    /// Has each side write `count` messages on a channel that both sides have agreed on.
    pub(crate) fn agree(&mut self, spec: Spec, count: usize) {
        let salt = 2 * self.channels.len() as u64;
        let lane = |side: usize| {
            let partner = &self.pair.sides[side];
            Lane::new(&spec, salt + side as u64, count, partner.smallest()..=partner.largest())
        };
        let lanes = [0, 1].map(lane);
        self.channels.push(Channel { spec, names: [None; 2], is_closed: [false; 2], lanes });
    }

    /// Writes all messages, and waits for those that must arrive and for what else does.
    pub(crate) fn exchange(&mut self) {
        self.until("exchanged", |dialogue| {
            dialogue.channels.iter().all(|channel| channel.lanes.iter().all(Lane::is_complete))
        });
        self.last_message = self.pair.now;
        self.until("quiet", |dialogue| dialogue.pair.now >= dialogue.last_message + QUIET);
        for Channel { spec, lanes, .. } in &self.channels {
            for (side, lane) in lanes.iter().enumerate() {
                let (least, all) = (self.least(spec.limit, lane.written), lane.written);
                assert!(lane.count >= least, "{spec:?}: only {} of {all} of side {side} arrived", lane.count);
            }
        }
    }

    /// How many of so many messages must arrive: nine of ten where a lost one is sent twice more, and some within their
    /// lifetime.
    fn least(&self, limit: Limit, written: usize) -> usize {
        match limit {
            Limit::None => written,
            Limit::Retransmits(_) if self.pair.lost == 0 => written,
            Limit::Retransmits(_) if written >= MANY => written * 9 / 10,
            Limit::Lifetime(_) if written >= HUNDREDS => 1,
            Limit::Retransmits(_) | Limit::Lifetime(_) => 0,
        }
    }

    /// Closes all channels, by turns from either side.
    pub(crate) fn close(&mut self) {
        for (place, channel) in self.channels.iter().enumerate() {
            let side = place / 2 % 2;
            self.pair.sides[side].close(self.pair.now, channel.names[side].expect("it is open"));
        }
        self.until("closed", |dialogue| dialogue.channels.iter().all(|channel| channel.is_closed == [true, true]));
        self.report();
        self.channels.clear();
    }

    fn report(&self) {
        let lanes = || self.channels.iter().flat_map(|channel| &channel.lanes);
        let count: usize = lanes().map(|lane| lane.count).sum();
        let bytes: usize = lanes().map(|lane| lane.bytes).sum();
        let pair = &self.pair;
        println!(
            "{count} messages of {bytes} bytes arrived by {:?}; {:?} datagrams, {} lost",
            pair.now, pair.datagrams, pair.lost
        );
        for side in &pair.sides {
            println!("  {}", side.counters());
        }
    }

    fn report_lanes(&self) {
        for Channel { spec, names, is_closed, lanes } in &self.channels {
            println!("  {spec:?}, names {names:?}, closed {is_closed:?}");
            for (side, lane) in lanes.iter().enumerate().filter(|(_, lane)| !lane.is_complete()) {
                println!("    side {side} has written {}, {} arrived", lane.written, lane.count);
            }
        }
    }

    pub(crate) fn until(&mut self, what: &str, mut is_done: impl FnMut(&Self) -> bool) {
        let end = self.pair.now + PATIENCE;
        loop {
            self.write();
            for (side, happened) in self.pair.drain() {
                self.on_happened(side, happened);
            }
            if is_done(self) {
                return;
            }
            let next = end.min(self.pair.now + QUIET);
            if !self.pair.step(next) && next == end {
                self.report();
                self.report_lanes();
                panic!("not {what} after {PATIENCE:?}; over: {:?}, connected: {:?}", self.over, self.is_connected);
            }
        }
    }

    fn write(&mut self) {
        let now = self.pair.now;
        for channel in &mut self.channels {
            for (side, lane) in channel.lanes.iter_mut().enumerate() {
                let Some(name) = channel.names[side] else { continue };
                while let Some((is_binary, message)) = lane.next()
                    && self.pair.sides[side].write(now, name, is_binary, &message)
                {
                    lane.written += 1;
                }
            }
        }
    }

    fn on_happened(&mut self, side: usize, happened: Happened) {
        match happened {
            Happened::Connected => self.is_connected[side] = true,
            Happened::Over(why) => self.over[side] = Some(why),
            Happened::Open { channel, label, spec } => self.on_open(side, channel, &label, spec),
            Happened::Closed(name) => self.named(side, name).is_closed[side] = true,
            Happened::Message { channel, is_binary, bytes } => {
                self.last_message = self.pair.now;
                let channel = self.named(side, channel);
                assert!(!channel.is_closed[side], "a message on a closed channel");
                channel.lanes[1 - side].arrived(is_binary, &bytes);
            }
        }
    }

    fn on_open(&mut self, side: usize, name: u16, label: &str, spec: Option<Spec>) {
        let channel = self.channels.iter_mut().find(|channel| channel.spec.label == label);
        let channel = channel.unwrap_or_else(|| panic!("nobody opened {label:?}"));
        assert_eq!(*channel.names[side].get_or_insert(name), name);
        if let Some(spec) = spec {
            assert_eq!(spec, channel.spec);
        }
    }

    fn named(&mut self, side: usize, name: u16) -> &mut Channel {
        let known = self.channels.iter_mut().find(|channel| channel.names[side] == Some(name));
        known.unwrap_or_else(|| panic!("side {side} has no channel {name}"))
    }
}
