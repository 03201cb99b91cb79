//! A neighbour that can do all that the protocol needs, and leaves the rest to the script.

use std::collections::BTreeSet;

use switchboard::hub::channel::Channel;
use switchboard::hub::opening::{Decision, Established, Opening, Progress, Purpose};
use switchboard::link::noise::{Claims, Identity, Opener, Proof, Protection, Role, Sealer, SecretKey};
use switchboard::machine::limits::Limits;
use switchboard::machine::rng::Rng;
use switchboard::machine::time::Instant;
use switchboard::wire::frame::Frame;
use switchboard::wire::identity::Address;

pub(super) struct Neighbour {
    identity: Identity,
    hub: Address,
    rng: Rng,
    link: Option<Link>,
    limits: Limits,
}

#[derive(Default)]
struct Link {
    proof: Option<Proof>,
    seal: Option<(Sealer, Opener)>,
    /// The numbers that the hub has allotted.
    routes: Vec<u32>,
    /// Those that we have.
    ours: BTreeSet<u32>,
    opening: Option<Opening>,
    session: Option<Established>,
    /// Where data of the session goes.
    way: u32,
}

impl Neighbour {
    /// The second and the third are two processes of one endpoint.
    pub(super) fn new(n: u64, hub: Address) -> Self {
        let secret = SecretKey::generate(&mut Rng::from_u64(if n == 2 { 101 } else { 100 + n }));
        let identity = Identity::new(secret, &mut Rng::from_u64(200 + n));
        Self { identity, hub, rng: Rng::from_u64(300 + n), link: None, limits: super::limits() }
    }

    pub(super) const fn address(&self) -> Address {
        self.identity.address()
    }

    pub(super) const fn is_here(&self) -> bool {
        self.link.is_some()
    }

    /// A link comes up; answers the first message of the proof, if it is the neighbour's.
    pub(super) fn come(&mut self, dials: bool, relays: bool) -> Option<Vec<u8>> {
        let role = if dials { Role::Initiator } else { Role::Responder };
        let claims = Claims { relays, ..Claims::default() };
        let mut proof = Proof::new(&self.identity, role, claims, None, &mut self.rng);
        let first = proof.supply();
        self.link = Some(Link { proof: Some(proof), ..Link::default() });
        first
    }

    pub(super) fn go(&mut self) {
        self.link = None;
    }

    /// A number that the hub has allotted, or that it might have.
    pub(super) fn route(&self, n: u8) -> u32 {
        let routes = self.link.as_ref().map_or(&[][..], |link| &link.routes);
        routes.get(usize::from(n) % (routes.len() + 1)).copied().unwrap_or(1 << 20 | u32::from(n))
    }

    pub(super) fn allot(&mut self, route: u32) {
        if let Some(link) = &mut self.link {
            link.ours.insert(route);
        }
    }

    pub(super) fn seal(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let (sealer, _) = self.link.as_mut()?.seal.as_mut()?;
        let mut message = frame.to_vec();
        let (_, tag) = sealer.seal(&[], &mut message);
        message.extend_from_slice(&tag);
        Some(message)
    }

    pub(super) fn open_session(&mut self, now: Instant, rng: &mut Rng) -> Option<Vec<u8>> {
        let link = self.link.as_mut()?;
        let route = *link.routes.last()?;
        let opening = link.opening.get_or_insert_with(|| {
            let channels = vec![Channel::reliable("x"), Channel::reliable("y").unordered()];
            Opening::open(now, &self.limits, &self.identity, self.hub, channels, Purpose::Application, rng)
        });
        link.way = route;
        Some(Frame::Data { route, packet: &opening.supply()? }.encode())
    }

    /// A packet with these records, sealed; with `attach`, one that begins a path.
    pub(super) fn sealed(&mut self, records: &[u8], attach: Option<u8>, route: u8) -> Option<Vec<u8>> {
        let chosen = self.route(route);
        let link = self.link.as_mut()?;
        let session = link.session.as_mut()?;
        let counter = session.keys.0.counter().to_be_bytes();
        let head = match attach {
            None => [&[2][..], &counter].concat(),
            Some(_) => [&[4][..], &session.id.0, &counter].concat(),
        };
        let mut text = records.to_vec();
        let (_, tag) = session.keys.0.seal(&head, &mut text);
        let packet = [head, text, tag.to_vec()].concat();
        let route = if attach.is_some() { chosen } else { link.way };
        Some(Frame::Data { route, packet: &packet }.encode())
    }

    /// Takes in a message of the hub, which keeps all rules, and gives what the protocol answers.
    pub(super) fn hear(&mut self, now: Instant, message: &[u8], rng: &mut Rng) -> Vec<Vec<u8>> {
        let Some(link) = &mut self.link else { return Vec::new() };
        if let Some((_, opener)) = &mut link.seal {
            let mut frame = message.to_vec();
            let len = opener.open_next(&[], &mut frame).expect("the hub seals in order");
            frame.truncate(len);
            let frames = self.hear_frame(now, &frame, rng);
            return frames.iter().filter_map(|frame| self.seal(frame)).collect();
        }
        let Some(proof) = &mut link.proof else { return Vec::new() };
        // A script may have said something in between, and the hub may have given up.
        let proved = proof.receive(message);
        let answer = proof.supply();
        if let Ok(Some(proved)) = proved {
            let Protection::Noise { sealer, opener } = proved.protection else { panic!("there is no TLS") };
            (link.seal, link.proof) = (Some((sealer, opener)), None);
        }
        answer.into_iter().collect()
    }

    fn hear_frame(&mut self, now: Instant, message: &[u8], rng: &mut Rng) -> Vec<Vec<u8>> {
        let frame = Frame::decode(message).expect("a hub sends frames");
        let address = self.address();
        let Some(link) = &mut self.link else { return Vec::new() };
        match frame {
            Frame::Open { route, .. } => {
                link.routes.push(route);
                let yours = 1000 + link.routes.len() as u32;
                link.ours.insert(yours);
                link.way = route;
                vec![Frame::Opened { route, yours, from: address }.encode()]
            }
            Frame::Opened { yours, .. } => {
                link.routes.push(yours);
                Vec::new()
            }
            Frame::Data { route, packet } => {
                assert!(link.ours.contains(&route), "data on {route}, which was never allotted");
                self.hear_packet(now, packet, rng).into_iter().collect()
            }
            Frame::Ping(nonce) => vec![Frame::Pong(nonce).encode()],
            _ => Vec::new(),
        }
    }

    fn hear_packet(&mut self, now: Instant, packet: &[u8], rng: &mut Rng) -> Option<Vec<u8>> {
        let link = self.link.as_mut()?;
        if link.opening.is_none() && packet.first() == Some(&1) {
            link.opening = Opening::answer(now, &self.limits, &self.identity, self.hub, packet, rng).ok();
        } else if let Some(opening) = &mut link.opening {
            match opening.receive(now, &self.limits, packet) {
                Ok(Some(Progress::Incoming { .. })) => link.session = opening.decide(now, Decision::Accept),
                Ok(Some(Progress::Opened(established))) => link.session = Some(established),
                _ => {}
            }
        }
        let answer = link.opening.as_mut()?.supply()?;
        Some(Frame::Data { route: link.way, packet: &answer }.encode())
    }
}
