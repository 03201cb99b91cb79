//! A program that relays through a TURN server over TCP or TLS: the client of `turn-client-proto` on one stream.
//!
//! Its own client for TCP does not pad ChannelData, as RFC 8656, section 12.5, wants it; so the one for UDP is framed
//! here.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

#[cfg(feature = "tls")]
use switchboard::link::tls::Tls;
use switchboard::machine::buf::Buf;
use switchboard::machine::ids::PortId;
#[cfg(feature = "tls")]
use switchboard::machine::payload::Flow;
use switchboard::machine::port::{PortChange, PortRequest, PortSpec};
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Deadline, Fill, Input, Machine, Output};
use turn_client_proto::api::{TurnClientApi, TurnConfig, TurnPollRet, TurnRecvRet};
use turn_client_proto::prelude::DelayedTransmitBuild;
use turn_client_proto::stun::agent::Transmit;
use turn_client_proto::types::{Instant as TurnInstant, TransportType};
use turn_client_proto::udp::TurnClientUdp;

/// What the client believes its own address to be.
const LOCAL: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 4000);

#[derive(Debug)]
pub(crate) struct Dialler {
    client: Option<TurnClientUdp>,
    server: SocketAddr,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
    port: Option<PortId>,
    requests: VecDeque<(PortId, PortRequest)>,
    out: Vec<u8>,
    partial: Vec<u8>,
    ready: bool,
    deadline: Option<Instant>,
    pub(crate) is_open: bool,
    /// The server has ended the connection.
    pub(crate) has_ended: bool,
    pub(crate) heard: Vec<(SocketAddr, String)>,
    /// All bytes that have come, decrypted.
    pub(crate) received: Vec<u8>,
}

impl Dialler {
    /// One that says nothing of itself.
    pub(crate) const fn mute(server: SocketAddr) -> Self {
        Self {
            client: None,
            server,
            #[cfg(feature = "tls")]
            tls: None,
            port: None,
            requests: VecDeque::new(),
            out: Vec::new(),
            partial: Vec::new(),
            ready: false,
            deadline: None,
            is_open: false,
            has_ended: false,
            heard: Vec::new(),
            received: Vec::new(),
        }
    }

    /// One that allocates.
    pub(crate) fn with(server: SocketAddr, config: TurnConfig) -> Self {
        Self { client: Some(TurnClientUdp::allocate(LOCAL, server, config)), ..Self::mute(server) }
    }

    #[cfg(feature = "tls")]
    pub(crate) fn by_tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    pub(crate) fn start(&mut self, cx: &mut Cx<'_>) {
        let port = cx.ids.port();
        self.requests.push_back((port, PortRequest::Open(PortSpec::Dial(self.server))));
        self.port = Some(port);
    }

    pub(crate) fn relayed(&self) -> Option<SocketAddr> {
        self.client.as_ref()?.relayed_addresses().map(|(_, address)| address).next()
    }

    fn client(&mut self) -> &mut TurnClientUdp {
        self.client.as_mut().unwrap()
    }

    pub(crate) fn permit(&mut self, cx: &mut Cx<'_>, peer: IpAddr) {
        self.client().create_permission(TransportType::Udp, peer, turn(cx.now)).unwrap();
        self.settle(cx.now);
    }

    pub(crate) fn bind_channel(&mut self, cx: &mut Cx<'_>, peer: SocketAddr) {
        self.client().bind_channel(TransportType::Udp, peer, turn(cx.now)).unwrap();
        self.settle(cx.now);
    }

    pub(crate) fn say(&mut self, cx: &mut Cx<'_>, peer: SocketAddr, words: &str) {
        let sent = self.client().send_to(TransportType::Udp, peer, words.as_bytes(), turn(cx.now)).unwrap();
        if let Some(sent) = sent {
            let mut bytes = sent.data.build();
            bytes.resize(bytes.len().next_multiple_of(4), 0);
            self.send_raw(&bytes);
        }
        self.settle(cx.now);
    }

    pub(crate) fn send_raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
        self.ready = true;
    }

    /// Reads nothing from now on, or again.
    pub(crate) fn pause(&mut self, is_paused: bool) {
        let request = if is_paused { PortRequest::Pause } else { PortRequest::Resume };
        self.requests.push_back((self.port.unwrap(), request));
    }

    pub(crate) fn abort(&mut self) {
        self.requests.push_back((self.port.take().unwrap(), PortRequest::Abort));
        (self.ready, self.deadline, self.client) = (false, None, None);
    }

    fn on_bytes(&mut self, cx: &Cx<'_>, data: &mut [u8]) {
        let mut plain = Vec::new();
        self.decrypt(cx, data, &mut plain);
        self.received.extend_from_slice(&plain);
        self.partial.extend_from_slice(&plain);
        while let (Some(client), Some(message)) = (&mut self.client, next_message(&mut self.partial)) {
            let transmit = Transmit::new(message, TransportType::Udp, self.server, LOCAL);
            if let TurnRecvRet::PeerData(came) = client.recv(transmit, turn(cx.now)) {
                self.heard.push((came.peer, String::from_utf8_lossy(came.data()).into_owned()));
            }
        }
        self.settle(cx.now);
    }

    #[cfg(feature = "tls")]
    fn decrypt(&mut self, cx: &Cx<'_>, data: &mut [u8], plain: &mut Vec<u8>) {
        let Some(tls) = &mut self.tls else { return plain.extend_from_slice(data) };
        let mut take = |record: &[u8]| {
            plain.extend_from_slice(record);
            Flow::Go
        };
        tls.receive(cx.unix, data, &mut take).unwrap();
        self.ready = true;
    }

    #[cfg(not(feature = "tls"))]
    fn decrypt(&mut self, _: &Cx<'_>, data: &mut [u8], plain: &mut Vec<u8>) {
        plain.extend_from_slice(data);
    }

    fn settle(&mut self, now: Instant) {
        // The client says "wait until now" while it has something to do.
        for _ in 0..100 {
            let Some(client) = &mut self.client else { return };
            while let Some(transmit) = client.poll_transmit(turn(now)) {
                self.out.extend_from_slice(transmit.data.as_ref());
                self.ready = true;
            }
            while client.poll_event().is_some() {}
            while let Some(came) = client.poll_recv(turn(now)) {
                self.heard.push((came.peer, String::from_utf8_lossy(came.data()).into_owned()));
            }
            self.deadline = match client.poll(turn(now)) {
                TurnPollRet::WaitUntil(at) => Some(Instant::from_nanos(at.as_nanos() as u64)),
                _ => None,
            };
            if self.deadline.is_none_or(|at| at > now) {
                return;
            }
        }
        self.deadline = None;
    }

    fn on_port(&mut self, now: Instant, change: &PortChange) {
        match change {
            PortChange::Opened { .. } => {
                (self.is_open, self.ready) = (true, true);
                self.settle(now);
            }
            PortChange::Eof => {
                self.has_ended = true;
                self.requests.extend(self.port.map(|port| (port, PortRequest::Finish)));
            }
            PortChange::Failed(_) | PortChange::Closed => {
                (self.has_ended, self.port, self.ready, self.deadline) = (true, None, false, None);
                self.client = None;
            }
            _ => {}
        }
    }

    #[cfg(feature = "tls")]
    fn write(&mut self, buf: &mut Buf) {
        let Some(tls) = &mut self.tls else { return buf.extend(&std::mem::take(&mut self.out)) };
        tls.fill(buf).unwrap();
        if tls.can_send() {
            tls.encrypt(&std::mem::take(&mut self.out), buf).unwrap();
        }
    }

    #[cfg(not(feature = "tls"))]
    fn write(&mut self, buf: &mut Buf) {
        buf.extend(&std::mem::take(&mut self.out));
    }
}

impl Machine for Dialler {
    type Command = ();
    type Event = ();

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, ()>) {
        match input {
            Input::Receive(_, data) => self.on_bytes(cx, data),
            Input::Port(_, change) => self.on_port(cx.now, &change),
            Input::Timeout if self.deadline.is_some_and(|at| at <= cx.now) => self.settle(cx.now),
            _ => {}
        }
    }

    fn poll(&mut self, _: &mut Cx<'_>) -> Output<()> {
        if let Some((port, request)) = self.requests.pop_front() {
            return Output::Port(port, request);
        }
        if let (true, true, Some(port)) = (self.ready, self.is_open, self.port) {
            self.ready = false;
            return Output::Ready(port);
        }
        Output::Wait(self.deadline.map(|at| Deadline::new(at, "turn client")))
    }

    fn fill(&mut self, _: &mut Cx<'_>, _: PortId, buf: &mut Buf) -> Fill {
        self.write(buf);
        Fill::Done
    }
}

/// Takes a whole message off the front of a stream, without its padding.
fn next_message(stream: &mut Vec<u8>) -> Option<Vec<u8>> {
    let &[first, _, high, low] = stream.first_chunk()?;
    let len = usize::from(u16::from_be_bytes([high, low])) + if first & 0xc0 == 0x40 { 4 } else { 20 };
    if stream.len() < len.next_multiple_of(4) {
        return None;
    }
    let mut message: Vec<_> = stream.drain(..len.next_multiple_of(4)).collect();
    message.truncate(len);
    Some(message)
}

fn turn(at: Instant) -> TurnInstant {
    TurnInstant::from_nanos(at.as_nanos() as i64)
}
