//! Servers that lie, and floods.

use std::net::SocketAddr;

use switchboard::machine::port::{PortRequest, PortSpec};
use switchboard::sim::HostId;
use switchboard::stack::gather::{ServerError, ServerState};
use switchboard::wire::candidate::CandidateKind::{Host, Relayed, ServerReflexive};
use switchboard::wire::ice_server::IceServer;

use crate::scene::{Liar, Node, SECOND, Scene, turn, with};

fn liar(scene: &mut Scene, answers: bool) -> (HostId, SocketAddr) {
    let host = scene.world.host("liar", Node::Liar(Liar { answers, ..Liar::default() }));
    let address = SocketAddr::new(scene.world.address(host), 3478);
    scene.world.act(host, |node, cx| {
        let Node::Liar(liar) = node else { panic!("no liar") };
        let port = cx.ids.port();
        liar.requests.push_back((port, PortRequest::Open(PortSpec::Bind(address))));
        liar.port = Some(port);
    });
    scene.run(SECOND);
    (host, address)
}

#[test]
fn a_server_that_lies_is_given_up_like_a_silent_one() {
    let mut scene = Scene::new();
    let (_, address) = liar(&mut scene, true);
    let lies = [IceServer::new(&format!("turn:{address}"), "alice", "open sesame").unwrap(), turn("")];
    let party = scene.party(with(&lies));
    scene.run(7 * SECOND);
    assert!(scene.is_done(party));
    assert!(matches!(scene.states(party)[..], [ServerState::Failed(ServerError::Turn(_)), ServerState::Works]));
    scene.only(party, Relayed);
    assert!(scene.all(party, ServerReflexive).is_empty());
    let counters = scene.at(party).gatherer.counters();
    assert!(counters.useless > 4, "{counters:?}");
    assert!(scene.heard(party).is_empty());
}

#[test]
fn a_flood_passes_to_ice_and_leaves_nothing_behind() {
    let mut scene = Scene::new();
    let (host, _) = liar(&mut scene, false);
    let party = scene.party(with(&[turn("")]));
    scene.run(SECOND);
    let target = scene.only(party, Host);
    scene.world.act(host, |node, _| {
        let Node::Liar(liar) = node else { panic!("no liar") };
        liar.out.extend((0..1000_u32).map(|n| (target, n.to_be_bytes().repeat(5))));
    });
    scene.run(SECOND);
    assert!(scene.heard(party).len() > 100);
    assert_eq!(scene.at(party).gatherer.counters().useless, 0);
    scene.only(party, Relayed);
}
