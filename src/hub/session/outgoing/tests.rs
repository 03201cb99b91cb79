use super::*;
use crate::wire::cursor::Cursor;
use crate::wire::session::{Record, put_ack};
use std::time::Duration;

const PATH: PathId = PathId(0);
const BOUNDS: Bounds = Bounds { run: 100, held: 1000, message: 5000 };
const RETRANSMIT_ONCE: Reliability = Reliability::MaxRetransmits(1);

fn channel(reliability: Reliability) -> Outgoing {
    Outgoing::new(1, &Channel::reliable("test").with(reliability))
}

fn at(millis: u64) -> Instant {
    Instant::ZERO + Duration::from_millis(millis)
}

/// Sends all there is; the bodies.
fn pull(outgoing: &mut Outgoing, packet: u64) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    while outgoing.candidate().is_some() {
        let mut body = Vec::new();
        outgoing.send(at(packet), PATH, packet, &mut body);
        bodies.push(body);
    }
    bodies
}

fn acknowledge(outgoing: &mut Outgoing, next: u64, ranges: &[Range<u64>]) -> Result<Vec<Landed>, Misbehaved> {
    let mut bytes = Vec::new();
    put_ack(&mut bytes, 1, next, ranges.iter().cloned(), None);
    let Ok(Record::Ack(ack)) = Record::take(&mut Cursor::new(&bytes)) else { panic!("it is one") };
    let mut landed = Vec::new();
    outgoing.acknowledge(&ack, |run| landed.push(run))?;
    Ok(landed)
}

#[test]
fn messages_share_a_run_until_it_is_pulled_or_full() {
    let mut outgoing = channel(Reliability::Reliable);
    for message in [&b"ab"[..], b"", &[7; 91]] {
        outgoing.accept(at(0), message, BOUNDS).unwrap();
    }
    outgoing.accept(at(0), b"next", BOUNDS).unwrap();
    let first = [&b"\x02ab\x00\x5b"[..], &[7; 91]].concat();
    assert_eq!(pull(&mut outgoing, 0), [first, b"\x04next".to_vec()]);
    outgoing.accept(at(0), b"later", BOUNDS).unwrap();
    assert_eq!(outgoing.candidate(), Some((2, 6)));
}

#[test]
fn a_large_message_becomes_fragments() {
    let mut outgoing = channel(Reliability::Reliable);
    let message: Vec<u8> = (0..250).map(|n| n as u8).collect();
    outgoing.accept(at(0), &message, BOUNDS).unwrap();
    let forms: Vec<_> = (0..3).map(|number| outgoing.head(number).form).collect();
    let fragment = |begin, end| Form::Fragment { begin, end };
    assert_eq!(forms, [fragment(true, false), fragment(false, false), fragment(false, true)]);
    assert_eq!(pull(&mut outgoing, 0).concat(), message);
    assert_eq!(outgoing.accept(at(0), &[0; 5001], BOUNDS), Err(SendError::TooLarge));
}

#[test]
fn what_is_held_is_bounded_and_refusal_ends_when_half_of_it_is_gone() {
    let mut outgoing = channel(Reliability::Reliable);
    let mut taken = 0;
    while outgoing.accept(at(0), &[0; 99], BOUNDS).is_ok() {
        taken += 1;
    }
    assert_eq!(taken, 6, "each costs 100 and a run");
    pull(&mut outgoing, 0);
    acknowledge(&mut outgoing, 1, &[]).unwrap();
    assert!(!outgoing.has_become_writable(BOUNDS));
    acknowledge(&mut outgoing, 4, &[]).unwrap();
    assert!(outgoing.has_become_writable(BOUNDS));
    assert!(!outgoing.has_become_writable(BOUNDS), "it is told once");
}

#[test]
fn a_message_larger_than_the_bound_is_taken_when_nothing_else_is_held() {
    let mut outgoing = channel(Reliability::Reliable);
    outgoing.accept(at(0), b"x", BOUNDS).unwrap();
    assert_eq!(outgoing.accept(at(0), &[0; 3000], BOUNDS), Err(SendError::Blocked));
    pull(&mut outgoing, 0);
    acknowledge(&mut outgoing, 1, &[]).unwrap();
    assert!(outgoing.has_become_writable(BOUNDS));
    assert_eq!(outgoing.accept(at(0), &[0; 3000], BOUNDS), Ok(()));
}

#[test]
fn nothing_goes_beyond_the_grant_but_what_goes_again() {
    let bounds = Bounds { run: 60_000, held: 1 << 20, message: 1 << 20 };
    let mut outgoing = channel(Reliability::Reliable);
    outgoing.accept(at(0), &[1; 50_000], bounds).unwrap();
    outgoing.accept(at(0), &[2; 50_000], bounds).unwrap();
    assert_eq!(pull(&mut outgoing, 0).len(), 1);
    assert!(outgoing.is_blocked());
    outgoing.lose(at(1), 0, |_| {});
    assert_eq!(pull(&mut outgoing, 1).len(), 1);
    outgoing.grant(200_000);
    assert!(!outgoing.is_blocked());
    assert_eq!(pull(&mut outgoing, 2).len(), 1);
}

#[test]
fn what_is_lost_goes_again_as_it_was_and_before_what_is_new() {
    let mut outgoing = channel(Reliability::Reliable);
    for n in 0..4 {
        outgoing.accept(at(0), &[n; 90], BOUNDS).unwrap();
    }
    let bodies = pull(&mut outgoing, 0);
    acknowledge(&mut outgoing, 0, &[1..2, 3..4]).unwrap();
    assert_eq!(outgoing.lose_path(at(5), PATH, at(9), |_| {}), (2, 0));
    outgoing.accept(at(5), b"new", BOUNDS).unwrap();
    assert_eq!(pull(&mut outgoing, 1), [bodies[0].clone(), bodies[2].clone(), b"\x03new".to_vec()]);
    let landed = acknowledge(&mut outgoing, 5, &[]).unwrap();
    assert_eq!(landed.iter().map(|run| (run.packet, run.times)).collect::<Vec<_>>(), [(1, 2), (1, 2), (1, 1)]);
    assert!(outgoing.is_empty() && outgoing.ring.is_empty());
}

#[test]
fn an_acknowledgement_of_what_was_never_sent_is_a_broken_rule() {
    let mut outgoing = channel(Reliability::Reliable);
    outgoing.accept(at(0), b"x", BOUNDS).unwrap();
    assert_eq!(acknowledge(&mut outgoing, 1, &[]), Err(Misbehaved::AckOfUnsent));
    pull(&mut outgoing, 0);
    assert_eq!(acknowledge(&mut outgoing, 0, std::slice::from_ref(&(1..2))), Err(Misbehaved::AckOfUnsent));
    assert_eq!(acknowledge(&mut outgoing, 1, &[]).unwrap().len(), 1);
}

#[test]
fn a_fragment_that_may_not_go_again_takes_its_message_with_it() {
    let mut outgoing = channel(RETRANSMIT_ONCE);
    outgoing.accept(at(0), &[1; 250], BOUNDS).unwrap();
    outgoing.accept(at(0), b"after", BOUNDS).unwrap();
    pull(&mut outgoing, 0);
    assert_eq!(outgoing.lose(at(1), 1, |_| {}), 0);
    pull(&mut outgoing, 1);
    let mut landed = 0;
    assert_eq!(outgoing.lose(at(2), 1, |_| landed += 1), 3);
    assert_eq!(landed, 3, "all leave the air");
    assert_eq!(outgoing.owes_forward(), Some(3));
    assert_eq!(outgoing.head(3).alive, Some(3));
    acknowledge(&mut outgoing, 3, &[]).unwrap();
    assert_eq!(outgoing.owes_forward(), None);
}

#[test]
fn what_waits_too_long_is_given_up_and_what_flies_is_not() {
    let mut outgoing = channel(Reliability::MaxLifetime(Duration::from_millis(100)));
    outgoing.accept(at(0), b"flies", BOUNDS).unwrap();
    pull(&mut outgoing, 0);
    outgoing.accept(at(10), b"waits", BOUNDS).unwrap();
    outgoing.accept(at(20), b"another, as the first is too old to be joined", BOUNDS).unwrap();
    assert_eq!(outgoing.expiry(), Some(at(110)));
    assert_eq!(outgoing.expire(at(109), |_| {}), 0);
    assert_eq!(outgoing.expire(at(110), |_| {}), 1);
    assert_eq!(outgoing.expiry(), Some(at(120)));
    assert_eq!(outgoing.flies(0, PATH, 0), Some(at(0)));
    assert_eq!(outgoing.lose(at(115), 0, |_| {}), 1, "it is too old to go again");
}
