//! What peers send: pulled from the engine into the buffer that the system is given, or carried there where it has to
//! be wrapped.
//!
//! *Pulled.* A peer whose pair leaves by a socket of ours has turns on that port ([`Turns`](super::turns::Turns)). In its
//! turn it takes messages from above as long as the engine has room for the largest, and the engine writes one batch of
//! datagrams into the port's buffer. Nothing is copied on the way, and acknowledgements leave once for all that came
//! before the port was filled.
//!
//! *Carried.* What leaves over a relay is wrapped, datagram by datagram, and waits in the gatherer's queue; so does what
//! has no pair yet (checks, from every address), and what a peer in its turn sends from elsewhere.

use super::Webrtc;
use crate::machine::buf::Buf;
use crate::machine::datagram::Transmit;
use crate::machine::ids::PortId;
use crate::machine::payload::Upper;
use crate::machine::{Cx, Fill};
use crate::stack::peer::Sent;
use crate::transport::PeerId;

/// Bytes that are taken out of a peer at a time: what one UDP payload may have.
const BATCH: usize = 65_507;

impl Webrtc {
    /// Has a peer send what it has: in its turn if that can be pulled, else at once.
    pub(super) fn send(&mut self, cx: &mut Cx<'_>, id: PeerId, upper: Option<&mut dyn Upper>) {
        if let Some(port) = self.port_of(id) {
            self.turns.push(port, id);
            return self.arm_ahead(cx, id);
        }
        if let Some(upper) = upper {
            self.write(cx, id, upper);
        }
        self.transmit(cx, id);
        self.arm(id);
    }

    /// Where what a peer sends can be pulled.
    fn port_of(&self, id: PeerId) -> Option<PortId> {
        let (local, _) = self.peers.get(id)?.peer.pair()?;
        self.gatherer.port_at(local)
    }

    /// Fills a port with one batch of the peer whose turn it is.
    pub(super) fn fill_by_turns(
        &mut self,
        cx: &mut Cx<'_>,
        port: PortId,
        buf: &mut Buf,
        upper: &mut dyn Upper,
    ) -> Fill {
        while let Some(id) = self.turns.next(port) {
            match self.port_of(id) {
                Some(now) if now == port => {}
                Some(now) => {
                    self.turns.push(now, id);
                    continue;
                }
                None => {
                    self.send(cx, id, Some(upper));
                    continue;
                }
            }
            self.write(cx, id, upper);
            let batch = self.next_batch(cx, id, port, buf);
            self.arm(id);
            if let Some(transmit) = batch {
                self.turns.push(port, id);
                return Fill::Datagrams(transmit);
            }
            self.take_out(cx, id, None);
        }
        Fill::Done
    }

    /// The next batch of a peer that leaves by a port; what leaves elsewhere is carried there.
    fn next_batch(&mut self, cx: &mut Cx<'_>, id: PeerId, port: PortId, buf: &mut Buf) -> Option<Transmit> {
        let start = buf.len();
        loop {
            let most = buf.room().min(BATCH);
            let sent = self.peers.get_mut(id)?.peer.poll_transmit(cx, buf.vec(), most)?;
            let is_sent = self.note(cx, id, sent, buf.len() - start);
            if is_sent && self.gatherer.port_at(sent.local) == Some(port) {
                return Some(Transmit { ecn: sent.ecn, ..Transmit::to(sent.to, sent.segment) });
            }
            if is_sent {
                self.carry(cx, sent, &buf.as_slice()[start..]);
            }
            buf.vec().truncate(start);
        }
    }

    /// Carries what a peer has to send, all of it.
    pub(super) fn transmit(&mut self, cx: &mut Cx<'_>, id: PeerId) {
        let mut batch = std::mem::take(&mut self.scratch);
        batch.clear();
        while let Some(entry) = self.peers.get_mut(id)
            && let Some(sent) = entry.peer.poll_transmit(cx, &mut batch, BATCH)
        {
            if self.note(cx, id, sent, batch.len()) {
                self.carry(cx, sent, &batch);
            }
            batch.clear();
        }
        self.scratch = batch;
    }

    fn carry(&mut self, cx: &mut Cx<'_>, sent: Sent, batch: &[u8]) {
        for datagram in batch.chunks(sent.segment) {
            self.gatherer.send(cx, sent.local, sent.to, datagram);
        }
    }

    /// Whether a batch of so many bytes may leave, and what follows if it does.
    fn note(&mut self, cx: &mut Cx<'_>, id: PeerId, sent: Sent, bytes: usize) -> bool {
        let Some(entry) = self.peers.get_mut(id) else { return false };
        if !entry.may_send(sent.local, sent.to, bytes, self.config.unanswered) {
            self.counters.unanswered += bytes.div_ceil(sent.segment) as u64;
            return false;
        }
        self.routes.learn(id, sent.local, sent.to);
        entry.sent += bytes as u64;
        entry.bind(cx, &mut self.gatherer);
        true
    }
}
