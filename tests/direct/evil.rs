//! The other side of a session, which speaks the session's protocol as it should and signals what it likes; and somebody
//! on the network who sends datagrams to whomever he likes.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use switchboard::machine::buf::Buf;
use switchboard::machine::datagram::Transmit;
use switchboard::machine::ids::PortId;
use switchboard::machine::outbox::Outbox;
use switchboard::machine::payload::Upper;
use switchboard::machine::port::{PortChange, PortRequest, PortSpec};
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Deadline, Fill, Input, Output};
use switchboard::transport::upgrade::{PeerEvent, PeerId, PeerReport, Upgrade};
use switchboard::transport::webrtc::Webrtc;
use switchboard::transport::{Transport, TransportCommand, TransportEvent};
use switchboard::wire::ice_server::IceServer;
use switchboard::wire::outlook::Outlook;
use switchboard::wire::signal::Signal;

/// What becomes of a signal that is about to leave.
pub(crate) type Tamper = Box<dyn FnMut(&Signal<'_>) -> Vec<Vec<u8>> + Send>;

/// A real upgrade whose signals are changed on their way out. Whatever lies in `more` is signalled as soon as the
/// upgrade is given servers.
pub(crate) struct Evil {
    inner: Webrtc,
    tamper: Tamper,
    more: Arc<Mutex<VecDeque<Vec<u8>>>>,
    told: VecDeque<(PeerId, PeerEvent)>,
    last: Option<PeerId>,
    /// It takes no notice of what it is told.
    pub(crate) deaf: bool,
}

impl Evil {
    pub(crate) fn new(inner: Webrtc, tamper: Tamper, more: Arc<Mutex<VecDeque<Vec<u8>>>>) -> Self {
        Self { inner, tamper, more, told: VecDeque::new(), last: None, deaf: false }
    }
}

impl Transport for Evil {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, TransportCommand>, upper: &mut dyn Upper) {
        self.inner.handle(cx, input, upper);
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<TransportEvent> {
        self.inner.poll(cx)
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf, upper: &mut dyn Upper) -> Fill {
        self.inner.fill(cx, port, buf, upper)
    }
}

impl Upgrade for Evil {
    fn open(&mut self, cx: &mut Cx<'_>, attempt: u32, offers: bool) -> Option<PeerId> {
        self.last = self.inner.open(cx, attempt, offers);
        self.last
    }

    fn signal(&mut self, cx: &mut Cx<'_>, peer: PeerId, signal: &Signal<'_>) {
        if !self.deaf {
            self.inner.signal(cx, peer, signal);
        }
    }

    fn close(&mut self, cx: &mut Cx<'_>, peer: PeerId, ending: Option<(u8, &str)>) {
        self.inner.close(cx, peer, ending);
    }

    fn poll_peer(&mut self, cx: &mut Cx<'_>) -> Option<(PeerId, PeerEvent)> {
        while let Some((peer, event)) = self.inner.poll_peer(cx) {
            let PeerEvent::Signal(bytes) = event else {
                self.told.push_back((peer, event));
                continue;
            };
            let signal = Signal::decode(&bytes, usize::MAX).unwrap();
            let changed = (self.tamper)(&signal);
            self.told.extend(changed.into_iter().map(|bytes| (peer, PeerEvent::Signal(bytes.into()))));
        }
        self.told.pop_front()
    }

    fn set_servers(&mut self, _: &mut Cx<'_>, _: u64, _: &[IceServer]) {
        if let Some(peer) = self.last {
            let more = std::mem::take(&mut *self.more.lock().unwrap());
            self.told.extend(more.into_iter().map(|bytes| (peer, PeerEvent::Signal(bytes.into()))));
        }
    }

    fn report(&self, peer: PeerId) -> Option<PeerReport> {
        self.inner.report(peer)
    }

    fn outlook(&self) -> Outlook {
        self.inner.outlook()
    }

    fn moves(&self) -> u64 {
        self.inner.moves()
    }

    fn revision(&self) -> u64 {
        self.inner.revision()
    }
}

/// What is to be sent, and to whom.
pub(crate) type Volley = Arc<Mutex<VecDeque<(SocketAddr, Vec<u8>)>>>;

/// Sends datagrams that tests made up, from a port of its own, within a millisecond.
pub(crate) struct Flood {
    port: Option<PortId>,
    is_open: bool,
    asked: bool,
    volley: Volley,
    outbox: Outbox,
    next: Instant,
}

impl Flood {
    pub(crate) fn new(volley: Volley) -> Self {
        let outbox = Outbox::new(64 * 1024 * 1024);
        Self { port: None, is_open: false, asked: false, volley, outbox, next: Instant::ZERO }
    }
}

impl Transport for Flood {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, TransportCommand>, _: &mut dyn Upper) {
        match input {
            Input::Command(TransportCommand::Start) => self.port = Some(cx.ids.port()),
            Input::Port(_, PortChange::Opened { .. }) => self.is_open = true,
            _ => {}
        }
        self.next = cx.now + Duration::from_millis(1);
        let Some(port) = self.port.filter(|_| self.is_open) else { return };
        for (to, data) in self.volley.lock().unwrap().drain(..) {
            self.outbox.push(port, Transmit::to(to, data.len()), data);
        }
    }

    fn poll(&mut self, _: &mut Cx<'_>) -> Output<TransportEvent> {
        if let Some(port) = self.port.filter(|_| !std::mem::replace(&mut self.asked, true)) {
            let any = SocketAddr::from(([0, 0, 0, 0], 0));
            return Output::Port(port, PortRequest::Open(PortSpec::Bind(any)));
        }
        let wait = Output::Wait(Some(Deadline::new(self.next, "the next volley")));
        self.outbox.pop_ready().map_or(wait, Output::Ready)
    }

    fn fill(&mut self, _: &mut Cx<'_>, port: PortId, buf: &mut Buf, _: &mut dyn Upper) -> Fill {
        self.outbox.fill(port, buf)
    }
}
