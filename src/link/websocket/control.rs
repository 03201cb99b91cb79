//! What is owed and known apart from messages: pings, pongs and the closing handshake (RFC 6455, section 5.5).

use crate::wire::websocket::{Close, CloseCode, Opcode};

use super::State;
use super::writer::Writer;

/// Most pongs owed at a time.
const PONGS: usize = 16;

/// Control frames owed and the closing handshake.
#[derive(Debug)]
pub(super) struct Control {
    /// The payloads of pings, oldest first.
    pongs: Vec<Box<[u8]>>,
    ping: bool,
    answered: bool,
    closing: Option<Box<Closing>>,
}

#[derive(Debug)]
struct Closing {
    /// The payload of our close frame until it is written.
    owed: Option<Vec<u8>>,
    peer: Option<PeerClose>,
}

#[derive(Debug)]
struct PeerClose {
    code: Option<CloseCode>,
    reason: Box<str>,
}

impl Control {
    pub(super) const fn new() -> Self {
        Self { pongs: Vec::new(), ping: false, answered: false, closing: None }
    }

    pub(super) fn on_ping(&mut self, payload: &[u8]) {
        if self.closing.as_ref().is_some_and(|closing| closing.owed.is_none()) {
            return;
        }
        if self.pongs.len() == PONGS {
            self.pongs.remove(0);
        }
        self.pongs.push(payload.into());
    }

    pub(super) const fn on_pong(&mut self) {
        self.answered = true;
    }

    /// The answer repeats the code (RFC 6455, section 5.5.1); nothing else is owed any more.
    pub(super) fn on_close(&mut self, close: Option<Close<'_>>) {
        let (code, reason) = (close.map(|close| close.code), close.map_or("", |close| close.reason));
        let answer = code.map_or_else(Vec::new, |code| payload_of(Close { code, reason: "" }));
        let closing = self.closing.get_or_insert_with(|| Box::new(Closing { owed: Some(answer), peer: None }));
        closing.peer = Some(PeerClose { code, reason: reason.into() });
        (self.pongs, self.ping) = (Vec::new(), false);
    }

    pub(super) const fn ping(&mut self) {
        self.ping = self.closing.is_none();
    }

    pub(super) const fn take_pong(&mut self) -> bool {
        std::mem::replace(&mut self.answered, false)
    }

    pub(super) fn close(&mut self, close: Close<'_>) {
        self.ping = false;
        self.closing.get_or_insert_with(|| Box::new(Closing { owed: Some(payload_of(close)), peer: None }));
    }

    pub(super) const fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    pub(super) const fn wants_fill(&self) -> bool {
        self.ping || !self.pongs.is_empty() || matches!(&self.closing, Some(closing) if closing.owed.is_some())
    }

    /// Writes what is owed, the close frame last.
    pub(super) fn write(&mut self, writer: &mut Writer<'_>) {
        for payload in std::mem::take(&mut self.pongs) {
            writer.frame(Opcode::Pong, &[&payload]);
        }
        if std::mem::take(&mut self.ping) {
            writer.frame(Opcode::Ping, &[]);
        }
        if let Some(payload) = self.closing.as_mut().and_then(|closing| closing.owed.take()) {
            writer.frame(Opcode::Close, &[&payload]);
        }
    }

    pub(super) fn peer_close(&self) -> Option<(Option<CloseCode>, &str)> {
        let peer = self.closing.as_ref()?.peer.as_ref()?;
        Some((peer.code, &peer.reason))
    }

    pub(super) fn state(&self) -> State<'_> {
        let Some(closing) = self.closing.as_deref() else { return State::Open };
        match (&closing.owed, &closing.peer) {
            (None, Some(PeerClose { code, reason })) => State::Closed { code: *code, reason },
            _ => State::Closing,
        }
    }
}

fn payload_of(close: Close<'_>) -> Vec<u8> {
    let mut payload = Vec::new();
    close.encode(&mut payload);
    payload
}
