//! What follows from calls of a WebRTC transport that stands alone.

use std::time::Duration;

use switchboard::machine::limits::Limits;
use switchboard::sim::{HostId, World};
use switchboard::stack::peer::ChannelSpec;
use switchboard::transport::alone::Alone;
use switchboard::transport::upgrade::{PeerEvent, Upgrade as _};
use switchboard::transport::webrtc::{Webrtc, WebrtcConfig};
use switchboard::wire::letter::Letter;
use switchboard::wire::sdp::Description;
use switchboard::wire::signal::{DescriptionKind, Signal};

use crate::party::epoch;

type Lonely = World<Alone<Webrtc>>;

#[test]
fn a_peer_describes_itself_at_once_even_if_nothing_comes_from_the_network() {
    let (mut world, host) = alone();
    world.act(host, |alone, cx| alone.transport_mut().connect(cx, true)).unwrap();
    letter(&mut world, host, Duration::from_secs(1)).expect("the first peer's offer");
    world.run_for(Duration::from_secs(5)).unwrap();
    world.act(host, |alone, cx| alone.transport_mut().connect(cx, true)).unwrap();
    let (_, offer) = letter(&mut world, host, Duration::from_millis(1)).expect("the second peer's offer");
    let peer = world.act(host, |alone, cx| alone.transport_mut().connect(cx, false)).unwrap();
    let signal = Signal::Description { attempt: 0, kind: DescriptionKind::Offer, sdp: &offer.to_sdp(1, 1) };
    world.act(host, |alone, cx| alone.transport_mut().signal(cx, peer, &signal));
    let (kind, _) = letter(&mut world, host, Duration::from_millis(1)).expect("the third peer's answer");
    assert_eq!(kind, DescriptionKind::Answer);
}

#[test]
fn one_whole_description_each_way_is_enough_to_connect() {
    let mut world = World::new(2);
    let hosts = ["ada", "bob"].map(|name| {
        let webrtc = Webrtc::new(WebrtcConfig::new(world.crypto(epoch())));
        world.host(name, Alone::new(webrtc, Limits::default()))
    });
    let peers = [(hosts[0], true), (hosts[1], false)].map(|(host, offers)| {
        world.act(host, |alone, cx| {
            let peer = alone.transport_mut().connect(cx, offers).unwrap();
            let spec = ChannelSpec { label: "talk".into(), ordered: true, max_retransmits: None, negotiated: Some(0) };
            assert!(alone.transport_mut().open_channel(cx, peer, spec));
            peer
        })
    });
    for (from, to) in [(0, 1), (1, 0)] {
        let (kind, description) = letter(&mut world, hosts[from], Duration::from_secs(1)).unwrap();
        let signal = Signal::Description { attempt: 0, kind, sdp: &description.to_sdp(1, 1) };
        world.act(hosts[to], |alone, cx| alone.transport_mut().signal(cx, peers[to], &signal));
    }
    world.run_for(Duration::from_secs(1)).unwrap();
    for host in hosts {
        assert_eq!(world.act(host, |alone, _| alone.links().count()), 1, "the channel of both is open");
    }
}

fn alone() -> (Lonely, HostId) {
    let mut world = World::new(1);
    let webrtc = Webrtc::new(WebrtcConfig::new(world.crypto(epoch())));
    let host = world.host("ada", Alone::new(webrtc, Limits::default()));
    (world, host)
}

/// The whole description that comes within that time.
fn letter(world: &mut Lonely, host: HostId, within: Duration) -> Option<(DescriptionKind, Description)> {
    let mut letter = Letter::new();
    let until = world.now() + within;
    loop {
        while let Some((_, event)) = world.act(host, |alone, cx| alone.transport_mut().poll_peer(cx)) {
            let PeerEvent::Signal(bytes) = event else { continue };
            if let Some(whole) = letter.add(&Signal::decode(&bytes, usize::MAX).unwrap()) {
                return Some(whole);
            }
        }
        if world.now() >= until {
            return None;
        }
        world.run_for(Duration::from_millis(1)).unwrap();
    }
}
