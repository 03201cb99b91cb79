//! Every bound and choice of an association, with the defaults of a WebRTC peer.

use std::time::Duration;

use super::congestion::Congestion;

/// Bounds of the retransmission timeout (RFC 9260, section 6.3.1).
///
/// The RFC's own values (1 s, 1 s, 60 s) are from a time of slow clocks; ours suit a path that DTLS has just measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rto {
    /// Before a round trip has been measured; 500 ms.
    pub initial: Duration,
    /// Never less; 100 ms.
    pub min: Duration,
    /// Never more, back-off included; 10 s.
    pub max: Duration,
}

impl Default for Rto {
    fn default() -> Self {
        Self { initial: Duration::from_millis(500), min: Duration::from_millis(100), max: Duration::from_secs(10) }
    }
}

/// What an association may take, and how it behaves.
///
/// What a peer can make it hold counts `receive_window`, twice `max_message` for messages in the making, and 64 KiB; in
/// memory that is at most about twice as much. To it come four bytes per stream, 264 KiB for all, and a state of
/// less than 512 bytes and the two names of a channel for each of `max_channels`.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Bytes of an SCTP packet to begin with, a multiple of 4 from 512 to 65,532; 1,160: a UDP payload of 1,200 less a
    /// DTLS record.
    pub packet: usize,
    /// Up to how many bytes probes of the path MTU go (RFC 8899), at most 65,532; not above `packet`: none are sent.
    pub most_packet: usize,
    /// Bytes that may wait here, received and not taken; 1 MiB.
    pub receive_window: u32,
    /// Bytes accepted and not yet acknowledged, over all streams; beyond it `write` refuses; 256 KiB.
    pub send_bound: usize,
    /// Largest message taken in, in bytes; a larger one ends the association; 256 KiB.
    pub max_message: usize,
    /// Largest message that the peer takes in, in bytes, as its description says (RFC 8841); 256 KiB.
    pub peer_max_message: usize,
    /// Streams asked for and allowed, each way; ids lie below; 65,535, as browsers have it.
    pub streams: u16,
    /// The retransmission timeout.
    pub rto: Rto,
    /// How long an acknowledgement may wait for another packet or for data to ride with; 20 ms.
    pub ack_delay: Duration,
    /// After how many packets an acknowledgement is due at once; 2.
    pub ack_every: u32,
    /// Whether packets without checksum are taken in, and sent to who takes them in (RFC 9653): only below DTLS.
    pub zero_checksum: bool,
    /// Whether messages are interleaved with a peer that can (RFC 8260).
    pub interleaving: bool,
    /// The congestion control.
    pub congestion: Congestion,
    /// Timeouts in a row after which the peer counts as lost (Association.Max.Retrans); 10.
    pub most_retransmits: u32,
    /// How often a set-up or shutdown chunk is repeated (Max.Init.Retransmits); 8.
    pub most_setup_retransmits: u32,
    /// From the start of a shutdown until it is ended by force (T5, RFC 9260, section 9.2); 10 s.
    pub shutdown_time: Duration,
    /// How long a cookie is good for (Valid.Cookie.Life); 60 s.
    pub cookie_life: Duration,
    /// Silence after which the peer is asked for a sign of life; none by default: below ICE its consent checks do that.
    pub heartbeat: Option<Duration>,
    /// Rest after which stores are trimmed; 1 s.
    pub trim_after: Duration,
    /// Channels open or closing at a time; one more that the peer opens is reset; 1,024.
    pub max_channels: usize,
    /// Bytes of a channel's label, and of its protocol; with longer ones it is reset; 1,024.
    pub max_label: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            packet: 1_160,
            most_packet: 1_160,
            receive_window: 1 << 20,
            send_bound: 256 << 10,
            max_message: 256 << 10,
            peer_max_message: 256 << 10,
            streams: 65_535,
            rto: Rto::default(),
            ack_delay: Duration::from_millis(20),
            ack_every: 2,
            zero_checksum: false,
            interleaving: false,
            congestion: Congestion::default(),
            most_retransmits: 10,
            most_setup_retransmits: 8,
            shutdown_time: Duration::from_secs(10),
            cookie_life: Duration::from_secs(60),
            heartbeat: None,
            trim_after: Duration::from_secs(1),
            max_channels: 1_024,
            max_label: 1_024,
        }
    }
}

/// How often a message is sent again before it is given up (RFC 3758, RFC 7496).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Reliability {
    /// Until it has arrived.
    #[default]
    Reliable,
    /// After so many retransmissions no more.
    MaxRetransmits(u16),
    /// After so long since it was written no more; whole milliseconds on the wire.
    MaxLifetime(Duration),
}

/// What both sides have agreed on in the set-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Agreed {
    /// I-DATA in place of DATA (RFC 8260).
    pub(super) is_interleaved: bool,
    /// FORWARD-TSN or I-FORWARD-TSN may be sent (RFC 3758).
    pub(super) has_forward_tsn: bool,
    /// Our streams have ids below.
    pub(super) outbound_streams: u16,
    /// The peer's streams have ids below.
    pub(super) inbound_streams: u16,
}
