//! `switchboard relay`.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::Value;

use crate::child::{Program, new_file, new_key, run};

#[test]
fn a_relay_shows_its_figures_over_http() {
    let args = ["--listen", "tcp:127.0.0.1:0", "--status", "127.0.0.1:0"];
    let mut relay = Program::start(&[&["relay", "--key", &new_key()], &args[..]].concat());
    let status = relay.line_after("status on http://");
    let string = relay.line_after("listening on ");
    let mut waiting = Program::start(&["receive", "--key", &new_key(), "--relay", &string]);
    waiting.line_after("waiting as ");
    let figures: Value = serde_json::from_str(&get(&status, "/status")).unwrap();
    assert_eq!(figures["links"], 1, "{figures}");
    let metrics = get(&status, "/metrics");
    assert!(metrics.contains("# TYPE switchboard_links gauge\nswitchboard_links 1\n"), "{metrics}");
}

#[cfg(unix)]
#[test]
fn a_relay_that_is_stopped_says_goodbye_and_exits_with_0() {
    for signal in ["INT", "TERM"] {
        let (relay, string) = Program::relay(&["--listen", "ws://127.0.0.1:0"]);
        let mut waiting = Program::start(&["receive", "--key", &new_key(), "--relay", &string]);
        waiting.line_after("waiting as ");
        relay.signal(signal);
        assert_eq!(relay.ended().code, Some(0), "{signal}");
        let told = waiting.line();
        assert!(told.contains("is down: the neighbour left"), "{told}");
    }
}

#[test]
fn an_endpoint_reaches_a_relay_over_each_kind_of_link() {
    for kind in ["tcp:127.0.0.1:0", "tls:localhost:0", "ws://localhost:0/a", "wss://127.0.0.1:0"] {
        let file = new_file(&format!("relay-{}.pem", &kind[..3]));
        let ca = file.to_str().unwrap();
        let by_tls = kind.starts_with("tls") || kind.starts_with("wss");
        let made: &[&str] = if by_tls { &["--self-signed", ca] } else { &[] };
        let trusted: &[&str] = if by_tls { &["--ca", ca] } else { &[] };
        let (_relay, string) = Program::relay(&[&["--listen", kind], made].concat());
        let mut waiting = Program::start(&[&["receive", "--key", &new_key(), "--relay", &string], trusted].concat());
        waiting.line_after("waiting as ");
    }
}

#[test]
fn a_relay_with_a_token_serves_those_who_know_it() {
    let (_relay, string) = Program::relay(&["--listen", "tcp:127.0.0.1:0", "--token", "word"]);
    let mut knows = Program::start(&["receive", "--key", &new_key(), "--relay", &string, "--token", "word"]);
    knows.line_after("waiting as ");
    let mut guesses = Program::start(&["receive", "--key", &new_key(), "--relay", &string, "--token", "wort"]);
    let told = guesses.line_after("the link to ");
    assert!(told.contains("it does not admit us"), "{told}");
}

#[test]
fn a_relay_with_a_list_serves_those_on_it() {
    let key = new_key();
    let id = String::from_utf8(run(&["id", "--key", &key], b"").stdout).unwrap();
    let (_relay, string) = Program::relay(&["--listen", "tcp:127.0.0.1:0", "--allow", id.trim()]);
    let mut listed = Program::start(&["receive", "--key", &key, "--relay", &string]);
    listed.line_after("waiting as ");
    let mut other = Program::start(&["receive", "--key", &new_key(), "--relay", &string]);
    let told = other.line_after("the link to ");
    assert!(told.contains("it does not admit us"), "{told}");
}

#[test]
fn a_relay_that_can_not_listen_exits_with_3() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = run(&["relay", "--key", &new_key(), "--listen", &format!("tcp:{address}")], b"");
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
    assert!(ended.stderr.contains("another port"), "{}", ended.stderr);
    let listen = ["--listen", "tcp:127.0.0.1:0", "--status", &address];
    let ended = run(&[&["relay", "--key", &new_key()], &listen[..]].concat(), b"");
    assert_eq!(ended.code, Some(3), "{}", ended.stderr);
}

pub(crate) fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    body.to_owned()
}
