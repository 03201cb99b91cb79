//! Binding messages, and the server that answers them.

use std::net::SocketAddr;

use switchboard::link::stun::message::encode_error;
use switchboard::link::stun::{Body, Endpoints, Message, Server, TransactionId};

use crate::memory;

/// What an answer may have beyond its request, in bytes: three addresses, a name and a fingerprint.
const BEYOND: usize = 160;
/// What a message may make its reader hold beyond its own length, in bytes.
const HELD: usize = 4096;

/// Any bytes as a datagram: what was read says the same once it is written again, and no part of it is a message.
pub fn stun_message(data: &[u8]) {
    let (message, held) = memory::peak(|| Message::parse(data));
    assert!(held <= 2 * data.len() + HELD, "{held} bytes for {}", data.len());
    let Ok(message) = message else { return };
    assert!((0..data.len()).all(|cut| Message::parse(&data[..cut]).is_err()), "a part of it is a message");
    assert!(!message.is_signed_by("nobody signed by this"));
    let again = match &message.body {
        Body::Request { request, unknown } => {
            assert!(unknown.len() <= 16);
            request.encode(message.id)
        }
        Body::Success(success) => success.encode(message.id),
        Body::Error { code } => encode_error(message.id, *code, &[], None),
        Body::Indication => return,
    };
    let again = Message::parse(&again).expect("what was written is read");
    assert_eq!((again.id, without_unknown(again.body)), (message.id, without_unknown(message.body)));
}

fn without_unknown(body: Body) -> Body {
    match body {
        Body::Request { request, .. } => Body::Request { request, unknown: Vec::new() },
        other => other,
    }
}

/// The first byte says who is asked and who asks, the others are the datagram: whoever asks is answered alone, from an
/// endpoint, with a message that is little longer.
pub fn stun_server(data: &[u8]) {
    let Some((choice, data)) = data.split_first() else { return };
    let address = |text: &str| -> SocketAddr { text.parse().expect("it is one") };
    let other = (choice & 4 == 0).then(|| address("192.0.2.2:3479"));
    let endpoints = Endpoints { primary: address("192.0.2.1:3478"), other };
    let all = endpoints.all();
    let at = all[usize::from(choice & 3) % all.len()];
    let source = address(if choice & 8 == 0 { "203.0.113.5:4000" } else { "[2001:db8::5]:0" });
    let mut server = Server::new(endpoints, Some("switchboard".to_owned()));
    let answer = server.answer(at, source, data);
    let counters = server.counters();
    assert_eq!(counters.answered + counters.refused + counters.malformed + counters.unanswerable, 1);
    let Ok(reply) = answer else { return };
    assert!(all.contains(&reply.from) && reply.to.ip() == source.ip() && reply.to.port() > 0);
    assert!(reply.bytes.len() <= data.len() + BEYOND, "{} bytes for {}", reply.bytes.len(), data.len());
    let message = Message::parse(&reply.bytes).expect("what was written is read");
    assert_eq!(message.id, id_of(data));
    match message.body {
        Body::Success(success) => {
            assert_eq!((success.mapped, success.origin), (Some(source), Some(reply.from)));
            assert_eq!(success.other.is_some(), other.is_some());
        }
        Body::Error { code } => assert!(code == 400 || code == 420),
        body => panic!("{body:?} is no answer"),
    }
}

fn id_of(data: &[u8]) -> TransactionId {
    TransactionId(data[8..20].try_into().expect("a request has an id"))
}
