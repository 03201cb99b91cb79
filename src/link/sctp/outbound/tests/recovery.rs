//! Losses, timeouts, round trips, and acknowledgements that are not what they should be.

use std::time::Duration;

use super::super::super::config::{Config, Rto};
use super::super::super::congestion::Congestion;
use super::super::super::error::Broken;
use super::super::Outbound;
use super::harness::{FIRST, ORDERED, PATH, Path, World, agreed, at, chunks, drain, ms, sack, started};
use crate::wire::sctp::Tsn;

const WINDOW: u32 = 1 << 20;

/// Clocked by acknowledgements, so that all packets that the window allows leave at once.
fn unpaced() -> Config {
    Config { congestion: Congestion::Reno, ..Config::default() }
}

/// So many packets of one chunk each are under way since 0 ms.
fn with_packets(count: u32) -> Outbound {
    let mut outbound = started(&unpaced());
    for _ in 0..count {
        assert!(outbound.write(at(0), 0, ORDERED, &[0; 1_100]));
    }
    assert_eq!(drain(&mut outbound, at(0)).len(), count as usize);
    outbound
}

fn tsns(packets: &[Vec<u8>]) -> Vec<u32> {
    packets.iter().flat_map(|packet| chunks(packet)).map(|got| got.tsn.since(FIRST)).collect()
}

#[test]
fn a_packet_is_sent_again_when_one_three_later_is_acknowledged() {
    let mut outbound = with_packets(5);
    sack(&mut outbound, at(50), FIRST.previous(), WINDOW, &[(2, 3)], &[]).unwrap();
    assert!(drain(&mut outbound, at(50)).is_empty());
    sack(&mut outbound, at(50), FIRST.previous(), WINDOW, &[(2, 4)], &[]).unwrap();
    assert_eq!(tsns(&drain(&mut outbound, at(50))), [0]);
    let counts = outbound.statistics();
    assert_eq!((counts.lost, counts.retransmitted, counts.timeouts), (1, 1, 0));
}

#[test]
fn a_packet_is_sent_again_an_eighth_of_a_round_trip_after_a_later_one_is_acknowledged() {
    let mut outbound = with_packets(2);
    sack(&mut outbound, at(80), FIRST.previous(), WINDOW, &[(2, 2)], &[]).unwrap();
    let deadline = outbound.deadline().unwrap();
    assert_eq!((deadline.at, deadline.why), (at(90), "SCTP loss detection"));
    assert!(!outbound.on_timeout(at(89)) && !outbound.is_due(at(89)));
    assert!(!outbound.on_timeout(at(90)), "that is no timeout of T3");
    assert_eq!(tsns(&drain(&mut outbound, at(90))), [0]);
}

#[test]
fn what_lies_beyond_the_report_is_not_lost_by_later_packets() {
    let mut outbound = with_packets(10);
    sack(&mut outbound, at(50), FIRST.previous(), WINDOW, &[(4, 4)], &[]).unwrap();
    assert_eq!(tsns(&drain(&mut outbound, at(50))), [0]);

    sack(&mut outbound, at(100), FIRST.add(3), WINDOW, &[], &[]).unwrap();

    assert!(drain(&mut outbound, at(100)).is_empty());
    assert_eq!((outbound.statistics().lost, outbound.statistics().flight), (1, 6 * 1_116));
}

#[test]
fn what_is_sent_again_does_not_wait_for_the_congestion_window() {
    let mut outbound = with_packets(11);
    for _ in 0..10 {
        outbound.write(at(0), 0, ORDERED, &[0; 1_100]);
    }
    assert!(!outbound.is_due(at(0)), "the window is full");
    sack(&mut outbound, at(50), FIRST.previous(), WINDOW, &[(5, 5)], &[]).unwrap();
    let counts = outbound.statistics();
    assert!(counts.flight > counts.congestion.window);
    assert_eq!(tsns(&drain(&mut outbound, at(50))), [0, 1]);
}

#[test]
fn the_timer_asks_twice_and_then_takes_all_for_lost() {
    let mut outbound = with_packets(6);
    let mut now = at(0);
    for (wait, resent) in [(500, &[0][..]), (1_000, &[0]), (2_000, &[0, 1]), (4_000, &[])] {
        let deadline = outbound.deadline().unwrap();
        assert_eq!((deadline.at, deadline.why), (now + ms(wait), "SCTP retransmission timeout"));
        now = deadline.at;
        assert!(outbound.on_timeout(now));
        let packets = drain(&mut outbound, now);
        assert!(tsns(&packets).starts_with(resent), "{:?}", tsns(&packets));
    }
    assert_eq!((outbound.statistics().timeouts, outbound.rto()), (4, ms(8_000)));

    sack(&mut outbound, now + ms(1), FIRST.add(5), WINDOW, &[], &[]).unwrap();

    assert!(outbound.is_idle() && outbound.deadline().is_none());
    assert_eq!((outbound.rtt(), outbound.rto()), (None, ms(500)), "no round trip is taken from what was sent twice");
}

#[test]
fn what_is_taken_for_lost_as_a_whole_comes_back_within_the_congestion_window() {
    let mut outbound = with_packets(10);
    let (mut now, mut resent) = (at(0), Vec::new());
    for _ in 0..3 {
        now = outbound.deadline().unwrap().at;
        outbound.on_timeout(now);
        resent.push(tsns(&drain(&mut outbound, now)));
    }
    assert_eq!(resent, [vec![0], vec![0], vec![0, 1]], "a window of one packet, filled up");
    sack(&mut outbound, now + ms(50), FIRST.add(1), WINDOW, &[], &[]).unwrap();
    let more = drain(&mut outbound, now + ms(50)).len();
    assert!((2..=4).contains(&more), "{more}");
}

#[test]
fn the_timeout_stays_within_its_bounds() {
    let rto = Rto { initial: ms(300), min: ms(200), max: ms(900) };
    let mut outbound = started(&Config { rto, ..unpaced() });
    outbound.write(at(0), 0, ORDERED, b"x");
    drain(&mut outbound, at(0));
    assert_eq!(outbound.rto(), ms(300));
    outbound.on_timeout(at(300));
    outbound.on_timeout(at(900));
    assert_eq!(outbound.rto(), ms(900));
    drain(&mut outbound, at(900));
    outbound.write(at(901), 0, ORDERED, b"x");
    drain(&mut outbound, at(901));
    sack(&mut outbound, at(911), FIRST.add(1), WINDOW, &[], &[]).unwrap();
    assert_eq!((outbound.rtt(), outbound.rto()), (Some(ms(10)), ms(200)));
}

#[test]
fn a_timeout_speaks_against_the_peer_unless_it_keeps_its_window_closed_and_says_so() {
    let mut outbound = with_packets(1);
    sack(&mut outbound, at(10), FIRST.previous(), 0, &[], &[]).unwrap();
    assert!(!outbound.on_timeout(at(500)));
    assert!(outbound.on_timeout(at(1_500)), "it has said nothing since");
}

#[test]
fn an_acknowledgement_too_soon_after_the_repetition_takes_the_loss_back() {
    let mut outbound = with_packets(5);
    sack(&mut outbound, at(50), FIRST.previous(), WINDOW, &[(2, 4)], &[]).unwrap();
    drain(&mut outbound, at(50));
    sack(&mut outbound, at(51), FIRST.add(3), WINDOW, &[], &[]).unwrap();
    let counts = outbound.statistics();
    assert_eq!((counts.lost, counts.spurious, counts.congestion.spurious), (1, 1, 1));
    assert_eq!(outbound.rtt(), Some(ms(50)), "no round trip of a millisecond");

    for _ in 0..6 {
        outbound.write(at(100), 0, ORDERED, &[0; 1_100]);
    }
    drain(&mut outbound, at(100));
    sack(&mut outbound, at(150), FIRST.add(4), WINDOW, &[(2, 4)], &[]).unwrap();
    assert_eq!(outbound.statistics().lost, 1, "more patience now");
}

#[test]
fn a_chunk_that_comes_after_it_was_declared_lost_takes_the_loss_back() {
    let mut outbound = with_packets(5);
    sack(&mut outbound, at(50), FIRST.previous(), WINDOW, &[(2, 4)], &[]).unwrap();
    sack(&mut outbound, at(51), FIRST.add(4), WINDOW, &[], &[]).unwrap();
    assert!(drain(&mut outbound, at(51)).is_empty() && outbound.is_idle());
    assert_eq!((outbound.statistics().spurious, outbound.statistics().flight), (1, 0));
}

#[test]
fn a_duplicate_that_the_peer_reports_takes_the_loss_back_once() {
    let mut outbound = with_packets(5);
    sack(&mut outbound, at(50), FIRST.previous(), WINDOW, &[(2, 4)], &[]).unwrap();
    drain(&mut outbound, at(50));
    sack(&mut outbound, at(100), FIRST.add(4), WINDOW, &[], &[]).unwrap();
    assert_eq!(outbound.statistics().spurious, 0);
    for _ in 0..3 {
        sack(&mut outbound, at(101), FIRST.add(4), WINDOW, &[], &[FIRST, FIRST.add(9)]).unwrap();
    }
    assert_eq!((outbound.statistics().spurious, outbound.statistics().duplicates), (1, 6));
}

#[test]
fn what_a_peer_throws_away_again_is_sent_again_by_the_timer() {
    let mut outbound = with_packets(3);
    sack(&mut outbound, at(50), FIRST.previous(), WINDOW, &[(2, 3)], &[]).unwrap();
    sack(&mut outbound, at(60), FIRST, WINDOW, &[], &[]).unwrap();
    assert_eq!(outbound.statistics().reneged, 2);
    let deadline = outbound.deadline().unwrap();
    assert_eq!(deadline.why, "SCTP retransmission timeout");
    assert!(outbound.on_timeout(deadline.at));
    assert_eq!(tsns(&drain(&mut outbound, deadline.at)), [1, 2]);
    sack(&mut outbound, deadline.at + ms(50), FIRST.add(2), WINDOW, &[], &[]).unwrap();
    assert!(outbound.is_idle() && outbound.deadline().is_none());
}

#[test]
fn a_sack_that_was_overtaken_does_no_harm() {
    let mut outbound = with_packets(4);
    sack(&mut outbound, at(50), FIRST.previous(), WINDOW, &[(2, 2), (4, 4)], &[]).unwrap();
    sack(&mut outbound, at(50), FIRST.previous(), WINDOW, &[(2, 2)], &[]).unwrap();
    assert_eq!(outbound.statistics().reneged, 0, "the first report may have been cut short");
    sack(&mut outbound, at(51), FIRST.add(3), WINDOW, &[], &[]).unwrap();
    sack(&mut outbound, at(51), FIRST.add(1), 17, &[(2, 2)], &[]).unwrap();
    let counts = outbound.statistics();
    assert_eq!((counts.old_sacks, counts.peer_window), (1, WINDOW as usize));
}

#[test]
fn who_acknowledges_what_was_never_sent_breaks_the_rules() {
    let mut outbound = with_packets(3);
    let unsent = Err(Broken::AcknowledgedUnsent);
    assert_eq!(sack(&mut outbound, at(50), FIRST.add(3), WINDOW, &[], &[]), unsent);
    assert_eq!(sack(&mut outbound, at(50), FIRST, WINDOW, &[(2, 3)], &[]), unsent);
    assert_eq!(sack(&mut outbound, at(50), FIRST.previous(), WINDOW, &[(1, 1), (65_000, 65_535)], &[]), unsent);
    assert_eq!(outbound.on_cumulative(at(50), FIRST.add(1 << 30)), unsent);
    assert_eq!((outbound.statistics().held, outbound.statistics().flight), (3_300, 3 * 1_116));
    assert_eq!(sack(&mut outbound, at(50), FIRST.add(2), WINDOW, &[], &[]), Ok(()));
}

#[test]
fn a_shutdown_acknowledges_as_well() {
    let mut outbound = with_packets(3);
    outbound.on_cumulative(at(50), FIRST.add(2)).unwrap();
    outbound.on_cumulative(at(50), FIRST).unwrap();
    assert!(outbound.is_idle());
}

#[test]
fn gap_blocks_out_of_order_are_passed_over() {
    let mut outbound = with_packets(8);
    let gaps = [(6, 8), (2, 3), (7, 8), (5, 8)];
    sack(&mut outbound, at(50), FIRST.previous(), WINDOW, &gaps, &[]).unwrap();
    assert_eq!((outbound.statistics().strange_blocks, outbound.statistics().flight), (3, 0));
    assert_eq!(tsns(&drain(&mut outbound, at(50))), [0, 1, 2, 3, 4]);
}

#[test]
fn a_first_chunk_that_only_gap_blocks_acknowledge_is_sent_again() {
    let mut outbound = with_packets(2);
    sack(&mut outbound, at(50), FIRST.previous(), WINDOW, &[(1, 2)], &[]).unwrap();
    let deadline = outbound.deadline().unwrap().at;
    outbound.on_timeout(deadline);
    assert_eq!(tsns(&drain(&mut outbound, deadline)), [0]);
    sack(&mut outbound, deadline + ms(50), FIRST.add(1), WINDOW, &[], &[]).unwrap();
    assert!(outbound.is_idle());
}

#[test]
fn a_report_cut_short_gives_no_round_trip_to_the_next() {
    let mut outbound = started(&unpaced());
    for _ in 0..100 {
        outbound.write(at(0), 0, ORDERED, &[0; 100]);
    }
    drain(&mut outbound, at(0));
    let gaps: Vec<(u16, u16)> = (1..=20).map(|i| (2 * i, 2 * i)).collect();
    sack(&mut outbound, at(50), FIRST.previous(), WINDOW, &gaps, &[]).unwrap();
    sack(&mut outbound, at(90), FIRST.add(60), WINDOW, &[], &[]).unwrap();
    assert_eq!(outbound.rtt(), Some(ms(50)));
}

#[test]
fn another_path_is_measured_anew() {
    let mut outbound = with_packets(1);
    sack(&mut outbound, at(50), FIRST, WINDOW, &[], &[]).unwrap();
    outbound.on_path(at(60), None);
    assert_eq!((outbound.rtt(), outbound.rto()), (None, ms(500)));
    assert_eq!(
        outbound.statistics().congestion.window,
        Outbound::new(&unpaced(), Tsn(0)).statistics().congestion.window
    );
}

#[test]
fn a_round_trip_measured_by_others_bounds_the_first_timeout_and_no_more() {
    let mut outbound = with_packets(1);
    for (checked, timeout) in [(40, 140), (1, 100), (10_000, 500)] {
        outbound.on_path(at(60), Some(ms(checked)));
        assert_eq!((outbound.rtt(), outbound.rto()), (None, ms(timeout)), "{checked} ms");
    }
}

#[test]
fn chunks_cut_for_larger_packets_ask_for_them() {
    let mut outbound = with_packets(1);
    assert_eq!(outbound.needed(), 1_160);
    outbound.set_packet(600);
    assert_eq!(outbound.needed(), 600);
    outbound.on_timeout(at(500));
    assert_eq!(outbound.needed(), 1_128);
    assert_eq!(drain(&mut outbound, at(500)).len(), 1);
    outbound.write(at(500), 0, ORDERED, &[0; 1_100]);
    assert!(drain(&mut outbound, at(500)).iter().all(|packet| packet.len() <= 600));
}

#[test]
fn a_lossy_path_is_kept_going_by_loss_detection_and_hardly_by_timeouts() {
    let mut world = World::new(&unpaced(), agreed(), Path { loss: 0.05, delay: ms(25), ..PATH }, 3);
    let mut left = 2_000;
    while left > 0 || !world.sender.is_idle() {
        while left > 0 && world.write(0, ORDERED, &[left as u8; 1_000]) {
            left -= 1;
        }
        assert!(world.step(at(1_000_000)));
    }
    let counts = world.sender.statistics();
    assert!(counts.lost > 50 && counts.timeouts < 20, "{counts:?}");
    assert_eq!(counts.spurious, 0);
}

#[test]
fn reordering_teaches_patience() {
    let mut world = World::new(&Config::default(), agreed(), Path { jitter: ms(15), ..PATH }, 3);
    let mut left = 3_000;
    let mut halfway = None;
    while left > 0 || !world.sender.is_idle() {
        while left > 0 && world.write(0, ORDERED, &[left as u8; 1_000]) {
            left -= 1;
        }
        if left < 1_500 {
            halfway.get_or_insert_with(|| world.sender.statistics().lost);
        }
        assert!(world.step(at(1_000_000)));
    }
    let counts = world.sender.statistics();
    let late = counts.lost - halfway.unwrap();
    assert!(counts.spurious > 0 && late < counts.lost / 2, "{late} of {} late", counts.lost);
}

#[test]
fn an_outage_is_survived() {
    let mut world = World::new(&Config::default(), agreed(), PATH, 3);
    for _ in 0..100 {
        world.write(0, ORDERED, &[0; 1_000]);
    }
    world.run(at(30));
    world.is_cut = true;
    world.run(at(5_000));
    assert!(world.expired > 3);
    world.is_cut = false;
    world.settle();
    assert!(world.now - at(5_000) < Duration::from_secs(5), "{}", world.now);
    assert_eq!(world.receiver.messages(false).len(), 100);
}
