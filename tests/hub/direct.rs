//! Direct paths of sessions: when they are made, what they carry, and what becomes of them.

mod pipes;
mod town;

use std::time::Duration;

use switchboard::hub::channel::{Channel, ChannelId, Reliability};
use switchboard::hub::explain::{NotDirect, Side};
use switchboard::hub::{Event, PathPolicy};
use switchboard::transport::upgrade::PeerState;
use switchboard::wire::ice_server::IceServer;
use switchboard::wire::outlook::{Mapping, Outlook, UdpReach};

use town::{A, B, Town};

const CHAT: ChannelId = ChannelId(1);
const VOICE: ChannelId = ChannelId(2);
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn channels() -> Vec<Channel> {
    vec![Channel::reliable("chat"), Channel::reliable("voice").with(Reliability::MaxRetransmits(0)).unordered()]
}

fn servers() -> Vec<IceServer> {
    vec![IceServer::new("turn:turn.test", "me", "secret").unwrap()]
}

/// Numbers one after the other, each way, until `count` were sent; `change` may do something before each.
fn talk(
    town: &mut Town,
    sessions: [switchboard::hub::SessionId; 2],
    count: u32,
    mut change: impl FnMut(&mut Town, u32),
) {
    for n in 0..count {
        change(town, n);
        for (node, session) in [(A, sessions[0]), (B, sessions[1])] {
            assert!(town.send(node, session, CHAT, &n.to_be_bytes()));
        }
        town.run_for(5 * MS);
    }
}

/// Everything has arrived at both, in order and once.
#[track_caller]
fn check(town: &Town, count: u32, story: &str) {
    let expected: Vec<_> = (0..count).map(|n| n.to_be_bytes().to_vec()).collect();
    for node in [A, B] {
        let arrived: Vec<_> =
            town.messages(node).filter(|(_, channel, _)| *channel == CHAT).map(|(.., bytes)| bytes.to_vec()).collect();
        assert!(arrived == expected, "{story}: at node {node} arrived {} of {count}", arrived.len());
    }
}

#[test]
fn a_session_gets_a_direct_path_once_it_stands() {
    let (mut town, [ours, theirs]) = Town::met(1, &channels());
    assert!(town.is_direct(A, ours) && town.is_direct(B, theirs));
    assert_eq!((town.opened(A), town.opened(B)), (1, 1));
    let states = [PeerState::Checking, PeerState::Connected];
    assert_eq!((town.states(A), town.states(B)), (states.to_vec(), states.to_vec()));
    let explanation = town.explain(A, ours);
    assert_eq!((explanation.not_direct.clone(), explanation.to_string()), (None, "direct 10 ms".into()));
    let sent = town.now;
    assert!(town.send(A, ours, CHAT, b"by bulk") && town.send(A, ours, VOICE, b"by quick"));
    town.run_for(SECOND);
    let arrived: Vec<_> = town.messages(B).map(|(at, ..)| at - sent).collect();
    assert_eq!(arrived, [5 * MS; 2]);
    let paths = town.nodes[A].hub.path_statistics(ours);
    let direct = paths.iter().find(|path| path.counts.direct).unwrap();
    assert!(direct.counts.in_use && direct.counts.runs_sent >= 2 && direct.peer.is_some(), "{direct:?}");
}

#[test]
fn no_address_leaves_before_the_application_has_accepted() {
    let mut town = Town::new(2, [true; 2]);
    town.nodes[B].accepts = false;
    let [ours, theirs] = town.meet(&channels(), PathPolicy::PreferDirect);
    assert_eq!((town.opened(A), town.opened(B)), (0, 0));
    assert_eq!(town.explain(A, ours).not_direct, Some(NotDirect::NotAccepted));
    town.act(B, |hub, cx| hub.accept(cx, theirs));
    town.run_for(SECOND);
    assert!(town.is_direct(A, ours) && town.is_direct(B, theirs));
}

#[test]
fn who_makes_none_says_so() {
    let mut town = Town::new(3, [true, false]);
    let [ours, theirs] = town.meet(&channels(), PathPolicy::PreferDirect);
    assert_eq!(town.explain(A, ours).not_direct, Some(NotDirect::NoUpgradeThere));
    assert_eq!(town.explain(B, theirs).not_direct, Some(NotDirect::NoUpgradeHere));
    town.run_for(600 * SECOND);
    assert_eq!(town.opened(A), 1, "what is refused for good is not asked for again");
    town.upgrade(B);
    town.run_for(SECOND);
    assert!(town.is_direct(A, ours) && town.is_direct(B, theirs));
}

#[test]
fn a_session_that_shall_be_relayed_gets_none_until_it_may() {
    let mut town = Town::new(4, [true; 2]);
    let [ours, theirs] = town.meet(&channels(), PathPolicy::RelayOnly);
    assert_eq!((town.opened(A), town.opened(B)), (0, 0));
    assert_eq!(town.explain(A, ours).not_direct, Some(NotDirect::Policy(Side::Here)));
    town.act(B, |hub, cx| hub.set_path_policy(cx, theirs, PathPolicy::RelayOnly));
    town.act(A, |hub, cx| hub.set_path_policy(cx, ours, PathPolicy::PreferDirect));
    town.run_for(SECOND);
    assert_eq!(town.explain(A, ours).not_direct, Some(NotDirect::Policy(Side::There)));
    assert_eq!(town.opened(B), 0);
    town.act(B, |hub, cx| hub.set_path_policy(cx, theirs, PathPolicy::PreferDirect));
    town.run_for(SECOND);
    assert!(town.is_direct(A, ours) && town.is_direct(B, theirs));
    town.act(B, |hub, cx| hub.set_path_policy(cx, theirs, PathPolicy::RelayOnly));
    town.run_for(SECOND);
    assert!(!town.is_direct(A, ours) && !town.is_direct(B, theirs));
    assert_eq!((town.here(A), town.here(B)), (0, 0));
}

#[test]
fn a_path_that_falls_silent_is_left_at_once_and_replaced_in_a_second() {
    for from in [[true, true], [true, false], [false, true]] {
        let (mut town, sessions) = Town::met(5, &channels());
        let mut worst = Duration::ZERO;
        talk(&mut town, sessions, 600, |town, n| match n {
            100 => town.cut(from),
            // The address that worked before works no more, but another one does.
            420 => town.heal(),
            _ => {}
        });
        town.run_for(2 * SECOND);
        check(&town, 600, &format!("cut {from:?}"));
        for node in [A, B] {
            let times: Vec<_> = town.messages(node).map(|(at, ..)| at).collect();
            worst = times.windows(2).map(|pair| pair[1] - pair[0]).chain([worst]).max().unwrap();
        }
        println!("cut {from:?}: worst gap {worst:?}, {} attempts", town.opened(A));
        assert!(worst < 400 * MS, "{worst:?}");
        assert!(town.opened(A) >= 2, "it was replaced");
        assert!(town.is_direct(A, sessions[0]) && town.is_direct(B, sessions[1]));
        assert_eq!((town.here(A), town.here(B)), (1, 1), "what was replaced is gone");
    }
}

#[test]
fn a_path_that_answers_within_the_second_is_used_again() {
    let (mut town, sessions) = Town::met(6, &channels());
    talk(&mut town, sessions, 400, |town, n| match n {
        100 => town.cut([true, true]),
        200 => town.heal(),
        _ => {}
    });
    town.run_for(2 * SECOND);
    check(&town, 400, "healed");
    assert!(town.is_direct(A, sessions[0]) && town.is_direct(B, sessions[1]));
    assert_eq!((town.opened(A), town.opened(B)), (1, 1));
    let was_relayed = |(_, event): &(_, Event)| matches!(event, Event::Path { path, .. } if !path.direct);
    assert!(town.nodes[A].events.iter().filter(|event| was_relayed(event)).count() > 1, "it was left");
}

#[test]
fn at_whatever_message_a_direct_path_dies_and_comes_back_nothing_is_lost_repeated_or_reordered() {
    let mut points = 0;
    for from in [[true, true], [true, false], [false, true]] {
        for (cut, heal) in (5..40).flat_map(|cut| [(cut, cut + 2), (cut, cut + 70), (cut, cut + 400)]) {
            let (mut town, sessions) = Town::met(points, &channels());
            talk(&mut town, sessions, 80, |town, n| {
                if n == cut {
                    town.cut(from);
                }
                if n == heal {
                    town.heal();
                }
            });
            town.run_for(3 * SECOND);
            town.heal();
            town.run_for(8 * SECOND);
            check(&town, 80, &format!("seed {points}: cut {from:?} at {cut}, healed at {heal}"));
            assert!(town.is_direct(A, sessions[0]) && town.is_direct(B, sessions[1]), "seed {points}");
            points += 1;
        }
    }
    println!("{points} points");
}

#[test]
fn going_up_loses_repeats_and_reorders_nothing() {
    for seed in 0..30 {
        let mut town = Town::new(seed, [true; 2]);
        town.opens = false;
        let sessions = town.meet(&channels(), PathPolicy::PreferDirect);
        talk(&mut town, sessions, 60, |town, n| {
            if u64::from(n) == 10 + seed {
                town.opens = true;
                town.act(A, |hub, cx| hub.set_ice_servers(cx, &servers()));
            }
        });
        town.run_for(20 * SECOND);
        check(&town, 60, &format!("seed {seed}"));
        assert!(town.is_direct(A, sessions[0]) && town.is_direct(B, sessions[1]), "seed {seed}");
    }
}

#[test]
fn what_fails_is_tried_again_with_pauses_that_double_and_says_why() {
    let mut town = Town::new(7, [true; 2]);
    town.opens = false;
    let (mapping, udp) = (Mapping::Dependent, UdpReach::Answers);
    let outlook = Outlook { ipv4: true, host: true, mapping, udp, gathered: true, ..Outlook::default() };
    for node in [A, B] {
        *town.nodes[node].dials.outlook.lock().unwrap() = outlook;
    }
    let [ours, theirs] = town.meet(&channels(), PathPolicy::PreferDirect);
    assert!(matches!(town.explain(A, ours).not_direct, Some(NotDirect::Trying { state: PeerState::Checking, .. })));
    town.run_for(5 * SECOND);
    for (node, session) in [(A, ours), (B, theirs)] {
        assert_eq!(town.explain(node, session).not_direct, Some(NotDirect::BothNatsDependent));
    }
    assert!(town.explain(A, ours).to_string().contains("no TURN server is configured; tried again in "));
    // Five seconds for each attempt, and pauses of 2, 4, 8, 16, 32 and 60 s.
    town.run_for(155 * SECOND);
    assert_eq!((town.opened(A), town.opened(B)), (7, 7));
    town.opens = true;
    let outlook = Outlook { ipv6: true, ..outlook };
    *town.nodes[B].dials.outlook.lock().unwrap() = outlook;
    town.act(B, |hub, cx| hub.set_ice_servers(cx, &servers()));
    town.run_for(SECOND);
    assert!(town.is_direct(A, ours) && town.is_direct(B, theirs), "news of the other side are enough");
}

#[test]
fn two_sides_that_replace_a_path_at_once_end_with_one() {
    let mut crossed = 0;
    for seed in 0..20 {
        let (mut town, sessions) = Town::met(seed, &channels());
        talk(&mut town, sessions, 300, |town, n| match n {
            20 => town.cut([true, true]),
            270 => town.heal(),
            _ => {}
        });
        town.run_for(10 * SECOND);
        check(&town, 300, &format!("seed {seed}"));
        assert_eq!((town.here(A), town.here(B)), (1, 1), "seed {seed}");
        assert!(town.is_direct(A, sessions[0]) && town.is_direct(B, sessions[1]), "seed {seed}");
        let opened = (town.opened(A), town.opened(B));
        assert!(opened.0 <= 2 && opened.1 <= 3, "seed {seed}: {opened:?}");
        crossed += usize::from(opened == (2, 3));
    }
    assert!(crossed > 10, "{crossed} pairs of attempts crossed");
}

#[test]
fn a_path_that_goes_up_and_down_is_tried_no_more_often_than_allowed() {
    let (mut town, [ours, _]) = Town::met(8, &channels());
    let from = town.opened(A);
    let until = town.now + 55 * SECOND;
    while town.now < until {
        let peer = town.opened(A);
        town.act(A, |hub, cx| hub.set_path_policy(cx, ours, PathPolicy::RelayOnly));
        town.act(A, |hub, cx| hub.set_path_policy(cx, ours, PathPolicy::PreferDirect));
        town.run_for(100 * MS);
        assert!(town.opened(A) - peer <= 1);
    }
    assert!(town.opened(A) - from <= 20, "{} attempts", town.opened(A) - from);
    town.act(A, |hub, cx| hub.set_path_policy(cx, ours, PathPolicy::RelayOnly));
    town.act(A, |hub, cx| hub.set_path_policy(cx, ours, PathPolicy::PreferDirect));
    assert!(matches!(town.explain(A, ours).not_direct, Some(NotDirect::TooManyAttempts { .. })));
    town.run_for(60 * SECOND);
    assert!(town.is_direct(A, ours));
}

#[test]
fn after_a_sleep_the_path_that_still_works_is_used_on() {
    let (mut town, sessions) = Town::met(9, &channels());
    town.run_for(10 * SECOND);
    assert!(town.send(A, sessions[0], CHAT, &0u32.to_be_bytes()));
    town.sleep(Duration::from_secs(30));
    assert!(town.send(A, sessions[0], CHAT, &1u32.to_be_bytes()));
    town.run_for(5 * SECOND);
    assert_eq!((town.opened(A), town.opened(B)), (1, 1));
    assert!(town.is_direct(A, sessions[0]) && town.is_direct(B, sessions[1]));
    assert_eq!(town.messages(B).count(), 2);
}

#[test]
fn the_end_of_a_session_is_the_end_of_its_peers() {
    let (mut town, [ours, _]) = Town::met(10, &channels());
    assert_eq!((town.here(A), town.here(B)), (1, 1));
    assert!(town.send(A, ours, CHAT, b"last"));
    town.act(A, |hub, cx| hub.close(cx, ours, 0, ""));
    town.run_for(2 * SECOND);
    assert_eq!(town.messages(B).count(), 1);
    assert_eq!((town.here(A), town.here(B)), (0, 0));
}

#[test]
fn an_upgrade_that_is_removed_leaves_its_sessions_relayed() {
    let mut town = Town::new(11, [false, true]);
    let [ours, theirs] = town.meet(&channels(), PathPolicy::PreferDirect);
    assert_eq!(town.explain(B, theirs).not_direct, Some(NotDirect::NotTried(Side::There)));
    town.upgrade(A);
    town.run_for(SECOND);
    assert!(town.is_direct(A, ours));
    town.upgrade(A);
    town.run_for(SECOND);
    assert!(town.is_direct(A, ours), "by its successor");
    assert_eq!((town.here(A), town.here(B)), (1, 1));
}

#[test]
fn a_side_with_as_many_peers_as_allowed_says_so() {
    let (mut town, _) = Town::met(12, &channels());
    town.nodes[B].dials.most.store(1, std::sync::atomic::Ordering::Relaxed);
    let [ours, theirs] = town.meet(&channels(), PathPolicy::PreferDirect);
    assert_eq!(town.explain(A, ours).not_direct, Some(NotDirect::TooManyPeers(Side::There)));
    assert_eq!(town.explain(B, theirs).not_direct, Some(NotDirect::TooManyPeers(Side::Here)));
}

#[test]
fn what_a_relay_hands_out_reaches_the_upgrade_whichever_comes_first() {
    let mut town = Town::new(13, [true, false]);
    let servers = |town: &Town, node: usize| town.nodes[node].dials.servers.lock().unwrap().clone();
    assert_eq!(servers(&town, A), ["turn:relay.test"]);
    assert!(servers(&town, B).is_empty());
    town.upgrade(B);
    town.run_for(SECOND);
    assert_eq!(servers(&town, B), ["turn:relay.test"]);
}
