//! One flow: its controller, its packets, and its receiver.

use std::collections::VecDeque;
use std::time::Duration;

use super::super::{Ack, CongestionCounters, Controller, Pacer};
use super::bottleneck::Bottleneck;
use super::{CHUNKS, Flow, Load, PAYLOAD};
use crate::machine::rng::Rng;
use crate::machine::time::Instant;

/// The longest that an acknowledgement is held back, if it is not for every second packet.
const ACK_DELAY: Duration = Duration::from_millis(20);

/// One packet under way.
#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Instant,
    delivered: u64,
    delivered_at: Instant,
    first_at: Instant,
    is_app_limited: bool,
    is_open: bool,
}

#[derive(Debug)]
pub(super) struct Sender {
    flow: Flow,
    start: Instant,
    controller: Controller,
    pacer: Pacer,
    packets: VecDeque<Sent>,
    base: u64,
    top: u64,
    flight: usize,
    delivered: u64,
    delivered_at: Instant,
    first_at: Instant,
    limited_until: u64,
    rtt: Duration,
    heard_at: Instant,
    backoff: u32,
    probes: u32,
    produced: u64,
    lost: u64,
    wake: Option<Instant>,
    forth: VecDeque<(Instant, u64)>,
    back: VecDeque<(Instant, u64)>,
    seen: VecDeque<u64>,
    received: u64,
    taken: u64,
    unacknowledged: u32,
    acknowledge_at: Option<Instant>,
}

impl Sender {
    pub(super) fn new(flow: Flow) -> Self {
        let start = Instant::ZERO + flow.start;
        Self {
            flow,
            start,
            controller: Controller::new(flow.choice, CHUNKS),
            pacer: Pacer::new(),
            packets: VecDeque::new(),
            base: 1,
            top: 0,
            flight: 0,
            delivered: 0,
            delivered_at: start,
            first_at: start,
            limited_until: 0,
            rtt: Duration::from_millis(333),
            heard_at: start,
            backoff: 0,
            probes: 0,
            produced: 0,
            lost: 0,
            wake: Some(start),
            forth: VecDeque::new(),
            back: VecDeque::new(),
            seen: VecDeque::new(),
            received: 0,
            taken: 0,
            unacknowledged: 0,
            acknowledge_at: None,
        }
    }

    /// Packets that have come over.
    pub(super) const fn received(&self) -> u64 {
        self.received
    }

    pub(super) const fn lost(&self) -> u64 {
        self.lost
    }

    pub(super) fn counters(&self) -> CongestionCounters {
        self.controller.counters()
    }

    /// When anything happens next.
    pub(super) fn next(&self) -> Option<Instant> {
        let forth = self.forth.front().map(|(at, _)| *at);
        let back = self.back.front().map(|(at, _)| *at);
        [forth, back, self.wake, self.acknowledge_at, self.timeout()].into_iter().flatten().min()
    }

    fn timeout(&self) -> Option<Instant> {
        let wait = (3 * self.rtt).max(Duration::from_millis(100)) * (1 << self.backoff.min(6));
        (self.flight > 0).then(|| self.heard_at + wait)
    }

    /// Does all that is due.
    pub(super) fn advance(&mut self, now: Instant, path: &mut Bottleneck, rng: &mut Rng) {
        while let Some(seen) = arrived(&mut self.forth, now) {
            self.arrive(now, seen, path, rng);
        }
        if self.acknowledge_at.is_some_and(|at| at <= now) {
            self.acknowledge(now, path, rng);
        }
        while let Some(upto) = arrived(&mut self.back, now) {
            self.hear(now, upto);
        }
        if self.timeout().is_some_and(|at| at <= now) {
            self.time_out(now);
        }
        self.send(now, path, rng);
    }

    fn arrive(&mut self, now: Instant, number: u64, path: &Bottleneck, rng: &mut Rng) {
        let is_gap = self.seen.back().is_some_and(|last| last + 1 != number);
        self.seen.push_back(number);
        self.received += 1;
        self.unacknowledged += 1;
        if self.unacknowledged >= 2 || is_gap {
            self.acknowledge(now, path, rng);
        } else {
            self.acknowledge_at = Some(now + ACK_DELAY);
        }
    }

    fn acknowledge(&mut self, now: Instant, path: &Bottleneck, rng: &mut Rng) {
        self.unacknowledged = 0;
        self.acknowledge_at = None;
        if let Some(at) = path.pass_back(now, rng) {
            let at = at + self.flow.extra_delay;
            let at = self.back.back().map_or(at, |(last, _)| at.max(*last));
            self.back.push_back((at, self.received));
        }
    }

    /// An acknowledgement of the first so many packets that were seen.
    fn hear(&mut self, now: Instant, upto: u64) {
        let mut newest = None;
        let mut acked = 0;
        while self.taken < upto {
            let Some(number) = self.seen.pop_front() else { break };
            self.taken += 1;
            let Some(sent) = self.packets.get_mut((number - self.base) as usize) else { continue };
            acked += usize::from(std::mem::take(&mut sent.is_open)) * CHUNKS;
            newest = Some(*sent);
            self.top = self.top.max(number);
        }
        if let Some(sent) = newest {
            self.account(now, acked, &sent);
        }
    }

    fn account(&mut self, now: Instant, acked: usize, sent: &Sent) {
        self.flight -= acked;
        self.delivered += acked as u64;
        self.delivered_at = now;
        self.first_at = sent.at;
        self.heard_at = now;
        self.backoff = 0;
        let rtt = now.since(sent.at);
        self.rtt = (self.rtt * 7 + rtt) / 8;
        self.detect(now);
        let took = (now - sent.delivered_at).max(sent.at - sent.first_at).as_secs_f64();
        let rate = (took > 0.0).then(|| (self.delivered - sent.delivered) as f64 / took);
        self.controller.on_ack(&Ack {
            now,
            acked,
            rtt: Some(rtt),
            rate,
            is_app_limited: sent.is_app_limited,
            prior: sent.delivered,
            delivered: self.delivered,
            top: self.top,
            next: self.next_number(),
            flight: self.flight,
        });
    }

    fn next_number(&self) -> u64 {
        self.base + self.packets.len() as u64
    }

    /// Declares lost what was sent three packets or nine eighths of a round trip before.
    fn detect(&mut self, now: Instant) {
        while let Some(sent) = self.packets.front().copied() {
            let is_late = self.base + 3 <= self.top || (self.base < self.top && now.since(sent.at) > self.rtt * 9 / 8);
            if sent.is_open && !is_late {
                break;
            }
            if sent.is_open {
                self.lost += 1;
                self.flight -= CHUNKS;
                let next = self.next_number();
                self.controller.on_lost(now, self.base, next);
            }
            self.packets.pop_front();
            self.base += 1;
        }
    }

    fn time_out(&mut self, now: Instant) {
        self.backoff += 1;
        self.heard_at = now;
        self.probes = 2;
        self.controller.on_timeout(now, self.next_number());
    }

    fn send(&mut self, now: Instant, path: &mut Bottleneck, rng: &mut Rng) {
        self.wake = None;
        if now < self.start {
            self.wake = Some(self.start);
            return;
        }
        while self.probes > 0 || self.flight + CHUNKS <= self.controller.window() {
            self.wake = self.data_at(now).or_else(|| self.pacer.next(now));
            if self.probes == 0 && self.wake.is_some() {
                break;
            }
            self.probes = self.probes.saturating_sub(1);
            self.send_one(now, path, rng);
        }
    }

    /// When there will be data to send; none: there are.
    fn data_at(&mut self, now: Instant) -> Option<Instant> {
        let age = now.since(self.start);
        let at = match self.flow.load {
            _ if now.since(Instant::ZERO) >= self.flow.stop => Some(now + Duration::from_secs(1_000_000)),
            Load::Bulk => None,
            Load::Rate(rate) => {
                let at = self.start + Duration::from_secs_f64((self.produced + 1) as f64 * PAYLOAD / rate);
                (at > now).then_some(at)
            }
            Load::Turns(on, off) => {
                let turn = (age.as_nanos() / (on + off).as_nanos()) as u32;
                let is_on = age - (on + off) * turn < on;
                (!is_on).then(|| self.start + (on + off) * (turn + 1))
            }
        };
        if at.is_some() {
            self.limited_until = self.delivered + self.flight as u64;
        }
        at
    }

    fn send_one(&mut self, now: Instant, path: &mut Bottleneck, rng: &mut Rng) {
        if self.flight == 0 {
            self.heard_at = now;
            self.first_at = now;
            self.delivered_at = now;
            if self.produced > 0 {
                self.controller.on_idle(now);
            }
        }
        self.produced += 1;
        let number = self.next_number();
        self.packets.push_back(Sent {
            at: now,
            delivered: self.delivered,
            delivered_at: self.delivered_at,
            first_at: self.first_at,
            is_app_limited: self.delivered < self.limited_until,
            is_open: true,
        });
        self.flight += CHUNKS;
        self.pacer.on_sent(now, CHUNKS, self.controller.rate());
        if let Some(at) = path.pass(now, rng) {
            let at = at + self.flow.extra_delay;
            let at = self.forth.back().map_or(at, |(last, _)| at.max(*last));
            self.forth.push_back((at, number));
        }
    }
}

/// Takes what has arrived by now.
fn arrived<T>(queue: &mut VecDeque<(Instant, T)>, now: Instant) -> Option<T> {
    queue.front().filter(|(at, _)| *at <= now)?;
    queue.pop_front().map(|(_, what)| what)
}
