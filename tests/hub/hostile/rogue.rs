//! A neighbour that holds a key like any other, and says what a test wants.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;

use switchboard::link::noise::{Claims, Identity, Opener, Proof, Protection, Role, Sealer, SecretKey};
use switchboard::machine::buf::Buf;
use switchboard::machine::ids::{LinkId, PortId};
use switchboard::machine::payload::Kind;
use switchboard::machine::rng::Rng;
use switchboard::machine::{Cx, Fill, Input, Machine, Output};
use switchboard::transport::alone::AloneEvent;
use switchboard::transport::{DownReason, LinkInfo, Side, TransportEvent};
use switchboard::wire::frame::Frame;
use switchboard::wire::identity::Address;

use super::board::Board;
use crate::common::Node;
use crate::program::Program;

/// What a rogue does with its links before anybody tells it anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conduct {
    /// It proves who it is, as all do.
    Proves,
    /// It says nothing, and keeps what comes.
    Mute,
    /// What comes on one of its links goes out on the other one, as it is.
    Middle,
}

pub(crate) struct Rogue {
    pub(crate) identity: Identity,
    pub(crate) claims: Claims,
    pub(crate) conduct: Conduct,
    pub(crate) lines: BTreeMap<LinkId, Line>,
    /// What makes it a relay.
    pub(crate) board: Option<Board>,
    /// What the middle does to a message, by its direction and its number.
    pub(crate) meddle: fn(Side, usize, &mut Vec<u8>),
    /// Whether it tells what it sees of TLS, so that nothing is sealed twice.
    pub(crate) tls: bool,
    program: Program,
}

/// One of its links.
pub(crate) struct Line {
    pub(crate) side: Side,
    pub(crate) stage: Stage,
    /// What came since a test looked: frames once proved, else whole messages.
    pub(crate) heard: VecDeque<Vec<u8>>,
    /// All that came, as it came.
    pub(crate) wire: Vec<Vec<u8>>,
    pub(crate) down: Option<DownReason>,
}

pub(crate) enum Stage {
    Raw,
    Proving(Box<Proof>),
    Failed,
    Proved { peer: Address, seal: Option<Box<(Sealer, Opener)>> },
}

impl Rogue {
    pub(crate) fn new(key: u64, claims: Claims, conduct: Conduct) -> Self {
        let secret = SecretKey::generate(&mut Rng::from_u64(key));
        Self {
            identity: Identity::new(secret, &mut Rng::from_u64(key << 32)),
            claims,
            conduct,
            lines: BTreeMap::new(),
            board: None,
            meddle: |_, _, _| {},
            tls: false,
            program: Program::new(),
        }
    }

    pub(crate) fn add(&mut self, cx: &mut Cx<'_>, node: Node) {
        self.program.add(cx, node);
    }

    /// The link to that neighbour.
    pub(crate) fn link_to(&self, peer: Address) -> Option<LinkId> {
        self.lines.iter().find(|(_, line)| line.down.is_none() && line.peer() == Some(peer)).map(|(link, _)| *link)
    }

    /// The newest link.
    pub(crate) fn link(&self) -> Option<LinkId> {
        self.lines.keys().next_back().copied()
    }

    pub(crate) fn line(&mut self, link: LinkId) -> &mut Line {
        self.lines.get_mut(&link).unwrap()
    }

    /// Sends a frame as an honest neighbour would.
    pub(crate) fn say(&mut self, cx: &mut Cx<'_>, link: LinkId, frame: &Frame<'_>) {
        self.say_bytes(cx, link, &frame.encode());
    }

    /// Sends what may be no frame, sealed where the link is.
    pub(crate) fn say_bytes(&mut self, cx: &mut Cx<'_>, link: LinkId, frame: &[u8]) {
        let sealed = self.seal(link, frame);
        self.shout(cx, link, Kind::Binary, &sealed);
    }

    /// What an honest neighbour would send for a frame.
    pub(crate) fn seal(&mut self, link: LinkId, frame: &[u8]) -> Vec<u8> {
        let mut message = frame.to_vec();
        if let Stage::Proved { seal: Some(seal), .. } = &mut self.line(link).stage {
            let (_, tag) = seal.0.seal(&[], &mut message);
            message.extend_from_slice(&tag);
        }
        message
    }

    /// Sends a message of the link as it is.
    pub(crate) fn shout(&mut self, cx: &mut Cx<'_>, link: LinkId, kind: Kind, message: &[u8]) {
        // A link that has gone in the meantime is no failure of the test.
        let _ = self.program.send(cx, link, kind, message);
    }

    /// The frames that came since, but for pings and pongs.
    pub(crate) fn heard(&mut self, link: LinkId) -> Vec<Vec<u8>> {
        self.line(link).heard.drain(..).filter(|frame| !matches!(frame.first(), Some(5 | 6))).collect()
    }

    fn on_event(&mut self, cx: &mut Cx<'_>, event: AloneEvent) {
        match event {
            AloneEvent::Transport(TransportEvent::Up(link, info)) => self.on_up(cx, link, &info),
            AloneEvent::Transport(TransportEvent::Down(link, reason)) => {
                if let Some(line) = self.lines.get_mut(&link) {
                    line.down = Some(reason);
                }
            }
            _ => {}
        }
        while let Some(message) = self.program.recv(cx) {
            self.on_message(cx, message.link, message.bytes);
        }
    }

    fn on_up(&mut self, cx: &mut Cx<'_>, link: LinkId, info: &LinkInfo) {
        let side = info.side;
        let mut first = None;
        let stage = if self.conduct == Conduct::Proves {
            let role = if side == Side::Dialled { Role::Initiator } else { Role::Responder };
            let mut claims = self.claims.clone();
            claims.server_end_point =
                info.opened.tls.as_ref().filter(|_| self.tls).and_then(|tls| tls.server_end_point);
            let mut proof = Proof::new(&self.identity, role, claims, None, cx.rng);
            first = proof.supply();
            Stage::Proving(Box::new(proof))
        } else {
            Stage::Raw
        };
        self.lines.insert(link, Line { side, stage, heard: VecDeque::new(), wire: Vec::new(), down: None });
        if let Some(first) = first {
            self.shout(cx, link, Kind::Binary, &first);
        }
        if self.conduct == Conduct::Middle {
            self.pass_on(cx);
        }
    }

    fn on_message(&mut self, cx: &mut Cx<'_>, link: LinkId, mut message: Vec<u8>) {
        let Some(line) = self.lines.get_mut(&link) else { return };
        line.wire.push(message.clone());
        match &mut line.stage {
            Stage::Raw => line.heard.push_back(message),
            Stage::Proving(proof) => {
                let result = proof.receive(&message);
                let answer = proof.supply();
                match result {
                    Ok(None) => {}
                    Ok(Some(proved)) => line.stage = Stage::proved(proved.peer, proved.protection),
                    Err(_) => line.stage = Stage::Failed,
                }
                if let Some(answer) = answer {
                    self.shout(cx, link, Kind::Binary, &answer);
                }
            }
            Stage::Proved { seal, .. } => {
                if let Some(seal) = seal {
                    let len = seal.1.open_next(&[], &mut message).expect("the honest side seals");
                    message.truncate(len);
                }
                self.on_frame(cx, link, message);
            }
            Stage::Failed => {}
        }
        if self.conduct == Conduct::Middle {
            self.pass_on(cx);
        }
    }

    fn on_frame(&mut self, cx: &mut Cx<'_>, link: LinkId, message: Vec<u8>) {
        if let Ok(Frame::Ping(nonce)) = Frame::decode(&message) {
            self.say(cx, link, &Frame::Pong(nonce));
        }
        if let Some(board) = &mut self.board {
            let of = |address: Address| {
                let is = |line: &Line| line.down.is_none() && line.peer().is_some_and(|peer| peer.id == address.id);
                self.lines.iter().find(|(_, line)| is(line)).map(|(link, _)| *link)
            };
            for (to, frame) in board.pass(link, &message, of) {
                self.say_bytes(cx, to, &frame);
            }
        }
        self.line(link).heard.push_back(message);
    }

    /// Two links, and what comes on one of them goes out on the other.
    fn pass_on(&mut self, cx: &mut Cx<'_>) {
        let [a, b] = self.lines.keys().copied().collect::<Vec<_>>()[..] else { return };
        for (from, to) in [(a, b), (b, a)] {
            let line = self.line(from);
            let (side, first) = (line.side, line.wire.len() - line.heard.len());
            for (n, mut message) in std::mem::take(&mut line.heard).into_iter().enumerate() {
                (self.meddle)(side, first + n, &mut message);
                self.shout(cx, to, Kind::Binary, &message);
            }
        }
    }
}

impl Line {
    pub(crate) fn peer(&self) -> Option<Address> {
        match self.stage {
            Stage::Proved { peer, .. } => Some(peer),
            _ => None,
        }
    }
}

impl Stage {
    fn proved(peer: Address, protection: Protection) -> Self {
        let seal = match protection {
            Protection::Noise { sealer, opener } => Some(Box::new((sealer, opener))),
            Protection::Tls => None,
        };
        Self::Proved { peer, seal }
    }
}

impl Machine for Rogue {
    type Command = Infallible;
    type Event = Infallible;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, Infallible>) {
        match input {
            Input::Timeout => self.program.handle(cx, Input::Timeout),
            Input::Receive(port, data) => self.program.handle(cx, Input::Receive(port, data)),
            Input::Datagrams(port, datagrams) => self.program.handle(cx, Input::Datagrams(port, datagrams)),
            Input::Port(port, change) => self.program.handle(cx, Input::Port(port, change)),
            Input::Command(never) => match never {},
        }
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<Infallible> {
        loop {
            return match self.program.poll(cx) {
                Output::Event(event) => {
                    self.on_event(cx, event);
                    continue;
                }
                Output::Port(port, request) => Output::Port(port, request),
                Output::Ready(port) => Output::Ready(port),
                Output::Wait(deadline) => Output::Wait(deadline),
            };
        }
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        self.program.fill(cx, port, buf)
    }
}
