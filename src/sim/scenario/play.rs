//! A scenario at work: its world, its hosts, and its faults when their time has come.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Fault, HostSpec, Scenario};
use crate::machine::time::Instant;
use crate::machine::{Cx, Machine};
use crate::sim::failure::Failure;
use crate::sim::kind::Gateway;
use crate::sim::link::Link;
use crate::sim::timeline::NodeId;
use crate::sim::topology::{INTERNET, NetId};
use crate::sim::world::{GatewayId, HostId, OldStreams, Sleep, World};

/// Who plays the hosts of a scenario.
pub trait Cast<M: Machine> {
    /// What that host runs. `boot` is 0 at first, and one more each time that it starts anew.
    fn machine(&mut self, host: &HostSpec, boot: u32) -> M;

    /// Lets it begin; a call as of its owner.
    fn start(&mut self, host: &HostSpec, machine: &mut M, cx: &mut Cx<'_>) {
        _ = (host, machine, cx);
    }
}

impl<M: Machine, F: FnMut(&HostSpec, u32) -> M> Cast<M> for F {
    fn machine(&mut self, host: &HostSpec, boot: u32) -> M {
        self(host, boot)
    }
}

/// A scenario that is being played.
///
/// Each host's name stands for its address in the world, so that machines can dial each other by name.
pub struct Play<M: Machine, C> {
    /// The world; whoever plays may do in it what they like.
    pub world: World<M>,
    scenario: Scenario,
    cast: C,
    hosts: BTreeMap<String, HostId>,
    gateways: BTreeMap<String, GatewayId>,
    boots: BTreeMap<String, u32>,
    next: usize,
    broken: Broken,
}

/// What has to be mended.
#[derive(Debug, Default)]
struct Broken {
    cuts: BTreeSet<(String, String)>,
    unplugged: BTreeSet<String>,
    down: BTreeSet<String>,
    asleep: BTreeSet<String>,
    links: BTreeSet<String>,
}

/// A run that failed, with all that is needed to see it again.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{failure}\n--- the scenario; save it, and `switchboard sim replay FILE` plays it again\n{scenario}---")]
pub struct Failed {
    /// Why.
    pub failure: Failure,
    /// What was played.
    pub scenario: Box<Scenario>,
}

impl Scenario {
    /// Makes the world of this scenario and starts its hosts.
    pub fn play<M: Machine, C: Cast<M>>(&self, cast: C) -> Play<M, C> {
        let mut play = Play {
            world: World::new(self.seed),
            scenario: self.clone(),
            cast,
            hosts: BTreeMap::new(),
            gateways: BTreeMap::new(),
            boots: BTreeMap::new(),
            next: 0,
            broken: Broken::default(),
        };
        play.build();
        play
    }
}

impl<M: Machine, C: Cast<M>> Play<M, C> {
    /// What is played.
    pub const fn scenario(&self) -> &Scenario {
        &self.scenario
    }

    /// The host of that name. Panics if there is none.
    pub fn host(&self, name: &str) -> HostId {
        *self.hosts.get(name).unwrap_or_else(|| panic!("the scenario has no host {name:?}"))
    }

    /// All hosts of a role, in the order of the scenario.
    pub fn role(&self, role: &str) -> Vec<(&HostSpec, HostId)> {
        let hosts = self.scenario.hosts.iter().filter(|host| host.role == role);
        hosts.map(|host| (host, self.hosts[&host.name])).collect()
    }

    /// Runs until `at`, counted from the start, with the faults that come until then.
    ///
    /// # Errors
    /// Why the run failed, and the scenario.
    pub fn run_to(&mut self, at: Duration) -> Result<(), Failed> {
        while let Some(next) = self.scenario.faults.get(self.next).filter(|next| next.at <= at) {
            let (time, fault) = (next.at, next.fault.clone());
            self.next += 1;
            self.wait(time)?;
            self.apply(&fault);
        }
        self.wait(at)
    }

    /// The next thing until `at`, counted from the start, faults included: at which host it happened. None: nothing is
    /// left until then, and it is `at`.
    ///
    /// # Errors
    /// Why the run failed, and the scenario.
    pub fn step_to(&mut self, at: Duration) -> Result<Option<HostId>, Failed> {
        let due = self.scenario.faults.get(self.next).map(|next| next.at).filter(|due| *due <= at);
        if let Some(host) = self.world.step_to(Instant::ZERO + due.unwrap_or(at)) {
            return Ok(Some(host.host));
        }
        match due {
            Some(due) => {
                let fault = self.scenario.faults[self.next].fault.clone();
                self.run_to(due)?;
                let host = fault.names().first().and_then(|name| self.hosts.get(*name)).copied();
                // A fault of a gateway says nothing to any host; whoever asks may ask again.
                Ok(host.or_else(|| self.hosts.values().next().copied()))
            }
            None => self.wait(at).map(|()| None),
        }
    }

    /// How often that host has started anew.
    pub fn boots(&self, name: &str) -> u32 {
        self.boots.get(name).copied().unwrap_or_default()
    }

    /// The failure of a second phase that took too long.
    pub fn converge_not(&self, limit: Duration) -> Failed {
        self.failed(self.world.stuck(limit))
    }

    /// Runs until the end of the first phase and mends what is broken.
    ///
    /// # Errors
    /// Why the run failed, and the scenario.
    pub fn heal(&mut self) -> Result<(), Failed> {
        self.run_to(self.scenario.heal)?;
        self.mend();
        Ok(())
    }

    /// The second phase: runs until `condition` holds, which is asked after each step.
    ///
    /// # Errors
    /// [`Failure::Stuck`] if it does not hold in the scenario's time, or why the run failed; and the scenario.
    pub fn converge(&mut self, condition: impl FnMut(&mut World<M>) -> bool) -> Result<(), Failed> {
        let result = self.world.run_until(condition, self.scenario.converge);
        result.map_err(|failure| self.failed(failure))
    }

    /// A failure with this scenario.
    pub fn failed(&self, failure: Failure) -> Failed {
        Failed { failure, scenario: Box::new(self.scenario.clone()) }
    }

    fn build(&mut self) {
        let Scenario { gateways, hosts, links, .. } = self.scenario.clone();
        for gateway in &gateways {
            let outside = self.net(gateway.inside.as_deref());
            // Of kind `none` it is a router that lets everything pass, so that names stay what they are.
            let made = self.world.gateways(outside, &gateway.name, gateway.kind);
            let made = made.unwrap_or_else(|| self.world.gateway(outside, &gateway.name, Gateway::open()));
            self.gateways.insert(gateway.name.clone(), made);
        }
        for host in &hosts {
            let machine = self.cast.machine(host, 0);
            let net = self.net(host.inside.as_deref());
            let id = self.world.host_in(net, &host.name, machine);
            self.hosts.insert(host.name.clone(), id);
            self.world.clock(id, host.clock);
            self.world.name(&host.name, &[id]);
        }
        for (name, link) in &links {
            self.world.link(self.node(name), link.link());
        }
        for host in &hosts {
            self.start(host);
        }
    }

    fn net(&self, gateway: Option<&str>) -> NetId {
        gateway.and_then(|name| self.gateways.get(name)).map_or(INTERNET, |gateway| gateway.inside())
    }

    fn node(&self, name: &str) -> NodeId {
        self.gateways.get(name).map_or_else(|| self.host(name).into(), |gateway| (*gateway).into())
    }

    fn spec(&self, name: &str) -> HostSpec {
        let found = self.scenario.hosts.iter().find(|host| host.name == name);
        found.unwrap_or_else(|| panic!("the scenario has no host {name:?}")).clone()
    }

    fn start(&mut self, host: &HostSpec) {
        let (id, cast) = (self.hosts[&host.name], &mut self.cast);
        self.world.act(id, |machine, cx| cast.start(host, machine, cx));
    }

    fn wait(&mut self, at: Duration) -> Result<(), Failed> {
        let time = (Instant::ZERO + at) - self.world.now();
        self.world.run_for(time).map_err(|failure| self.failed(failure))
    }

    fn apply(&mut self, fault: &Fault) {
        match fault {
            Fault::Cut(a, b) => [(a, b), (b, a)].into_iter().for_each(|(a, b)| self.cut(a, b)),
            Fault::CutOneWay(a, b) => self.cut(a, b),
            Fault::Heal(a, b) => self.heal_between(a, b),
            Fault::Unplug(name) => {
                self.broken.unplugged.insert(name.clone());
                self.world.unplug(self.node(name));
            }
            Fault::Plug(name) => self.plug(name),
            Fault::Kill(name) => {
                self.broken.down.insert(name.clone());
                self.world.kill(self.host(name));
            }
            Fault::Reboot(name) => self.reboot(name),
            Fault::Rebind(name) => self.world.rebind_gateway(self.gateways[name]),
            Fault::Sleep(name) if self.world.is_awake(self.host(name)) => {
                self.broken.asleep.insert(name.clone());
                self.world.sleep(self.host(name));
            }
            Fault::Sleep(_) => {}
            Fault::Wake(name, clock) => self.wake(name, *clock),
            Fault::Roam(name, net, streams) => self.roam(name, net.as_deref(), *streams),
            Fault::Link(name, link) => {
                self.broken.links.insert(name.clone());
                self.world.link(self.node(name), link.link());
            }
        }
    }

    fn cut(&mut self, from: &str, to: &str) {
        self.broken.cuts.insert((from.to_owned(), to.to_owned()));
        self.world.cut_one_way(self.host(from), self.host(to));
    }

    fn heal_between(&mut self, a: &str, b: &str) {
        self.broken.cuts.retain(|(from, to)| {
            (from, to) != (&a.to_owned(), &b.to_owned()) && (to, from) != (&a.to_owned(), &b.to_owned())
        });
        self.world.heal(self.host(a), self.host(b));
    }

    fn plug(&mut self, name: &str) {
        self.broken.unplugged.remove(name);
        self.world.plug(self.node(name));
    }

    fn reboot(&mut self, name: &str) {
        if let Some(gateway) = self.gateways.get(name) {
            return self.world.reboot_gateway(*gateway);
        }
        self.broken.down.remove(name);
        self.broken.asleep.remove(name);
        let boot = self.boots.entry(name.to_owned()).or_default();
        *boot += 1;
        let (boot, spec) = (*boot, self.spec(name));
        let machine = self.cast.machine(&spec, boot);
        self.world.reboot(self.hosts[name], machine);
        self.start(&spec);
    }

    fn wake(&mut self, name: &str, clock: Sleep) {
        self.broken.asleep.remove(name);
        self.world.wake_up(self.host(name), clock);
    }

    fn roam(&mut self, name: &str, net: Option<&str>, streams: OldStreams) {
        let (host, net) = (self.host(name), self.net(net));
        self.world.roam(host, net, streams);
        self.world.name(name, &[host]);
    }

    fn mend(&mut self) {
        let Broken { cuts, unplugged, down, asleep, links } = std::mem::take(&mut self.broken);
        cuts.iter().for_each(|(a, b)| self.world.heal(self.host(a), self.host(b)));
        unplugged.iter().for_each(|name| self.plug(name));
        links.iter().for_each(|name| self.restore_link(name));
        down.iter().for_each(|name| self.reboot(name));
        asleep.iter().for_each(|name| self.wake(name, Sleep::Counts));
    }

    fn restore_link(&mut self, name: &str) {
        let link = self.scenario.links.iter().rev().find(|(of, _)| of == name);
        let link = link.map_or_else(Link::default, |(_, link)| link.link());
        self.world.link(self.node(name), link);
    }
}
