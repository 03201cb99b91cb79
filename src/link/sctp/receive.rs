//! What comes in: verified, taken apart, and handed to whom each chunk concerns.

use super::control::{Answer, MOST_VALUE};
use super::{Association, PORT, State};
use crate::machine::time::Instant;
use crate::wire::sctp::{Causes, Checksum, Chunk, Chunks, Data, Forward, Header, Malformed, Sack, cause, kind, parse};

impl Association {
    /// Takes in one packet: the payload of one DTLS record. It never fails; what is wrong is counted or ends the
    /// association.
    pub fn receive(&mut self, now: Instant, packet: &[u8]) {
        self.now = now;
        self.packets_received += 1;
        self.bytes_received += packet.len() as u64;
        let checksum = if self.config.zero_checksum { Checksum::MayBeZero } else { Checksum::Required };
        match parse(packet, checksum) {
            Ok((header, _)) if !is_for_us(&header) => self.dropped.port += 1,
            Ok((header, chunks)) if header.tag == self.local_tag => self.on_packet(now, chunks),
            Ok((header, chunks)) => self.on_strange_packet(now, &header, chunks),
            Err(malformed) => self.count_malformed(malformed),
        }
    }

    fn on_packet(&mut self, now: Instant, mut chunks: Chunks<'_>) {
        let mut has_data = false;
        loop {
            while let Some(data) = chunks.take_data() {
                has_data = true;
                self.on_data(now, &data);
            }
            let Some(chunk) = chunks.next() else { break };
            match chunk {
                Ok(Chunk::Sack(sack)) => self.on_sack(now, &sack),
                Ok(chunk) => self.on_other_chunk(now, chunk),
                Err(malformed) => self.count_malformed(malformed),
            }
        }
        if self.state.is_associated() {
            self.packet_ends(now, has_data);
        }
    }

    fn packet_ends(&mut self, now: Instant, has_data: bool) {
        self.heard = now;
        self.inbound.packet_ends(now);
        self.answer_invalid_stream();
        self.reset.on_cumulative(self.inbound.cumulative());
        if self.reset.has_events() {
            self.take_resets(now);
        }
        if has_data && self.state == State::ShutdownSent {
            self.repeat_shutdown(now);
        }
        self.settle(now);
        if !self.has_message() {
            self.take_control(now);
        }
        self.touch(now);
    }

    /// Data on a stream that was not agreed on is acknowledged and dropped, and its sender told (RFC 9260, section 6.5).
    #[inline]
    fn answer_invalid_stream(&mut self) {
        if let Some(stream) = self.inbound.take_invalid_stream() {
            let [high, low] = stream.to_be_bytes();
            self.answer(Answer::Error(cause::INVALID_STREAM, vec![high, low, 0, 0]));
        }
    }

    #[inline]
    fn on_data(&mut self, now: Instant, data: &Data<'_>) {
        self.imply_cookie_ack(now);
        if !self.state.takes_data() {
            self.dropped.state += 1;
        } else if let Err(broken) = self.inbound.on_data(data) {
            self.break_off(broken);
        }
    }

    #[inline]
    fn on_sack(&mut self, now: Instant, sack: &Sack<'_>) {
        self.imply_cookie_ack(now);
        if !self.state.is_established() {
            self.dropped.state += 1;
            return;
        }
        self.errors = 0;
        match self.outbound.on_sack(now, sack) {
            Ok(()) => self.heed_sizes(now, now),
            Err(broken) => self.break_off(broken),
        }
    }

    fn on_other_chunk(&mut self, now: Instant, chunk: Chunk<'_>) {
        match chunk {
            Chunk::InitAck(init) => self.on_init_ack(now, &init),
            Chunk::CookieEcho(cookie) => self.on_cookie_echo(now, cookie),
            Chunk::CookieAck => self.on_cookie_ack(now),
            Chunk::ForwardTsn(forward) => self.on_forward(&forward),
            Chunk::Reconfig(reconfig) => self.on_reconfig(now, &reconfig),
            Chunk::Heartbeat(info) => self.on_heartbeat(info),
            Chunk::HeartbeatAck(info) => self.on_heartbeat_ack(now, info),
            Chunk::Shutdown(cumulative) => self.on_shutdown(now, cumulative),
            Chunk::ShutdownAck => self.on_shutdown_ack(),
            Chunk::ShutdownComplete { is_reflected: false } => self.on_shutdown_complete(),
            Chunk::Abort(causes) if !causes.is_reflected() => self.on_abort(causes),
            Chunk::Error(causes) => self.on_error(now, causes),
            Chunk::Unknown { kind, flags, value } => self.on_unknown(kind, flags, value),
            Chunk::Pad => {}
            Chunk::Abort(_) | Chunk::ShutdownComplete { .. } | Chunk::Init(_) => self.dropped.tag += 1,
            Chunk::Data(_) | Chunk::Sack(_) => {}
        }
    }

    /// A packet with another tag than ours: INIT has none, and who knows no tag of ours gives its own back
    /// (RFC 9260, section 8.5.1). All else is dropped: below DTLS only the peer can have sent it, and late.
    fn on_strange_packet(&mut self, now: Instant, header: &Header, mut chunks: Chunks<'_>) {
        let is_own = self.remote.is_some_and(|remote| remote.tag == header.tag);
        match chunks.next() {
            Some(Ok(Chunk::Init(init))) if header.tag == 0 => self.on_init(now, &init),
            Some(Ok(Chunk::Abort(causes))) if is_own && causes.is_reflected() => self.on_abort(causes),
            Some(Ok(Chunk::ShutdownComplete { is_reflected: true })) if is_own => self.on_shutdown_complete(),
            Some(Err(malformed)) if header.tag == 0 => self.count_malformed(malformed),
            _ => self.dropped.tag += 1,
        }
    }

    fn on_forward(&mut self, forward: &Forward<'_>) {
        if !self.state.takes_data() {
            self.dropped.state += 1;
        } else if let Err(broken) = self.inbound.on_forward(forward) {
            self.break_off(broken);
        }
    }

    fn on_error(&mut self, now: Instant, causes: Causes<'_>) {
        for cause in causes {
            if cause.code == cause::STALE_COOKIE {
                self.on_stale_cookie(now);
            }
        }
    }

    fn on_unknown(&mut self, kind: u8, flags: u8, value: &[u8]) {
        self.dropped.unknown_chunk += 1;
        if kind::is_reported(kind) && self.state.is_associated() {
            let value = &value[..value.len().min(MOST_VALUE - 4)];
            let len = u16::try_from(4 + value.len()).unwrap_or(u16::MAX).to_be_bytes();
            let whole = [&[kind, flags, len[0], len[1]], value].concat();
            self.answer(Answer::Error(cause::UNRECOGNIZED_CHUNK, whole));
        }
    }

    #[cold]
    fn count_malformed(&mut self, malformed: Malformed) {
        match malformed {
            Malformed::Checksum => self.dropped.checksum += 1,
            Malformed::InitWithTag(_) => self.dropped.tag += 1,
            _ => self.dropped.malformed += 1,
        }
    }
}

const fn is_for_us(header: &Header) -> bool {
    header.source_port == PORT && header.destination_port == PORT
}
