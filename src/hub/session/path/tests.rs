use super::*;
use crate::hub::session::event::Misbehaved;
use std::collections::BTreeMap;

const MS: Duration = Duration::from_millis(1);
const SUSPICION: Duration = Duration::from_millis(250);
const SILENCE: Duration = Duration::from_secs(5);

fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

/// A lossy path with a round trip of 40 ms and what is in the air on it.
struct Air {
    path: Path,
    flying: BTreeMap<u64, Landed>,
}

impl Air {
    fn new() -> Self {
        let info = PathInfo { direct: false, lossy: true, private: false, split: false };
        let mut path = Path::new(at(0), PathId(0), info);
        let id = path.take_ping(at(0), SILENCE).unwrap();
        assert!(path.answered(at(40), id).unwrap().unwrap().first);
        Self { path, flying: BTreeMap::new() }
    }

    fn send(&mut self, millis: u64) {
        let packet = self.path.packet(false);
        self.path.send(at(millis), SUSPICION, false, (1, packet), 100);
        self.path.complete(false);
        let landed = Landed { path: PathId(0), packet, sent: at(millis), bytes: 100, times: 1, reliable: false };
        self.flying.insert(packet, landed);
    }

    fn acknowledge(&mut self, millis: u64, packet: u64) {
        let landed = self.flying.remove(&packet).unwrap();
        self.path.acknowledged(at(millis), &landed);
    }

    fn lost(&mut self, millis: u64) -> Vec<u64> {
        let mut lost = Vec::new();
        loop {
            let flying = &self.flying;
            let flies = |flight: &Flight| flying.get(&flight.packet).map(|landed| landed.sent);
            let Some(flight) = self.path.next_lost(at(millis), flies) else { return lost };
            self.path.forget(&self.flying.remove(&flight.packet).unwrap());
            lost.push(flight.packet);
        }
    }
}

#[test]
fn a_packet_overtaken_by_three_is_lost_and_one_overtaken_by_one_has_an_eighth_of_a_round_trip() {
    let mut air = Air::new();
    (0..5).for_each(|n| air.send(100 + n));
    air.acknowledge(141, 1);
    assert!(air.lost(141).is_empty());
    let deadline = air.path.timers.earliest::<PathTimer>().unwrap();
    assert_eq!((deadline.at, deadline.why), (at(145), "path loss"));
    air.acknowledge(143, 3);
    assert_eq!(air.lost(143), [0]);
    assert_eq!(air.lost(150), [2]);
    assert!(air.lost(1000).is_empty(), "nothing was sent after the last");
}

#[test]
fn probes_come_ever_more_seldom_until_there_is_progress() {
    let mut air = Air::new();
    air.send(100);
    air.path.timers.stop(PathTimer::Suspect);
    let mut times = Vec::new();
    while times.len() < 3 {
        let due = air.path.timers.earliest::<PathTimer>().unwrap().at;
        air.path.timers.take_due::<PathTimer>(due).unwrap();
        if air.path.should_probe(due) {
            times.push(due);
        }
    }
    assert_eq!(times, [at(180), at(340), at(660)]);
    air.send(700);
    air.acknowledge(740, 1);
    assert_eq!(air.path.probe_time(), 80 * MS);
}

#[test]
fn progress_of_any_run_puts_suspicion_off() {
    let mut air = Air::new();
    (0..3).for_each(|_| air.send(100));
    assert!(!air.path.should_suspect(at(349), SUSPICION));
    air.path.state = State::Usable;
    air.acknowledge(340, 2);
    assert!(!air.path.should_suspect(at(350), SUSPICION));
    assert!(!air.path.should_suspect(at(589), SUSPICION));
    assert!(air.path.should_suspect(at(590), SUSPICION));
}

#[test]
fn a_suspect_path_is_trusted_when_it_answers_and_silent_if_it_never_does() {
    let mut air = Air::new();
    air.path.suspect();
    let first = air.path.take_ping(at(1000), SILENCE).unwrap();
    assert_eq!(air.path.take_ping(at(1000), SILENCE), None, "one is enough");
    air.path.repeat_ping();
    let second = air.path.take_ping(at(1250), SILENCE).unwrap();
    assert!(!air.path.is_silent(at(5999), SILENCE));
    assert!(air.path.is_silent(at(6000), SILENCE));
    assert_eq!(air.path.answered(at(6001), second + 1), Err(Misbehaved::PongWithoutPing));
    let answer = air.path.answered(at(6001), first).unwrap().unwrap();
    assert_eq!((answer.was, answer.asked, air.path.state), (State::Suspect, at(1000), State::Usable));
    assert_eq!(air.path.answered(at(6002), second), Ok(None), "it has been answered");
}

#[test]
fn the_window_bounds_relayed_paths_only() {
    let mut air = Air::new();
    for _ in 0..700 {
        air.send(100);
    }
    assert!(!air.path.has_window());
    air.path.probing = true;
    assert!(air.path.has_window());
    air.path.probing = false;
    air.path.info.direct = true;
    assert!(air.path.has_window());
}
