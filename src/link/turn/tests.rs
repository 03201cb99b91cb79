use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use turn_client_proto::types::attribute::{Data, Lifetime, XorPeerAddress, XorRelayedAddress};
use turn_client_proto::types::message::{ALLOCATE, DATA};
use turn_client_proto::types::stun::attribute::{ErrorCode, Nonce, Realm, Username};
use turn_client_proto::types::stun::message::{
    IntegrityAlgorithm, LongTermKeyCredentials, Message, MessageClass, MessageType, MessageWriteVec, Method,
};
use turn_client_proto::types::stun::prelude::{MessageWrite as _, MessageWriteExt as _};

use super::*;

/// A server by hand.
struct Server {
    password: &'static str,
    nonce: &'static str,
}

impl Server {
    fn refuse(&self, request: &[u8], code: u16) -> Vec<u8> {
        let request = Message::from_bytes(request).unwrap();
        let mut answer = Message::builder_error(&request, MessageWriteVec::new());
        answer.add_attribute(&ErrorCode::builder(code).build().unwrap()).unwrap();
        answer.add_attribute(&Realm::new("realm").unwrap()).unwrap();
        answer.add_attribute(&Nonce::new(self.nonce).unwrap()).unwrap();
        answer.finish()
    }

    fn grant(&self, request: &[u8], relayed: &[&str]) -> Vec<u8> {
        let request = Message::from_bytes(request).unwrap();
        let user = request.attribute::<Username>().unwrap().username().to_owned();
        let mut answer = Message::builder_success(&request, MessageWriteVec::new());
        for relayed in relayed {
            let address = XorRelayedAddress::new(relayed.parse().unwrap(), request.transaction_id());
            answer.add_attribute(&address).unwrap();
        }
        answer.add_attribute(&Lifetime::new(600)).unwrap();
        let key = LongTermKeyCredentials::new(user, self.password.into(), "realm".into());
        answer.add_message_integrity(&key.into(), IntegrityAlgorithm::Sha1).unwrap();
        answer.finish()
    }
}

const SERVER: Server = Server { password: "secret", nonce: "first" };

struct Rig {
    turn: Turn,
    rng: Rng,
    now: Instant,
}

impl Rig {
    fn new(ipv6: bool) -> Self {
        let mut rng = Rng::from_u64(7);
        let config = TurnConfig {
            username: "user".into(),
            credential: Secret::new("secret"),
            ipv4: true,
            ipv6,
            stream: false,
            first: Duration::from_millis(500),
            sends: 4,
            patience: 4,
            permissions: 2,
        };
        Self { turn: Turn::new(Instant::ZERO, &mut rng, config), rng, now: Instant::ZERO }
    }

    fn allocated() -> Self {
        let mut rig = Self::new(false);
        let first = rig.sent();
        rig.receive(&SERVER.refuse(&first, 401));
        let second = rig.sent();
        assert_eq!(rig.receive(&SERVER.grant(&second, &["192.0.2.9:5000"])), Received::Handled);
        assert_eq!(rig.turn.poll_event(), Some(TurnEvent::Allocated));
        rig
    }

    fn sent(&mut self) -> Vec<u8> {
        self.turn.poll_transmit().expect("a request")
    }

    fn receive(&mut self, data: &[u8]) -> Received {
        self.turn.receive(self.now, &mut self.rng, data)
    }

    fn grant(&mut self) {
        let request = self.sent();
        assert_eq!(self.receive(&SERVER.grant(&request, &[])), Received::Handled);
    }

    fn wait(&mut self) {
        let deadline = self.turn.deadline().expect("a deadline");
        assert!(deadline.at > self.now, "{deadline:?} at {:?}", self.now);
        self.now = deadline.at;
        self.turn.on_timeout(self.now, &mut self.rng);
    }

    fn ended(&mut self) -> Option<TurnError> {
        match self.turn.poll_event() {
            Some(TurnEvent::Ended(error)) => Some(error),
            None => None,
            Some(other) => panic!("{other:?}"),
        }
    }
}

fn peer() -> SocketAddr {
    "198.51.100.1:7".parse().unwrap()
}

fn method(bytes: &[u8]) -> Method {
    Message::from_bytes(bytes).unwrap().method()
}

fn indication(peer: SocketAddr, data: &[u8]) -> Vec<u8> {
    let kind = MessageType::from_class_method(MessageClass::Indication, DATA);
    let mut message = Message::builder(kind, 1_u128.into(), MessageWriteVec::new());
    message.add_attribute(&XorPeerAddress::new(peer, 1_u128.into())).unwrap();
    message.add_attribute(&Data::new(data)).unwrap();
    message.finish()
}

#[test]
fn a_wrong_password_is_known_after_two_answers() {
    let mut rig = Rig::new(false);
    for _ in 0..2 {
        let request = rig.sent();
        assert_eq!(rig.receive(&SERVER.refuse(&request, 401)), Received::Handled);
    }
    assert_eq!(rig.ended(), Some(TurnError::WrongCredentials));
    assert_eq!((rig.turn.poll_transmit(), rig.turn.deadline()), (None, None));
}

#[test]
fn each_refusal_has_its_error() {
    use TurnError as E;
    let refusals = [(403, E::Forbidden), (486, E::QuotaReached), (508, E::Capacity), (440, E::Family)];
    let others =
        [(437, E::Mismatch), (300, E::AlternateServer(None)), (441, E::WrongCredentials), (500, E::Other(500))];
    for (code, error) in refusals.into_iter().chain(others) {
        let mut rig = Rig::new(false);
        let first = rig.sent();
        rig.receive(&SERVER.refuse(&first, 401));
        let second = rig.sent();
        rig.receive(&SERVER.refuse(&second, code));
        assert_eq!(rig.ended(), Some(error), "{code}");
    }
}

#[test]
fn silence_ends_it_after_a_few_seconds() {
    let mut rig = Rig::new(false);
    while rig.turn.deadline().is_some() {
        rig.wait();
    }
    assert_eq!((rig.ended(), rig.now), (Some(TurnError::Silent), Instant::from_nanos(5_500_000_000)));
    assert_eq!(std::iter::from_fn(|| rig.turn.poll_transmit()).count(), 4);
}

#[test]
fn a_stale_nonce_is_replaced_but_not_for_ever() {
    let mut rig = Rig::new(false);
    let first = rig.sent();
    rig.receive(&SERVER.refuse(&first, 401));
    for _ in 0..STALE {
        let request = rig.sent();
        rig.receive(&SERVER.refuse(&request, 438));
        assert_eq!(rig.ended(), None);
    }
    let request = rig.sent();
    rig.receive(&SERVER.refuse(&request, 438));
    assert_eq!(rig.ended(), Some(TurnError::Other(438)));
}

#[test]
fn a_server_without_ipv4_is_asked_for_ipv6_alone() {
    let mut rig = Rig::new(true);
    let first = rig.sent();
    rig.receive(&SERVER.refuse(&first, 401));
    let second = rig.sent();
    rig.receive(&SERVER.refuse(&second, 440));
    let third = rig.sent();
    rig.receive(&SERVER.grant(&third, &["192.0.2.9:1", "[2001:db8::1]:1"]));
    assert_eq!(rig.turn.relayed(), ["[2001:db8::1]:1".parse().unwrap()]);
}

#[test]
fn a_lying_server_gets_nothing_but_counters() {
    let mut rig = Rig::new(false);
    let first = rig.sent();
    assert_eq!(rig.receive(&[]), Received::Useless);
    assert_eq!(rig.receive(&[0xff; 2000]), Received::Useless);
    let mut other = first.clone();
    other[19] ^= 1;
    assert_eq!(rig.receive(&SERVER.refuse(&other, 401)), Received::Useless);
    rig.receive(&SERVER.refuse(&first, 401));
    let second = rig.sent();
    let forged = Server { password: "guessed", nonce: "first" }.grant(&second, &["192.0.2.9:1"]);
    assert_eq!(rig.receive(&forged), Received::Useless);
    assert_eq!(rig.receive(&SERVER.grant(&second, &["[2001:db8::1]:1"])), Received::Handled);
    assert_eq!(rig.ended(), Some(TurnError::Malformed));
}

#[test]
fn nothing_passes_before_a_permission() {
    let mut rig = Rig::allocated();
    assert_eq!(rig.turn.wrap(&mut rig.rng, peer(), b"x"), Err(Unsendable::NoPermission));
    assert_eq!(rig.receive(&indication(peer(), b"x")), Received::Unwanted);
    rig.turn.permit(rig.now, &mut rig.rng, peer());
    assert_eq!(rig.turn.wrap(&mut rig.rng, peer(), b"x"), Err(Unsendable::NoPermission));
    rig.grant();
    assert_eq!(rig.turn.poll_event(), Some(TurnEvent::Permitted(peer().ip())));
    assert!(rig.turn.wrap(&mut rig.rng, peer(), b"x").is_ok());
    let message = indication(peer(), b"hello");
    let Received::Data(relayed, source, range) = rig.receive(&message) else { panic!("no data") };
    assert_eq!((relayed, source), ("192.0.2.9:5000".parse().unwrap(), peer()));
    assert_eq!(&message[range], b"hello");
}

#[test]
fn a_channel_costs_four_bytes() {
    let mut rig = Rig::allocated();
    rig.turn.permit(rig.now, &mut rig.rng, peer());
    rig.grant();
    rig.turn.bind_channel(rig.now, &mut rig.rng, peer());
    rig.turn.bind_channel(rig.now, &mut rig.rng, peer());
    rig.grant();
    assert_eq!(rig.turn.poll_transmit(), None);
    let message = rig.turn.wrap(&mut rig.rng, peer(), b"hello").unwrap();
    assert_eq!(message.len(), 9);
    assert_eq!(rig.receive(&message), Received::Data("192.0.2.9:5000".parse().unwrap(), peer(), 4..9));
}

#[test]
fn what_is_wanted_is_renewed_and_what_is_not_is_let_go() {
    let mut rig = Rig::allocated();
    rig.turn.permit(rig.now, &mut rig.rng, peer());
    rig.grant();
    rig.turn.bind_channel(rig.now, &mut rig.rng, peer());
    rig.grant();
    let mut seen = Vec::new();
    while rig.now < Instant::ZERO + Duration::from_secs(1500) {
        rig.wait();
        while let Some(request) = rig.turn.poll_transmit() {
            seen.push(method(&request));
            let answer = SERVER.grant(&request, &[]);
            rig.receive(&answer);
        }
    }
    let count = |wanted: &Ask| seen.iter().filter(|method| **method == wanted.method()).count();
    assert_eq!(count(&Ask::Permit(peer().ip())), 6);
    assert_eq!(count(&Ask::Bind(0, peer())), 3);
    assert_eq!(count(&Ask::Refresh { release: false }), 3);
    rig.turn.forbid(peer());
    assert_eq!(rig.turn.deadline().map(|deadline| deadline.why), Some("TURN refresh"));
    assert_eq!(rig.turn.wrap(&mut rig.rng, peer(), b"x"), Err(Unsendable::NoPermission));
}

#[test]
fn more_permissions_than_the_bound_are_refused() {
    let mut rig = Rig::allocated();
    for i in 1..=3 {
        rig.turn.permit(rig.now, &mut rig.rng, SocketAddr::from(([10, 0, 0, i], 1)));
    }
    assert_eq!(rig.turn.poll_event(), Some(TurnEvent::Refused(IpAddr::from([10, 0, 0, 3]))));
    let v6: SocketAddr = "[2001:db8::2]:1".parse().unwrap();
    rig.turn.permit(rig.now, &mut rig.rng, v6);
    assert_eq!(rig.turn.poll_event(), Some(TurnEvent::Refused(v6.ip())));
}

#[test]
fn newer_credentials_are_used_once_the_old_ones_are_refused() {
    let mut rig = Rig::allocated();
    rig.turn.set_credentials("later", &Secret::new("other"));
    rig.turn.check(rig.now, &mut rig.rng);
    let request = rig.sent();
    assert_eq!(Message::from_bytes(&request).unwrap().attribute::<Username>().unwrap().username(), "user");
    rig.receive(&SERVER.refuse(&request, 401));
    let request = rig.sent();
    assert_eq!(Message::from_bytes(&request).unwrap().attribute::<Username>().unwrap().username(), "later");
    assert_eq!(rig.ended(), None);
}

#[test]
fn a_server_that_restarted_is_found_out() {
    let mut rig = Rig::allocated();
    rig.turn.check(rig.now, &mut rig.rng);
    let request = rig.sent();
    rig.receive(&SERVER.refuse(&request, 437));
    assert_eq!(rig.ended(), Some(TurnError::Mismatch));
    assert!(rig.turn.relayed().is_empty());
}

#[test]
fn an_allocation_is_given_back() {
    let mut rig = Rig::allocated();
    rig.turn.release(rig.now, &mut rig.rng);
    let request = rig.sent();
    let lifetime = Message::from_bytes(&request).unwrap().attribute::<Lifetime>().unwrap().seconds();
    assert_eq!((lifetime, rig.turn.deadline()), (0, None));
}

#[test]
fn requests_are_what_a_server_can_read() {
    let mut rig = Rig::new(true);
    let first = rig.sent();
    let message = Message::from_bytes(&first).unwrap();
    assert!(message.has_method(ALLOCATE) && message.has_class(MessageClass::Request));
}

#[test]
fn whatever_a_server_sends_it_neither_panics_nor_grows() {
    for seed in 0..300 {
        let mut rig = if seed % 2 == 0 { Rig::allocated() } else { Rig::new(true) };
        let mut rng = Rng::from_u64(seed);
        rig.turn.permit(rig.now, &mut rig.rng, peer());
        for _ in 0..20 {
            let request = rig.turn.pending.first().map_or_else(Vec::new, |pending| pending.bytes.clone());
            let mut messages = vec![indication(peer(), b"hello"), message::channel_data(0x4000, b"hello", false)];
            if !request.is_empty() {
                messages.push(SERVER.refuse(&request, [401, 438, 437, 440, 300][rng.below(5) as usize]));
            }
            let mut message = messages.swap_remove(rng.below(messages.len() as u64) as usize);
            for _ in 0..rng.below(4) {
                let at = rng.below(message.len() as u64) as usize;
                message[at] = rng.u32() as u8;
            }
            message.truncate(message.len() - rng.below(5) as usize);
            if let Received::Data(_, source, range) = rig.receive(&message) {
                assert!(source.ip() == peer().ip() && range.end <= message.len(), "seed {seed}");
            }
            assert!(rig.turn.pending.len() <= 4, "seed {seed}");
            while rig.turn.poll_transmit().is_some() || rig.turn.poll_event().is_some() {}
        }
    }
}
