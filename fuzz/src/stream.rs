//! Both ends of a stream under any recipe and schedule, and a wire between them that may be tampered with.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use switchboard::link::http::{UpgradeRequest, UpgradeRules};
use switchboard::link::tls::TlsVersion;
use switchboard::machine::buf::Buf;
use switchboard::machine::ids::Ids;
use switchboard::machine::limits::Limits;
use switchboard::machine::payload::{Flow, Kind};
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Fill};
use switchboard::stack::stream::{AcceptRecipe, DialRecipe, Proxy, Stream, StreamError, Tools};

use crate::memory;
use crate::script::Script;
use crate::world::{NAME, UNIX, World};

/// What both ends may hold beside what is on the wire and in their lanes.
const MOST_MEMORY: usize = 1024 * 1024;
/// Largest message.
const LIMIT: usize = 2000;

/// A dialled and an accepted stream. Without tampering no end sees an error and no message is lost; with it, what
/// comes through TLS is still what was sent.
pub fn stream(data: &[u8]) {
    let mut script = Script::new(data);
    let how = script.byte();
    let _ = World::get();
    let ((), peak) = memory::peak(|| run(how, &mut script));
    assert!(peak < MOST_MEMORY + 8 * data.len(), "{peak} bytes of memory for a script of {}", data.len());
}

fn run(how: u8, script: &mut Script<'_>) {
    let mut pair = Pair::new(how);
    script.play(400, |script| pair.act(script));
    pair.settle();
    pair.judge();
}

struct Pair {
    ends: [End; 2],
    tools: Tools,
    now: Instant,
    rng: Rng,
    ids: Ids,
    sealed: bool,
    websocket: bool,
    /// The request to the proxy, until it is whole.
    asked: Option<Vec<u8>>,
    tampered: bool,
}

struct End {
    stream: Stream,
    lane: VecDeque<(Kind, Vec<u8>)>,
    sent: Vec<(Kind, Vec<u8>)>,
    received: usize,
    /// On its way to this end.
    wire: Vec<u8>,
    /// After how many messages the receiver says `Stop`.
    stop_after: Option<u8>,
    paused: bool,
    asked_to_close: bool,
    /// The last fill wrote nothing, though there was something to write.
    vainly: bool,
    eof: bool,
    error: Option<StreamError>,
}

impl End {
    const fn new(stream: Stream) -> Self {
        Self {
            stream,
            lane: VecDeque::new(),
            sent: Vec::new(),
            received: 0,
            wire: Vec::new(),
            stop_after: None,
            paused: false,
            asked_to_close: false,
            vainly: false,
            eof: false,
            error: None,
        }
    }

    fn note(&mut self, error: StreamError) {
        assert!(self.error.is_none(), "a second error: {error}, after {:?}", self.error);
        self.error = Some(error);
    }
}

impl Pair {
    /// The low bits of `how`: TLS, WebSocket, through a proxy, TLS 1.2.
    fn new(how: u8) -> Self {
        let [sealed, websocket, proxied, old] = [1, 2, 4, 8].map(|bit| how & bit != 0);
        let limits = Limits { message: LIMIT, http_head: 2000, ..Limits::default() };
        let version = if old { TlsVersion::Tls12 } else { TlsVersion::Tls13 };
        let request = UpgradeRequest {
            host_header: NAME.to_owned(),
            path_and_query: "/board".to_owned(),
            subprotocols: vec!["chat".to_owned()],
            ..UpgradeRequest::default()
        };
        let dial = DialRecipe {
            proxy: proxied.then(|| Proxy { target: format!("{NAME}:443"), credentials: None }),
            tls: sealed.then(|| (World::get().client(version), NAME.to_owned())),
            websocket: websocket.then_some(request),
        };
        let rules = UpgradeRules { subprotocols: vec!["chat".to_owned()], ..UpgradeRules::default() };
        let accept =
            AcceptRecipe { tls: sealed.then(|| World::get().server()), websocket: websocket.then(|| Arc::new(rules)) };
        let (mut rng, mut ids, now) = (Rng::from_u64(how.into()), Ids::new(), Instant::ZERO);
        let mut cx = Cx { now, unix: UNIX, rng: &mut rng, ids: &mut ids };
        let dialled = End::new(Stream::dialled(&mut cx, &dial, &limits).expect("a plain recipe"));
        let accepted = End::new(Stream::accepted(&accept, &limits).expect("a plain recipe"));
        let asked = proxied.then(Vec::new);
        let ends = [dialled, accepted];
        Self { ends, tools: Tools::default(), now, rng, ids, sealed, websocket, asked, tampered: false }
    }

    /// The top bit says which end, the others what.
    fn act(&mut self, script: &mut Script<'_>) {
        let action = script.byte();
        let side = usize::from(action >> 7);
        match action & 15 {
            0 => self.fill(side, usize::from(script.byte())),
            1 => self.receive(side, usize::from(script.byte())),
            2 => self.send(side, Kind::Binary, vec![7; script.word() % (LIMIT + 1)]),
            3 => {
                let text = script.text();
                self.send(side, Kind::Text, text.into_bytes());
            }
            4 => self.ends[side].stop_after = Some(script.byte()),
            5 => self.resume(side),
            6 => self.close(side),
            7 => drop(self.ends[side].stream.ping()),
            8 => self.now = self.now + Duration::from_millis(script.word() as u64),
            9 => self.tamper(side, |wire| wire.extend_from_slice(script.bytes())),
            10 => {
                let (at, bits) = (script.word(), script.byte());
                self.tamper(side, |wire| {
                    let at = at % wire.len().max(1);
                    wire.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bits);
                });
            }
            11 => self.tamper(side, |wire| wire.truncate(wire.len() / 2)),
            12 => {
                self.tampered = true;
                self.eof(side);
            }
            _ => self.exchange(),
        }
    }

    fn tamper(&mut self, side: usize, change: impl FnOnce(&mut Vec<u8>)) {
        self.tampered = true;
        change(&mut self.ends[side].wire);
    }

    fn send(&mut self, side: usize, kind: Kind, bytes: Vec<u8>) {
        // Nobody sends after asking for the end.
        if !self.ends[side].asked_to_close {
            self.ends[side].lane.push_back((kind, bytes));
        }
    }

    fn close(&mut self, side: usize) {
        self.ends[side].asked_to_close = true;
        self.ends[side].stream.close();
    }

    fn fill(&mut self, side: usize, limit: usize) {
        // Nobody has connected to the accepting end before the proxy has.
        if side == 1 && self.asked.is_some() {
            return;
        }
        let mut buf = Buf::new(limit);
        let End { stream, lane, sent, error, eof, vainly, .. } = &mut self.ends[side];
        // Who has been told of the end supplies no more.
        let supplies = error.is_none() && !*eof && stream.goodbye().is_none();
        let mut cx = Cx { now: self.now, unix: UNIX, rng: &mut self.rng, ids: &mut self.ids };
        let filled = stream.fill(&mut cx, &mut self.tools, &mut buf, &mut |out| {
            let Some((kind, bytes)) = supplies.then(|| lane.pop_front()).flatten() else { return false };
            out.message(kind, &[], &bytes);
            sent.push((kind, bytes));
            true
        });
        assert!(buf.len() <= limit + LIMIT + 20_000, "{} bytes in a buffer of {limit}", buf.len());
        match filled {
            Ok(Fill::More) => assert!(buf.is_full(), "there is more and the buffer is not full"),
            Ok(Fill::Done) => {
                // Once it may: a fill that has nothing more to say makes TLS owe its goodbye.
                let vain = buf.is_empty() && stream.wants_fill();
                assert!(!vain || !*vainly, "it wants to be filled in vain");
                *vainly = vain;
            }
            Ok(Fill::Datagrams(_)) => panic!("a stream has no datagrams"),
            Err(error) => self.ends[side].note(error),
        }
        self.carry(side, buf.as_slice());
    }

    /// What one end wrote is on its way; the proxy keeps what is for it.
    fn carry(&mut self, side: usize, bytes: &[u8]) {
        let Some(asked) = self.asked.as_mut().filter(|_| side == 0) else {
            return self.ends[1 - side].wire.extend_from_slice(bytes);
        };
        asked.extend_from_slice(bytes);
        let Some(end) = asked.windows(4).position(|end| end == b"\r\n\r\n") else { return };
        self.ends[1].wire.extend_from_slice(&asked[end + 4..]);
        self.ends[0].wire.extend_from_slice(b"HTTP/1.1 200 Connection established\r\n\r\n");
        self.asked = None;
    }

    fn receive(&mut self, side: usize, most: usize) {
        let end = &mut self.ends[side];
        if end.paused || end.eof || end.wire.is_empty() {
            return;
        }
        let rest = end.wire.split_off(most.clamp(1, end.wire.len()));
        let mut chunk = std::mem::replace(&mut end.wire, rest);
        self.deliver(side, &mut chunk);
    }

    fn resume(&mut self, side: usize) {
        self.ends[side].stop_after = None;
        if self.ends[side].paused {
            self.deliver(side, &mut []);
        }
    }

    fn deliver(&mut self, side: usize, chunk: &mut [u8]) {
        let expects = self.sealed || !self.tampered;
        let [one, two] = &mut self.ends;
        let (end, sent) = if side == 0 { (one, &two.sent) } else { (two, &one.sent) };
        let End { stream, stop_after, received, error, .. } = end;
        let mut cx = Cx { now: self.now, unix: UNIX, rng: &mut self.rng, ids: &mut self.ids };
        let result = stream.receive(&mut cx, &mut self.tools, chunk, &mut |kind, payload| {
            let bytes = payload.as_slice();
            assert!(error.is_none(), "a message is delivered after an error");
            assert!(bytes.len() <= LIMIT);
            assert!(kind == Kind::Binary || !self.websocket || std::str::from_utf8(bytes).is_ok());
            if expects {
                let expected = sent.get(*received).map(|(kind, bytes)| (*kind, bytes.as_slice()));
                assert_eq!(expected, Some((kind, bytes)), "another message than was sent");
            }
            *received += 1;
            match stop_after {
                Some(0) => Flow::Stop,
                Some(left) => {
                    *left -= 1;
                    Flow::Go
                }
                None => Flow::Go,
            }
        });
        drop(stream.take_opened());
        end.paused = result == Ok(Flow::Stop);
        if let Err(error) = result {
            end.note(error);
        }
    }

    /// The end of what comes to one end; a paused port does not show it.
    fn eof(&mut self, side: usize) {
        let end = &mut self.ends[side];
        if end.eof || end.paused {
            return;
        }
        end.eof = true;
        if let Err(error) = end.stream.eof() {
            assert!(end.error.is_none(), "{error} after {:?}", end.error);
            end.error = Some(error);
        }
    }

    /// Everything that is ready to happen, once.
    fn exchange(&mut self) {
        for side in [0, 1] {
            self.resume(side);
            self.receive(side, usize::MAX);
            let End { stream, lane, .. } = &self.ends[side];
            if stream.wants_fill() || !lane.is_empty() {
                self.fill(side, 1 << 16);
            }
            let [one, two] = &self.ends;
            let (from, to) = if side == 0 { (one, two) } else { (two, one) };
            if from.stream.is_finished() && to.wire.is_empty() && !to.eof {
                self.eof(1 - side);
            }
        }
    }

    /// Until nothing moves any more, which must come soon.
    fn settle(&mut self) {
        for _ in 0..40 {
            self.exchange();
        }
        for end in &self.ends {
            assert!(!end.paused || end.eof);
            assert!(self.asked.is_some() || !end.stream.wants_fill(), "an end never falls silent");
            assert!(end.wire.is_empty() || end.eof, "an end takes no more");
        }
    }

    fn judge(&self) {
        if self.tampered {
            return;
        }
        for (end, other) in [(&self.ends[0], &self.ends[1]), (&self.ends[1], &self.ends[0])] {
            assert_eq!(end.error, None, "an error without tampering");
            if !other.asked_to_close {
                assert!(end.lane.is_empty(), "{} messages never left", end.lane.len());
                assert_eq!(other.received, end.sent.len(), "messages were lost");
            }
            if end.asked_to_close || other.asked_to_close {
                assert!(end.stream.is_finished(), "a close is never done");
            }
        }
    }
}
