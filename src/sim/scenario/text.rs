//! Scenarios as text, such that reading it gives the same scenario.

use std::fmt;
use std::time::Duration;

use super::{Fault, GatewaySpec, HostSpec, LinkSpec, Scenario, Timed, VERSION};
use crate::sim::clock::Clock;
use crate::sim::link::{Conditions, Delay, Link, Loss};
use crate::sim::world::{OldStreams, Sleep};

impl fmt::Display for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, gateways, hosts, links, faults, heal, converge } = self;
        writeln!(f, "switchboard scenario {VERSION}\nseed {seed}")?;
        gateways.iter().try_for_each(|gateway| writeln!(f, "{gateway}"))?;
        hosts.iter().try_for_each(|host| writeln!(f, "{host}"))?;
        links.iter().try_for_each(|(name, link)| write_link(f, "", name, link))?;
        faults.iter().try_for_each(|fault| write!(f, "{fault}"))?;
        writeln!(f, "heal {}\nconverge {}", Time(*heal), Time(*converge))
    }
}

impl fmt::Display for GatewaySpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, inside, kind } = self;
        write!(f, "gateway {name} nat {kind}")?;
        inside.iter().try_for_each(|inside| write!(f, " in {inside}"))
    }
}

impl fmt::Display for HostSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, role, inside, ports, clock } = self;
        write!(f, "host {name} role {role}")?;
        inside.iter().try_for_each(|inside| write!(f, " in {inside}"))?;
        ports.iter().try_for_each(|port| write!(f, " port {port}"))?;
        let Clock { drift, ahead, behind } = clock;
        if *drift != 0 {
            write!(f, " drift {drift}")?;
        }
        for (word, time) in [("ahead", ahead), ("behind", behind)] {
            if *time > Duration::ZERO {
                write!(f, " {word} {}", Time(*time))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Timed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = format!("at {} ", Time(self.at));
        match &self.fault {
            Fault::Link(name, link) => write_link(f, &at, name, link),
            Fault::Cut(a, b) => writeln!(f, "{at}cut {a} {b}"),
            Fault::CutOneWay(a, b) => writeln!(f, "{at}cut-one-way {a} {b}"),
            Fault::Heal(a, b) => writeln!(f, "{at}heal {a} {b}"),
            Fault::Unplug(name) => writeln!(f, "{at}unplug {name}"),
            Fault::Plug(name) => writeln!(f, "{at}plug {name}"),
            Fault::Kill(name) => writeln!(f, "{at}kill {name}"),
            Fault::Reboot(name) => writeln!(f, "{at}reboot {name}"),
            Fault::Rebind(name) => writeln!(f, "{at}rebind {name}"),
            Fault::Sleep(name) => writeln!(f, "{at}sleep {name}"),
            Fault::Wake(name, Sleep::Counts) => writeln!(f, "{at}wake {name} counts"),
            Fault::Wake(name, Sleep::StandsStill) => writeln!(f, "{at}wake {name} stands-still"),
            Fault::Roam(name, net, streams) => {
                let net = net.as_deref().unwrap_or("internet");
                let streams = if *streams == OldStreams::Break { "break" } else { "linger" };
                writeln!(f, "{at}roam {name} {net} {streams}")
            }
        }
    }
}

fn write_link(f: &mut fmt::Formatter<'_>, at: &str, name: &str, link: &LinkSpec) -> fmt::Result {
    match link {
        LinkSpec::Profile(profile) => writeln!(f, "{at}link {name} {profile}"),
        LinkSpec::Custom(link) => {
            let Link { up, down } = &**link;
            match up == down {
                true => writeln!(f, "{at}link {name} both{}", Fields(up)),
                false => writeln!(f, "{at}link {name} up{} down{}", Fields(up), Fields(down)),
            }
        }
    }
}

/// What differs from a perfect link.
struct Fields<'a>(&'a Conditions);

impl fmt::Display for Fields<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (own, perfect) = (self.0, Conditions::default());
        match own.delay {
            Delay::Constant(Duration::ZERO) => {}
            Delay::Constant(delay) => write!(f, " delay {}", Time(delay))?,
            Delay::Uniform(low, high) => write!(f, " uniform {} {}", Time(low), Time(high))?,
            Delay::Normal(mean, deviation) => write!(f, " normal {} {}", Time(mean), Time(deviation))?,
        }
        match own.loss {
            Loss::Never => {}
            Loss::Independent(p) => write!(f, " loss {p}")?,
            Loss::GilbertElliott { enter, leave, good, bad } => write!(f, " gilbert {enter} {leave} {good} {bad}")?,
        }
        if own.duplicate > 0.0 {
            write!(f, " duplicate {}", own.duplicate)?;
        }
        if own.reorder > 0.0 {
            write!(f, " reorder {} {}", own.reorder, Time(own.reorder_by))?;
        }
        own.rate.iter().try_for_each(|rate| write!(f, " rate {rate}"))?;
        if own.queue != perfect.queue {
            write!(f, " queue {}", own.queue)?;
        }
        if own.mtu != perfect.mtu {
            write!(f, " mtu {}", own.mtu)?;
        }
        if own.black_hole { f.write_str(" black-hole") } else { Ok(()) }
    }
}

/// A time in the largest unit that leaves no rest.
pub(super) struct Time(pub(super) Duration);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.0.as_nanos();
        for (unit, word) in [(3_600_000_000_000, "h"), (60_000_000_000, "min"), (1_000_000_000, "s"), (1_000_000, "ms")]
        {
            if nanos > 0 && nanos.is_multiple_of(unit) {
                return write!(f, "{}{word}", nanos / unit);
            }
        }
        match nanos {
            0 => f.write_str("0s"),
            nanos if nanos.is_multiple_of(1000) => write!(f, "{}us", nanos / 1000),
            nanos => write!(f, "{nanos}ns"),
        }
    }
}
