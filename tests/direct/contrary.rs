//! An upgrade that does one thing wrong on purpose, and all else as its inner one.

use std::collections::VecDeque;

use switchboard::machine::buf::Buf;
use switchboard::machine::ids::PortId;
use switchboard::machine::payload::Upper;
use switchboard::machine::{Cx, Fill, Input, Output};
use switchboard::transport::upgrade::{PeerEvent, PeerId, PeerReport, Upgrade};
use switchboard::transport::webrtc::Webrtc;
use switchboard::transport::{Transport, TransportCommand, TransportEvent};
use switchboard::wire::ice_server::IceServer;
use switchboard::wire::outlook::Outlook;
use switchboard::wire::signal::{DescriptionKind, Ending, Signal};

/// What it does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Conduct {
    /// It refuses each offer by a code that nobody knows.
    Refuses,
    /// It says nothing.
    Mute,
    /// Its descriptions name the fingerprint of another certificate.
    Forges,
    /// It answers by something that is no session description.
    Babbles,
}

#[derive(Debug)]
pub(crate) struct Contrary {
    inner: Webrtc,
    conduct: Conduct,
    refusals: VecDeque<(PeerId, PeerEvent)>,
}

impl Contrary {
    pub(crate) const fn new(inner: Webrtc, conduct: Conduct) -> Self {
        Self { inner, conduct, refusals: VecDeque::new() }
    }

    fn bend(&self, signal: &Signal<'_>) -> Option<PeerEvent> {
        let Signal::Description { attempt, kind, sdp } = *signal else {
            return (self.conduct != Conduct::Mute).then(|| PeerEvent::Signal(signal.encode()));
        };
        let bent = match self.conduct {
            Conduct::Mute => return None,
            Conduct::Refuses => sdp.to_owned(),
            Conduct::Forges => forge(sdp),
            Conduct::Babbles => "what a nice day".to_owned(),
        };
        Some(PeerEvent::Signal(Signal::Description { attempt, kind, sdp: &bent }.encode()))
    }
}

/// Changes the first digit of the fingerprint.
fn forge(sdp: &str) -> String {
    let (before, after) = sdp.split_once("sha-256 ").expect("a fingerprint");
    let digit = if after.starts_with('0') { '1' } else { '0' };
    format!("{before}sha-256 {digit}{}", &after[1..])
}

impl Transport for Contrary {
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

impl Upgrade for Contrary {
    fn open(&mut self, cx: &mut Cx<'_>, attempt: u32, offers: bool) -> Option<PeerId> {
        self.inner.open(cx, attempt, offers)
    }

    fn signal(&mut self, cx: &mut Cx<'_>, peer: PeerId, signal: &Signal<'_>) {
        match signal {
            Signal::Description { attempt, kind: DescriptionKind::Offer, .. } if self.conduct == Conduct::Refuses => {
                let refusal = Signal::Reject(Ending { attempt: *attempt, code: 77, text: "not on Sundays" });
                self.refusals.push_back((peer, PeerEvent::Signal(refusal.encode())));
            }
            signal => self.inner.signal(cx, peer, signal),
        }
    }

    fn close(&mut self, cx: &mut Cx<'_>, peer: PeerId, ending: Option<(u8, &str)>) {
        self.inner.close(cx, peer, ending);
    }

    fn poll_peer(&mut self, cx: &mut Cx<'_>) -> Option<(PeerId, PeerEvent)> {
        if let Some(refusal) = self.refusals.pop_front() {
            return Some(refusal);
        }
        while let Some((peer, event)) = self.inner.poll_peer(cx) {
            let PeerEvent::Signal(bytes) = &event else { return Some((peer, event)) };
            let bent = self.bend(&Signal::decode(bytes, usize::MAX).expect("a signal"));
            if let Some(bent) = bent {
                return Some((peer, bent));
            }
        }
        None
    }

    fn set_servers(&mut self, cx: &mut Cx<'_>, from: u64, servers: &[IceServer]) {
        self.inner.set_servers(cx, from, servers);
    }

    fn report(&self, peer: PeerId) -> Option<PeerReport> {
        self.inner.report(peer)
    }

    fn moves(&self) -> u64 {
        self.inner.moves()
    }

    fn revision(&self) -> u64 {
        self.inner.revision()
    }

    fn outlook(&self) -> Outlook {
        self.inner.outlook()
    }
}
