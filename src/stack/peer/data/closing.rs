//! The end that this side makes.

use super::{Data, Stage};
use crate::machine::Cx;

impl Data {
    /// Tells the other side that it is over, as far as that can be sent at once: what may go, then an ABORT, then a
    /// close_notify.
    pub fn close(&mut self, cx: &Cx<'_>) {
        self.advance(cx.now);
        if std::mem::replace(&mut self.is_over, true) {
            return;
        }
        self.spill();
        self.sctp.abort(cx.now, "closed");
        self.spill();
        let now = self.now;
        if let Stage::Begun(dtls) = &mut self.dtls {
            dtls.close(now);
        }
        while self.sctp.poll_event().is_some() {}
        self.events.clear();
    }
}
