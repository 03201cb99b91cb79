//! Garbage, truncated, oversized and one-byte-a-second input, before and after each handshake.

use std::time::Duration;

use switchboard::connect::Options;
use switchboard::link::framed;
use switchboard::link::http::HttpError;
use switchboard::link::tls::{Tls, TlsError};
use switchboard::link::websocket::Misbehaved;
use switchboard::machine::buf::Buf;
use switchboard::machine::limits::Limits;
use switchboard::machine::rng::Rng;
use switchboard::stack::stream::{During, StreamError};
use switchboard::transport::DownReason;
use switchboard::wire::websocket::{HeaderError, Opcode};

use crate::common::{KINDS, options};
use crate::raw::Wrap;
use crate::scene::{CHUNK, REQUEST, Scene, close_code, framed, masked, status};

const SECOND: Duration = Duration::from_secs(1);
const HEAD: usize = 16 * 1024;
/// What a TLS handshake in pieces may hold.
const HANDSHAKE: usize = 128 * 1024;

const fn broken(error: StreamError) -> DownReason {
    DownReason::Stream(error)
}

/// 4 KiB of bytes that mean nothing.
fn garbage() -> Vec<u8> {
    let mut bytes = vec![0; 4096];
    Rng::from_u64(99).fill(&mut bytes);
    bytes[0] = 0x7f;
    bytes
}

fn hello(scene: &Scene) -> Vec<u8> {
    let mut buf = Buf::new(usize::MAX);
    Tls::client(scene.options.trust.as_ref().unwrap(), "server.test", Duration::ZERO).unwrap().fill(&mut buf).unwrap();
    buf.as_slice().to_vec()
}

/// The two bytes of a fatal alert that ends what a TLS server said in the clear (RFC 8446, section 6).
#[track_caller]
fn alert(said: &[u8]) -> u8 {
    let [.., 21, 3, _, 0, 2, 2, alert] = said else { panic!("no alert: {said:02x?}") };
    *alert
}

#[test]
fn garbage_instead_of_a_tls_hello_is_not_tls_and_is_told_by_an_alert() {
    for kind in ["tls", "wss"] {
        let mut scene = Scene::new(kind);
        let port = scene.dial(&Wrap::Bare);
        scene.send(port, &garbage());
        assert_eq!(scene.refusal().0, broken(StreamError::Tls(TlsError::NotTls)));
        assert_eq!(alert(&scene.told(port)), 50);
        scene.over(0);
    }
}

#[test]
fn garbage_instead_of_an_http_request_is_answered_by_400() {
    for kind in ["ws", "wss"] {
        let mut scene = Scene::new(kind);
        let port = scene.dial_open();
        scene.send(port, b"\x7f\x00 garbage \xff\xfe\r\n\r\n");
        let (reason, _) = scene.refusal();
        let malformed =
            |reason: &DownReason| matches!(reason, DownReason::Stream(StreamError::Http(HttpError::Malformed(_))));
        assert!(malformed(&reason), "{reason:?}");
        assert_eq!(status(&scene.told(port)), 400);
        scene.over(0);
    }
}

#[test]
fn garbage_on_a_link_of_frames_announces_too_much_and_ends_it() {
    for kind in ["tcp", "tls"] {
        let mut scene = Scene::new(kind);
        let port = scene.dial_linked();
        scene.send(port, &garbage());
        let (reason, _) = scene.down();
        let DownReason::Stream(StreamError::Framed(framed::Misbehaved::TooBig { announced, limit })) = reason else {
            panic!("{reason:?}")
        };
        assert!(announced > limit && limit == scene.options.limits.message);
        assert!(scene.told(port).is_empty());
        assert!(scene.received().is_empty());
        scene.over(CHUNK);
    }
}

#[test]
fn garbage_on_a_websocket_has_reserved_bits_and_is_told_by_1002() {
    for kind in ["ws", "wss"] {
        let mut scene = Scene::new(kind);
        let port = scene.dial_linked();
        scene.send(port, &garbage());
        let rule = Misbehaved::Header(HeaderError::ReservedBits);
        assert_eq!(scene.down().0, broken(StreamError::WebSocket(rule)));
        assert_eq!(close_code(&scene.told(port)), 1002);
        scene.over(CHUNK);
    }
}

#[test]
fn garbage_in_place_of_a_tls_record_is_a_forgery_and_is_told_by_an_alert() {
    for kind in ["tls", "wss"] {
        let mut scene = Scene::new(kind);
        let port = scene.dial_linked();
        let mut record = scene.seal(port, &framed(kind, b"hello"));
        *record.last_mut().unwrap() ^= 1;
        scene.send_wire(port, &record);
        assert_eq!(scene.down().0, broken(StreamError::Tls(TlsError::Decrypt)));
        assert_eq!(scene.alert(port), Some(TlsError::PeerAlert("BadRecordMac".to_owned())));
        assert!(scene.received().is_empty());
        scene.over(0);
    }
}

#[test]
fn a_tls_hello_cut_off_is_an_end_in_the_handshake() {
    for kind in ["tls", "wss"] {
        let mut scene = Scene::new(kind);
        let (port, hello) = (scene.dial(&Wrap::Bare), hello(&scene));
        scene.send(port, &hello[..hello.len() / 2]);
        scene.cut_off(port);
        assert_eq!(scene.refusal().0, broken(StreamError::Ended(During::TlsHandshake)));
        scene.over(0);
    }
}

#[test]
fn an_http_request_cut_off_is_an_end_in_the_upgrade() {
    for kind in ["ws", "wss"] {
        let mut scene = Scene::new(kind);
        let port = scene.dial_open();
        scene.send(port, b"GET / HTTP/1.1\r\nHost: server.test");
        scene.cut_off(port);
        assert_eq!(scene.refusal().0, broken(StreamError::Ended(During::Upgrade)));
        scene.over(0);
    }
}

#[test]
fn a_message_cut_off_is_an_end_in_its_middle_and_is_not_delivered() {
    for kind in KINDS {
        let mut scene = Scene::new(kind);
        let port = scene.dial_linked();
        let message = framed(kind, &[7; 1000]);
        scene.send(port, &message);
        scene.send(port, &message[..500]);
        scene.cut_off(port);
        assert_eq!(scene.down().0, broken(StreamError::Ended(During::Message)), "{kind}");
        assert_eq!(scene.received(), [[7; 1000]]);
        scene.over(0);
    }
}

#[test]
fn a_stream_cut_off_between_messages_is_no_proper_close_where_there_is_one() {
    for kind in ["tls", "ws", "wss"] {
        let mut scene = Scene::new(kind);
        let port = scene.dial_linked();
        scene.send(port, &framed(kind, b"last"));
        scene.cut_off(port);
        assert_eq!(scene.down().0, broken(StreamError::Ended(During::Open)), "{kind}");
        assert_eq!(scene.received(), [b"last"]);
        scene.over(0);
    }
}

#[test]
fn a_tls_record_announced_too_large_is_refused_at_its_head() {
    for kind in ["tls", "wss"] {
        let mut scene = Scene::new(kind);
        let port = scene.dial(&Wrap::Bare);
        scene.send(port, b"\x16\x03\x01\xff\xff");
        let (reason, _) = scene.refusal();
        assert!(matches!(reason, DownReason::Stream(StreamError::Tls(TlsError::Protocol(_)))), "{reason:?}");
        alert(&scene.told(port));
        scene.over(0);
    }
}

#[test]
fn a_tls_hello_announced_with_16_mib_is_refused_at_its_head() {
    for kind in ["tls", "wss"] {
        let mut scene = Scene::new(kind);
        let port = scene.dial(&Wrap::Bare);
        let record = [b"\x16\x03\x01\x40\x00".as_slice(), &[1; 16 * 1024]].concat();
        let mut flood = record.repeat(1024);
        flood[5..9].copy_from_slice(b"\x01\xff\xff\xff");
        scene.send(port, &flood);
        let (reason, _) = scene.refusal();
        assert!(matches!(reason, DownReason::Stream(StreamError::Tls(TlsError::Protocol(_)))), "{reason:?}");
        scene.told(port);
        scene.over(CHUNK);
    }
}

#[test]
fn a_tls_hello_in_records_of_one_byte_is_refused_at_what_a_handshake_may_hold() {
    for kind in ["tls", "wss"] {
        let mut scene = Scene::new(kind);
        let port = scene.dial(&Wrap::Bare);
        let mut flood = b"\x16\x03\x01\x00\x04\x01\x00\xff\xf0".to_vec();
        flood.extend(b"\x16\x03\x01\x00\x01x".repeat(65_520));
        scene.send(port, &flood);
        let (reason, _) = scene.refusal();
        let rule = TlsError::Protocol("a handshake message came in too many pieces".to_owned());
        assert_eq!(reason, broken(StreamError::Tls(rule)));
        scene.told(port);
        scene.over((1 + 2) * HANDSHAKE);
    }
}

#[test]
fn an_http_head_without_end_is_refused_at_the_limit() {
    for kind in ["ws", "wss"] {
        let mut scene = Scene::new(kind);
        let port = scene.dial_open();
        // The last piece but one comes when the memory for the first 16,000 bytes is full.
        for piece in [1000; 16].into_iter().chain([300, 500]) {
            scene.send(port, &vec![b'G'; piece]);
            scene.pass(SECOND / 10);
        }
        assert_eq!(scene.refusal().0, broken(StreamError::Http(HttpError::HeadTooLarge { limit: HEAD })));
        assert_eq!(status(&scene.told(port)), 431);
        // While a vector moves to a larger one there are both.
        scene.over(2 * HEAD);
    }
}

#[test]
fn a_frame_one_byte_too_large_is_refused_on_its_header() {
    for kind in ["tcp", "tls"] {
        let mut scene = Scene::new(kind);
        let limit = scene.options.limits.message;
        let port = scene.dial_linked();
        scene.send(port, &(limit as u32 + 1).to_be_bytes());
        let rule = framed::Misbehaved::TooBig { announced: limit + 1, limit };
        assert_eq!(scene.down().0, broken(StreamError::Framed(rule)));
        scene.over(0);
    }
}

#[test]
fn a_websocket_message_that_grows_beyond_the_limit_is_told_by_1009() {
    for kind in ["ws", "wss"] {
        let limit = 100_000;
        let limits = Limits { message: limit, ..Limits::default() };
        let mut scene = Scene::with(kind, Options { limits, ..options() });
        let port = scene.dial_linked();
        scene.send(port, &masked(false, Opcode::Binary, &vec![0; 60_000]));
        scene.send(port, &masked(true, Opcode::Continuation, &vec![0; 60_000]));
        assert_eq!(scene.down().0, broken(StreamError::WebSocket(Misbehaved::TooBig { limit })));
        assert_eq!(close_code(&scene.told(port)), 1009);
        assert!(scene.received().is_empty());
        scene.over(2 * limit);
    }
}

#[test]
fn one_byte_a_second_in_a_handshake_ends_at_the_time_for_handshakes() {
    for (kind, inside) in [("tls", false), ("ws", false), ("wss", false), ("wss", true)] {
        let mut scene = Scene::new(kind);
        let dialled = scene.world.now();
        let port = if inside { scene.dial_open() } else { scene.dial(&Wrap::Bare) };
        let bytes = if scene.is_tls() && !inside { hello(&scene) } else { REQUEST.as_bytes().to_vec() };
        for byte in bytes.chunks(1).take(15) {
            scene.send(port, byte);
            scene.pass(SECOND);
        }
        let (reason, at) = scene.refusal();
        assert_eq!(reason, DownReason::HandshakeTimeout, "{kind}");
        // The dial needs a round trip of 20 ms, its acceptance one of 10 ms more.
        assert_eq!(at, dialled + scene.options.limits.handshake_time + Duration::from_millis(30), "{kind}");
        scene.over(0);
    }
}

#[test]
fn one_byte_a_second_on_a_link_is_a_message_that_comes_late() {
    for kind in KINDS {
        let mut scene = Scene::new(kind);
        let port = scene.dial_linked();
        let wire = scene.seal(port, &framed(kind, &[9; 60]));
        for byte in wire.chunks(1) {
            scene.send_wire(port, byte);
            scene.pass(SECOND);
        }
        assert_eq!(scene.received(), [[9; 60]], "{kind}");
        assert!(scene.server.downs().is_empty(), "{kind}: {:?}", scene.server.downs());
        scene.cut_off(port);
        scene.down();
        scene.over(0);
    }
}
