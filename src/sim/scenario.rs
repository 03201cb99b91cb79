//! A world and what happens to it, as a value: made from a seed or from bytes, written down, loaded, made smaller.
//!
//! A scenario says which gateways and hosts there are, what their links are like, and which faults come when. It does
//! not say what the hosts run: each has a *role*, a word for whoever plays the scenario ([`Scenario::play`]). It has
//! two phases: faults until [`Scenario::heal`], at which everything is mended that a fault had broken, then
//! [`Scenario::converge`], in which the program must come to where it should be.
//!
//! Its text is also its file format, a statement a line, in this order of dependence: a gateway or host is declared
//! before it is named.
//!
//! ```text
//! switchboard scenario 1
//! seed 7
//! gateway home nat eim-apdf
//! host relay role relay port 7433
//! host alice role endpoint in home
//! link home weak-4g
//! link alice up rate 1mbit loss 1% burst 6
//! at 2s cut alice relay
//! heal 20s
//! converge 30s
//! ```

mod decode;
mod parse;
mod play;
mod shrink;
mod text;

use std::time::Duration;

pub use decode::Shape;
pub use parse::{Mistake, ScenarioError};
pub use play::{Cast, Failed, Play};

use super::clock::Clock;
use super::kind::NatKind;
use super::link::Link;
use super::profile::Profile;
use super::world::{OldStreams, Sleep};

/// The version of the text that this program writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// A world and what happens to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scenario {
    /// Of the world.
    pub seed: u64,
    /// What stands between networks, outermost first.
    pub gateways: Vec<GatewaySpec>,
    /// Who runs something.
    pub hosts: Vec<HostSpec>,
    /// Links that are not perfect, of hosts and gateways.
    pub links: Vec<(String, LinkSpec)>,
    /// What happens, by time.
    pub faults: Vec<Timed>,
    /// When everything is mended.
    pub heal: Duration,
    /// How long it may take from then until all is well.
    pub converge: Duration,
}

/// A gateway, and the network behind it that has its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GatewaySpec {
    /// Unique among gateways and hosts.
    pub name: String,
    /// The gateway behind which it is; none: it is in the Internet.
    pub inside: Option<String>,
    /// What it does.
    pub kind: NatKind,
}

/// A host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostSpec {
    /// Unique among gateways and hosts.
    pub name: String,
    /// What it shall be, for whoever plays.
    pub role: String,
    /// The gateway behind which it is; none: it is in the Internet.
    pub inside: Option<String>,
    /// Ports on which it listens.
    pub ports: Vec<u16>,
    /// Its clocks.
    pub clock: Clock,
}

/// A link, by name or by its figures.
#[derive(Debug, Clone, PartialEq)]
pub enum LinkSpec {
    /// One of those that people have.
    Profile(Profile),
    /// Any other.
    Custom(Box<Link>),
}

impl LinkSpec {
    /// What it stands for.
    pub fn link(&self) -> Link {
        match self {
            Self::Profile(profile) => profile.link(),
            Self::Custom(link) => (**link).clone(),
        }
    }
}

/// A fault and its time, counted from the start.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// When.
    pub at: Duration,
    /// What.
    pub fault: Fault,
}

/// What can happen to a world. Names are those of hosts and gateways.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// Nothing crosses between two hosts.
    Cut(String, String),
    /// Nothing crosses from the first host to the second.
    CutOneWay(String, String),
    /// The end of a cut.
    Heal(String, String),
    /// A host or gateway loses its link.
    Unplug(String),
    /// It has it back.
    Plug(String),
    /// A host goes down.
    Kill(String),
    /// A host starts with a new machine, or a gateway forgets its flows.
    Reboot(String),
    /// A gateway forgets its flows and has other addresses.
    Rebind(String),
    /// A host falls asleep.
    Sleep(String),
    /// It wakes up.
    Wake(String, Sleep),
    /// A host goes to another network; none is the Internet.
    Roam(String, Option<String>, OldStreams),
    /// The link of a host or gateway changes.
    Link(String, LinkSpec),
}

impl Fault {
    /// The hosts and gateways that it names.
    pub fn names(&self) -> Vec<&str> {
        match self {
            Self::Cut(a, b) | Self::CutOneWay(a, b) | Self::Heal(a, b) | Self::Roam(a, Some(b), _) => vec![a, b],
            Self::Unplug(name)
            | Self::Plug(name)
            | Self::Kill(name)
            | Self::Reboot(name)
            | Self::Rebind(name)
            | Self::Sleep(name)
            | Self::Wake(name, _)
            | Self::Roam(name, None, _)
            | Self::Link(name, _) => vec![name],
        }
    }
}
