//! What goes out: one batch at a time.

use super::{Data, Stage};
use crate::link::dtls::Dtls;
use crate::link::sctp::Association;
use crate::machine::Cx;
use crate::machine::time::Instant;
use crate::stack::peer::engine::Sent;

impl Data {
    /// Appends datagrams to `out`, `most` bytes of them or a single one. None: nothing is to be sent now.
    pub fn poll_transmit(&mut self, cx: &Cx<'_>, out: &mut Vec<u8>, most: usize) -> Option<Sent> {
        self.advance(cx.now);
        if let Some(check) = self.ice.poll_transmit() {
            let (local, to, segment) = (check.local, check.to, check.data.len());
            out.extend_from_slice(&check.data);
            return Some(Sent { local, to, segment, ecn: None });
        }
        let (local, to) = self.ice.pair()?;
        let segment = self.fill_single(out).or_else(|| self.fill_batch(out, most));
        self.settle();
        segment.map(|segment| Sent { local, to, segment, ecn: None })
    }

    /// A datagram that waits, or one of DTLS's own; its length.
    fn fill_single(&mut self, out: &mut Vec<u8>) -> Option<usize> {
        if let Some(waiting) = self.spilled.pop_front() {
            out.extend_from_slice(&waiting);
            return Some(waiting.len());
        }
        if self.spilled.capacity() > 0 {
            self.spilled = std::collections::VecDeque::new();
        }
        let Stage::Begun(dtls) = &mut self.dtls else { return None };
        let start = out.len();
        dtls.fill(self.now, out).then(|| out.len() - start)
    }

    /// Packets of SCTP, sealed where they lie, as long as they are of one length; that length.
    fn fill_batch(&mut self, out: &mut Vec<u8>, most: usize) -> Option<usize> {
        let now = self.now;
        let Self { dtls: Stage::Begun(dtls), sctp, spilled, .. } = self else { return None };
        let base = out.len();
        let segment = seal_next(dtls, sctp, now, out)?;
        while out.len() - base + segment <= most {
            let start = out.len();
            match seal_next(dtls, sctp, now, out) {
                Some(len) if len == segment => {}
                Some(len) if len > segment => {
                    spilled.push_back(out.split_off(start));
                    break;
                }
                _ => break,
            }
        }
        Some(segment)
    }

    /// Lets all packets that may go now wait.
    pub(super) fn spill(&mut self) {
        let Self { dtls: Stage::Begun(dtls), sctp, spilled, .. } = self else { return };
        let mut out = Vec::new();
        while seal_next(dtls, sctp, self.now, &mut out).is_some() {
            spilled.push_back(std::mem::take(&mut out));
        }
    }
}

/// Appends one sealed packet; its length as a datagram.
#[inline]
fn seal_next(dtls: &mut Dtls, sctp: &mut Association, now: Instant, out: &mut Vec<u8>) -> Option<usize> {
    if !dtls.is_connected() {
        return None;
    }
    let start = dtls.begin(out);
    if !sctp.fill(now, out) {
        out.truncate(start);
        return None;
    }
    dtls.seal(now, out, start).then(|| out.len() - start)
}
