//! One rule broken at a time.

use super::*;

fn broken(chunks: &[u8]) -> Malformed {
    read(&packet_of(chunks)).unwrap_err()
}

fn init(tag: u32, window: u32, streams: u16, parameters: &[u8]) -> Vec<u8> {
    let mut chunk = Vec::new();
    let head = InitHead { tag, window, outbound_streams: streams, inbound_streams: 1, initial_tsn: Tsn(1) };
    head.emit(&mut chunk, true, &[]);
    chunk.extend_from_slice(parameters);
    let len = u16::try_from(chunk.len()).unwrap();
    chunk[2..4].copy_from_slice(&len.to_be_bytes());
    chunk
}

#[test]
fn a_packet_has_a_header_a_checksum_and_a_chunk() {
    let whole = packet(|packet| assert!(packet.chunk(kind::COOKIE_ACK, 0, &[])));
    assert_eq!(read(&whole[..11]), Err(Malformed::Header));
    assert_eq!(read(&whole[..12]), Err(Malformed::NoChunks));
    assert_eq!(parse(&whole, Checksum::Required).unwrap_err(), Malformed::Checksum);
    let mut summed = Vec::new();
    let mut packet = Packet::begin(&mut summed, &HEADER, 16);
    assert!(packet.chunk(kind::COOKIE_ACK, 0, &[]));
    packet.finish(true);
    parse(&summed, Checksum::Required).unwrap();
    for bit in 0..8 * summed.len() {
        summed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(parse(&summed, Checksum::MayBeZero).unwrap_err(), Malformed::Checksum, "bit {bit}");
        summed[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn a_chunk_has_a_head_and_lies_within_the_packet() {
    assert_eq!(broken(&[11, 0, 0]), Malformed::ChunkHead);
    assert_eq!(broken(&[11, 0, 0, 4, 11]), Malformed::ChunkHead);
    assert_eq!(broken(&[11, 0, 0, 0]), Malformed::ChunkTooShort(11));
    assert_eq!(broken(&[11, 0, 0, 3]), Malformed::ChunkTooShort(11));
    assert_eq!(broken(&[10, 0, 0, 6, 1]), Malformed::ChunkBeyondPacket(10));
    assert_eq!(broken(&[10, 0, 255, 255, 1, 2, 3, 4]), Malformed::ChunkBeyondPacket(10));
}

#[test]
fn padding_may_lack_at_the_end_only() {
    assert_eq!(read(&packet_of(&[10, 0, 0, 5, 1])), Ok(vec![Chunk::CookieEcho(&[1])]));
    let (echo, ack) = (Chunk::CookieEcho(&[1]), Chunk::CookieAck);
    assert_eq!(read(&packet_of(&[10, 0, 0, 5, 1, 7, 8, 9, 11, 0, 0, 4])), Ok(vec![echo, ack]));
    assert_eq!(broken(&[10, 0, 0, 5, 1, 11, 0, 0, 4]), Malformed::ChunkHead);
    assert_eq!(broken(&[10, 0, 0, 5, 1, 0, 0, 0, 0, 0, 0, 0]), Malformed::ChunkTooShort(kind::DATA));
}

#[test]
fn chunks_have_the_length_of_their_fields() {
    let too_short: [(u8, usize); 8] = [
        (kind::DATA, 11),
        (kind::I_DATA, 15),
        (kind::SACK, 11),
        (kind::INIT_ACK, 15),
        (kind::FORWARD_TSN, 3),
        (kind::HEARTBEAT, 3),
        (kind::SHUTDOWN, 3),
        (kind::COOKIE_ECHO, 0),
    ];
    let too_long = [(kind::SHUTDOWN, 5), (kind::SHUTDOWN_ACK, 1), (kind::SHUTDOWN_COMPLETE, 1), (kind::COOKIE_ACK, 1)];
    let not_a_multiple = [(kind::FORWARD_TSN, 6), (kind::I_FORWARD_TSN, 8)];
    for (kind, len) in too_short.into_iter().chain(too_long).chain(not_a_multiple) {
        let packet = packet(|packet| assert!(packet.chunk(kind, 0, &vec![1; len])));
        assert_eq!(read(&packet), Err(Malformed::ChunkLength(kind)), "{len} bytes");
    }
}

#[test]
fn payload_is_not_empty() {
    let data = [0, 3, 0, 16, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 51];
    assert_eq!(broken(&data), Malformed::EmptyData(Tsn(7)));
    let interleaved = [64, 3, 0, 20, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 51];
    assert_eq!(broken(&interleaved), Malformed::EmptyData(Tsn(8)));
}

#[test]
fn some_chunks_are_alone_and_a_cookie_comes_first() {
    let ack = [11, 0, 0, 4];
    for chunk in [init(1, 1500, 1, &[]), vec![14, 0, 0, 4]] {
        assert_eq!(broken(&[&chunk[..], &ack].concat()), Malformed::NotAlone(chunk[0]));
        assert_eq!(broken(&[&ack, &chunk[..]].concat()), Malformed::NotAlone(chunk[0]));
    }
    assert_eq!(broken(&[11, 0, 0, 4, 10, 0, 0, 5, 1]), Malformed::NotFirst);
}

#[test]
fn an_acknowledgement_holds_what_it_counts() {
    let sack = |gaps: u8, duplicates: u8, rest: &[u8]| {
        let len = u8::try_from(16 + rest.len()).unwrap();
        let fixed = [3, 0, 0, len, 0, 0, 0, 1, 0, 0, 0, 0, 0, gaps, 0, duplicates];
        read(&packet_of(&[&fixed, rest].concat())).map(|chunks| chunks.len())
    };
    assert_eq!(sack(1, 1, &[0, 1, 0, 1, 0, 0, 0, 0]), Ok(1));
    for (gaps, duplicates, rest) in [(1, 0, 0), (0, 1, 0), (255, 255, 8), (0, 0, 4), (1, 0, 5)] {
        let counts = Malformed::SackCounts { gaps: gaps.into(), duplicates: duplicates.into() };
        assert_eq!(sack(gaps, duplicates, &vec![1; rest]), Err(counts));
    }
    assert_eq!(sack(1, 0, &[0, 0, 0, 1]), Err(Malformed::GapBlock { start: 0, end: 1 }));
    assert_eq!(sack(1, 0, &[0, 2, 0, 1]), Err(Malformed::GapBlock { start: 2, end: 1 }));
}

#[test]
fn an_init_asks_for_something() {
    assert_eq!(broken(&init(0, 1500, 1, &[])), Malformed::ZeroInitiateTag);
    assert_eq!(broken(&init(1, 1499, 1, &[])), Malformed::SmallWindow(1499));
    assert_eq!(broken(&init(1, 1500, 0, &[])), Malformed::ZeroStreams);
    let mut chunk = init(1, 1500, 1, &[]);
    chunk[0] = kind::INIT;
    assert_eq!(broken(&chunk), Malformed::InitWithTag(HEADER.tag));
}

#[test]
fn parameters_lie_within_their_chunk() {
    let with = |parameters: &[u8]| broken(&init(1, 1500, 1, parameters));
    assert_eq!(with(&[0x80]), Malformed::ParameterHead);
    assert_eq!(with(&[0xc0, 0, 0, 4, 0x80]), Malformed::ParameterHead);
    assert_eq!(with(&[0x80, 8, 0, 0]), Malformed::ParameterTooShort(0x8008));
    assert_eq!(with(&[0x80, 8, 0, 6, 1]), Malformed::ParameterBeyondChunk(0x8008));
    assert_eq!(with(&[0xc0, 0, 0, 5, 1]), Malformed::ParameterLength(0xc000));
    assert_eq!(with(&[0x80, 1, 0, 6, 0, 1]), Malformed::ParameterLength(0x8001));
    assert_eq!(with(&[0, 11, 0, 5, b'a']), Malformed::HostName);
}

#[test]
fn unknown_parameters_are_skipped_or_end_the_list_and_some_are_reported() {
    let forward = [0xc0, 0, 0, 4];
    let cases: [(u8, bool, usize); 4] = [(0x00, false, 0), (0x40, false, 1), (0x80, true, 0), (0xc0, true, 1)];
    for (high, is_skipped, reported) in cases {
        let unknown = [high, 0x77, 0, 5, 1, 0, 0, 0];
        let packet = packet_of(&init(1, 1500, 1, &[&unknown[..], &forward].concat()));
        let Chunk::InitAck(init) = only(&packet) else { panic!() };
        assert_eq!(init.is_forward_tsn(), is_skipped, "{high:#x}");
        assert_eq!(init.unrecognized().collect::<Vec<_>>(), vec![&unknown[..5]; reported]);
    }
}

#[test]
fn an_unknown_chunk_voids_the_rest_or_is_skipped() {
    for high in [0, 0x40, 0x80, 0xc0_u8] {
        let unknown = high | 0x1f;
        let packet = packet_of(&[unknown, 5, 0, 5, 9, 0, 0, 0, 11, 0, 0, 4]);
        let mut expected = vec![Chunk::Unknown { kind: unknown, flags: 5, value: &[9] }];
        expected.extend((high >= 0x80).then_some(Chunk::CookieAck));
        assert_eq!(read(&packet), Ok(expected));
        assert_eq!((kind::is_skipped(unknown), kind::is_reported(unknown)), (high >= 0x80, high & 0x40 != 0));
    }
}

#[test]
fn requests_have_the_length_of_their_fields_and_go_together() {
    let reconfig = |list: &[u8]| read(&packet(|packet| assert!(packet.chunk(kind::RECONFIG, 0, list)))).unwrap_err();
    let response = |len: u8| [vec![0, 16, 0, len], vec![0; usize::from(len) - 4]].concat();
    assert_eq!(reconfig(&[]), Malformed::ReconfigParameters);
    assert_eq!(reconfig(&[0, 99, 0, 4]), Malformed::ReconfigParameters);
    assert_eq!(reconfig(&[response(12), response(12), response(12)].concat()), Malformed::ReconfigParameters);
    assert_eq!(reconfig(&[response(12), vec![0, 15, 0, 8, 0, 0, 0, 0]].concat()), Malformed::ReconfigParameters);
    for wrong in
        [&response(16)[..], &[0, 13, 0, 8, 0, 0, 0, 0], &[0, 14, 0, 9, 0, 0, 0, 0, 1], &[0, 17, 0, 8, 0, 0, 0, 0]]
    {
        assert_eq!(reconfig(wrong), Malformed::ParameterLength(u16_at(wrong, 0)));
    }
}

#[test]
fn causes_that_do_not_fit_end_the_list_and_words_are_shown_in_part() {
    let packet = packet(|packet| assert!(packet.chunk(kind::ABORT, 1, &[0, 4, 0, 4, 0, 13, 0, 9, 1])));
    let Chunk::Abort(causes) = only(&packet) else { panic!() };
    assert!(causes.is_reflected());
    assert_eq!(causes.to_string(), "out of resource");
    assert_eq!(Causes::new(&[], false).to_string(), "no cause given");
    let words = Cause { code: cause::PROTOCOL_VIOLATION, value: &[b'\n'; 60_000] };
    assert!(words.to_string().len() < 3 * cause::MOST_WORDS);
}

#[test]
fn a_packet_never_grows_above_its_limit() {
    let mut out = Vec::new();
    let mut packet = Packet::begin(&mut out, &HEADER, 31);
    assert_eq!((packet.room(), packet.len(), packet.has_chunks()), (16, COMMON_HEADER, false));
    assert!(!packet.chunk(kind::ABORT, 0, &[0; 13]) && !packet.pad(20) && !packet.pad(3));
    assert!(!packet.reconfig(&[Request::IncomingReset { request: 1, streams: Streams::of(&[1, 2, 3]) }]));
    assert!(packet.sack(Tsn(1), 2, [(1, 1)].into_iter(), [Tsn(3)].into_iter()));
    assert_eq!((packet.room(), packet.len(), packet.has_chunks()), (0, 28, true));
    assert!(!packet.chunk(kind::COOKIE_ACK, 0, &[]) && packet.forward_tsn(Tsn(1), false, [].into_iter()).is_none());
    packet.finish(false);
    let Chunk::Sack(sack) = only(&out) else { panic!() };
    assert_eq!((sack.gaps().len(), sack.duplicates().len()), (0, 0));
    Packet::begin(&mut out, &HEADER, 31).cancel();
    assert_eq!(out.len(), 28);
}

#[test]
fn lists_take_what_room_there_is_and_say_so() {
    let mut out = Vec::new();
    let mut packet = Packet::begin(&mut out, &HEADER, 12 + 16 + 12 + 8 + 8);
    assert!(packet.sack(Tsn(1), 2, [(1, 1), (3, 3)].into_iter(), (3..4).map(Tsn)));
    let skipped = (0..9).map(|stream| Skipped { stream, is_unordered: false, message: 7 });
    assert_eq!(packet.forward_tsn(Tsn(1), false, skipped), Some(2));
    packet.finish(false);
    let chunks = read(&out).unwrap();
    let (Chunk::Sack(sack), Chunk::ForwardTsn(forward)) = (chunks[0], chunks[1]) else { panic!() };
    assert_eq!((sack.gaps().len(), sack.duplicates().len(), forward.streams().len()), (2, 1, 2));
}

#[test]
fn a_channel_opens_by_messages_of_the_right_form() {
    use dcep::{Malformed, Message};
    let open = [3, 0x81, 1, 0, 0, 0, 0, 5, 0, 2, 0, 1, b'h', b'i', b'p'];
    let Ok(Message::Open(read)) = Message::parse(&open) else { panic!() };
    assert_eq!((read.label, read.protocol, read.priority, read.reliability), ("hi", "p", 256, 5));
    assert!(!read.channel_type.is_ordered());
    assert_eq!(Message::parse(&open[..14]), Err(Malformed::Length));
    assert_eq!(Message::parse(&open[..11]), Err(Malformed::Length));
    assert_eq!(Message::parse(&[&open[..], &[0]].concat()), Err(Malformed::Length));
    let with = |at: usize, byte: u8| {
        let mut changed = open;
        changed[at] = byte;
        Message::parse(&changed).map(|_| ()).unwrap_err()
    };
    assert_eq!((with(0, 1), with(1, 3), with(12, 0xff)), (Malformed::Kind, Malformed::ChannelType(3), Malformed::Utf8));
    assert_eq!(Message::parse(&[]), Err(Malformed::Kind));
    assert_eq!([Message::parse(&[2]), Message::parse(&[2, 0, 0, 0])], [Ok(Message::Ack); 2], "pion's has four bytes");
}

#[test]
fn numbers_of_chunks_wrap() {
    let last = Tsn(u32::MAX);
    assert_eq!((last.next(), Tsn(0).previous(), last.add(3)), (Tsn(0), last, Tsn(2)));
    assert_eq!((Tsn(1).since(last), last.since(Tsn(1))), (2, u32::MAX - 1));
    assert!(Tsn(0).is_after(last) && !last.is_after(Tsn(0)) && !last.is_after(last));
    assert!(Tsn(i32::MAX.cast_unsigned()).is_after(Tsn(0)) && !Tsn(1 << 31).is_after(Tsn(0)));
}
