//! SCTP with data channels, as WebRTC peers speak it inside DTLS (RFC 8831, RFC 8261): an [`Association`].
//!
//! It is a state machine for its own sake: it needs neither the hub nor a driver, and owns no socket, clock, thread or
//! source of entropy. What DTLS has decrypted goes into [`receive`](Association::receive), what
//! [`fill`](Association::fill) appends goes to DTLS, [`deadline`](Association::deadline) says when to call
//! [`on_timeout`](Association::on_timeout), and [`poll_event`](Association::poll_event) what has happened. Messages are
//! copied in once by [`write`](Association::write), and lent by [`recv`](Association::recv); those that are not taken
//! close the window.
//!
//! ```
//! use switchboard::link::sctp::{Association, ChannelConfig, Config};
//! use switchboard::machine::rng::Rng;
//! use switchboard::machine::time::Instant;
//!
//! let (now, mut rng) = (Instant::ZERO, Rng::from_u64(1));
//! let mut ann = Association::new(Config::default(), &mut rng);
//! let mut bob = Association::new(Config::default(), &mut rng);
//! // Signalling has carried each one's INIT chunk to the other: no handshake is left to be made.
//! let (of_ann, of_bob) = (ann.init_chunk(), bob.init_chunk());
//! ann.start_with(now, &of_bob, true)?;
//! bob.start_with(now, &of_ann, false)?;
//!
//! let stream = ann.open(now, ChannelConfig { label: "chat".into(), ..Default::default() })?;
//! assert!(ann.write(now, stream, false, b"hello"));
//! let mut packet = Vec::new();
//! while ann.fill(now, &mut packet) {
//!     bob.receive(now, &packet);
//!     packet.clear();
//! }
//! assert_eq!(bob.recv(now).map(|message| message.bytes), Some(b"hello".as_slice()));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How it works
//!
//! *Set-up* is the handshake of RFC 9260, from either side or from both at once, or none at all, where signalling has
//! carried the INIT chunks. *Sending* cuts messages late, so that packets are full and of one size. *Loss* is found by
//! packets, as QUIC does. *Receiving* copies a message once. *Channels* open, close and reuse their ids by RFC 8832 and
//! RFC 6525. *The end* is a shutdown, which delivers what was written, or an abort, which says why. Each has its
//! paragraphs in its own module.
//!
//! *What a peer does wrong* is a [`Broken`] rule, which ends the association by an ABORT with the same words, or a
//! counter of [`Dropped`], where it harms nobody or may be the network's doing.
//!
//! *Bounds* are those of [`Config`]. Answers that wait are few; what does not fit is dropped, as the network might have
//! done. Nothing is allocated per message or packet once a transfer is going; after a second's rest the stores are given
//! back, and an association at rest has no timer, unless heartbeats are wished, or the path has not taken packets of
//! [`Config::most_packet`]: they are tried again every ten minutes.
//!
//! # What is built
//!
//! | RFC | what | |
//! | --- | --- | --- |
//! | 9260, 5.1 | four-way set-up, cookie signed and aged | built |
//! | 9260, 5.2 | both sides at once, repeated and late chunks | built |
//! | 9260, 5.2.4.1 | restart of a peer | refused by ABORT: a new association has a new DTLS session (RFC 8831, 6.1) |
//! | 9260, 5.2.6 | stale cookie | built, without Cookie Preservative, which would only lengthen what is long enough |
//! | 9260, 6.1 to 6.3 | windows, probes of closed ones, acknowledgements, timers | built; losses by packets, as RFC 9002 has it |
//! | 9260, 6.5 to 6.10 | streams, fragments, bundling | built |
//! | 9260, 7 | congestion control | by choice: Ebb, CUBIC (RFC 9438), or Reno |
//! | 9260, 5.4, 6.4, 8.2, 8.4 | several addresses, path failure, out of the blue | not built: below DTLS there is one path, ICE's, and no stranger |
//! | 9260, 8.1, 8.3 | peer failure, heartbeats | built; heartbeats answered, sent only by wish: ICE's consent checks watch the path |
//! | 9260, 9 | ABORT, SHUTDOWN, both at once, guard | built |
//! | 9260, 11 | notifications, statistics | events and [`Statistics`] |
//! | 3758, 7496 | partial reliability by time and count | built; by priority of queued data not: no data channel has it |
//! | 4820, 8899 | PAD, probes of the path MTU | built; what was cut too large for a path that shrank ends it by [`Over::TooLargeForPath`] |
//! | 4895, 5061 | AUTH, ASCONF | not built: DTLS authenticates, ICE moves addresses |
//! | 6525 | resets of outgoing streams, both ways | built; of incoming ones answered; of TSNs and more streams denied: RFC 8831 asks for none |
//! | 7053 | I bit | obeyed |
//! | 8260 | interleaving | built, where both sides want it; one scheduler, by bytes and priority |
//! | 8831, 8832 | data channels, their establishment | built; a second OPEN for a channel is counted and changes nothing |
//! | 8841 | SDP | elsewhere; port 5000 only |
//! | 9653 | no checksum below DTLS | built, where both sides want it |
//! | draft-hancke-tsvwg-snap | set-up by signalling | built |
//! | ECN (RFC 9260, appendix of RFC 4960) | ECNE, CWR | not built: no browser reads the bits below DTLS |

mod channels;
mod closing;
mod config;
mod congestion;
mod control;
mod cookie;
mod error;
mod establish;
mod events;
mod fill;
mod handshake;
mod heartbeat;
mod inbound;
mod messages;
mod mtu;
mod outbound;
mod oversize;
mod receive;
mod reset;
mod statistics;
mod teardown;
#[cfg(test)]
pub(crate) mod tests;
mod timers;

use std::collections::VecDeque;
use std::time::Duration;

use crate::machine::Deadline;
use crate::machine::rng::Rng;
use crate::machine::time::Instant;
use crate::machine::timers::TimerTable;
use crate::wire::sctp::Tsn;
use channels::Channels;
use control::{Alone, Answer, Control};
use cookie::Baker;
use handshake::{Offer, Setup};
use heartbeat::Beat;
use inbound::Inbound;
use mtu::Probe;
use outbound::Outbound;
use oversize::Oversize;
use reset::Reset;
use timers::Timer;

pub use channels::ChannelConfig;
pub use config::{Config, Reliability, Rto};
pub use congestion::{Congestion, CongestionCounters};
pub use error::Broken;
pub use events::{Event, OpenError, Opened, Over};
pub use inbound::InboundStatistics;
pub use messages::Message;
pub use outbound::OutboundStatistics;
pub use statistics::{Dropped, Statistics};

/// The port of both sides (RFC 8841, section 4.2).
const PORT: u16 = 5000;
/// The least that a packet may have, in bytes; smaller wishes are raised to it.
const LEAST_PACKET: usize = 512;
/// The most that a packet may have, in bytes; larger wishes are lowered to it: chunks tell their length in 16 bits.
const MOST_PACKET: usize = 65_532;

/// Where an association stands (RFC 9260, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Not started: nothing is answered.
    Idle,
    /// The peer may ask.
    Listening,
    /// INIT is out.
    CookieWait,
    /// COOKIE ECHO is out.
    CookieEchoed,
    /// It stands.
    Established,
    /// What was written is delivered, then it is shut down.
    ShutdownPending,
    /// SHUTDOWN is out.
    ShutdownSent,
    /// The peer has sent SHUTDOWN; what was written is delivered first.
    ShutdownReceived,
    /// SHUTDOWN ACK is out.
    ShutdownAckSent,
    /// It has ended.
    Over,
}

impl State {
    /// Whether the user may still write.
    const fn takes_messages(self) -> bool {
        matches!(self, Self::Listening | Self::CookieWait | Self::CookieEchoed | Self::Established)
    }

    /// Whether the peer may still send data.
    const fn takes_data(self) -> bool {
        matches!(self, Self::CookieEchoed | Self::Established | Self::ShutdownPending | Self::ShutdownSent)
    }

    /// Whether both sides know of each other.
    const fn is_associated(self) -> bool {
        self.is_established() || matches!(self, Self::CookieEchoed)
    }

    /// Whether packets may go out freely.
    const fn is_established(self) -> bool {
        !matches!(self, Self::Idle | Self::Listening | Self::CookieWait | Self::CookieEchoed | Self::Over)
    }
}

/// One association.
#[derive(Debug)]
pub struct Association {
    config: Config,
    state: State,
    is_client: bool,
    local_tag: u32,
    local_tsn: Tsn,
    remote: Option<Offer>,
    baker: Baker,
    setup: Setup,
    control: Control,
    timers: TimerTable<{ Timer::COUNT }>,
    outbound: Outbound,
    inbound: Inbound,
    reset: Reset,
    probe: Probe,
    oversize: Oversize,
    channels: Channels,
    events: VecDeque<Event>,
    beat: Beat,
    is_shutdown_due: bool,
    shutdown_repeats: u32,
    errors: u32,
    /// When the last packet of the peer came.
    heard: Instant,
    /// When something last moved.
    moved: Instant,
    /// The latest time that was told.
    now: Instant,
    dropped: Dropped,
    packets_sent: u64,
    bytes_sent: u64,
    packets_received: u64,
    bytes_received: u64,
}

impl Association {
    /// One that waits to be started: by [`connect`](Self::connect), [`listen`](Self::listen) or
    /// [`start_with`](Self::start_with). Tag, first TSN and the key of its cookies are drawn from `rng`.
    pub fn new(mut config: Config, rng: &mut Rng) -> Self {
        config.packet = config.packet.clamp(LEAST_PACKET, MOST_PACKET) & !3;
        config.most_packet = config.most_packet.min(MOST_PACKET);
        let local_tsn = Tsn(rng.u32());
        Self {
            state: State::Idle,
            is_client: false,
            local_tag: rng.u32().max(1),
            local_tsn,
            remote: None,
            baker: Baker::new(rng),
            setup: Setup::default(),
            control: Control::default(),
            timers: TimerTable::default(),
            outbound: Outbound::new(&config, local_tsn),
            inbound: Inbound::new(&config),
            reset: Reset::new(local_tsn.0, 0),
            probe: Probe::new(config.packet, config.most_packet),
            oversize: Oversize::default(),
            channels: Channels::default(),
            events: VecDeque::new(),
            beat: Beat::default(),
            is_shutdown_due: false,
            shutdown_repeats: 0,
            errors: 0,
            heard: Instant::ZERO,
            moved: Instant::ZERO,
            now: Instant::ZERO,
            dropped: Dropped::default(),
            packets_sent: 0,
            bytes_sent: 0,
            packets_received: 0,
            bytes_received: 0,
            config,
        }
    }

    /// Takes one event. Those of channels come in their place among the messages: asked for until there is none before
    /// each [`recv`](Self::recv), it tells of a channel before its first message.
    pub fn poll_event(&mut self) -> Option<Event> {
        if self.events.is_empty() {
            self.take_control(self.now);
        }
        self.events.pop_front()
    }

    /// When [`on_timeout`](Self::on_timeout) is to be called next: at once, if [`fill`](Self::fill) has something.
    pub fn deadline(&self) -> Option<Deadline> {
        if self.is_due(self.now) {
            return Some(Deadline::new(self.now, "a packet waits to be filled"));
        }
        let own = self.timers.earliest::<Timer>();
        if !self.state.is_established() {
            return own;
        }
        let parts =
            [own, self.outbound.deadline(), self.inbound.deadline(), self.reset.deadline(), self.probe.deadline()];
        parts.into_iter().flatten().min_by_key(|deadline| deadline.at)
    }

    /// Does what is due; to be followed by [`fill`](Self::fill). Too early a call does nothing.
    pub fn on_timeout(&mut self, now: Instant) {
        self.now = now;
        while let Some(timer) = self.timers.take_due::<Timer>(now) {
            match timer {
                Timer::Setup => self.on_setup_timeout(now),
                Timer::Shutdown => self.on_shutdown_timeout(now),
                Timer::Guard => self.on_guard_timeout(),
                Timer::Heartbeat => self.on_heartbeat_timeout(now),
                Timer::Trim => self.on_rest(now),
            }
        }
        if self.state.is_established() {
            self.on_session_timeout(now);
        }
    }

    fn on_session_timeout(&mut self, now: Instant) {
        if is_due(self.outbound.deadline(), now) {
            let is_silent = self.outbound.on_timeout(now);
            self.heed_sizes(now, self.heard);
            if is_silent {
                self.count_error();
            }
        }
        if is_due(self.reset.deadline(), now) && self.reset.on_timeout(now) {
            self.count_error();
        }
        self.probe.on_timeout(now);
        self.settle(now);
    }

    /// Looks at which sizes pass. `heard`: when the peer gave its last sign of life.
    #[inline]
    pub(super) fn heed_sizes(&mut self, now: Instant, heard: Instant) {
        let sizes = self.outbound.take_sizes();
        if sizes.has_passed {
            self.probe.on_passed();
        } else if sizes.has_failed && self.probe.on_failed(now, self.outbound.plain_rto()) {
            self.outbound.set_packet(self.packet_size());
        }
        if let Some(serial) = sizes.oversize {
            self.on_oversize(now, serial, heard);
        }
    }

    #[cold]
    fn on_oversize(&mut self, now: Instant, serial: u64, heard: Instant) {
        let is_first = |first| serial < first || !self.outbound.is_under_way(first);
        if self.oversize.serial().is_none_or(is_first) {
            self.oversize = Oversize::begin(now, serial);
        } else if self.oversize.on_lost(now, serial, heard, self.outbound.plain_rto()) {
            self.end_too_large();
        }
    }

    /// ICE has chosen another path: nothing that was measured on the old one counts any more. Packets larger than
    /// [`Config::packet`] are tried on it, up to [`Config::most_packet`], if it `may_carry_more`. `checked`: the round trip
    /// of ICE's check of it, which stands in for [`Rto::initial`] until there is a sample; none where the peer may answer
    /// later than a check, as one does that delays acknowledgements for longer than we.
    pub fn on_path(&mut self, now: Instant, may_carry_more: bool, checked: Option<Duration>) {
        self.now = now;
        self.outbound.on_path(now, checked);
        self.oversize = Oversize::default();
        self.probe.on_path(if may_carry_more { self.config.most_packet } else { self.config.packet });
        self.outbound.set_packet(self.packet_size());
    }

    /// Counters and measures.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            packets_sent: self.packets_sent,
            bytes_sent: self.bytes_sent,
            packets_received: self.packets_received,
            bytes_received: self.bytes_received,
            dropped: self.dropped,
            rtt: self.outbound.rtt(),
            packet: self.packet_size(),
            channels: self.channels.len(),
            outbound: self.outbound.statistics(),
            inbound: self.inbound.statistics(),
        }
    }

    /// Does what became possible since data moved.
    #[inline]
    fn settle(&mut self, now: Instant) {
        self.now = now;
        if self.channels.has_pending() {
            self.settle_channels(now);
        }
        if self.outbound.take_writable() {
            self.events.push_back(Event::Writable);
        }
        self.advance_shutdown(now);
    }

    /// Something moved: rest begins anew.
    #[inline]
    fn touch(&mut self, now: Instant) {
        self.moved = now;
        if !self.timers.runs(Timer::Trim) {
            self.timers.set(Timer::Trim, now + self.config.trim_after);
        }
    }

    fn on_rest(&mut self, now: Instant) {
        let rest = self.moved + self.config.trim_after;
        if now < rest {
            self.timers.set(Timer::Trim, rest);
        } else {
            self.outbound.trim();
            self.inbound.trim();
            self.events.shrink_to(8);
        }
    }

    fn packet_size(&self) -> usize {
        self.probe.packet()
    }

    fn send_alone(&mut self, alone: Alone) {
        if !self.control.send_alone(alone) {
            self.dropped.answers += 1;
        }
    }

    fn answer(&mut self, answer: Answer) {
        if !self.control.answer(answer) {
            self.dropped.answers += 1;
        }
    }
}

fn is_due(deadline: Option<Deadline>, now: Instant) -> bool {
    deadline.is_some_and(|deadline| deadline.at <= now)
}
