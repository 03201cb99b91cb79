use super::*;

const LIVE: usize = 0;

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn start() -> Instant {
    Instant::ZERO + Duration::from_secs(1)
}

/// One side, and what it sends.
struct Side {
    punch: Punch,
    rng: Rng,
    sent: Vec<Outgoing>,
}

impl Side {
    fn new(seed: u64) -> Self {
        let mut rng = Rng::from_u64(seed);
        let punch = Punch::new(&mut rng, PunchConfig { candidates: 4, ..PunchConfig::default() });
        Self { punch, rng, sent: Vec::new() }
    }

    fn meet(&mut self, other: &Self, candidates: &[&str]) {
        let candidates = candidates.iter().map(|candidate| at(candidate)).collect();
        self.punch.begin(start(), other.punch.introduction(candidates), &[(LIVE, true)]);
        self.wake(start());
    }

    fn wake(&mut self, now: Instant) {
        self.punch.on_timeout(now, &mut self.rng, &mut |_, outgoing| self.sent.push(outgoing));
    }

    fn hear(&mut self, source: &str, data: &[u8]) {
        self.punch.receive(start(), &mut self.rng, LIVE, at(source), data, &mut |_, outgoing| {
            self.sent.push(outgoing);
        });
    }

    fn sent_to(&self) -> Vec<String> {
        self.sent.iter().map(|outgoing| outgoing.to.to_string()).collect()
    }
}

/// Two that have met, the first of which has sent one check to the second.
fn pair() -> (Side, Side, Outgoing) {
    let (mut us, mut them) = (Side::new(1), Side::new(2));
    us.meet(&them, &["192.0.2.2:2"]);
    them.meet(&us, &[]);
    let check = us.sent.pop().unwrap();
    (us, them, check)
}

#[test]
fn an_answer_from_where_the_check_was_sent_to_is_a_path() {
    let (mut us, mut them, check) = pair();
    them.hear("192.0.2.1:1", &check.bytes);
    assert_eq!(them.sent_to(), ["192.0.2.1:1"; 2], "it answers, and checks where the check came from");
    us.hear("192.0.2.2:2", &them.sent[0].bytes);
    let direct = us.punch.direct().unwrap();
    assert_eq!((direct.local, direct.remote), (at("192.0.2.1:1"), at("192.0.2.2:2")));
}

#[test]
fn an_answer_from_elsewhere_is_none() {
    let (mut us, mut them, check) = pair();
    them.hear("192.0.2.1:1", &check.bytes);
    us.hear("192.0.2.2:3", &them.sent[0].bytes);
    assert_eq!((us.punch.direct(), us.punch.counters().elsewhere), (None, 1));
}

#[test]
fn a_check_that_is_answered_before_the_other_is_known_is_returned_once_it_is() {
    let (mut us, mut them) = (Side::new(1), Side::new(2));
    us.meet(&them, &["192.0.2.2:2"]);
    let check = us.sent.pop().unwrap();
    them.hear("192.0.2.1:1", &check.bytes);
    assert_eq!(them.sent_to(), ["192.0.2.1:1"], "the answer");
    them.meet(&us, &[]);
    assert_eq!(them.sent_to(), ["192.0.2.1:1"; 2]);
}

#[test]
fn what_is_not_signed_by_the_secret_that_was_told_is_foreign() {
    let (mut us, mut them, check) = pair();
    let mut stranger = Side::new(3);
    stranger.hear("192.0.2.1:1", &check.bytes);
    assert_eq!((stranger.sent.len(), stranger.punch.counters().foreign), (0, 1), "a check for somebody else");
    let id = Message::parse(&check.bytes).unwrap().id;
    let forged = Success { mapped: Some(at("192.0.2.1:1")), ..Success::default() };
    for bytes in [forged.encode(id), forged.encode_signed(id, "guessed")] {
        us.hear("192.0.2.2:2", &bytes);
    }
    them.hear("192.0.2.1:1", &check.bytes[..20]);
    assert_eq!((us.punch.direct(), us.punch.counters().foreign), (None, 2));
    assert_eq!(them.punch.counters().foreign, 1);
}

#[test]
fn no_more_addresses_are_checked_than_the_bound_and_none_that_is_many() {
    let (mut us, them) = (Side::new(1), Side::new(2));
    let addresses = ["192.0.2.2:0", "0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "[2001:db8::1]:1", "192.0.2.2:2"];
    us.meet(&them, &addresses);
    assert_eq!(us.sent_to(), ["192.0.2.2:2"]);
    let (mut us, them) = (Side::new(1), Side::new(2));
    us.meet(&them, &["192.0.2.2:1", "192.0.2.2:2", "192.0.2.2:3", "192.0.2.2:4", "192.0.2.2:5"]);
    assert_eq!((us.sent.len(), us.punch.counters().surplus), (4, 1));
}

#[test]
fn checks_end_with_their_time() {
    let (mut us, _, _) = pair();
    while let Some(deadline) = us.punch.deadline().filter(|deadline| Some(deadline.at) != us.punch.end()) {
        us.wake(deadline.at);
    }
    us.sent.clear();
    us.wake(us.punch.end().unwrap());
    assert_eq!((us.sent.len(), us.punch.counters().checks), (0, 25));
}
