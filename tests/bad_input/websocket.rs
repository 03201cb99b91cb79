//! WebSocket frames that break one rule each: the code of the answer and the typed error name it.

use std::time::Duration;

use switchboard::link::websocket::Misbehaved;
use switchboard::stack::stream::StreamError;
use switchboard::transport::DownReason;
use switchboard::wire::websocket::{CloseError, Header, HeaderError, Opcode};

use crate::scene::{CHUNK, Scene, close_code, masked};

/// Client to server by `ws:` and by `wss:`.
#[track_caller]
fn is_refused(frames: &[u8], rule: Misbehaved, code: u16) {
    for kind in ["ws", "wss"] {
        let mut scene = Scene::new(kind);
        let port = scene.dial_linked();
        scene.send(port, &masked(true, Opcode::Text, b"before"));
        scene.send(port, frames);
        scene.send(port, &masked(true, Opcode::Text, b"after"));
        assert_eq!(scene.down().0, DownReason::Stream(StreamError::WebSocket(rule)), "{kind}");
        assert_eq!(close_code(&scene.told(port)), code, "{kind}");
        assert_eq!(scene.received(), [b"before"], "{kind}");
        scene.over(CHUNK);
    }
}

fn unmasked(payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    Header { fin: true, opcode: Opcode::Text, mask: None, len: payload.len() as u64 }.encode(&mut frame);
    [frame, payload.to_vec()].concat()
}

/// The header of a masked binary message whose length is told in 64 bits.
fn announced(len: u64) -> Vec<u8> {
    [&[0x82, 0xff], len.to_be_bytes().as_slice(), &[1, 2, 3, 4]].concat()
}

const fn header(error: HeaderError) -> Misbehaved {
    Misbehaved::Header(error)
}

#[test]
fn a_frame_unmasked_from_a_client_is_refused_by_1002() {
    is_refused(&unmasked(b"hello"), Misbehaved::Unmasked, 1002);
}

#[test]
fn each_reserved_bit_is_refused_by_1002() {
    for bit in [0x40, 0x20, 0x10] {
        let mut frame = masked(true, Opcode::Text, b"hello");
        frame[0] |= bit;
        is_refused(&frame, header(HeaderError::ReservedBits), 1002);
    }
}

#[test]
fn a_reserved_opcode_is_refused_by_1002() {
    for opcode in [3, 7, 11, 15] {
        is_refused(&[0x80 | opcode, 0x80, 0, 0, 0, 0], header(HeaderError::ReservedOpcode(opcode)), 1002);
    }
}

#[test]
fn a_control_frame_of_126_bytes_is_refused_by_1002() {
    for opcode in [8, 9, 10] {
        let frame = [&[0x80 | opcode, 0x80 | 126, 0, 126, 0, 0, 0, 0][..], &[b'x'; 126]].concat();
        is_refused(&frame, header(HeaderError::ControlTooLong), 1002);
    }
}

#[test]
fn a_control_frame_in_parts_is_refused_by_1002() {
    let mut frame = masked(true, Opcode::Ping, b"");
    frame[0] &= 0x7f;
    is_refused(&frame, header(HeaderError::ControlFragmented), 1002);
}

#[test]
fn a_close_code_that_must_not_be_sent_is_refused_by_1002() {
    for code in [1005_u16, 1006, 1015, 999, 5000] {
        let frame = masked(true, Opcode::Close, &code.to_be_bytes());
        is_refused(&frame, Misbehaved::Close(CloseError::ForbiddenCode(code)), 1002);
    }
}

#[test]
fn half_a_close_code_is_refused_by_1002() {
    is_refused(&masked(true, Opcode::Close, &[3]), Misbehaved::Close(CloseError::HalfCode), 1002);
}

#[test]
fn a_close_reason_that_is_not_utf8_is_refused_by_1007() {
    let frame = masked(true, Opcode::Close, b"\x03\xe8\xff");
    is_refused(&frame, Misbehaved::Close(CloseError::ReasonNotUtf8), 1007);
}

#[test]
fn text_that_is_not_utf8_is_refused_by_1007() {
    for text in [&b"\xff"[..], b"abc\xc3\x28", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"cut \xe2\x82"] {
        is_refused(&masked(true, Opcode::Text, text), Misbehaved::TextNotUtf8, 1007);
    }
}

#[test]
fn text_that_is_not_utf8_is_refused_in_its_first_part() {
    is_refused(&masked(false, Opcode::Text, b"\xff"), Misbehaved::TextNotUtf8, 1007);
}

#[test]
fn a_message_announced_as_2_to_the_63_bytes_is_refused_by_1002_and_nothing_is_reserved() {
    is_refused(&announced(1 << 63), header(HeaderError::LengthTopBit), 1002);
}

#[test]
fn a_message_announced_as_one_byte_less_is_too_big_and_refused_by_1009() {
    is_refused(&announced((1 << 63) - 1), Misbehaved::TooBig { limit: 16 * 1024 * 1024 }, 1009);
}

#[test]
fn a_message_one_byte_beyond_the_limit_is_refused_by_1009() {
    is_refused(&announced(16 * 1024 * 1024 + 1), Misbehaved::TooBig { limit: 16 * 1024 * 1024 }, 1009);
}

#[test]
fn a_length_longer_than_it_needs_to_be_is_refused_by_1002() {
    is_refused(&announced(5), header(HeaderError::LengthNotMinimal), 1002);
}

#[test]
fn a_continuation_of_nothing_is_refused_by_1002() {
    is_refused(&masked(true, Opcode::Continuation, b"x"), Misbehaved::ContinuationWithoutStart, 1002);
}

#[test]
fn a_message_within_another_is_refused_by_1002() {
    let frames = [masked(false, Opcode::Text, b"a"), masked(true, Opcode::Text, b"b")].concat();
    is_refused(&frames, Misbehaved::Interleaved, 1002);
}

#[test]
fn a_message_announced_at_the_limit_of_which_nothing_comes_reserves_nothing() {
    for kind in ["ws", "wss"] {
        let mut scene = Scene::new(kind);
        let port = scene.dial_linked();
        scene.send(port, &announced(16 * 1024 * 1024));
        scene.pass(Duration::from_secs(1));
        scene.cut_off(port);
        scene.down();
        scene.over(0);
    }
}

#[test]
fn ten_thousand_pings_hold_no_more_than_a_chunk() {
    for kind in ["ws", "wss"] {
        let mut scene = Scene::new(kind);
        let port = scene.dial_linked();
        scene.send(port, &masked(true, Opcode::Ping, &[b'p'; 125]).repeat(10_000));
        scene.pass(Duration::from_secs(10));
        let pongs = scene.take_received(port);
        let pong = [&[0x8a, 125][..], &[b'p'; 125]].concat();
        let count = pongs.chunks(pong.len()).filter(|frame| **frame == pong).count();
        assert!(count > 0 && count * pong.len() == pongs.len());
        scene.cut_off(port);
        scene.down();
        scene.over(CHUNK);
    }
}
