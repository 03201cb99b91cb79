//! A transport for relays that lose, repeat and mix up the packets of sessions, around any other.
//!
//! Its links count as links inside one process: no proof, no seal, so that frames can be told apart.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use switchboard::connect::AnyTransport;
use switchboard::machine::buf::Buf;
use switchboard::machine::ids::{LinkId, PortId};
use switchboard::machine::payload::{Flow, Framer, Kind, Payload, Upper};
use switchboard::machine::rng::Rng;
use switchboard::machine::{Cx, Fill, Input, Output};
use switchboard::transport::{Side, Transport, TransportCommand, TransportEvent};
use switchboard::wire::frame::Frame;

/// What a relay does to packets, and how many there were.
pub(super) struct Trouble {
    dice: Rng,
    held: BTreeMap<LinkId, Vec<u8>>,
    /// Whether packets are counted.
    pub(super) counts: bool,
    pub(super) packets: usize,
    /// With this packet the path dies.
    pub(super) cut: Option<usize>,
    /// The path is dead: nothing passes.
    pub(super) dead: bool,
}

impl Trouble {
    pub(super) fn new(seed: u64, cut: Option<usize>) -> Self {
        Self { dice: Rng::from_u64(seed), held: BTreeMap::new(), counts: false, packets: 0, cut, dead: false }
    }

    /// What becomes of one packet: what is delivered in its place.
    fn pass(&mut self, link: LinkId, packet: Vec<u8>) -> Vec<Vec<u8>> {
        if self.counts {
            self.dead |= self.cut == Some(self.packets);
            self.packets += 1;
        }
        if self.dead {
            return Vec::new();
        }
        let held = self.held.remove(&link);
        let mut out = match self.dice.below(100) {
            0 => vec![],
            1 => vec![packet.clone(), packet],
            2..6 if held.is_none() => {
                self.held.insert(link, packet);
                return vec![];
            }
            _ => vec![packet],
        };
        out.extend(held);
        out
    }
}

/// The transport; without trouble it only leaves the proof out.
pub(super) struct Shaky {
    pub(super) inner: AnyTransport,
    pub(super) trouble: Option<Arc<Mutex<Trouble>>>,
}

/// The layer above, as the inner transport sees it.
struct Between<'a> {
    upper: &'a mut dyn Upper,
    trouble: Option<&'a Mutex<Trouble>>,
}

impl Upper for Between<'_> {
    fn deliver(&mut self, link: LinkId, kind: Kind, message: Payload<'_>) -> Flow {
        let Some(trouble) = self.trouble.filter(|_| Frame::data_route(message.as_slice()).is_some()) else {
            return self.upper.deliver(link, kind, message);
        };
        let packets = trouble.lock().unwrap().pass(link, message.into_vec());
        for packet in packets {
            if self.upper.deliver(link, kind, Payload::Owned(packet)) == Flow::Stop {
                return Flow::Stop;
            }
        }
        Flow::Go
    }

    fn supply(&mut self, link: LinkId, out: &mut dyn Framer) -> bool {
        self.upper.supply(link, out)
    }
}

impl Transport for Shaky {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, TransportCommand>, upper: &mut dyn Upper) {
        let mut between = Between { upper, trouble: self.trouble.as_deref() };
        self.inner.handle(cx, input, &mut between);
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<TransportEvent> {
        match self.inner.poll(cx) {
            Output::Event(TransportEvent::Up(link, mut info)) => {
                info.side = Side::InProcess;
                Output::Event(TransportEvent::Up(link, info))
            }
            other => other,
        }
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf, upper: &mut dyn Upper) -> Fill {
        let mut between = Between { upper, trouble: self.trouble.as_deref() };
        self.inner.fill(cx, port, buf, &mut between)
    }
}
