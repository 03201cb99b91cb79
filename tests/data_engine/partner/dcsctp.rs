//! Google's SCTP in Rust, with data channels (RFC 8831, RFC 8832) on top of it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use dcsctp::api::{
    DcSctpSocket, Message, Options, PpId, SendOptions, SocketEvent, SocketTime, StreamId,
    ZERO_CHECKSUM_ALTERNATE_ERROR_DETECTION_METHOD_LOWER_LAYER_DTLS,
};
use switchboard::machine::time::Instant;
use switchboard::wire::sctp::dcep::{ChannelType, Message as Establishment, Open};
use switchboard::wire::sctp::ppid;

use super::{Happened, Limit, Partner, Spec};

/// Bytes of one channel that may wait to be sent.
const MOST_BUFFERED: usize = 32 * 1024;
/// Bytes of all channels that may; a large message more in each of twelve channels.
const MOST_BUFFERED_IN_ALL: usize = 4 << 20;

pub(crate) struct Dcsctp {
    socket: Box<dyn DcSctpSocket>,
    is_client: bool,
    packets: VecDeque<Vec<u8>>,
    happened: VecDeque<Happened>,
    channels: BTreeMap<u16, Channel>,
}

struct Channel {
    spec: Spec,
    is_confirmed: bool,
    is_closing: bool,
    is_reset: bool,
    is_reset_by_peer: bool,
}

impl Dcsctp {
    /// `is_client` says whose channels have even numbers, as if it were DTLS's.
    pub(crate) fn new(is_client: bool, is_interleaving: bool, is_zero_checksum: bool) -> Self {
        let mut options = Options {
            enable_message_interleaving: is_interleaving,
            max_send_buffer_size: MOST_BUFFERED_IN_ALL,
            ..Options::default()
        };
        if is_zero_checksum {
            options.zero_checksum_alternate_error_detection_method =
                ZERO_CHECKSUM_ALTERNATE_ERROR_DETECTION_METHOD_LOWER_LAYER_DTLS;
        }
        let socket = ::dcsctp::new_socket("partner", &options);
        let (packets, happened) = (VecDeque::new(), VecDeque::new());
        Self { socket, is_client, packets, happened, channels: BTreeMap::new() }
    }

    fn at(&mut self, now: Instant) {
        self.socket.advance_time(SocketTime::zero() + Duration::from_nanos(now.as_nanos()));
    }

    fn drain(&mut self) {
        while let Some(event) = self.socket.poll_event() {
            self.on_event(event);
        }
        while let Some(message) = self.socket.get_next_message() {
            self.on_message(message);
        }
        self.settle();
    }

    fn on_event(&mut self, event: SocketEvent) {
        match event {
            SocketEvent::SendPacket(packet) => self.packets.push_back(packet),
            SocketEvent::OnConnected() => self.happened.push_back(Happened::Connected),
            SocketEvent::OnClosed() => self.happened.push_back(Happened::Over("closed".to_owned())),
            SocketEvent::OnAborted(kind, words) => {
                self.happened.push_back(Happened::Over(format!("{kind:?}: {words}")));
            }
            SocketEvent::OnStreamsResetPerformed(streams) => self.mark(&streams, |channel| channel.is_reset = true),
            SocketEvent::OnIncomingStreamReset(streams) => self.mark(&streams, |channel| {
                (channel.is_reset_by_peer, channel.is_closing) = (true, true);
            }),
            SocketEvent::OnError(kind, words) => panic!("dcsctp complains: {kind:?}: {words}"),
            SocketEvent::OnStreamsResetFailed(streams) => panic!("{streams:?} were not reset"),
            SocketEvent::OnConnectionRestarted() => panic!("it was restarted"),
            _ => {}
        }
    }

    fn mark(&mut self, streams: &[StreamId], change: impl Fn(&mut Channel)) {
        for StreamId(number) in streams {
            if let Some(channel) = self.channels.get_mut(number) {
                change(channel);
            }
        }
    }

    fn on_message(&mut self, Message { stream_id: StreamId(channel), ppid: PpId(ppid), payload, .. }: Message) {
        let (is_binary, bytes) = match ppid {
            ppid::DCEP => return self.on_establishment(channel, &payload),
            ppid::BINARY => (true, payload),
            ppid::STRING => (false, payload),
            ppid::BINARY_EMPTY => (true, Vec::new()),
            ppid::STRING_EMPTY => (false, Vec::new()),
            other => panic!("a message of kind {other}"),
        };
        assert!(self.channels.contains_key(&channel), "a message on channel {channel}, which is not open");
        self.happened.push_back(Happened::Message { channel, is_binary, bytes });
    }

    fn on_establishment(&mut self, channel: u16, payload: &[u8]) {
        let spec = match Establishment::parse(payload).expect("a message that opens channels") {
            Establishment::Ack => {
                let known = self.channels.get_mut(&channel).expect("it was asked for");
                known.is_confirmed = true;
                known.spec.clone()
            }
            Establishment::Open(open) => {
                assert_eq!(channel.is_multiple_of(2), !self.is_client, "the other side has numbers of the other kind");
                let spec = spec_of(&open);
                self.insert(channel, spec.clone(), true);
                self.establish(channel, Establishment::Ack);
                spec
            }
        };
        self.happened.push_back(Happened::Open { channel, label: spec.label.clone(), spec: Some(spec) });
    }

    fn insert(&mut self, number: u16, spec: Spec, is_confirmed: bool) {
        let channel = Channel { spec, is_confirmed, is_closing: false, is_reset: false, is_reset_by_peer: false };
        assert!(self.channels.insert(number, channel).is_none(), "channel {number} is open");
    }

    fn establish(&mut self, channel: u16, message: Establishment<'_>) {
        let mut bytes = Vec::new();
        message.emit(&mut bytes);
        let message = Message::new(StreamId(channel), PpId(ppid::DCEP), bytes);
        self.socket.send(message, &SendOptions::default()).expect("there is room");
    }

    /// Resets what shall be closed and has nothing more to send, and forgets what is reset both ways.
    fn settle(&mut self) {
        for (number, channel) in &mut self.channels {
            let stream = StreamId(*number);
            if channel.is_closing && !channel.is_reset && self.socket.buffered_amount(stream) == 0 {
                let reset = self.socket.reset_streams(&[stream]);
                reset.expect("streams can be reset");
            }
        }
        let is_closed = |channel: &Channel| channel.is_reset && channel.is_reset_by_peer;
        let closed = self.channels.iter().filter(|(_, channel)| is_closed(channel)).map(|(number, _)| *number);
        let closed: Vec<u16> = closed.collect();
        self.channels.retain(|_, channel| !is_closed(channel));
        self.happened.extend(closed.into_iter().map(Happened::Closed));
    }
}

impl Partner for Dcsctp {
    fn connect(&mut self, now: Instant) {
        self.at(now);
        self.socket.connect();
        self.drain();
    }

    fn receive(&mut self, now: Instant, datagram: &mut [u8]) {
        self.at(now);
        self.socket.handle_input(datagram);
        self.drain();
    }

    fn poll_datagram(&mut self, _: Instant) -> Option<Vec<u8>> {
        self.packets.pop_front()
    }

    fn deadline(&self) -> Option<Instant> {
        let at = self.socket.poll_timeout();
        (at < SocketTime::infinite_future()).then(|| Instant::ZERO + (at - SocketTime::zero()))
    }

    fn on_timeout(&mut self, now: Instant) {
        self.at(now);
        self.drain();
    }

    fn open(&mut self, now: Instant, spec: &Spec) -> u16 {
        self.at(now);
        let mut own = (u16::from(!self.is_client)..).step_by(2);
        let number = own.find(|number| !self.channels.contains_key(number)).expect("a number is free");
        let open = open_of(spec);
        self.establish(number, Establishment::Open(open));
        self.insert(number, spec.clone(), false);
        self.drain();
        number
    }

    fn close(&mut self, now: Instant, channel: u16) {
        self.at(now);
        self.mark(&[StreamId(channel)], |channel| channel.is_closing = true);
        self.drain();
    }

    fn write(&mut self, now: Instant, channel: u16, is_binary: bool, message: &[u8]) -> bool {
        self.at(now);
        let stream = StreamId(channel);
        let Some(known) = self.channels.get(&channel).filter(|channel| !channel.is_closing) else { return false };
        if self.socket.buffered_amount(stream) > MOST_BUFFERED {
            return false;
        }
        let options = SendOptions {
            unordered: known.is_confirmed && !known.spec.is_ordered,
            lifetime: if let Limit::Lifetime(time) = known.spec.limit { Some(time) } else { None },
            max_retransmissions: if let Limit::Retransmits(count) = known.spec.limit { Some(count) } else { None },
            lifecycle_id: None,
        };
        let (ppid, payload) = match (is_binary, message) {
            (true, []) => (ppid::BINARY_EMPTY, &[0][..]),
            (false, []) => (ppid::STRING_EMPTY, &[0][..]),
            (true, _) => (ppid::BINARY, message),
            (false, _) => (ppid::STRING, message),
        };
        let is_taken = self.socket.send(Message::new(stream, PpId(ppid), payload.to_vec()), &options).is_ok();
        self.drain();
        is_taken
    }

    fn shutdown(&mut self, now: Instant) {
        self.at(now);
        self.socket.shutdown();
        self.drain();
    }

    fn abort(&mut self, now: Instant) {
        self.at(now);
        self.socket.close();
        self.drain();
    }

    fn poll(&mut self, _: Instant) -> Option<Happened> {
        self.happened.pop_front()
    }

    fn counters(&self) -> String {
        self.socket.get_metrics().map_or_else(String::new, |metrics| {
            format!(
                "dcsctp: {} packets out, {} in, {} with retransmissions, {} chunks in flight, srtt {:?}, interleaving {}, zero checksum {}",
                metrics.tx_packets_count,
                metrics.rx_packets_count,
                metrics.rtx_packets_count,
                metrics.unack_data_count,
                metrics.srtt,
                metrics.uses_message_interleaving,
                metrics.uses_zero_checksum,
            )
        })
    }
}

fn open_of(spec: &Spec) -> Open<'_> {
    let milliseconds = |time: Duration| u32::try_from(time.as_millis()).expect("it is short");
    let (channel_type, reliability) = match (spec.limit, spec.is_ordered) {
        (Limit::None, true) => (ChannelType::Reliable, 0),
        (Limit::None, false) => (ChannelType::ReliableUnordered, 0),
        (Limit::Retransmits(count), true) => (ChannelType::Retransmits, count.into()),
        (Limit::Retransmits(count), false) => (ChannelType::RetransmitsUnordered, count.into()),
        (Limit::Lifetime(time), true) => (ChannelType::Lifetime, milliseconds(time)),
        (Limit::Lifetime(time), false) => (ChannelType::LifetimeUnordered, milliseconds(time)),
    };
    Open { channel_type, priority: 256, reliability, label: &spec.label, protocol: "test" }
}

fn spec_of(open: &Open<'_>) -> Spec {
    let limit = match open.channel_type {
        ChannelType::Reliable | ChannelType::ReliableUnordered => Limit::None,
        ChannelType::Retransmits | ChannelType::RetransmitsUnordered => {
            Limit::Retransmits(open.reliability.try_into().expect("a small count"))
        }
        ChannelType::Lifetime | ChannelType::LifetimeUnordered => {
            Limit::Lifetime(Duration::from_millis(open.reliability.into()))
        }
    };
    Spec { label: open.label.to_owned(), is_ordered: open.channel_type.is_ordered(), limit }
}
