//! Packets as dcsctp 0.1.16 and sctp-proto 0.10.8 send them.

use super::*;

const INIT: &str = "13881388000000003dec17c30100001efc12228c00500000ffffffffe7c9f3d6c00000048008000682c00000";
const INIT_ACK: &str = "13881388fc12228c907f87ac0200005436d1bc4800500000ffffffffc3144952c00000048008000682c00000000700\
                        346463534354507230fc12228c36d1bc48e7c9f3d6c31449520050000000000000000000000100010000000000ffffffff";
const INIT_WITH_ALL: &str =
    "1388138800000000969949bd010000289fa6a8a300500000ffffffff98bf169ac000000480010008000000018008000882c040c2";
const SNAP: &str = "0100001a38dd249100100000ffffffff5d13915d8008000682c0";
const COOKIE_ECHO: &str = "1388138836d1bc48713faccf0a0000346463534354507230fc12228c36d1bc48e7c9f3d6c3144952005000000000\
                           0000000000000100010000000000ffffffff";
const COOKIE_ACK: &str = "13881388fc12228cf72a4ccf0b000004";
const DATA: &str = "1388138836d1bc48016dbbe000030015e7c9f3d6000100000000003568656c6c6f000000";
const LAST_OF_UNORDERED: &str =
    "1388138836d1bc48ef3003510005002ce7c9f3db000300000000003379797979797979797979797979797979797979797979797979797979";
const IDATA: &str = "138813885445cbe4000000004003001998bf169a00010000000000000000003568656c6c6f000000";
const LAST_IDATA: &str = "138813885445cbe4000000004005003498bf169f00030000000000000000000179797979797979797979797979797979\
                          79797979797979797979797979797979";
const SACK: &str = "13881388fc12228c6ac2b6f803000018e7c9f3d60047fe33000200000002000300050005";
const FORWARD: &str = "1388138836d1bc4888fae8f2c000000ce7c9f3d900020000";
const IFORWARD: &str = "138813885445cbe400000000c200001098bf169d0002000000000000";
const HEARTBEAT: &str = "13881388fc12228c03c228650400000c0001000800000001";
const HEARTBEAT_ACK: &str = "1388138836d1bc486d7697830500000c0001000800000001";
const RESET: &str = "1388138836d1bc480f937d6282000018000d0014e7c9f3d6e7c9f3d6e7c9f3dc00010002";
const RESET_DONE: &str = "13881388fc12228cca3226c1820000100010000ce7c9f3d600000001";
const SHUTDOWN: &str = "1388138836d1bc48b863779e07000008c3144952";
const SHUTDOWN_ACK: &str = "13881388fc12228ccea36ead08000004";
const SHUTDOWN_COMPLETE: &str = "1388138836d1bc486bd9f6a80e000004";
const ABORT: &str = "13881388210df4ab38c5260d06000014000c0010436c6f73652063616c6c6564";

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().map(|digit| char::from(digit).to_digit(16).unwrap() as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn each_is_written_again_byte_by_byte() {
    let plain = [
        INIT,
        INIT_ACK,
        COOKIE_ECHO,
        COOKIE_ACK,
        DATA,
        LAST_OF_UNORDERED,
        IDATA,
        LAST_IDATA,
        SACK,
        FORWARD,
        IFORWARD,
        HEARTBEAT,
        HEARTBEAT_ACK,
        RESET,
        RESET_DONE,
        SHUTDOWN,
        SHUTDOWN_ACK,
        SHUTDOWN_COMPLETE,
        ABORT,
    ];
    for hex in plain {
        let original = bytes(hex);
        let has_checksum = original[8..12] != [0; 4];
        let rule = if has_checksum { Checksum::Required } else { Checksum::MayBeZero };
        let (header, chunks) = parse(&original, rule).unwrap();
        let mut again = vec![9];
        let mut packet = Packet::begin(&mut again, &header, original.len());
        for chunk in chunks {
            assert!(write_as_dcsctp(&mut packet, &chunk.unwrap()), "{hex}");
        }
        packet.finish(has_checksum);
        assert_eq!(again[1..], original, "{hex}");
    }
}

/// It lists the parameters in an order of its own.
fn write_as_dcsctp(packet: &mut Packet<'_>, chunk: &Chunk<'_>) -> bool {
    let (Chunk::Init(init) | Chunk::InitAck(init)) = chunk else { return write(packet, chunk) };
    let cookie = init.cookie().map(Parameter::Cookie);
    let parameters = [Parameter::ForwardTsn, Parameter::Extensions(&[0x82, 0xc0])].into_iter().chain(cookie);
    packet.init(cookie.is_some(), &init_head(init), &parameters.collect::<Vec<_>>())
}

#[test]
fn an_init_says_what_its_sender_can() {
    let packet = bytes(INIT_WITH_ALL);
    let Chunk::Init(init) = only(&packet) else { panic!() };
    assert_eq!((init.tag, init.window, init.initial_tsn), (0x9fa6_a8a3, 5 << 20, Tsn(0x98bf_169a)));
    assert_eq!((init.outbound_streams, init.inbound_streams), (65_535, 65_535));
    assert!(init.is_forward_tsn() && init.supports(kind::I_DATA) && init.supports(kind::I_FORWARD_TSN));
    assert!(init.supports(kind::RECONFIG) && !init.supports(kind::DATA));
    assert_eq!((init.zero_checksum(), init.cookie(), init.unrecognized().count()), (Some(1), None, 0));
}

#[test]
fn an_init_outside_of_a_packet_is_read_and_written() {
    let chunk = bytes(SNAP);
    let init = Init::parse(&chunk).unwrap();
    assert_eq!((init.tag, init.window), (0x38dd_2491, 1 << 20));
    assert!(init.supports(kind::FORWARD_TSN) && !init.is_forward_tsn());
    let mut again = Vec::new();
    init_head(&init).emit(&mut again, false, &[Parameter::Extensions(&[0x82, 0xc0])]);
    assert_eq!(again, chunk);
    let mut padded = chunk.clone();
    padded.extend([1, 2]);
    assert_eq!(Init::parse(&padded), Ok(init));
    for wrong in [&padded[..chunk.len() + 1], &chunk[..chunk.len() - 1], &bytes(DATA)[12..], &[1, 0, 0]] {
        Init::parse(wrong).unwrap_err();
    }
}

#[test]
fn an_acknowledgement_tells_its_blocks_as_distances() {
    let packet = bytes(SACK);
    let Chunk::Sack(sack) = only(&packet) else { panic!() };
    assert_eq!((sack.cumulative, sack.window), (Tsn(0xe7c9_f3d6), 0x0047_fe33));
    assert_eq!(sack.gaps().collect::<Vec<_>>(), [(2, 3), (5, 5)]);
    assert_eq!(sack.duplicates().count(), 0);
}

#[test]
fn parts_of_messages_say_where_they_belong() {
    let (first, last) = (bytes(IDATA), bytes(LAST_IDATA));
    let Chunk::Data(first) = only(&first) else { panic!() };
    let Chunk::Data(last) = only(&last) else { panic!() };
    assert!(first.is_interleaved && first.is_begin && first.is_end && !first.is_unordered);
    assert_eq!((first.ppid, first.fragment, first.payload), (ppid::BINARY, 0, &b"hello"[..]));
    assert!(last.is_interleaved && !last.is_begin && last.is_end && last.is_unordered);
    assert_eq!((last.ppid, last.fragment, last.payload), (0, 1, &[b'y'; 32][..]));
}

#[test]
fn a_reset_names_streams_and_the_last_chunk_before() {
    let packet = bytes(RESET);
    let Chunk::Reconfig(mut requests) = only(&packet) else { panic!() };
    let number = 0xe7c9_f3d6;
    let streams = Streams::of(&[1, 2]);
    let expected = Request::OutgoingReset { request: number, response: number, last: Tsn(0xe7c9_f3dc), streams };
    assert_eq!((requests.next(), requests.next()), (Some(expected), None));
}

#[test]
fn an_abort_says_why() {
    let packet = bytes(ABORT);
    let Chunk::Abort(causes) = only(&packet) else { panic!() };
    assert_eq!(causes.to_string(), "the peer's user ended it: Close called");
}
