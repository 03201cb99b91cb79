//! `switchboard chat`, and meetings in rooms.

use std::fs;

use serde_json::Value;

use crate::child::{Program, new_directory, new_key, run};

#[test]
fn people_in_a_room_hear_each_other_and_see_who_comes_and_goes() {
    let (_relay, string) = Program::relay(&["--listen", "tcp:127.0.0.1:0"]);
    let mut ann = enter(&string, "ann", &[]);
    assert_eq!(ann.line_after("in room lobby; "), "nobody else is here");
    let mut bob = enter(&string, "bob", &[]);
    assert!(bob.line_after("in room lobby; ").starts_with("here: ann ("));
    ann.line_after("bob has come");
    ann.write(b"hello all\n");
    assert_eq!(bob.read(15), b"ann: hello all\n");
    bob.write("grüße\n".as_bytes());
    assert_eq!(ann.read(13), "bob: grüße\n".as_bytes());
    bob.write(b"/quit\n");
    assert_eq!(bob.ended().code, Some(0));
    ann.line_after("bob has gone");
    ann.end_input();
    assert_eq!(ann.ended().code, Some(0));
}

#[test]
fn what_is_told_to_one_is_not_heard_by_others() {
    let (_relay, string) = Program::relay(&["--listen", "ws://127.0.0.1:0"]);
    let mut ann = enter(&string, "ann", &["--json"]);
    ann.line_after("{\"event\":\"joined\"");
    let mut bob = enter(&string, "bob", &[]);
    bob.line_after("in room lobby; ");
    let mut eve = enter(&string, "eve", &[]);
    eve.line_after("in room lobby; ");
    bob.line_after("eve has come");
    bob.write(b"/msg ann only you\n/msg nobody x\n");
    bob.line_after("nobody is not the name of one here");
    let heard: Value = serde_json::from_str(&ann.output_line()).unwrap();
    assert_eq!((&heard["from"], &heard["text"], &heard["private"]), (&"bob".into(), &"only you".into(), &true.into()));
    bob.write(b"all of you\n");
    assert_eq!(eve.read(16), b"bob: all of you\n", "the first that eve hears");
    ann.write(b"/msg bob back\n");
    assert_eq!(bob.read(19), b"ann (to you): back\n");
}

#[test]
fn who_does_not_know_the_secret_does_not_get_in() {
    let (_relay, string) = Program::relay(&["--listen", "tcp:127.0.0.1:0"]);
    let mut ann = enter(&string, "ann", &["--secret", "right"]);
    ann.line_after("in room lobby; ");
    let mut bob = enter(&string, "bob", &["--secret", "right"]);
    assert!(bob.line_after("in room lobby; ").starts_with("here: ann"));
    let mut eve = enter(&string, "eve", &["--secret", "wrong"]);
    eve.write(b"let me in\n");
    let told = eve.line();
    assert!(!told.contains("ann"), "{told}");
}

#[test]
fn two_pipes_meet_in_a_room() {
    let (_relay, string) = Program::relay(&["--listen", "tcp:127.0.0.1:0"]);
    let room = ["pipe", "--room", "here", "--secret", "s", "--relay", &string, "--key"];
    let key = new_key();
    let mut first = Program::start(&[&room[..], &[&key]].concat());
    first.line_after("waiting in room here");
    first.end_input();
    let second = run(&[&room[..], &[&new_key()]].concat(), b"from the second");
    assert_eq!(first.read(15), b"from the second");
    assert_eq!(first.ended().code, Some(0));
    assert_eq!(second.code, Some(0), "{}", second.stderr);
}

#[test]
fn a_file_is_sent_to_who_receives_in_a_room_whoever_comes_first() {
    let (_relay, string) = Program::relay(&["--listen", "tcp:127.0.0.1:0"]);
    let to = new_directory("room-to");
    let directory = to.to_str().unwrap();
    for receiver_first in [true, false] {
        let room = format!("files-{receiver_first}");
        let both = ["--room", &room, "--relay", &string];
        let (sending, receiving) = (new_key(), new_key());
        let sending = [&["send", "Cargo.toml", "--key", &sending], &both[..]].concat();
        let receiving =
            [&["receive", "--directory", directory, "--overwrite", "--key", &receiving], &both[..]].concat();
        let (first, second) = if receiver_first { (receiving, sending) } else { (sending, receiving) };
        let mut first = Program::start(&first);
        first.line_after("waiting in room ");
        let second = run(&second, b"");
        assert_eq!((first.ended().code, second.code), (Some(0), Some(0)), "{}", second.stderr);
        assert_eq!(fs::read(to.join("Cargo.toml")).unwrap(), fs::read("Cargo.toml").unwrap());
        fs::remove_file(to.join("Cargo.toml")).unwrap();
    }
}

fn enter(relay: &str, name: &str, more: &[&str]) -> Program {
    let key = new_key();
    Program::start(&[&["chat", "lobby", "--name", name, "--relay", relay, "--key", &key], more].concat())
}
