//! Whose a datagram is: by the name in a STUN request, or by the addresses that a peer itself has sent between.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use super::PeerId;
use crate::machine::ids::Table;

/// Pairs of addresses that are remembered of one peer; of more the oldest are forgotten.
const MOST_LEARNED: usize = 256;
const USERNAME: u16 = 0x0006;
const HEAD: usize = 20;

#[derive(Debug, Default)]
pub(super) struct Routes {
    by_name: BTreeMap<String, PeerId>,
    by_pair: BTreeMap<(SocketAddr, SocketAddr), PeerId>,
    of: Table<PeerId, Known>,
}

#[derive(Debug)]
struct Known {
    name: String,
    pairs: VecDeque<(SocketAddr, SocketAddr)>,
}

impl Routes {
    /// What names a peer from now on; an ICE restart changes it.
    pub(super) fn name(&mut self, ufrag: &str, peer: PeerId) {
        if let Some(known) = self.of.get_mut(peer) {
            if known.name != ufrag {
                self.by_name.remove(&std::mem::replace(&mut known.name, ufrag.to_owned()));
                self.by_name.insert(ufrag.to_owned(), peer);
            }
            return;
        }
        self.by_name.insert(ufrag.to_owned(), peer);
        self.of.insert(peer, Known { name: ufrag.to_owned(), pairs: VecDeque::new() });
    }

    /// The peer has sent something between these: what comes back is its own.
    pub(super) fn learn(&mut self, peer: PeerId, local: SocketAddr, remote: SocketAddr) {
        let Some(known) = self.of.get_mut(peer) else { return };
        if known.pairs.back() == Some(&(local, remote)) || self.by_pair.get(&(local, remote)) == Some(&peer) {
            return;
        }
        self.by_pair.insert((local, remote), peer);
        known.pairs.push_back((local, remote));
        if known.pairs.len() > MOST_LEARNED
            && let Some(oldest) = known.pairs.pop_front()
            && self.by_pair.get(&oldest) == Some(&peer)
        {
            self.by_pair.remove(&oldest);
        }
    }

    pub(super) fn learned(&self, local: SocketAddr, remote: SocketAddr) -> Option<PeerId> {
        self.by_pair.get(&(local, remote)).copied()
    }

    /// Whom a STUN request names: what stands before the colon in USERNAME is ours (RFC 8445, section 7.2.2).
    pub(super) fn named(&self, data: &[u8]) -> Option<PeerId> {
        let name = username(data)?;
        let ours = name.split(|byte| *byte == b':').next()?;
        self.by_name.get(std::str::from_utf8(ours).ok()?).copied()
    }

    pub(super) fn forget(&mut self, peer: PeerId) {
        let Some(known) = self.of.remove(peer) else { return };
        self.by_name.remove(&known.name);
        for pair in known.pairs {
            if self.by_pair.get(&pair) == Some(&peer) {
                self.by_pair.remove(&pair);
            }
        }
    }
}

/// The attribute USERNAME, found without looking at anything else (RFC 8489, section 5).
fn username(data: &[u8]) -> Option<&[u8]> {
    let mut rest = data.get(HEAD..)?;
    while let Some((head, body)) = rest.split_first_chunk::<4>() {
        let kind = u16::from_be_bytes([head[0], head[1]]);
        let len = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let value = body.get(..len)?;
        if kind == USERNAME {
            return Some(value);
        }
        rest = body.get(len.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::ids::Slab;

    fn request(name: &[u8]) -> Vec<u8> {
        let mut data = vec![0; HEAD];
        data.extend_from_slice(&[0x80, 0x22, 0, 3, b'x', b'y', b'z', 0]);
        data.extend_from_slice(&[0, 6, 0, name.len() as u8]);
        data.extend_from_slice(name);
        data.resize(data.len().next_multiple_of(4), 0);
        data
    }

    fn at(port: u16) -> SocketAddr {
        ([192, 0, 2, 1], port).into()
    }

    #[test]
    fn a_request_is_for_whom_it_names() {
        let (mut routes, mut ids) = (Routes::default(), Slab::default());
        let (one, other): (PeerId, PeerId) = (ids.take(), ids.take());
        routes.name("aaaa", one);
        routes.name("bbbb", other);
        assert_eq!(routes.named(&request(b"aaaa:zzzz")), Some(one));
        assert_eq!(routes.named(&request(b"bbbb:zzzz")), Some(other));
        assert_eq!(routes.named(&request(b"cccc:zzzz")), None);
        routes.forget(one);
        assert_eq!(routes.named(&request(b"aaaa:zzzz")), None);
        let whole = request(b"bbbb:zzzz");
        for len in 0..whole.len() - 3 {
            assert_eq!(routes.named(&whole[..len]), None, "{len}");
        }
    }

    #[test]
    fn what_comes_back_is_for_whoever_has_sent() {
        let (mut routes, mut ids) = (Routes::default(), Slab::default());
        let (one, other): (PeerId, PeerId) = (ids.take(), ids.take());
        routes.name("aaaa", one);
        routes.name("bbbb", other);
        for port in 0..1000 {
            routes.learn(one, at(1), at(port));
        }
        assert_eq!(routes.learned(at(1), at(999)), Some(one));
        assert_eq!((routes.learned(at(1), at(0)), routes.by_pair.len()), (None, MOST_LEARNED));
        routes.learn(other, at(1), at(999));
        assert_eq!(routes.learned(at(1), at(999)), Some(other));
        routes.forget(one);
        assert_eq!((routes.learned(at(1), at(999)), routes.by_pair.len()), (Some(other), 1));
    }
}
