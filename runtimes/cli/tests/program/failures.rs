//! What goes wrong: exit codes, and advice.

use std::net::TcpListener;

use serde_json::Value;

use crate::child::{Program, run};

#[test]
fn a_wrong_string_exits_with_2_and_names_the_part() {
    for (string, part) in [
        ("tcp:127.0.0.1:x", "the port"),
        ("tcp::7", "the host"),
        ("ws://h/#x", "the path"),
        ("nonsense:x", "unknown type \"nonsense\""),
    ] {
        for command in ["dial", "listen"] {
            let ended = run(&[command, string], b"");
            assert_eq!(ended.code, Some(2), "{}", ended.stderr);
            assert!(ended.stderr.contains(part) && ended.stderr.contains("dial --help"), "{}", ended.stderr);
        }
    }
}

#[test]
fn a_wrong_option_exits_with_2() {
    for wrong in
        [&["--reconnect", "soon"][..], &["--cert", "x"], &["--header", "x"], &["--count", "0"], &["--nonsense"]]
    {
        assert_eq!(run(&[&["dial", "tcp:127.0.0.1:1"], wrong].concat(), b"").code, Some(2), "{wrong:?}");
    }
}

#[test]
fn a_secret_is_not_shown_in_an_error() {
    let ended = run(&["dial", "ws://127.0.0.1:1/?token=abc", "--proxy", "http://me:abc@/"], b"");
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(!ended.stderr.contains("abc"), "{}", ended.stderr);
}

#[test]
fn a_refused_dial_exits_with_3_and_says_how_to_start_a_listener() {
    let unused = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for runtime in ["tokio", "mio"] {
        let ended = run(&["dial", &format!("tcp:{unused}"), "--runtime", runtime], b"lost\n");
        assert_eq!(ended.code, Some(3), "{}", ended.stderr);
        assert!(ended.stderr.contains(&format!("switchboard listen tcp:{unused}")), "{}", ended.stderr);
    }
}

#[test]
fn a_port_that_is_taken_exits_with_3_and_advises_another() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    for runtime in ["tokio", "mio"] {
        let string = format!("tcp:{}", taken.local_addr().unwrap());
        let ended = run(&["listen", &string, "--runtime", runtime], b"");
        assert_eq!(ended.code, Some(3), "{}", ended.stderr);
        assert!(ended.stderr.contains("another port"), "{}", ended.stderr);
    }
}

#[test]
fn a_peer_that_does_not_speak_the_protocol_exits_with_3() {
    let (_listener, string) = Program::listen(&["tcp:127.0.0.1:0", "--max-message", "100"]);
    let ended = run(&["dial", &string.replace("tcp:", "ws://")], b"");
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("does the other side speak WebSocket"), "{}", ended.stderr);
}

#[test]
fn a_link_that_is_lost_exits_with_4() {
    let (mut listener, string) = Program::listen(&["ws://127.0.0.1:0"]);
    let dialled = Program::start(&["dial", &string, "--json"]);
    assert!(listener.line().contains(" up: "));
    listener.kill();
    let ended = dialled.ended();
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    let last: Value = serde_json::from_str(ended.stderr.lines().last().unwrap()).unwrap();
    assert_eq!((&last["event"], &last["code"]), (&"error".into(), &4.into()));
}

#[test]
fn a_message_above_the_peers_limit_exits_with_4() {
    let (_listener, string) = Program::listen(&["ws://127.0.0.1:0", "--max-message", "10"]);
    let ended = run(&["dial", &string], b"more than ten bytes\n");
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert!(ended.stderr.contains("1009"), "{}", ended.stderr);
}

#[test]
fn a_close_before_all_that_count_asks_for_exits_with_4() {
    let (_listener, string) = Program::listen(&["tcp:127.0.0.1:0", "--count", "1"]);
    let ended = run(&["dial", &string, "--count", "2"], b"the only one\n");
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert!(ended.stderr.contains("2 of the messages that --count asks for"), "{}", ended.stderr);
}

#[test]
fn input_that_ends_within_a_message_exits_with_1() {
    let (_listener, string) = Program::listen(&["tcp:127.0.0.1:0"]);
    let ended = run(&["dial", &string, "--binary"], b"\0\0\0\x05abc");
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.stderr.contains("in the middle of a message"), "{}", ended.stderr);
}
