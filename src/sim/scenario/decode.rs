//! Scenarios from seeds and from bytes: any bytes give one, and like bytes give like ones, as fuzzers want it.

use std::ops::RangeInclusive;
use std::time::Duration;

use arbitrary::{Arbitrary, Result, Unstructured};

use super::{Fault, GatewaySpec, HostSpec, LinkSpec, Scenario, Timed};
use crate::machine::rng::Rng;
use crate::sim::clock::Clock;
use crate::sim::kind::NatKind;
use crate::sim::profile::Profile;
use crate::sim::world::{OldStreams, Sleep};

/// Enough for the largest scenario of a reasonable shape; where bytes end, zeroes follow.
const BYTES: usize = 4096;

/// What scenarios may be made.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Hosts of the role `relay`, in the Internet, that listen on [`Self::ports`].
    pub relays: RangeInclusive<usize>,
    /// Hosts of the role `endpoint`, each behind a gateway of its own if its kind has one.
    pub endpoints: RangeInclusive<usize>,
    /// On which ports relays listen; one of them should be 443 for those who may use no other.
    pub ports: Vec<u16>,
    /// The kinds of NAT that endpoints are behind; at least one.
    pub kinds: Vec<NatKind>,
    /// The links that endpoints have; none: perfect ones.
    pub profiles: Vec<Profile>,
    /// How many faults there are.
    pub faults: RangeInclusive<usize>,
    /// When everything is mended.
    pub heal: Duration,
    /// How long it may take from then until all is well.
    pub converge: Duration,
}

impl Default for Shape {
    fn default() -> Self {
        let profiles = Profile::ALL.into_iter().filter(|profile| *profile != Profile::Absurd).collect();
        Self {
            relays: 1..=2,
            endpoints: 2..=4,
            ports: vec![7433, 443],
            kinds: NatKind::ALL.to_vec(),
            profiles,
            faults: 0..=12,
            heal: Duration::from_secs(30),
            converge: Duration::from_secs(300),
        }
    }
}

impl Shape {
    /// The scenario of that seed.
    pub fn from_seed(&self, seed: u64) -> Scenario {
        let mut bytes = vec![0; BYTES];
        Rng::from_u64(seed).fill(&mut bytes);
        Scenario { seed, ..self.from_bytes(&bytes) }
    }

    /// The scenario of those bytes.
    pub fn from_bytes(&self, bytes: &[u8]) -> Scenario {
        let mut bytes = Unstructured::new(bytes);
        self.decode(&mut bytes).unwrap_or_else(|_| self.plain())
    }

    fn decode(&self, bytes: &mut Unstructured<'_>) -> Result<Scenario> {
        let mut scenario = Scenario { seed: bytes.arbitrary()?, ..self.plain() };
        scenario.hosts.clear();
        for n in 0..bytes.int_in_range(self.relays.clone())? {
            scenario.hosts.push(self.relay(n));
        }
        for n in 0..bytes.int_in_range(self.endpoints.clone())? {
            self.endpoint(bytes, n, &mut scenario)?;
        }
        for _ in 0..bytes.int_in_range(self.faults.clone())? {
            let at = Duration::from_millis(bytes.int_in_range(0..=self.heal.as_millis() as u64)?);
            let fault = self.fault(bytes, &scenario)?;
            scenario.faults.push(Timed { at, fault });
        }
        scenario.faults.sort_by_key(|fault| fault.at);
        Ok(scenario)
    }

    /// The smallest scenario of this shape.
    fn plain(&self) -> Scenario {
        let relays = (0..*self.relays.start()).map(|n| self.relay(n));
        let endpoints = (0..(*self.endpoints.start()).max(1)).map(|n| endpoint(n, None));
        Scenario {
            seed: 0,
            gateways: Vec::new(),
            hosts: relays.chain(endpoints).collect(),
            links: Vec::new(),
            faults: Vec::new(),
            heal: self.heal,
            converge: self.converge,
        }
    }

    fn relay(&self, n: usize) -> HostSpec {
        let name = format!("relay-{}", n + 1);
        let (role, inside, clock) = ("relay".to_owned(), None, Clock::default());
        HostSpec { name, role, inside, ports: self.ports.clone(), clock }
    }

    fn endpoint(&self, bytes: &mut Unstructured<'_>, n: usize, scenario: &mut Scenario) -> Result<()> {
        let kind = *bytes.choose(&self.kinds)?;
        let inside = (kind != NatKind::None).then(|| format!("gateway-{}", n + 1));
        if let Some(name) = inside.clone() {
            scenario.gateways.push(GatewaySpec { name, inside: None, kind });
        }
        let mut host = endpoint(n, inside);
        if bytes.ratio(1, 8)? {
            host.clock.drift = bytes.int_in_range(-200..=200)?;
            host.clock.ahead = Duration::from_secs(bytes.int_in_range(0..=3600)?);
        }
        if !self.profiles.is_empty() && bytes.ratio(3, 4)? {
            let profile = *bytes.choose(&self.profiles)?;
            scenario.links.push((host.name.clone(), LinkSpec::Profile(profile)));
        }
        scenario.hosts.push(host);
        Ok(())
    }

    fn fault(&self, bytes: &mut Unstructured<'_>, scenario: &Scenario) -> Result<Fault> {
        let gateways = &scenario.gateways;
        let host = bytes.choose(&scenario.hosts)?;
        let (name, is_relay) = (host.name.clone(), host.role == "relay");
        Ok(match bytes.int_in_range(0..=11)? {
            0 | 1 => Fault::Cut(name, bytes.choose(&scenario.hosts)?.name.clone()),
            2 => Fault::CutOneWay(name, bytes.choose(&scenario.hosts)?.name.clone()),
            3 => Fault::Heal(name, bytes.choose(&scenario.hosts)?.name.clone()),
            4 => Fault::Unplug(name),
            5 => Fault::Plug(name),
            6 => Fault::Reboot(name),
            7 if !gateways.is_empty() => Fault::Reboot(bytes.choose(gateways)?.name.clone()),
            8 if !gateways.is_empty() => Fault::Rebind(bytes.choose(gateways)?.name.clone()),
            9 => Fault::Sleep(name),
            10 => Fault::Wake(name, if bytes.arbitrary()? { Sleep::Counts } else { Sleep::StandsStill }),
            // A relay that moves is a relay that nobody finds.
            11 if !is_relay => {
                let streams = if bytes.arbitrary()? { OldStreams::Break } else { OldStreams::Linger };
                Fault::Roam(name, host.inside.clone(), streams)
            }
            _ => match self.profiles.is_empty() {
                true => Fault::Unplug(name),
                false => Fault::Link(name, LinkSpec::Profile(*bytes.choose(&self.profiles)?)),
            },
        })
    }
}

fn endpoint(n: usize, inside: Option<String>) -> HostSpec {
    let (name, role) = (format!("endpoint-{}", n + 1), "endpoint".to_owned());
    HostSpec { name, role, inside, ports: Vec::new(), clock: Clock::default() }
}

impl<'a> Arbitrary<'a> for Scenario {
    /// Of the default [`Shape`].
    fn arbitrary(bytes: &mut Unstructured<'a>) -> Result<Self> {
        Shape::default().decode(bytes)
    }
}
