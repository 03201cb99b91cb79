//! A peer that breaks rules, and outsiders that forge: each rule has its name.

use switchboard::hub::channel::{Channel, ChannelId, Reliability};
use switchboard::hub::session::Session;
use switchboard::hub::session::event::{CloseReason, Misbehaved, PathId, SessionEvent};
use switchboard::machine::limits::Limits;
use switchboard::machine::time::Instant;
use switchboard::wire::session::{BadRecord, Form, Record, Run, put_ack};

use super::net::{PRIVATE, RELAYED, session};

const PATH: PathId = PathId(0);
const NOW: Instant = Instant::from_nanos(1_000_000_000);
const RELIABLE: u16 = 1;
const LOSSY: u16 = 2;
const PLAIN: u8 = 3;
const MESSAGES: Form = Form::Messages;
const BEGIN: Form = Form::Fragment { begin: true, end: false };
const MIDDLE: Form = Form::Fragment { begin: false, end: false };

fn victim() -> Session {
    let channels = [Channel::reliable("a"), Channel::reliable("b").with(Reliability::MaxRetransmits(1)).unordered()];
    let limits = Limits { message: 50_000, signal: 100, session_receive: 20_000, ..Limits::default() };
    let mut session = session(NOW, &limits, true, &channels);
    session.add_path(NOW, PATH, PRIVATE);
    session
}

fn run(channel: u16, number: u64, form: Form, body: &[u8]) -> Vec<u8> {
    let alive = (channel == LOSSY).then_some(0);
    record(&Record::Run(Run { channel, number, form, alive }, body))
}

fn record(record: &Record<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    record.put(&mut out);
    out
}

fn ack(channel: u16, next: u64, granted: Option<u64>) -> Vec<u8> {
    let mut out = Vec::new();
    put_ack(&mut out, channel, next, std::iter::empty(), granted);
    out
}

/// What a session says to these packets.
fn verdict(packets: &[Vec<u8>]) -> Option<Misbehaved> {
    let mut session = victim();
    for records in packets {
        let mut packet = [&[PLAIN], &records[..]].concat();
        session.receive(NOW, PATH, &mut packet).unwrap();
    }
    let mut events = std::iter::from_fn(|| session.poll_event());
    events.find_map(|event| match event {
        SessionEvent::Closed(CloseReason::Misbehaved(rule)) => Some(rule),
        _ => None,
    })
}

#[test]
fn every_rule_broken_by_the_peer_ends_the_session_by_its_name() {
    let forward = |channel, oldest| record(&Record::Forward { channel, oldest });
    let with_alive = Record::Run(Run { channel: RELIABLE, number: 0, form: MESSAGES, alive: Some(0) }, b"\0");
    let cases = [
        (vec![vec![63]], Misbehaved::Record(BadRecord::Kind(63))),
        (vec![run(3, 0, MESSAGES, b"\0")], Misbehaved::NoSuchChannel),
        (vec![ack(3, 0, None)], Misbehaved::NoSuchChannel),
        (vec![record(&Record::Blocked { channel: 9 })], Misbehaved::NoSuchChannel),
        (vec![run(RELIABLE, 0, MESSAGES, b"")], Misbehaved::EmptyRun),
        (vec![run(RELIABLE, 0, MESSAGES, b"\x02a")], Misbehaved::BadRun),
        (vec![run(RELIABLE, 0, MIDDLE, b"a")], Misbehaved::FragmentOutOfPlace),
        (vec![run(RELIABLE, 0, BEGIN, b"a"), run(RELIABLE, 1, BEGIN, b"a")], Misbehaved::FragmentOutOfPlace),
        (vec![run(RELIABLE, 0, BEGIN, b"a"), run(RELIABLE, 1, MESSAGES, b"\0")], Misbehaved::FragmentOutOfPlace),
        (vec![run(0, 0, MESSAGES, &[&[101][..], &[0; 101]].concat())], Misbehaved::SignalTooLarge),
        (too_long(), Misbehaved::MessageTooLarge),
        (vec![run(RELIABLE, 1 << 50, MESSAGES, b"\0")], Misbehaved::BeyondGrant),
        (too_much(), Misbehaved::BeyondGrant),
        (vec![run(LOSSY, u64::MAX, MESSAGES, b"\0")], Misbehaved::TooFarAhead),
        (vec![forward(LOSSY, u64::MAX)], Misbehaved::TooFarAhead),
        (vec![forward(RELIABLE, 0)], Misbehaved::ForwardOnReliable),
        (vec![record(&with_alive)], Misbehaved::ForwardOnReliable),
        (vec![ack(RELIABLE, 1, None)], Misbehaved::AckOfUnsent),
        (vec![[ack(RELIABLE, 0, None), ack(RELIABLE, 0, None)].concat()], Misbehaved::RepeatedAck),
        (vec![ack(LOSSY, 0, Some(1))], Misbehaved::GrantBeyondSense),
        (vec![ack(RELIABLE, 0, Some(u64::MAX))], Misbehaved::GrantBeyondSense),
        (vec![record(&Record::Pong(7))], Misbehaved::PongWithoutPing),
        (vec![record(&Record::Attach { path: 1 })], Misbehaved::Attachment),
    ];
    for (packets, rule) in cases {
        assert_eq!(verdict(&packets), Some(rule));
    }
}

/// One fragment after the other, without end.
fn too_long() -> Vec<Vec<u8>> {
    (0..4).map(|n| run(RELIABLE, n, if n == 0 { BEGIN } else { MIDDLE }, &[0; 16_000])).collect()
}

/// Messages that nobody takes.
fn too_much() -> Vec<Vec<u8>> {
    let body = [&[0x80, 0x7d][..], &[0; 16_000]].concat();
    (0..5).map(|n| run(RELIABLE, n, MESSAGES, &body)).collect()
}

#[test]
fn what_breaks_no_rule_is_borne() {
    let cases = [
        vec![run(RELIABLE, 0, MESSAGES, b"\0"), run(RELIABLE, 0, MESSAGES, b"\0")],
        vec![ack(RELIABLE, 0, None), ack(RELIABLE, 0, None)],
        vec![record(&Record::Ping(u64::MAX))],
        vec![record(&Record::Suspect { path: 77 }), record(&Record::Suspect { path: PATH.0 })],
        vec![record(&Record::ByeAck)],
        vec![run(LOSSY, 1 << 61, MESSAGES, b"\0"), run(LOSSY, 5, MESSAGES, b"\0")],
        vec![record(&Record::Bye { code: 0, text: "" }), run(RELIABLE, 0, MESSAGES, b"\0")],
    ];
    for packets in cases {
        assert_eq!(verdict(&packets), None);
    }
}

#[test]
fn an_unsealed_packet_on_a_relayed_path_closes_that_path_only() {
    let mut session = session(NOW, &Limits::default(), true, &[Channel::reliable("a")]);
    session.add_path(NOW, PATH, RELAYED);
    let mut packet = [&[PLAIN], &run(RELIABLE, 0, MESSAGES, b"\x01x")[..]].concat();
    let rule = session.receive(NOW, PATH, &mut packet).unwrap_err();
    assert_eq!(rule, Misbehaved::Unsealed);
    assert!(rule.closes_path());
    assert!(session.recv().is_none());
    assert_eq!(session.send(NOW, ChannelId(1), b"still open"), Ok(()));
}

#[test]
fn forged_and_repeated_packets_are_counted_and_change_nothing() {
    let channels = [Channel::reliable("a")];
    let mut ends = [true, false].map(|initiator| session(NOW, &Limits::default(), initiator, &channels));
    ends.iter_mut().for_each(|end| end.add_path(NOW, PATH, RELAYED));
    ends[0].send(NOW, ChannelId(1), b"once").unwrap();
    let mut packet = Vec::new();
    assert!(ends[0].supply(NOW, PATH, &mut packet));
    for at in 0..packet.len() {
        let mut changed = packet.clone();
        changed[at] ^= 0x40;
        let rule = ends[1].receive(NOW, PATH, &mut changed).unwrap_err();
        assert!(matches!(rule, Misbehaved::Forged | Misbehaved::NotAPacket), "{at}: {rule}");
    }
    assert_eq!(ends[1].receive(NOW, PATH, &mut packet.clone()), Ok(()));
    assert_eq!(ends[1].receive(NOW, PATH, &mut packet.clone()), Err(Misbehaved::Replayed));
    assert!(!Misbehaved::Replayed.closes_path() && !Misbehaved::Forged.closes_path());
    assert_eq!(ends[1].receive(NOW, PathId(9), &mut packet), Err(Misbehaved::NoSuchPath));
    assert!(ends[1].recv().is_some() && ends[1].recv().is_none());
    let statistics = ends[1].statistics();
    assert_eq!((statistics.forged, statistics.replayed), (packet.len() as u64 - 1, 1));
}

#[test]
fn a_path_can_only_be_attached_by_whoever_has_the_keys() {
    let channels = [Channel::reliable("a")];
    let [mut ours, mut theirs] = [true, false].map(|initiator| session(NOW, &Limits::default(), initiator, &channels));
    let path = theirs.free_path().unwrap();
    assert_eq!(path, PathId(1));
    theirs.attach(NOW, path, RELAYED);
    let mut packet = Vec::new();
    assert!(theirs.supply(NOW, path, &mut packet));
    let mut other_key = packet.clone();
    other_key[1] ^= 1;
    assert_eq!(ours.open_attach(NOW, RELAYED, &mut other_key), Err(Misbehaved::Attachment));
    let mut forged = packet.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert_eq!(ours.open_attach(NOW, RELAYED, &mut forged), Err(Misbehaved::Forged));
    assert_eq!(theirs.open_attach(NOW, RELAYED, &mut packet.clone()), Err(Misbehaved::Forged), "reflected");
    assert_eq!(ours.open_attach(NOW, RELAYED, &mut packet.clone()), Ok(path));
    assert_eq!(ours.open_attach(NOW, RELAYED, &mut packet), Err(Misbehaved::Replayed));
}

#[test]
fn a_flood_of_pings_is_answered_by_the_latest_few() {
    let mut session = victim();
    let pings: Vec<u8> = (0..5000).flat_map(|id| record(&Record::Ping(id))).collect();
    session.receive(NOW, PATH, &mut [&[PLAIN], &pings[..]].concat()).unwrap();
    let mut packet = Vec::new();
    assert!(session.supply(NOW, PATH, &mut packet));
    assert!(packet.len() < 50, "{}", packet.len());
}
