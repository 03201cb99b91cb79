//! What is between the two endpoints when they talk directly: it can be cut.
//!
//! Direct peers bind sockets of their own and find each other's, so nothing of ours lies between them; what arrives at
//! either is dropped instead, before anybody sees it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use switchboard::machine::buf::Buf;
use switchboard::machine::ids::PortId;
use switchboard::machine::payload::Upper;
use switchboard::machine::{Cx, Fill, Input, Output};
use switchboard::transport::upgrade::{PeerEvent, PeerId, PeerReport, Upgrade};
use switchboard::transport::webrtc::Webrtc;
use switchboard::transport::{Transport, TransportCommand, TransportEvent};
use switchboard::wire::ice_server::IceServer;
use switchboard::wire::outlook::Outlook;
use switchboard::wire::signal::Signal;

/// A wire for datagrams; clones are the same one.
#[derive(Debug, Clone, Default)]
pub(super) struct Wire(Arc<AtomicBool>);

impl Wire {
    pub(super) fn cut(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn mend(&self) {
        self.0.store(false, Ordering::Relaxed);
    }

    fn is_cut(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Direct peers at one end of a wire.
pub(super) struct Wired {
    pub(super) peers: Webrtc,
    pub(super) wire: Wire,
}

impl Transport for Wired {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, TransportCommand>, upper: &mut dyn Upper) {
        match input {
            Input::Datagrams(..) if self.wire.is_cut() => {}
            input => self.peers.handle(cx, input, upper),
        }
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<TransportEvent> {
        self.peers.poll(cx)
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf, upper: &mut dyn Upper) -> Fill {
        self.peers.fill(cx, port, buf, upper)
    }
}

impl Upgrade for Wired {
    fn open(&mut self, cx: &mut Cx<'_>, attempt: u32, offers: bool) -> Option<PeerId> {
        self.peers.open(cx, attempt, offers)
    }

    fn signal(&mut self, cx: &mut Cx<'_>, peer: PeerId, signal: &Signal<'_>) {
        self.peers.signal(cx, peer, signal);
    }

    fn close(&mut self, cx: &mut Cx<'_>, peer: PeerId, ending: Option<(u8, &str)>) {
        self.peers.close(cx, peer, ending);
    }

    fn poll_peer(&mut self, cx: &mut Cx<'_>) -> Option<(PeerId, PeerEvent)> {
        self.peers.poll_peer(cx)
    }

    fn set_servers(&mut self, cx: &mut Cx<'_>, from: u64, servers: &[IceServer]) {
        self.peers.set_servers(cx, from, servers);
    }

    fn report(&self, peer: PeerId) -> Option<PeerReport> {
        self.peers.report(peer)
    }

    fn outlook(&self) -> Outlook {
        self.peers.outlook()
    }

    fn moves(&self) -> u64 {
        self.peers.moves()
    }

    fn revision(&self) -> u64 {
        self.peers.revision()
    }
}
