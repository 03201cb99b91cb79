//! Packets of SCTP.

use switchboard::wire::sctp::{Checksum, Chunk, Data, DataHead, Init, Malformed, Packet, dcep, kind, parse};

use crate::memory;

/// Any bytes as a packet: it is read without memory, every list in it ends, and what was read is the same once it is
/// written again. Payload is read as a message that opens a channel, too.
pub fn sctp_packet(data: &[u8]) {
    let (verdict, held) = memory::peak(|| walk(data));
    assert_eq!(held, 0, "reading holds memory");
    let Ok(entries) = verdict else { return };
    assert!(entries <= data.len(), "{entries} entries in {} bytes", data.len());
    let (header, chunks) = parse(data, Checksum::MayBeZero).expect("it was read before");
    for chunk in chunks.flatten() {
        tell(&chunk);
        let mut out = Vec::new();
        let mut packet = Packet::begin(&mut out, &header, data.len() + 3);
        if !write(&mut packet, &chunk) {
            continue;
        }
        packet.finish(true);
        let (again, mut chunks) = parse(&out, Checksum::Required).expect("what was written is read");
        assert_eq!(again, header);
        let read = chunks.next().expect("there is a chunk").expect("what was written is read");
        assert!(is_same(&read, &chunk), "{read:?} instead of {chunk:?}");
        assert_eq!(chunks.next(), None);
    }
}

/// In words, as logs and errors have it.
fn tell(chunk: &Chunk<'_>) {
    let mut told = format!("{chunk:?}");
    if let Chunk::Abort(causes) | Chunk::Error(causes) = *chunk {
        causes.for_each(|cause| told.push_str(&cause.to_string()));
    }
    assert!(!told.is_empty());
}

/// Padding and bits without a meaning may differ.
fn is_same(one: &Chunk<'_>, other: &Chunk<'_>) -> bool {
    match (*one, *other) {
        (Chunk::Abort(one), Chunk::Abort(other)) => one.eq(other),
        (Chunk::Reconfig(one), Chunk::Reconfig(other)) => one.eq(other),
        (Chunk::ForwardTsn(one), Chunk::ForwardTsn(other)) => {
            one.cumulative == other.cumulative && one.streams().eq(other.streams())
        }
        (one, other) => one == other,
    }
}

/// Reads all that there is; how many entries all lists together have.
fn walk(data: &[u8]) -> Result<usize, Malformed> {
    let (_, chunks) = parse(data, Checksum::MayBeZero)?;
    let mut count = 0;
    for chunk in chunks {
        count += 1 + entries(&chunk?);
    }
    Ok(count)
}

fn entries(chunk: &Chunk<'_>) -> usize {
    match chunk {
        Chunk::Init(init) | Chunk::InitAck(init) => parameters(init),
        Chunk::Sack(sack) => {
            assert!(sack.gaps().all(|(start, end)| (1..=end).contains(&start)));
            sack.gaps().count() + sack.duplicates().count()
        }
        Chunk::Abort(causes) | Chunk::Error(causes) => causes.count(),
        Chunk::Reconfig(requests) => {
            let count = requests.count();
            assert!((1..=2).contains(&count));
            count
        }
        Chunk::ForwardTsn(forward) => forward.streams().count(),
        Chunk::Data(data) => {
            assert!(!data.payload.is_empty());
            0
        }
        _ => 0,
    }
}

fn parameters(init: &Init<'_>) -> usize {
    assert!(init.tag != 0 && init.outbound_streams != 0 && init.inbound_streams != 0);
    let known = usize::from(init.cookie().is_some()) + usize::from(init.zero_checksum().is_some());
    known + init.unrecognized().count()
}

/// Writes what was read, if it is of a kind that has one form only.
fn write(packet: &mut Packet<'_>, chunk: &Chunk<'_>) -> bool {
    match *chunk {
        Chunk::Data(data) => write_data(packet, &data),
        Chunk::Sack(sack) => packet.sack(sack.cumulative, sack.window, sack.gaps(), sack.duplicates()),
        Chunk::ForwardTsn(forward) => {
            packet.forward_tsn(forward.cumulative, forward.is_interleaved, forward.streams()).is_some()
        }
        Chunk::Reconfig(requests) => packet.reconfig(&requests.collect::<Vec<_>>()),
        Chunk::Abort(causes) => packet.abort(causes.is_reflected(), &causes.collect::<Vec<_>>()),
        Chunk::Heartbeat(value) => packet.chunk(kind::HEARTBEAT, 0, value),
        Chunk::CookieEcho(cookie) => packet.chunk(kind::COOKIE_ECHO, 0, cookie),
        Chunk::Shutdown(cumulative) => packet.shutdown(cumulative),
        Chunk::ShutdownComplete { is_reflected } => packet.shutdown_complete(is_reflected),
        Chunk::Unknown { kind, flags, value } => packet.chunk(kind, flags, value),
        _ => false,
    }
}

fn write_data(packet: &mut Packet<'_>, data: &Data<'_>) -> bool {
    packet.data(&DataHead::from(data));
    packet.payload(data.payload);
    packet.pad_chunk();
    open(data.payload);
    true
}

fn open(payload: &[u8]) {
    let Ok(message) = dcep::Message::parse(payload) else { return };
    let mut again = Vec::new();
    message.emit(&mut again);
    assert_eq!(dcep::Message::parse(&again), Ok(message));
}
