//! Direct paths between two programs on this host, and what people are told of paths.

use std::net::UdpSocket;

use serde_json::Value;

use crate::child::{Program, new_key, run};

#[test]
fn two_pipes_become_direct_and_say_so_on_both_sides() {
    let (_relay, string) = Program::relay(&["--listen", "tcp:127.0.0.1:0"]);
    let [mut waiting, mut dialled] = pipes(&string, &[], &[]);
    for pipe in [&mut waiting, &mut dialled] {
        let path = pipe.line_after("path: direct");
        assert!(path.contains(", host ") && path.contains(" to "), "{path}");
    }
    dialled.write(b"question");
    assert_eq!(waiting.read(8), b"question");
    dialled.end_input();
    waiting.end_input();
    assert_eq!((dialled.ended().code, waiting.ended().code), (Some(0), Some(0)));
}

#[test]
fn with_relay_only_at_either_side_nothing_is_direct_and_both_say_why() {
    let (_relay, string) = Program::relay(&["--listen", "tcp:127.0.0.1:0"]);
    let only = ["--path", "relay-only"];
    for (there, here) in [(&only[..], &[][..]), (&[], &only)] {
        let [mut waiting, mut dialled] = pipes(&string, there, here);
        for (pipe, is_own) in [(&mut waiting, !there.is_empty()), (&mut dialled, !here.is_empty())] {
            let side = if is_own { "this side" } else { "the other side" };
            let reason = format!("{side} wants this session to be relayed");
            let path = (0..2).map(|_| pipe.line_after("path: relayed")).find(|path| path.contains(&reason));
            assert!(path.is_some(), "{reason}");
        }
    }
}

#[test]
fn who_gives_out_relayed_addresses_only_goes_through_the_turn_server_of_the_relay() {
    let at = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let (_relay, string) = Program::relay(&["--listen", "tcp:127.0.0.1:0", "--turn", &at, "--turn-loopback"]);
    let relayed = ["--candidates", "relay"];
    let [mut waiting, mut dialled] = pipes(&string, &relayed, &relayed);
    for pipe in [&mut waiting, &mut dialled] {
        let path = pipe.line_after("path: direct");
        assert!(path.contains("relay 127.0.0.1:") && !path.contains("host"), "{path}");
    }
    dialled.write(b"question");
    assert_eq!(waiting.read(8), b"question");
}

#[test]
fn ping_explains_the_path() {
    let (_relay, string) = Program::relay(&["--listen", "tcp:127.0.0.1:0"]);
    let mut waiting = Program::start(&["pipe", "--key", &new_key(), "--relay", &string]);
    let id = waiting.line_after("waiting as ");
    let key = new_key();
    let ping = |more: &[&str]| {
        let args = ["ping", &id, "--json", "--count", "10", "--interval", "0.2", "--key", &key, "--relay", &string];
        let ended = run(&[&args, more].concat(), b"");
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let lines = String::from_utf8(ended.stdout).unwrap();
        serde_json::from_str::<Value>(lines.lines().last().unwrap()).unwrap()
    };
    let direct = ping(&[]);
    assert_eq!((&direct["direct"], &direct["not_direct"]), (&true.into(), &Value::Null), "{direct}");
    assert!(direct["pair"].as_str().unwrap().contains(" to "), "{direct}");
    let relayed = ping(&["--path", "relay-only"]);
    assert_eq!(relayed["direct"], false, "{relayed}");
    assert_eq!(relayed["not_direct"], "this side wants this session to be relayed", "{relayed}");
}

#[test]
fn servers_and_candidates_that_are_none_are_refused_with_what_to_write() {
    for (args, advice) in [
        (["--ice-servers", "turn:a.example"], "\"credential\""),
        (["--ice-servers", "a.example"], "stun:HOST:PORT"),
        (["--candidates", "host"], "neither all nor relay"),
    ] {
        let args = [&["pipe", "--key", &new_key(), "--relay", "tcp:127.0.0.1:1"], &args[..]].concat();
        let ended = run(&args, b"");
        assert_eq!(ended.code, Some(2), "{}", ended.stderr);
        assert!(ended.stderr.contains(advice), "{}", ended.stderr);
    }
}

/// One that waits and one that has dialled it, with further options each.
fn pipes(relay: &str, there: &[&str], here: &[&str]) -> [Program; 2] {
    let mut waiting = Program::start(&[&["pipe", "--key", &new_key(), "--relay", relay], there].concat());
    let id = waiting.line_after("waiting as ");
    let dialled = Program::start(&[&["pipe", &id, "--key", &new_key(), "--relay", relay], here].concat());
    [waiting, dialled]
}
