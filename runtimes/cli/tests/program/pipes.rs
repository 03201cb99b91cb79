//! `switchboard pipe` and `switchboard ping`.

use serde_json::Value;

use crate::child::{Program, new_key, run};

#[test]
fn two_pipes_pass_any_bytes_both_ways_and_end_together() {
    let there: Vec<u8> = (0..3_000_000u32).map(|n| (n % 251) as u8).collect();
    let back: Vec<u8> = (0..1_000_000u32).map(|n| (n % 241) as u8).collect();
    let (_relay, string) = Program::relay(&["--listen", "tcp:127.0.0.1:0"]);
    let (mut waiting, id) = waiting(&string);
    let writer = std::thread::spawn({
        let back = back.clone();
        move || {
            waiting.write(&back);
            waiting.end_input();
            waiting.ended()
        }
    });
    let dialled = run(&["pipe", &id, "--key", &new_key(), "--relay", &string], &there);
    let waited = writer.join().unwrap();
    assert_eq!((dialled.code, waited.code), (Some(0), Some(0)), "{}\n{}", dialled.stderr, waited.stderr);
    assert!(dialled.stdout == back, "{} bytes", dialled.stdout.len());
    assert!(waited.stdout == there, "{} bytes", waited.stdout.len());
}

#[test]
fn each_direction_of_a_pipe_ends_by_itself() {
    let (_relay, string) = Program::relay(&["--listen", "ws://127.0.0.1:0"]);
    let (mut waiting, id) = waiting(&string);
    let mut dialled = Program::start(&["pipe", &id, "--key", &new_key(), "--relay", &string]);
    dialled.write(b"question");
    dialled.end_input();
    assert_eq!(waiting.read(8), b"question");
    waiting.write(b"answer");
    waiting.end_input();
    let ended = dialled.ended();
    assert_eq!((ended.code, ended.stdout.as_slice()), (Some(0), &b"answer"[..]), "{}", ended.stderr);
    assert_eq!(waiting.ended().code, Some(0));
}

#[test]
fn an_endpoint_that_is_not_there_exits_with_3() {
    let (_relay, string) = Program::relay(&["--listen", "tcp:127.0.0.1:0"]);
    let ended = run(&["pipe", &"a".repeat(52), "--key", &new_key(), "--relay", &string], b"");
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("does it run"), "{}", ended.stderr);
}

#[test]
fn an_endpoint_that_waits_for_somebody_else_refuses_with_4() {
    let (_relay, string) = Program::relay(&["--listen", "tcp:127.0.0.1:0"]);
    let other = "a".repeat(52);
    let mut waiting = Program::start(&["pipe", "--key", &new_key(), "--relay", &string, "--from", &other]);
    let id = waiting.line_after("waiting as ");
    let ended = run(&["pipe", &id, "--key", &new_key(), "--relay", &string], b"");
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert!(ended.stderr.contains("it waits for somebody else"), "{}", ended.stderr);
    let sent = run(&["send", "Cargo.toml", "--to", &id, "--key", &new_key(), "--relay", &string], b"");
    assert_eq!(sent.code, Some(4), "{}", sent.stderr);
}

#[test]
fn the_id_of_oneself_is_not_dialled() {
    let key = new_key();
    let id = String::from_utf8(run(&["id", "--key", &key], b"").stdout).unwrap();
    let ended = run(&["pipe", id.trim(), "--key", &key, "--relay", "tcp:127.0.0.1:1"], b"");
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("--key"), "{}", ended.stderr);
}

#[cfg(unix)]
#[test]
fn an_interrupted_pipe_ends_the_other_with_4() {
    let (_relay, string) = Program::relay(&["--listen", "tcp:127.0.0.1:0"]);
    let (waiting, id) = waiting(&string);
    let mut dialled = Program::start(&["pipe", &id, "--key", &new_key(), "--relay", &string]);
    dialled.line_after("connected to ");
    waiting.signal("INT");
    assert_eq!(waiting.ended().code, Some(0));
    let ended = dialled.ended();
    assert_eq!(ended.code, Some(4), "{}", ended.stderr);
    assert!(ended.stderr.contains("was interrupted"), "{}", ended.stderr);
}

#[test]
fn a_ping_is_answered_by_who_waits_for_something_else() {
    let (_relay, string) = Program::relay(&["--listen", "tcp:127.0.0.1:0"]);
    let (_waiting, id) = waiting(&string);
    let options = ["--count", "3", "--interval", "0.01", "--json", "--key", &new_key(), "--relay", &string];
    let ended = run(&[&["ping", &id], &options[..]].concat(), b"");
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let answers: Vec<Value> =
        String::from_utf8(ended.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 3);
    for answer in answers {
        let path = answer["path"].as_str().unwrap();
        assert!(path.starts_with("relayed") || path.starts_with("direct"), "{answer}");
        assert!(answer["ms"].as_f64().unwrap() > 0.0, "{answer}");
    }
}

fn waiting(relay: &str) -> (Program, String) {
    let mut waiting = Program::start(&["pipe", "--key", &new_key(), "--relay", relay]);
    let id = waiting.line_after("waiting as ");
    (waiting, id)
}
