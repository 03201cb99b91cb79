//! A forwarding's streams, their connections, and the session that carries them.

use std::collections::BTreeMap;

use switchboard::hub::SessionId;
use tokio::net::TcpStream;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::message::{Reset, StreamId, Violation};
use super::mux::{End, Heard, Mux};
use super::socket::{Connection, News};
use crate::party::{CHANNEL, Party};

/// News of connections that wait to be taken.
const WAITING: usize = 64;

/// One end of a forwarding.
pub(crate) struct Tunnel {
    pub(crate) session: SessionId,
    mux: Mux,
    connections: BTreeMap<StreamId, Connection>,
    teller: Teller,
}

/// What connections tell, with their session and stream.
pub(crate) type Told = (SessionId, StreamId, News);

/// How connections tell it.
pub(crate) type Teller = Sender<Told>;

/// A queue of what connections tell; they wait while it is full.
pub(crate) fn tellers() -> (Teller, Receiver<Told>) {
    channel(WAITING)
}

impl Tunnel {
    /// The end that listens.
    pub(crate) const fn to(session: SessionId, teller: Teller) -> Self {
        Self::new(session, End::Listening, teller)
    }

    /// The end that serves.
    pub(crate) const fn from(session: SessionId, teller: Teller) -> Self {
        Self::new(session, End::Serving, teller)
    }

    const fn new(session: SessionId, end: End, teller: Teller) -> Self {
        Self { session, mux: Mux::new(end), connections: BTreeMap::new(), teller }
    }

    /// Sends what there is to send, as far as the session has room; `Writable` follows if it has none.
    pub(crate) fn flush(&mut self, party: &Party) {
        while let Some(message) = self.mux.next_message() {
            if party.endpoint.try_send(self.session, CHANNEL, message).is_err() {
                return;
            }
            self.mux.sent();
        }
    }

    /// Opens a stream for a connection that was accepted; it is closed if there are too many.
    pub(crate) fn connect(&mut self, socket: TcpStream, service: &str) {
        let Some(stream) = self.mux.open(service) else { return };
        self.tend(stream, async { Ok(socket) });
    }

    /// Takes a message of the other side; `services` are those that it may connect to.
    pub(crate) fn receive(
        &mut self,
        message: &[u8],
        party: &Party,
        services: &BTreeMap<String, String>,
    ) -> Result<(), Violation> {
        match self.mux.receive(message)? {
            Heard::Open(stream, service) => match services.get(service).cloned() {
                Some(target) => self.tend(stream, TcpStream::connect(target)),
                None => self.mux.reset(stream, Reset::NotServed),
            },
            Heard::Data(stream, bytes) => self.with(stream, |connection| connection.write(bytes)),
            Heard::Granted(stream, bytes) => self.with(stream, |connection| connection.grant(bytes)),
            Heard::Finished(stream) => self.with(stream, Connection::finish),
            Heard::Reset(stream, why) => {
                self.connections.remove(&stream);
                let event = serde_json::json!({"event": "reset", "reason": why.to_string()});
                party.tell(event, &format!("a connection was closed: {why}"));
            }
            Heard::Nothing => {}
        }
        Ok(())
    }

    /// Takes what a connection tells.
    pub(crate) fn on_news(&mut self, stream: StreamId, news: News) {
        match news {
            News::Data(bytes) => self.mux.send(stream, &bytes),
            News::Finished => self.mux.finish(stream),
            News::Consumed(bytes) => self.mux.consumed(stream, bytes),
            News::Broken(why) => {
                self.mux.reset(stream, why);
                self.connections.remove(&stream);
            }
        }
    }

    fn tend(&mut self, stream: StreamId, connect: impl Future<Output = std::io::Result<TcpStream>> + Send + 'static) {
        self.connections.insert(stream, Connection::tend((self.session, stream), connect, self.teller.clone()));
    }

    fn with(&self, stream: StreamId, act: impl FnOnce(&Connection)) {
        if let Some(connection) = self.connections.get(&stream) {
            act(connection);
        }
    }
}
