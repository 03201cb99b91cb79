//! Messages that are given up, and the peer's window.

use super::super::super::config::{Agreed, Config, Reliability};
use super::super::super::congestion::Congestion;
use super::super::{Head, Outbound};
use super::harness::{
    FIRST, ORDERED, PATH, Path, UNORDERED, World, agreed, at, chunks, drain, forward, ms, sack, started,
};
use crate::machine::time::Instant;

const WINDOW: u32 = 1 << 20;
const ONCE: Head = Head { reliability: Reliability::MaxRetransmits(0), ..ORDERED };
const BRIEF: Head = Head { reliability: Reliability::MaxLifetime(ms(100)), ..ORDERED };

fn unpaced() -> Config {
    Config { congestion: Congestion::Reno, ..Config::default() }
}

/// The first FORWARD-TSN that may leave now: its distance from the first TSN, and what it lists.
fn forward_now(outbound: &mut Outbound, now: Instant) -> Option<(u32, Vec<(u16, u32)>)> {
    let packets = drain(outbound, now);
    let (cumulative, list) = packets.iter().find_map(|packet| forward(packet))?;
    Some((cumulative.since(FIRST), list))
}

#[test]
fn a_message_without_retransmissions_is_skipped_when_it_is_lost() {
    let mut outbound = started(&unpaced());
    for _ in 0..5 {
        outbound.write(at(0), 3, ONCE, &[0; 1_100]);
    }
    drain(&mut outbound, at(0));
    sack(&mut outbound, at(50), FIRST.previous(), WINDOW, &[(2, 5)], &[]).unwrap();
    assert_eq!(forward_now(&mut outbound, at(50)), Some((0, vec![(3, 0)])));
    assert!(!outbound.is_due(at(50)), "once is enough for now");
    sack(&mut outbound, at(100), FIRST.add(4), WINDOW, &[], &[]).unwrap();
    let counts = outbound.statistics();
    assert!(outbound.is_idle());
    assert_eq!((counts.abandoned, counts.retransmitted, counts.forwards, counts.spurious), (1, 0, 1, 0));
}

#[test]
fn a_count_of_retransmissions_is_kept() {
    let mut outbound = started(&unpaced());
    outbound.write(at(0), 0, Head { reliability: Reliability::MaxRetransmits(2), ..ORDERED }, b"x");
    drain(&mut outbound, at(0));
    for time in [500, 1_500] {
        outbound.on_timeout(at(time));
        assert_eq!(chunks(&drain(&mut outbound, at(time))[0]).len(), 1);
    }
    outbound.on_timeout(at(3_500));
    assert_eq!(forward_now(&mut outbound, at(3_500)), Some((0, vec![(0, 0)])));
}

#[test]
fn a_skip_is_repeated_until_it_is_acknowledged() {
    let mut outbound = started(&unpaced());
    outbound.write(at(0), 0, ONCE, b"x");
    drain(&mut outbound, at(0));
    outbound.on_timeout(at(500));
    for _ in 0..5 {
        let now = outbound.deadline().unwrap().at;
        assert!(drain(&mut outbound, at(500)).len() <= 1);
        outbound.on_timeout(now);
        assert_eq!(forward_now(&mut outbound, now), Some((0, vec![(0, 0)])));
    }
    sack(&mut outbound, at(60_000), FIRST, WINDOW, &[], &[]).unwrap();
    assert!(outbound.is_idle() && outbound.deadline().is_none());
}

#[test]
fn a_skip_that_the_peer_does_not_follow_is_repeated_without_waiting_for_the_timer() {
    let mut outbound = started(&unpaced());
    for _ in 0..5 {
        outbound.write(at(0), 0, ONCE, &[0; 1_100]);
    }
    drain(&mut outbound, at(0));
    sack(&mut outbound, at(50), FIRST.previous(), WINDOW, &[(2, 5)], &[]).unwrap();
    assert!(forward_now(&mut outbound, at(50)).is_some());
    sack(&mut outbound, at(60), FIRST.previous(), WINDOW, &[(2, 5)], &[]).unwrap();
    assert!(forward_now(&mut outbound, at(60)).is_none());
    sack(&mut outbound, at(120), FIRST.previous(), WINDOW, &[(2, 5)], &[]).unwrap();
    assert!(forward_now(&mut outbound, at(120)).is_some());
}

#[test]
fn queued_messages_expire_by_a_timer_and_leave_no_trace() {
    let mut outbound = started(&unpaced());
    sack(&mut outbound, at(0), FIRST.previous(), 0, &[], &[]).unwrap();
    outbound.write(at(0), 0, BRIEF, b"first");
    outbound.write(at(10), 0, BRIEF, b"second");
    outbound.write(at(10), 0, ORDERED, b"third");
    let deadline = outbound.deadline().unwrap();
    assert_eq!((deadline.at, deadline.why), (at(100), "SCTP message lifetime"));
    outbound.on_timeout(at(100));
    assert_eq!((outbound.buffered(0), outbound.statistics().held), (11, 11));
    outbound.on_timeout(at(110));
    assert_eq!((outbound.buffered(0), outbound.statistics().abandoned), (5, 2));
    sack(&mut outbound, at(110), FIRST.previous(), WINDOW, &[], &[]).unwrap();
    let got = chunks(&drain(&mut outbound, at(110))[0]);
    assert_eq!((got.len(), got[0].message, &got[0].payload[..]), (1, 0, &b"third"[..]));
}

#[test]
fn a_message_that_expires_within_a_queue_is_passed_over() {
    let mut outbound = started(&unpaced());
    sack(&mut outbound, at(0), FIRST.previous(), 0, &[], &[]).unwrap();
    outbound.write(at(0), 0, ORDERED, b"first");
    outbound.write(at(0), 0, BRIEF, b"second");
    outbound.write(at(0), 0, ORDERED, b"third");
    outbound.on_timeout(at(100));
    sack(&mut outbound, at(110), FIRST.previous(), WINDOW, &[], &[]).unwrap();
    let got = chunks(&drain(&mut outbound, at(110))[0]);
    assert_eq!(got.iter().map(|got| (got.message, got.payload.len())).collect::<Vec<_>>(), [(0, 5), (1, 5)]);
}

#[test]
fn a_message_given_up_half_sent_gets_an_end_that_is_skipped() {
    let mut outbound = started(&unpaced());
    outbound.write(at(0), 0, BRIEF, &[0; 50_000]);
    outbound.write(at(0), 0, ORDERED, b"next");
    let sent = drain(&mut outbound, at(0)).len() as u32;
    sack(&mut outbound, at(50), FIRST.add(sent - 1), 0, &[], &[]).unwrap();
    assert!(drain(&mut outbound, at(50)).is_empty() && outbound.buffered(0) > 20_000);

    outbound.on_timeout(at(100));

    assert_eq!(outbound.buffered(0), 4);
    assert_eq!(forward_now(&mut outbound, at(100)), Some((sent, vec![(0, 0)])));
    sack(&mut outbound, at(150), FIRST.add(sent), WINDOW, &[], &[]).unwrap();
    let got = chunks(&drain(&mut outbound, at(150))[0]);
    assert_eq!((got[0].tsn, got[0].message, got[0].is_begin), (FIRST.add(sent + 1), 1, true));
    sack(&mut outbound, at(200), FIRST.add(sent + 1), WINDOW, &[], &[]).unwrap();
    assert!(outbound.is_idle());
    assert_eq!(outbound.statistics().held, 0);
}

#[test]
fn skipped_unordered_messages_are_listed_with_i_data_alone() {
    for (is_interleaved, listed) in [(false, vec![]), (true, vec![(0, 0)])] {
        let mut outbound = Outbound::new(&unpaced(), FIRST);
        outbound.start(at(0), WINDOW, Agreed { is_interleaved, ..agreed() });
        outbound.write(at(0), 0, Head { reliability: Reliability::MaxRetransmits(0), ..UNORDERED }, b"x");
        drain(&mut outbound, at(0));
        outbound.on_timeout(at(500));
        assert_eq!(forward_now(&mut outbound, at(500)), Some((0, listed)));
    }
}

#[test]
fn skips_on_many_streams_go_in_parts() {
    let mut outbound = started(&unpaced());
    for stream in 0..150 {
        outbound.write(at(0), stream, ONCE, b"x");
    }
    drain(&mut outbound, at(0));
    outbound.on_timeout(at(500));
    outbound.on_timeout(at(1_500));
    outbound.on_timeout(at(3_500));
    let mut next = 0;
    for (count, expected) in [(0, 61), (1, 61), (2, 28)] {
        let now = at(4_000 + 100 * count);
        let (last, list) = forward_now(&mut outbound, now).unwrap();
        let streams: Vec<u16> = list.iter().map(|(stream, _)| *stream).collect();
        assert_eq!(streams, (next..next + expected).collect::<Vec<_>>());
        next += expected;
        assert_eq!(last + 1, u32::from(next));
        sack(&mut outbound, now + ms(50), FIRST.add(last), WINDOW, &[], &[]).unwrap();
    }
    assert!(outbound.is_idle());
}

#[test]
fn the_longest_list_of_skips_fits_the_least_packet() {
    let mut outbound = Outbound::new(&unpaced(), FIRST);
    outbound.start(at(0), WINDOW, Agreed { is_interleaved: true, ..agreed() });
    for stream in 0..150 {
        outbound.write(at(0), stream, ONCE, b"x");
    }
    drain(&mut outbound, at(0));
    outbound.set_packet(512);
    outbound.on_timeout(at(500));
    outbound.on_timeout(at(1_500));
    outbound.on_timeout(at(3_500));
    assert_eq!(forward_now(&mut outbound, at(4_000)).map(|(_, list)| list.len()), Some(61));
}

#[test]
fn the_point_passes_whole_messages_that_arrived_but_no_fragments() {
    let mut outbound = started(&unpaced());
    for (head, len) in
        [(ONCE, 1_100), (ORDERED, 1_100), (ONCE, 1_100), (ORDERED, 2_200), (ONCE, 1_100), (ORDERED, 4_400)]
    {
        outbound.write(at(0), 0, head, &vec![0; len]);
    }
    assert_eq!(drain(&mut outbound, at(0)).len(), 10);
    sack(&mut outbound, at(50), FIRST.previous(), WINDOW, &[(2, 2), (4, 4), (7, 10)], &[]).unwrap();
    let (last, list) = forward_now(&mut outbound, at(50)).unwrap();
    assert_eq!((last, list), (2, vec![(0, 2)]));
}

#[test]
fn lifetimes_of_messages_long_gone_do_not_pile_up() {
    let mut outbound = started(&unpaced());
    let head = Head { reliability: Reliability::MaxLifetime(ms(3_600_000)), ..ORDERED };
    for number in 0..10_000 {
        assert!(outbound.write(at(number), 0, head, b"x"));
        drain(&mut outbound, at(number));
        sack(&mut outbound, at(number), FIRST.add(number as u32), WINDOW, &[], &[]).unwrap();
    }
    assert!(outbound.partial.expected() < 100);
}

#[test]
fn a_closed_window_is_asked_about_ever_more_rarely() {
    let mut outbound = started(&unpaced());
    sack(&mut outbound, at(0), FIRST.previous(), 0, &[], &[]).unwrap();
    outbound.write(at(0), 0, ORDERED, &[0; 5_000]);
    assert!(!outbound.is_due(at(0)));
    let mut asked = Vec::new();
    let mut next = FIRST;
    for _ in 0..6 {
        let deadline = outbound.deadline().unwrap();
        assert_eq!(deadline.why, "SCTP window probe");
        assert!(!outbound.on_timeout(deadline.at));
        let packets = drain(&mut outbound, deadline.at);
        assert_eq!((packets.len(), chunks(&packets[0]).len(), chunks(&packets[0])[0].payload.len()), (1, 1, 256));
        asked.push(deadline.at.as_nanos() / 1_000_000);
        sack(&mut outbound, deadline.at + ms(50), next, 0, &[], &[]).unwrap();
        next = next.next();
    }
    assert!(asked[1..].windows(3).all(|three| three[2] - three[1] > (three[1] - three[0]) * 3 / 2), "{asked:?}");
    sack(&mut outbound, at(100_000), next.previous(), 3_000, &[], &[]).unwrap();
    assert_eq!(drain(&mut outbound, at(100_000)).len(), 2, "a third packet would not be full");
}

#[test]
fn a_window_shrunk_below_what_is_under_way_stops_new_data_only() {
    let mut outbound = started(&unpaced());
    for _ in 0..20 {
        outbound.write(at(0), 0, ORDERED, &[0; 1_100]);
    }
    drain(&mut outbound, at(0));
    sack(&mut outbound, at(50), FIRST, 2_000, &[(2, 4)], &[]).unwrap();
    let again = drain(&mut outbound, at(50));
    assert_eq!(chunks(&again[0])[0].tsn, FIRST.add(1));
    assert_eq!(again.len(), 1);
    let last = outbound.next_tsn().previous();
    sack(&mut outbound, at(100), last, 2_000, &[], &[]).unwrap();
    let new: usize = drain(&mut outbound, at(100)).iter().flat_map(|p| chunks(p)).map(|got| got.payload.len()).sum();
    assert!((1..=2_000).contains(&new));
}

#[test]
fn a_small_window_is_filled_exactly_when_nothing_is_under_way() {
    let mut outbound = started(&unpaced());
    sack(&mut outbound, at(0), FIRST.previous(), 700, &[], &[]).unwrap();
    outbound.write(at(0), 0, ORDERED, &[0; 5_000]);
    let packets = drain(&mut outbound, at(0));
    assert_eq!((packets.len(), chunks(&packets[0])[0].payload.len()), (1, 700));
    assert!(!outbound.is_due(at(0)));
}

#[test]
fn without_interleaving_no_two_messages_under_way_are_half_of_all_numbers_apart() {
    for (is_interleaved, most) in [(false, 32_767), (true, 40_000)] {
        let mut outbound = Outbound::new(&Config { send_bound: 4 << 20, ..unpaced() }, FIRST);
        outbound.start(at(0), WINDOW, Agreed { is_interleaved, ..agreed() });
        outbound.set_packet(60_000);
        for _ in 0..40_000 {
            assert!(outbound.write(at(0), 0, ORDERED, b"x"));
        }
        for round in 0..20 {
            drain(&mut outbound, at(round));
            let sent = outbound.next_tsn().since(FIRST) as u16;
            sack(&mut outbound, at(round), FIRST.previous(), WINDOW, &[(2, sent)], &[]).unwrap();
        }
        assert_eq!(outbound.next_tsn().since(FIRST), most);
    }
}

#[test]
fn windows_smaller_than_a_message_pass_it_all_the_same() {
    for window in [1, 300, 1_200, 5_000] {
        let mut world = World::new(&Config::default(), agreed(), Path { loss: 0.05, ..PATH }, 5);
        world.receiver.window = window;
        world.sender.start(at(0), window, agreed());
        assert!(world.write(0, ORDERED, &[9; 20_000]));
        world.settle();
        assert_eq!(world.receiver.messages(false)[0].3.len(), 20_000);
    }
}
