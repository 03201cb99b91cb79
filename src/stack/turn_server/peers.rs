//! Whom a client has permissions and channels for: the bounds and checks that the engine leaves out.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use turn_server_proto::types::message::CONNECT;
use turn_server_proto::types::stun::attribute::ErrorCode;

use super::request::Request;
use crate::machine::time::Instant;

/// How long a permission lasts (RFC 8656, section 9).
const PERMISSION: Duration = Duration::from_secs(300);
/// How long a channel lasts (RFC 8656, section 12).
const CHANNEL: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(super) struct Peers {
    permissions: BTreeMap<IpAddr, Instant>,
    channels: BTreeMap<u16, (SocketAddr, Instant)>,
}

impl Peers {
    /// The code by which a request is to be refused, if it is.
    pub(super) fn refuse(&mut self, now: Instant, request: &Request<'_>, most: usize) -> Option<u16> {
        // TCP behind a relay needs a client that comes over TCP (RFC 6062, section 5.2).
        if request.method() == CONNECT {
            return Some(ErrorCode::BAD_REQUEST);
        }
        if !request.opens() {
            return None;
        }
        self.expire(now);
        let peers = request.peers();
        if request.is_channel_bind()
            && let (Some(number), Some(peer)) = (request.channel(), peers.last())
        {
            return self.refuse_channel(number, *peer, most).or_else(|| self.refuse_permissions(&peers, most));
        }
        self.refuse_permissions(&peers, most)
    }

    /// A request that [`Self::refuse`] let pass has succeeded.
    pub(super) fn allow(&mut self, now: Instant, request: &Request<'_>) {
        let peers = request.peers();
        if request.opens() {
            self.permissions.extend(peers.iter().map(|peer| (peer.ip(), now + PERMISSION)));
        }
        if request.is_channel_bind()
            && let (Some(number), Some(peer)) = (request.channel(), peers.last())
        {
            self.channels.insert(number, (*peer, now + CHANNEL));
        }
    }

    /// A channel is bound to one peer, and a peer to one channel (RFC 8656, section 12.2).
    fn refuse_channel(&self, number: u16, peer: SocketAddr, most: usize) -> Option<u16> {
        match self.channels.get(&number) {
            Some((owner, _)) if *owner != peer => Some(ErrorCode::BAD_REQUEST),
            None if self.channels.len() >= most => Some(ErrorCode::INSUFFICIENT_CAPACITY),
            _ => None,
        }
    }

    fn refuse_permissions(&self, peers: &[SocketAddr], most: usize) -> Option<u16> {
        let mut new: Vec<_> = peers.iter().map(SocketAddr::ip).collect();
        new.retain(|peer| !self.permissions.contains_key(peer));
        new.sort_unstable();
        new.dedup();
        let fits = new.is_empty() || self.permissions.len() + new.len() <= most;
        (!fits).then_some(ErrorCode::INSUFFICIENT_CAPACITY)
    }

    fn expire(&mut self, now: Instant) {
        self.permissions.retain(|_, expires| *expires >= now);
        self.channels.retain(|_, (_, expires)| *expires >= now);
    }
}
