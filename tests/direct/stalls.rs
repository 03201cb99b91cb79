//! How long messages stand still when a session goes from a relayed path to a direct one, and back.
//!
//! Both sides send a message every 2 ms on an ordered, reliable channel. A stall is by how much the time between two
//! arrivals is longer than that.

use std::time::Duration;

use switchboard::hub::Event;

use crate::stage::{MS, Plan, SECOND, Scene};

const PACE: Duration = Duration::from_millis(2);
const DIRECT: [u32; 3] = [5, 40, 100];

struct Talk {
    scene: Scene,
    next: Duration,
    sent: u32,
}

impl Talk {
    /// Packets take that long between the endpoints, and 10 ms from either to the relay.
    fn new(seed: u64, direct: Duration) -> Self {
        let mut scene = Scene::new(Plan::new(seed));
        let [ada, bob] = scene.actors.each_ref().map(|actor| actor.host);
        scene.world.delay(ada, bob, direct);
        scene.open();
        let next = scene.now();
        Self { scene, next, sent: 0 }
    }

    fn go_on(&mut self, time: Duration) {
        let end = self.scene.now() + time;
        while self.scene.now() < end {
            if self.scene.now() >= self.next {
                self.next += PACE;
                for n in 0..2 {
                    self.scene.send(n, 0, &self.sent.to_be_bytes()).unwrap();
                }
                self.sent += 1;
            }
            self.scene.step(self.next.min(end));
        }
    }

    /// The longest stall of both directions since that time.
    fn stall(&self, since: Duration) -> Duration {
        let gaps = self.scene.actors.iter().flat_map(|actor| {
            let times: Vec<_> = actor.heard.iter().map(|(at, ..)| *at).collect();
            let gaps = times.windows(2).filter(|pair| pair[1] >= since).map(|pair| pair[1] - pair[0]);
            gaps.collect::<Vec<_>>()
        });
        gaps.max().unwrap_or_default().saturating_sub(PACE)
    }

    fn check(&mut self) {
        self.scene.run_for(2 * SECOND);
        for actor in &self.scene.actors {
            let heard: Vec<_> = actor.heard.iter().map(|(.., bytes)| bytes.clone()).collect();
            let sent: Vec<_> = (0..self.sent).map(|n| n.to_be_bytes().to_vec()).collect();
            assert!(heard == sent, "{} of {}", heard.len(), sent.len());
        }
    }
}

#[test]
fn going_up_stalls_no_longer_than_a_message_takes_through_the_relay() {
    for delay in DIRECT {
        let mut talk = Talk::new(delay.into(), delay * MS);
        let from = talk.scene.now() + 50 * MS;
        talk.go_on(3 * SECOND);
        assert!(talk.scene.is_direct(), "{}", talk.scene.account());
        let stall = talk.stall(from);
        println!("going up, {delay} ms direct, 20 ms relayed: {stall:?}");
        assert!(stall <= (20 * MS).max(delay * MS), "{stall:?}");
        talk.check();
    }
}

#[test]
fn a_path_that_is_cut_stalls_for_its_suspicion_and_one_way_through_the_relay() {
    for (n, delay) in DIRECT.into_iter().enumerate() {
        let mut talk = Talk::new(delay.into(), delay * MS);
        talk.go_on(3 * SECOND + n as u32 * 7 * MS);
        assert!(talk.scene.is_direct(), "{}", talk.scene.account());
        let [ada, bob] = talk.scene.actors.each_ref().map(|actor| actor.host);
        let cut = talk.scene.now();
        talk.scene.world.cut(ada, bob);
        talk.go_on(3 * SECOND);
        let (stall, srtt) = (talk.stall(cut), 2 * delay * MS);
        println!("cut, {delay} ms direct, 20 ms relayed: {stall:?}");
        assert!(stall <= (3 * srtt).max(250 * MS) + 20 * MS + 10 * MS, "{stall:?}");
        talk.check();
    }
}

#[test]
fn a_path_that_is_dead_for_a_second_is_replaced() {
    for delay in DIRECT {
        let mut talk = Talk::new(delay.into(), delay * MS);
        let up = talk.scene.until("a direct path", 10 * SECOND, |scene| scene.is_direct());
        talk.next = talk.scene.now();
        talk.go_on(3 * SECOND);
        let [ada, bob] = talk.scene.actors.each_ref().map(|actor| actor.host);
        let cut = talk.scene.now();
        talk.scene.world.cut(ada, bob);
        let suspect = (6 * delay * MS).max(250 * MS);
        // Just as the replacement begins.
        talk.go_on(suspect + SECOND + 30 * MS);
        talk.scene.world.heal(ada, bob);
        talk.go_on(5 * SECOND);
        assert!(talk.scene.is_direct(), "{}", talk.scene.account());
        assert!(talk.scene.peers(0) >= 2, "{}", talk.scene.account());
        let again = talk.scene.actors[0].events.iter().rev().find_map(|(at, event)| match event {
            Event::Path { path, .. } if path.direct => Some(*at - cut),
            _ => None,
        });
        let again = again.unwrap();
        println!("replaced, {delay} ms direct: set up in {up:?}, direct again {again:?} after the cut");
        assert!(again <= suspect + 1_250 * MS + up + 100 * MS, "{again:?}");
        talk.check();
    }
}
