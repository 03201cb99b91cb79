//! `switchboard dial` and `switchboard listen` with each other.

use std::ops::ControlFlow;

use serde_json::Value;
use switchboard::connect::{Options, Registry};
use switchboard::machine::payload::Kind;
use switchboard::transport::alone::AloneEvent;
use switchboard::transport::{Alone, TransportEvent};
use switchboard_mio::Driver;

use crate::child::{Program, new_file, run};

#[test]
fn lines_come_back_from_an_echo_over_each_kind_of_link_and_both_runtimes() {
    let input: Vec<u8> = [b"one\n\n\xff\xfe\n".as_slice(), &vec![b'x'; 300_000], b"\nlast\n"].concat();
    for kind in ["tcp:127.0.0.1:0", "tls:localhost:0", "ws://localhost:0/a", "wss://127.0.0.1:0"] {
        for (listens, dials) in [("tokio", "mio"), ("mio", "tokio"), ("tokio", "tokio"), ("mio", "mio")] {
            let file = new_file(&format!("echo-{}-{listens}-{dials}.pem", &kind[..3]));
            let ca = file.to_str().unwrap();
            let by_tls = kind.starts_with("tls") || kind.starts_with("wss");
            let made: &[&str] = if by_tls { &["--self-signed", ca] } else { &[] };
            let trusted: &[&str] = if by_tls { &["--ca", ca] } else { &[] };
            let (_listener, string) = Program::listen(&[&[kind, "--echo", "--runtime", listens], made].concat());
            let ended = run(&[&["dial", &string, "--count", "5", "--runtime", dials], trusted].concat(), &input);
            assert_eq!(ended.code, Some(0), "{kind} {listens} {dials}: {}", ended.stderr);
            assert!(ended.stdout == input, "{kind} {listens} {dials}: {} bytes", ended.stdout.len());
            assert!(ended.stderr.starts_with(&format!("connected to {string} (127.0.0.1:")), "{}", ended.stderr);
        }
    }
}

#[test]
fn an_echo_keeps_text_text_and_binary_binary() {
    for kind in ["tcp:127.0.0.1:0", "ws://127.0.0.1:0/"] {
        let (_listener, string) = Program::listen(&[kind, "--echo"]);
        let sent = [(Kind::Text, b"a".to_vec()), (Kind::Binary, b"b".to_vec())];
        assert_eq!(answers(&string, &sent), sent, "{kind}");
    }
}

#[test]
fn messages_of_any_bytes_go_both_ways_behind_their_lengths() {
    let (up, down) = (b"\0\0\0\x03a\nb\0\0\0\0\0\0\0\x01\xff", b"\0\0\0\x02\r\n");
    let (mut listener, string) = Program::listen(&["tcp:127.0.0.1:0", "--binary"]);
    let mut dialled = Program::start(&["dial", &string, "--binary", "--count", "1"]);
    dialled.write(up);
    assert_eq!(listener.read(up.len()), up);
    // Only now: a dialler that has its one message does not wait for its own input.
    listener.write(down);
    let ended = dialled.ended();
    assert_eq!((ended.code, ended.stdout.as_slice()), (Some(0), &down[..]), "{}", ended.stderr);
}

#[test]
fn input_of_a_listener_goes_to_all_links() {
    let (mut listener, string) = Program::listen(&["ws://127.0.0.1:0"]);
    let mut dialled = [0, 1].map(|_| Program::start(&["dial", &string, "--count", "1"]));
    for _ in &dialled {
        assert!(listener.line().contains(" up: 127.0.0.1:"));
    }
    listener.write(b"to all\n");
    for program in &mut dialled {
        assert_eq!(program.read(7), b"to all\n");
    }
}

#[test]
fn all_input_is_sent_and_late_answers_are_received_before_a_dialled_link_is_closed() {
    let (_listener, string) = Program::listen(&["ws://127.0.0.1:0", "--echo"]);
    let input: Vec<u8> = (0..20_000).flat_map(|number| format!("message {number}\n").into_bytes()).collect();
    let ended = run(&["dial", &string], &input);
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(ended.stdout == input, "{} bytes of {}", ended.stdout.len(), input.len());
}

#[cfg(unix)]
#[test]
fn a_signal_closes_all_links_properly_and_exits_with_0() {
    for (name, runtime) in [("INT", "tokio"), ("TERM", "mio")] {
        let (mut listener, string) = Program::listen(&["ws://127.0.0.1:0", "--runtime", runtime]);
        let dialled = Program::start(&["dial", &string]);
        assert!(listener.line().contains(" up: "));
        listener.signal(name);
        assert_eq!(listener.ended().code, Some(0), "{name}");
        let ended = dialled.ended();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        assert!(ended.stderr.contains("closed by the peer"), "{}", ended.stderr);
    }
}

#[test]
fn a_reader_that_has_gone_ends_the_program_quietly() {
    let (mut listener, string) = Program::listen(&["tcp:127.0.0.1:0"]);
    let mut dialled = Program::start(&["dial", &string]);
    dialled.close_output();
    listener.write(b"nobody reads this\n");
    let ended = dialled.ended();
    assert_eq!(ended.code, Some(0));
    assert!(!ended.stderr.contains("error"), "{}", ended.stderr);
}

#[test]
fn a_dialler_that_reconnects_sends_its_input_to_the_next_listener() {
    let (mut first, string) = Program::listen(&["ws://127.0.0.1:0"]);
    let mut dialled = Program::start(&["dial", &string, "--reconnect", "0.05"]);
    assert!(first.line().contains(" up: "));
    first.kill();
    assert!(dialled.line().starts_with("connected to "));
    assert!(dialled.line().starts_with("disconnected: "));
    let (mut second, _) = Program::listen(&[&string]);
    assert!(second.line().contains(" up: "));
    dialled.write(b"again\n");
    assert_eq!(second.read(6), b"again\n");
}

#[test]
fn subprotocol_header_and_origin_pass_the_upgrade() {
    let offered = ["ws://127.0.0.1:0/chat", "--subprotocol", "b", "--origin", "https://good.example", "--json"];
    let mut listener = Program::start(&[&["listen"], &offered[..]].concat());
    let listening: Value = serde_json::from_str(&listener.line()).unwrap();
    let string = listening["string"].as_str().unwrap();
    let named = ["dial", string, "--subprotocol", "a", "--subprotocol", "b", "--header"];
    let refused = run(&[&named[..], &["Origin: https://bad.example"]].concat(), b"");
    assert_eq!(refused.code, Some(3), "{}", refused.stderr);
    let told: Value = serde_json::from_str(&listener.line()).unwrap();
    assert_eq!(told["event"], "refused");
    let accepted = run(&[&named[..], &["Origin: https://good.example"]].concat(), b"");
    assert_eq!(accepted.code, Some(0), "{}", accepted.stderr);
    let told: Value = serde_json::from_str(&listener.line()).unwrap();
    assert_eq!((&told["event"], &told["subprotocol"], &told["path"]), (&"up".into(), &"b".into(), &"/chat".into()));
}

/// Sends messages to an echo by the library itself, and answers what comes back.
fn answers(string: &str, sent: &[(Kind, Vec<u8>)]) -> Vec<(Kind, Vec<u8>)> {
    let options = Options::default();
    let transport = Registry::new().dial(string, &options).unwrap();
    let mut driver = Driver::new(Alone::new(transport, options.limits)).unwrap();
    driver.act(|links, cx| links.start(cx));
    let mut got = Vec::new();
    driver
        .run(|driver, event| {
            if let AloneEvent::Transport(TransportEvent::Up(link, _)) = event {
                sent.iter().for_each(|(kind, bytes)| {
                    driver.act(|links, cx| links.send(cx, link, *kind, bytes)).unwrap();
                });
            }
            while let Some(message) = driver.act(|links, cx| links.recv(cx)) {
                got.push((message.kind, message.bytes));
            }
            if got.len() < sent.len() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
        .unwrap();
    got
}
