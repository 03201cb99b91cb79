//! One peer with its links, as the transport keeps it.

use std::net::SocketAddr;

use smallvec::SmallVec;

use crate::link::stun::{Body, Message};
use crate::machine::Cx;
use crate::machine::ids::LinkId;
use crate::machine::payload::{Flow, Kind, Payload, Upper};
use crate::stack::gather::Gatherer;
use crate::stack::peer::{BULK, Partner, Peer, QUICK, State};

/// Addresses towards which bytes are counted, more than are checked between two ICE restarts; of more the oldest is
/// forgotten.
const MOST_UNANSWERED: usize = 128;
/// Permissions of relays that a peer has at a time; of more the oldest is given up.
const MOST_PERMITTED: usize = 256;

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) peer: Peer,
    pub(super) partner: Partner,
    channels: SmallVec<[Option<Channel>; 2]>,
    /// Of each channel: whether the layer above has something for it.
    pub(super) wants: SmallVec<[bool; 2]>,
    is_up: bool,
    /// Bytes sent to addresses that have not answered since.
    unanswered: Vec<(SocketAddr, usize)>,
    /// Permissions of relays that this peer has asked for.
    pub(super) permitted: Vec<(SocketAddr, SocketAddr)>,
    bound: Option<(SocketAddr, SocketAddr)>,
    pub(super) sent: u64,
    pub(super) received: u64,
}

#[derive(Debug)]
struct Channel {
    link: LinkId,
    label: String,
}

impl Entry {
    pub(super) fn new(peer: Peer, partner: Partner) -> Self {
        Self {
            peer,
            partner,
            channels: SmallVec::new(),
            wants: SmallVec::new(),
            is_up: false,
            unanswered: Vec::new(),
            permitted: Vec::new(),
            bound: None,
            sent: 0,
            received: 0,
        }
    }

    pub(super) fn open(&mut self, channel: usize, link: LinkId, label: String) {
        while self.channels.len() <= channel {
            self.channels.push(None);
            self.wants.push(false);
        }
        self.channels[channel] = Some(Channel { link, label });
    }

    pub(super) fn close(&mut self, channel: usize) -> Option<LinkId> {
        let closed = self.channels.get_mut(channel)?.take()?;
        self.wants[channel] = false;
        Some(closed.link)
    }

    pub(super) fn links(&self) -> impl Iterator<Item = LinkId> {
        self.channels.iter().flatten().map(|channel| channel.link)
    }

    pub(super) fn link(&self, channel: usize) -> Option<LinkId> {
        Some(self.channels.get(channel)?.as_ref()?.link)
    }

    pub(super) fn label(&self, channel: usize) -> Option<&str> {
        Some(&self.channels.get(channel)?.as_ref()?.label)
    }

    /// Both links, once, as soon as both are open and the peer is connected: SCTP may be ready long before.
    pub(super) fn take_up(&mut self) -> Option<(LinkId, LinkId)> {
        let [bulk, quick] = [BULK, QUICK].map(|channel| self.link(channel));
        if self.is_up || self.peer.state() != State::Connected {
            return None;
        }
        let both = (bulk?, quick?);
        self.is_up = true;
        Some(both)
    }

    /// A channel with something to be written, the quick one first.
    pub(super) fn next_writer(&self) -> Option<(usize, LinkId)> {
        let order = [QUICK, BULK].into_iter().chain(2..self.wants.len());
        order.filter(|channel| self.wants.get(*channel) == Some(&true)).find_map(|n| Some((n, self.link(n)?)))
    }

    /// Hands the layer above one message; if it wants no more of that channel, these wait. False: there is none.
    pub(super) fn deliver(&mut self, cx: &mut Cx<'_>, upper: &mut dyn Upper) -> bool {
        let Some(message) = self.peer.poll_message(cx) else { return false };
        let channel = message.channel;
        let Some(Some(to)) = self.channels.get(channel) else { return true };
        let kind = if message.is_binary { Kind::Binary } else { Kind::Text };
        if upper.deliver(to.link, kind, Payload::Borrowed(message.bytes)) == Flow::Stop {
            self.peer.hold(channel, true);
        }
        true
    }

    /// Whether so much more may go to an address, which perhaps knows nothing of us.
    pub(super) fn may_send(&mut self, from: SocketAddr, to: SocketAddr, bytes: usize, most: usize) -> bool {
        if !can_reach(from, to) {
            return false;
        }
        if self.peer.pair().is_some_and(|(_, remote)| remote == to) {
            return true;
        }
        if let Some((_, sent)) = self.unanswered.iter_mut().find(|(address, _)| *address == to) {
            *sent += bytes;
            return *sent <= most;
        }
        let fits = bytes <= most;
        if fits {
            self.unanswered.drain(..(self.unanswered.len() + 1).saturating_sub(MOST_UNANSWERED));
            self.unanswered.push((to, bytes));
        }
        fits
    }

    /// Something has come from there. Only what is signed shows that whoever is there knows of us.
    pub(super) fn heard(&mut self, from: SocketAddr, data: &[u8]) {
        let known = self.unanswered.iter().position(|(address, _)| *address == from);
        if let Some(at) = known.filter(|_| self.is_signed(data)) {
            self.unanswered.remove(at);
            if self.unanswered.is_empty() {
                self.unanswered = Vec::new();
            }
        }
    }

    fn is_signed(&self, data: &[u8]) -> bool {
        let Ok(message) = Message::parse(data) else { return false };
        match (&message.body, self.peer.passwords()) {
            (Body::Request { .. }, (ours, _)) => message.is_signed_by(ours),
            (Body::Success(_), (_, Some(theirs))) => message.is_signed_by(theirs),
            _ => false,
        }
    }

    /// Addresses of the other side.
    pub(super) fn remotes(&self) -> Vec<SocketAddr> {
        self.peer.remotes().iter().map(|remote| remote.address).collect()
    }

    /// Has a relay let an address in.
    pub(super) fn permit(&mut self, cx: &mut Cx<'_>, gatherer: &mut Gatherer, relayed: SocketAddr, remote: SocketAddr) {
        if can_reach(relayed, remote) && !self.permitted.contains(&(relayed, remote)) {
            if self.permitted.len() >= MOST_PERMITTED {
                self.forbid_oldest(cx, gatherer);
            }
            self.permitted.push((relayed, remote));
            gatherer.permit(cx, relayed, remote);
        }
    }

    fn forbid_oldest(&mut self, cx: &mut Cx<'_>, gatherer: &mut Gatherer) {
        let pair = self.peer.pair();
        if let Some(at) = self.permitted.iter().position(|way| Some(*way) != pair) {
            let (relayed, remote) = self.permitted.remove(at);
            gatherer.forbid(cx, relayed, remote);
        }
    }

    /// Has datagrams between a relayed address and the nominated one cost less.
    pub(super) fn bind(&mut self, cx: &mut Cx<'_>, gatherer: &mut Gatherer) {
        let pair = self.peer.pair();
        if pair == self.bound {
            return;
        }
        self.bound = pair;
        if let Some((local, remote)) = pair
            && self.permitted.iter().any(|(relayed, _)| *relayed == local)
        {
            gatherer.bind_channel(cx, local, remote);
        }
    }
}

/// Whether something at one address can be meant for the other: what the other side says is on our own loopback is not,
/// unless we are there.
const fn can_reach(from: SocketAddr, to: SocketAddr) -> bool {
    from.is_ipv4() == to.is_ipv4() && (from.ip().is_loopback() || !to.ip().is_loopback())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::machine::ids::Ids;
    use crate::machine::rng::Rng;
    use crate::machine::time::{Epoch, Instant};
    use crate::stack::peer::{Crypto, PeerConfig};

    fn at(port: usize) -> SocketAddr {
        ([192, 0, 2, 1], port as u16).into()
    }

    #[test]
    fn what_was_sent_to_the_oldest_of_too_many_addresses_is_forgotten() {
        #[allow(clippy::disallowed_methods, reason = "any moment will do; nothing depends on it")]
        let epoch = Epoch::new(std::time::Instant::now(), Duration::from_secs(1_700_000_000));
        let (mut rng, mut ids) = (Rng::from_u64(1), Ids::new());
        let crypto = Crypto::new(epoch, &mut rng).unwrap();
        let mut cx = Cx { now: Instant::ZERO, unix: Duration::ZERO, rng: &mut rng, ids: &mut ids };
        let config = PeerConfig::new(Partner::Own, true);
        let peer = Peer::new(&mut cx, &crypto, 1, config, std::iter::empty()).unwrap();
        let mut entry = Entry::new(peer, Partner::Own);
        for port in 1..=2 * MOST_UNANSWERED {
            assert!(entry.may_send(at(9), at(port), 800, 1_000), "{port}");
            assert!(!entry.may_send(at(9), at(port), 800, 1_000), "{port}");
        }
        assert_eq!(entry.unanswered.len(), MOST_UNANSWERED);
        assert!(
            !entry.may_send(at(9), at(MOST_UNANSWERED + 1), 800, 1_000) && entry.may_send(at(9), at(1), 800, 1_000)
        );
    }
}
