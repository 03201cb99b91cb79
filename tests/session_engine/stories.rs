//! Single situations, each told as a story.

use std::time::Duration;

use switchboard::hub::channel::{Channel, ChannelId, Reliability};
use switchboard::hub::session::event::{CloseReason, PathId, PathInfo, PathPolicy, SendError, SessionEvent};
use switchboard::machine::limits::Limits;
use switchboard::machine::time::Instant;

use super::net::{DIRECT, Net, Quality, RELAYED};

const CHAT: ChannelId = ChannelId(1);
const BULK: ChannelId = ChannelId(2);
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn channels() -> Vec<Channel> {
    vec![Channel::reliable("chat").priority(1), Channel::reliable("bulk")]
}

fn net(info: PathInfo, millis: u64) -> Net {
    let mut net = Net::new(1, &Limits::default(), &channels());
    net.first_path(info, Quality::clean(millis));
    net.run_for(SECOND);
    net
}

/// A relayed path of 30 ms and a direct one of 5 ms, which is used.
fn two_paths() -> (Net, PathId) {
    let mut net = net(RELAYED, 30);
    let direct = net.open_path(0, DIRECT, Quality::clean(5)).unwrap();
    net.run_for(SECOND);
    assert_eq!(paths(&net), ["direct 10 ms"; 2]);
    (net, direct)
}

fn paths(net: &Net) -> [String; 2] {
    net.ends.each_ref().map(|end| end.path().map_or_else(|| "none".to_owned(), |path| path.to_string()))
}

fn happened(net: &Net, end: usize, wanted: &SessionEvent) -> Option<Instant> {
    net.events[end].iter().find(|(_, event)| event == wanted).map(|(at, _)| *at)
}

#[test]
fn a_message_arrives_after_one_delay() {
    let mut net = net(RELAYED, 30);
    let sent = net.now;
    assert!(net.send(0, CHAT, b"hello"));
    net.run_for(SECOND);
    let (at, channel, message) = net.received[1][0].clone();
    assert_eq!((at - sent, channel, &message[..]), (30 * MS, CHAT, &b"hello"[..]));
    assert_eq!(net.received[1].len(), 1);
}

#[test]
fn a_direct_path_is_used_once_it_answers_and_nothing_stalls() {
    let mut net = net(RELAYED, 30);
    assert_eq!(paths(&net), ["relayed 60 ms"; 2]);
    net.open_path(0, DIRECT, Quality::clean(5));
    let worst = chat_for(&mut net, SECOND);
    assert_eq!(paths(&net), ["direct 10 ms"; 2]);
    assert_eq!(worst, [30 * MS; 2]);
    assert!(net.ends.iter().all(|end| end.statistics().runs_resent == 0));
}

#[test]
fn a_cut_stalls_for_the_threshold_and_one_delay() {
    for cut in [[true, true], [true, false], [false, true]] {
        let (mut net, direct) = two_paths();
        net.wire_of(direct).cut = cut;
        let worst = chat_for(&mut net, 2 * SECOND);
        println!("cut {cut:?}: worst latency {worst:?}");
        assert!(worst.iter().all(|worst| *worst < 330 * MS), "{cut:?}: {worst:?}");
        assert_eq!(paths(&net), ["relayed 60 ms"; 2], "{cut:?}");
        let lost = net.ends.iter().map(|end| end.statistics().disconnects).sum::<u64>();
        assert_eq!(lost, 0);
    }
}

#[test]
fn a_cut_is_noticed_as_soon_after_many_grants_as_after_the_first() {
    let (mut net, direct) = two_paths();
    net.reads[1] = false;
    for _ in 0..10_000 {
        while net.send(0, BULK, &[7; 10_000]) {}
        net.ends[1].recv();
        net.run_for(MS);
    }
    net.run_for(30 * MS);
    net.wire_of(direct).cut = [true, true];
    net.reads[1] = true;
    let cut = net.now;
    net.settle();
    let there = net.received[1].len();
    net.run_for(10 * SECOND);
    let stalled = net.received[1][there].0 - cut;
    assert!(stalled < 500 * MS, "{stalled:?}");
}

#[test]
fn a_cut_that_takes_a_grant_away_is_noticed() {
    let (mut net, direct) = two_paths();
    net.reads[1] = false;
    let mut sent = 0;
    while net.send(0, BULK, &[7; 10_000]) {
        sent += 1;
        net.run_for(MS);
    }
    net.run_for(50 * MS);
    net.wire_of(direct).cut = [true, true];
    net.reads[1] = true;
    let cut = net.now;
    net.settle();
    net.run_for(10 * SECOND);
    assert_eq!(net.received[1].len(), sent);
    let stalled = net.received[1].last().unwrap().0 - cut;
    assert!(stalled < SECOND, "{stalled:?}");
}

#[test]
fn a_goodbye_finds_its_way_when_the_path_is_cut() {
    let (mut net, direct) = two_paths();
    net.wire_of(direct).cut = [true, true];
    let now = net.now;
    net.ends[0].close(now, 1, "bye");
    net.settle();
    net.run_for(10 * SECOND);
    assert!(happened(&net, 0, &SessionEvent::Closed(CloseReason::Local)).is_some(), "{:?}", net.events[0]);
    let closed = SessionEvent::Closed(CloseReason::Peer { code: 1, text: "bye".to_owned() });
    assert!(happened(&net, 1, &closed).is_some());
}

#[test]
fn a_suspect_path_that_answers_is_used_again() {
    let (mut net, direct) = two_paths();
    net.wire_of(direct).cut = [true, true];
    chat_for(&mut net, 2 * SECOND);
    net.heal(direct);
    let healed = net.now;
    chat_for(&mut net, 2 * SECOND);
    assert_eq!(paths(&net), ["direct 10 ms"; 2]);
    let back =
        |end: usize| net.events[end].iter().rfind(|(_, event)| matches!(event, SessionEvent::Path(_))).unwrap().0;
    assert!((0..2).all(|end| back(end) - healed < 1100 * MS), "{:?}", (back(0) - healed, back(1) - healed));
}

#[test]
fn a_path_that_stays_silent_is_closed_and_one_that_is_idle_is_not() {
    let (mut net, direct) = two_paths();
    net.wire_of(direct).cut = [true, true];
    net.run_for(60 * SECOND);
    assert_eq!(paths(&net), ["direct 10 ms"; 2], "nobody asked");
    let asked = net.now;
    net.send(0, CHAT, b"are you there?");
    net.run_for(20 * SECOND);
    let closed = happened(&net, 0, &SessionEvent::PathClosed(direct)).unwrap();
    assert!((5 * SECOND..6 * SECOND).contains(&(closed - asked)), "{:?}", closed - asked);
    assert_eq!(net.received[1].len(), 1);
}

#[test]
fn a_session_outlives_its_last_path_and_goes_on_with_the_next() {
    let mut net = net(DIRECT, 5);
    net.wire_of(PathId(0)).cut = [true, true];
    for n in 0..100u8 {
        assert!(net.send(0, CHAT, &[n]));
    }
    net.run_for(SECOND);
    net.remove(PathId(0));
    assert!(net.events.iter().all(|events| events.iter().any(|(_, event)| *event == SessionEvent::Disconnected)));
    net.run_for(50 * SECOND);
    assert!(net.send(0, CHAT, &[100]));
    net.open_path(1, RELAYED, Quality::clean(30));
    net.run_for(SECOND);
    assert!(net.events.iter().all(|events| events.iter().any(|(_, event)| *event == SessionEvent::Reconnected)));
    assert!(net.received[1].iter().map(|(_, _, message)| message[0]).eq(0..=100));
    assert_eq!(paths(&net), ["relayed 60 ms"; 2]);
}

#[test]
fn a_session_without_a_path_ends_after_the_time_to_resume() {
    let mut net = net(DIRECT, 5);
    let removed = net.now;
    net.remove(PathId(0));
    net.run_for(100 * SECOND);
    for end in 0..2 {
        let closed = happened(&net, end, &SessionEvent::Closed(CloseReason::ResumeTimeout)).unwrap();
        assert_eq!(closed - removed, 60 * SECOND);
        assert_eq!(net.ends[end].send(net.now, CHAT, b"late"), Err(SendError::Closing));
    }
}

#[test]
fn closing_delivers_everything_first() {
    let mut net = net(RELAYED, 30);
    net.reads[1] = false;
    let message = vec![7; 100_000];
    for _ in 0..5 {
        assert!(net.send(0, BULK, &message));
    }
    let now = net.now;
    net.ends[0].close(now, 42, "that was all");
    net.settle();
    net.run_for(5 * SECOND);
    let closed = SessionEvent::Closed(CloseReason::Peer { code: 42, text: "that was all".to_owned() });
    assert!(happened(&net, 0, &SessionEvent::Closed(CloseReason::Local)).is_some());
    assert_eq!(happened(&net, 1, &closed), None, "it has messages to take");
    net.reads[1] = true;
    net.settle();
    assert_eq!(net.received[1].len(), 5);
    assert!(happened(&net, 1, &closed).is_some());
}

#[test]
fn closing_towards_nobody_ends_after_the_time_to_close() {
    let mut net = net(RELAYED, 30);
    net.wire_of(PathId(0)).cut = [true, true];
    let now = net.now;
    net.ends[0].close(now, 0, "");
    net.settle();
    net.run_for(10 * SECOND);
    let closed = happened(&net, 0, &SessionEvent::Closed(CloseReason::Unanswered)).unwrap();
    assert_eq!(closed - now, Limits::default().close_time);
}

#[test]
fn a_receiver_that_does_not_read_blocks_its_sender_and_all_arrives_when_it_reads() {
    let mut net = net(DIRECT, 5);
    net.reads[1] = false;
    let mut sent = 0u32;
    loop {
        let mut message = vec![0; 10_000];
        message[..4].copy_from_slice(&sent.to_be_bytes());
        if !net.send(0, BULK, &message) {
            break;
        }
        sent += 1;
        net.run_for(50 * MS);
    }
    assert!((200..250).contains(&sent), "a window there and one here: {sent}");
    net.run_for(30 * SECOND);
    assert!(net.send(0, CHAT, b"another channel is not blocked"));
    net.run_for(SECOND);
    net.reads[1] = true;
    net.settle();
    net.run_for(SECOND);
    assert!(net.events[0].iter().any(|(_, event)| *event == SessionEvent::Writable(BULK)));
    let bulk = net.received[1].iter().filter(|(_, channel, _)| *channel == BULK);
    assert!(bulk.map(|(_, _, message)| u32::from_be_bytes(message[..4].try_into().unwrap())).eq(0..sent));
}

#[test]
fn a_message_larger_than_every_window_arrives() {
    let limits = Limits { session_receive: 1000, session_send: 1000, ..Limits::default() };
    let mut net = Net::new(1, &limits, &channels());
    net.first_path(RELAYED, Quality { loss: 0.05, ..Quality::clean(10) });
    let message: Vec<u8> = (0..3_000_000u32).map(|n| n as u8).collect();
    assert!(net.send(0, BULK, &message));
    net.run_for(60 * SECOND);
    assert_eq!(net.received[1].len(), 1);
    assert!(net.received[1][0].2 == message);
}

#[test]
fn what_matters_more_overtakes_what_was_sent_before() {
    let mut net = net(DIRECT, 5);
    let now = net.now;
    net.ends[0].send(now, BULK, &vec![1; 900_000]).unwrap();
    net.ends[0].send(now, CHAT, b"now").unwrap();
    net.settle();
    net.run_for(SECOND);
    let order: Vec<_> = net.received[1].iter().map(|(_, channel, _)| *channel).collect();
    assert_eq!(order, [CHAT, BULK]);
}

#[test]
fn equals_take_turns() {
    let declared = [Channel::reliable("a"), Channel::reliable("b")];
    let mut net = Net::new(1, &Limits::default(), &declared);
    net.first_path(RELAYED, Quality::clean(10));
    net.run_for(SECOND);
    let now = net.now;
    for n in 0..20 {
        net.ends[0].send(now, ChannelId(1 + n / 10), &vec![1; 16_000]).unwrap();
    }
    net.settle();
    net.run_for(SECOND);
    let order: Vec<_> = net.received[1].iter().map(|(_, channel, _)| channel.0).collect();
    let (first, second) = order.split_at(10);
    assert_eq!(first.iter().filter(|channel| **channel == 1).count(), 5, "{order:?}");
    assert_eq!(second.len(), 10);
}

#[test]
fn a_policy_holds_even_if_it_leaves_no_path() {
    let (mut net, direct) = two_paths();
    let now = net.now;
    net.ends[0].set_policy(now, PathPolicy::RelayOnly);
    assert_eq!(paths(&net)[0], "relayed 60 ms");
    net.ends[0].set_policy(now, PathPolicy::DirectOnly);
    net.remove(direct);
    assert_eq!(paths(&net)[0], "none");
    assert!(happened(&net, 0, &SessionEvent::Disconnected).is_some());
    net.send(0, CHAT, b"waits");
    net.run_for(SECOND);
    assert!(net.received[1].is_empty());
    let now = net.now;
    net.ends[0].set_policy(now, PathPolicy::PreferDirect);
    net.run_for(SECOND);
    assert_eq!(net.received[1].len(), 1);
}

#[test]
fn signals_travel_apart_from_messages_and_have_a_limit() {
    let mut net = net(RELAYED, 30);
    let now = net.now;
    let most = Limits::default().signal;
    net.ends[0].signal(now, &vec![5; most]).unwrap();
    assert_eq!(net.ends[0].signal(now, &vec![5; most + 1]), Err(SendError::TooLarge));
    assert_eq!(net.ends[0].send(now, ChannelId::SIGNALS, b"x"), Err(SendError::NoChannel));
    assert_eq!(net.ends[0].send(now, ChannelId(3), b"x"), Err(SendError::NoChannel));
    net.settle();
    net.run_for(SECOND);
    assert_eq!(net.signals[1], [vec![5; most]]);
    assert!(net.received[1].is_empty());
    assert!(net.events[1].iter().any(|(_, event)| *event == SessionEvent::SignalReadable));
}

#[test]
fn messages_with_a_lifetime_leave_the_queue_when_it_is_over() {
    let lifetime = Reliability::MaxLifetime(100 * MS);
    for channel in [Channel::reliable("v").with(lifetime), Channel::reliable("v").with(lifetime).unordered()] {
        let mut net = Net::new(1, &Limits::default(), &[channel]);
        let id = net.first_path(RELAYED, Quality::clean(10));
        net.run_for(SECOND);
        net.remove(id);
        assert!(net.send(0, CHAT, b"stale"));
        assert!(net.send(0, CHAT, &[0; 5000]));
        net.run_for(200 * MS);
        assert!(net.send(0, CHAT, b"fresh"));
        net.open_path(0, RELAYED, Quality::clean(10));
        net.run_for(SECOND);
        let messages: Vec<_> = net.received[1].iter().map(|(_, _, message)| &message[..]).collect();
        assert_eq!(messages, [b"fresh"]);
        assert_eq!(net.ends[0].statistics().abandoned, 1 + 5 + 1 - 1);
    }
}

#[test]
fn what_is_given_up_does_not_hold_up_what_follows() {
    let channel = Channel::reliable("position").with(Reliability::MaxRetransmits(0));
    let mut net = Net::new(1, &Limits::default(), &[channel]);
    let id = net.first_path(RELAYED, Quality::clean(10));
    net.run_for(SECOND);
    net.wire_of(id).cut = [true, false];
    net.send(0, CHAT, b"lost");
    net.run_for(5 * MS);
    net.heal(id);
    let now = net.now;
    net.send(0, CHAT, b"kept");
    net.run_for(5 * SECOND);
    assert_eq!(net.received[1].len(), 1);
    let (at, _, message) = &net.received[1][0];
    assert_eq!(&message[..], b"kept");
    assert!(*at - now < 150 * MS, "{:?}", *at - now);
}

/// A message each way every 5 ms for a time and until all has arrived; the worst latency at each end.
fn chat_for(net: &mut Net, time: Duration) -> [Duration; 2] {
    let until = net.now + time;
    let before = [net.received[0].len(), net.received[1].len()];
    let mut sent = Vec::new();
    while net.now < until {
        sent.push(net.now);
        (0..2).for_each(|end| assert!(net.send(end, CHAT, b"tick")));
        net.run_for(5 * MS);
    }
    net.run_for(SECOND);
    [0, 1].map(|end| {
        let arrived = net.received[end][before[end]..].iter().map(|(at, ..)| *at);
        assert_eq!(arrived.len(), sent.len());
        arrived.zip(&sent).map(|(at, sent)| at - *sent).max().unwrap()
    })
}
