//! What one side knows of its ways out, told to the other, so that both can say why no direct path is found.
//!
//! Four bytes: flags, then three small numbers, then a number of 16 bits.
//!
//! | byte | bits, from the lowest |
//! | --- | --- |
//! | 0 | IPv4, IPv6, host, reflexive, relayed candidates, gathered |
//! | 1 | 2 bits mapping, 2 bits UDP, then which kinds are given out: host, reflexive, relayed |
//! | 2, 3 | TURN: 0 not configured, 1 pending, 2 works, 3 wrong credentials, 4 unreachable, from 300 the code of a refusal |
//!
//! Bits without a meaning, and bytes after the fourth, are for later versions: they are written as none and not looked
//! at. A TURN state without a meaning is read as pending, a UDP state as unknown.

use super::cursor::{Cursor, Malformed};

/// What one side knows of its ways out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Outlook {
    /// It has an IPv4 address that others might reach.
    pub ipv4: bool,
    /// It has an IPv6 address that others might reach.
    pub ipv6: bool,
    /// It has given out addresses of its own.
    pub host: bool,
    /// It has given out addresses that a STUN server saw.
    pub reflexive: bool,
    /// It has given out addresses that a TURN server lends.
    pub relayed: bool,
    /// What its NATs do.
    pub mapping: Mapping,
    /// Whether its UDP reaches anyone.
    pub udp: UdpReach,
    /// How it fares with TURN.
    pub turn: TurnState,
    /// Which kinds of candidates it gives out.
    pub policy: CandidatePolicy,
    /// Nothing more will come.
    pub gathered: bool,
}

/// What the NATs in front of a host do with its ports (RFC 4787, section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Mapping {
    /// Nobody has told yet.
    #[default]
    Unknown,
    /// There is no NAT.
    Direct,
    /// One port outside for all destinations.
    EndpointIndependent,
    /// A new port outside per destination: nobody else can be told it beforehand.
    Dependent,
}

/// Whether UDP reaches anyone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum UdpReach {
    /// No server was asked, or none has answered yet.
    #[default]
    Unknown,
    /// A STUN or TURN server answered over UDP.
    Answers,
    /// None of them did.
    Silent,
}

/// How a side fares with its TURN servers; the best of them counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum TurnState {
    /// It has none.
    #[default]
    NotConfigured,
    /// Asked, not answered yet.
    Pending,
    /// One lends an address.
    Works,
    /// They do not know the user, or the password is wrong.
    WrongCredentials,
    /// They refuse with this code (RFC 8656, section 18.5), 300 to 699.
    Refused(u16),
    /// None answers.
    Unreachable,
}

/// Which kinds of its own candidates a side gives out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CandidatePolicy {
    /// Addresses of its own.
    pub host: bool,
    /// Addresses that a STUN server saw.
    pub srflx: bool,
    /// Addresses that a TURN server lends.
    pub relay: bool,
}

impl CandidatePolicy {
    /// All kinds.
    pub const ALL: Self = Self { host: true, srflx: true, relay: true };
    /// Only addresses that a TURN server lends: the other side never learns one's own.
    pub const RELAY: Self = Self { host: false, srflx: false, relay: true };
}

impl Default for CandidatePolicy {
    fn default() -> Self {
        Self::ALL
    }
}

impl Outlook {
    /// Writes its four bytes.
    pub(super) fn put(&self, out: &mut Vec<u8>) {
        let Self { ipv4, ipv6, host, reflexive, relayed, gathered, policy, .. } = *self;
        out.push(bits(&[ipv4, ipv6, host, reflexive, relayed, gathered]));
        let policy = bits(&[policy.host, policy.srflx, policy.relay]);
        out.push(self.mapping as u8 | (self.udp as u8) << 2 | policy << 4);
        out.extend_from_slice(&self.turn.code().to_be_bytes());
    }

    /// Reads its four bytes, and passes over what follows them.
    pub(super) fn take(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let [flags, states, high, low] = cursor.array()?;
        cursor.rest();
        let flag = |place: u8| flags >> place & 1 == 1;
        let gives = |place: u8| states >> place & 1 == 1;
        Ok(Self {
            ipv4: flag(0),
            ipv6: flag(1),
            host: flag(2),
            reflexive: flag(3),
            relayed: flag(4),
            gathered: flag(5),
            mapping: Mapping::of(states & 3),
            udp: UdpReach::of(states >> 2 & 3),
            turn: TurnState::of(u16::from_be_bytes([high, low])),
            policy: CandidatePolicy { host: gives(4), srflx: gives(5), relay: gives(6) },
        })
    }
}

/// The first flag is the lowest bit.
fn bits(flags: &[bool]) -> u8 {
    flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag))
}

impl Mapping {
    const fn of(bits: u8) -> Self {
        match bits {
            1 => Self::Direct,
            2 => Self::EndpointIndependent,
            3 => Self::Dependent,
            _ => Self::Unknown,
        }
    }
}

impl UdpReach {
    const fn of(bits: u8) -> Self {
        match bits {
            1 => Self::Answers,
            2 => Self::Silent,
            _ => Self::Unknown,
        }
    }
}

impl TurnState {
    const fn code(self) -> u16 {
        match self {
            Self::NotConfigured => 0,
            Self::Pending => 1,
            Self::Works => 2,
            Self::WrongCredentials => 3,
            Self::Unreachable => 4,
            Self::Refused(code @ 300..) => code,
            Self::Refused(_) => 300,
        }
    }

    const fn of(code: u16) -> Self {
        match code {
            0 => Self::NotConfigured,
            2 => Self::Works,
            3 => Self::WrongCredentials,
            4 => Self::Unreachable,
            300.. => Self::Refused(code),
            _ => Self::Pending,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<Outlook, Malformed> {
        Outlook::take(&mut Cursor::new(bytes))
    }

    fn written(outlook: Outlook) -> Vec<u8> {
        let mut out = Vec::new();
        outlook.put(&mut out);
        out
    }

    #[test]
    fn every_outlook_comes_back() {
        let turns = [0, 1, 2, 3, 4, 300, 401, 486, 699].map(TurnState::of);
        for flags in 0..64 {
            for states in 0..128 {
                let turn = turns[usize::from(states) % turns.len()];
                let outlook = Outlook { turn, ..read(&[flags, states, 0, 0]).unwrap() };
                assert_eq!(read(&written(outlook)), Ok(outlook));
            }
        }
    }

    #[test]
    fn bits_and_bytes_of_later_versions_are_passed_over() {
        let known = read(&[0x01, 0x12, 0, 2]).unwrap();
        assert_eq!(read(&[0xc1, 0x92, 0, 2, 7, 7]), Ok(known));
        assert_eq!(read(&[0, 0, 0, 77]).unwrap().turn, TurnState::Pending);
        assert_eq!(read(&[0, 0x0c, 0, 0]).unwrap().udp, UdpReach::Unknown);
    }

    #[test]
    fn an_outlook_that_is_cut_short_is_refused() {
        for len in 0..4 {
            assert_eq!(read(&[0; 4][..len]), Err(Malformed::Truncated));
        }
    }
}
