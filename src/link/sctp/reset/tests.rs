//! Two machines that ask each other, and peers that misbehave.

use super::*;
use crate::wire::sctp::{Checksum, Chunk, Header, parse};

const HEADER: Header = Header { source_port: 5000, destination_port: 5000, tag: 1 };
const NOW: Instant = Instant::ZERO;

fn filled(reset: &mut Reset, now: Instant, next: Tsn) -> Vec<u8> {
    let mut out = Vec::new();
    let mut packet = Packet::begin(&mut out, &HEADER, 1_160);
    reset.fill(now, &mut packet, next);
    packet.finish(true);
    out
}

/// Hands over what one has to say; whether it was anything.
fn pass(packet: &[u8], to: &mut Reset, now: Instant, cumulative: Tsn) -> bool {
    let Ok((_, chunks)) = parse(packet, Checksum::Required) else { return false };
    for chunk in chunks {
        let Ok(Chunk::Reconfig(reconfig)) = chunk else { panic!("{chunk:?}") };
        to.on_reconfig(now, &reconfig, cumulative);
    }
    true
}

fn events(reset: &mut Reset) -> Vec<ResetEvent> {
    std::iter::from_fn(|| reset.poll_event()).collect()
}

fn ask(reset: &mut Reset, requests: &[Request<'_>], cumulative: Tsn) {
    let mut out = Vec::new();
    let mut packet = Packet::begin(&mut out, &HEADER, 60_000);
    assert!(packet.reconfig(requests));
    packet.finish(true);
    assert!(pass(&out, reset, NOW, cumulative));
}

/// The results that the answers tell.
fn results(reset: &mut Reset) -> Vec<u32> {
    let packet = filled(reset, NOW, Tsn(1));
    let Ok((_, chunks)) = parse(&packet, Checksum::Required) else { return Vec::new() };
    let read = chunks.flat_map(|chunk| match chunk {
        Ok(Chunk::Reconfig(reconfig)) => reconfig.collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    });
    let results = read.filter_map(|request| match request {
        Request::Response { result, .. } => Some(result),
        _ => None,
    });
    results.collect()
}

fn outgoing(request: u32, last: Tsn, streams: &[u16]) -> Request<'_> {
    Request::OutgoingReset { request, response: 0, last, streams: Streams::of(streams) }
}

#[test]
fn streams_are_reset_by_one_request_and_its_answer() {
    let (mut ann, mut bob) = (Reset::new(10, 20), Reset::new(20, 10));
    [3, 5, 3].into_iter().for_each(|stream| ann.request(stream));
    assert!(ann.is_due());
    assert!(pass(&filled(&mut ann, NOW, Tsn(100)), &mut bob, NOW, Tsn(99)));
    assert_eq!(events(&mut bob), [ResetEvent::Incoming(3), ResetEvent::Incoming(5)]);
    assert!(pass(&filled(&mut bob, NOW, Tsn(200)), &mut ann, NOW, Tsn(199)));
    assert_eq!(events(&mut ann), [ResetEvent::Done(3), ResetEvent::Done(5)]);
    assert!(!ann.is_due() && !bob.is_due() && ann.deadline().is_none());
}

#[test]
fn a_reset_waits_for_data_that_has_not_come_and_is_answered_unasked_then() {
    let (mut ann, mut bob) = (Reset::new(10, 20), Reset::new(20, 10));
    ann.request(3);
    pass(&filled(&mut ann, NOW, Tsn(100)), &mut bob, NOW, Tsn(90));
    pass(&filled(&mut bob, NOW, Tsn(200)), &mut ann, NOW, Tsn(199));
    assert_eq!((events(&mut ann), events(&mut bob)), (vec![], vec![]));
    bob.on_cumulative(Tsn(98));
    assert!(!bob.is_due());
    bob.on_cumulative(Tsn(99));
    assert_eq!(events(&mut bob), [ResetEvent::Incoming(3)]);
    pass(&filled(&mut bob, NOW, Tsn(200)), &mut ann, NOW, Tsn(199));
    assert_eq!(events(&mut ann), [ResetEvent::Done(3)]);
}

#[test]
fn a_request_is_repeated_until_it_is_answered_and_done_once() {
    let (mut ann, mut bob) = (Reset::new(10, 20), Reset::new(20, 10));
    ann.request(3);
    let first = filled(&mut ann, NOW, Tsn(100));
    let again = ann.deadline().unwrap().at;
    assert!(!ann.on_timeout(NOW) && ann.on_timeout(again) && ann.is_due());
    let second = filled(&mut ann, again, Tsn(100));
    assert_eq!(first, second);
    pass(&first, &mut bob, NOW, Tsn(99));
    pass(&second, &mut bob, NOW, Tsn(99));
    assert_eq!(events(&mut bob), [ResetEvent::Incoming(3)]);
    assert_eq!(results(&mut bob), [result::PERFORMED; 2]);
}

#[test]
fn who_never_answers_or_never_ends_is_given_up() {
    for is_in_progress in [false, true] {
        let mut ann = Reset::new(10, 20);
        ann.request(3);
        let mut blames = 0;
        while let Some(deadline) = {
            filled(&mut ann, NOW, Tsn(100));
            ann.deadline()
        } {
            if is_in_progress {
                ask(&mut ann, &[Request::Response { request: 10, result: result::IN_PROGRESS, next: None }], Tsn(1));
            }
            let at = ann.deadline().map_or(deadline.at, |deadline| deadline.at);
            blames += u32::from(ann.on_timeout(at));
        }
        assert_eq!(events(&mut ann), [ResetEvent::Refused(3)]);
        assert_eq!(blames, if is_in_progress { 0 } else { MOST_ASKS - 1 });
    }
}

#[test]
fn requests_that_make_no_sense_get_the_answer_that_says_so() {
    let mut bob = Reset::new(20, 10);
    let many = vec![7; MOST_RESET + 1];
    let cases = [
        (outgoing(9, Tsn(5), &[1]), result::BAD_SEQUENCE),
        (outgoing(10, Tsn(5), &[]), result::DENIED),
        (outgoing(11, Tsn(5), &many), result::DENIED),
        (Request::TsnReset { request: 12 }, result::DENIED),
        (Request::AddStreams { request: 13, is_outgoing: true, count: 9 }, result::DENIED),
        (Request::IncomingReset { request: 14, streams: Streams::of(&[1]) }, result::DENIED),
        (outgoing(16, Tsn(5), &[1]), result::BAD_SEQUENCE),
        (outgoing(15, Tsn(50), &[1]), result::IN_PROGRESS),
        (outgoing(15, Tsn(50), &[1]), result::IN_PROGRESS),
        (outgoing(16, Tsn(60), &[2]), result::ALREADY_IN_PROGRESS),
    ];
    for (request, result) in cases {
        ask(&mut bob, &[request], Tsn(5));
        assert_eq!(results(&mut bob), [result], "{request:?}");
    }
    assert_eq!(events(&mut bob), []);
    bob.on_cumulative(Tsn(50));
    assert_eq!(events(&mut bob), [ResetEvent::Incoming(1)]);
}

#[test]
fn a_deferred_reset_asked_for_anew_takes_the_new_number_and_is_done_once() {
    let mut bob = Reset::new(20, 10);
    for request in [10, 11] {
        ask(&mut bob, &[outgoing(request, Tsn(50), &[1, 3])], Tsn(5));
        assert_eq!(results(&mut bob), [result::IN_PROGRESS]);
    }
    bob.on_cumulative(Tsn(50));
    assert_eq!(events(&mut bob), [ResetEvent::Incoming(1), ResetEvent::Incoming(3)]);
    assert_eq!(bob.answers.iter().map(|answer| (answer.request, answer.result)).collect::<Vec<_>>(), [(11, 1)]);
    bob.on_cumulative(Tsn(51));
    assert_eq!(events(&mut bob), []);
}

#[test]
fn a_storm_of_requests_is_answered_only_so_far() {
    let mut bob = Reset::new(20, 10);
    for request in 10..1_000 {
        ask(&mut bob, &[outgoing(request, Tsn(5), &[1])], Tsn(5));
    }
    assert_eq!(bob.answers.len(), MOST_ANSWERS);
    assert_eq!(events(&mut bob).len(), MOST_ANSWERS);
}

#[test]
fn an_answer_to_nothing_is_ignored() {
    let mut ann = Reset::new(10, 20);
    ann.request(3);
    ask(&mut ann, &[Request::Response { request: 10, result: result::PERFORMED, next: None }], Tsn(5));
    assert_eq!(events(&mut ann), []);
}
