//! What one side of a session knows of its ways out: told to the other side, so that both can say why there is no
//! direct path.
//!
//! On the wire it is ten bytes: a byte of flags (1 IPv4, 2 IPv6, 4 host, 8 reflexive, 16 relayed, 32 gathered), the
//! mapping, the reach of UDP, the state of TURN, its code (2 bytes, big-endian), the policy (1 host, 2 reflexive,
//! 4 relayed), and three bytes for later, which are 0.

use super::cursor::{Cursor, Malformed};

/// What one side knows of its ways out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outlook {
    /// There is a usable IPv4 address.
    pub ipv4: bool,
    /// There is a usable IPv6 address.
    pub ipv6: bool,
    /// Host candidates were given out.
    pub host: bool,
    /// Server-reflexive candidates were given out.
    pub reflexive: bool,
    /// Relayed candidates were given out.
    pub relayed: bool,
    /// What the NAT does.
    pub mapping: Mapping,
    /// Whether UDP gets out.
    pub udp: UdpReach,
    /// How TURN fares.
    pub turn: TurnState,
    /// Which candidates are given out at all.
    pub policy: CandidatePolicy,
    /// Nothing more will come.
    pub gathered: bool,
}

/// How a NAT chooses its ports (RFC 4787, section 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum Mapping {
    /// Nobody knows.
    #[default]
    Unknown,
    /// There is no NAT.
    Direct,
    /// One port for all destinations.
    EndpointIndependent,
    /// A new port per destination.
    Dependent,
}

/// Whether a STUN or TURN server has answered over UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum UdpReach {
    /// None was asked, or not for long enough.
    #[default]
    Unknown,
    /// One has.
    Answers,
    /// None has.
    Silent,
}

/// How TURN fares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub enum TurnState {
    /// No server is configured.
    #[default]
    NotConfigured,
    /// One is asked.
    Pending,
    /// One works.
    Works,
    /// A server does not take our word.
    WrongCredentials,
    /// A server refuses, with this code.
    Refused(u16),
    /// No server answers.
    Unreachable,
}

/// Which kinds of own candidates are given out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CandidatePolicy {
    /// Addresses of the host.
    pub host: bool,
    /// Addresses of its NAT.
    pub srflx: bool,
    /// Addresses at TURN servers.
    pub relay: bool,
}

impl Default for CandidatePolicy {
    fn default() -> Self {
        Self { host: true, srflx: true, relay: true }
    }
}

impl Outlook {
    /// Reads one.
    ///
    /// # Errors
    /// It is cut short, or names something that does not exist.
    pub fn take(cursor: &mut Cursor<'_>) -> Result<Self, Malformed> {
        let [flags, mapping, udp, turn, high, low, policy, _, _, _] = cursor.array()?;
        Ok(Self {
            ipv4: flags & 1 != 0,
            ipv6: flags & 2 != 0,
            host: flags & 4 != 0,
            reflexive: flags & 8 != 0,
            relayed: flags & 16 != 0,
            gathered: flags & 32 != 0,
            mapping: [Mapping::Unknown, Mapping::Direct, Mapping::EndpointIndependent, Mapping::Dependent]
                [usize::from(mapping & 3)],
            udp: match udp {
                1 => UdpReach::Answers,
                2 => UdpReach::Silent,
                _ => UdpReach::Unknown,
            },
            turn: match turn {
                1 => TurnState::Pending,
                2 => TurnState::Works,
                3 => TurnState::WrongCredentials,
                4 => TurnState::Refused(u16::from_be_bytes([high, low])),
                5 => TurnState::Unreachable,
                _ => TurnState::NotConfigured,
            },
            policy: CandidatePolicy { host: policy & 1 != 0, srflx: policy & 2 != 0, relay: policy & 4 != 0 },
        })
    }

    /// Appends it.
    pub fn put(&self, out: &mut Vec<u8>) {
        let flags = [self.ipv4, self.ipv6, self.host, self.reflexive, self.relayed, self.gathered];
        let policy = [self.policy.host, self.policy.srflx, self.policy.relay];
        let (turn, code) = match self.turn {
            TurnState::NotConfigured => (0, 0),
            TurnState::Pending => (1, 0),
            TurnState::Works => (2, 0),
            TurnState::WrongCredentials => (3, 0),
            TurnState::Refused(code) => (4, code),
            TurnState::Unreachable => (5, 0),
        };
        let [high, low] = code.to_be_bytes();
        out.extend([bits(&flags), self.mapping as u8, self.udp as u8, turn, high, low, bits(&policy), 0, 0, 0]);
    }
}

fn bits(flags: &[bool]) -> u8 {
    flags.iter().rev().fold(0, |bits, flag| bits << 1 | u8::from(*flag))
}
