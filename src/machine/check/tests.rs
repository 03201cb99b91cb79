//! Broken machines and owners, each caught.

use std::collections::VecDeque;
use std::time::Duration;

use super::*;
use crate::machine::ids::Ids;
use crate::machine::port::{PortError, PortSpec};
use crate::machine::rng::Rng;

/// Says what it is told to say, and owes the bytes that it is told to owe.
#[derive(Default)]
struct Script {
    outputs: VecDeque<Output<&'static str>>,
    owed: Vec<u8>,
}

impl Machine for Script {
    type Command = Vec<Output<&'static str>>;
    type Event = &'static str;

    fn handle(&mut self, _: &mut Cx<'_>, input: Input<'_, Self::Command>) {
        if let Input::Command(outputs) = input {
            self.outputs.extend(outputs);
        }
    }

    fn poll(&mut self, _: &mut Cx<'_>) -> Output<&'static str> {
        self.outputs.pop_front().unwrap_or(Output::Wait(None))
    }

    fn fill(&mut self, _: &mut Cx<'_>, _: PortId, buf: &mut Buf) -> Fill {
        buf.extend(&std::mem::take(&mut self.owed));
        Fill::Done
    }
}

/// The owner of a script.
struct Owner {
    checked: Checked<Script>,
    now: Instant,
    rng: Rng,
    ids: Ids,
}

impl Owner {
    fn new() -> Self {
        let checked = Checked::new(Script::default(), OnBreach::Record);
        let mut owner = Self { checked, now: at(100), rng: Rng::from_u64(1), ids: Ids::new() };
        owner.drain();
        owner
    }

    /// With a port that is open.
    fn with_port() -> (Self, PortId) {
        let mut owner = Self::new();
        let port = owner.ids.port();
        owner.say([open(port)]);
        owner.input(Input::Port(port, PortChange::Opened { local: None, peer: None }));
        assert_eq!(owner.law(), None);
        (owner, port)
    }

    fn with<R>(&mut self, f: impl FnOnce(&mut Checked<Script>, &mut Cx<'_>) -> R) -> R {
        let mut cx = Cx { now: self.now, unix: Duration::ZERO, rng: &mut self.rng, ids: &mut self.ids };
        f(&mut self.checked, &mut cx)
    }

    fn drain(&mut self) {
        while !matches!(self.with(|checked, cx| checked.poll(cx)), Output::Wait(_)) {}
    }

    fn undrained(&mut self, input: Input<'_, Vec<Output<&'static str>>>) {
        self.with(|checked, cx| checked.handle(cx, input));
    }

    fn input(&mut self, input: Input<'_, Vec<Output<&'static str>>>) {
        self.undrained(input);
        self.drain();
    }

    fn say<const N: usize>(&mut self, outputs: [Output<&'static str>; N]) {
        self.input(Input::Command(outputs.into()));
    }

    fn fill(&mut self, port: PortId) {
        self.with(|checked, cx| checked.fill(cx, port, &mut Buf::new(100)));
        self.drain();
    }

    /// The law that was broken.
    fn law(&self) -> Option<u8> {
        self.checked.breach().map(|breach| breach.law)
    }
}

const fn at(nanos: u64) -> Instant {
    Instant::from_nanos(nanos)
}

const fn wait(nanos: u64) -> Output<&'static str> {
    Output::Wait(Some(Deadline::new(at(nanos), "test")))
}

const fn open(port: PortId) -> Output<&'static str> {
    Output::Port(port, PortRequest::Open(PortSpec::Host(String::new())))
}

#[test]
fn a_life_within_the_laws_is_no_breach() {
    let (mut owner, port) = Owner::with_port();
    owner.say([Output::Event("hello"), Output::Ready(port), wait(200)]);
    owner.fill(port);
    owner.say([Output::Port(port, PortRequest::Pause)]);
    owner.say([Output::Port(port, PortRequest::Resume), wait(200)]);
    owner.input(Input::Receive(port, &mut [1]));
    owner.say([Output::Port(port, PortRequest::Finish)]);
    owner.input(Input::Port(port, PortChange::Eof));
    owner.input(Input::Port(port, PortChange::Closed));
    owner.say([wait(300)]);
    owner.checked.call().outputs.push_back(wait(300));
    owner.drain();
    owner.checked.machine.outputs.push_back(wait(300));
    owner.input(Input::Timeout);
    assert_eq!(owner.checked.breach(), None);
}

#[test]
fn law_1_an_input_before_the_machine_was_drained() {
    let mut owner = Owner::new();
    owner.undrained(Input::Timeout);
    owner.undrained(Input::Timeout);
    assert_eq!(owner.law(), Some(1));
}

#[test]
fn law_1_an_input_between_a_call_and_its_drain() {
    let mut owner = Owner::new();
    owner.checked.call();
    owner.undrained(Input::Timeout);
    assert_eq!(owner.law(), Some(1));
}

#[test]
fn law_2_a_wait_until_now_or_before() {
    for nanos in [100, 99, 0] {
        let mut owner = Owner::new();
        owner.say([wait(nanos)]);
        assert_eq!(owner.law(), Some(2), "{nanos}");
    }
}

#[test]
fn a_call_may_uncover_another_deadline_that_has_passed_before_the_timeout_came() {
    let mut owner = Owner::new();
    owner.say([wait(150)]);
    owner.now = at(200);
    owner.say([wait(180)]);
    assert_eq!(owner.law(), None);
    owner.input(Input::Timeout);
    owner.say([wait(190)]);
    assert_eq!(owner.law(), Some(2), "it had its timeout");
}

#[test]
fn law_3_time_that_runs_back() {
    let mut owner = Owner::new();
    owner.input(Input::Timeout);
    owner.now = at(99);
    owner.input(Input::Timeout);
    assert_eq!(owner.law(), Some(3));
}

#[test]
fn law_3_an_early_timeout_that_leads_to_something() {
    let mut owner = Owner::new();
    owner.checked.machine.outputs.push_back(Output::Event("too early"));
    owner.input(Input::Timeout);
    assert_eq!(owner.law(), Some(3));
}

#[test]
fn law_3_an_early_timeout_that_moves_the_deadline() {
    let mut owner = Owner::new();
    owner.say([wait(200)]);
    owner.checked.machine.outputs.push_back(wait(201));
    owner.input(Input::Timeout);
    assert_eq!(owner.law(), Some(3));
}

#[test]
fn law_8_a_request_after_an_event_an_event_after_a_ready() {
    let (mut owner, port) = Owner::with_port();
    owner.say([Output::Event("first"), Output::Port(port, PortRequest::Pause)]);
    assert_eq!(owner.law(), Some(8));
    let (mut owner, port) = Owner::with_port();
    owner.say([Output::Ready(port), Output::Event("late")]);
    assert_eq!(owner.law(), Some(8));
}

#[test]
fn law_9_a_fill_after_done() {
    let (mut owner, port) = Owner::with_port();
    owner.say([Output::Ready(port)]);
    owner.fill(port);
    assert_eq!(owner.law(), None);
    owner.fill(port);
    assert_eq!(owner.law(), Some(9));
}

#[test]
fn law_9_work_that_nobody_is_told_of() {
    let (mut owner, port) = Owner::with_port();
    owner.checked.machine.owed = vec![1];
    owner.input(Input::Receive(port, &mut [1]));
    assert_eq!(owner.law(), Some(9));
}

#[test]
fn law_10_bytes_from_a_paused_port() {
    let (mut owner, port) = Owner::with_port();
    owner.say([Output::Port(port, PortRequest::Pause)]);
    owner.input(Input::Receive(port, &mut [1]));
    assert_eq!(owner.law(), Some(10));
}

#[test]
fn law_11_an_input_for_a_dead_port() {
    let ends = [PortChange::Closed, PortChange::Failed(PortError::Reset)];
    for end in ends {
        let (mut owner, port) = Owner::with_port();
        owner.input(Input::Port(port, end));
        assert_eq!(owner.law(), None);
        owner.input(Input::Receive(port, &mut [1]));
        assert_eq!(owner.law(), Some(11));
    }
    let (mut owner, port) = Owner::with_port();
    owner.say([Output::Port(port, PortRequest::Abort)]);
    owner.input(Input::Port(port, PortChange::Eof));
    assert_eq!(owner.law(), Some(11));
}

#[test]
fn law_11_a_request_or_a_ready_for_a_dead_port() {
    for request in [PortRequest::Pause, PortRequest::Resume, PortRequest::Finish, PortRequest::Abort] {
        let (mut owner, port) = Owner::with_port();
        owner.say([Output::Port(port, PortRequest::Abort), Output::Port(port, request)]);
        assert_eq!(owner.law(), Some(11));
    }
    let (mut owner, port) = Owner::with_port();
    owner.say([Output::Port(port, PortRequest::Abort), Output::Ready(port)]);
    assert_eq!(owner.law(), Some(11));
}

#[test]
fn law_11_a_port_that_is_opened_twice() {
    let (mut owner, port) = Owner::with_port();
    owner.say([open(port)]);
    assert_eq!(owner.law(), Some(11));
}

#[test]
fn the_first_breach_is_kept() {
    let (mut owner, port) = Owner::with_port();
    owner.say([wait(1)]);
    owner.say([open(port)]);
    assert_eq!(owner.checked.breach().map(|breach| (breach.law, breach.at)), Some((2, at(100))));
}

#[test]
#[should_panic(expected = "law 2 broken at 0.000000 s")]
fn a_breach_panics_where_that_was_asked_for() {
    let mut owner = Owner::new();
    owner.checked = Checked::new(Script::default(), OnBreach::Panic);
    owner.now = Instant::ZERO;
    owner.drain();
    owner.say([wait(0)]);
}

#[test]
fn nothing_is_checked_where_breaches_are_ignored() {
    let mut owner = Owner::new();
    owner.checked = Checked::new(Script::default(), OnBreach::Ignore);
    owner.undrained(Input::Timeout);
    owner.say([wait(0)]);
    assert_eq!(owner.law(), None);
}
