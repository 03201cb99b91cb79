//! Relays that carry servers, and hand out credentials for them.

use switchboard::connect::{ConnectError, Endpoint, Options, Registry, TurnService};
use switchboard::hub::{Policy, Quotas};
use switchboard::link::noise::SecretKey;
use switchboard::machine::rng::Rng;
use switchboard::sim::{HostId, INTERNET, World};
use switchboard::stack::turn_server::TurnSecret;
use switchboard::wire::servers::GrantedServer;
use turn_client_proto::api::TurnConfig;
use turn_client_proto::stun::auth::Feature;
use turn_client_proto::types::TurnCredentials;

use crate::caller::Caller;
use crate::dialler::Dialler;
use crate::scene::{MINUTE, Program, SECOND, SERVER, Scene};

const TURN: &str = "turn:198.18.0.1:3478?transport=udp";

fn service() -> TurnService {
    let mut service = TurnService::new("relay", TurnSecret::new("secret"));
    service.uris = vec!["stun:198.18.0.1:3478".to_owned(), TURN.to_owned()];
    service
}

fn relay(service: &TurnService) -> Endpoint {
    let mut rng = Rng::from_u64(1);
    let options = Options { turn: Some(service.clone()), ..Options::default() };
    let builder = Endpoint::builder(SecretKey::generate(&mut rng)).options(options);
    let builder = builder.relays_for(Policy::Open, Quotas::default());
    builder.listen("tcp:0.0.0.0:7000").listen("turn:198.18.0.1:3478").build(&mut rng).unwrap()
}

fn neighbour(world: &mut World<Program>, seed: u64) -> HostId {
    let mut rng = Rng::from_u64(seed);
    let builder = Endpoint::builder(SecretKey::generate(&mut rng)).relay("tcp:198.18.0.1:7000").wants_servers();
    started(world, builder.build(&mut rng).unwrap())
}

fn started(world: &mut World<Program>, endpoint: Endpoint) -> HostId {
    let host = world.host("endpoint", Program::Endpoint(Box::new(endpoint)));
    world.act(host, |program, cx| match program {
        Program::Endpoint(endpoint) => endpoint.start(cx),
        other => panic!("{other:?}"),
    });
    host
}

fn granted(world: &World<Program>, host: HostId) -> Vec<GrantedServer> {
    match world.machine(host) {
        Program::Endpoint(endpoint) => endpoint.servers().flat_map(|(_, given)| given.servers.clone()).collect(),
        other => panic!("{other:?}"),
    }
}

fn settings(server: &GrantedServer) -> TurnConfig {
    let mut settings = TurnConfig::new(TurnCredentials::new(&server.username, &server.credential));
    settings.set_anonymous_username(Feature::Disabled);
    settings
}

#[test]
fn what_a_relay_hands_out_is_good_for_its_servers() {
    let (mut world, service) = (World::new(1), service());
    let server = started(&mut world, relay(&service));
    let asks = neighbour(&mut world, 2);
    world.run_for(SECOND).unwrap();
    let [stun, turn] = &granted(&world, asks)[..] else { panic!("{:?}", granted(&world, asks)) };
    assert_eq!((stun.username.as_str(), turn.uri.as_str(), turn.lifetime), ("", TURN, 600));
    let mut scene = Scene { world, server, peer: asks };
    let by_udp = scene.caller_in(INTERNET, Caller::with(SERVER, settings(turn)));
    let by_tcp = scene.dialler(INTERNET, Dialler::with(SERVER, settings(turn)));
    scene.run(SECOND);
    let too_many = scene.caller_in(INTERNET, Caller::with(SERVER, settings(turn)));
    scene.run(SECOND);
    assert!(scene.relayed(by_udp).is_some() && scene.dialled(by_tcp).relayed().is_some());
    assert_eq!((scene.relayed(too_many), scene.at(too_many).codes.last()), (None, Some(&486)));
    let figures = service.meter.figures();
    assert_eq!((figures.allocations, figures.connections, figures.statistics.over_quota), (2, 1, 1));
    scene.run(11 * MINUTE);
    assert_eq!(service.meter.figures().allocations, 2, "they are refreshed");
    let renewed = granted(&scene.world, asks);
    assert_ne!(renewed[1], *turn);
    let late = scene.caller_in(INTERNET, Caller::with(SERVER, settings(turn)));
    scene.run(SECOND);
    assert_eq!(scene.relayed(late), None, "ten minutes are over");
}

#[test]
fn strings_of_servers_are_for_listening_and_say_what_they_miss() {
    let (registry, with) = (Registry::new(), Options { turn: Some(service()), ..Options::default() });
    for string in ["stun:0.0.0.0:3478", "turn:127.0.0.1:3478", "turn:[::]:3478"] {
        assert!(registry.listen(string, &with).is_ok() && registry.dial(string, &with).is_err(), "{string}");
    }
    let refused = |string: &str, options: &Options| registry.listen(string, options).err().unwrap();
    assert!(matches!(refused("turn:0.0.0.0:1", &Options::default()), ConnectError::NoTurn { .. }));
    assert!(matches!(refused("turn:host.example:1", &with), ConnectError::Malformed { .. }));
    assert!(matches!(refused("turns:0.0.0.0:1", &with), ConnectError::NoIdentity { .. }));
}
