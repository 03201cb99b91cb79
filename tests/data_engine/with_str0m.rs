//! A whole peer of ours towards a whole peer of str0m: ICE, DTLS 1.2 and 1.3, SCTP with its own handshake or without.

use std::net::SocketAddr;
use std::time::Duration;

use str0m::config::DtlsVersion;
use switchboard::machine::time::{Epoch, Instant};
use switchboard::stack::peer::engine::{EngineConfig, Local, Partner as With, Remote, Version};

use crate::dialogue::Dialogue;
use crate::pair::{START, Wire};
use crate::partner::str0m::{Begin, Str0m};
use crate::partner::{Limit, Partner, Spec};
use crate::peer::Peer;

/// Messages that each side writes.
const MESSAGES: usize = 10_000;
const CLEAN: Wire = Wire { delay: Duration::from_millis(5), loss: 0.0 };
const LOSSY: Wire = Wire { loss: 0.01, ..CLEAN };

fn epoch() -> Epoch {
    Epoch::new(std::time::Instant::now(), Duration::from_secs(1_700_000_000))
}

fn remote(local: &Local) -> Remote {
    Remote::from(local)
}

/// Our peer and str0m's, started; `prepare` does what str0m needs first.
fn dialogue(begin: Begin, wire: Wire, seed: u64, prepare: impl FnOnce(&mut Str0m)) -> Dialogue {
    let (now, epoch): (Instant, _) = (START, epoch());
    let addresses: [SocketAddr; 2] = ["192.0.2.1:1000", "192.0.2.2:2000"].map(|at| at.parse().expect("an address"));
    let with = if begin.is_snap { With::Own } else { With::Foreign };
    let version = if begin.version == DtlsVersion::Dtls13 { Version::Dtls13 } else { Version::Dtls12 };
    let config = EngineConfig { version, ..EngineConfig::new(with, true) };
    let mut ours = Peer::new(now, epoch, addresses, config, seed);
    let mut theirs = Str0m::new(now, epoch, [addresses[1], addresses[0]], begin);
    let (our_side, their_side) = (remote(ours.local()), remote(theirs.local()));
    ours.start(now, &their_side, !begin.is_active);
    theirs.start(now, &our_side, begin);
    prepare(&mut theirs);
    let sides: [Box<dyn Partner>; 2] = [Box::new(ours), Box::new(theirs)];
    Dialogue::new(sides, wire, seed)
}

fn run(begin: Begin, wire: Wire, seed: u64) {
    println!("{begin:?}, {wire:?}");
    let mut dialogue = dialogue(begin, wire, seed, |_| {});
    dialogue.connect([false, false]);
    dialogue.talk(MESSAGES);
    dialogue.close();
    dialogue.talk(60);
    dialogue.close();
    assert_eq!(dialogue.over, [None, None]);
}

/// Both roles. We ask for the association in either; str0m does where it is active, so that both ask at once.
fn both_roles(version: DtlsVersion, wire: Wire) {
    for (seed, is_active) in (0..).zip([true, false]) {
        run(Begin { version, is_active, is_snap: false }, wire, seed);
    }
}

#[test]
fn by_dtls_1_2_in_both_roles() {
    both_roles(DtlsVersion::Dtls12, CLEAN);
}

#[test]
fn by_dtls_1_2_in_both_roles_with_loss() {
    both_roles(DtlsVersion::Dtls12, LOSSY);
}

#[test]
fn by_dtls_1_3_in_both_roles() {
    both_roles(DtlsVersion::Dtls13, CLEAN);
}

#[test]
fn by_dtls_1_3_in_both_roles_with_loss() {
    both_roles(DtlsVersion::Dtls13, LOSSY);
}

#[test]
fn by_channels_that_only_str0m_opens() {
    for (seed, wire) in (0..).zip([CLEAN, LOSSY]) {
        let begin = Begin { version: DtlsVersion::Dtls13, is_active: seed == 0, is_snap: false };
        let mut dialogue = dialogue(begin, wire, seed, |_| {});
        dialogue.connect([false, false]);
        for count in [MESSAGES / 2, 60] {
            dialogue.talk_by(&[1], count);
            dialogue.close();
        }
        assert_eq!(dialogue.over, [None, None]);
    }
}

#[test]
fn without_a_handshake_of_sctp_on_channels_agreed_on() {
    let bulk = Spec { label: "bulk".to_owned(), is_ordered: false, limit: Limit::None };
    let quick = Spec { label: "quick".to_owned(), is_ordered: false, limit: Limit::Retransmits(0) };
    for (seed, wire) in (0..).zip([CLEAN, LOSSY, CLEAN, LOSSY]) {
        let begin = Begin { version: DtlsVersion::Dtls13, is_active: seed < 2, is_snap: true };
        let mut dialogue = dialogue(begin, wire, seed, |theirs| {
            theirs.agree(&bulk, 0);
            theirs.agree(&quick, 1);
        });
        dialogue.agree(bulk.clone(), MESSAGES / 2);
        dialogue.agree(quick.clone(), MESSAGES / 2);
        dialogue.exchange();
        assert_eq!((dialogue.is_connected, dialogue.over), ([true, true], [None, None]));
    }
}
