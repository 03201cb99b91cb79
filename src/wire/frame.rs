//! What two hubs say on a link once both have proved who they are: one frame a message.
//!
//! | kind | frame | body |
//! | --- | --- | --- |
//! | 0 | `Data` | route, a packet of a session |
//! | 1 | `Open` | route, to, from, hops |
//! | 2 | `Opened` | route, yours, from |
//! | 3 | `Unreachable` | route, reason |
//! | 4 | `CloseRoute` | route, reason |
//! | 5, 6 | `Ping`, `Pong` | nonce (8 bytes) |
//! | 7 | `Goodbye` | reason, text to the end |
//! | 8, 9 | `Watch`, `Unwatch` | endpoint id |
//! | 10 | `Presence` | address; instance 0: away |
//! | 11 | `Room` | a room message |
//! | 12 | `Hello` | address, whether it relays; only on links inside one process |
//! | 13 | `WantServers` | nothing |
//! | 14 | `Servers` | a list of servers |
//!
//! Numbers are big-endian. A *route* is a number of 32 bits, allotted per link by whoever receives data under it, as
//! the channel number of TURN is (RFC 8656, section 12), so that no packet carries addresses. `Open` names the route
//! on which its sender wants data; `Opened` repeats that and names the one on which it wants data itself.

use super::cursor::{Cursor, Malformed, cut};
use super::identity::{Address, EndpointId};
use super::reason::{UnknownReason, reasons};

/// One frame; what it lends lies in the message that it was read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A packet of a session, for whoever the receiver has allotted that route to.
    Data {
        /// Allotted by the receiver.
        route: u32,
        /// The packet.
        packet: &'a [u8],
    },
    /// Asks for a route to an endpoint.
    Open {
        /// Allotted by the sender: where it wants data.
        route: u32,
        /// Where to.
        to: Address,
        /// Where from.
        from: Address,
        /// How many more relays may pass it on.
        hops: u8,
    },
    /// The route stands.
    Opened {
        /// Allotted by the receiver: the one that it opened.
        route: u32,
        /// Allotted by the sender: where it wants data.
        yours: u32,
        /// Whom it reaches, with the instance.
        from: Address,
    },
    /// There is no such route.
    Unreachable {
        /// Allotted by the receiver: the one that it opened.
        route: u32,
        /// Why.
        reason: Unreachable,
    },
    /// The route is dead.
    CloseRoute {
        /// Allotted by the receiver.
        route: u32,
        /// Why.
        reason: Unreachable,
    },
    /// To be answered by `Pong` with the same nonce.
    Ping(u64),
    /// The answer to `Ping`.
    Pong(u64),
    /// The sender is about to close the link.
    Goodbye {
        /// Why.
        reason: Farewell,
        /// Words for people, at most [`MAX_TEXT`] bytes.
        text: &'a str,
    },
    /// Asks to be told when that endpoint comes and goes.
    Watch(EndpointId),
    /// Takes a `Watch` back.
    Unwatch(EndpointId),
    /// That endpoint is here with that instance, or away.
    Presence(Address),
    /// A message about a room.
    Room(&'a [u8]),
    /// Who the sender is, where both ends lie in one process and nothing needs proof.
    Hello {
        /// The sender.
        address: Address,
        /// Whether it passes on what is for others.
        relays: bool,
    },
    /// Asks a relay for STUN and TURN servers.
    WantServers,
    /// The answer: a [list](super::servers), which may be empty.
    Servers(&'a [u8]),
}

/// Bytes of a `Data` frame before its packet.
pub const DATA_HEAD: usize = 5;

/// Most bytes of a text in `Goodbye`.
pub const MAX_TEXT: usize = 256;

reasons! {
    /// Why there is no route, or no longer.
    Unreachable {
        /// Nobody of that id is known here.
        Unknown = 0, "nobody of that id is there";
        /// The endpoint is there, that instance is not.
        Instance = 1, "that process of the endpoint is not there any more";
        /// This hub passes nothing on.
        NotARelay = 2, "the neighbour is no relay";
        /// The policy of the relay forbids it.
        NotAllowed = 3, "the relay does not allow it";
        /// A quota of the relay is used up.
        Quota = 4, "a quota of the relay is used up";
        /// It was passed on too often.
        Hops = 5, "it was passed on too often";
        /// The link that it went over has gone down.
        LinkDown = 6, "a link on the way has gone down";
        /// The other end has closed it.
        Closed = 7, "the other end has closed it";
        /// What came on it broke a rule.
        Misbehaved = 8, "what came on it broke a rule";
        /// There was no answer in time.
        TimedOut = 9, "there was no answer in time";
    }
}

reasons! {
    /// Why a hub leaves a neighbour.
    Farewell {
        /// It stops.
        Stopping = 0, "it stops";
        /// Its policy does not admit the neighbour.
        NotAllowed = 1, "it does not admit us";
        /// The neighbour has as many links as it may.
        TooManyLinks = 2, "we have too many links to it";
        /// The neighbour has broken a rule.
        Misbehaved = 3, "we broke a rule";
        /// It does not need the link any more.
        Removed = 4, "it does not need the link any more";
    }
}

/// Why a message is no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum FrameError {
    /// A part of it is wrong.
    #[error("a frame: {0}")]
    Malformed(#[from] Malformed),
    /// There is no such kind.
    #[error("a frame of the unknown kind {0}")]
    Kind(u8),
    /// There is no such reason.
    #[error("a frame with {0}")]
    Reason(#[from] UnknownReason),
    /// Something follows the frame.
    #[error("a frame with something after its end")]
    Trailing,
    /// The text of a goodbye is too long.
    #[error("a goodbye of more than 256 bytes")]
    Text,
}

const DATA: u8 = 0;

/// What stands before the packet of a `Data` frame.
pub const fn data_head(route: u32) -> [u8; DATA_HEAD] {
    let [a, b, c, d] = route.to_be_bytes();
    [DATA, a, b, c, d]
}

impl<'a> Frame<'a> {
    /// The route of a `Data` frame; none for other frames.
    pub fn data_route(message: &[u8]) -> Option<u32> {
        let [DATA, a, b, c, d, ..] = *message else { return None };
        Some(u32::from_be_bytes([a, b, c, d]))
    }

    /// Reads a message.
    ///
    /// # Errors
    /// One variant per rule.
    pub fn decode(message: &'a [u8]) -> Result<Self, FrameError> {
        let mut cursor = Cursor::new(message);
        let frame = Self::take(&mut cursor)?;
        if cursor.is_empty() { Ok(frame) } else { Err(FrameError::Trailing) }
    }

    fn take(cursor: &mut Cursor<'a>) -> Result<Self, FrameError> {
        Ok(match cursor.u8()? {
            DATA => Self::Data { route: cursor.u32()?, packet: cursor.rest() },
            1 => Self::Open {
                route: cursor.u32()?,
                to: Address::take(cursor)?,
                from: Address::take(cursor)?,
                hops: cursor.u8()?,
            },
            2 => Self::Opened { route: cursor.u32()?, yours: cursor.u32()?, from: Address::take(cursor)? },
            3 => Self::Unreachable { route: cursor.u32()?, reason: Unreachable::from_code(cursor.u8()?)? },
            4 => Self::CloseRoute { route: cursor.u32()?, reason: Unreachable::from_code(cursor.u8()?)? },
            5 => Self::Ping(cursor.u64()?),
            6 => Self::Pong(cursor.u64()?),
            7 => Self::Goodbye { reason: Farewell::from_code(cursor.u8()?)?, text: text(cursor.rest())? },
            8 => Self::Watch(EndpointId(cursor.array()?)),
            9 => Self::Unwatch(EndpointId(cursor.array()?)),
            10 => Self::Presence(Address::take(cursor)?),
            11 => Self::Room(cursor.rest()),
            12 => Self::Hello { address: Address::take(cursor)?, relays: cursor.u8()? != 0 },
            13 => Self::WantServers,
            14 => Self::Servers(cursor.rest()),
            kind => return Err(FrameError::Kind(kind)),
        })
    }

    /// Writes it as a message.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(96);
        self.put(&mut out);
        out
    }

    fn put(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Data { route, packet } => {
                out.extend_from_slice(&data_head(route));
                out.extend_from_slice(packet);
            }
            Self::Open { route, to, from, hops } => {
                numbered(out, 1, route);
                to.put(out);
                from.put(out);
                out.push(hops);
            }
            Self::Opened { route, yours, from } => {
                numbered(out, 2, route);
                out.extend_from_slice(&yours.to_be_bytes());
                from.put(out);
            }
            Self::Unreachable { route, reason } => {
                numbered(out, 3, route);
                out.push(reason as u8);
            }
            Self::CloseRoute { route, reason } => {
                numbered(out, 4, route);
                out.push(reason as u8);
            }
            Self::Ping(nonce) => tagged(out, 5, &nonce.to_be_bytes()),
            Self::Pong(nonce) => tagged(out, 6, &nonce.to_be_bytes()),
            Self::Goodbye { reason, text } => {
                out.extend_from_slice(&[7, reason as u8]);
                out.extend_from_slice(cut(text, MAX_TEXT).as_bytes());
            }
            Self::Watch(id) => tagged(out, 8, &id.0),
            Self::Unwatch(id) => tagged(out, 9, &id.0),
            Self::Presence(address) => {
                out.push(10);
                address.put(out);
            }
            Self::Room(message) => tagged(out, 11, message),
            Self::Hello { address, relays } => {
                out.push(12);
                address.put(out);
                out.push(u8::from(relays));
            }
            Self::WantServers => out.push(13),
            Self::Servers(list) => tagged(out, 14, list),
        }
    }
}

fn text(bytes: &[u8]) -> Result<&str, FrameError> {
    if bytes.len() > MAX_TEXT {
        return Err(FrameError::Text);
    }
    std::str::from_utf8(bytes).map_err(|_| Malformed::Utf8.into())
}

fn tagged(out: &mut Vec<u8>, kind: u8, body: &[u8]) {
    out.push(kind);
    out.extend_from_slice(body);
}

fn numbered(out: &mut Vec<u8>, kind: u8, route: u32) {
    tagged(out, kind, &route.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::identity::Instance;
    use super::*;

    fn address(n: u8) -> Address {
        Address { id: EndpointId([n; 32]), instance: Instance(u32::from(n)) }
    }

    fn frames() -> Vec<Frame<'static>> {
        vec![
            Frame::Data { route: 7, packet: b"packet" },
            Frame::Open { route: 1, to: address(1), from: address(2), hops: 3 },
            Frame::Opened { route: 1, yours: 2, from: address(3) },
            Frame::Unreachable { route: 1, reason: Unreachable::Quota },
            Frame::CloseRoute { route: 1, reason: Unreachable::Closed },
            Frame::Ping(5),
            Frame::Pong(6),
            Frame::Goodbye { reason: Farewell::Stopping, text: "until later" },
            Frame::Watch(address(9).id),
            Frame::Unwatch(address(9).id),
            Frame::Presence(address(4)),
            Frame::Room(b"room"),
            Frame::Hello { address: address(5), relays: true },
            Frame::WantServers,
            Frame::Servers(b"list"),
        ]
    }

    #[test]
    fn every_frame_comes_back() {
        for frame in frames() {
            assert_eq!(Frame::decode(&frame.encode()), Ok(frame));
        }
    }

    #[test]
    fn a_frame_that_is_cut_short_or_continued_is_refused() {
        let open_ended = |frame: &Frame<'_>| {
            matches!(frame, Frame::Data { .. } | Frame::Goodbye { .. } | Frame::Room(_) | Frame::Servers(_))
        };
        for frame in frames().iter().filter(|frame| !open_ended(frame)) {
            let mut bytes = frame.encode();
            for len in 0..bytes.len() {
                assert_eq!(Frame::decode(&bytes[..len]), Err(FrameError::Malformed(Malformed::Truncated)));
            }
            bytes.push(0);
            assert_eq!(Frame::decode(&bytes), Err(FrameError::Trailing));
        }
    }

    #[test]
    fn each_broken_rule_has_its_own_error() {
        assert_eq!(Frame::decode(&[99]), Err(FrameError::Kind(99)));
        assert_eq!(Frame::decode(&[3, 0, 0, 0, 1, 77]), Err(FrameError::Reason(UnknownReason(77))));
        assert_eq!(Frame::decode(&[&[7, 0][..], &[b'x'; 257]].concat()), Err(FrameError::Text));
        assert_eq!(Frame::decode(&[7, 0, 0xff]), Err(FrameError::Malformed(Malformed::Utf8)));
    }

    #[test]
    fn the_route_of_data_is_read_without_the_rest() {
        let data = Frame::Data { route: 0x0102_0304, packet: b"" }.encode();
        assert_eq!(Frame::data_route(&data), Some(0x0102_0304));
        assert_eq!(Frame::data_route(&Frame::Ping(1).encode()), None);
        assert_eq!(Frame::data_route(&data[..4]), None);
    }
}
