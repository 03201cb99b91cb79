use super::*;

const FIRST: &str = "192.0.2.1:1000";
const SECOND: &str = "192.0.2.2:2000";
const OTHER: &str = "198.51.100.7:3000";
const WAY: Duration = Duration::from_millis(25);

/// Two agents with a wire between them, on which addresses can be cut off.
struct Pair {
    now: Instant,
    rng: Rng,
    agents: [Ice; 2],
    wire: VecDeque<(Instant, usize, Outgoing)>,
    loss: f64,
    is_cut: fn(SocketAddr) -> bool,
    /// Answers to the first are lost.
    is_deaf: bool,
    /// What the other side sees in place of the first one's own address.
    nat: Option<SocketAddr>,
    seen: [Vec<Event>; 2],
    sent: Vec<(Instant, usize, Vec<u8>)>,
}

#[allow(clippy::disallowed_methods, reason = "any moment will do; nothing depends on it")]
fn epoch() -> Epoch {
    Epoch::new(std::time::Instant::now(), Duration::from_secs(1_700_000_000))
}

fn at(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

fn host(address: &str) -> Candidate {
    Candidate::new(CandidateKind::Host, at(address), None)
}

impl Pair {
    fn new(seed: u64, controls: [bool; 2]) -> Self {
        let mut rng = Rng::from_u64(seed);
        let agents = controls.map(|is_controlling| {
            let seeds = Some(rng.fork());
            Ice::new(&mut rng, epoch(), Config::new(is_controlling), seeds)
        });
        let (now, seen, is_cut) = (Instant::from_nanos(1_000_000_000), Default::default(), |_| false);
        Self {
            now,
            rng,
            agents,
            wire: VecDeque::new(),
            loss: 0.0,
            is_cut,
            is_deaf: false,
            nat: None,
            seen,
            sent: Vec::new(),
        }
    }

    fn connected(seed: u64) -> Self {
        let mut pair = Self::new(seed, [true, false]);
        pair.start();
        pair.run_until(5, |pair| pair.are_both(|agent| agent.pair().is_some())).unwrap();
        pair
    }

    fn with(&mut self, n: usize, act: impl FnOnce(&mut Ice, Instant)) {
        act(&mut self.agents[n], self.now);
        while let Some(outgoing) = self.agents[n].poll_transmit() {
            self.sent.push((self.now, n, outgoing.data.clone()));
            if self.passes(n, &outgoing) {
                self.wire.push_back((self.now + WAY, 1 - n, self.translated(outgoing)));
            }
        }
        self.seen[n].extend(std::iter::from_fn(|| self.agents[n].poll_event()));
        if let Some(deadline) = self.agents[n].deadline() {
            assert!(deadline.at > self.now, "{deadline:?} at {}", self.now);
        }
    }

    fn passes(&mut self, from: usize, outgoing: &Outgoing) -> bool {
        let is_unheard = self.is_deaf && from == 1 && outgoing.data[0] == 1;
        let is_cut = (self.is_cut)(outgoing.local) || (self.is_cut)(outgoing.to);
        !self.rng.chance(self.loss) && !is_cut && !is_unheard
    }

    fn translated(&self, outgoing: Outgoing) -> Outgoing {
        let Some(outside) = self.nat else { return outgoing };
        let Outgoing { local, to, data } = outgoing;
        let local = if local == at(FIRST) { outside } else { local };
        Outgoing { local, to: if to == outside { at(FIRST) } else { to }, data }
    }

    /// A check of the first one's that nominates its pair, as a browser sends it.
    fn nomination(&self) -> Vec<u8> {
        let [first, second] = self.agents.each_ref().map(Ice::local);
        let name = format!("{}:{}", second.ufrag, first.ufrag);
        let check = StunMessage::binding_request(&name, is::stun::TransId::new(), true, 7, 1_000, true);
        let mut data = vec![0; 500];
        let sign = |key: &[u8], parts: &[&[u8]]| Hmac.sha1_hmac(key, parts);
        let len = check.to_bytes(Some(second.password.as_bytes()), &mut data, sign).unwrap();
        data.truncate(len);
        data
    }

    fn start(&mut self) {
        for n in [0, 1] {
            self.tell(n);
        }
    }

    /// One side has its own address, and hears of the other side.
    fn tell(&mut self, n: usize) {
        let theirs = self.agents[1 - n].local().clone();
        let hosts = [FIRST, SECOND].map(host);
        self.with(n, |agent, now| {
            agent.add_local(now, &hosts[n]);
            agent.start(now, &theirs);
            assert!(agent.add_remote(now, &hosts[1 - n]));
            agent.check(now);
        });
    }

    fn run_until(&mut self, seconds: u64, done: impl Fn(&Self) -> bool) -> Option<Duration> {
        let start = self.now;
        while !done(self) {
            let timers = self.agents.iter().filter_map(|agent| Some(agent.deadline()?.at));
            let next = timers.chain(self.wire.front().map(|(at, ..)| *at)).min()?;
            if next > start + Duration::from_secs(seconds) {
                return None;
            }
            self.now = next;
            while self.wire.front().is_some_and(|(at, ..)| *at <= next) {
                let (_, n, Outgoing { local, to, data }) = self.wire.pop_front()?;
                self.with(n, |agent, now| _ = agent.receive(now, to, local, &data));
            }
            for n in [0, 1] {
                self.with(n, |agent, now| agent.on_timeout(now));
            }
        }
        Some(self.now - start)
    }

    fn are_both(&self, is: impl Fn(&Ice) -> bool) -> bool {
        self.agents.iter().all(is)
    }

    fn use_other(&self) -> bool {
        let ends = [self.agents[0].pair(), self.agents[1].pair()];
        ends == [Some((at(OTHER), at(SECOND))), Some((at(SECOND), at(OTHER)))]
    }
}

#[test]
fn two_hosts_find_each_other_within_two_round_trips() {
    let mut pair = Pair::new(1, [true, false]);
    pair.start();
    let time = pair.run_until(5, |pair| pair.are_both(|agent| agent.pair().is_some())).unwrap();
    assert!(time <= 4 * WAY, "{time:?}");
    assert_eq!(pair.agents[0].pair(), Some((at(FIRST), at(SECOND))));
    assert_eq!(pair.agents[0].rtt(), Some(2 * WAY));
}

#[test]
fn a_side_whose_check_was_lost_checks_again_as_soon_as_the_pair_is_nominated() {
    let mut pair = Pair::new(1, [true, false]);
    pair.start();
    pair.wire.retain(|(_, to, _)| *to == 1);
    let time = pair.run_until(5, |pair| pair.are_both(|agent| agent.pair().is_some())).unwrap();
    assert!(time <= 5 * WAY + Duration::from_millis(5), "{time:?}");
}

#[test]
fn checks_that_come_before_the_other_side_is_known_delay_nothing() {
    let mut pair = Pair::new(3, [true, false]);
    pair.with(0, |agent, now| _ = agent.add_local(now, &host(FIRST)));
    pair.tell(1);
    assert_eq!(pair.run_until(1, |_| false), None);
    pair.now = pair.now + Duration::from_millis(500);
    pair.tell(0);
    let time = pair.run_until(2, |pair| pair.are_both(|agent| agent.pair().is_some())).unwrap();
    assert!(time <= 4 * WAY, "{time:?}");
}

#[test]
fn a_bad_wire_delays_and_does_not_prevent() {
    for seed in 0..40 {
        let mut pair = Pair::new(seed, [true, false]);
        pair.loss = 0.3;
        pair.start();
        let time = pair.run_until(20, |pair| pair.are_both(|agent| agent.pair().is_some()));
        assert!(time.is_some(), "seed {seed}");
    }
}

#[test]
fn of_two_that_control_or_two_that_do_not_one_gives_way() {
    for (seed, controls) in [(1, [true; 2]), (2, [true; 2]), (3, [false; 2]), (4, [false; 2])] {
        let mut pair = Pair::new(seed, controls);
        pair.start();
        pair.run_until(5, |pair| pair.are_both(|agent| agent.pair().is_some())).unwrap();
        assert_ne!(pair.agents[0].is_controlling(), pair.agents[1].is_controlling(), "seed {seed}");
    }
}

#[test]
fn an_agent_repeats_from_its_seed() {
    let sent = |seed| {
        let mut pair = Pair::new(seed, [true, false]);
        pair.loss = 0.2;
        pair.start();
        pair.run_until(10, |_| false);
        pair.sent
    };
    assert!(sent(7) == sent(7) && sent(7) != sent(8));
}

#[test]
fn a_withdrawn_candidate_hands_over_to_the_next_pair_at_once() {
    let mut pair = Pair::connected(1);
    pair.with(0, |agent, now| _ = agent.add_local(now, &host(OTHER)));
    pair.with(1, |agent, now| _ = agent.add_remote(now, &host(OTHER)));
    pair.run_until(2, |_| false);
    pair.with(0, |agent, now| agent.remove_local(now, &host(FIRST)));
    pair.is_cut = |address| address == at(FIRST);
    assert_eq!(pair.agents[0].pair(), Some((at(OTHER), at(SECOND))));
    let time = pair.run_until(5, Pair::use_other).unwrap();
    assert!(time <= Duration::from_millis(100), "{time:?}");
}

#[test]
fn an_only_candidate_that_is_withdrawn_leaves_no_pair_until_another_is_found() {
    let mut pair = Pair::connected(1);
    pair.with(0, |agent, now| agent.remove_local(now, &host(FIRST)));
    assert_eq!(pair.agents[0].pair(), None);
    pair.is_cut = |address| address == at(FIRST);
    pair.with(0, |agent, now| _ = agent.add_local(now, &host(OTHER)));
    pair.run_until(15, Pair::use_other).unwrap();
}

#[test]
fn after_a_restart_all_is_checked_anew_and_the_old_pair_serves_until_then() {
    let mut pair = Pair::connected(1);
    let before = pair.agents[1].local().clone();
    let mut rng = Rng::from_u64(9);
    pair.agents.iter_mut().for_each(|agent| agent.restart(&mut rng));
    assert_ne!(*pair.agents[1].local(), before);
    let moved = pair.sent.len();
    pair.start();
    assert!(pair.are_both(|agent| agent.pair().is_some()), "data goes on");
    pair.seen = Default::default();
    pair.run_until(3, |_| false);
    let is_up = |event: &Event| matches!(event, Event::State(State::Connected | State::Completed));
    assert!(pair.seen.iter().all(|seen| seen.iter().any(is_up)), "{:?}", pair.seen);
    assert!(pair.sent.len() > moved + 4);
}

#[test]
fn consent_ends_thirty_seconds_after_the_last_answer_and_comes_back_with_one() {
    let mut pair = Pair::connected(1);
    pair.run_until(10, |_| false);
    pair.is_deaf = true;
    let silent = pair.now;
    let lost = |pair: &Pair| pair.seen[0].contains(&Event::ConsentLost);
    pair.run_until(60, lost).unwrap();
    let time = pair.now - silent;
    assert!((Duration::from_secs(26)..=Duration::from_secs(30)).contains(&time), "{time:?}");
    assert_eq!(pair.agents[0].pair(), None);
    pair.seen[0].clear();
    pair.is_deaf = false;
    let back = |pair: &Pair| pair.seen[0].contains(&Event::Pair(at(FIRST), at(SECOND)));
    pair.run_until(5, back).unwrap();
    assert_eq!(pair.agents[0].pair(), Some((at(FIRST), at(SECOND))));
}

#[test]
fn a_cut_wire_ends_consent_on_both_sides() {
    let mut pair = Pair::connected(1);
    pair.is_cut = |address| address == at(SECOND);
    pair.run_until(60, |pair| pair.seen.iter().all(|seen| seen.contains(&Event::ConsentLost))).unwrap();
    assert!(pair.are_both(|agent| agent.pair().is_none()));
    assert!(pair.seen.iter().all(|seen| seen.contains(&Event::State(State::Disconnected))));
}

#[test]
fn a_pair_that_the_controlling_side_went_back_to_is_used_once_the_other_one_dies() {
    let mut pair = Pair::connected(1);
    pair.with(0, |agent, now| _ = agent.add_local(now, &host(OTHER)));
    pair.with(1, |agent, now| _ = agent.add_remote(now, &host(OTHER)));
    pair.run_until(2, |_| false);
    let nomination = pair.nomination();
    pair.with(1, |agent, now| assert!(agent.receive(now, at(SECOND), at(OTHER), &nomination)));
    let ways = [OTHER, FIRST].map(|address| Some((at(SECOND), at(address))));
    pair.run_until(2, |pair| pair.agents[1].pair() == ways[0]).unwrap();
    pair.run_until(5, |_| false);
    assert_eq!(pair.agents[1].pair(), ways[0], "the other side has not left it for good");
    pair.is_cut = |address| address == at(OTHER);
    let time = pair.run_until(40, |pair| pair.agents[1].pair() == ways[1]).unwrap();
    assert!(time <= Duration::from_secs(15), "{time:?}");
    assert!(!pair.seen[1].contains(&Event::ConsentLost));
}

#[test]
fn a_pair_that_the_controlling_side_went_back_to_is_used_once_the_address_of_the_other_one_is_gone() {
    let mut pair = Pair::connected(1);
    pair.with(1, |agent, now| _ = agent.add_local(now, &host(OTHER)));
    pair.with(0, |agent, now| _ = agent.add_remote(now, &host(OTHER)));
    pair.run_until(2, |_| false);
    let nomination = pair.nomination();
    pair.with(1, |agent, now| assert!(agent.receive(now, at(OTHER), at(FIRST), &nomination)));
    pair.run_until(2, |pair| pair.agents[1].pair() == Some((at(OTHER), at(FIRST)))).unwrap();
    pair.with(1, |agent, now| agent.remove_local(now, &host(OTHER)));
    let back = |pair: &Pair| pair.agents[1].pair() == Some((at(SECOND), at(FIRST)));
    let time = pair.run_until(10, back).unwrap();
    assert!(time <= Duration::from_secs(4), "{time:?}");
}

#[test]
fn a_candidate_that_is_told_again_and_again_is_kept_so_often_only() {
    let mut pair = Pair::new(1, [true, false]);
    // Without an address of its own it has no pairs, so each is new to the agent.
    let agent = &mut pair.agents[0];
    agent.start(pair.now, &Credentials::draw(&mut pair.rng));
    let taken = (0..10_000).filter(|_| agent.add_remote(pair.now, &host(SECOND))).count();
    assert_eq!((taken, agent.agent.remote_candidates().count()), (MOST_TELLINGS, MOST_TELLINGS));
    agent.start(pair.now, &Credentials::draw(&mut pair.rng));
    assert!(agent.add_remote(pair.now, &host(SECOND)), "after a restart");
}

#[test]
fn addresses_that_a_nat_gave_are_forgotten_by_a_restart() {
    let mut pair = Pair::connected(1);
    let mut rng = Rng::from_u64(9);
    for port in 1..=2 * MOST as u16 {
        pair.nat = Some(([203, 0, 113, 7], port).into());
        pair.agents.iter_mut().for_each(|agent| agent.restart(&mut rng));
        pair.wire.clear();
        pair.start();
        pair.seen = Default::default();
        let is_up = |event: &Event| matches!(event, Event::State(State::Connected | State::Completed));
        let time = pair.run_until(3, |pair| pair.seen.iter().all(|seen| seen.iter().any(is_up)));
        assert!(time.is_some(), "restart {port}: {:?}", pair.seen);
        let known = pair.agents[0].agent.local_candidates().count();
        assert!(known <= 2, "restart {port}: {known}");
    }
}

#[test]
fn passwords_are_not_shown() {
    let agents = Pair::connected(1).agents;
    let shown = format!("{agents:?} {:?}", agents[0].local());
    assert!(shown.contains(&agents[0].local().ufrag));
    assert!(agents.iter().all(|agent| !shown.contains(&agent.local().password)), "{shown}");
}

#[test]
fn answers_from_elsewhere_are_dropped() {
    let mut pair = Pair::new(1, [true, false]);
    pair.start();
    let (_, _, request) = pair.wire.pop_front().unwrap();
    let mut answers = Vec::new();
    pair.agents[1].receive(pair.now, request.to, request.local, &request.data);
    answers.extend(std::iter::from_fn(|| pair.agents[1].poll_transmit()).filter(|out| out.data[0] == 1));
    let answer = answers.pop().unwrap();
    assert!(!pair.agents[0].receive(pair.now, request.local, at(OTHER), &answer.data));
    assert!(pair.agents[0].receive(pair.now, request.local, request.to, &answer.data));
    assert!(!pair.agents[0].receive(pair.now, request.local, request.to, &answer.data), "again");
    assert_eq!(pair.agents[0].dropped(), 2);
}

#[test]
fn no_more_addresses_are_learned_than_the_bound_says() {
    let mut pair = Pair::new(1, [true, false]);
    pair.start();
    let (_, _, request) = pair.wire.pop_front().unwrap();
    let taken = (0..1_000).filter(|port| {
        let source = SocketAddr::new([203, 0, 113, 1].into(), 1 + port);
        pair.agents[1].receive(pair.now, request.to, source, &request.data)
    });
    assert_eq!(taken.count(), MOST);
    for port in 0..1_000 {
        let candidate = Candidate::new(CandidateKind::Host, ([203, 0, 113, 2], 1 + port).into(), None);
        pair.agents[1].add_remote(pair.now, &candidate);
    }
    assert_eq!(pair.agents[1].remotes.told.len(), MOST);
}

#[test]
fn mutated_messages_change_nothing_and_break_nothing() {
    let mut pair = Pair::connected(1);
    pair.with(0, |agent, now| agent.check(now));
    let known: Vec<_> = pair.sent.iter().map(|(_, _, data)| data.clone()).collect();
    let mut rng = Rng::from_u64(3);
    for round in 0..20_000 {
        let mut data = known[round % known.len()].clone();
        for _ in 0..1 + rng.below(3) {
            let place = rng.below(data.len() as u64) as usize;
            data[place] ^= 1 << rng.below(8);
        }
        data.truncate(1 + rng.below(2 * data.len() as u64) as usize);
        pair.agents[1].receive(pair.now, at(SECOND), at(FIRST), &data);
    }
    assert!(pair.are_both(|agent| agent.pair().is_some()));
}
