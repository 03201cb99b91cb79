//! A program that relays through a TURN server: the client of `turn-client-proto` on one UDP port.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use switchboard::machine::buf::Buf;
use switchboard::machine::datagram::Transmit;
use switchboard::machine::ids::PortId;
use switchboard::machine::port::{PortRequest, PortSpec};
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Deadline, Fill, Input, Machine, Output};
use turn_client_proto::api::{TurnClientApi, TurnConfig, TurnEvent, TurnPollRet, TurnRecvRet};
use turn_client_proto::prelude::DelayedTransmitBuild;
use turn_client_proto::stun::agent::Transmit as StunTransmit;
use turn_client_proto::stun::types::attribute::ErrorCode;
use turn_client_proto::stun::types::message::Message;
use turn_client_proto::types::{Instant as TurnInstant, TransportType, TurnCredentials};
use turn_client_proto::udp::TurnClientUdp;

/// What the client believes its own address to be: that of its socket.
const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 4000);

#[derive(Debug)]
pub(crate) struct Caller {
    client: TurnClientUdp,
    server: SocketAddr,
    port: Option<PortId>,
    requests: VecDeque<(PortId, PortRequest)>,
    outbox: VecDeque<(SocketAddr, Vec<u8>)>,
    ready: bool,
    deadline: Option<Instant>,
    /// Sends nothing from now on.
    pub(crate) is_mute: bool,
    /// The codes of all errors that have come.
    pub(crate) codes: Vec<u16>,
    /// The nonces of all errors that have come.
    pub(crate) nonces: Vec<String>,
    pub(crate) events: Vec<TurnEvent>,
    pub(crate) heard: Vec<(SocketAddr, String)>,
    /// Datagrams that have come and their bytes in all.
    pub(crate) received: (usize, usize),
}

impl Caller {
    pub(crate) fn new(server: SocketAddr, name: &str, password: &str) -> Self {
        Self::with(server, TurnConfig::new(TurnCredentials::new(name, password)))
    }

    pub(crate) fn with(server: SocketAddr, config: TurnConfig) -> Self {
        Self {
            client: TurnClientUdp::allocate(LOCAL, server, config),
            server,
            port: None,
            requests: VecDeque::new(),
            outbox: VecDeque::new(),
            ready: false,
            deadline: None,
            is_mute: false,
            codes: Vec::new(),
            nonces: Vec::new(),
            events: Vec::new(),
            heard: Vec::new(),
            received: (0, 0),
        }
    }

    pub(crate) fn start(&mut self, cx: &mut Cx<'_>) {
        let port = cx.ids.port();
        self.requests.push_back((port, PortRequest::Open(PortSpec::Bind(LOCAL))));
        self.port = Some(port);
        self.settle(cx.now);
    }

    pub(crate) fn relayed(&self) -> Option<SocketAddr> {
        self.client.relayed_addresses().map(|(_, address)| address).next()
    }

    pub(crate) fn permit(&mut self, cx: &mut Cx<'_>, peer: IpAddr) {
        self.client.create_permission(TransportType::Udp, peer, turn(cx.now)).unwrap();
        self.settle(cx.now);
    }

    pub(crate) fn bind_channel(&mut self, cx: &mut Cx<'_>, peer: SocketAddr) {
        self.client.bind_channel(TransportType::Udp, peer, turn(cx.now)).unwrap();
        self.settle(cx.now);
    }

    pub(crate) fn delete(&mut self, cx: &mut Cx<'_>) {
        self.client.delete(turn(cx.now)).unwrap();
        self.settle(cx.now);
    }

    pub(crate) fn say(&mut self, cx: &mut Cx<'_>, peer: SocketAddr, words: &str) {
        let sent = self.client.send_to(TransportType::Udp, peer, words.as_bytes(), turn(cx.now)).unwrap();
        if let Some(sent) = sent {
            self.send(sent.to, sent.data.build());
        }
        self.settle(cx.now);
    }

    /// Sends bytes to the server as they are.
    pub(crate) fn send_raw(&mut self, bytes: Vec<u8>) {
        self.send(self.server, bytes);
    }

    fn send(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        if !self.is_mute {
            self.outbox.push_back((to, bytes));
            self.ready = true;
        }
    }

    fn on_datagram(&mut self, now: Instant, source: SocketAddr, data: &[u8]) {
        self.received = (self.received.0 + 1, self.received.1 + data.len());
        if let Ok(message) = Message::from_bytes(data) {
            self.codes.extend(message.attribute::<ErrorCode>().map(|error| error.code()));
            if let Ok(nonce) = message.attribute::<turn_client_proto::stun::types::attribute::Nonce>() {
                self.nonces.push(nonce.nonce().to_owned());
            }
        }
        let transmit = StunTransmit::new(data, TransportType::Udp, source, LOCAL);
        if let TurnRecvRet::PeerData(came) = self.client.recv(transmit, turn(now)) {
            self.heard.push((came.peer, String::from_utf8_lossy(came.data()).into_owned()));
        }
        self.settle(now);
    }

    fn settle(&mut self, now: Instant) {
        // The client says "wait until now" while it has something to do.
        for _ in 0..100 {
            while let Some(transmit) = self.client.poll_transmit(turn(now)) {
                self.send(transmit.to, transmit.data.as_ref().to_vec());
            }
            while let Some(event) = self.client.poll_event() {
                self.events.push(event);
            }
            while let Some(came) = self.client.poll_recv(turn(now)) {
                self.heard.push((came.peer, String::from_utf8_lossy(came.data()).into_owned()));
            }
            self.deadline = match self.client.poll(turn(now)) {
                TurnPollRet::WaitUntil(at) => Some(Instant::from_nanos(at.as_nanos() as u64)),
                _ => None,
            };
            if self.deadline.is_none_or(|at| at > now) {
                return;
            }
        }
        self.deadline = None;
    }
}

impl Machine for Caller {
    type Command = ();
    type Event = ();

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, ()>) {
        match input {
            Input::Datagrams(_, datagrams) => {
                datagrams.for_each(|one| self.on_datagram(cx.now, one.source, one.data));
            }
            Input::Timeout if self.deadline.is_some_and(|at| at <= cx.now) => self.settle(cx.now),
            _ => {}
        }
    }

    fn poll(&mut self, _: &mut Cx<'_>) -> Output<()> {
        if let Some((port, request)) = self.requests.pop_front() {
            return Output::Port(port, request);
        }
        if let (true, Some(port)) = (self.ready, self.port) {
            self.ready = false;
            return Output::Ready(port);
        }
        Output::Wait(self.deadline.map(|at| Deadline::new(at, "turn client")))
    }

    fn fill(&mut self, _: &mut Cx<'_>, _: PortId, buf: &mut Buf) -> Fill {
        let Some((to, bytes)) = self.outbox.pop_front() else { return Fill::Done };
        buf.extend(&bytes);
        Fill::Datagrams(Transmit::to(to, bytes.len()))
    }
}

fn turn(at: Instant) -> TurnInstant {
    TurnInstant::from_nanos(at.as_nanos() as i64)
}
