//! Datagrams, echoed by one driver to the other in batches.

use std::collections::{BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use switchboard::machine::buf::Buf;
use switchboard::machine::datagram::{Datagram, Ecn, Transmit};
use switchboard::machine::ids::PortId;
use switchboard::machine::port::{PortChange, PortRequest, PortSpec};
use switchboard::machine::{Cx, Fill, Input, Machine, Output};

use crate::end::{End, Mio, Tokio};

/// Echoes that the caller waits for in all.
const COUNT: u32 = 10_000;
/// The size of each datagram, in bytes.
const SIZE: usize = 1200;
/// On their way at once: less than any system lets wait at a socket.
const WINDOW: usize = 100;
/// Far more than any of these exchanges takes.
const PATIENCE: Duration = Duration::from_secs(60);

macro_rules! bursts {
    ($($name:ident: $echo:ident, $caller:ident;)*) => {$(
        #[test]
        fn $name() {
            burst::<$echo<Peer>, $caller<Peer>>();
        }
    )*};
}

bursts! {
    a_tokio_echo_returns_a_burst_of_tokio: Tokio, Tokio;
    a_mio_echo_returns_a_burst_of_mio: Mio, Mio;
    a_tokio_echo_returns_a_burst_of_mio: Tokio, Mio;
    a_mio_echo_returns_a_burst_of_tokio: Mio, Tokio;
}

fn burst<Echo: End<Peer>, Caller: End<Peer>>() {
    let (tell, address) = channel();
    let echo = std::thread::spawn(move || {
        let mut echo = Echo::start(Peer::default());
        open(&mut echo, &tell);
        assert_eq!(echo.next(PATIENCE), Told::Closed);
    });
    let echo_address = address.recv_timeout(PATIENCE).expect("an echo");
    let mut caller = Caller::start(Peer::default());
    let (tell, _address) = channel();
    open(&mut caller, &tell);
    caller.act(|peer, _| peer.call(echo_address));
    assert_eq!(caller.next(PATIENCE), Told::AllCame);
    assert!(caller.act(|peer, _| peer.largest_batch) > 1, "nothing was sent in batches");
    caller.act(|peer, _| peer.say_goodbye());
    assert_eq!(caller.next(PATIENCE), Told::Closed);
    echo.join().expect("the echo closes its port");
}

fn open(end: &mut impl End<Peer>, tell: &Sender<SocketAddr>) {
    end.act(|peer, cx| peer.open(cx));
    match end.next(PATIENCE) {
        Told::Opened(address) => tell.send(address).expect("somebody asks"),
        other => panic!("{other:?}"),
    }
}

/// Returns each datagram to its sender; or sends a burst and waits for its echo. One of a single byte ends an echo.
#[derive(Default)]
struct Peer {
    port: Option<PortId>,
    requests: VecDeque<(PortId, PortRequest)>,
    events: VecDeque<Told>,
    owed: VecDeque<(Transmit, Vec<u8>)>,
    is_ready: bool,
    call: Option<Call>,
    largest_batch: usize,
}

struct Call {
    echo: SocketAddr,
    next: u32,
    under_way: BTreeSet<u32>,
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    Opened(SocketAddr),
    AllCame,
    Closed,
}

impl Peer {
    fn open(&mut self, cx: &mut Cx<'_>) {
        let port = cx.ids.port();
        self.port = Some(port);
        let spec = PortSpec::Bind(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0));
        self.requests.push_back((port, PortRequest::Open(spec)));
    }

    fn call(&mut self, echo: SocketAddr) {
        self.call = Some(Call { echo, next: 0, under_way: BTreeSet::new() });
        self.go_on();
    }

    fn say_goodbye(&mut self) {
        let echo = self.call.take().expect("a call").echo;
        self.owe(Transmit::to(echo, 1), b"q".to_vec());
        self.finish();
    }

    /// What is owed leaves first.
    fn finish(&mut self) {
        self.requests.extend(self.port.map(|port| (port, PortRequest::Finish)));
    }

    /// Owes what the window has room for.
    fn go_on(&mut self) {
        let Some(call) = &mut self.call else { return };
        let mut new = Vec::new();
        while call.next < COUNT && call.under_way.len() < WINDOW {
            call.under_way.insert(call.next);
            new.push((Transmit { ecn: mark(call.next), ..Transmit::to(call.echo, SIZE) }, payload(call.next)));
            call.next += 1;
        }
        new.into_iter().for_each(|(transmit, bytes)| self.owe(transmit, bytes));
    }

    fn owe(&mut self, transmit: Transmit, bytes: Vec<u8>) {
        self.owed.push_back((transmit, bytes));
        self.is_ready = true;
    }

    fn on_datagram(&mut self, datagram: &Datagram<'_>) {
        assert!(datagram.destination.is_none_or(|ip| ip == IpAddr::V4(Ipv4Addr::LOCALHOST)));
        match &mut self.call {
            Some(call) => {
                assert_eq!(datagram.source, call.echo);
                call.take(datagram);
                // Half a window at once, so that batches are not whittled down to single datagrams.
                if call.under_way.len() <= WINDOW / 2 {
                    self.go_on();
                }
                if self.call.as_ref().is_some_and(|call| call.under_way.is_empty()) {
                    self.events.push_back(Told::AllCame);
                }
            }
            None if datagram.data.len() == 1 => self.finish(),
            None => {
                let Datagram { source, destination, ecn, .. } = *datagram;
                let segment = datagram.data.len();
                self.owe(Transmit { destination: source, source: destination, ecn, segment }, datagram.data.to_vec());
            }
        }
    }

    fn on_change(&mut self, change: PortChange) {
        match change {
            PortChange::Opened { local: Some(local), peer: None } => self.events.push_back(Told::Opened(local)),
            PortChange::Closed => self.events.push_back(Told::Closed),
            other => panic!("{other:?}"),
        }
    }
}

impl Call {
    fn take(&mut self, datagram: &Datagram<'_>) {
        let number = u32::from_be_bytes(datagram.data[..4].try_into().expect("four bytes"));
        assert!(*datagram.data == payload(number), "datagram {number} was changed");
        assert!(self.under_way.remove(&number), "datagram {number} came twice");
        if cfg!(target_os = "linux") {
            assert_eq!(datagram.ecn, mark(number), "datagram {number}");
        }
    }
}

impl Machine for Peer {
    type Command = ();
    type Event = Told;

    fn handle(&mut self, _: &mut Cx<'_>, input: Input<'_, ()>) {
        match input {
            Input::Datagrams(_, datagrams) => datagrams.for_each(|one| self.on_datagram(&one)),
            Input::Port(_, change) => self.on_change(change),
            Input::Timeout | Input::Receive(..) | Input::Command(()) => {}
        }
    }

    fn poll(&mut self, _: &mut Cx<'_>) -> Output<Told> {
        if let Some((port, request)) = self.requests.pop_front() {
            return Output::Port(port, request);
        }
        if let Some(event) = self.events.pop_front() {
            return Output::Event(event);
        }
        match self.port {
            Some(port) if std::mem::take(&mut self.is_ready) => Output::Ready(port),
            _ => Output::Wait(None),
        }
    }

    fn fill(&mut self, _: &mut Cx<'_>, _: PortId, buf: &mut Buf) -> Fill {
        let Some((transmit, bytes)) = self.owed.pop_front() else { return Fill::Done };
        buf.vec().extend(bytes);
        let mut datagrams = 1;
        while buf.room() >= transmit.segment && self.owed.front().is_some_and(|(next, _)| *next == transmit) {
            buf.vec().extend(self.owed.pop_front().map(|(_, bytes)| bytes).into_iter().flatten());
            datagrams += 1;
        }
        self.largest_batch = self.largest_batch.max(datagrams);
        Fill::Datagrams(transmit)
    }
}

/// Neighbours are marked alike, so that they may share a batch.
const fn mark(number: u32) -> Option<Ecn> {
    match number / 1000 % 3 {
        0 => None,
        1 => Some(Ecn::Ect0),
        _ => Some(Ecn::Ce),
    }
}

fn payload(number: u32) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    bytes.extend((4..SIZE as u32).map(|at| (at * 31 + number) as u8));
    bytes
}
