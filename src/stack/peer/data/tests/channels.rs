//! Channels that open and close, and what their owner hears of it.

use std::time::Duration;

use super::world::World;
use crate::stack::peer::data::Data;
use crate::stack::peer::engine::{ChannelSpec, EngineConfig, Event, IceState, Partner};
use crate::wire::candidate::{Candidate, CandidateKind};

fn connected(partner: Partner, channels: &[ChannelSpec]) -> World {
    World::connected(1, partner, &Data::association_config(&EngineConfig::new(partner, true)), channels)
}

fn spec(label: &str, negotiated: Option<u16>) -> ChannelSpec {
    ChannelSpec { label: label.to_owned(), ordered: true, max_retransmits: None, negotiated }
}

#[test]
fn a_partner_of_this_library_opens_no_further_channels() {
    let mut world = connected(Partner::Own, &[]);
    let before = world.ends[1].peer.dropped();
    let place = world.with(0, |peer, cx| peer.open_channel(cx, spec("more", None))).unwrap();
    let is_closed = |world: &World| world.ends[0].events.contains(&Event::ChannelClosed(place));
    assert!(world.run_until(Duration::from_secs(5), is_closed), "{:?}", world.ends[0].events);
    assert_eq!((world.ends[1].opened(), world.ends[1].peer.dropped()), (2, before + 1));
    assert!(world.write(0, 0, b"and all else goes on"));
    world.run(Duration::from_secs(1));
    assert_eq!(world.ends[1].heard, [(0, b"and all else goes on".to_vec())]);
}

#[test]
fn a_channel_opened_before_the_end_of_one_is_told_has_the_id_for_itself() {
    let mut world = connected(Partner::Foreign, &[]);
    world.with(0, |peer, cx| peer.open_channel(cx, spec("old", None))).unwrap();
    world.run(Duration::from_secs(1));
    world.with(0, |peer, _| peer.hold(0, true));
    assert!(world.write(1, 0, b"last"));
    world.with(1, |peer, cx| peer.close_channel(cx, 0));
    world.run(Duration::from_secs(1));
    let place = world.with(0, |peer, cx| {
        peer.hold(0, false);
        while peer.poll_message(cx).is_some() {}
        peer.open_channel(cx, spec("new", None))
    });
    let place = place.unwrap();
    world.run(Duration::from_secs(1));
    assert!(world.ends[0].events.contains(&Event::Open(place, "new".to_owned())), "{:?}", world.ends[0].events);
    assert!(world.write(1, 0, b"first") && world.write(0, place, b"first"));
    world.run(Duration::from_secs(1));
    assert_eq!(
        world.ends.each_ref().map(|end| end.heard.last().cloned()),
        [place, 0].map(|n| Some((n, b"first".to_vec())))
    );
}

#[test]
fn a_channel_that_the_association_does_not_open_in_the_end_is_told_as_closed() {
    let config = Data::association_config(&EngineConfig::new(Partner::Foreign, true));
    let mut world = World::new(1, Partner::Foreign, &config);
    for label in ["one", "of the same number"] {
        world.with(0, |peer, cx| peer.open_channel(cx, spec(label, Some(3)))).unwrap();
    }
    world.start(&[]);
    world.run(Duration::from_secs(2));
    let events = &world.ends[0].events;
    assert!(events.contains(&Event::ChannelClosed(1)) && !events.contains(&Event::ChannelClosed(0)), "{events:?}");
    assert!(events.contains(&Event::Open(0, "one".to_owned())), "{events:?}");
}

#[test]
fn a_peer_without_consent_is_not_connected_whatever_else_is_checked() {
    let mut world = connected(Partner::Own, &[]);
    let is_answer = |data: &[u8]| data[..2] == [1, 1];
    world.meddle = Some(Box::new(move |data| if is_answer(&data) { Vec::new() } else { vec![data] }));
    world.run(Duration::from_secs(40));
    assert!(world.ends[0].events.contains(&Event::Ice(IceState::Disconnected)));
    world.ends[0].events.clear();
    let nobody = Candidate::new(CandidateKind::Host, ([192, 0, 2, 77], 7).into(), None);
    world.with(0, |peer, cx| assert!(peer.add_remote(cx, &nobody)));
    world.run(Duration::from_secs(20));
    let is_up = |event: &Event| matches!(event, Event::Ice(IceState::Connected | IceState::Completed));
    assert_eq!(world.ends[0].peer.pair(), None);
    assert!(!world.ends[0].events.iter().any(is_up), "{:?}", world.ends[0].events);
    world.meddle = None;
    assert!(world.run_until(Duration::from_secs(5), |world| world.ends[0].events.iter().any(is_up)));
    assert!(world.ends[0].peer.pair().is_some());
}
