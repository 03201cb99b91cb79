//! A dialling or a listening transport in a world that does anything a world may do.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use switchboard::link::http::{UpgradeRequest, UpgradeRules, UpgradeServer};
use switchboard::machine::buf::Buf;
use switchboard::machine::check::{Checked, OnBreach};
use switchboard::machine::ids::{Ids, LinkId, PortId};
use switchboard::machine::limits::Limits;
use switchboard::machine::payload::Kind;
use switchboard::machine::port::{PortChange, PortError, PortRequest, PortSpec};
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;
use switchboard::machine::{Cx, Deadline, Fill, Input, Machine, Output};
use switchboard::stack::dial::Target;
use switchboard::stack::stream::{AcceptRecipe, DialRecipe};
use switchboard::transport::alone::AloneEvent;
use switchboard::transport::stream::{Dialling, Listening};
use switchboard::transport::{Alone, Reconnect, Transport, TransportEvent};

use crate::memory;
use crate::script::Script;
use crate::world::{NAME, UNIX, World};

/// Polls after one input or call: the most that an honest machine here can have to say.
const MOST_POLLS: usize = 400;
/// What a transport with few links may hold.
const MOST_MEMORY: usize = 2 * 1024 * 1024;

/// All laws that [`Checked`] asserts; events that make sense; a stop that ends.
pub fn transport(data: &[u8]) {
    let mut script = Script::new(data);
    let how = script.byte();
    let _ = World::get();
    let ((), peak) = memory::peak(|| if how & 1 == 0 { dial(how, &mut script) } else { listen(how, &mut script) });
    assert!(peak < MOST_MEMORY + 8 * data.len(), "{peak} bytes of memory for a script of {}", data.len());
}

fn limits() -> Limits {
    Limits { message: 1000, http_head: 1000, handshakes: 3, links: 5, lane: 500, inbox: 500, ..Limits::default() }
}

fn dial(how: u8, script: &mut Script<'_>) {
    let host = if how & 2 == 0 { "192.0.2.1" } else { NAME };
    let target = Target::Tcp { host: host.to_owned(), port: 7000 };
    let request =
        UpgradeRequest { host_header: NAME.to_owned(), path_and_query: "/".to_owned(), ..UpgradeRequest::default() };
    let recipe = DialRecipe { websocket: (how & 4 != 0).then_some(request), ..DialRecipe::default() };
    let reconnect = match how >> 3 & 3 {
        0 => Reconnect::Never,
        1 => Reconnect::AtOnce,
        2 => Reconnect::After(Duration::from_millis(50)),
        _ => Reconnect::Backoff { first: Duration::from_millis(10), cap: Duration::from_secs(2) },
    };
    Driver::new(Dialling::new(target, recipe, reconnect, limits())).run(script);
}

fn listen(how: u8, script: &mut Script<'_>) {
    let host = if how & 2 == 0 { "192.0.2.1" } else { NAME };
    let recipe = AcceptRecipe {
        tls: (how & 8 != 0).then(|| World::get().server()),
        websocket: (how & 4 != 0).then(|| Arc::new(UpgradeRules::default())),
    };
    Driver::new(Listening::new(host, 7000, recipe, limits())).run(script);
}

struct Driver<T: Transport> {
    machine: Checked<Alone<T>>,
    now: Instant,
    rng: Rng,
    ids: Ids,
    ports: Vec<(PortId, Port)>,
    links: Vec<LinkId>,
    gone: Vec<LinkId>,
    deadline: Option<Deadline>,
    stopped: bool,
}

struct Port {
    stage: Stage,
    paused: bool,
    ready: bool,
    finishing: bool,
    eof: bool,
    sent: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Dialling,
    Opening,
    Resolving,
    Listening,
    Listed,
    Open,
}

impl Port {
    const fn new(stage: Stage) -> Self {
        Self { stage, paused: false, ready: false, finishing: false, eof: false, sent: Vec::new() }
    }

    fn can_receive(&self) -> bool {
        self.stage == Stage::Open && !self.paused && !self.eof
    }
}

macro_rules! cx {
    ($driver:ident) => {
        &mut Cx { now: $driver.now, unix: UNIX, rng: &mut $driver.rng, ids: &mut $driver.ids }
    };
}

impl<T: Transport> Driver<T> {
    fn new(transport: T) -> Self {
        Self {
            machine: Checked::new(Alone::new(transport, limits()), OnBreach::Panic),
            now: Instant::ZERO,
            rng: Rng::from_u64(0),
            ids: Ids::new(),
            ports: Vec::new(),
            links: Vec::new(),
            gone: Vec::new(),
            deadline: None,
            stopped: false,
        }
    }

    fn run(mut self, script: &mut Script<'_>) {
        self.machine.call().start(cx!(self));
        self.drain();
        for _ in 0..400 {
            if script.is_over() || self.stopped {
                break;
            }
            self.act(script);
        }
        self.end();
    }

    /// Whatever happened before: a stop ends all links and ports in time.
    fn end(mut self) {
        if !self.stopped {
            self.machine.call().stop(cx!(self));
            self.drain();
        }
        self.wait(Duration::from_secs(3600));
        assert!(self.stopped, "a stop never ends");
        assert!(self.ports.is_empty(), "{} ports outlive their transport", self.ports.len());
        assert!(self.links.is_empty(), "links outlive their transport");
    }

    fn act(&mut self, script: &mut Script<'_>) {
        let action = script.byte();
        let at = usize::from(action >> 4);
        match action & 15 {
            0 => self.succeed(at, script),
            1 => self.fail(at, script.byte()),
            2 => self.receive(at, script.bytes()),
            3 => self.fill(at, usize::from(script.byte())),
            4 => self.eof(at),
            5 => self.greet(at),
            6 => self.wait(Duration::from_millis(10 * script.word() as u64)),
            7 => self.input(Input::Timeout),
            8 => self.send(at, script),
            9 => self.take(),
            10 => self.close(at),
            11 => {
                self.machine.call().stop(cx!(self));
                self.drain();
            }
            12 => self.refill(at, script),
            _ => self.turn(at),
        }
    }

    fn find(&self, at: usize, of: impl Fn(&Port) -> bool) -> Option<(usize, PortId)> {
        let fitting: Vec<_> = self.ports.iter().enumerate().filter(|(_, (_, port))| of(port)).collect();
        let (index, (id, _)) = fitting.get(at % fitting.len().max(1))?;
        Some((*index, *id))
    }

    /// What was asked for succeeds: a name has addresses, a stream opens, a listener accepts.
    fn succeed(&mut self, at: usize, script: &mut Script<'_>) {
        let Some((index, id)) = self.find(at, |port| port.stage != Stage::Open) else { return };
        let (here, there) = (address(0), address(1 + script.byte() % 8));
        let port = &mut self.ports[index].1;
        match port.stage {
            Stage::Resolving => {
                let addresses = (0..1 + script.byte() % 12).map(|n| ip(n ^ script.byte())).collect();
                self.ports.remove(index);
                self.input(Input::Port(id, PortChange::Resolved(addresses)));
            }
            Stage::Dialling => {
                port.stage = Stage::Open;
                self.input(Input::Port(id, PortChange::Opened { local: Some(here), peer: Some(there) }));
            }
            Stage::Opening => {
                port.stage = Stage::Listening;
                self.input(Input::Port(id, PortChange::Opened { local: Some(here), peer: None }));
            }
            Stage::Listening => {
                let port = self.ids.port();
                self.ports.push((port, Port::new(Stage::Open)));
                self.input(Input::Port(id, PortChange::Accepted { port, peer: there }));
            }
            Stage::Listed => {
                let addresses = (0..script.byte() % 6).map(|n| ip(n ^ script.byte() % 4)).collect();
                self.input(Input::Port(id, PortChange::Addresses(addresses)));
            }
            Stage::Open => {}
        }
    }

    fn fail(&mut self, at: usize, why: u8) {
        let Some((index, id)) = self.find(at, |_| true) else { return };
        let errors = [PortError::Refused, PortError::Reset, PortError::TimedOut, PortError::Unreachable];
        self.ports.remove(index);
        self.input(Input::Port(id, PortChange::Failed(errors[usize::from(why) % errors.len()])));
    }

    fn receive(&mut self, at: usize, bytes: &[u8]) {
        let Some((_, id)) = self.find(at, Port::can_receive) else { return };
        if !bytes.is_empty() {
            self.input(Input::Receive(id, &mut bytes.to_vec()));
        }
    }

    fn refill(&mut self, at: usize, script: &mut Script<'_>) {
        let bytes = script.bytes().repeat(1 + usize::from(script.byte() % 40));
        self.receive(at, &bytes);
    }

    fn eof(&mut self, at: usize) {
        let Some((index, id)) = self.find(at, Port::can_receive) else { return };
        self.ports[index].1.eof = true;
        self.input(Input::Port(id, PortChange::Eof));
        self.end_finished();
    }

    /// The other side of the upgrade, done right.
    fn greet(&mut self, at: usize) {
        let Some((index, id)) = self.find(at, Port::can_receive) else { return };
        let mut server = UpgradeServer::new(Arc::new(UpgradeRules::default()), &Limits::default());
        let sent = &mut self.ports[index].1.sent;
        let mut answer = Buf::new(usize::MAX);
        if server.receive(sent).is_ok() {
            server.fill(&mut answer);
        }
        if answer.is_empty() {
            answer.extend(
                b"GET / HTTP/1.1\r\nHost: board.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                  Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            );
        }
        sent.clear();
        self.input(Input::Receive(id, answer.vec()));
    }

    fn fill(&mut self, at: usize, limit: usize) {
        let Some((index, id)) = self.find(at, |port| port.stage == Stage::Open && port.ready) else { return };
        let mut buf = Buf::new(limit);
        let fill = self.machine.fill(cx!(self), id, &mut buf);
        assert!(buf.len() <= limit + 1000 + 20_000);
        let port = &mut self.ports[index].1;
        port.ready = fill == Fill::More;
        port.sent.extend_from_slice(buf.as_slice());
        port.sent.truncate(4000);
        self.drain();
        self.end_finished();
    }

    /// Everything that is ready to be sent is sent, and what was paused for is taken.
    fn turn(&mut self, at: usize) {
        for _ in 0..100 {
            if self.find(at, |port| port.stage == Stage::Open && port.ready).is_none() {
                return self.take();
            }
            self.fill(at, 1 << 16);
        }
        panic!("a port is always ready");
    }

    fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        for _ in 0..20_000 {
            let Some(due) = self.deadline.filter(|deadline| deadline.at <= until) else {
                self.now = until;
                return;
            };
            self.now = self.now.max(due.at);
            self.input(Input::Timeout);
            // What waits for us in such a wait is not waited for again and again by a dial that is never answered.
            if self.stopped {
                return;
            }
        }
        panic!("the deadline {:?} comes again and again", self.deadline);
    }

    fn send(&mut self, at: usize, script: &mut Script<'_>) {
        let Some(link) = self.links.get(at % self.links.len().max(1)).copied() else { return };
        let (how, text) = (script.byte(), script.text());
        let kind = if how & 1 == 0 { Kind::Binary } else { Kind::Text };
        let text = text.repeat(1 + usize::from(how >> 4));
        let _ = self.machine.call().send(cx!(self), link, kind, text.as_bytes());
        self.drain();
    }

    fn take(&mut self) {
        for _ in 0..1000 {
            let message = self.machine.call().recv(cx!(self));
            self.drain();
            let Some(message) = message else { return };
            assert!(message.bytes.len() <= 1000);
            assert!(self.links.contains(&message.link) || self.gone.contains(&message.link));
        }
        panic!("an inbox is never empty");
    }

    fn close(&mut self, at: usize) {
        let Some(link) = self.links.get(at % self.links.len().max(1)).copied() else { return };
        self.machine.call().close(cx!(self), link);
        self.drain();
    }

    fn input(&mut self, input: Input<'_, switchboard::transport::TransportCommand>) {
        self.machine.handle(cx!(self), input);
        self.drain();
    }

    fn drain(&mut self) {
        for _ in 0..MOST_POLLS {
            match self.machine.poll(cx!(self)) {
                Output::Port(port, request) => self.request(port, request),
                Output::Event(event) => self.event(event),
                Output::Ready(id) => self.update(id, |port| port.ready = true),
                Output::Wait(deadline) => {
                    self.deadline = deadline;
                    return;
                }
            }
        }
        panic!("{MOST_POLLS} polls and no `Wait`");
    }

    fn request(&mut self, id: PortId, request: PortRequest) {
        match request {
            PortRequest::Open(PortSpec::Listen(_)) => self.ports.push((id, Port::new(Stage::Opening))),
            PortRequest::Open(PortSpec::Addresses) => self.ports.push((id, Port::new(Stage::Listed))),
            PortRequest::Open(_) => self.ports.push((id, Port::new(Stage::Dialling))),
            PortRequest::Resolve(_) => self.ports.push((id, Port::new(Stage::Resolving))),
            PortRequest::Pause => self.update(id, |port| port.paused = true),
            PortRequest::Resume => self.update(id, |port| port.paused = false),
            PortRequest::Finish => self.update(id, |port| port.finishing = true),
            PortRequest::Abort => self.ports.retain(|(port, _)| *port != id),
        }
    }

    fn update(&mut self, id: PortId, change: impl FnOnce(&mut Port)) {
        if let Some((_, port)) = self.ports.iter_mut().find(|(port, _)| *port == id) {
            change(port);
        }
    }

    /// A port whose both sides have ended is closed.
    fn end_finished(&mut self) {
        while let Some((index, id)) = self.find(0, |port| port.finishing && port.eof && !port.ready) {
            self.ports.remove(index);
            self.input(Input::Port(id, PortChange::Closed));
        }
    }

    fn event(&mut self, event: AloneEvent) {
        match event {
            AloneEvent::Transport(TransportEvent::Up(link, _)) => {
                assert!(!self.links.contains(&link), "{link} is up twice");
                self.links.push(link);
                assert!(self.links.len() <= limits().links);
            }
            AloneEvent::Transport(TransportEvent::Down(link, _)) => {
                let before = self.links.len();
                self.links.retain(|up| *up != link);
                assert_eq!(self.links.len() + 1, before, "{link} is down and was not up");
                self.gone.push(link);
            }
            AloneEvent::Transport(TransportEvent::Stopped) => {
                assert!(!std::mem::replace(&mut self.stopped, true), "stopped twice");
            }
            AloneEvent::Writable(link) => assert!(self.links.contains(&link), "{link} is writable and not up"),
            AloneEvent::Transport(_) | AloneEvent::Readable => {}
        }
    }
}

fn ip(n: u8) -> IpAddr {
    if n.is_multiple_of(2) {
        IpAddr::from([192, 0, 2, n])
    } else {
        IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, n.into()])
    }
}

fn address(n: u8) -> SocketAddr {
    SocketAddr::new(ip(n), 7000)
}
