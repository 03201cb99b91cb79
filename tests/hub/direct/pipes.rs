//! An upgrade whose links are pipes: two peers that have told each other a name open a pipe of that name for each
//! lane.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use switchboard::machine::buf::Buf;
use switchboard::machine::ids::{LinkId, PortId, Slab, Table};
use switchboard::machine::payload::{Flow, Framer, Kind, Payload, Upper};
use switchboard::machine::port::{PortChange, PortRequest, PortSpec};
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Deadline, Fill, Input, Output};
use switchboard::transport::upgrade::{PeerEnd, PeerEvent, PeerId, PeerReport, PeerState, Upgrade};
use switchboard::transport::{Outbox, Transport, TransportCommand, TransportEvent};
use switchboard::wire::ice_server::IceServer;
use switchboard::wire::outlook::Outlook;
use switchboard::wire::signal::{DescriptionKind, Ending, Signal};

/// How long the checks of a peer take until they have failed.
const CHECKS: Duration = Duration::from_secs(5);

/// What a test sees of one upgrade, and sets.
#[derive(Default)]
pub(crate) struct Dials {
    pub(crate) outlook: Mutex<Outlook>,
    /// The servers that it was given last.
    pub(crate) servers: Mutex<Vec<String>>,
    /// Peers opened so far, and those that are there.
    pub(crate) opened: AtomicUsize,
    pub(crate) here: AtomicUsize,
    /// How many there may be; 0: any number.
    pub(crate) most: AtomicUsize,
}

pub(crate) struct Pipes {
    dials: Arc<Dials>,
    slab: Slab,
    peers: Table<PeerId, Peer>,
    outbox: Outbox,
    events: VecDeque<(PeerId, PeerEvent)>,
}

struct Peer {
    attempt: u32,
    name: String,
    ports: Option<[PortId; 2]>,
    open: [bool; 2],
    links: Option<[LinkId; 2]>,
    until: Instant,
    stopped: [bool; 2],
    held: [VecDeque<Vec<u8>>; 2],
}

impl Pipes {
    pub(crate) fn new(dials: Arc<Dials>) -> Self {
        let (outbox, events) = (Outbox::new(), VecDeque::new());
        Self { dials, slab: Slab::default(), peers: Table::new(), outbox, events }
    }

    fn tell(&mut self, peer: PeerId, signal: &Signal<'_>) {
        self.events.push_back((peer, PeerEvent::Signal(signal.encode())));
    }

    fn dial(&mut self, cx: &mut Cx<'_>, id: PeerId, name: &str) {
        let Some(peer) = self.peers.get_mut(id) else { return };
        peer.name = name.to_owned();
        let ports = [cx.ids.port(), cx.ids.port()];
        peer.ports = Some(ports);
        for (port, lane) in ports.into_iter().zip(["bulk", "quick"]) {
            self.outbox.request(port, PortRequest::Open(PortSpec::Host(format!("{name}.{lane}"))));
        }
        self.events.push_back((id, PeerEvent::State(PeerState::Checking)));
    }

    fn end(&mut self, cx: &mut Cx<'_>, id: PeerId, end: Option<PeerEnd>) {
        let Some(peer) = self.peers.remove(id) else { return };
        self.slab.give(id);
        self.dials.here.fetch_sub(1, Ordering::Relaxed);
        peer.ports.into_iter().flatten().for_each(|port| self.outbox.request(port, PortRequest::Abort));
        peer.links.into_iter().flatten().for_each(|link| cx.ids.release_link(link));
        self.events.extend(end.map(|end| (id, PeerEvent::Down(end))));
    }

    fn by_port(&self, port: PortId) -> Option<(PeerId, usize)> {
        let lane = |peer: &Peer| peer.ports?.iter().position(|known| *known == port);
        self.peers.iter().find_map(|(id, peer)| Some((id, lane(peer)?)))
    }

    fn by_link(&self, link: LinkId) -> Option<(PeerId, usize)> {
        let lane = |peer: &Peer| peer.links?.iter().position(|known| *known == link);
        self.peers.iter().find_map(|(id, peer)| Some((id, lane(peer)?)))
    }

    fn on_port(&mut self, cx: &mut Cx<'_>, port: PortId, change: &PortChange) {
        let Some((id, lane)) = self.by_port(port) else { return };
        let Some(peer) = self.peers.get_mut(id) else { return };
        match change {
            PortChange::Opened { .. } => peer.open[lane] = true,
            _ => {
                let end = if peer.links.is_some() { PeerEnd::Silent } else { PeerEnd::Failed };
                return self.end(cx, id, Some(end));
            }
        }
        if peer.open == [true; 2] {
            let links = [cx.ids.link(), cx.ids.link()];
            peer.links = Some(links);
            self.events.push_back((id, PeerEvent::Up { bulk: links[0], quick: links[1] }));
        }
    }

    fn take(&mut self, port: PortId, bytes: &[u8], upper: &mut dyn Upper) {
        let Some((id, lane)) = self.by_port(port) else { return };
        let Some(peer) = self.peers.get_mut(id) else { return };
        let Some(links) = peer.links else { return };
        if peer.stopped[lane] {
            return peer.held[lane].push_back(bytes.to_vec());
        }
        let flow = upper.deliver(links[lane], Kind::Binary, Payload::Borrowed(bytes));
        peer.stopped[lane] = flow == Flow::Stop;
    }

    fn resume(&mut self, link: LinkId, upper: &mut dyn Upper) {
        let Some((id, lane)) = self.by_link(link) else { return };
        let Some(peer) = self.peers.get_mut(id) else { return };
        peer.stopped[lane] = false;
        let (held, Some(ports)) = (std::mem::take(&mut peer.held[lane]), peer.ports) else { return };
        held.iter().for_each(|bytes| self.take(ports[lane], bytes, upper));
    }

    fn wake(&mut self, link: LinkId) {
        let Some((id, lane)) = self.by_link(link) else { return };
        if let Some(ports) = self.peers.get(id).and_then(|peer| peer.ports) {
            self.outbox.ready(ports[lane]);
        }
    }

    fn give_up(&mut self, cx: &mut Cx<'_>) {
        let late = |(id, peer): (PeerId, &Peer)| (peer.links.is_none() && peer.until <= cx.now).then_some(id);
        let late: Vec<_> = self.peers.iter().filter_map(late).collect();
        for id in late {
            self.end(cx, id, Some(PeerEnd::Failed));
        }
    }
}

struct Whole<'a>(&'a mut Buf);

impl Framer for Whole<'_> {
    fn message(&mut self, _: Kind, head: &[u8], body: &[u8]) {
        self.0.extend(head);
        self.0.extend(body);
    }

    fn room(&self) -> usize {
        self.0.room()
    }
}

impl Transport for Pipes {
    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, TransportCommand>, upper: &mut dyn Upper) {
        match input {
            Input::Timeout => self.give_up(cx),
            Input::Receive(port, bytes) => self.take(port, bytes, upper),
            Input::Port(port, change) => self.on_port(cx, port, &change),
            Input::Command(TransportCommand::Wake(link)) => self.wake(link),
            Input::Command(TransportCommand::Resume(link)) => self.resume(link, upper),
            Input::Command(TransportCommand::Stop) => {
                assert!(self.peers.is_empty(), "the hub ends its peers first");
                self.outbox.event(TransportEvent::Stopped);
            }
            Input::Command(_) | Input::Datagrams(..) => {}
        }
    }

    fn poll(&mut self, _: &mut Cx<'_>) -> Output<TransportEvent> {
        let waits = self.peers.iter().filter(|(_, peer)| peer.links.is_none()).map(|(_, peer)| peer.until);
        self.outbox.poll(waits.min().map(|at| Deadline::new(at, "checks")))
    }

    /// A message is a chunk of its own: the street keeps chunks apart.
    fn fill(&mut self, _: &mut Cx<'_>, port: PortId, buf: &mut Buf, upper: &mut dyn Upper) -> Fill {
        let Some((id, lane)) = self.by_port(port) else { return Fill::Done };
        let Some(links) = self.peers.get(id).and_then(|peer| peer.links) else { return Fill::Done };
        if upper.supply(links[lane], &mut Whole(buf)) { Fill::More } else { Fill::Done }
    }
}

impl Upgrade for Pipes {
    fn open(&mut self, cx: &mut Cx<'_>, attempt: u32, offers: bool) -> Option<PeerId> {
        let most = self.dials.most.load(Ordering::Relaxed);
        if most > 0 && self.dials.here.load(Ordering::Relaxed) >= most {
            return None;
        }
        self.dials.opened.fetch_add(1, Ordering::Relaxed);
        self.dials.here.fetch_add(1, Ordering::Relaxed);
        let id = self.slab.take();
        let peer = Peer {
            attempt,
            name: String::new(),
            ports: None,
            open: [false; 2],
            links: None,
            until: cx.now + CHECKS,
            stopped: [false; 2],
            held: [VecDeque::new(), VecDeque::new()],
        };
        self.peers.insert(id, peer);
        if offers {
            let sdp = format!("direct.{}", cx.rng.u64());
            self.tell(id, &Signal::Description { attempt, kind: DescriptionKind::Offer, sdp: &sdp });
        }
        Some(id)
    }

    fn signal(&mut self, cx: &mut Cx<'_>, peer: PeerId, signal: &Signal<'_>) {
        let text = |ending: &Ending<'_>| (ending.code, ending.text.to_owned());
        match signal {
            Signal::Description { attempt, kind, sdp } => {
                if *kind == DescriptionKind::Offer {
                    self.tell(peer, &Signal::Description { attempt: *attempt, kind: DescriptionKind::Answer, sdp });
                }
                self.dial(cx, peer, sdp);
            }
            Signal::Bye(ending) => {
                let (code, text) = text(ending);
                self.end(cx, peer, Some(PeerEnd::Bye { code, text }));
            }
            Signal::Reject(ending) => {
                let (code, text) = text(ending);
                self.end(cx, peer, Some(PeerEnd::Rejected { code, text }));
            }
            Signal::Error(ending) => {
                let (code, text) = text(ending);
                self.end(cx, peer, Some(PeerEnd::FailedThere { code, text }));
            }
            _ => {}
        }
    }

    fn close(&mut self, cx: &mut Cx<'_>, peer: PeerId, ending: Option<(u8, &str)>) {
        let Some(attempt) = self.peers.get(peer).map(|peer| peer.attempt) else { return };
        let signal = match ending {
            None => Signal::Bye(Ending { attempt, code: 0, text: "" }),
            Some((code, text)) => Signal::Error(Ending { attempt, code, text }),
        };
        self.tell(peer, &signal);
        self.end(cx, peer, None);
    }

    fn poll_peer(&mut self, _: &mut Cx<'_>) -> Option<(PeerId, PeerEvent)> {
        self.events.pop_front()
    }

    fn set_servers(&mut self, _: &mut Cx<'_>, _: u64, servers: &[IceServer]) {
        *self.dials.servers.lock().unwrap() = servers.iter().map(|server| server.uri.to_string()).collect();
    }

    fn report(&self, peer: PeerId) -> Option<PeerReport> {
        let peer = self.peers.get(peer)?;
        let state = if peer.links.is_some() { PeerState::Connected } else { PeerState::Checking };
        Some(PeerReport { state, ..PeerReport::default() })
    }

    fn moves(&self) -> u64 {
        let Outlook { ipv4, ipv6, .. } = self.outlook();
        u64::from(ipv4) | u64::from(ipv6) << 1
    }

    fn revision(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        format!("{:?}", self.outlook()).hash(&mut hasher);
        hasher.finish()
    }

    fn outlook(&self) -> Outlook {
        *self.dials.outlook.lock().unwrap()
    }
}
