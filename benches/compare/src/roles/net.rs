//! Two direct peers in one process, each with a thread and sockets of its own: ours, and those of libdatachannel.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::Waker;
use std::thread;

use switchboard::machine::buf::Buf;
use switchboard::machine::ids::{LinkId, PortId};
use switchboard::machine::payload::{Flow, Framer, Kind, Payload, Upper};
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Epoch;
use switchboard::machine::{Cx, Fill, Input, Machine, Output};
use switchboard::stack::gather::GatherConfig;
use switchboard::stack::peer::Crypto;
use switchboard::transport::webrtc::{Webrtc, WebrtcConfig};
use switchboard::transport::{PeerEvent, PeerId, Transport as _, Upgrade as _};
use switchboard::wire::signal::Signal;
use switchboard_mio::Driver;

use super::{obey, say};

/// What one thread tells the other.
enum Word {
    /// A signal of the peer at the other end.
    Signal(Vec<u8>),
    /// So many messages are to be sent.
    Send(usize),
    /// So many will come; that they all have is to be told.
    Expect(usize),
}

/// The ways to one end.
#[derive(Clone)]
struct Line {
    words: Sender<Word>,
    waker: Waker,
}

impl Line {
    fn say(&self, word: Word) {
        self.words.send(word).expect("the other thread runs");
        self.waker.wake_by_ref();
    }
}

/// Has one end send messages of `size` bytes to the other, as many as the parent says.
pub fn peers(size: usize) {
    let (done, is_done) = channel();
    let [first, second] = [true, false].map(|offers| start(offers, size, done.clone()));
    let [to_first, to_second] = [&first, &second].map(|started| started.line.clone());
    first.other.send(second.line.clone()).and(second.other.send(first.line)).expect("both threads run");
    for _ in 0..2 {
        is_done.recv().expect("both come up");
    }
    obey(|count| {
        to_second.say(Word::Expect(count));
        to_first.say(Word::Send(count));
        is_done.recv().expect("all arrive");
    });
}

/// A thread with one end, which waits to be told of the other.
struct Started {
    line: Line,
    other: Sender<Line>,
}

fn start(offers: bool, size: usize, done: Sender<()>) -> Started {
    let ((words, hears), (wakes, waker)) = (channel(), channel());
    let (other, hears_of_other) = channel();
    thread::spawn(move || {
        let mut driver = driver(offers, size);
        wakes.send(driver.waker()).expect("somebody waits");
        let other = hears_of_other.recv().expect("there is another end");
        run(driver, &hears, &other, &done);
    });
    Started { line: Line { words, waker: waker.recv().expect("the thread runs") }, other }
}

/// Instead of this process there is node, which plays the same role by libdatachannel.
pub fn node(script: &str, size: &str) {
    let error = Command::new("node").args([script, size]).exec();
    say(&format!("node does not start: {error}"));
}

fn driver(offers: bool, size: usize) -> Driver<End> {
    let mut driver = Driver::new(End::default()).expect("a driver starts");
    let epoch = driver.epoch();
    driver.act(|end, cx| end.begin(cx, epoch, offers, size));
    driver
}

fn run(mut driver: Driver<End>, hears: &Receiver<Word>, other: &Line, done: &Sender<()>) {
    loop {
        match driver.turn(None).expect("a driver runs") {
            Some(Said::Signal(bytes)) => other.say(Word::Signal(bytes)),
            Some(Said::Up | Said::AllCame) => done.send(()).expect("somebody waits"),
            None => {
                for word in hears.try_iter() {
                    driver.act(|end, cx| end.on_word(cx, word));
                }
            }
        }
    }
}

/// A transport with one peer that sends what it is told to, and counts what comes.
#[derive(Default)]
struct End {
    webrtc: Option<(Webrtc, PeerId)>,
    traffic: Traffic,
    ready: VecDeque<PortId>,
    said: VecDeque<Said>,
}

enum Said {
    Signal(Vec<u8>),
    Up,
    AllCame,
}

#[derive(Default)]
struct Traffic {
    message: Vec<u8>,
    link: Option<LinkId>,
    left: usize,
    /// Below zero when some have come before it was said how many will.
    missing: isize,
    has_all: bool,
}

impl End {
    fn begin(&mut self, cx: &mut Cx<'_>, epoch: Epoch, offers: bool, size: usize) {
        let crypto = Crypto::new(epoch, &mut Rng::from_u64(1)).expect("a certificate is made");
        let gather = GatherConfig { loopback: true, ..GatherConfig::default() };
        let mut webrtc = Webrtc::new(WebrtcConfig { gather, ..WebrtcConfig::new(crypto) });
        let peer = webrtc.open(cx, 1, offers).expect("the first peer");
        self.webrtc = Some((webrtc, peer));
        self.traffic.message = vec![7; size];
    }

    fn on_word(&mut self, cx: &mut Cx<'_>, word: Word) {
        let Some((webrtc, peer)) = &mut self.webrtc else { return };
        match word {
            Word::Signal(bytes) => webrtc.signal(cx, *peer, &Signal::decode(&bytes, usize::MAX).expect("a signal")),
            Word::Expect(count) => self.traffic.miss(count as isize),
            Word::Send(count) => {
                self.traffic.left += count;
                let wake = self.traffic.link.map(switchboard::transport::TransportCommand::Wake);
                wake.into_iter().for_each(|wake| webrtc.handle(cx, Input::Command(wake), &mut self.traffic));
            }
        }
    }

    fn hear(&mut self, cx: &mut Cx<'_>) {
        while let Some((_, event)) = self.webrtc.as_mut().and_then(|(webrtc, _)| webrtc.poll_peer(cx)) {
            match event {
                PeerEvent::Signal(bytes) => self.said.push_back(Said::Signal(bytes.to_vec())),
                PeerEvent::Up { bulk, .. } => {
                    self.traffic.link = Some(bulk);
                    self.said.push_back(Said::Up);
                }
                PeerEvent::Down(end) => panic!("the peer has ended: {end}"),
                PeerEvent::State(_) => {}
            }
        }
        if std::mem::take(&mut self.traffic.has_all) {
            self.said.push_back(Said::AllCame);
        }
    }
}

impl Machine for End {
    type Command = Infallible;
    type Event = Said;

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, Infallible>) {
        let Some((webrtc, _)) = &mut self.webrtc else { return };
        let input = match input {
            Input::Timeout => Input::Timeout,
            Input::Receive(port, data) => Input::Receive(port, data),
            Input::Datagrams(port, datagrams) => Input::Datagrams(port, datagrams),
            Input::Port(port, change) => Input::Port(port, change),
            Input::Command(never) => match never {},
        };
        webrtc.handle(cx, input, &mut self.traffic);
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<Said> {
        loop {
            let Some((webrtc, _)) = &mut self.webrtc else { return Output::Wait(None) };
            match webrtc.poll(cx) {
                Output::Port(port, request) => return Output::Port(port, request),
                Output::Ready(port) => self.ready.push_back(port),
                Output::Event(_) => {}
                Output::Wait(deadline) => {
                    self.hear(cx);
                    if let Some(said) = self.said.pop_front() {
                        return Output::Event(said);
                    }
                    return self.ready.pop_front().map_or(Output::Wait(deadline), Output::Ready);
                }
            }
        }
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        let Some((webrtc, _)) = &mut self.webrtc else { return Fill::Done };
        webrtc.fill(cx, port, buf, &mut self.traffic)
    }
}

impl Traffic {
    fn miss(&mut self, more: isize) {
        self.missing += more;
        self.has_all = self.missing == 0;
    }
}

impl Upper for Traffic {
    fn deliver(&mut self, _: LinkId, _: Kind, _: Payload<'_>) -> Flow {
        self.miss(-1);
        Flow::Go
    }

    fn supply(&mut self, link: LinkId, out: &mut dyn Framer) -> bool {
        if self.left == 0 || self.link != Some(link) {
            return false;
        }
        self.left -= 1;
        out.message(Kind::Binary, &[], &self.message);
        true
    }
}
