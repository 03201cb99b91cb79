//! SCTP alone, towards dcsctp.

use std::time::Duration;

use switchboard::link::sctp::Config;

use crate::dialogue::Dialogue;
use crate::own::Own;
use crate::pair::Wire;
use crate::partner::Partner;
use crate::partner::dcsctp::Dcsctp;

/// Messages that each side writes.
const MESSAGES: usize = 10_000;
/// Who asks for the association: we, they, both.
const ASKING: [[bool; 2]; 3] = [[true, false], [false, true], [true, true]];

/// The window where messages interleave: it must take the unfinished ones of all channels.
const WIDE: u32 = 4 << 20;

const CLEAN: Wire = Wire { delay: Duration::from_millis(5), loss: 0.0 };
const LOSSY: Wire = Wire { loss: 0.01, ..CLEAN };

#[derive(Debug, Clone, Copy)]
struct Case {
    asking: [bool; 2],
    is_client: bool,
    is_interleaving: bool,
    is_zero_checksum: bool,
    wire: Wire,
}

impl Case {
    fn dialogue(self, seed: u64) -> Dialogue {
        let base = Config::default();
        let config = Config {
            receive_window: if self.is_interleaving { WIDE } else { base.receive_window },
            zero_checksum: self.is_zero_checksum,
            interleaving: self.is_interleaving,
            ..base
        };
        let theirs = Dcsctp::new(!self.is_client, self.is_interleaving, self.is_zero_checksum);
        let sides: [Box<dyn Partner>; 2] = [Box::new(Own::new(config, self.is_client, seed)), Box::new(theirs)];
        Dialogue::new(sides, self.wire, seed)
    }

    /// All of it: connect, talk, close, and talk again by the numbers that became free.
    fn run(self, seed: u64) {
        println!("{self:?}");
        let mut dialogue = self.dialogue(seed);
        dialogue.connect(self.asking);
        dialogue.talk(MESSAGES);
        dialogue.close();
        dialogue.talk(60);
        dialogue.close();
        assert_eq!(dialogue.over, [None, None]);
    }
}

#[test]
fn without_loss_whoever_asks() {
    for (seed, asking) in (1..).zip(ASKING) {
        let is_client = seed % 2 == 0;
        Case { asking, is_client, is_interleaving: false, is_zero_checksum: false, wire: CLEAN }.run(seed);
    }
}

#[test]
fn with_loss_whoever_asks() {
    for (seed, asking) in (4..).zip(ASKING) {
        let is_client = seed % 2 == 0;
        Case { asking, is_client, is_interleaving: false, is_zero_checksum: false, wire: LOSSY }.run(seed);
    }
}

#[test]
fn interleaved_and_without_checksums() {
    for (seed, wire) in (7..).zip([CLEAN, LOSSY]) {
        let asking = ASKING[seed as usize % 2];
        Case { asking, is_client: true, is_interleaving: true, is_zero_checksum: true, wire }.run(seed);
    }
}

const PLAIN: Case =
    Case { asking: [true, false], is_client: true, is_interleaving: false, is_zero_checksum: false, wire: CLEAN };

/// What both sides say about the end, after `act` of one side.
fn end(wire: Wire, seed: u64, act: impl FnOnce(&mut Dialogue)) -> [String; 2] {
    let mut dialogue = Case { wire, ..PLAIN }.dialogue(seed);
    dialogue.connect([true, false]);
    dialogue.talk(600);
    act(&mut dialogue);
    dialogue.until("over", |dialogue| dialogue.over.iter().all(Option::is_some));
    dialogue.over.map(Option::unwrap)
}

#[test]
fn either_side_shuts_the_association_down() {
    for (seed, side, wire) in [(1, 0, CLEAN), (2, 1, CLEAN), (3, 0, LOSSY), (4, 1, LOSSY)] {
        let over = end(wire, seed, |dialogue| dialogue.pair.sides[side].shutdown(dialogue.pair.now));
        assert_eq!(over, ["closed", "closed"], "side {side}");
    }
}

#[test]
fn both_sides_shut_the_association_down_at_once() {
    let over = end(CLEAN, 5, |dialogue| {
        for side in &mut dialogue.pair.sides {
            side.shutdown(dialogue.pair.now);
        }
    });
    assert_eq!(over, ["closed", "closed"]);
}

#[test]
fn either_side_ends_the_association_at_once_and_the_other_hears_why() {
    let [ours, _] = end(CLEAN, 6, |dialogue| dialogue.pair.sides[1].abort(dialogue.pair.now));
    assert_eq!(ours, "aborted by the peer: the peer's user ended it: Close called");
    let [_, theirs] = end(CLEAN, 7, |dialogue| dialogue.pair.sides[0].abort(dialogue.pair.now));
    assert!(theirs.contains("enough"), "{theirs}");
}
