//! `switchboard forward`.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use crate::child::{Program, new_key};

#[test]
fn connections_pass_to_what_is_allowed_and_each_direction_ends_by_itself() {
    let forwarding = Forwarding::new("echo");
    let content: Vec<u8> = (0..2_000_000u32).map(|n| (n % 251) as u8).collect();
    let talks: Vec<_> = (0..4)
        .map(|_| {
            let (address, content) = (forwarding.address.clone(), content.clone());
            thread::spawn(move || assert!(talk(&address, &content) == content))
        })
        .collect();
    talks.into_iter().for_each(|talk| talk.join().unwrap());
}

#[test]
fn what_is_not_allowed_is_not_connected_to() {
    let mut forwarding = Forwarding::new("other");
    let mut stream = TcpStream::connect(&forwarding.address).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap_or(0), 0, "it is closed");
    let told = forwarding.listening.line_after("a connection was closed: ");
    assert!(told.contains("serves nothing of that name"), "{told}");
}

#[test]
fn a_connection_that_nobody_reads_holds_up_no_other() {
    let forwarding = Forwarding::new("echo");
    let mut stuck = TcpStream::connect(&forwarding.address).unwrap();
    let mut writer = stuck.try_clone().unwrap();
    let writing = thread::spawn(move || writer.write_all(&vec![7; 30_000_000]).is_ok());
    stuck.read_exact(&mut [0; 1]).unwrap();
    assert_eq!(talk(&forwarding.address, b"meanwhile"), b"meanwhile");
    stuck.shutdown(Shutdown::Both).unwrap();
    assert!(!writing.join().unwrap());
}

struct Forwarding {
    _relay: Program,
    _serving: Program,
    listening: Program,
    address: String,
}

impl Forwarding {
    /// A server that sends back what it gets, forwarded; `service` is asked for.
    fn new(service: &str) -> Self {
        let (relay, string) = Program::relay(&["--listen", "tcp:127.0.0.1:0"]);
        let allow = format!("echo={}", echo());
        let mut serving = Program::start(&["forward", "--allow", &allow, "--key", &new_key(), "--relay", &string]);
        let id = serving.line_after("waiting as ");
        let args = ["forward", service, "127.0.0.1:0", "--to", &id, "--key", &new_key(), "--relay", &string];
        let mut listening = Program::start(&args);
        let address = listening.line_after("listening on ");
        Self { _relay: relay, _serving: serving, listening, address }
    }
}

fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            thread::spawn(move || {
                let stream = stream.unwrap();
                _ = std::io::copy(&mut &stream, &mut &stream);
                _ = stream.shutdown(Shutdown::Write);
            });
        }
    });
    address
}

fn talk(address: &str, content: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    let mut writer = stream.try_clone().unwrap();
    let content = content.to_vec();
    let writing = thread::spawn(move || {
        writer.write_all(&content).unwrap();
        writer.shutdown(Shutdown::Write).unwrap();
    });
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    writing.join().unwrap();
    answer
}
