//! TLS 1.2 and 1.3 as a link: bytes of the wire in, plaintext up; plaintext in, bytes of the wire out.
//!
//! The protocol is rustls', by its unbuffered interface, and this module is the only one that names it. A
//! [`Tls`] knows no socket: [`receive`](Tls::receive) decrypts what came, [`fill`](Tls::fill) writes what the
//! protocol owes the peer, [`encrypt`](Tls::encrypt) writes payload. The whole records of a received chunk are
//! decrypted where they lie; only a record that is not whole yet is kept, growing with arrival, and an idle
//! connection keeps nothing.
//!
//! **Time.** Certificates and tickets expire. The configuration holds the time that the caller told last, and
//! rustls asks that; nothing here reads a clock. Connections of one configuration share it.
//!
//! **Order.** What the protocol owes (handshake, tickets, key updates, alerts) is taken from rustls as soon as it
//! exists and is written before any payload that is encrypted later. So payload is asked for only when it can be
//! written at once: [`can_send`](Tls::can_send) is true from the end of the handshake until `close`.
//!
//! **Ends.** An error of `receive` is final; a last `fill` then writes the alert that tells the peer why. The end
//! of a stream without [`peer_closed`](Tls::peer_closed) is a truncation, which the caller must treat as a failure
//! (RFC 8446, section 6.1). What follows the peer's close is ignored, as the same section says.

mod config;
mod error;
mod held;
#[cfg(test)]
mod tests;

use std::fmt;
use std::mem;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{
    ConnectionState, EncodeError, EncodeTlsData, EncryptError, ReadTraffic, UnbufferedStatus, WriteTraffic,
};
use rustls::{CommonState, HandshakeKind, InvalidMessage, ProtocolVersion};
use sha2::{Digest as _, Sha256};

use crate::machine::buf::Buf;
use crate::machine::payload::Flow;
use config::Clock;
pub use config::{ClientConfig, ConfigError, Identity, ServerConfig, TlsVersion};
pub use error::TlsError;
use held::Held;

/// What handshake messages may hold of memory while they are not whole: twice the largest that rustls accepts, for
/// the heads of the records it came in.
const HANDSHAKE_HELD: usize = 128 * 1024;

/// What TLS 1.2 adds to a record, the most of both versions: head, explicit nonce and tag.
const RECORD_OVERHEAD: usize = 5 + 8 + 16;

/// Most payload of one record (RFC 8446, section 5.1).
const RECORD: usize = 16 * 1024;

/// One TLS connection, client or server.
pub struct Tls {
    connection: Connection,
    clock: Arc<Clock>,
    held: Held,
    owed: Vec<u8>,
    stopped: bool,
    closing: Closing,
    /// Something of the peer's has been used up: it does speak TLS.
    understood: bool,
    peer_closed: bool,
    failed: Option<TlsError>,
}

/// What a handshake agreed on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsInfo {
    /// The version; none before the handshake knows it.
    pub version: Option<TlsVersion>,
    /// The application protocol (ALPN), if both sides named one.
    pub alpn: Option<Vec<u8>>,
    /// On the server's side: the name that the client asked for (SNI).
    pub server_name: Option<String>,
    /// Whether an earlier session was resumed, which spares certificates.
    pub resumed: bool,
    /// What both sides can compare to see that nobody between them ends TLS: the SHA-256 of the server's own
    /// certificate (DER), once the handshake is over. RFC 5929, section 4.1 (`tls-server-end-point`) takes the hash
    /// function of the certificate's signature where that is a stronger one; as the two that compare are both this
    /// library, SHA-256 serves for all.
    pub server_end_point: Option<[u8; 32]>,
}

impl Tls {
    /// A client that will ask for `server_name`, a DNS name or an IP address without brackets.
    pub fn client(config: &ClientConfig, server_name: &str, unix: Duration) -> Result<Self, TlsError> {
        let name = ServerName::try_from(server_name.to_owned())
            .map_err(|_| TlsError::InvalidServerName { name: server_name.to_owned() })?;
        config.clock.set(unix);
        let client = UnbufferedClientConnection::new(Arc::clone(&config.inner), name).map_err(TlsError::from)?;
        Ok(Self::new(Connection::Client(Box::new(client)), Arc::clone(&config.clock)))
    }

    /// A server that waits for a client's hello.
    pub fn server(config: &ServerConfig) -> Result<Self, TlsError> {
        let identity = config.own_identity();
        let (config, clock, asked) = config.for_one();
        let server = UnbufferedServerConnection::new(config).map_err(TlsError::from)?;
        Ok(Self::new(Connection::Server { server: Box::new(server), asked, identity }, clock))
    }

    /// Decrypts `wire`, in place, and hands up the plaintext of each record.
    ///
    /// When `up` answers `Stop`, so does this; the rest is kept undecrypted, and another call, if need be with
    /// no bytes, goes on with it.
    pub fn receive(
        &mut self,
        unix: Duration,
        wire: &mut [u8],
        up: &mut dyn FnMut(&[u8]) -> Flow,
    ) -> Result<Flow, TlsError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if self.closing == Closing::Done {
            self.held = Held::default();
            return Ok(Flow::Go);
        }
        self.clock.set(unix);
        let result = self.take(wire, up);
        self.collect();
        match &result {
            Ok(flow) => self.stopped = *flow == Flow::Stop,
            Err(error) => self.fail(error.clone()),
        }
        result
    }

    /// Writes what the protocol owes the peer.
    pub fn fill(&mut self, buf: &mut Buf) -> Result<(), TlsError> {
        buf.extend(&mem::take(&mut self.owed));
        if self.owes_close() {
            self.closing = Closing::Done;
            self.seal(Seal::Close, buf.vec())?;
        }
        Ok(())
    }

    /// Encrypts `plain`, in records of at most 16 KiB, after what the protocol owes.
    pub fn encrypt(&mut self, plain: &[u8], buf: &mut Buf) -> Result<(), TlsError> {
        if !self.can_send() {
            return Err(TlsError::CannotSend);
        }
        self.fill(buf)?;
        if plain.is_empty() {
            return Ok(());
        }
        self.seal(Seal::Payload(plain), buf.vec())
    }

    /// Whether payload can be encrypted: the handshake is done and nobody has closed on our side.
    pub fn can_send(&self) -> bool {
        !self.is_handshaking() && self.closing == Closing::No && self.failed.is_none()
    }

    /// Whether the handshake is still under way.
    pub fn is_handshaking(&self) -> bool {
        self.connection.common().is_handshaking()
    }

    /// Whether [`fill`](Self::fill) has something to write.
    pub fn wants_fill(&self) -> bool {
        !self.owed.is_empty() || self.owes_close()
    }

    /// Says goodbye: the next `fill` after the handshake writes `close_notify`. No payload may follow, and what the
    /// peer still sends is not looked at: rustls holds a broken record after its own `close_notify` for a defect of
    /// its caller and, in debug builds, panics.
    pub fn close(&mut self) {
        if self.closing == Closing::No {
            self.closing = Closing::Wanted;
        }
    }

    /// Whether the peer has said goodbye; an end of the stream without it is a truncation.
    pub const fn peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Whether we have said goodbye: how the peer ends its side is not to be seen any more.
    pub fn has_closed(&self) -> bool {
        self.closing == Closing::Done
    }

    /// What the handshake agreed on so far.
    pub fn info(&self) -> TlsInfo {
        let common = self.connection.common();
        TlsInfo {
            version: common.protocol_version().and_then(version),
            alpn: common.alpn_protocol().map(<[u8]>::to_vec),
            server_name: self.connection.asked().map(str::to_owned),
            resumed: common.handshake_kind() == Some(HandshakeKind::Resumed),
            server_end_point: self.server_certificate().map(|certificate| Sha256::digest(certificate).into()),
        }
    }

    /// The certificate (DER) that the peer has proved to own; a server sees one only if it asks for it.
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        self.connection.common().peer_certificates()?.first().map(AsRef::as_ref)
    }

    fn server_certificate(&self) -> Option<&[u8]> {
        match &self.connection {
            _ if self.is_handshaking() => None,
            Connection::Client(_) => self.peer_certificate(),
            Connection::Server { identity, .. } => Some(identity.certificate()),
        }
    }

    fn new(connection: Connection, clock: Arc<Clock>) -> Self {
        let mut tls = Self {
            connection,
            clock,
            held: Held::default(),
            owed: Vec::new(),
            stopped: false,
            closing: Closing::No,
            understood: false,
            peer_closed: false,
            failed: None,
        };
        tls.collect();
        tls
    }

    fn take(&mut self, wire: &mut [u8], up: &mut dyn FnMut(&[u8]) -> Flow) -> Result<Flow, TlsError> {
        if self.stopped && self.run_held(up)? == Flow::Stop {
            self.held.extend(wire);
            return Ok(Flow::Stop);
        }
        let mut rest = wire;
        while !self.held.is_empty() && !rest.is_empty() {
            let step = self.held.missing().min(rest.len());
            let (piece, after) = rest.split_at_mut(step);
            self.held.extend(piece);
            rest = after;
            if self.run_held(up)? == Flow::Stop {
                self.held.extend(rest);
                return Ok(Flow::Stop);
            }
        }
        self.run_lent(rest, up)
    }

    fn run_held(&mut self, up: &mut dyn FnMut(&[u8]) -> Flow) -> Result<Flow, TlsError> {
        let mut held = mem::take(&mut self.held);
        let result = self.run(held.bytes(), up);
        if let Ok((used, _)) = &result {
            held.discard(*used);
        }
        self.held = held;
        self.bound_held(result)
    }

    fn run_lent(&mut self, wire: &mut [u8], up: &mut dyn FnMut(&[u8]) -> Flow) -> Result<Flow, TlsError> {
        if wire.is_empty() {
            return Ok(Flow::Go);
        }
        let whole = held::whole_records(wire);
        let result = self.run(wire, up);
        if let Ok((used, _)) = &result {
            self.held.keep(wire, *used, whole);
        }
        self.bound_held(result)
    }

    fn bound_held(&self, result: Result<(usize, Flow), TlsError>) -> Result<Flow, TlsError> {
        let (_, flow) = result?;
        if flow == Flow::Go && self.held.whole() > HANDSHAKE_HELD {
            return Err(TlsError::Protocol("a handshake message came in too many pieces".to_owned()));
        }
        Ok(flow)
    }

    fn run(&mut self, bytes: &mut [u8], up: &mut dyn FnMut(&[u8]) -> Flow) -> Result<(usize, Flow), TlsError> {
        let mut used = 0;
        loop {
            if self.peer_closed {
                return Ok((bytes.len(), Flow::Go));
            }
            let rest = bytes.get_mut(used..).unwrap_or_default();
            let (discard, turn) = self.connection.turn(rest, &mut self.owed, up, None);
            used += discard;
            self.understood |= used > 0;
            match turn.map_err(|error| self.explain(error))? {
                Turn::Again | Turn::Delivered(Flow::Go) => {}
                Turn::Delivered(Flow::Stop) => return Ok((used, Flow::Stop)),
                Turn::PeerClosed => self.peer_closed = true,
                Turn::Dry => return Ok((used, Flow::Go)),
            }
        }
    }

    /// Names a failure; before anything was understood, whatever cannot be read is not TLS at all. Only what begins
    /// as TLS does can be too large.
    fn explain(&self, error: rustls::Error) -> TlsError {
        use InvalidMessage::{HandshakePayloadTooLarge, MessageTooLarge};
        let nothing_understood = !self.understood && self.connection.common().protocol_version().is_none();
        match error {
            rustls::Error::InvalidMessage(HandshakePayloadTooLarge | MessageTooLarge) => error.into(),
            rustls::Error::InvalidMessage(_) if nothing_understood => TlsError::NotTls,
            error => error.into(),
        }
    }

    /// Takes from rustls what it wants sent; with an empty buffer it gives only that.
    fn collect(&mut self) {
        while self.connection.common().wants_write() {
            let (_, turn) = self.connection.turn(&mut [], &mut self.owed, &mut |_| Flow::Go, None);
            if !matches!(turn, Ok(Turn::Again)) {
                break;
            }
        }
    }

    fn fail(&mut self, error: TlsError) {
        self.failed = Some(error);
        self.held = Held::default();
    }

    fn owes_close(&self) -> bool {
        self.closing == Closing::Wanted && !self.is_handshaking() && self.failed.is_none()
    }

    /// Runs the engine until it takes plaintext, and gives it `seal`.
    ///
    /// The bytes it sees again are those it holds of an unfinished handshake message; after a `Stop` there are
    /// none, and the whole records behind it must wait.
    fn seal(&mut self, seal: Seal<'_>, out: &mut Vec<u8>) -> Result<(), TlsError> {
        let mut held = mem::take(&mut self.held);
        let mut seal = Some(seal);
        let mut result = Ok(());
        while seal.is_some() && result.is_ok() {
            let seen = if self.stopped { &mut [] } else { held.bytes() };
            let (used, turn) = self.connection.turn(seen, out, &mut |_| Flow::Go, Some(&mut seal));
            held.discard(used);
            result = match turn {
                Ok(Turn::Again) => Ok(()),
                Ok(Turn::PeerClosed) => {
                    self.peer_closed = true;
                    Ok(())
                }
                Ok(Turn::Delivered(_) | Turn::Dry) => Err(TlsError::CannotSend),
                Err(error) => Err(error.into()),
            };
        }
        self.held = held;
        result.inspect_err(|error| self.fail(error.clone()))
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("info", &self.info())
            .field("handshaking", &self.is_handshaking())
            .field("held", &self.held.len())
            .field("owed", &self.owed.len())
            .field("peer_closed", &self.peer_closed)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Closing {
    No,
    Wanted,
    Done,
}

/// What rustls is to encrypt once it can.
enum Seal<'a> {
    Payload(&'a [u8]),
    Close,
}

/// What one step of the engine brought.
enum Turn {
    Again,
    Delivered(Flow),
    PeerClosed,
    Dry,
}

enum Connection {
    Client(Box<UnbufferedClientConnection>),
    Server { server: Box<UnbufferedServerConnection>, asked: Arc<OnceLock<String>>, identity: Identity },
}

impl Connection {
    fn common(&self) -> &CommonState {
        match self {
            Self::Client(client) => client,
            Self::Server { server, .. } => server,
        }
    }

    fn asked(&self) -> Option<&str> {
        match self {
            Self::Client(_) => None,
            Self::Server { asked, .. } => asked.get().map(String::as_str),
        }
    }

    fn turn(
        &mut self,
        bytes: &mut [u8],
        out: &mut Vec<u8>,
        up: &mut dyn FnMut(&[u8]) -> Flow,
        seal: Option<&mut Option<Seal<'_>>>,
    ) -> (usize, Result<Turn, rustls::Error>) {
        match self {
            Self::Client(client) => turn(client.process_tls_records(bytes), out, up, seal),
            Self::Server { server, .. } => turn(server.process_tls_records(bytes), out, up, seal),
        }
    }
}

fn turn<Side>(
    status: UnbufferedStatus<'_, '_, Side>,
    out: &mut Vec<u8>,
    up: &mut dyn FnMut(&[u8]) -> Flow,
    seal: Option<&mut Option<Seal<'_>>>,
) -> (usize, Result<Turn, rustls::Error>) {
    let turn = status.state.and_then(|state| match state {
        ConnectionState::ReadTraffic(traffic) => deliver(traffic, up).map(Turn::Delivered),
        ConnectionState::EncodeTlsData(data) => encode(data, out).map(|()| Turn::Again),
        ConnectionState::TransmitTlsData(data) => {
            data.done();
            Ok(Turn::Again)
        }
        ConnectionState::PeerClosed => Ok(Turn::PeerClosed),
        ConnectionState::WriteTraffic(traffic) => match seal.and_then(Option::take) {
            Some(seal) => write(traffic, seal, out).map(|()| Turn::Again),
            None => Ok(Turn::Dry),
        },
        _ => Ok(Turn::Dry),
    });
    (status.discard, turn)
}

fn deliver<Side>(
    mut traffic: ReadTraffic<'_, '_, Side>,
    up: &mut dyn FnMut(&[u8]) -> Flow,
) -> Result<Flow, rustls::Error> {
    let mut flow = Flow::Go;
    while let Some(record) = traffic.next_record() {
        if up(record?.payload) == Flow::Stop {
            flow = Flow::Stop;
        }
    }
    Ok(flow)
}

fn encode<Side>(mut data: EncodeTlsData<'_, Side>, out: &mut Vec<u8>) -> Result<(), rustls::Error> {
    append(out, 0, |room| {
        data.encode(room).map_err(|error| match error {
            EncodeError::InsufficientSize(short) => Short::Needs(short.required_size),
            EncodeError::AlreadyEncoded => Short::Never("encoded twice"),
        })
    })
}

fn write<Side>(mut traffic: WriteTraffic<'_, Side>, seal: Seal<'_>, out: &mut Vec<u8>) -> Result<(), rustls::Error> {
    let short = |error| match error {
        EncryptError::InsufficientSize(short) => Short::Needs(short.required_size),
        EncryptError::EncryptExhausted => Short::Never("the keys are used up: connect again"),
    };
    match seal {
        Seal::Payload(plain) => {
            let guess = plain.len() + plain.len().div_ceil(RECORD) * RECORD_OVERHEAD;
            append(out, guess, |room| traffic.encrypt(plain, room).map_err(short))
        }
        Seal::Close => append(out, RECORD_OVERHEAD + 2, |room| traffic.queue_close_notify(room).map_err(short)),
    }
}

/// Why something was not written.
enum Short {
    Needs(usize),
    Never(&'static str),
}

/// Appends what `write` writes to a slice, which tells how large it must be if the guess was too small.
fn append(
    out: &mut Vec<u8>,
    guess: usize,
    mut write: impl FnMut(&mut [u8]) -> Result<usize, Short>,
) -> Result<(), rustls::Error> {
    let start = out.len();
    let mut size = guess;
    loop {
        out.resize(start + size, 0);
        match write(&mut out[start..]) {
            Ok(written) => {
                out.truncate(start + written);
                return Ok(());
            }
            Err(Short::Needs(needed)) if needed > size => size = needed,
            Err(Short::Needs(_)) => return Err(rustls::Error::EncryptError),
            Err(Short::Never(why)) => {
                out.truncate(start);
                return Err(rustls::Error::General(why.to_owned()));
            }
        }
    }
}

const fn version(version: ProtocolVersion) -> Option<TlsVersion> {
    match version {
        ProtocolVersion::TLSv1_2 => Some(TlsVersion::Tls12),
        ProtocolVersion::TLSv1_3 => Some(TlsVersion::Tls13),
        _ => None,
    }
}
