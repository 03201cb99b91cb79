//! Links that carry messages: frames on a stream, and WebSocket in both roles.

use std::fmt::Debug;

use switchboard::link::framed::{self, Framed};
use switchboard::link::websocket::{self, Role, WebSocket};
use switchboard::machine::Fill;
use switchboard::machine::buf::Buf;
use switchboard::machine::payload::{Flow, Framer, Kind, Payload};
use switchboard::machine::rng::Rng;
use switchboard::wire::websocket::LONGEST_HEADER;

use crate::cuts::Cuts;
use crate::memory;

/// Largest message that is accepted.
const LIMIT: usize = 1000;
/// Beside messages and what is kept: control frames and starts of frames.
const SMALL: usize = 1024;

/// Any bytes as frames on a stream.
pub fn framed(data: &[u8]) {
    check(data, || Framed::new(LIMIT));
}

/// Any bytes from a server.
pub fn websocket_client(data: &[u8]) {
    check(data, || Socket::new(Role::Client));
}

/// Any bytes from a client.
pub fn websocket_server(data: &[u8]) {
    check(data, || Socket::new(Role::Server));
}

type Supply<'a> = dyn FnMut(&mut dyn Framer) -> bool + 'a;
type Up<'a> = dyn FnMut(Kind, Payload<'_>) -> Flow + 'a;
type Message = (Kind, Vec<u8>);

trait Link {
    type Error: Debug + PartialEq;

    fn receive(&mut self, data: &mut [u8], up: &mut Up<'_>) -> Result<Flow, Self::Error>;
    fn fill(&mut self, buf: &mut Buf, supply: &mut Supply<'_>) -> Fill;
    /// A link that receives what this one sends.
    fn peer(&self) -> Self;
    /// All else that the layer above can see of it.
    fn describe(&mut self) -> String;
    fn is_text_checked(&self) -> bool;
}

/// Everything that the layer above can see of some bytes.
#[derive(Debug, PartialEq)]
struct Seen<E> {
    messages: Vec<Message>,
    error: Option<E>,
    rest: String,
}

fn check<L: Link>(data: &[u8], link: impl Fn() -> L) {
    let Some((&how, wire)) = data.split_first() else { return };
    let whole = feed(link(), wire, Cuts::none());
    assert_eq!(feed(link(), wire, Cuts::of(how)), whole, "in chunks, then whole");
    weigh(link(), wire, Cuts::of(how));
    send_again(link().peer(), link(), &whole.messages, how);
}

fn feed<L: Link>(mut link: L, wire: &[u8], mut cuts: Cuts) -> Seen<L::Error> {
    let (mut messages, mut error) = (Vec::new(), None);
    let checked = link.is_text_checked();
    run(wire, &mut cuts, |chunk, cuts| {
        let broken = error.is_some();
        let result = link.receive(chunk, &mut |kind, payload| {
            assert!(!broken, "a message was delivered after an error");
            assert!(payload.as_slice().len() <= LIMIT, "a message is longer than the limit");
            let is_text = std::str::from_utf8(payload.as_slice()).is_ok();
            assert!(kind == Kind::Binary || !checked || is_text, "a text is not UTF-8");
            messages.push((kind, payload.into_vec()));
            cuts.flow()
        });
        result.unwrap_or_else(|new| {
            assert!(error.replace(new).is_none(), "a second error");
            Flow::Go
        })
    });
    let rest = link.describe();
    Seen { messages, error, rest }
}

/// Memory follows arrival and stays below the limit, whatever was announced.
fn weigh<L: Link>(mut link: L, wire: &[u8], mut cuts: Cuts) {
    let (mut arrived, mut kept, mut last) = (0, 0, Flow::Go);
    run(wire, &mut cuts, |chunk, cuts| {
        arrived += chunk.len();
        kept = if last == Flow::Stop { kept + chunk.len() } else { chunk.len() };
        let (result, peak) = memory::peak(|| link.receive(chunk, &mut |_, _| cuts.flow()));
        let bound = LIMIT.min(2 * arrived) + 2 * kept + SMALL;
        assert!(peak <= bound, "{peak} bytes of memory after {arrived} bytes, {kept} of them kept");
        last = result.unwrap_or(Flow::Go);
        last
    });
}

fn run(wire: &[u8], cuts: &mut Cuts, mut receive: impl FnMut(&mut [u8], &mut Cuts) -> Flow) {
    let (mut rest, mut flow, mut steps) = (wire, Flow::Go, 0);
    while !rest.is_empty() || flow == Flow::Stop {
        steps += 1;
        assert!(steps <= 3 * wire.len() + 8, "the link makes no progress");
        let mut chunk = cuts.chunk(&mut rest, flow);
        flow = receive(&mut chunk, cuts);
    }
}

/// What was received can be sent, into buffers of any limit, and is received as it was.
fn send_again<L: Link>(mut from: L, to: L, messages: &[Message], how: u8) {
    let (mut wire, mut left, limit) = (Vec::new(), messages.iter(), 1 + 4 * usize::from(how));
    loop {
        let mut buf = Buf::new(limit);
        let fill = from.fill(&mut buf, &mut |out| {
            let Some((kind, bytes)) = left.next() else { return false };
            let (head, body) = bytes.split_at(bytes.len() / 2);
            out.message(*kind, head, body);
            true
        });
        assert!(buf.len() < limit + LIMIT + LONGEST_HEADER, "more than one message above the buffer's limit");
        wire.extend_from_slice(buf.as_slice());
        if fill == Fill::Done {
            break;
        }
    }
    let seen = feed(to, &wire, Cuts::of(how));
    assert_eq!((seen.messages.as_slice(), seen.error), (messages, None));
}

impl Link for Framed {
    type Error = framed::Misbehaved;

    fn receive(&mut self, data: &mut [u8], up: &mut Up<'_>) -> Result<Flow, Self::Error> {
        Self::receive(self, data, up)
    }

    fn fill(&mut self, buf: &mut Buf, supply: &mut Supply<'_>) -> Fill {
        Self::fill(self, buf, supply)
    }

    fn peer(&self) -> Self {
        Self::new(LIMIT)
    }

    fn describe(&mut self) -> String {
        format!("mid-message {}", self.is_mid_message())
    }

    fn is_text_checked(&self) -> bool {
        false
    }
}

/// A WebSocket and the role that it has.
struct Socket(WebSocket, Role);

impl Link for Socket {
    type Error = websocket::Misbehaved;

    fn receive(&mut self, data: &mut [u8], up: &mut Up<'_>) -> Result<Flow, Self::Error> {
        let result = self.0.receive(data, up);
        if let Err(rule) = &result {
            self.0.close(rule.close_code(), &rule.to_string());
        }
        result
    }

    fn fill(&mut self, buf: &mut Buf, supply: &mut Supply<'_>) -> Fill {
        self.0.fill(&mut Rng::from_u64(1), buf, supply)
    }

    fn peer(&self) -> Self {
        Self::new(if self.1 == Role::Client { Role::Server } else { Role::Client })
    }

    fn describe(&mut self) -> String {
        let (before, peer) = (format!("{:?}", self.0.state()), format!("{:?}", self.0.peer_close()));
        let (wanted, pong, mid) = (self.0.wants_fill(), self.0.take_pong(), self.0.is_mid_message());
        let mut owed = Buf::new(usize::MAX);
        self.fill(&mut owed, &mut |_| false);
        assert!(wanted != owed.is_empty() && !self.0.wants_fill(), "`wants_fill` is wrong");
        format!("{before} {peer} {pong} {mid} {:?} {:?}", owed.as_slice(), self.0.state())
    }

    fn is_text_checked(&self) -> bool {
        true
    }
}

impl Socket {
    fn new(role: Role) -> Self {
        Self(WebSocket::new(role, LIMIT), role)
    }
}
