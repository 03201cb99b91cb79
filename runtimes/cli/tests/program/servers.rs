//! STUN and TURN servers of `switchboard relay`.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::Duration;

use serde_json::Value;
use switchboard::link::stun::{Body, Message, Request, TransactionId};

use crate::child::{Program, new_file, new_key, run};
use crate::relays::get;

const PATIENCE: Option<Duration> = Some(Duration::from_secs(10));

/// An address of this host on which nobody listens now.
fn free() -> String {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

fn binding() -> Vec<u8> {
    Request::default().encode(TransactionId([7; 12]))
}

fn mapped(answer: &[u8]) -> Option<SocketAddr> {
    let Body::Success(success) = Message::parse(answer).unwrap().body else { panic!("{answer:?}") };
    success.mapped
}

fn asked_over_udp(server: &str) -> (Option<SocketAddr>, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(PATIENCE).unwrap();
    socket.send_to(&binding(), server).unwrap();
    let mut answer = [0; 1500];
    let len = socket.recv(&mut answer).unwrap();
    (mapped(&answer[..len]), socket.local_addr().unwrap())
}

fn relay(args: &[&str]) -> Program {
    Program::start(&[&["relay", "--key", &new_key(), "--listen", "tcp:127.0.0.1:0"], args].concat())
}

#[test]
fn a_relay_answers_who_asks_for_its_own_address() {
    let at = free();
    let mut relay = relay(&["--stun", &at]);
    assert_eq!(relay.line_after("serving STUN on "), at);
    let (mapped, own) = asked_over_udp(&at);
    assert_eq!(mapped, Some(own));
}

#[test]
fn a_relay_that_serves_turn_answers_stun_too_over_udp_and_tcp() {
    let at = free();
    let mut relay = relay(&["--stun", &at, "--turn", &at, "--status", "127.0.0.1:0"]);
    let status = relay.line_after("status on http://");
    for _ in 0..2 {
        assert_eq!(relay.line_after("serving TURN on "), at);
    }
    let (seen, own) = asked_over_udp(&at);
    assert_eq!(seen, Some(own));
    let mut stream = TcpStream::connect(&at).unwrap();
    stream.set_read_timeout(PATIENCE).unwrap();
    stream.write_all(&binding()).unwrap();
    let mut answer = [0; 20 + 12 + 8];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(mapped(&answer), Some(stream.local_addr().unwrap()));
    let figures: Value = serde_json::from_str(&get(&status, "/status")).unwrap();
    assert_eq!((&figures["turn_allocations"], &figures["turn_connections"]), (&0.into(), &1.into()), "{figures}");
    assert!(get(&status, "/metrics").contains("# TYPE switchboard_turn_bytes_to_peers_total counter\n"));
}

#[test]
fn what_is_missing_or_taken_is_said_with_what_to_do() {
    for (args, advice) in [
        (&["--turn"][..], "--turn-public ADDRESS"),
        (&["--stun"], "--turn-public ADDRESS"),
        (&["--turns", "127.0.0.1:5349"], "--self-signed CERT.pem"),
        (&["--turn", "127.0.0.1:0"], "3478"),
    ] {
        let ended = run(&[&["relay", "--key", &new_key(), "--listen", "tcp:127.0.0.1:0"], args].concat(), b"");
        assert_eq!(ended.code, Some(2), "{args:?}: {}", ended.stderr);
        assert!(ended.stderr.contains(advice), "{args:?}: {}", ended.stderr);
    }
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let at = taken.local_addr().unwrap().to_string();
    let ended = run(&["relay", "--key", &new_key(), "--listen", "tcp:127.0.0.1:0", "--stun", &at], b"");
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("could not serve STUN"), "{}", ended.stderr);
}

#[test]
fn a_secret_that_is_too_short_is_refused_and_not_shown() {
    let file = new_file("short.secret");
    std::fs::write(&file, "hunter2").unwrap();
    let args = ["--turn", "127.0.0.1:3478", "--turn-secret", file.to_str().unwrap()];
    let ended = run(&[&["relay", "--key", &new_key(), "--listen", "tcp:127.0.0.1:0"], &args[..]].concat(), b"");
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("at least 16 bytes") && !ended.stderr.contains("hunter2"), "{}", ended.stderr);
}
