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
fn either_engine_reaches_the_other() {
    let (_relay, string) = Program::relay(&["--listen", "tcp:127.0.0.1:0"]);
    for (waits, dials) in [("str0m", "data"), ("data", "str0m"), ("str0m", "str0m")] {
        let [mut waiting, mut dialled] = pipes(&string, &["--engine", waits], &["--engine", dials]);
        for pipe in [&mut waiting, &mut dialled] {
            pipe.line_after("path: direct");
        }
        dialled.write(b"question");
        assert_eq!(waiting.read(8), b"question", "{waits} and {dials}");
    }
}

#[test]
fn with_relay_only_at_either_side_nothing_is_direct_and_people_are_told_why() {
    let (_relay, string) = Program::relay(&["--listen", "tcp:127.0.0.1:0"]);
    let only = ["--path", "relay-only"];
    let [mut waiting, mut dialled] = pipes(&string, &only, &[]);
    says_relayed(&mut waiting, "this side wants this session to be relayed");
    says_relayed(&mut dialled, "the other side wants this session to be relayed");
    // Who dials begins; the other side only sees that it does not.
    let [mut waiting, mut dialled] = pipes(&string, &[], &only);
    says_relayed(&mut waiting, "the other side is to begin");
    says_relayed(&mut dialled, "this side wants this session to be relayed");
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
        (["--engine", "usrsctp"], "data"),
    ] {
        let ended = run(&[&["pipe", "--key", &new_key(), "--relay", "tcp:127.0.0.1:1"], &args[..]].concat(), b"");
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

/// It says so with its first word of the path, or once the first try has ended.
fn says_relayed(pipe: &mut Program, reason: &str) {
    let first = pipe.line_after("path: relayed");
    if !first.contains(reason) {
        let second = pipe.line_after("path: relayed");
        assert!(second.contains(reason), "{first}\n{second}");
    }
}
