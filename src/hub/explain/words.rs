//! Explanations in words.

use std::fmt;

use super::{Explanation, NotDirect, Side, Sides};

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{path}")?,
            None => f.write_str("no path")?,
        }
        if let Some(pair) = &self.pair {
            write!(f, ", {pair}")?;
        }
        if let Some(reason) = &self.not_direct {
            write!(f, ": {reason}")?;
        }
        match self.again_in {
            Some(time) => write!(f, "; tried again in {} s", time.as_millis().div_ceil(1_000)),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here => "this side",
            Self::There => "the other side",
        })
    }
}

impl fmt::Display for Sides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Here => "this side",
            Self::There => "the other side",
            Self::Both => "both sides",
        })
    }
}

impl fmt::Display for NotDirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoUpgradeHere => f.write_str("this endpoint makes no direct paths"),
            Self::NoUpgradeThere => f.write_str("the other endpoint makes no direct paths"),
            Self::Policy(side) => write!(f, "{side} wants this session to be relayed"),
            Self::NotAccepted => f.write_str("the session is not accepted yet"),
            Self::NoPath => f.write_str("no path is left over which one could be agreed on"),
            Self::NotTried(side) => write!(f, "not tried yet: {side} is to begin"),
            Self::Trying { attempt, state, .. } => write!(f, "attempt {} is under way ({state})", attempt >> 8),
            Self::PathLost { .. } => f.write_str("the direct path fell silent and is being replaced"),
            Self::TooManyAttempts { .. } => f.write_str("there were too many attempts within a minute"),
            Self::TooManyPeers(side) => write!(f, "{side} has as many direct paths as allowed"),
            Self::ClosedThere { code, text } => said(f, "the other side has closed the direct path", text, *code),
            Self::RefusedThere { code, text } => said(f, "the other side refuses direct paths", text, *code),
            Self::Unanswered => f.write_str("the other side did not answer the offer"),
            Self::Unsignalled => f.write_str("the path in use is too slow to agree on another"),
            other => fmt_network(other, f),
        }
    }
}

/// What the other side has done, and its words for why where it has some.
fn said(f: &mut fmt::Formatter<'_>, what: &str, text: &str, code: u8) -> fmt::Result {
    if text.is_empty() { f.write_str(what) } else { write!(f, "{what}: {text} ({code})") }
}

/// What the network has against it.
fn fmt_network(reason: &NotDirect, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match reason {
        NotDirect::NoAddress(side) => write!(f, "{side} has no usable address"),
        NotDirect::FamiliesDiffer => f.write_str("one side has IPv4 only and the other one IPv6 only"),
        NotDirect::RelayOnlyWithoutTurn(side) => {
            write!(f, "{side} gives out addresses at TURN servers only, and no TURN server is configured")
        }
        NotDirect::TurnWrongCredentials(side) => write!(f, "the TURN server of {side} does not take its credentials"),
        NotDirect::TurnRefused { side, code } => write!(f, "the TURN server of {side} refuses it (code {code})"),
        NotDirect::TurnUnreachable(side) => write!(f, "the TURN server of {side} does not answer"),
        NotDirect::UdpBlocked(sides) => {
            write!(f, "UDP of {sides} gets nowhere and no TURN server over TCP or TLS works")
        }
        NotDirect::NoServers(sides) => {
            let verb = if *sides == Sides::Both { "have" } else { "has" };
            write!(f, "{sides} {verb} no STUN or TURN server that tells by which address others get through")
        }
        NotDirect::BothNatsDependent => {
            f.write_str("both NATs choose a new port per destination and no TURN server is configured")
        }
        NotDirect::DependentAndFiltered { dependent } => write!(
            f,
            "the NAT of {dependent} chooses a new port per destination, the other NAT lets in only what it knows, and no \
             TURN server is configured"
        ),
        NotDirect::ChecksUnanswered => {
            f.write_str("nothing gets through between the addresses of both sides: a firewall drops it")
        }
        NotDirect::HandshakeFailed(text) => write!(f, "the handshake failed: {text}"),
        NotDirect::PeerMisbehaved(text) => write!(f, "the other side broke a rule: {text}"),
        _ => Ok(()),
    }
}
