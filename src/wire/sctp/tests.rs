//! What others send is read as they mean it; what breaks a rule says which; what is written is read again.

use super::*;

mod properties;
mod rules;
mod vectors;

const HEADER: Header = Header { source_port: 5000, destination_port: 5000, tag: 0x1234_5678 };

/// A packet with what `write` puts into it.
fn packet(write: impl FnOnce(&mut Packet<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    let mut packet = Packet::begin(&mut out, &HEADER, 1200);
    write(&mut packet);
    packet.finish(false);
    out
}

/// A packet with these bytes after its header.
fn packet_of(chunks: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Packet::begin(&mut out, &HEADER, 1200).finish(false);
    out.extend_from_slice(chunks);
    out
}

/// Its chunks, up to the first rule that one breaks.
fn read(packet: &[u8]) -> Result<Vec<Chunk<'_>>, Malformed> {
    parse(packet, Checksum::MayBeZero)?.1.collect()
}

/// Its only chunk.
fn only(packet: &[u8]) -> Chunk<'_> {
    let chunks = read(packet).unwrap();
    assert_eq!(chunks.len(), 1, "{chunks:?}");
    chunks[0]
}

/// Writes what was read.
fn write(packet: &mut Packet<'_>, chunk: &Chunk<'_>) -> bool {
    match *chunk {
        Chunk::Data(data) => {
            packet.data(&DataHead::from(&data));
            let (front, back) = data.payload.split_at(data.payload.len() / 2);
            packet.payload(front);
            packet.payload(back);
            packet.pad_chunk();
            true
        }
        Chunk::Sack(sack) => packet.sack(sack.cumulative, sack.window, sack.gaps(), sack.duplicates()),
        Chunk::Init(init) => write_init(packet, false, &init),
        Chunk::InitAck(init) => write_init(packet, true, &init),
        Chunk::Heartbeat(value) => packet.chunk(kind::HEARTBEAT, 0, value),
        Chunk::HeartbeatAck(value) => packet.chunk(kind::HEARTBEAT_ACK, 0, value),
        Chunk::Abort(causes) => packet.abort(causes.is_reflected(), &causes.collect::<Vec<_>>()),
        Chunk::Error(causes) => packet.error(&causes.collect::<Vec<_>>()),
        Chunk::Shutdown(cumulative) => packet.shutdown(cumulative),
        Chunk::ShutdownAck => packet.chunk(kind::SHUTDOWN_ACK, 0, &[]),
        Chunk::ShutdownComplete { is_reflected } => packet.shutdown_complete(is_reflected),
        Chunk::CookieEcho(cookie) => packet.chunk(kind::COOKIE_ECHO, 0, cookie),
        Chunk::CookieAck => packet.chunk(kind::COOKIE_ACK, 0, &[]),
        Chunk::Reconfig(requests) => packet.reconfig(&requests.collect::<Vec<_>>()),
        Chunk::ForwardTsn(forward) => {
            let streams = forward.streams();
            packet.forward_tsn(forward.cumulative, forward.is_interleaved, streams.clone()) == Some(streams.len())
        }
        Chunk::Pad => packet.pad(4),
        Chunk::Unknown { kind, flags, value } => packet.chunk(kind, flags, value),
    }
}

fn write_init(packet: &mut Packet<'_>, is_ack: bool, init: &Init<'_>) -> bool {
    let zero = init.zero_checksum().map(Parameter::ZeroChecksum);
    let forward = init.is_forward_tsn().then_some(Parameter::ForwardTsn);
    let known: Vec<u8> = (0..=255).filter(|kind| init.supports(*kind)).collect();
    let extensions = (!known.is_empty()).then_some(Parameter::Extensions(&known));
    let cookie = init.cookie().map(Parameter::Cookie);
    let parameters: Vec<_> = [zero, forward, extensions, cookie].into_iter().flatten().collect();
    packet.init(is_ack, &init_head(init), &parameters)
}

fn init_head(init: &Init<'_>) -> InitHead {
    InitHead {
        tag: init.tag,
        window: init.window,
        outbound_streams: init.outbound_streams,
        inbound_streams: init.inbound_streams,
        initial_tsn: init.initial_tsn,
    }
}
