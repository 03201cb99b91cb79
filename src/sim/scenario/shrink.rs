//! A smaller scenario that fails as well: fewer faults, fewer hosts, better links, a shorter schedule.
//!
//! Greedy: each step is tried on the whole, kept if the scenario still fails, and the steps are gone through again
//! until none is kept. Large parts are taken away before small ones.

use super::Scenario;
use crate::sim::kind::NatKind;

impl Scenario {
    /// The smallest failing scenario that is found with at most `most` plays. `fails` plays a scenario; it must hold
    /// for this one.
    pub fn shrink(&self, most: usize, fails: impl FnMut(&Self) -> bool) -> Self {
        let mut shrinker = Shrinker { best: self.clone(), left: most, fails };
        while shrinker.round() {}
        shrinker.best
    }

    /// Whether it can be read from its text: every name that it uses is declared.
    fn is_sound(&self) -> bool {
        self.to_string().parse::<Self>().is_ok()
    }
}

struct Shrinker<F> {
    best: Scenario,
    left: usize,
    fails: F,
}

impl<F: FnMut(&Scenario) -> bool> Shrinker<F> {
    /// All steps once; whether any was kept.
    fn round(&mut self) -> bool {
        let kept = [
            self.remove_parts(|scenario| scenario.faults.len(), |scenario, part| drop(scenario.faults.drain(part))),
            self.remove_hosts(),
            self.remove_parts(|scenario| scenario.links.len(), |scenario, part| drop(scenario.links.drain(part))),
            self.simplify_gateways(),
            self.remove_gateways(),
            self.reset_clocks(),
            self.shorten(),
        ];
        kept.contains(&true)
    }

    fn attempt(&mut self, change: impl FnOnce(&mut Scenario)) -> bool {
        let mut smaller = self.best.clone();
        change(&mut smaller);
        if self.left == 0 || smaller == self.best || !smaller.is_sound() {
            return false;
        }
        self.left -= 1;
        let fails = (self.fails)(&smaller);
        if fails {
            self.best = smaller;
        }
        fails
    }

    /// Halves, quarters, and so on down to single ones, from the end.
    fn remove_parts(
        &mut self,
        count: impl Fn(&Scenario) -> usize,
        remove: impl Fn(&mut Scenario, std::ops::Range<usize>),
    ) -> bool {
        let (mut size, mut any) = (count(&self.best), false);
        while size > 0 {
            let mut end = count(&self.best);
            while end > 0 {
                let start = end.saturating_sub(size);
                any |= self.attempt(|scenario| remove(scenario, start..end));
                end = start;
            }
            size /= 2;
        }
        any
    }

    /// With all that names them.
    fn remove_hosts(&mut self) -> bool {
        let names: Vec<_> = self.best.hosts.iter().rev().map(|host| host.name.clone()).collect();
        let mut any = false;
        for name in names {
            any |= self.attempt(|scenario| {
                scenario.hosts.retain(|host| host.name != name);
                scenario.links.retain(|(of, _)| *of != name);
                scenario.faults.retain(|timed| !timed.fault.names().contains(&name.as_str()));
            });
        }
        any
    }

    /// A gateway can be made one that does nothing.
    fn simplify_gateways(&mut self) -> bool {
        let mut any = false;
        for index in 0..self.best.gateways.len() {
            for kind in [NatKind::None, NatKind::ALL[1]] {
                any |= self.attempt(|scenario| scenario.gateways[index].kind = kind);
            }
        }
        any
    }

    /// What was behind it comes to be where it was.
    fn remove_gateways(&mut self) -> bool {
        let mut any = false;
        for gateway in self.best.gateways.clone().iter().rev() {
            any |= self.attempt(|scenario| {
                let inside = |inside: &mut Option<String>| {
                    if inside.as_ref() == Some(&gateway.name) {
                        inside.clone_from(&gateway.inside);
                    }
                };
                scenario.gateways.retain(|other| other.name != gateway.name);
                scenario.gateways.iter_mut().for_each(|other| inside(&mut other.inside));
                scenario.hosts.iter_mut().for_each(|host| inside(&mut host.inside));
                scenario.links.retain(|(of, _)| *of != gateway.name);
                scenario.faults.retain(|timed| !timed.fault.names().contains(&gateway.name.as_str()));
            });
        }
        any
    }

    fn reset_clocks(&mut self) -> bool {
        let mut any = false;
        for index in 0..self.best.hosts.len() {
            any |= self.attempt(|scenario| scenario.hosts[index].clock = Default::default());
        }
        any
    }

    /// Everything in half the time.
    fn shorten(&mut self) -> bool {
        self.attempt(|scenario| {
            scenario.faults.iter_mut().for_each(|timed| timed.at /= 2);
            scenario.heal /= 2;
        })
    }
}
