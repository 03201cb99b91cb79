//! One link as the hub sees it: who is at its other end, and what waits to be sent there.
//!
//! Nothing but the proof passes before the proof ([`Proof`]); a link inside one process needs none and begins with a
//! greeting. What is sent later has an order: frames of the hub first, then packets that are passed on and packets of
//! our own sessions by turns, so that a relay that is also an endpoint starves neither.

use std::collections::VecDeque;
use std::time::Duration;

use super::event::{LinkEnd, Misbehaved};
use super::packets::Packets;
use super::routes::{Forward, Routes, Target};
use super::{SessionId, TransportId};
use crate::link::noise::{Opener, Proof, Protection, Sealer};
use crate::machine::payload::{Framer, Kind};
use crate::machine::time::Instant;
use crate::transport::Side;
use crate::wire::frame::Frame;
use crate::wire::identity::Address;

/// A link, proved or about to be.
pub(super) struct Link {
    pub(super) transport: TransportId,
    pub(super) side: Side,
    pub(super) state: State,
    /// Frames of the hub. Bounded by [`Self::MAX_CONTROL`]; what is more is dropped and counted.
    control: VecDeque<Vec<u8>>,
    /// The newest ping that is to be answered: a flood of pings costs one answer.
    pong: Option<u64>,
    /// Packets to be passed on.
    pub(super) packets: Packets,
    /// Sessions with something to send on this link, each once.
    pub(super) queue: VecDeque<SessionId>,
    pub(super) routes: Routes,
    /// Whether the transport knows that there is something to send.
    pub(super) woken: bool,
    /// Whether the link was told to stop delivering.
    pub(super) stopped: bool,
    /// Why we end it, once we do.
    pub(super) end: Option<LinkEnd>,
    /// Why the neighbour ends it, once it has said so.
    pub(super) farewell: Option<LinkEnd>,
    /// Whether it is in the neighbour's account.
    pub(super) counted: bool,
    /// Whether the application was told of it.
    pub(super) introduced: bool,
    /// What our side of the proof ends with: the other side cannot open anything sealed before it.
    pub(super) last_of_proof: Option<Vec<u8>>,
    pub(super) heard: Instant,
    /// The ping that is not answered yet, and whether the application wants to know.
    pub(super) ping: Option<Ping>,
    packets_next: bool,
}

/// A ping under way.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ping {
    pub(super) nonce: u64,
    pub(super) sent: Instant,
    pub(super) asked: bool,
}

/// How far a link is.
pub(super) enum State {
    /// Both sides prove who they are.
    Proving(Box<Proof>),
    /// Inside one process: the other side's greeting is awaited.
    Greeting,
    /// The neighbour is known.
    Proved(Neighbour),
}

/// Who is at the other end.
pub(super) struct Neighbour {
    pub(super) address: Address,
    pub(super) relays: bool,
    seal: Option<Box<(Sealer, Opener)>>,
}

impl Neighbour {
    pub(super) fn new(address: Address, relays: bool, protection: Protection) -> Self {
        let seal = match protection {
            Protection::Noise { sealer, opener } => Some(Box::new((sealer, opener))),
            Protection::Tls => None,
        };
        Self { address, relays, seal }
    }

    /// A neighbour in this process.
    pub(super) const fn trusted(address: Address, relays: bool) -> Self {
        Self { address, relays, seal: None }
    }
}

/// What [`Link::supply`] wants of the hub's sessions.
pub(super) enum Supplied {
    /// A message was written.
    Written,
    /// It is this session's turn.
    Turn(SessionId),
    /// There is nothing to send.
    Nothing,
}

impl Link {
    /// Frames of the hub that may wait on one link.
    const MAX_CONTROL: usize = 4096;

    pub(super) fn new(transport: TransportId, side: Side, now: Instant, state: State) -> Self {
        Self {
            transport,
            side,
            state,
            control: VecDeque::new(),
            pong: None,
            packets: Packets::default(),
            queue: VecDeque::new(),
            routes: Routes::default(),
            woken: false,
            stopped: false,
            end: None,
            farewell: None,
            counted: false,
            introduced: false,
            last_of_proof: None,
            heard: now,
            ping: None,
            packets_next: false,
        }
    }

    /// The neighbour, once it is proved and while we have not left it.
    pub(super) fn neighbour(&self) -> Option<&Neighbour> {
        match &self.state {
            State::Proved(neighbour) if self.end.is_none() => Some(neighbour),
            _ => None,
        }
    }

    /// The neighbour's address, also while the link is being left.
    pub(super) const fn address(&self) -> Option<Address> {
        match &self.state {
            State::Proved(neighbour) => Some(neighbour.address),
            _ => None,
        }
    }

    /// The last round trip is not kept: whoever wants it asks.
    pub(super) fn take_pong(&mut self, now: Instant, nonce: u64) -> Option<(Duration, bool)> {
        let ping = self.ping.take_if(|ping| ping.nonce == nonce)?;
        Some((now.since(ping.sent), ping.asked))
    }

    /// Queues a frame; false: too many wait.
    pub(super) fn push(&mut self, frame: &Frame<'_>) -> bool {
        if let Frame::Pong(nonce) = frame {
            self.pong = Some(*nonce);
            return true;
        }
        let fits = self.control.len() < Self::MAX_CONTROL;
        if fits {
            self.control.push_back(frame.encode());
        }
        fits
    }

    /// Opens one received message in place, where the link is sealed.
    pub(super) fn open(&mut self, message: &mut Vec<u8>) -> Result<(), Misbehaved> {
        let State::Proved(Neighbour { seal: Some(seal), .. }) = &mut self.state else { return Ok(()) };
        let len = seal.1.open_next(&[], message).map_err(|_| Misbehaved::Seal)?;
        message.truncate(len);
        Ok(())
    }

    /// Where a received message is to be passed on, if that can be told without opening it.
    pub(super) fn forward_of(&self, message: &[u8]) -> Option<Forward> {
        let State::Proved(Neighbour { seal: None, .. }) = &self.state else { return None };
        match self.routes.get(Frame::data_route(message)?)? {
            Target::Forward(forward) => Some(forward),
            _ => None,
        }
    }

    /// What the proof still has to say, now that it is over for us.
    pub(super) fn last_of_proof(&mut self) -> Option<Vec<u8>> {
        let State::Proving(proof) = &mut self.state else { return None };
        proof.supply()
    }

    /// Writes the next message, or says whose turn it is.
    pub(super) fn supply(&mut self, out: &mut dyn Framer) -> Supplied {
        if let State::Proving(proof) = &mut self.state {
            let Some(message) = proof.supply() else { return Supplied::Nothing };
            out.message(Kind::Binary, &[], &message);
            return Supplied::Written;
        }
        if let Some(message) = self.last_of_proof.take() {
            out.message(Kind::Binary, &[], &message);
            return Supplied::Written;
        }
        if let Some(mut frame) = self.next_frame() {
            self.emit(&mut frame, out);
            return Supplied::Written;
        }
        self.packets_next ^= true;
        if self.packets_next || self.queue.is_empty() {
            let Self { packets, state, .. } = self;
            if packets.pop(|frame| emit(state, frame, out)) {
                return Supplied::Written;
            }
        }
        self.queue.pop_front().map_or(Supplied::Nothing, Supplied::Turn)
    }

    fn next_frame(&mut self) -> Option<Vec<u8>> {
        let pong = self.pong.take().map(|nonce| Frame::Pong(nonce).encode());
        let frame = pong.or_else(|| self.control.pop_front());
        if self.control.is_empty() && self.control.capacity() > 16 {
            self.control = VecDeque::new();
        }
        frame
    }

    /// Seals a frame where the link needs it, and writes it.
    pub(super) fn emit(&mut self, frame: &mut [u8], out: &mut dyn Framer) {
        emit(&mut self.state, frame, out);
    }
}

fn emit(state: &mut State, frame: &mut [u8], out: &mut dyn Framer) {
    if let State::Proved(Neighbour { seal: Some(seal), .. }) = state {
        let (_, tag) = seal.0.seal(&[], frame);
        return out.message(Kind::Binary, frame, &tag);
    }
    out.message(Kind::Binary, frame, &[]);
}
