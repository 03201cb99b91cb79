//! The rendezvous and guests of all manners.

use std::time::Duration;

use switchboard::machine::buf::Buf;
use switchboard::machine::ids::PortId;
use switchboard::machine::port::{PortChange, PortRequest, PortSpec};
use switchboard::machine::{Cx, Fill, Input, Machine, Output};
use switchboard::sim::{HostId, World};
use switchboard::stack::probe::introduction::{Introduction, LONGEST_LINE};
use switchboard::stack::probe::{Rendezvous, RendezvousConfig, RendezvousCounters};

#[derive(Debug)]
enum Node {
    Rendezvous(Box<Rendezvous>),
    Guest(Guest),
}

/// Says something on one connection, and hears.
#[derive(Debug, Default)]
struct Guest {
    says: Vec<u8>,
    port: Option<PortId>,
    request: Option<PortRequest>,
    is_ready: bool,
    is_gone: bool,
    heard: Vec<u8>,
}

impl Machine for Node {
    type Command = ();
    type Event = ();

    fn handle(&mut self, cx: &mut Cx<'_>, input: Input<'_, ()>) {
        match (self, input) {
            (Self::Rendezvous(machine), input) => machine.handle(cx, input),
            (Self::Guest(guest), Input::Port(_, PortChange::Opened { .. })) => guest.is_ready = true,
            (Self::Guest(guest), Input::Port(_, PortChange::Failed(_))) => guest.is_gone = true,
            (Self::Guest(guest), Input::Port(port, PortChange::Eof)) => {
                (guest.request, guest.port) = (Some(PortRequest::Abort), Some(port));
                guest.is_gone = true;
            }
            (Self::Guest(guest), Input::Receive(_, data)) => guest.heard.extend_from_slice(data),
            _ => {}
        }
    }

    fn poll(&mut self, cx: &mut Cx<'_>) -> Output<()> {
        match self {
            Self::Rendezvous(machine) => loop {
                match machine.poll(cx) {
                    Output::Event(_) => {}
                    Output::Port(port, request) => return Output::Port(port, request),
                    Output::Ready(port) => return Output::Ready(port),
                    Output::Wait(deadline) => return Output::Wait(deadline),
                }
            },
            Self::Guest(guest) => {
                if guest.port.is_none() {
                    guest.port = Some(cx.ids.port());
                    guest.request = Some(PortRequest::Open(PortSpec::Dial("198.18.0.1:443".parse().unwrap())));
                }
                match (guest.request.take(), std::mem::take(&mut guest.is_ready)) {
                    (Some(request), _) => Output::Port(guest.port.unwrap(), request),
                    (None, true) => Output::Ready(guest.port.unwrap()),
                    (None, false) => Output::Wait(None),
                }
            }
        }
    }

    fn fill(&mut self, cx: &mut Cx<'_>, port: PortId, buf: &mut Buf) -> Fill {
        match self {
            Self::Rendezvous(machine) => machine.fill(cx, port, buf),
            Self::Guest(guest) => {
                buf.extend(&std::mem::take(&mut guest.says));
                Fill::Done
            }
        }
    }
}

struct Scene {
    world: World<Node>,
    rendezvous: HostId,
}

impl Scene {
    fn new(guests: usize) -> Self {
        let mut world = World::new(1);
        let config = RendezvousConfig { guests, ..RendezvousConfig::new("0.0.0.0:443".parse().unwrap()) };
        let rendezvous = world.host("rendezvous", Node::Rendezvous(Box::new(Rendezvous::new(config))));
        Self { world, rendezvous }
    }

    fn guest(&mut self, says: &[u8]) -> HostId {
        let host = self.world.host("guest", Node::Guest(Guest { says: says.to_vec(), ..Guest::default() }));
        self.wait(1);
        host
    }

    fn wait(&mut self, seconds: u64) {
        self.world.run_for(Duration::from_secs(seconds)).unwrap();
    }

    /// What a guest has heard, and whether its connection has ended.
    fn heard(&self, guest: HostId) -> (String, bool) {
        let Node::Guest(guest) = self.world.machine(guest) else { panic!() };
        (String::from_utf8_lossy(&guest.heard).into_owned(), guest.is_gone)
    }

    /// How many guests there are, and what was seen of them.
    fn seen(&self) -> (usize, RendezvousCounters) {
        let Node::Rendezvous(rendezvous) = self.world.machine(self.rendezvous) else { panic!() };
        (rendezvous.guests(), rendezvous.counters())
    }
}

fn line(id: &str, word: &str) -> String {
    let secret = "0123456789abcdef0123456789abcdef".to_owned();
    Introduction { id: id.to_owned(), secret, candidates: vec!["192.0.2.1:4000".parse().unwrap()] }.line(word)
}

#[test]
fn two_guests_with_one_word_hear_each_other_and_are_let_go() {
    let mut scene = Scene::new(10);
    let [first, other, second] =
        [("a", "tulip"), ("b", "rose"), ("c", "tulip")].map(|(id, word)| scene.guest(line(id, word).as_bytes()));
    assert_eq!(scene.heard(first), (line("c", "tulip"), true));
    assert_eq!(scene.heard(second), (line("a", "tulip"), true));
    assert_eq!(scene.heard(other), (String::new(), false));
    let third = scene.guest(line("d", "tulip").as_bytes());
    assert_eq!(scene.heard(third), (String::new(), false), "who comes third waits anew");
    assert_eq!((scene.seen().0, scene.seen().1.pairs), (2, 1));
}

#[test]
fn who_says_no_line_is_hung_up_on() {
    let mut scene = Scene::new(10);
    let rude = scene.guest(b"GET / HTTP/1.1\r\n");
    let endless = scene.guest(&[b'x'; LONGEST_LINE + 1]);
    let silent = scene.guest(b"probe1 tul");
    assert!(scene.heard(rude).1 && scene.heard(endless).1);
    assert!(!scene.heard(silent).1, "it has ten seconds");
    scene.wait(10);
    assert!(scene.heard(silent).1);
    let (guests, counters) = scene.seen();
    assert_eq!((guests, counters.malformed, counters.timed_out), (0, 2, 1));
}

#[test]
fn who_waits_in_vain_is_let_go_in_the_end() {
    let mut scene = Scene::new(10);
    let guest = scene.guest(line("a", "tulip").as_bytes());
    scene.wait(290);
    assert!(!scene.heard(guest).1);
    scene.wait(20);
    assert!(scene.heard(guest).1);
    assert_eq!(scene.seen().0, 0);
}

#[test]
fn who_comes_when_there_are_too_many_is_hung_up_on() {
    let mut scene = Scene::new(2);
    for id in ["a", "b"] {
        scene.guest(line(id, id).as_bytes());
    }
    let surplus = scene.guest(line("c", "a").as_bytes());
    assert!(scene.heard(surplus).1);
    assert_eq!((scene.seen().0, scene.seen().1.refused), (2, 1));
}
