//! A TURN server, and a client over TCP that says anything.

use std::net::SocketAddr;
use std::time::Duration;

use switchboard::machine::buf::Buf;
use switchboard::machine::ids::{Ids, PortId};
use switchboard::machine::payload::Flow;
use switchboard::machine::port::{PortChange, PortRequest, PortSpec};
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Fill, Input, Machine, Output};
use switchboard::stack::turn_server::{Listener, TurnServer, TurnServerConfig, User};

use crate::cuts::Cuts;
use crate::memory;

/// What the server may hold beyond what it was sent: an engine, a nonce, answers that wait.
const HELD: usize = 64 * 1024;

/// The first byte says how the others are cut, which are what a client sends: it gets the same answers however it is
/// cut, only to messages that were whole, and memory follows arrival.
pub fn turn_server(data: &[u8]) {
    let Some((choice, wire)) = data.split_first() else { return };
    let (whole, held) = memory::peak(|| Stage::new().play(wire, Cuts::none()));
    assert!(held <= 8 * wire.len() + HELD, "{held} bytes for {}", wire.len());
    let cut = Stage::new().play(wire, Cuts::of(*choice & 7));
    assert_eq!(whole, cut, "it depends on how the bytes are cut");
}

/// How many bytes were answered, and whether the connection was ended. Nonces differ, their sizes do not.
type Outcome = (usize, bool);

struct Stage {
    server: TurnServer,
    rng: Rng,
    ids: Ids,
    client: Option<PortId>,
    answered: usize,
    has_ended: bool,
}

impl Stage {
    fn new() -> Self {
        let mut config = TurnServerConfig::new("example.org", [User::new("alice", "open sesame")]);
        config.queue = 4096;
        let mut stage = Self {
            server: TurnServer::new(config),
            rng: Rng::from_u64(1),
            ids: Ids::new(),
            client: None,
            answered: 0,
            has_ended: false,
        };
        stage.with(|server, cx| server.listen_by(cx, Listener::Tcp, listen()));
        stage
    }

    fn play(mut self, mut rest: &[u8], mut cuts: Cuts) -> Outcome {
        while let (Some(port), false) = (self.client, rest.is_empty()) {
            let mut chunk = cuts.chunk(&mut rest, Flow::Go);
            self.with(|server, cx| server.handle(cx, Input::Receive(port, &mut chunk)));
        }
        assert!(self.server.connections() <= 1 && self.server.strangers() <= 1);
        (self.answered, self.has_ended)
    }

    fn with(&mut self, call: impl FnOnce(&mut TurnServer, &mut Cx<'_>)) {
        let Self { server, rng, ids, .. } = self;
        let mut cx = Cx { now: Instant::from_nanos(1), unix: Duration::ZERO, rng, ids };
        call(server, &mut cx);
        self.drain();
    }

    fn drain(&mut self) {
        let mut opened = None;
        loop {
            let Self { server, rng, ids, .. } = self;
            let mut cx = Cx { now: Instant::from_nanos(1), unix: Duration::ZERO, rng, ids };
            match server.poll(&mut cx) {
                Output::Port(port, PortRequest::Open(PortSpec::Listen(_))) => opened = Some(port),
                Output::Port(..) => self.has_ended = true,
                Output::Ready(port) => {
                    let mut buf = Buf::new(1024);
                    while server.fill(&mut cx, port, &mut buf) == Fill::More {
                        self.answered += buf.len();
                        buf.clear();
                    }
                    self.answered += buf.len();
                }
                Output::Event(_) => {}
                Output::Wait(_) => break,
            }
        }
        if let Some(listener) = opened {
            let opened = PortChange::Opened { local: Some(listen()), peer: None };
            self.with(|server, cx| server.handle(cx, Input::Port(listener, opened)));
            let client = self.ids.port();
            self.client = Some(client);
            let accepted = PortChange::Accepted { port: client, peer: SocketAddr::from(([203, 0, 113, 5], 4000)) };
            self.with(|server, cx| server.handle(cx, Input::Port(listener, accepted)));
        }
    }
}

fn listen() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 3478))
}
