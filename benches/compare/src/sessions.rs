//! The load on a relay: pairs of neighbours of it, with a session in each pair, of which the first sends and the
//! second receives.
//!
//! The clients prove themselves and open a route as endpoints do. They speak no more of WebSocket than is needed, and
//! their sessions know each other's keys, for a relay has no part in their handshake. Each message may get a packet of
//! its own; in either case the packets of one burst leave in one write.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use switchboard::hub::session::Session;
use switchboard::link::noise::{Claims, Identity, Opener, Proof, Protection, Role, Sealer, SecretKey};
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Epoch;
use switchboard::wire::frame::{DATA_HEAD, Frame, data_head};
use switchboard::wire::identity::Address;
use switchboard_compare::exchange::{PATH, RELAYED, channel, session};

use crate::websocket;

/// How late an acknowledgement may be.
const TICK: Duration = Duration::from_micros(200);

/// Clients of one relay.
pub struct Sessions {
    poll: Poll,
    events: Events,
    epoch: Epoch,
    clients: Vec<Client>,
    message: Vec<u8>,
    chunk: Vec<u8>,
    window: usize,
    packed: bool,
    ticked: Instant,
}

/// One end of a session, on a link of its own.
struct Client {
    link: Link,
    /// Where the relay wants our data.
    route: u32,
    session: Session,
    /// What of a WebSocket frame has come.
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    written: usize,
    unsent: usize,
    checked: bool,
}

/// A proved link.
struct Link {
    stream: TcpStream,
    sealer: Sealer,
    opener: Opener,
}

impl Sessions {
    /// Connects `pairs` pairs of clients.
    pub fn connect(relay: SocketAddr, pairs: usize, window: usize, size: usize, packed: bool) -> Self {
        let poll = Poll::new().expect("the system has an event queue");
        let epoch = Epoch::new(Instant::now(), Duration::from_secs(1));
        let mut rng = Rng::from_u64(1000 + pairs as u64);
        let mut clients = Vec::new();
        for _ in 0..pairs {
            let [a, b] = [(); 2].map(|()| Dialled::new(relay, &mut rng));
            clients.extend(Client::pair(a, b, &epoch));
        }
        for (index, client) in clients.iter_mut().enumerate() {
            let both = Interest::READABLE | Interest::WRITABLE;
            let stream = &mut client.link.stream;
            poll.registry().register(stream, Token(index), both).expect("the event queue takes a socket");
        }
        let (events, message, chunk) = (Events::with_capacity(1024), websocket::payload(size), vec![0; 128 * 1024]);
        Self { poll, events, epoch, clients, message, chunk, window, packed, ticked: Instant::now() }
    }

    /// Keeps the windows full for that long, waits until all has arrived, and answers how many messages that were.
    pub fn run(&mut self, time: Duration) -> usize {
        let end = Instant::now() + time;
        let mut under_way = self.window * self.clients.len() / 2;
        let mut counted = 0;
        for sender in (0..self.clients.len()).step_by(2) {
            self.clients[sender].unsent = self.window;
            self.flush(sender);
        }
        let patience = end + Duration::from_secs(10);
        while under_way > 0 {
            self.poll.poll(&mut self.events, Some(Duration::from_millis(1))).expect("the event queue works");
            assert!(Instant::now() < patience, "{under_way} messages have not arrived");
            let goes_on = Instant::now() < end;
            let ready: Vec<usize> = self.events.iter().map(|event| event.token().0).collect();
            for index in ready {
                let messages = self.receive(index);
                self.flush(index);
                if messages == 0 {
                    continue;
                }
                counted += messages;
                if goes_on {
                    self.clients[index - 1].unsent += messages;
                    self.flush(index - 1);
                } else {
                    under_way -= messages;
                }
            }
            self.tick();
        }
        counted
    }

    /// Packets that the senders and the receivers have sent so far.
    pub fn packets(&self) -> [u64; 2] {
        [0, 1].map(|first| {
            let ends = self.clients.iter().skip(first).step_by(2);
            ends.map(|client| client.session.statistics().packets_sent).sum()
        })
    }

    fn tick(&mut self) {
        if self.ticked.elapsed() < TICK {
            return;
        }
        self.ticked = Instant::now();
        let now = self.epoch.instant(self.ticked);
        for index in 0..self.clients.len() {
            let session = &mut self.clients[index].session;
            if session.deadline().is_some_and(|deadline| deadline.at <= now) {
                session.on_timeout(now);
                self.flush(index);
            }
        }
    }

    fn receive(&mut self, index: usize) -> usize {
        let now = self.epoch.instant(Instant::now());
        self.clients[index].receive(now, &mut self.chunk, &self.message)
    }

    fn flush(&mut self, index: usize) {
        let now = self.epoch.instant(Instant::now());
        let client = &mut self.clients[index];
        if self.packed {
            while client.send(now, &self.message) {}
            client.supply(now);
        } else {
            while client.send(now, &self.message) {
                client.supply(now);
            }
            client.supply(now);
        }
        client.write();
    }
}

impl Client {
    fn pair(mut a: Dialled, mut b: Dialled, epoch: &Epoch) -> [Self; 2] {
        let (a_wants, b_wants) = (7, 9);
        a.send(&Frame::Open { route: a_wants, to: b.address, from: a.address, hops: 4 });
        let to_b = b.receive(|frame| if let Frame::Open { route, .. } = frame { Some(route) } else { None });
        b.send(&Frame::Opened { route: to_b, yours: b_wants, from: b.address });
        let to_a = a.receive(|frame| if let Frame::Opened { yours, .. } = frame { Some(yours) } else { None });
        let now = epoch.instant(Instant::now());
        let made = |dialled: Dialled, route, initiator| {
            let mut session = session(now, initiator, RELAYED);
            while session.poll_event().is_some() {}
            dialled.stream.set_nonblocking(true).expect("a socket need not block");
            let link =
                Link { stream: TcpStream::from_std(dialled.stream), sealer: dialled.sealer, opener: dialled.opener };
            Self {
                link,
                route,
                session,
                inbox: dialled.inbox,
                outbox: Vec::new(),
                written: 0,
                unsent: 0,
                checked: false,
            }
        };
        [made(a, to_a, true), made(b, to_b, false)]
    }

    /// Gives the session one more message, if it owes one.
    fn send(&mut self, now: switchboard::machine::time::Instant, message: &[u8]) -> bool {
        let sends = self.unsent > 0 && self.session.send(now, channel(), message).is_ok();
        self.unsent -= usize::from(sends);
        sends
    }

    /// Appends all packets that the session has.
    fn supply(&mut self, now: switchboard::machine::time::Instant) {
        loop {
            let start = self.outbox.len();
            // A header of the longest kind that packets need, with a mask that changes nothing.
            self.outbox.extend([0x82, 0xfe, 0, 0, 0, 0, 0, 0]);
            let body = self.outbox.len();
            self.outbox.extend(data_head(self.route));
            if !self.session.supply(now, PATH, &mut self.outbox) {
                return self.outbox.truncate(start);
            }
            let (_, tag) = self.link.sealer.seal(&[], &mut self.outbox[body..]);
            self.outbox.extend(tag);
            let len = (self.outbox.len() - body) as u16;
            if len < 126 {
                self.outbox[start + 1] = 0x80 | len as u8;
                self.outbox.drain(start + 2..start + 4);
            } else {
                self.outbox[start + 2..start + 4].copy_from_slice(&len.to_be_bytes());
            }
        }
    }

    fn write(&mut self) {
        while self.written < self.outbox.len() {
            match self.link.stream.write(&self.outbox[self.written..]) {
                Ok(size) => self.written += size,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("a relay takes what is sent: {error}"),
            }
        }
        self.outbox.clear();
        self.written = 0;
    }

    /// How many messages have arrived.
    fn receive(&mut self, now: switchboard::machine::time::Instant, chunk: &mut [u8], message: &[u8]) -> usize {
        loop {
            let size = match self.link.stream.read(chunk) {
                Ok(0) => panic!("the relay has ended a connection"),
                Ok(size) => size,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("what is passed on can be received: {error}"),
            };
            self.inbox.extend(&chunk[..size]);
            if size < chunk.len() {
                break;
            }
        }
        let mut at = 0;
        while let Some((head, len)) = frame(&self.inbox[at..]) {
            let sealed = &mut self.inbox[at + head..at + head + len];
            at += head + len;
            let len = self.link.opener.open_next(&[], sealed).expect("a relay seals");
            if Frame::data_route(&sealed[..len]).is_some() {
                let taken = self.session.receive(now, PATH, &mut sealed[DATA_HEAD..len]);
                taken.expect("a session takes what a session sends");
            }
        }
        self.inbox.drain(..at);
        self.count(message)
    }

    fn count(&mut self, message: &[u8]) -> usize {
        let mut messages = 0;
        while let Some((_, received)) = self.session.recv() {
            messages += 1;
            assert!(self.checked || received.as_slice() == message, "a message has changed under way");
        }
        self.checked |= messages > 0;
        while self.session.poll_event().is_some() {}
        messages
    }
}

/// A neighbour of the relay that has nothing to do yet, and blocks.
struct Dialled {
    stream: std::net::TcpStream,
    address: Address,
    sealer: Sealer,
    opener: Opener,
    inbox: Vec<u8>,
}

impl Dialled {
    fn new(relay: SocketAddr, rng: &mut Rng) -> Self {
        let mut stream = std::net::TcpStream::connect(relay).expect("a relay accepts");
        stream.set_nodelay(true).expect("a socket has this option");
        websocket::upgrade(&mut stream);
        let identity = Identity::new(SecretKey::generate(rng), rng);
        let mut proof = Proof::new(&identity, Role::Initiator, Claims::default(), None, rng);
        let mut inbox = Vec::new();
        write(&mut stream, &proof.supply().expect("the dialler begins"));
        let answer = read(&mut stream, &mut inbox);
        let proved = proof.receive(&answer).expect("a relay proves itself").expect("the second message is its last");
        write(&mut stream, &proof.supply().expect("the dialler ends"));
        let Protection::Noise { sealer, opener } = proved.protection else { panic!("there is no TLS") };
        Self { stream, address: identity.address(), sealer, opener, inbox }
    }

    fn send(&mut self, frame: &Frame<'_>) {
        let mut message = frame.encode();
        let (_, tag) = self.sealer.seal(&[], &mut message);
        message.extend(tag);
        write(&mut self.stream, &message);
    }

    /// The first frame that is wanted; others are passed over.
    fn receive(&mut self, wanted: impl Fn(Frame<'_>) -> Option<u32>) -> u32 {
        loop {
            let mut message = read(&mut self.stream, &mut self.inbox);
            let len = self.opener.open_next(&[], &mut message).expect("a relay seals");
            let frame = Frame::decode(&message[..len]).expect("a relay sends frames");
            if let Some(route) = wanted(frame) {
                return route;
            }
        }
    }
}

fn write(stream: &mut std::net::TcpStream, message: &[u8]) {
    stream.write_all(&websocket::masked(message)).expect("a relay takes what is sent");
}

fn read(stream: &mut std::net::TcpStream, inbox: &mut Vec<u8>) -> Vec<u8> {
    let mut chunk = [0; 4096];
    loop {
        if let Some((head, len)) = frame(inbox) {
            return inbox.drain(..head + len).skip(head).collect();
        }
        let size = stream.read(&mut chunk).expect("a relay answers");
        assert!(size > 0, "the relay has ended a connection");
        inbox.extend(&chunk[..size]);
    }
}

/// The lengths of header and payload of a frame from the server that is complete.
fn frame(bytes: &[u8]) -> Option<(usize, usize)> {
    let (head, len) = match *bytes {
        [0x82, 126, a, b, ..] => (4, usize::from(u16::from_be_bytes([a, b]))),
        [0x82, 126 | 127, ..] | [] | [_] => return None,
        [0x82, len, ..] => (2, usize::from(len)),
        [first, ..] => panic!("a relay sends whole binary messages, not {first:#x}"),
    };
    (bytes.len() >= head + len).then_some((head, len))
}
