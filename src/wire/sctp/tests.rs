//! What is written is read; what breaks a rule says which.

use super::*;

const HEADER: Header = Header { source_port: 5000, destination_port: 5000, tag: 0x1234_5678 };

fn data(payload: usize) -> DataHead {
    DataHead {
        tsn: Tsn(7),
        stream: 3,
        ppid: ppid::BINARY,
        is_unordered: false,
        is_begin: true,
        is_end: true,
        is_immediate: false,
        is_interleaved: false,
        message: 9,
        fragment: 0,
        len: payload,
    }
}

#[test]
fn payload_in_pieces_is_read_as_one() {
    let mut out = vec![1, 2, 3];
    let mut packet = Packet::begin(&mut out, &HEADER, 100);
    packet.data(&data(5));
    packet.payload(b"hel");
    packet.payload(b"lo");
    packet.pad_chunk();
    packet.finish(true);
    let (header, mut chunks) = parse(&out[3..], Checksum::Required).unwrap();
    assert_eq!(header, HEADER);
    let Some(Ok(Chunk::Data(read))) = chunks.next() else { panic!() };
    assert_eq!((read.tsn, read.stream, read.ppid, read.payload), (Tsn(7), 3, ppid::BINARY, &b"hello"[..]));
    assert!(chunks.next().is_none());
}
