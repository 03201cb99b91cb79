//! How much may be under way, and how fast it leaves: congestion controllers and the pacer.
//!
//! A [`Controller`] hears of every acknowledgement and every lost packet and answers with a window and, where it paces,
//! a rate. It knows nothing of chunks, streams or retransmissions: a packet is a number that grows with each datagram
//! sent, original or repeated, so that no acknowledgement is ambiguous. A [`Pacer`] turns the rate into moments.
//!
//! # The choice
//!
//! [`Congestion::Ebb`] is the default. It keeps a lossy path full, keeps its own queue short and shares a bottleneck with
//! CUBIC; its module documentation is the algorithm. [`Congestion::Cubic`] is RFC 9438 with HyStart, and
//! [`Congestion::Reno`] is RFC 9260, section 7.2. Both are clocked by acknowledgements, take every loss for congestion,
//! and are Ebb's opponents in its tests.
//!
//! # What they are told
//!
//! *Per lost packet* its number and the next number, before the acknowledgement that showed the loss.
//! *Per acknowledgement* an [`Ack`]. The delivery rate is the sampler's (as in draft-cheng-iccrg-delivery-rate-estimation):
//! bytes delivered between sending and acknowledgement of the newest packet acknowledged, by the longer of the two times.
//! A sample taken while the application had less to send than the window allows says so.
//!
//! *A loss that was none* is taken back: where all losses of a reduction prove to be late packets, the window from before
//! it is restored. *After idleness* the window shrinks to what the path is known to hold. *On another path* all that was
//! learned of the old one is forgotten.
//!
//! # Bounds
//!
//! All state has a fixed size, and an acknowledgement costs a fixed number of steps. What a peer can influence (times,
//! counts, rates) is clamped where it comes in: the window stays between a few packets and [`MOST_WINDOW`], no figure
//! becomes infinite or not a number, and time that runs backwards stands still.

mod cubic;
mod curve;
mod ebb;
mod episode;
mod filter;
mod fullness;
#[cfg(test)]
mod harness;
mod pacer;
mod reno;
mod slow_start;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::machine::time::Instant;
use cubic::Cubic;
use ebb::Ebb;
pub(super) use pacer::Pacer;
use reno::Reno;

/// No window is larger than this, in bytes.
const MOST_WINDOW: f64 = (1u64 << 30) as f64;
/// No packet counts as smaller than this, in bytes.
const LEAST_PACKET: usize = 64;
/// A pause between two acknowledgements from which on the next data starts anew.
const IDLE: Duration = Duration::from_secs(1);

/// Which congestion controller an association uses; each side chooses for what it sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Congestion {
    /// Full on lossy paths, short queues, even with CUBIC; paced.
    #[default]
    Ebb,
    /// CUBIC (RFC 9438), clocked by acknowledgements.
    Cubic,
    /// Reno as SCTP has it (RFC 9260, section 7.2), clocked by acknowledgements.
    Reno,
}

/// What one acknowledgement tells a controller.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ack {
    /// When it came.
    pub(super) now: Instant,
    /// Bytes of packets that it acknowledges for the first time.
    pub(super) acked: usize,
    /// The round-trip time of the newest packet acknowledged, without what the peer delayed on purpose if that is known.
    pub(super) rtt: Option<Duration>,
    /// A sample of the delivery rate, in bytes per second.
    pub(super) rate: Option<f64>,
    /// Whether the sample was taken while the application had too little to send.
    pub(super) is_app_limited: bool,
    /// Bytes delivered when the newest packet acknowledged was sent.
    pub(super) prior: u64,
    /// Bytes delivered by now, these included.
    pub(super) delivered: u64,
    /// The highest packet number acknowledged so far.
    pub(super) top: u64,
    /// The number that the next packet will have.
    pub(super) next: u64,
    /// Bytes in flight after it.
    pub(super) flight: usize,
}

impl Ack {
    /// Bytes acknowledged, at most one window of them.
    fn acked_within(&self, window: f64) -> f64 {
        (self.acked as f64).min(window)
    }

    /// Seconds of the round trip, never zero.
    fn seconds(&self) -> Option<f64> {
        self.rtt.map(|rtt| rtt.as_secs_f64().max(1e-6))
    }
}

/// What explains how fast or slow a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct CongestionCounters {
    /// Bytes that may be in flight now.
    pub window: usize,
    /// Bytes per second at which packets leave now; none: they leave as acknowledgements come.
    pub rate: Option<f64>,
    /// The least round-trip time of the last minute, by which a queue is told; none before a sample, and but for Ebb.
    pub least_rtt: Option<Duration>,
    /// The share of packets that is lost without a queue, as far as it is known; zero but for Ebb.
    pub random_loss: f64,
    /// Reductions of the window, whatever for.
    pub reductions: u64,
    /// Lost packets that were taken for congestion.
    pub congestion_losses: u64,
    /// Lost packets that were taken for chance, and only repeated; none but for Ebb.
    pub random_losses: u64,
    /// Drains that emptied the queue: nobody else fills it, or only flows that drain too.
    pub verdicts_alone: u64,
    /// Drains that did not.
    pub verdicts_in_company: u64,
    /// How often it began to compete as CUBIC.
    pub competitions: u64,
    /// Lost packets that proved to be late.
    pub spurious: u64,
    /// Retransmission timeouts.
    pub timeouts: u64,
    /// Restarts after idleness.
    pub idle_restarts: u64,
}

/// One congestion controller; a box, as most associations of a process are idle and the largest has 800 bytes.
#[derive(Debug)]
pub(super) enum Controller {
    Ebb(Box<Ebb>),
    Cubic(Box<Cubic>),
    Reno(Box<Reno>),
}

/// Calls the controller there is.
macro_rules! each {
    ($controller:expr, $one:ident => $call:expr) => {
        match $controller {
            Controller::Ebb($one) => $call,
            Controller::Cubic($one) => $call,
            Controller::Reno($one) => $call,
        }
    };
}

impl Controller {
    /// A controller at its start; `packet` is the size of a full packet in bytes, in the unit of all other sizes.
    pub(super) fn new(choice: Congestion, packet: usize) -> Self {
        let packet = packet.max(LEAST_PACKET) as f64;
        match choice {
            Congestion::Ebb => Self::Ebb(Box::new(Ebb::new(packet))),
            Congestion::Cubic => Self::Cubic(Box::new(Cubic::new(packet))),
            Congestion::Reno => Self::Reno(Box::new(Reno::new(packet))),
        }
    }

    /// Takes an acknowledgement in, after the losses that it showed.
    pub(super) fn on_ack(&mut self, ack: &Ack) {
        each!(self, one => one.on_ack(ack));
    }

    /// Takes the loss of packet `number` in, while `next` is to be sent next.
    pub(super) fn on_lost(&mut self, now: Instant, number: u64, next: u64) {
        each!(self, one => one.on_lost(now, number, next));
    }

    /// A retransmission timer has expired.
    pub(super) fn on_timeout(&mut self, now: Instant, next: u64) {
        each!(self, one => one.on_timeout(now, next));
    }

    /// Packet `number` had been declared lost and is acknowledged all the same.
    pub(super) fn on_spurious(&mut self, number: u64) {
        each!(self, one => one.on_spurious(number));
    }

    /// Data are about to leave after nothing was in flight. A pause below a second changes nothing.
    pub(super) fn on_idle(&mut self, now: Instant) {
        each!(self, one => one.on_idle(now));
    }

    /// Packets take another path from now on.
    pub(super) fn on_path(&mut self, now: Instant) {
        each!(self, one => one.on_path(now));
    }

    /// Full packets have another size from now on.
    pub(super) fn on_packet_size(&mut self, packet: usize) {
        each!(self, one => one.on_packet_size(packet.max(LEAST_PACKET) as f64));
    }

    /// Bytes that may be in flight.
    pub(super) fn window(&self) -> usize {
        each!(self, one => one.window()) as usize
    }

    /// Bytes per second at which packets shall leave; none: as acknowledgements come.
    pub(super) fn rate(&self) -> Option<f64> {
        match self {
            Self::Ebb(ebb) => Some(ebb.rate()),
            Self::Cubic(_) | Self::Reno(_) => None,
        }
    }

    /// What explains a slow transfer.
    pub(super) fn counters(&self) -> CongestionCounters {
        let counters = each!(self, one => one.counters());
        CongestionCounters { window: self.window(), rate: self.rate(), ..counters }
    }
}
