//! What follows from calls of a WebRTC transport that stands alone.

use std::time::Duration;

use switchboard::machine::limits::Limits;
use switchboard::sim::{HostId, World};
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
    world.act(host, |alone, cx| alone.call(cx, |webrtc, cx| webrtc.connect(cx, true))).unwrap();
    letter(&mut world, host, Duration::from_secs(1)).expect("the first peer's offer");
    world.run_for(Duration::from_secs(5)).unwrap();
    world.act(host, |alone, cx| alone.call(cx, |webrtc, cx| webrtc.connect(cx, true))).unwrap();
    let (_, offer) = letter(&mut world, host, Duration::from_millis(1)).expect("the second peer's offer");
    let peer = world.act(host, |alone, cx| alone.call(cx, |webrtc, cx| webrtc.connect(cx, false))).unwrap();
    let signal = Signal::Description { attempt: 0, kind: DescriptionKind::Offer, sdp: &offer.to_sdp(1, 1) };
    world.act(host, |alone, cx| alone.call(cx, |webrtc, cx| webrtc.signal(cx, peer, &signal)));
    let (kind, _) = letter(&mut world, host, Duration::from_millis(1)).expect("the third peer's answer");
    assert_eq!(kind, DescriptionKind::Answer);
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
        while let Some((_, event)) = world.act(host, |alone, cx| alone.call(cx, Webrtc::poll_peer)) {
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
