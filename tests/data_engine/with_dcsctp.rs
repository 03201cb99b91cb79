//! SCTP alone, towards dcsctp.

use std::time::Duration;

use switchboard::link::sctp::Config;

use crate::dialogue::Dialogue;
use crate::own::Own;
use crate::pair::Wire;
use crate::partner::dcsctp::Dcsctp;
use crate::partner::{Happened, Limit, Partner, Spec};

/// Messages that each side writes.
const MESSAGES: usize = 10_000;
/// Who asks for the association: we, they, both.
const ASKING: [[bool; 2]; 3] = [[true, false], [false, true], [true, true]];

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
        let config =
            Config { zero_checksum: self.is_zero_checksum, interleaving: self.is_interleaving, ..Config::default() };
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
