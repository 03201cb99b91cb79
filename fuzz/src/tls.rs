//! TLS: bytes instead of a handshake, and records that are damaged after one.

use switchboard::link::tls::{ClientConfig, ServerConfig, Tls, TlsError, TlsVersion};
use switchboard::machine::buf::Buf;
use switchboard::machine::payload::Flow;

use crate::cuts::Cuts;
use crate::memory;
use crate::script::Script;
use crate::world::{NAME, UNIX, World};

/// What a connection may hold whatever comes: unfinished handshake messages, the engine, and what it answers.
const MOST_MEMORY: usize = 512 * 1024;

/// Bytes on their way at once.
const MOST_WIRE: usize = 50_000;

/// Any bytes from a server.
pub fn tls_client(data: &[u8]) {
    let config = config(data.first().copied().unwrap_or_default());
    check(data, || Tls::client(&config, NAME, UNIX).expect("a client"));
}

/// Any bytes from a client.
pub fn tls_server(data: &[u8]) {
    let config = World::get().server();
    check(data, || Tls::server(&config).expect("a server"));
}

/// A handshake, and then payload, close and damage in any order: what is received is a prefix of what was sent.
pub fn tls_records(data: &[u8]) {
    let mut script = Script::new(data);
    let how = script.byte();
    let mut pair = Pair::new(&config(how), &World::get().server(), Cuts::of(how));
    pair.carry();
    assert!(pair.ends.iter().all(|end| end.error.is_none() && end.tls.can_send()), "the handshake fails");
    script.play(200, |script| pair.act(script));
    pair.carry();
}

struct Pair {
    ends: [End; 2],
    cuts: Cuts,
}

struct End {
    tls: Tls,
    sent: Vec<u8>,
    /// On its way to the other end.
    wire: Vec<u8>,
    received: usize,
    error: Option<TlsError>,
}

impl Pair {
    fn new(client: &ClientConfig, server: &ServerConfig, cuts: Cuts) -> Self {
        let end = |tls| End { tls, sent: Vec::new(), wire: Vec::new(), received: 0, error: None };
        let client = Tls::client(client, NAME, UNIX).expect("a client");
        Self { ends: [end(client), end(Tls::server(server).expect("a server"))], cuts }
    }

    /// The top bit says from which side, the others what.
    fn act(&mut self, script: &mut Script<'_>) {
        let action = script.byte();
        let end = &mut self.ends[usize::from(action >> 7)];
        match action & 7 {
            0 => self.carry(),
            1 => end.tls.close(),
            // More on its way would take long, and teach nothing.
            2 | 3 | 7 if end.wire.len() > MOST_WIRE => {}
            2 | 3 => end.send(script.word() % 20_000),
            4 => end.damage(script, |wire, at, script| {
                let bits = script.byte();
                wire.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= bits);
            }),
            5 => end.damage(script, |wire, at, script| {
                let end = at + usize::from(script.byte());
                wire.drain(at..end.min(wire.len()));
            }),
            6 => end.damage(script, |wire, at, script| drop(wire.splice(at..at, script.bytes().iter().copied()))),
            _ => end.output().extend_from_within(..),
        }
    }

    /// Until neither side has anything to send.
    fn carry(&mut self) {
        for round in 0.. {
            assert!(round < 20, "the ends never fall silent");
            let mut silent = true;
            for from in [0, 1] {
                let wire = std::mem::take(self.ends[from].output());
                silent &= wire.is_empty();
                let [client, server] = &mut self.ends;
                let (sender, receiver) = if from == 0 { (client, server) } else { (server, client) };
                receiver.take(&wire, &sender.sent, &mut self.cuts);
            }
            if silent {
                return;
            }
        }
    }
}

impl End {
    fn send(&mut self, len: usize) {
        let start = self.sent.len();
        let plain: Vec<u8> = (start..start + len).map(|at| (at % 251) as u8).collect();
        let mut buf = Buf::new(0);
        let can = self.tls.can_send();
        assert_eq!(self.tls.encrypt(&plain, &mut buf).is_ok(), can);
        if can {
            self.sent.extend_from_slice(&plain);
        }
        self.wire.extend_from_slice(buf.as_slice());
    }

    fn output(&mut self) -> &mut Vec<u8> {
        let mut buf = Buf::new(0);
        let filled = self.tls.fill(&mut buf);
        assert!(filled.is_ok() && !self.tls.wants_fill(), "{filled:?}");
        self.wire.extend_from_slice(buf.as_slice());
        &mut self.wire
    }

    /// Changes what is on its way, at a place that the script says.
    fn damage(&mut self, script: &mut Script<'_>, change: impl FnOnce(&mut Vec<u8>, usize, &mut Script<'_>)) {
        let at = script.word();
        let wire = self.output();
        let at = at % (wire.len() + 1);
        change(wire, at, script);
    }

    fn take(&mut self, wire: &[u8], sent: &[u8], cuts: &mut Cuts) {
        let (mut rest, mut flow) = (wire, Flow::Go);
        while !rest.is_empty() || flow == Flow::Stop {
            let mut chunk = cuts.chunk(&mut rest, flow);
            let (over, received) = (self.error.is_some() || self.tls.peer_closed(), &mut self.received);
            let result = self.tls.receive(UNIX, &mut chunk, &mut |plain| {
                assert!(!over, "payload after an error or a close");
                let expected = sent.get(*received..*received + plain.len());
                assert_eq!(expected, Some(plain), "other payload than was sent");
                *received += plain.len();
                cuts.flow()
            });
            flow = result.unwrap_or_else(|error| {
                assert!(self.error.as_ref().is_none_or(|first| *first == error), "another error");
                self.error = Some(error);
                Flow::Go
            });
        }
    }
}

fn config(how: u8) -> ClientConfig {
    World::get().client(if how & 0x80 == 0 { TlsVersion::Tls13 } else { TlsVersion::Tls12 })
}

fn check(data: &[u8], tls: impl Fn() -> Tls) {
    let Some((&how, wire)) = data.split_first() else { return };
    let whole = feed(tls(), wire, Cuts::none());
    let (pieces, peak) = memory::peak(|| feed(tls(), wire, Cuts::of(how)));
    assert_eq!(pieces, whole, "in chunks, then whole");
    assert!(peak < MOST_MEMORY + 8 * wire.len(), "{peak} bytes of memory for {}", wire.len());
}

/// The error, whether the peer has said goodbye, and whether an answer was owed, as alerts are in clear here.
fn feed(mut tls: Tls, wire: &[u8], mut cuts: Cuts) -> (Option<TlsError>, bool, bool) {
    let (mut rest, mut error) = (wire, None);
    let mut hello = Buf::new(0);
    tls.fill(&mut hello).expect("a hello can be written");
    while !rest.is_empty() && error.is_none() {
        let mut chunk = cuts.chunk(&mut rest, Flow::Go);
        let result = tls.receive(UNIX, &mut chunk, &mut |_| panic!("payload without a handshake"));
        error = result.err();
    }
    if let Some(error) = &error {
        assert_eq!(tls.receive(UNIX, &mut [0], &mut |_| panic!("payload after an error")).as_ref(), Err(error));
        assert!(!tls.can_send());
    }
    let (closed, owed) = (tls.peer_closed(), tls.wants_fill());
    let mut answer = Buf::new(0);
    tls.fill(&mut answer).expect("an answer can be written");
    assert!(owed != answer.is_empty() && !tls.wants_fill(), "`wants_fill` is wrong");
    (error, closed, owed)
}
