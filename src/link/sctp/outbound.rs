//! The sending half of an association: what was written, what is under way, what is sent when.
//!
//! An [`Outbound`] takes messages in, puts chunks into packets as it is asked to, and hears of acknowledgements. It knows
//! no packets' headers and no timers but its own; the association drives it.
//!
//! # How it works
//!
//! *Late cutting.* A message is copied once, into the log of [`store`], and queued on its stream. It is cut into chunks
//! when a packet is filled, so packets are full and of equal size, small messages share one, and whose turn it is
//! ([`streams`]) is decided as late as can be. Bytes go from the log into the packet, in one copy.
//!
//! *Under way* are chunks, in a ring by TSN ([`flight`]), and packets, in a ring by number ([`packets`]). A chunk knows the
//! packet it last went in. Round trips, delivery rates and losses are matters of packets; chunks are what is sent again.
//!
//! *Acknowledgements* cost what is new in them ([`acknowledge`], [`gaps`]).
//!
//! *Losses* ([`loss`]) are found as in QUIC (RFC 9002, section 6.1), packet by packet, and each is looked at once. What
//! stays silent is asked for by a timer (T3-rtx, RFC 9260, section 6.3), twice before all that is under way counts as lost.
//!
//! *Windows.* New data need room in the congestion window, or fill it up with at most a packet more, and in the peer's.
//! What is sent again needs neither: the peer has room for it, and holding it back would wait for ever where a peer
//! reports only some of its gaps. But once all has been taken for lost, it needs room in the congestion window until that
//! is through: nothing is under way then, and it would leave in one burst (RFC 9260, section 6.3.3, rule E3). What has a
//! rate is paced, the first time and again.
//!
//! *The peer's window* (RFC 9260, section 6.2.1) counts payload. A piece that does not fit waits, unless nothing is
//! under way: then it is cut to what fits, and if nothing does, a small piece asks once per timeout.
//!
//! *Giving up* messages is in [`partial`] (RFC 3758, RFC 7496).
//!
//! # Bounds
//!
//! What is held is bounded by [`Config::send_bound`] in bytes and by a 32nd of it in messages; at most 60,000 chunks,
//! without interleaving 32,767, and 65,536 packets are under way. A peer that acknowledges nothing, or nonsense, can make it hold no more. Records are
//! reused: nothing is allocated per message, chunk or packet once sizes have settled, and [`trim`](Outbound::trim) gives all
//! of it back.

mod acknowledge;
mod flight;
mod gaps;
mod loss;
mod message;
mod packets;
mod partial;
mod rtt;
mod send;
mod statistics;
mod store;
mod streams;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use super::config::{Agreed, Config, Reliability};
use super::congestion::{Controller, Pacer};
use crate::machine::Deadline;
use crate::machine::time::Instant;
use crate::wire::sctp::{COMMON_HEADER, DataHead, Tsn};
use flight::{Flight, State};
use gaps::{Gaps, Run};
use loss::Recent;
use message::{Limit, Message, Messages};
use packets::Packets;
use partial::Partial;
use rtt::Rtt;
pub use statistics::OutboundStatistics;
use store::Store;
use streams::Streams;

/// Messages held at most: the bound in bytes by this.
const BYTES_PER_MESSAGE: usize = 32;

/// How a message is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// What it is, for the receiver.
    pub(super) ppid: u32,
    /// Whether it is delivered in the order of its stream.
    pub(super) is_ordered: bool,
    /// When it is given up. A limit of 255 retransmissions or more is none.
    pub(super) reliability: Reliability,
}

/// What acknowledgements and losses tell of the sizes that pass.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Sizes {
    /// A packet larger than in the beginning has arrived.
    pub(super) has_passed: bool,
    /// Such a one was lost.
    pub(super) has_failed: bool,
    /// The first chunk that was lost and needs a packet larger than they are now.
    pub(super) oversize: Option<u64>,
}

/// The sending half.
#[derive(Debug)]
pub(super) struct Outbound {
    store: Store,
    messages: Messages,
    streams: Streams,
    flight: Flight,
    gaps: Gaps,
    packets: Packets,
    partial: Partial,
    recent: Recent,
    rtt: Rtt,
    controller: Controller,
    pacer: Pacer,
    /// None until the association is up.
    agreed: Option<Agreed>,
    /// Bytes of a packet in the beginning, and now.
    first_packet: usize,
    packet: usize,
    sizes: Sizes,
    most_messages: usize,
    /// Chunks under way.
    most_chunks: usize,
    /// Bytes that the peer had room for when it last said so.
    window: usize,
    /// Bytes of chunks, heads included, that are neither acknowledged nor declared lost.
    flying: usize,
    /// Bytes of payload that are not acknowledged.
    outstanding: usize,
    /// All below this serial has been reported on: a chunk is missing only if a later one has arrived.
    reported: u64,
    /// The highest packet number acknowledged.
    top: u64,
    /// Bytes acknowledged in all, and when the last of them were.
    delivered: u64,
    delivered_at: Instant,
    /// When the newest packet acknowledged was sent.
    first_sent: Instant,
    /// Until so many bytes are delivered, delivery rates are the application's and not the path's.
    app_limited: u64,
    /// The pacer lets nothing pass before.
    release: Option<Instant>,
    /// When the next packet will have been under way for too long.
    loss_at: Option<Instant>,
    /// When the timer of what is under way was started.
    started: Instant,
    /// Timeouts since the last acknowledgement of anything.
    timeouts: u32,
    /// What is sent again below this serial needs room in the congestion window.
    restart: u64,
    /// Whether the peer has said something since the last timeout.
    is_heard: bool,
    /// When a closed window is asked about, and how often it has been.
    probe: Option<Instant>,
    probes: u32,
    /// Whether the next piece does not fit into the peer's window.
    is_window_blocked: bool,
    wants_room: bool,
    /// What gap blocks once told and then did not.
    reneged: VecDeque<Run>,
    /// The most blocks that a SACK had, and whether the last one may have had too few.
    most_blocks: usize,
    is_cut_short: bool,
    counts: OutboundStatistics,
}

impl Outbound {
    /// One that has nothing; its first chunk will have the TSN `first`. Nothing leaves before [`start`](Self::start).
    pub(super) fn new(config: &Config, first: Tsn) -> Self {
        let flight = Flight::new(first);
        Self {
            store: Store::new(config.send_bound),
            messages: Messages::default(),
            streams: Streams::default(),
            reported: flight.base(),
            partial: Partial::new(flight.base()),
            flight,
            gaps: Gaps::default(),
            packets: Packets::new(),
            recent: Recent::default(),
            rtt: Rtt::new(config.rto, config.ack_delay),
            controller: Controller::new(config.congestion, config.packet.saturating_sub(COMMON_HEADER)),
            pacer: Pacer::new(),
            agreed: None,
            first_packet: config.packet,
            packet: config.packet,
            sizes: Sizes::default(),
            most_messages: config.send_bound.div_ceil(BYTES_PER_MESSAGE),
            most_chunks: 0,
            window: 0,
            flying: 0,
            outstanding: 0,
            top: 0,
            delivered: 0,
            delivered_at: Instant::ZERO,
            first_sent: Instant::ZERO,
            app_limited: 0,
            release: None,
            loss_at: None,
            started: Instant::ZERO,
            timeouts: 0,
            restart: 0,
            is_heard: false,
            probe: None,
            probes: 0,
            is_window_blocked: false,
            wants_room: false,
            reneged: VecDeque::new(),
            most_blocks: 0,
            is_cut_short: false,
            counts: OutboundStatistics::default(),
        }
    }

    /// The association is up: the peer has `window` bytes of room. What was queued on streams that the peer does not
    /// have is dropped.
    pub(super) fn start(&mut self, now: Instant, window: u32, agreed: Agreed) {
        self.agreed = Some(agreed);
        self.most_chunks = if agreed.is_interleaved { flight::MOST } else { flight::MOST_PLAIN };
        self.set_window(now, window);
        while let Some(stream) = self.unusable_stream(agreed.outbound_streams) {
            self.discard(stream);
        }
    }

    /// Bytes that a message may have to be taken now; a larger one is taken when nothing is held at all.
    pub(super) fn room(&self) -> usize {
        if self.messages.len() < self.most_messages { self.store.room() } else { 0 }
    }

    /// Bytes of a stream that were written and not yet sent for the first time.
    pub(super) fn buffered(&self, stream: u16) -> usize {
        self.streams.find(stream).map_or(0, |stream| stream.queued)
    }

    /// Queues a message, whole or not at all: `false` if there is no [`room`](Self::room), the stream does not exist, or
    /// the message is empty, which SCTP can't send.
    pub(super) fn write(&mut self, now: Instant, stream: u16, head: Head, message: &[u8]) -> bool {
        let has_room = self.messages.len() < self.most_messages && self.store.has_room(message.len());
        let fits = has_room || self.messages.len() == 0;
        let exists = self.agreed.is_none_or(|agreed| stream < agreed.outbound_streams);
        let Ok(len) = u32::try_from(message.len()) else { return false };
        if !fits || !exists || len == 0 {
            return false;
        }
        let limit = match head.reliability {
            Reliability::Reliable => Limit::None,
            Reliability::MaxRetransmits(most) => Limit::Retransmits(most),
            Reliability::MaxLifetime(_) => Limit::Time,
        };
        let id = self.messages.insert(Message {
            start: self.store.append(message),
            len,
            cut: 0,
            ppid: head.ppid,
            number: 0,
            fragment: 0,
            next: None,
            chunks: 0,
            unacked: 0,
            generation: 0,
            stream: self.streams.open(stream),
            limit,
            is_unordered: !head.is_ordered,
            is_abandoned: false,
            is_queued: true,
        });
        self.streams.push(&mut self.messages, id);
        if let Reliability::MaxLifetime(lifetime) = head.reliability {
            self.partial.expect(&self.messages, id, now + lifetime);
        }
        self.counts.messages += 1;
        true
    }

    /// The share of a stream beside others, as W3C counts it: 128, 256 (the default), 512, 1,024.
    pub(super) fn set_priority(&mut self, stream: u16, priority: u16) {
        self.streams.set_priority(stream, priority);
    }

    /// The earliest moment at which [`on_timeout`](Self::on_timeout) or [`fill`](Self::fill) has something to do that
    /// they do not have now.
    pub(super) fn deadline(&self) -> Option<Deadline> {
        let deadline = |at: Option<Instant>, why| at.map(|at| Deadline::new(at, why));
        let timers = [
            deadline(self.timeout_at(), "SCTP retransmission timeout"),
            deadline(self.loss_at, "SCTP loss detection"),
            deadline(self.partial.expiry(), "SCTP message lifetime"),
            deadline(self.probe.max(self.release).filter(|_| self.is_closed_out()), "SCTP window probe"),
            deadline(self.release.filter(|_| self.has_data_to_send()), "SCTP pacing"),
        ];
        timers.into_iter().flatten().min_by_key(|deadline| deadline.at)
    }

    /// Bytes that wait to be sent for the first time, of all streams.
    pub(super) const fn unsent(&self) -> usize {
        self.streams.queued()
    }

    /// Whether nothing is queued and nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.streams.queued() == 0 && self.flight.is_empty()
    }

    /// Whether a stream has bytes that were never sent.
    pub(super) fn has_unsent(&self, stream: u16) -> bool {
        self.buffered(stream) > 0
    }

    /// Whether a stream has bytes that were sent and are not acknowledged cumulatively.
    pub(super) fn has_unacked(&self, stream: u16) -> bool {
        self.streams.find(stream).is_some_and(|stream| stream.chunks > 0)
    }

    /// The stream was reset: its messages count from zero again.
    pub(super) fn restart_stream(&mut self, stream: u16) {
        self.streams.restart(stream);
    }

    /// Drops messages of a stream of which nothing has been sent.
    pub(super) fn discard(&mut self, stream: u16) {
        let mut next = self.streams.head(stream);
        while let Some(id) = next {
            let message = self.messages.get(id);
            next = message.next;
            if !message.has_begun() {
                self.abandon(id);
            }
        }
    }

    /// The TSN of the next chunk.
    pub(super) fn next_tsn(&self) -> Tsn {
        flight::tsn(self.flight.end())
    }

    /// The smoothed round-trip time, once there is one.
    pub(super) const fn rtt(&self) -> Option<Duration> {
        self.rtt.smoothed()
    }

    /// The retransmission timeout as it is now, back-off included.
    pub(super) fn rto(&self) -> Duration {
        self.rtt.timeout()
    }

    /// Packets have another size from now on, in bytes. Chunks cut before keep theirs: see [`needed`](Self::needed).
    pub(super) fn set_packet(&mut self, bytes: usize) {
        self.packet = bytes;
        self.controller.on_packet_size(bytes.saturating_sub(COMMON_HEADER));
    }

    /// What was learned of sizes since the last call.
    #[inline]
    pub(super) const fn take_sizes(&mut self) -> Sizes {
        std::mem::replace(&mut self.sizes, Sizes { has_passed: false, has_failed: false, oversize: None })
    }

    /// Whether a chunk was sent and is not acknowledged.
    pub(super) fn is_under_way(&self, serial: u64) -> bool {
        self.flight.get(serial).is_some_and(|chunk| chunk.state != State::Acked)
    }

    /// The retransmission timeout without back-off.
    pub(super) fn plain_rto(&self) -> Duration {
        self.rtt.timeout_after(0)
    }

    /// Bytes that a packet must be allowed for [`fill`](Self::fill) to be of use: the size set, or more if what is to be
    /// sent again was cut for larger ones.
    pub(super) fn needed(&self) -> usize {
        let first = self.flight.first_lost().and_then(|serial| self.flight.get(serial));
        first.map_or(0, |chunk| COMMON_HEADER + self.size(chunk.len.into())).max(self.packet)
    }

    /// Packets take another path from now on: what was learned of the old one does not hold. `checked`: a round trip on it
    /// that others have measured.
    pub(super) fn on_path(&mut self, now: Instant, checked: Option<Duration>) {
        self.rtt.on_path(checked);
        self.controller.on_path(now);
        self.pacer = Pacer::new();
        self.release = None;
        self.timeouts = 0;
        self.started = now;
    }

    /// Asks to be told by [`take_writable`](Self::take_writable) when there is room.
    pub(super) const fn want_room(&mut self) {
        self.wants_room = true;
    }

    /// Whether there was a wish for room, and now half of the bound is free; says so once.
    pub(super) fn take_writable(&mut self) -> bool {
        let is_writable = self.wants_room
            && 2 * self.store.live() <= self.store.bound()
            && 2 * self.messages.len() <= self.most_messages;
        self.wants_room &= !is_writable;
        is_writable
    }

    /// Gives back memory that is not in use; for times without traffic.
    pub(super) fn trim(&mut self) {
        if self.messages.len() == 0 {
            self.partial.trim();
            self.streams.trim();
            self.flight.trim();
            self.gaps.trim();
            self.packets.trim();
            self.messages.trim();
            self.recent = Recent::default();
            self.reneged = VecDeque::new();
        }
        self.store.trim();
    }

    /// Counts since the start, and where it stands.
    pub(super) fn statistics(&self) -> OutboundStatistics {
        OutboundStatistics {
            flight: self.flying,
            peer_window: self.window,
            held: self.store.live(),
            rtt: self.rtt.smoothed(),
            rto: self.rtt.timeout(),
            congestion: self.controller.counters(),
            ..self.counts
        }
    }

    fn is_interleaved(&self) -> bool {
        self.agreed.is_some_and(|agreed| agreed.is_interleaved)
    }

    /// Bytes that a chunk takes in a packet, its padding included.
    fn size(&self, len: usize) -> usize {
        DataHead::head_len(self.is_interleaved()) + len.next_multiple_of(4)
    }

    /// A stream with something queued and an id of at least `most`.
    fn unusable_stream(&self, most: u16) -> Option<u16> {
        self.streams.ids_from(most).find(|stream| self.has_unsent(*stream))
    }
}
