//! What follows from calls of a WebRTC transport that stands alone.

use std::time::Duration;

use switchboard::machine::buf::Buf;
use switchboard::machine::limits::Limits;
use switchboard::machine::payload::Kind;
use switchboard::machine::{Fill, Machine as _, Output};
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
    let [ada, bob] = ["ada", "bob"].map(|name| party(&mut world, name));
    connect(&mut world, ada, bob);
    for host in [ada, bob] {
        assert_eq!(world.act(host, |alone, _| alone.links().count()), 1, "the channel of both is open");
    }
}

#[test]
fn an_empty_message_reaches_a_foreign_peer() {
    let mut world = World::new(4);
    let [ada, bob] = ["ada", "bob"].map(|name| party(&mut world, name));
    connect(&mut world, ada, bob);
    world.act(ada, |alone, cx| {
        let link = alone.links().next().unwrap();
        for text in ["", "not empty"] {
            alone.send(cx, link, Kind::Text, text.as_bytes()).unwrap();
        }
    });
    world.run_for(Duration::from_secs(1)).unwrap();
    let heard = world.act(bob, |alone, cx| [alone.recv(cx), alone.recv(cx)].map(|message| message.unwrap().bytes));
    assert_eq!(heard, [b"".to_vec(), b"not empty".to_vec()]);
}

#[test]
fn peers_on_one_socket_send_by_turns() {
    let mut world = World::new(3);
    let [ada, bob, cem] = ["ada", "bob", "cem"].map(|name| party(&mut world, name));
    for host in [bob, cem] {
        connect(&mut world, ada, host);
    }
    let destinations = world.act(ada, |alone, cx| {
        let links: Vec<_> = alone.links().collect();
        for link in links {
            alone.send(cx, link, Kind::Binary, &[7; 10_000]).unwrap();
        }
        let port = std::iter::from_fn(|| Some(alone.poll(cx))).find_map(|output| match output {
            Output::Ready(port) => Some(port),
            Output::Wait(_) => panic!("nothing is ready"),
            _ => None,
        });
        let mut destinations = Vec::new();
        // So little that each fill brings one datagram.
        while let Fill::Datagrams(transmit) = alone.fill(cx, port.unwrap(), &mut Buf::new(1)) {
            destinations.push(transmit.destination);
        }
        destinations
    });
    let (first, second) = (destinations[0], destinations[1]);
    assert_ne!(first, second);
    assert!(destinations.len() >= 6, "{destinations:?}");
    for pair in destinations.chunks_exact(2) {
        assert_eq!(pair, [first, second]);
    }
}

fn party(world: &mut Lonely, name: &str) -> HostId {
    let webrtc = Webrtc::new(WebrtcConfig::new(world.crypto(epoch())));
    world.host(name, Alone::new(webrtc, Limits::default()))
}

/// Has two hosts get a channel.
fn connect(world: &mut Lonely, offers: HostId, answers: HostId) {
    let hosts = [offers, answers];
    let peers = hosts.map(|host| {
        world.act(host, |alone, cx| {
            let peer = alone.transport_mut().connect(cx, host == offers).unwrap();
            let spec = ChannelSpec { label: "talk".into(), ordered: true, max_retransmits: None, negotiated: Some(0) };
            assert!(alone.transport_mut().open_channel(cx, peer, spec));
            peer
        })
    });
    for (from, to) in [(0, 1), (1, 0)] {
        let (kind, description) = letter(world, hosts[from], Duration::from_secs(1)).unwrap();
        let signal = Signal::Description { attempt: 0, kind, sdp: &description.to_sdp(1, 1) };
        world.act(hosts[to], |alone, cx| alone.transport_mut().signal(cx, peers[to], &signal));
    }
    world.run_for(Duration::from_secs(1)).unwrap();
}

fn alone() -> (Lonely, HostId) {
    let mut world = World::new(1);
    let host = party(&mut world, "ada");
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
