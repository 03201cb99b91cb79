//! Candidates: addresses at which a peer may be reached, as the attribute that carries them (RFC 8839, section 5.1).
//!
//! ```text
//! candidate:842163049 1 udp 1677729535 203.0.113.7 46154 typ srflx raddr 192.0.2.10 rport 46154 ufrag aBcD
//! ```
//!
//! *Taken in* are the forms that browsers and libraries send: with and without `a=` and `candidate:`, the transport in
//! either case. Extension attributes are skipped, but for `ufrag`, which tells of which description a candidate is. A
//! candidate that no socket could use (a name, a second component, no port) is an error with the rule's name, for its
//! receiver to count: none of them ends a peer.
//!
//! *Priority* is RFC 8445, section 5.1.2.1, with the type preferences that it recommends, and a local preference that
//! puts IPv6 before IPv4 (RFC 8421, section 4). *Foundation* is a hash of type, base and protocol: equal for those whose
//! checks have the same fate (section 5.1.1.3). The server that told an address is left out, as a peer seldom asks two
//! by one socket.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::text::{ice_chars, number};

/// The longest attribute that is read, in bytes.
pub const MAX_CANDIDATE: usize = 1024;

/// What carries datagrams to a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    /// UDP.
    Udp,
    /// TCP (RFC 6544).
    Tcp,
}

/// How an address was found (RFC 8445, section 4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CandidateKind {
    /// An address of the host itself.
    Host,
    /// What a STUN server saw.
    ServerReflexive,
    /// What the other peer saw.
    PeerReflexive,
    /// An address that a TURN server lends.
    Relayed,
}

/// One address at which a peer may be reached; of component 1, as data needs no other.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Candidate {
    /// Equal for candidates whose checks have the same fate; 1 to 32 letters, digits, `+` and `/`.
    pub foundation: String,
    /// What carries it.
    pub protocol: Protocol,
    /// The greater, the sooner it is tried.
    pub priority: u32,
    /// The address.
    pub address: SocketAddr,
    /// How it was found.
    pub kind: CandidateKind,
    /// What lies behind it: the base of a reflexive one, what its server saw of a relayed one.
    pub related: Option<SocketAddr>,
    /// The user name fragment of the description that it belongs to.
    pub ufrag: Option<String>,
}

/// Why a text is no candidate that a peer could use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum CandidateError {
    /// It is longer than [`MAX_CANDIDATE`].
    #[error("a candidate of {0} bytes")]
    TooLong(usize),
    /// It ends too early.
    #[error("a candidate that ends too early")]
    Truncated,
    /// Its foundation is empty, longer than 32 characters, or has others than ICE allows.
    #[error("a candidate's foundation is not 1 to 32 ICE characters")]
    Foundation,
    /// Its component is no number from 1 to 256.
    #[error("a candidate's component is no number from 1 to 256")]
    ComponentNumber,
    /// It is of another component than the first.
    #[error("a candidate of component {0}")]
    Component(u16),
    /// Its transport is neither UDP nor TCP.
    #[error("a candidate of an unknown transport")]
    Transport,
    /// Its priority is no number from 1 to 2^31 - 1.
    #[error("a candidate's priority is no number from 1 to 2^31 - 1")]
    Priority,
    /// It has a name in place of an address, as browsers give out where they hide their own (mDNS).
    #[error("a candidate with a name in place of an address")]
    Name,
    /// Its address is malformed.
    #[error("a candidate's address is malformed")]
    Address,
    /// Nothing can be sent to its address: unspecified, multicast or broadcast.
    #[error("a candidate with an address that nothing can be sent to")]
    Unusable,
    /// Its port is no number from 1 to 65,535.
    #[error("a candidate's port is no number from 1 to 65,535")]
    Port,
    /// Its type is missing or unknown.
    #[error("a candidate of an unknown type")]
    Kind,
    /// Its user name fragment is not 4 to 256 ICE characters.
    #[error("a candidate's user name fragment is not 4 to 256 ICE characters")]
    Ufrag,
}

impl CandidateKind {
    /// Its word in an attribute.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::ServerReflexive => "srflx",
            Self::PeerReflexive => "prflx",
            Self::Relayed => "relay",
        }
    }

    /// RFC 8445, section 5.1.2.2.
    const fn preference(self) -> u32 {
        match self {
            Self::Host => 126,
            Self::PeerReflexive => 110,
            Self::ServerReflexive => 100,
            Self::Relayed => 0,
        }
    }

    fn of(word: &str) -> Option<Self> {
        [Self::Host, Self::ServerReflexive, Self::PeerReflexive, Self::Relayed].into_iter().find(|k| k.word() == word)
    }
}

impl Candidate {
    /// A UDP candidate of one's own, with its priority and foundation. `related` is the base of a reflexive one, and
    /// what its server saw of a relayed one.
    pub fn new(kind: CandidateKind, address: SocketAddr, related: Option<SocketAddr>) -> Self {
        let base = match kind {
            CandidateKind::ServerReflexive | CandidateKind::PeerReflexive => related.unwrap_or(address),
            CandidateKind::Host | CandidateKind::Relayed => address,
        };
        let foundation = foundation(kind, base.ip()).to_string();
        let priority = priority(kind, base.ip());
        Self { foundation, protocol: Protocol::Udp, priority, address, kind, related, ufrag: None }
    }

    /// Reads an attribute, with or without `a=` and `candidate:`.
    ///
    /// # Errors
    /// One variant per rule.
    pub fn parse(text: &str) -> Result<Self, CandidateError> {
        if text.len() > MAX_CANDIDATE {
            return Err(CandidateError::TooLong(text.len()));
        }
        let text = text.trim();
        let text = text.strip_prefix("a=").unwrap_or(text);
        let mut words = text.strip_prefix("candidate:").unwrap_or(text).split_ascii_whitespace();
        let mut word = || words.next().ok_or(CandidateError::Truncated);
        let foundation = parse_foundation(word()?)?;
        parse_component(word()?)?;
        let protocol = parse_protocol(word()?)?;
        let priority = number(word()?).filter(|p| (1..1 << 31).contains(p)).ok_or(CandidateError::Priority)?;
        let ip = parse_ip(word()?)?;
        let port = number(word()?).filter(|port| *port != 0).ok_or(CandidateError::Port)?;
        if word()? != "typ" {
            return Err(CandidateError::Kind);
        }
        let kind = CandidateKind::of(word()?).ok_or(CandidateError::Kind)?;
        let Extensions { related, ufrag } = Extensions::take(words)?;
        Ok(Self { foundation, protocol, priority, address: SocketAddr::new(ip, port), kind, related, ufrag })
    }
}

/// The foundation as 32 bits: FNV-1a, as it need only tell few bases apart.
fn foundation(kind: CandidateKind, base: IpAddr) -> u32 {
    let octets = match base {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    let step = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    octets.iter().fold(0x811c_9dc5 ^ kind.preference(), step)
}

/// RFC 8445, section 5.1.2.1, with component 1.
const fn priority(kind: CandidateKind, base: IpAddr) -> u32 {
    let local: u32 = if base.is_ipv6() { 65_535 } else { 65_534 };
    (kind.preference() << 24) | (local << 8) | 255
}

fn parse_foundation(word: &str) -> Result<String, CandidateError> {
    if ice_chars(word, 1..=32) { Ok(word.to_owned()) } else { Err(CandidateError::Foundation) }
}

fn parse_component(word: &str) -> Result<(), CandidateError> {
    match number::<u16>(word) {
        Some(1) => Ok(()),
        Some(other @ 2..=256) => Err(CandidateError::Component(other)),
        _ => Err(CandidateError::ComponentNumber),
    }
}

fn parse_protocol(word: &str) -> Result<Protocol, CandidateError> {
    match word {
        _ if word.eq_ignore_ascii_case("udp") => Ok(Protocol::Udp),
        _ if word.eq_ignore_ascii_case("tcp") => Ok(Protocol::Tcp),
        _ => Err(CandidateError::Transport),
    }
}

fn parse_ip(word: &str) -> Result<IpAddr, CandidateError> {
    let Ok(ip) = word.parse::<IpAddr>() else {
        let numeric = word.contains(':') || word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        return Err(if numeric { CandidateError::Address } else { CandidateError::Name });
    };
    let useless = ip.is_unspecified() || ip.is_multicast() || ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    if useless { Err(CandidateError::Unusable) } else { Ok(ip) }
}

/// What follows the type: pairs of a name and a value.
struct Extensions {
    related: Option<SocketAddr>,
    ufrag: Option<String>,
}

impl Extensions {
    fn take<'a>(mut words: impl Iterator<Item = &'a str>) -> Result<Self, CandidateError> {
        let (mut ip, mut port, mut ufrag) = (None, None, None);
        while let (Some(name), Some(value)) = (words.next(), words.next()) {
            match name {
                "raddr" => ip = value.parse::<IpAddr>().ok(),
                "rport" => port = number::<u16>(value),
                "ufrag" if !ice_chars(value, 4..=256) => return Err(CandidateError::Ufrag),
                "ufrag" => ufrag = Some(value.to_owned()),
                _ => {}
            }
        }
        // Browsers write 0.0.0.0 and 0 where they hide it.
        let related = ip.zip(port).filter(|(ip, port)| !ip.is_unspecified() || *port != 0);
        Ok(Self { related: related.map(SocketAddr::from), ufrag })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if *self == Self::Udp { "udp" } else { "tcp" })
    }
}

impl fmt::Display for CandidateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// As an attribute's value: `candidate:… 1 udp … typ host`.
impl fmt::Display for Candidate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { foundation, protocol, priority, address, kind, .. } = self;
        let (ip, port) = (address.ip(), address.port());
        write!(f, "candidate:{foundation} 1 {protocol} {priority} {ip} {port} typ {kind}")?;
        if *kind != CandidateKind::Host {
            let related = self.related.unwrap_or_else(|| hidden(ip));
            write!(f, " raddr {} rport {}", related.ip(), related.port())?;
        }
        if *protocol == Protocol::Tcp {
            f.write_str(" tcptype passive")?;
        }
        self.ufrag.iter().try_for_each(|ufrag| write!(f, " ufrag {ufrag}"))
    }
}

/// What stands for a related address that is not told: RFC 8839 asks for one on all but host candidates.
const fn hidden(ip: IpAddr) -> SocketAddr {
    let ip = match ip {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    SocketAddr::new(ip, 0)
}

#[cfg(test)]
mod tests;
