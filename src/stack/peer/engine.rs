//! The face of an engine: what carries a peer's messages once both sides have described themselves.
//!
//! An engine does ICE, DTLS and SCTP for one peer, between addresses that it is told of. It owns no socket. Its owner
//! hands it datagrams ([`Engine::receive`]), lets time pass ([`Engine::on_timeout`]) and takes out what follows, in
//! this order: [`Engine::poll_event`], [`Engine::poll_message`], [`Engine::poll_transmit`].
//!
//! *Datagrams* come lent and are decrypted in place. They go in batches, as sockets like them: one call appends
//! datagrams of one length, between one pair of addresses, to a buffer that the caller owns.
//!
//! *Messages* are lent until the next call. Who can't take those of a channel has it held ([`Engine::hold`]): they wait
//! in the engine, those of other channels pass, and in the end the other side has to wait too.
//!
//! *Room before write*: [`Engine::room`] is to be asked first. A message is taken whole or not at all.

use std::fmt;
use std::net::SocketAddr;

use super::crypto::Crypto;
use super::data::Data;
#[cfg(feature = "str0m")]
use super::str0m::Str0m;
pub use crate::link::dtls::Version;
pub use crate::link::ice::State as IceState;

use crate::machine::datagram::Ecn;
use crate::machine::{Cx, Deadline};
use crate::wire::candidate::Candidate;

/// The reliable channel of a peer of this library, by its place among the channels.
pub const BULK: usize = 0;
/// The channel whose messages are sent once.
pub const QUICK: usize = 1;
/// Most channels that a foreign peer may have opened; further ones are closed.
pub const MOST_CHANNELS: usize = 64;

/// With whom a peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Partner {
    /// One of this library: DTLS 1.3, SNAP, two channels agreed on.
    Own,
    /// Any other: DTLS 1.2, channels by DCEP (RFC 8832).
    Foreign,
}

impl Partner {
    /// The version of DTLS that is spoken with it, if nothing else is wished.
    pub const fn version(self) -> Version {
        match self {
            Self::Own => Version::Dtls13,
            Self::Foreign => Version::Dtls12,
        }
    }
}

/// Which engine carries a peer. Either speaks to whatever the other side has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EngineKind {
    /// This library's own, for peers without media.
    #[default]
    Data,
    /// `str0m`.
    #[cfg(feature = "str0m")]
    Str0m,
}

impl std::str::FromStr for EngineKind {
    type Err = UnknownEngine;

    fn from_str(text: &str) -> Result<Self, UnknownEngine> {
        match text {
            "data" => Ok(Self::Data),
            #[cfg(feature = "str0m")]
            "str0m" => Ok(Self::Str0m),
            _ => Err(UnknownEngine),
        }
    }
}

/// There is no engine of that name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("there is no such engine; there are: data{}", if cfg!(feature = "str0m") { ", str0m" } else { "" })]
pub struct UnknownEngine;

/// How an engine begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineConfig {
    /// Which engine it is.
    pub kind: EngineKind,
    /// With whom it speaks.
    pub partner: Partner,
    /// Which versions of DTLS it speaks.
    pub version: Version,
    /// Whether it controls by ICE, as whoever made the offer does.
    pub is_controlling: bool,
    /// Bytes of received messages that may wait to be taken.
    pub inbox: usize,
}

impl EngineConfig {
    /// The data engine, the version of DTLS that suits the partner, and 2 MiB.
    pub fn new(partner: Partner, is_controlling: bool) -> Self {
        let (kind, version) = (EngineKind::default(), partner.version());
        Self { kind, partner, version, is_controlling, inbox: 2 * 1024 * 1024 }
    }
}

/// What a foreign peer is told that it may send in one message, in bytes; no engine takes a larger one.
pub const MOST_MESSAGE: u64 = 256 * 1024;
/// What is taken by who says nothing of it, in bytes (RFC 8841, section 6.1).
const UNSAID_MESSAGE: usize = 64 * 1024;

/// What a peer's own side of a description says. The password isn't shown.
#[derive(Clone)]
pub struct Local {
    /// ICE user name fragment.
    pub ufrag: String,
    /// ICE password.
    pub password: String,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// The SCTP INIT chunk, towards a partner of this library.
    pub sctp_init: Option<Vec<u8>>,
}

/// What the other side's description says. The password isn't shown.
#[derive(Clone)]
pub struct Remote {
    /// ICE user name fragment.
    pub ufrag: String,
    /// ICE password.
    pub password: String,
    /// SHA-256 of the certificate.
    pub fingerprint: [u8; 32],
    /// The SCTP INIT chunk, from a partner of this library.
    pub sctp_init: Option<Vec<u8>>,
    /// The largest message that it takes, in bytes; 0: any. None is said: 64 KiB (RFC 8841, section 6.1).
    pub max_message: Option<u64>,
}

impl Remote {
    /// Bytes that a message to it may have.
    pub(super) fn most_message(&self) -> usize {
        match self.max_message {
            None => UNSAID_MESSAGE,
            Some(0) => usize::MAX,
            Some(most) => usize::try_from(most).unwrap_or(usize::MAX),
        }
    }
}

impl fmt::Debug for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Local").field("ufrag", &self.ufrag).finish_non_exhaustive()
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ufrag, max_message, .. } = self;
        f.debug_struct("Remote").field("ufrag", ufrag).field("max_message", max_message).finish_non_exhaustive()
    }
}

impl From<&Local> for Remote {
    fn from(local: &Local) -> Self {
        let Local { ufrag, password, fingerprint, sctp_init } = local.clone();
        Self { ufrag, password, fingerprint, sctp_init, max_message: Some(MOST_MESSAGE) }
    }
}

/// What [`Engine::poll_transmit`] has appended: datagrams of one length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// From which of our candidates' bases.
    pub local: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// The length of each datagram, in bytes; the last may be shorter.
    pub segment: usize,
    /// How the network may mark them.
    pub ecn: Option<Ecn>,
}

/// What happened to a peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// ICE has another state.
    Ice(IceState),
    /// DTLS is connected.
    Connected,
    /// A channel is open: its place among the channels, and its label.
    Open(usize, String),
    /// There is room again after [`Engine::room`] was too small.
    Writable,
    /// A channel is closed. What came on it before, and is not held, has been taken.
    ChannelClosed(usize),
    /// The peer has ended; nothing follows. What came before, and is not held, has been taken.
    Over(Over),
}

/// Why a peer has ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Over {
    /// The other side has closed DTLS or SCTP.
    #[error("closed by the other side")]
    Closed,
    /// The engine failed: the handshake, a fingerprint that is not the announced one, an association that was lost.
    #[error("{0}")]
    Failed(String),
    /// More messages wait than the other side was allowed to send.
    #[error("more than the window allows")]
    Flooded,
}

/// A message that has come, lent until the engine is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// The channel's place.
    pub channel: usize,
    /// Whether it is binary, and not text.
    pub is_binary: bool,
    /// The message.
    pub bytes: &'a [u8],
}

/// A channel that is to be opened towards a foreign peer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelSpec {
    /// Its label.
    pub label: String,
    /// Whether order is kept.
    pub ordered: bool,
    /// How often a lost message is sent again; none: until it arrives.
    pub max_retransmits: Option<u16>,
    /// Its number, if both sides have agreed on one beforehand.
    pub negotiated: Option<u16>,
}

impl ChannelSpec {
    /// The channels of a peer of this library, in their places: [`BULK`], reliable, and [`QUICK`], sent once; neither
    /// keeps order.
    pub fn agreed() -> [Self; 2] {
        let of = |label: &str, max_retransmits, number| Self {
            label: label.to_owned(),
            ordered: false,
            max_retransmits,
            negotiated: Some(number),
        };
        [of("bulk", None, 0), of("quick", Some(0), 1)]
    }
}

/// What carries one peer's messages.
#[derive(Debug)]
pub enum Engine {
    /// This library's own.
    Data(Box<Data>),
    /// `str0m`.
    #[cfg(feature = "str0m")]
    Str0m(Box<Str0m>),
}

/// Does the same with whichever engine it is.
macro_rules! either {
    ($engine:expr, $name:ident => $does:expr) => {
        match $engine {
            Engine::Data($name) => $does,
            #[cfg(feature = "str0m")]
            Engine::Str0m($name) => $does,
        }
    };
}

impl Engine {
    /// An engine that has not begun.
    ///
    /// # Errors
    /// The engine's, in words: there is no randomness, or a certificate that does not fit.
    pub fn new(cx: &mut Cx<'_>, crypto: &Crypto, config: EngineConfig) -> Result<Self, String> {
        match config.kind {
            EngineKind::Data => Ok(Self::Data(Box::new(Data::new(cx, crypto, config)))),
            #[cfg(feature = "str0m")]
            EngineKind::Str0m => Ok(Self::Str0m(Box::new(Str0m::new(cx, crypto, config)?))),
        }
    }

    /// What our description says.
    pub fn local(&self) -> &Local {
        either!(self, engine => engine.local())
    }

    /// Begins, towards the other side: `is_active` connects by DTLS. Called again with other credentials it is an ICE
    /// restart; then all else must be as before.
    ///
    /// # Errors
    /// The engine's, in words.
    pub fn start(&mut self, cx: &mut Cx<'_>, remote: &Remote, is_active: bool) -> Result<(), String> {
        either!(self, engine => engine.start(cx, remote, is_active))
    }

    /// Takes other ICE credentials for a restart (RFC 8445, section 2.4); they are in [`Self::local`] then.
    pub fn restart(&mut self, cx: &mut Cx<'_>) {
        either!(self, engine => engine.restart(cx));
    }

    /// One more address of ours. False: it is of no use to the engine.
    pub fn add_local(&mut self, cx: &mut Cx<'_>, candidate: &Candidate) -> bool {
        either!(self, engine => engine.add_local(cx, candidate))
    }

    /// An address of ours that is gone.
    pub fn remove_local(&mut self, cx: &mut Cx<'_>, candidate: &Candidate) {
        either!(self, engine => engine.remove_local(cx, candidate));
    }

    /// One more address of the other side. False: it is of no use to the engine, or there are too many.
    pub fn add_remote(&mut self, cx: &mut Cx<'_>, candidate: &Candidate) -> bool {
        either!(self, engine => engine.add_remote(cx, candidate))
    }

    /// Checks a pair now, if one waits: checks are paced, and would begin after a pause.
    pub fn check(&mut self, cx: &mut Cx<'_>) {
        either!(self, engine => engine.check(cx));
    }

    /// Takes in one datagram, which is decrypted in place; `local` is the base of the candidate that it came to.
    pub fn receive(
        &mut self,
        cx: &mut Cx<'_>,
        local: SocketAddr,
        source: SocketAddr,
        ecn: Option<Ecn>,
        data: &mut [u8],
    ) {
        either!(self, engine => engine.receive(cx, local, source, ecn, data));
    }

    /// Lets time pass.
    pub fn on_timeout(&mut self, cx: &mut Cx<'_>) {
        either!(self, engine => engine.on_timeout(cx));
    }

    /// When [`Self::on_timeout`] is due. To be asked once nothing is left to be taken out.
    pub fn deadline(&self) -> Option<Deadline> {
        either!(self, engine => engine.deadline())
    }

    /// Appends datagrams to `out`, `most` bytes of them or a single one. None: nothing is to be sent now.
    pub fn poll_transmit(&mut self, cx: &mut Cx<'_>, out: &mut Vec<u8>, most: usize) -> Option<Sent> {
        either!(self, engine => engine.poll_transmit(cx, out, most))
    }

    /// What has happened.
    pub fn poll_event(&mut self) -> Option<Event> {
        either!(self, engine => engine.poll_event())
    }

    /// The next message of a channel that is not held.
    pub fn poll_message(&mut self, cx: &mut Cx<'_>) -> Option<Message<'_>> {
        either!(self, engine => engine.poll_message(cx))
    }

    /// Holds a channel's messages back, or lets them go again.
    pub fn hold(&mut self, channel: usize, is_held: bool) {
        either!(self, engine => engine.hold(channel, is_held));
    }

    /// Opens a channel towards a foreign peer; [`Event::Open`] follows, or [`Event::ChannelClosed`] where the other side's
    /// description leaves no room for it. None: there are too many.
    pub fn open_channel(&mut self, cx: &mut Cx<'_>, spec: ChannelSpec) -> Option<usize> {
        either!(self, engine => engine.open_channel(cx, spec))
    }

    /// Closes a channel of a foreign peer.
    pub fn close_channel(&mut self, cx: &mut Cx<'_>, channel: usize) {
        either!(self, engine => engine.close_channel(cx, channel));
    }

    /// Bytes that may be written now, in all channels; [`Self::want_room`] asks to be told when there are more.
    pub fn room(&mut self) -> usize {
        either!(self, engine => engine.room())
    }

    /// Notes that somebody waits for room: [`Event::Writable`] follows.
    pub fn want_room(&mut self) {
        either!(self, engine => engine.want_room());
    }

    /// Writes one message that fits [`Self::room`]. False: it was not taken, as one that the other side does not take,
    /// and as an empty one by `str0m`.
    pub fn write(&mut self, cx: &mut Cx<'_>, channel: usize, is_binary: bool, message: &[u8]) -> bool {
        either!(self, engine => engine.write(cx, channel, is_binary, message))
    }

    /// The addresses, ours first, between which data goes; none before that.
    pub fn pair(&self) -> Option<(SocketAddr, SocketAddr)> {
        either!(self, engine => engine.pair())
    }

    /// Datagrams that were of no use.
    pub fn dropped(&self) -> u64 {
        either!(self, engine => engine.dropped())
    }

    /// Tells the other side that it is over, as far as that can be sent at once.
    pub fn close(&mut self, cx: &mut Cx<'_>) {
        either!(self, engine => engine.close(cx));
    }
}

#[cfg(test)]
mod tests;
