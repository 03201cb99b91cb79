//! What is told of peers, in the words of an [`Upgrade`](crate::transport::Upgrade).

use std::net::SocketAddr;

use super::entry::Entry;
use crate::link::negotiation::{Ending, EndingKind};
use crate::stack::peer::{End, State};
use crate::transport::{CandidatePair, PairEnd, PeerEnd, PeerReport, PeerState};
use crate::wire::candidate::{Candidate, CandidateKind, Protocol};

pub(super) const fn state(state: State) -> PeerState {
    match state {
        State::New => PeerState::Gathering,
        State::Checking => PeerState::Checking,
        State::Connecting => PeerState::Connecting,
        State::Connected => PeerState::Connected,
        State::Disconnected => PeerState::Disconnected,
    }
}

pub(super) fn end(end: End) -> PeerEnd {
    match end {
        End::Told(Ending { kind, code, text }) => match kind {
            EndingKind::Reject => PeerEnd::Rejected { code, text },
            EndingKind::Error => PeerEnd::FailedThere { code, text },
            EndingKind::Bye => PeerEnd::Bye { code, text },
        },
        End::Closed => PeerEnd::Bye { code: 0, text: String::new() },
        End::Unanswered => PeerEnd::Unanswered,
        End::Unconnected => PeerEnd::Failed,
        End::Handshake(text) => PeerEnd::HandshakeFailed(text),
        End::Failed(text) => PeerEnd::Broken(text),
        End::Silent => PeerEnd::Silent,
        End::Misbehaved(text) => PeerEnd::Misbehaved(text),
    }
}

pub(super) fn report(entry: &Entry) -> PeerReport {
    let peer = &entry.peer;
    let pair = peer.pair().map(|(local, remote)| CandidatePair {
        local: found(peer.candidates(), local, CandidateKind::Host),
        remote: found(peer.remotes(), remote, CandidateKind::PeerReflexive),
    });
    PeerReport {
        state: state(peer.state()),
        rtt: None,
        bytes_sent: entry.sent,
        bytes_received: entry.received,
        pair,
        local_candidates: peer.candidates().len(),
        remote_candidates: peer.remotes().len(),
    }
}

fn found(candidates: &[Candidate], address: SocketAddr, unknown: CandidateKind) -> PairEnd {
    let known = candidates.iter().find(|candidate| candidate.address == address);
    let kind = known.map_or(unknown, |candidate| candidate.kind);
    PairEnd { kind, address, protocol: known.map_or(Protocol::Udp, |candidate| candidate.protocol) }
}
