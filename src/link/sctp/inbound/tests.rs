//! The receiving half alone, fed with chunks as a sender might make them.

mod costs;
mod disorder;
mod order;
mod policy;
mod rules;

use super::super::config::{Agreed, Config};
use super::super::error::Broken;
use super::{Inbound, Received};
use crate::machine::time::Instant;
use crate::wire::sctp::{Checksum, Chunk, Data, Header, Packet, Skipped, Tsn, parse};

const FIRST: Tsn = Tsn(u32::MAX - 2);
const HEADER: Header = Header { source_port: 5000, destination_port: 5000, tag: 1 };

fn agreed(is_interleaved: bool, has_forward_tsn: bool) -> Agreed {
    Agreed { is_interleaved, has_forward_tsn, outbound_streams: 100, inbound_streams: 100 }
}

fn inbound(config: &Config, is_interleaved: bool, has_forward_tsn: bool) -> Inbound {
    let mut inbound = Inbound::new(config);
    inbound.start(FIRST, agreed(is_interleaved, has_forward_tsn));
    inbound
}

/// One that takes plain DATA and FORWARD-TSN.
fn plain() -> Inbound {
    inbound(&Config::default(), false, true)
}

/// A whole ordered message on stream 1, the `at`th chunk of all.
fn whole(at: u32, message: u32, payload: &[u8]) -> Data<'_> {
    Data {
        tsn: FIRST.add(at),
        stream: 1,
        ppid: 53,
        is_unordered: false,
        is_begin: true,
        is_end: true,
        is_immediate: false,
        is_interleaved: false,
        message,
        fragment: 0,
        payload,
    }
}

fn first(at: u32, message: u32, payload: &[u8]) -> Data<'_> {
    Data { is_end: false, ..whole(at, message, payload) }
}

fn middle(at: u32, message: u32, payload: &[u8]) -> Data<'_> {
    Data { is_begin: false, is_end: false, ..whole(at, message, payload) }
}

fn last(at: u32, message: u32, payload: &[u8]) -> Data<'_> {
    Data { is_begin: false, ..whole(at, message, payload) }
}

/// Each in a packet of its own.
fn feed(inbound: &mut Inbound, chunks: &[Data<'_>]) -> Result<(), Broken> {
    for data in chunks {
        inbound.on_data(data)?;
        inbound.packet_ends(Instant::ZERO);
    }
    Ok(())
}

fn taken(inbound: &mut Inbound) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(Received { bytes, .. }) = inbound.take() {
        all.push(bytes.to_vec());
    }
    all
}

fn forward(inbound: &mut Inbound, to: Tsn, is_interleaved: bool, skipped: &[Skipped]) -> Result<(), Broken> {
    let mut out = Vec::new();
    let mut packet = Packet::begin(&mut out, &HEADER, 60_000);
    packet.forward_tsn(to, is_interleaved, skipped.iter().copied());
    packet.finish(true);
    let forward = read(&out, |chunk| if let Chunk::ForwardTsn(forward) = chunk { Some(forward) } else { None });
    inbound.on_forward(&forward)
}

fn read<'a, T>(packet: &'a [u8], pick: impl Fn(Chunk<'a>) -> Option<T>) -> T {
    let (_, mut chunks) = parse(packet, Checksum::Required).unwrap();
    chunks.find_map(|chunk| pick(chunk.unwrap())).unwrap()
}

/// What an acknowledgement tells now.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    cumulative: Tsn,
    window: u32,
    gaps: Vec<(u16, u16)>,
    duplicates: Vec<Tsn>,
}

fn told(inbound: &mut Inbound) -> Told {
    let mut out = Vec::new();
    let mut packet = Packet::begin(&mut out, &HEADER, 1_160);
    inbound.fill_sack(&mut packet);
    packet.finish(true);
    let sack = read(&out, |chunk| if let Chunk::Sack(sack) = chunk { Some(sack) } else { None });
    let (gaps, duplicates) = (sack.gaps().collect(), sack.duplicates().collect());
    Told { cumulative: sack.cumulative, window: sack.window, gaps, duplicates }
}

/// The skip of an ordered message of stream 1.
const fn skipped(message: u32) -> Skipped {
    Skipped { stream: 1, is_unordered: false, message }
}
