//! `switchboard send` and `switchboard receive`.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::child::{Ended, Program, new_directory, new_key, run};

#[test]
fn files_arrive_under_their_names_and_what_is_there_is_left_alone() {
    let (relay, from, to) =
        (Program::relay(&["--listen", "tcp:127.0.0.1:0"]), sources("files"), new_directory("files-to"));
    fs::write(to.join("empty.txt"), "was here").unwrap();
    let (receiving, id) = receive(&relay.1, &to, &[]);
    let sent = send(&relay.1, &id, &[&from.join("large.bin"), &from.join("empty.txt")]);
    let received = receiving.ended();
    assert_eq!((sent.code, received.code), (Some(0), Some(0)), "{}\n{}", sent.stderr, received.stderr);
    assert!(fs::read(to.join("large.bin")).unwrap() == fs::read(from.join("large.bin")).unwrap());
    assert_eq!(fs::read(to.join("empty.txt")).unwrap(), b"was here");
    assert_eq!(fs::read(to.join("empty (1).txt")).unwrap(), b"");
    assert_eq!(fs::read_dir(&to).unwrap().count(), 3, "no part is left");
}

#[test]
fn a_transfer_that_broke_goes_on_where_it_broke() {
    let (relay, from, to) =
        (Program::relay(&["--listen", "tcp:127.0.0.1:0"]), sources("broken"), new_directory("broken-to"));
    let file = from.join("large.bin");
    let content = fs::read(&file).unwrap();
    let hash = blake3::hash(&content).to_hex();
    fs::write(to.join(format!("large.bin.{}.part", &hash[..8])), &content[..1_000_000]).unwrap();
    let (receiving, id) = receive(&relay.1, &to, &[]);
    let sent = send(&relay.1, &id, &[&file]);
    assert_eq!((sent.code, receiving.ended().code), (Some(0), Some(0)), "{}", sent.stderr);
    let told = sent.stderr.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let told = told.filter(|event| event["event"] == "sent").collect::<Vec<_>>();
    assert_eq!(told[0]["resumed_at"], 1_000_000);
    assert!(fs::read(to.join("large.bin")).unwrap() == content);
}

#[test]
fn what_a_receiver_that_was_killed_has_got_is_not_sent_again() {
    let (relay, from, to) =
        (Program::relay(&["--listen", "tcp:127.0.0.1:0"]), sources("killed"), new_directory("killed-to"));
    let file = from.join("large.bin");
    let (mut receiving, id) = receive(&relay.1, &to, &[]);
    let mut sending = Program::start(&send_args(&relay.1, &id, &new_key(), &[&file]));
    sending.line_after("{\"event\":\"connected\"");
    receiving.kill();
    sending.kill();
    let (receiving, id) = receive(&relay.1, &to, &[]);
    let sent = send(&relay.1, &id, &[&file]);
    assert_eq!((sent.code, receiving.ended().code), (Some(0), Some(0)), "{}", sent.stderr);
    assert!(fs::read(to.join("large.bin")).unwrap() == fs::read(&file).unwrap());
    assert_eq!(fs::read_dir(&to).unwrap().count(), 1, "no part is left");
}

#[test]
fn a_file_that_is_too_large_is_refused_with_4() {
    let (relay, from, to) =
        (Program::relay(&["--listen", "tcp:127.0.0.1:0"]), sources("refused"), new_directory("refused-to"));
    let (receiving, id) = receive(&relay.1, &to, &["--max-size", "1000"]);
    let sent = send(&relay.1, &id, &[&from.join("large.bin")]);
    assert_eq!((sent.code, receiving.ended().code), (Some(4), Some(4)), "{}", sent.stderr);
    assert!(sent.stderr.contains("does not want it"), "{}", sent.stderr);
    assert_eq!(fs::read_dir(&to).unwrap().count(), 0);
}

#[test]
fn a_file_that_is_not_there_exits_with_2() {
    let ended = run(&["send", "no-such-file", "--to", &"a".repeat(52), "--relay", "tcp:127.0.0.1:1"], b"");
    assert_eq!(ended.code, Some(2), "{}", ended.stderr);
    assert!(ended.stderr.contains("no-such-file"), "{}", ended.stderr);
}

fn sources(name: &str) -> std::path::PathBuf {
    let directory = new_directory(&format!("{name}-from"));
    let large: Vec<u8> = (0..5_000_000u32).map(|n| (n % 251) as u8).collect();
    fs::write(directory.join("large.bin"), large).unwrap();
    fs::write(directory.join("empty.txt"), "").unwrap();
    directory
}

fn receive(relay: &str, to: &Path, more: &[&str]) -> (Program, String) {
    let key = new_key();
    let args = ["receive", "--directory", to.to_str().unwrap(), "--relay", relay, "--key", &key];
    let mut receiving = Program::start(&[&args, more].concat());
    let id = receiving.line_after("waiting as ");
    (receiving, id)
}

fn send_args<'a>(relay: &'a str, id: &'a str, key: &'a str, files: &[&'a Path]) -> Vec<&'a str> {
    let files = files.iter().map(|file| file.to_str().unwrap());
    ["send", "--json", "--relay", relay, "--to", id, "--key", key].into_iter().chain(files).collect()
}

fn send(relay: &str, id: &str, files: &[&Path]) -> Ended {
    run(&send_args(relay, id, &new_key(), files), b"")
}
