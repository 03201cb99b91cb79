//! The WebSocket link against the text of RFC 6455: its examples, each of its rules, and its handshakes.
#![cfg(feature = "ws")]

use switchboard::link::websocket::{Misbehaved, Role, State, WebSocket};
use switchboard::machine::Fill;
use switchboard::machine::buf::Buf;
use switchboard::machine::payload::{Flow, Framer, Kind, Payload};
use switchboard::machine::rng::Rng;
use switchboard::wire::websocket::{CloseCode, CloseError, HeaderError, LONGEST_HEADER};

const LIMIT: usize = 100_000;

// Section 5.7.

#[test]
fn the_unmasked_hello_of_the_rfc_is_read_and_written() {
    let wire = [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f];
    assert_eq!(Peer::new(Role::Client).receive(&wire), Ok(vec![text("Hello")]));
    assert_eq!(Peer::new(Role::Server).send(&[text("Hello")]), wire);
}

#[test]
fn the_masked_hello_of_the_rfc_is_read() {
    let wire = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(Peer::new(Role::Server).receive(&wire), Ok(vec![text("Hello")]));
}

#[test]
fn the_fragmented_hello_of_the_rfc_is_put_together() {
    let wire = [0x01, 0x03, 0x48, 0x65, 0x6c, 0x80, 0x02, 0x6c, 0x6f];
    assert_eq!(Peer::new(Role::Client).receive(&wire), Ok(vec![text("Hello")]));
}

#[test]
fn the_ping_of_the_rfc_is_answered_by_a_pong_with_its_payload() {
    let mut server = Peer::new(Role::Server);
    let masked_ping = [0x89, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
    assert_eq!(server.receive(&masked_ping), Ok(vec![]));
    assert!(server.link.wants_fill());
    assert_eq!(server.send(&[]), [0x8a, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
    assert!(!server.link.wants_fill());
}

#[test]
fn the_256_bytes_and_64_kib_of_the_rfc_are_read_and_written() {
    let headers: [(&[u8], usize); 2] =
        [(&[0x82, 0x7e, 0x01, 0x00], 256), (&[0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0], 65536)];
    for (header, size) in headers {
        let message = (Kind::Binary, vec![0xab; size]);
        let wire = [header, &message.1].concat();
        assert_eq!(Peer::new(Role::Server).send(std::slice::from_ref(&message)), wire);
        assert_eq!(Peer::new(Role::Client).receive(&wire), Ok(vec![message]));
    }
}

// Sections 5.1 to 5.5, 7.4, 8.1: one case per rule.

#[test]
fn each_broken_rule_is_named_and_closes_with_its_code() {
    let too_big = Misbehaved::TooBig { limit: LIMIT };
    let cases: [(&str, &[u8], Misbehaved, CloseCode); 17] = [
        ("reserved bit", &[0xc1, 0], HeaderError::ReservedBits.into(), CloseCode::PROTOCOL_ERROR),
        ("reserved opcode", &[0x85, 0], HeaderError::ReservedOpcode(5).into(), CloseCode::PROTOCOL_ERROR),
        ("long form", &[0x82, 126, 0, 5], HeaderError::LengthNotMinimal.into(), CloseCode::PROTOCOL_ERROR),
        ("2^63", &[0x82, 127, 128, 0, 0, 0, 0, 0, 0, 0], HeaderError::LengthTopBit.into(), CloseCode::PROTOCOL_ERROR),
        ("long ping", &[0x89, 126, 0, 126], HeaderError::ControlTooLong.into(), CloseCode::PROTOCOL_ERROR),
        ("fragmented ping", &[0x09, 0], HeaderError::ControlFragmented.into(), CloseCode::PROTOCOL_ERROR),
        ("masked by a server", &[0x82, 0x80, 1, 2, 3, 4], Misbehaved::Masked, CloseCode::PROTOCOL_ERROR),
        ("nothing to continue", &[0x80, 0], Misbehaved::ContinuationWithoutStart, CloseCode::PROTOCOL_ERROR),
        ("mixed", &[0x02, 0, 0x82, 0], Misbehaved::Interleaved, CloseCode::PROTOCOL_ERROR),
        ("big", &[0x82, 127, 0, 0, 0, 0, 0, 1, 0x86, 0xa1], too_big, CloseCode::TOO_BIG),
        ("huge", &[0x82, 127, 127, 255, 255, 255, 255, 255, 255, 255], too_big, CloseCode::TOO_BIG),
        ("big sum", &[0x02, 1, 0, 0x80, 127, 0, 0, 0, 0, 0, 1, 0x86, 0xa0], too_big, CloseCode::TOO_BIG),
        ("not text", &[0x81, 1, 0xff], Misbehaved::TextNotUtf8, CloseCode::INVALID_DATA),
        ("cut text", &[0x81, 2, b'a', 0xc3], Misbehaved::TextNotUtf8, CloseCode::INVALID_DATA),
        ("half a code", &[0x88, 1, 3], CloseError::HalfCode.into(), CloseCode::PROTOCOL_ERROR),
        ("code 1005", &[0x88, 2, 3, 0xed], CloseError::ForbiddenCode(1005).into(), CloseCode::PROTOCOL_ERROR),
        ("bad reason", &[0x88, 3, 3, 0xe8, 0xff], CloseError::ReasonNotUtf8.into(), CloseCode::INVALID_DATA),
    ];
    for (name, wire, error, code) in cases {
        let mut peer = Peer::new(Role::Client);
        assert_eq!(peer.receive(wire), Err(error), "{name}");
        assert_eq!(error.close_code(), code, "{name}");
        assert_eq!(peer.receive(&[0x81, 0]), Ok(vec![]), "{name}: read on");
    }
}

#[test]
fn an_unmasked_frame_from_a_client_is_refused() {
    assert_eq!(Peer::new(Role::Server).receive(&[0x82, 0]), Err(Misbehaved::Unmasked));
    assert_eq!(Peer::new(Role::Server).receive(&[0x89, 0]), Err(Misbehaved::Unmasked));
}

#[test]
fn a_broken_rule_is_told_to_the_peer_by_a_close_frame() {
    let mut client = Peer::new(Role::Server);
    let error = client.receive(&[0x81, 0x81, 0, 0, 0, 0, 0xff]).unwrap_err();
    client.link.close(error.close_code(), "not text");
    assert_eq!(client.send(&[text("never sent")]), b"\x88\x0a\x03\xefnot text");
}

#[test]
fn messages_before_a_broken_rule_are_delivered() {
    let mut got = Vec::new();
    let mut wire = [0x81, 1, b'a', 0x82, 0, 0x83, 0];
    let result = WebSocket::new(Role::Client, LIMIT).receive(&mut wire, &mut |kind, payload| {
        got.push((kind, payload.into_vec()));
        Flow::Go
    });
    assert_eq!(result, Err(HeaderError::ReservedOpcode(3).into()));
    assert_eq!(got, [text("a"), (Kind::Binary, vec![])]);
}

#[test]
fn a_message_of_the_limit_is_accepted_whole_and_in_parts() {
    let part = [&[0x02, 127, 0, 0, 0, 0, 0, 1, 0x86, 0x9f][..], &[1; LIMIT - 1]].concat();
    let wire = [&part[..], &[0x80, 1, 1]].concat();
    assert_eq!(Peer::new(Role::Client).receive(&wire), Ok(vec![(Kind::Binary, vec![1; LIMIT])]));
    let whole = Peer::new(Role::Server).send(&[(Kind::Binary, vec![2; LIMIT])]);
    assert_eq!(Peer::new(Role::Client).receive(&whole), Ok(vec![(Kind::Binary, vec![2; LIMIT])]));
}

// Section 8.1: text fails at the first byte that can't be right.

#[test]
fn text_fails_at_the_byte_that_is_wrong_not_at_the_end_of_the_message() {
    let invalid: [&[u8]; 8] = [
        b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0",
        b"abc\xf4\x90",
        b"\xf5",
        b"\xc0",
        b"\xe0\x80",
        b"a\x80",
        b"\xf0\x8f",
        b"\xc3(",
    ];
    for bytes in invalid {
        for announced in [bytes.len() as u8, 125] {
            let mut peer = Peer::new(Role::Client);
            let (wrong, right) = bytes.split_last().unwrap();
            assert_eq!(peer.receive(&[0x01, announced]), Ok(vec![]));
            for byte in right {
                assert_eq!(peer.receive(&[*byte]), Ok(vec![]), "{bytes:02x?}");
            }
            assert_eq!(peer.receive(&[*wrong]), Err(Misbehaved::TextNotUtf8), "{bytes:02x?}");
        }
    }
}

#[test]
fn a_character_may_be_cut_by_fragments_anywhere() {
    for cut in 0..=4 {
        let (front, back) = "🦀".as_bytes().split_at(cut);
        let wire = [&[0x01, front.len() as u8], front, &[0x00, 0], &[0x80, back.len() as u8], back].concat();
        assert_eq!(Peer::new(Role::Client).receive(&wire), Ok(vec![text("🦀")]));
    }
}

#[test]
fn a_character_that_the_message_ends_in_is_refused() {
    let wire = [0x01, 1, 0xf0, 0x00, 2, 0x9f, 0xa6, 0x80, 0];
    assert_eq!(Peer::new(Role::Client).receive(&wire), Err(Misbehaved::TextNotUtf8));
}

// Sections 5.4 and 5.5: control frames.

#[test]
fn control_frames_between_fragments_are_handled_at_once() {
    let mut peer = Peer::new(Role::Client);
    assert_eq!(peer.receive(&[0x01, 1, b'a', 0x89, 1, 9]), Ok(vec![]));
    assert_eq!(peer.send(&[])[..2], [0x8a, 0x81]);
    assert_eq!(peer.receive(&[0x8a, 0, 0x80, 1, b'b']), Ok(vec![text("ab")]));
    assert!(peer.link.take_pong() && !peer.link.take_pong());
}

#[test]
fn pings_are_answered_in_their_order() {
    let mut server = Peer::new(Role::Server);
    for number in 0..16 {
        server.receive(&[0x89, 0x81, 0, 0, 0, 0, number]).unwrap();
    }
    assert_eq!(server.send(&[]), (0..16).flat_map(|number| [0x8a, 1, number]).collect::<Vec<_>>());
}

#[test]
fn only_the_newest_pings_of_a_flood_are_answered() {
    let mut server = Peer::new(Role::Server);
    for number in 0..100 {
        server.receive(&[0x89, 0x81, 0, 0, 0, 0, number]).unwrap();
    }
    assert_eq!(server.send(&[]), (84..100).flat_map(|number| [0x8a, 1, number]).collect::<Vec<_>>());
    assert!(!server.link.wants_fill());
}

#[test]
fn pings_of_both_ends_are_answered() {
    let (mut client, mut server) = (Peer::new(Role::Client), Peer::new(Role::Server));
    client.link.ping();
    server.link.ping();
    for _ in 0..2 {
        client.talk_to(&mut server);
        server.talk_to(&mut client);
    }
    assert!(client.link.take_pong() && server.link.take_pong());
    assert!(!client.link.wants_fill() && !server.link.wants_fill());
}

#[test]
fn owed_control_frames_go_before_messages() {
    let mut server = Peer::new(Role::Server);
    server.link.ping();
    assert_eq!(server.send(&[text("a")]), [0x89, 0, 0x81, 1, b'a']);
}

// Sections 5.3 and 5.1: masks.

#[test]
fn a_client_masks_every_frame_with_a_mask_of_its_own() {
    let mut client = Peer::new(Role::Client);
    let wire = client.send(&[text("same"), text("same")]);
    let (first, second) = wire.split_at(wire.len() / 2);
    assert_eq!((first[0], first[1]), (0x81, 0x84));
    assert_ne!(first[2..6], second[2..6]);
    assert_eq!(Peer::new(Role::Server).receive(&wire), Ok(vec![text("same"), text("same")]));
}

// Sections 5.5.1 and 7: closing.

#[test]
fn a_close_is_answered_with_its_code_and_what_follows_is_ignored() {
    let mut server = Peer::new(Role::Server);
    let wire = [&[0x88, 0x84, 0, 0, 0, 0, 0x03, 0xe9, b'g', b'o'][..], &[0xff; 20]].concat();
    assert_eq!(server.receive(&wire), Ok(vec![]));
    assert_eq!(server.link.state(), State::Closing);
    assert_eq!(server.send(&[text("never sent")]), [0x88, 2, 0x03, 0xe9]);
    assert_eq!(server.link.state(), State::Closed { code: Some(CloseCode::GOING_AWAY), reason: "go" });
    assert_eq!(server.receive(&[0xff; 20]), Ok(vec![]));
}

#[test]
fn an_empty_close_is_answered_by_an_empty_close() {
    let mut server = Peer::new(Role::Server);
    server.receive(&[0x88, 0x80, 1, 2, 3, 4]).unwrap();
    assert_eq!(server.send(&[]), [0x88, 0]);
    assert_eq!(server.link.state(), State::Closed { code: None, reason: "" });
}

#[test]
fn a_close_inside_a_fragmented_message_ends_it() {
    let mut peer = Peer::new(Role::Client);
    assert_eq!(peer.receive(&[0x01, 1, b'a', 0x88, 0]), Ok(vec![]));
    assert!(!peer.link.is_mid_message());
}

#[test]
fn whoever_closes_still_gets_what_the_peer_sent_before_its_own_close() {
    let (mut client, mut server) = (Peer::new(Role::Client), Peer::new(Role::Server));
    client.link.close(CloseCode::NORMAL, "done");
    let close = client.send(&[text("never sent")]);
    assert_eq!(client.link.state(), State::Closing);
    assert_eq!(client.receive(&server.send(&[text("late")])), Ok(vec![text("late")]));
    assert_eq!(server.receive(&close), Ok(vec![]));
    server.talk_to(&mut client);
    assert_eq!(server.link.state(), State::Closed { code: Some(CloseCode::NORMAL), reason: "done" });
    assert_eq!(client.link.state(), State::Closed { code: Some(CloseCode::NORMAL), reason: "" });
    assert!(!client.link.wants_fill());
}

#[test]
fn two_closes_that_cross_end_the_connection_without_an_answer() {
    let (mut client, mut server) = (Peer::new(Role::Client), Peer::new(Role::Server));
    client.link.close(CloseCode::NORMAL, "");
    server.link.close(CloseCode::GOING_AWAY, "");
    let (from_client, from_server) = (client.send(&[]), server.send(&[]));
    client.receive(&from_server).unwrap();
    server.receive(&from_client).unwrap();
    assert_eq!(client.link.state(), State::Closed { code: Some(CloseCode::GOING_AWAY), reason: "" });
    assert_eq!(server.link.state(), State::Closed { code: Some(CloseCode::NORMAL), reason: "" });
    assert!(client.send(&[]).is_empty() && server.send(&[]).is_empty());
}

#[test]
fn nothing_is_sent_after_our_close_frame() {
    let mut peer = Peer::new(Role::Server);
    peer.link.close(CloseCode::NORMAL, "");
    peer.link.close(CloseCode::POLICY, "a second close changes nothing");
    assert_eq!(peer.send(&[]), [0x88, 2, 3, 0xe8]);
    peer.receive(&[0x89, 0x80, 0, 0, 0, 0]).unwrap();
    peer.link.ping();
    assert!(!peer.link.wants_fill() && peer.send(&[text("late")]).is_empty());
}

// The contract: flow and buffers.

#[test]
fn a_whole_message_is_lent_and_a_gathered_one_is_given_away() {
    let mut link = WebSocket::new(Role::Client, LIMIT);
    let mut lent = Vec::new();
    let mut up = |_: Kind, payload: Payload<'_>| {
        lent.push(matches!(payload, Payload::Borrowed(_)));
        Flow::Go
    };
    link.receive(&mut [0x82, 1, 7, 0x81, 0, 0x02, 0, 0x80, 0, 0x82, 2, 7], &mut up).unwrap();
    link.receive(&mut [7, 0x82, 0], &mut up).unwrap();
    assert_eq!(lent, [true, true, false, false, true]);
}

#[test]
fn what_comes_while_the_receiver_stopped_is_kept_until_it_resumes() {
    let mut link = WebSocket::new(Role::Client, LIMIT);
    let mut got = Vec::new();
    let mut up = |_: Kind, payload: Payload<'_>| {
        got.push(payload.as_slice()[0]);
        if payload.as_slice()[0] == 1 { Flow::Stop } else { Flow::Go }
    };
    assert_eq!(link.receive(&mut [0x82, 1, 1, 0x82, 1, 2, 0x82], &mut up), Ok(Flow::Stop));
    assert_eq!(link.receive(&mut [1, 3, 0x82, 1, 4], &mut up), Ok(Flow::Stop));
    assert_eq!(link.receive(&mut [], &mut up), Ok(Flow::Go));
    assert_eq!(got, [1, 2, 3, 4]);
}

#[test]
fn a_stream_that_ends_inside_a_frame_or_a_message_is_known_to_be_cut_off() {
    let wire = [0x01, 1, b'a', 0x89, 1, 7, 0x80, 1, b'b', 0x89, 1, 7, 0x82, 0];
    let between = [0, 9, 12, 14];
    for cut in 0..=wire.len() {
        let mut peer = Peer::new(Role::Client);
        peer.receive(&wire[..cut]).unwrap();
        assert_eq!(peer.link.is_mid_message(), !between.contains(&cut), "cut at {cut}");
    }
}

#[test]
fn messages_are_taken_from_above_only_while_the_buffer_has_room() {
    let mut link = WebSocket::new(Role::Server, LIMIT);
    let mut buf = Buf::new(30);
    let mut rooms = Vec::new();
    let mut supply = |out: &mut dyn Framer| {
        rooms.push(out.room());
        out.message(Kind::Text, b"head, ", b"body");
        true
    };
    let mut rng = Rng::from_u64(0);
    assert_eq!(link.fill(&mut rng, &mut buf, &mut supply), Fill::More);
    link.ping();
    assert_eq!(link.fill(&mut rng, &mut buf, &mut |_| unreachable!("the buffer is full")), Fill::More);
    assert_eq!(rooms, [30 - LONGEST_HEADER, 18 - LONGEST_HEADER, 0]);
    assert_eq!(buf.len(), 36);
    assert!(link.wants_fill());
}

struct Peer {
    link: WebSocket,
    rng: Rng,
}

impl Peer {
    fn new(role: Role) -> Self {
        Self { link: WebSocket::new(role, LIMIT), rng: Rng::from_u64(6455) }
    }

    fn receive(&mut self, wire: &[u8]) -> Result<Vec<(Kind, Vec<u8>)>, Misbehaved> {
        let mut got = Vec::new();
        self.link.receive(&mut wire.to_vec(), &mut |kind, payload| {
            got.push((kind, payload.into_vec()));
            Flow::Go
        })?;
        Ok(got)
    }

    fn send(&mut self, messages: &[(Kind, Vec<u8>)]) -> Vec<u8> {
        let (mut buf, mut left) = (Buf::new(usize::MAX), messages.iter());
        let fill = self.link.fill(&mut self.rng, &mut buf, &mut |out| {
            let Some((kind, body)) = left.next() else { return false };
            out.message(*kind, &[], body);
            true
        });
        assert_eq!(fill, Fill::Done);
        buf.as_slice().to_vec()
    }

    fn talk_to(&mut self, other: &mut Self) {
        let wire = self.send(&[]);
        assert_eq!(other.receive(&wire), Ok(vec![]));
    }
}

fn text(text: &str) -> (Kind, Vec<u8>) {
    (Kind::Text, text.as_bytes().to_vec())
}
