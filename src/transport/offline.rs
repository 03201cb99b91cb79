//! `offline`: connects at once, discards what is sent, receives nothing. For programs that run without a
//! network and keep one code path.

use super::{DownReason, LinkInfo, Outbox, Transport, TransportCommand, TransportEvent};
use crate::machine::buf::Buf;
use crate::machine::ids::{LinkId, PortId};
use crate::machine::payload::{Framer, Kind, Upper};
use crate::machine::{Cx, Fill, Input, Output};

/// A transport with one link and nobody behind it.
#[derive(Debug, Default)]
pub struct Offline {
    link: Option<LinkId>,
    outbox: Outbox,
    discarded: u64,
}

impl Offline {
    /// An offline transport, not started.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many messages were discarded.
    pub const fn discarded(&self) -> u64 {
        self.discarded
    }

    fn start(&mut self, cx: &mut Cx<'_>) {
        let link = cx.ids.link();
        self.link = Some(link);
        self.outbox.event(TransportEvent::Up(link, LinkInfo::default()));
    }

    fn discard(&mut self, link: LinkId, upper: &mut dyn Upper) {
        while self.link == Some(link) && upper.supply(link, &mut Discard) {
            self.discarded += 1;
        }
    }

    fn close(&mut self, cx: &mut Cx<'_>) {
        let Some(link) = self.link.take() else { return };
        cx.ids.release_link(link);
        self.outbox.event(TransportEvent::Down(link, DownReason::Requested));
    }
}

impl Transport for Offline {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, TransportCommand>, upper: &mut dyn Upper) {
        let Input::Command(command) = input else { return };
        match command {
            TransportCommand::Start => self.start(cx),
            TransportCommand::Wake(link) => self.discard(link, upper),
            TransportCommand::Resume(_) => {}
            TransportCommand::Close(link) if self.link == Some(link) => {
                self.discard(link, upper);
                self.close(cx);
            }
            TransportCommand::Close(_) => {}
            TransportCommand::Stop => {
                self.close(cx);
                self.outbox.event(TransportEvent::Stopped);
            }
        }
    }

    fn poll(&mut self, _: &mut Cx<'_>) -> Output<TransportEvent> {
        self.outbox.poll(None)
    }

    fn fill(&mut self, _: &mut Cx<'_>, _: PortId, _: &mut Buf, _: &mut dyn Upper) -> Fill {
        Fill::Done
    }
}

struct Discard;

impl Framer for Discard {
    fn message(&mut self, _: Kind, _: &[u8], _: &[u8]) {}

    fn room(&self) -> usize {
        usize::MAX
    }
}
