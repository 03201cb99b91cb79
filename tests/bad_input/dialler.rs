//! Our dialler and a server that misbehaves: the same rules from the other side. The friend's other link goes on.

use std::time::Duration;

use switchboard::connect::Options;
use switchboard::link::framed;
use switchboard::link::http::HttpError;
use switchboard::link::tls::TlsError;
use switchboard::link::websocket::Misbehaved;
use switchboard::machine::limits::Limits;
use switchboard::stack::stream::{During, StreamError};
use switchboard::transport::{DownReason, TransportEvent};
use switchboard::wire::websocket::{Header, HeaderError, Opcode};

use crate::common::{KINDS, options};
use crate::raw::Wrap;
use crate::scene::{CHUNK, Scene, close_code, framed, masked, welcome};

const SECOND: Duration = Duration::from_secs(1);

const fn http(rule: HttpError) -> DownReason {
    DownReason::Stream(StreamError::Http(rule))
}

/// The friend has been told that there will be no further try, and nothing is left.
#[track_caller]
fn over(scene: &mut Scene, reason: &DownReason, most: usize) {
    scene.over(most);
    assert_eq!(scene.friend.events.last(), Some(&TransportEvent::Failed(reason.clone())));
}

/// The friend refuses this answer, made from the right one, by `ws:` and by `wss:`.
#[track_caller]
fn answer_is_refused(answer: impl Fn(&str) -> String, rule: &HttpError) {
    answer_is_refused_with(&Limits::default(), answer, rule);
}

#[track_caller]
fn answer_is_refused_with(limits: &Limits, answer: impl Fn(&str) -> String, rule: &HttpError) {
    for kind in ["ws", "wss"] {
        let mut scene = Scene::with(kind, Options { limits: limits.clone(), ..options() });
        let port = scene.friend_dialled();
        scene.until(|scene| scene.connection(port).received.ends_with(b"\r\n\r\n"));
        let right = String::from_utf8(welcome(&scene.take_received(port))).unwrap();
        scene.send(port, answer(&right).as_bytes());
        let (reason, _) = scene.refusal();
        assert_eq!(reason, http(rule.clone()), "{kind}");
        assert!(scene.told(port).is_empty(), "{kind}: a client has no answer to a wrong answer");
        // While a vector moves to a larger one there are both.
        over(&mut scene, &reason, 2 * limits.http_head);
    }
}

fn replaced(old: &'static str, new: &'static str) -> impl Fn(&str) -> String {
    move |right| {
        let wrong = right.replacen(old, new, 1);
        assert_ne!(wrong, right);
        wrong
    }
}

fn with_line(line: &str) -> impl Fn(&str) -> String {
    move |right| right.replace("\r\n\r\n", &format!("\r\n{line}\r\n\r\n"))
}

#[test]
fn garbage_instead_of_a_tls_hello_is_not_tls_and_is_told_by_an_alert() {
    for kind in ["tls", "wss"] {
        let mut scene = Scene::new(kind);
        scene.become_server(Wrap::Bare);
        let port = scene.friend_dialled();
        scene.send(port, b"SSH-2.0-OpenSSH_9.9\r\n");
        let (reason, _) = scene.refusal();
        assert_eq!(reason, DownReason::Stream(StreamError::Tls(TlsError::NotTls)));
        assert!(scene.told(port).ends_with(&[21, 3, 3, 0, 2, 2, 50]));
        over(&mut scene, &reason, 0);
    }
}

#[test]
fn garbage_instead_of_an_http_answer_is_not_http() {
    answer_is_refused(|_| "SSH-2.0-OpenSSH_9.9\r\n".to_owned(), &HttpError::NotHttp);
}

#[test]
fn an_answer_of_1_mib_is_refused_at_the_limit() {
    let long = format!("X: {}", "x".repeat(1 << 20));
    answer_is_refused(with_line(&long), &HttpError::HeadTooLarge { limit: 16 * 1024 });
}

#[test]
fn an_answer_with_10_000_headers_is_refused() {
    let many = "a:\r\n".repeat(9_999) + "a:";
    answer_is_refused(with_line(&many), &HttpError::HeadTooLarge { limit: 16 * 1024 });
    let limits = Limits { http_head: 64 * 1024, ..Limits::default() };
    answer_is_refused_with(&limits, with_line(&many), &HttpError::TooManyHeaders { limit: 64 });
}

#[test]
fn an_answer_with_a_bare_line_feed_is_refused() {
    answer_is_refused(replaced("\r\nUpgrade", "\nUpgrade"), &HttpError::LineEnd);
}

#[test]
fn an_answer_with_two_lengths_is_refused() {
    answer_is_refused(with_line("Content-Length: 0\r\nContent-Length: 0"), &HttpError::TwoLengths);
}

#[test]
fn an_answer_that_is_no_upgrade_names_its_status() {
    let not_found = HttpError::Status { status: 404, location: None };
    answer_is_refused(|_| "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_owned(), &not_found);
    let elsewhere = HttpError::Status { status: 302, location: Some("ws://b/".to_owned()) };
    answer_is_refused(|_| "HTTP/1.1 302 Found\r\nLocation: ws://b/\r\n\r\n".to_owned(), &elsewhere);
    let fine = HttpError::Status { status: 200, location: None };
    answer_is_refused(replaced("101 Switching Protocols", "200 OK"), &fine);
}

#[test]
fn an_answer_that_does_not_prove_websocket_is_refused() {
    answer_is_refused(replaced("Accept: ", "Accept: x"), &HttpError::AcceptWrong);
    answer_is_refused(replaced("Sec-WebSocket-Accept", "X-Accept"), &HttpError::AcceptMissing);
    answer_is_refused(replaced("Upgrade: websocket", "Upgrade: h2c"), &HttpError::UpgradeMissing);
    answer_is_refused(replaced("Connection: Upgrade", "Connection: close"), &HttpError::ConnectionMissing);
    answer_is_refused(replaced("HTTP/1.1", "HTTP/1.0"), &HttpError::Version);
}

#[test]
fn an_answer_with_what_was_not_offered_is_refused() {
    let extension = HttpError::Extension("permessage-deflate".to_owned());
    answer_is_refused(with_line("Sec-WebSocket-Extensions: permessage-deflate"), &extension);
    answer_is_refused(with_line("Sec-WebSocket-Protocol: chat"), &HttpError::SubprotocolUnknown("chat".to_owned()));
}

#[test]
fn a_server_that_ends_in_a_handshake_is_known_to() {
    for (kind, wrap, during) in [
        ("tls", Some(Wrap::Bare), During::TlsHandshake),
        ("wss", Some(Wrap::Bare), During::TlsHandshake),
        ("ws", None, During::Upgrade),
        ("wss", None, During::Upgrade),
    ] {
        let mut scene = Scene::new(kind);
        if let Some(wrap) = wrap {
            scene.become_server(wrap);
        }
        let port = scene.friend_dialled();
        let half: &[u8] = if during == During::Upgrade { b"HTTP/1.1 101 Switch" } else { b"\x16\x03\x03\x00" };
        scene.send(port, half);
        scene.cut_off(port);
        let (reason, _) = scene.refusal();
        assert_eq!(reason, DownReason::Stream(StreamError::Ended(during)), "{kind}");
        over(&mut scene, &reason, 0);
    }
}

#[test]
fn one_byte_a_second_in_a_handshake_ends_at_the_time_for_handshakes() {
    for (kind, inside) in [("tls", false), ("ws", false), ("wss", false), ("wss", true)] {
        let mut scene = Scene::new(kind);
        if scene.is_tls() && !inside {
            scene.become_server(Wrap::Bare);
        }
        let dialled = scene.world.now();
        let port = scene.friend_dialled();
        let slow: &[u8] = if scene.is_tls() && !inside {
            b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03aaaaa"
        } else {
            b"HTTP/1.1 101 Switching"
        };
        for byte in slow.chunks(1).take(15) {
            scene.send(port, byte);
            scene.pass(SECOND);
        }
        let (reason, at) = scene.refusal();
        assert_eq!((&reason, at), (&DownReason::HandshakeTimeout, dialled + scene.options.limits.handshake_time));
        over(&mut scene, &reason, 0);
    }
}

#[test]
fn one_byte_a_second_on_a_link_is_a_message_that_comes_late() {
    for kind in KINDS {
        let mut scene = Scene::new(kind);
        let port = scene.friend_linked();
        let wire = scene.seal(port, &framed_by_server(kind, &[9; 60]));
        for byte in wire.chunks(1) {
            scene.send_wire(port, byte);
            scene.pass(SECOND);
        }
        assert_eq!(scene.received(), [[9; 60]], "{kind}");
        scene.cut_off(port);
        let (reason, _) = scene.down();
        over(&mut scene, &reason, 0);
    }
}

#[test]
fn a_message_cut_off_is_an_end_in_its_middle_and_is_not_delivered() {
    for kind in KINDS {
        let mut scene = Scene::new(kind);
        let port = scene.friend_linked();
        scene.send(port, &framed_by_server(kind, b"whole"));
        scene.send(port, &framed_by_server(kind, &[7; 1000])[..500]);
        scene.cut_off(port);
        let (reason, _) = scene.down();
        assert_eq!(reason, DownReason::Stream(StreamError::Ended(During::Message)), "{kind}");
        assert_eq!(scene.received(), [b"whole"]);
        over(&mut scene, &reason, 0);
    }
}

#[test]
fn a_frame_announced_too_large_is_refused_on_its_header() {
    for kind in ["tcp", "tls"] {
        let mut scene = Scene::new(kind);
        let limit = scene.options.limits.message;
        let port = scene.friend_linked();
        scene.send(port, &[0x7f, 0xff, 0xff, 0xff]);
        let (reason, _) = scene.down();
        let rule = framed::Misbehaved::TooBig { announced: 0x7fff_ffff, limit };
        assert_eq!(reason, DownReason::Stream(StreamError::Framed(rule)), "{kind}");
        over(&mut scene, &reason, 0);
    }
}

/// The friend refuses this frame after one that is in order, by `ws:` and by `wss:`.
#[track_caller]
fn frame_is_refused(frame: &[u8], rule: Misbehaved, code: u16) {
    for kind in ["ws", "wss"] {
        let mut scene = Scene::new(kind);
        let port = scene.friend_linked();
        scene.send(port, &framed_by_server(kind, b"before"));
        scene.send(port, frame);
        scene.send(port, &framed_by_server(kind, b"after"));
        let (reason, _) = scene.down();
        assert_eq!(reason, DownReason::Stream(StreamError::WebSocket(rule)), "{kind}");
        assert_eq!(close_code(&scene.told(port)), code, "{kind}");
        assert_eq!(scene.received(), [b"before"], "{kind}");
        over(&mut scene, &reason, CHUNK);
    }
}

#[test]
fn a_frame_masked_by_a_server_is_refused_by_1002() {
    frame_is_refused(&masked(true, Opcode::Text, b"hello"), Misbehaved::Masked, 1002);
}

#[test]
fn a_frame_of_a_server_with_reserved_bits_is_refused_by_1002() {
    frame_is_refused(b"\xc1\x05hello", Misbehaved::Header(HeaderError::ReservedBits), 1002);
}

#[test]
fn text_of_a_server_that_is_not_utf8_is_refused_by_1007() {
    frame_is_refused(b"\x81\x01\xff", Misbehaved::TextNotUtf8, 1007);
}

#[test]
fn a_message_of_a_server_announced_as_2_to_the_63_bytes_reserves_nothing() {
    let announced = |len: u64| [&[0x82, 127][..], &len.to_be_bytes()].concat();
    frame_is_refused(&announced(1 << 63), Misbehaved::Header(HeaderError::LengthTopBit), 1002);
    frame_is_refused(&announced((1 << 63) - 1), Misbehaved::TooBig { limit: 16 * 1024 * 1024 }, 1009);
}

fn framed_by_server(kind: &str, payload: &[u8]) -> Vec<u8> {
    if !kind.starts_with("ws") {
        return framed(kind, payload);
    }
    let mut frame = Vec::new();
    Header { fin: true, opcode: Opcode::Binary, mask: None, len: payload.len() as u64 }.encode(&mut frame);
    [frame, payload.to_vec()].concat()
}
