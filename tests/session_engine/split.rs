//! Paths with two lanes: what goes by which, and what that is good for.

use std::time::Duration;

use switchboard::hub::channel::{Channel, ChannelId, Reliability};
use switchboard::machine::limits::Limits;

use super::net::{Net, Quality, RELAYED, SPLIT};

const FILE: ChannelId = ChannelId(1);
const VOICE: ChannelId = ChannelId(2);
const STATE: ChannelId = ChannelId(3);
const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn net(quality: Quality) -> Net {
    let channels = [
        Channel::reliable("file"),
        Channel::reliable("voice").with(Reliability::MaxRetransmits(0)).unordered(),
        Channel::reliable("state").with(Reliability::MaxLifetime(Duration::from_millis(500))),
    ];
    let mut net = Net::new(7, &Limits::default(), &channels);
    net.first_path(SPLIT, quality);
    net.run_for(SECOND);
    net
}

fn carried(net: &Net) -> [usize; 2] {
    net.wires[0].carried
}

fn arrived(net: &Net, channel: ChannelId) -> usize {
    net.received[1].iter().filter(|(_, on, _)| *on == channel).count()
}

#[test]
fn what_must_arrive_goes_by_bulk_and_all_else_by_quick() {
    let mut net = net(Quality::clean(10));
    let before = carried(&net);
    assert!(net.send(0, FILE, &[1; 100_000]));
    net.run_for(SECOND);
    let [bulk, quick] = carried(&net);
    assert!(bulk - before[0] >= 100_000 / 16_384, "{bulk}");
    assert!(quick - before[1] <= 4, "pings and their answers only: {quick} of {before:?}");
    assert!(net.send(0, VOICE, &[2; 5_000]));
    net.run_for(SECOND);
    assert_eq!(carried(&net)[0], bulk);
    assert!(carried(&net)[1] > quick + 5, "five pieces and what acknowledges them");
    assert_eq!((arrived(&net, FILE), arrived(&net, VOICE)), (1, 1));
}

#[test]
fn a_full_bulk_lane_delays_neither_messages_nor_pings_of_the_quick_one() {
    let mut net = net(Quality::clean(10));
    // Packets of the bulk lane stall, as behind a lost datagram.
    net.wires[0].stall_bulk = true;
    assert!(net.send(0, FILE, &[1; 100_000]));
    let sent = net.now;
    assert!(net.send(0, VOICE, b"now"));
    net.run_for(200 * MS);
    let (at, ..) = net.received[1].iter().find(|(_, channel, _)| *channel == VOICE).unwrap();
    assert_eq!(*at - sent, 10 * MS);
    assert_eq!(arrived(&net, FILE), 0);
    net.wires[0].stall_bulk = false;
    let id = net.wires[0].id;
    net.heal(id);
    net.run_for(SECOND);
    assert_eq!(arrived(&net, FILE), 1);
}

#[test]
fn acknowledged_bulk_says_nothing_of_what_flies_by_quick() {
    let mut net = net(Quality::clean(50));
    net.wires[0].quick_delay = 150 * MS;
    for _ in 0..20 {
        assert!(net.send(0, STATE, b"slow but sure"));
        for _ in 0..5 {
            assert!(net.send(0, FILE, &[1; 20_000]));
        }
        net.run_for(100 * MS);
    }
    net.run_for(SECOND);
    assert_eq!((arrived(&net, STATE), arrived(&net, FILE)), (20, 100));
    let statistics = net.ends[0].statistics();
    assert_eq!((statistics.lost, statistics.abandoned), (0, 0), "{statistics:?}");
}

#[test]
fn what_is_lost_by_quick_goes_again_within_the_limits_of_its_channel() {
    let mut net = net(Quality { loss: 0.2, ..Quality::clean(10) });
    for _ in 0..200 {
        assert!(net.send(0, VOICE, b"once") && net.send(0, STATE, b"again"));
        net.run_for(20 * MS);
    }
    net.run_for(2 * SECOND);
    let (once, again) = (arrived(&net, VOICE), arrived(&net, STATE));
    assert!((130..190).contains(&once), "{once} of 200");
    assert!(again >= 195, "{again} of 200");
    assert!(net.ends[0].statistics().runs_resent > 20);
}

#[test]
fn a_split_path_that_dies_loses_nothing_that_must_arrive() {
    for cut in [[true, true], [true, false], [false, true]] {
        let mut net = net(Quality::clean(10));
        let split = net.wires[0].id;
        net.open_path(0, RELAYED, Quality::clean(30));
        net.run_for(SECOND);
        for n in 0..100u32 {
            assert!(net.send(0, FILE, &n.to_be_bytes()));
            if n == 50 {
                net.wire_of(split).cut = cut;
            }
            net.run_for(10 * MS);
        }
        net.run_for(2 * SECOND);
        let numbers: Vec<_> = net.received[1].iter().map(|(_, _, message)| message.clone()).collect();
        let expected: Vec<_> = (0..100u32).map(|n| n.to_be_bytes().to_vec()).collect();
        assert_eq!(numbers, expected, "{cut:?}");
        assert!(net.ends[0].path().is_some_and(|path| !path.direct), "{cut:?}");
        assert_eq!(net.ends[0].statistics().disconnects, 0);
    }
}

#[test]
fn paths_tell_what_they_have_carried_and_lost() {
    let mut net = net(Quality { loss: 0.3, ..Quality::clean(10) });
    for _ in 0..100 {
        assert!(net.send(0, VOICE, &[0; 500]));
        net.run_for(10 * MS);
    }
    net.run_for(SECOND);
    let counts = net.ends[0].paths().next().unwrap();
    assert!(counts.direct && counts.in_use && counts.runs_sent >= 100, "{counts:?}");
    assert!((0.15..0.45).contains(&counts.loss()), "{}", counts.loss());
    assert!(counts.bytes_sent > 50_000 && counts.rtt == Some(20 * MS), "{counts:?}");
    let theirs = net.ends[1].paths().next().unwrap();
    assert!((25_000..45_000).contains(&theirs.bytes_received), "{theirs:?}");
}
