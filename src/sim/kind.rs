//! Kinds of NAT: the thirteen that tests and tables go through, and the gateways that each is made of.
//!
//! The [oracle](super::oracle) knows nothing of them: its words are converted from ours here.

use std::fmt;
use std::str::FromStr;

use super::filter::Dependence;
use super::firewall::{FirewallConfig, Inward, Outward};
use super::nat::NatConfig;
use super::oracle;

/// What stands between a host and the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NatKind {
    /// Nothing: the host has a public address.
    None,
    /// One NAT, which preserves ports and does not hairpin.
    Nat {
        /// On what the external port depends.
        mapping: Dependence,
        /// On what it depends who is let in.
        filtering: Dependence,
    },
    /// A symmetric NAT inside a carrier's symmetric NAT; both map and filter by address and port.
    NestedSymmetric,
    /// A NAT as homes have it, and a firewall that lets no UDP out.
    UdpBlocked,
    /// A NAT as homes have it, and a firewall that lets out only TCP to port 443.
    TcpOnly443,
}

/// One gateway between a host and the internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gateway {
    /// Its NAT; none: it translates nothing.
    pub nat: Option<NatConfig>,
    /// Its firewall, inside of the NAT.
    pub firewall: FirewallConfig,
    /// What of IPv6 it lets in, which is not translated: answers only, by default. What goes out is the firewall's to
    /// say.
    pub inward_v6: Inward,
}

impl Default for Gateway {
    fn default() -> Self {
        let inward_v6 = Inward::Answers(Dependence::AddressAndPortDependent);
        Self { nat: None, firewall: FirewallConfig::default(), inward_v6 }
    }
}

/// A word that names no [`NatKind`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no kind of NAT is called {0:?}: there are {all}", all = NatKind::ALL.map(|kind| kind.to_string()).join(", "))]
pub struct UnknownKind(pub String);

impl Gateway {
    /// One that lets everything pass both ways: a NAT that maps and filters by nothing, and no filter for IPv6.
    pub fn open() -> Self {
        let nat = Some(NatConfig::new(Dependence::EndpointIndependent, Dependence::EndpointIndependent));
        Self { nat, inward_v6: Inward::All, ..Self::default() }
    }

    /// What it is for IPv4, in the oracle's words.
    pub fn v4(self) -> oracle::Gateway {
        let Self { nat, firewall, .. } = self;
        oracle::Gateway { nat: nat.map(Into::into), passes: firewall.outward.into(), guard: firewall.inward.guard() }
    }

    /// What it is for IPv6, in the oracle's words.
    pub fn v6(self) -> oracle::Gateway {
        oracle::Gateway { nat: None, passes: self.firewall.outward.into(), guard: self.inward_v6.guard() }
    }
}

impl Inward {
    fn guard(self) -> Option<oracle::Depends> {
        match self {
            Self::All => None,
            Self::Answers(filter) => Some(filter.into()),
        }
    }
}

impl NatKind {
    /// All thirteen, from the most open to the closest.
    pub const ALL: [Self; 13] = {
        use Dependence::{
            AddressAndPortDependent as AddressAndPort, AddressDependent as Address, EndpointIndependent as Nothing,
        };
        [
            Self::None,
            Self::nat(Nothing, Nothing),
            Self::nat(Nothing, Address),
            Self::nat(Nothing, AddressAndPort),
            Self::nat(Address, Nothing),
            Self::nat(Address, Address),
            Self::nat(Address, AddressAndPort),
            Self::nat(AddressAndPort, Nothing),
            Self::nat(AddressAndPort, Address),
            Self::nat(AddressAndPort, AddressAndPort),
            Self::NestedSymmetric,
            Self::UdpBlocked,
            Self::TcpOnly443,
        ]
    };

    /// Its gateways, the outermost first.
    pub fn gateways(self) -> Vec<Gateway> {
        use Dependence::AddressAndPortDependent;
        let plain = |nat| Gateway { nat: Some(nat), ..Gateway::default() };
        let guarded =
            |outward| Gateway { firewall: FirewallConfig::new(outward, Inward::All), ..plain(NatConfig::default()) };
        match self {
            Self::None => Vec::new(),
            Self::Nat { mapping, filtering } => vec![plain(NatConfig::new(mapping, filtering))],
            Self::NestedSymmetric => vec![plain(NatConfig::new(AddressAndPortDependent, AddressAndPortDependent)); 2],
            Self::UdpBlocked => vec![guarded(Outward::NoUdp)],
            Self::TcpOnly443 => vec![guarded(Outward::TcpOnly443)],
        }
    }

    const fn nat(mapping: Dependence, filtering: Dependence) -> Self {
        Self::Nat { mapping, filtering }
    }
}

impl fmt::Display for NatKind {
    /// Writes its code: `none`, `eim-eif` to `apdm-apdf`, `nested-symmetric`, `udp-blocked`, `tcp-443`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.pad("none"),
            Self::Nat { mapping, filtering } => f.pad(&format!("{}m-{}f", letters(*mapping), letters(*filtering))),
            Self::NestedSymmetric => f.pad("nested-symmetric"),
            Self::UdpBlocked => f.pad("udp-blocked"),
            Self::TcpOnly443 => f.pad("tcp-443"),
        }
    }
}

const fn letters(dependence: Dependence) -> &'static str {
    match dependence {
        Dependence::EndpointIndependent => "ei",
        Dependence::AddressDependent => "ad",
        Dependence::AddressAndPortDependent => "apd",
    }
}

impl FromStr for NatKind {
    type Err = UnknownKind;

    fn from_str(code: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.to_string() == code).ok_or_else(|| UnknownKind(code.to_owned()))
    }
}

impl From<NatConfig> for oracle::Nat {
    fn from(nat: NatConfig) -> Self {
        Self { mapping: nat.mapping.into(), filtering: nat.filtering.into(), hairpins: nat.hairpin }
    }
}

impl From<Outward> for oracle::Passes {
    fn from(outward: Outward) -> Self {
        match outward {
            Outward::All => Self::All,
            Outward::NoUdp => Self::NoUdp,
            Outward::TcpOnly443 => Self::Tcp443,
        }
    }
}

impl From<Dependence> for oracle::Depends {
    fn from(dependence: Dependence) -> Self {
        match dependence {
            Dependence::EndpointIndependent => Self::Nothing,
            Dependence::AddressDependent => Self::Address,
            Dependence::AddressAndPortDependent => Self::AddressAndPort,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn there_are_thirteen_kinds_each_with_a_code_that_names_it() {
        let codes: BTreeSet<_> = NatKind::ALL.iter().map(NatKind::to_string).collect();
        assert_eq!(codes.len(), 13);
        for kind in NatKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!(codes.contains("eim-apdf") && codes.contains("apdm-eif"), "{codes:?}");
    }

    #[test]
    fn a_word_that_names_no_kind_is_answered_with_those_there_are() {
        let error = "cone".parse::<NatKind>().unwrap_err().to_string();
        assert!(
            error.contains("\"cone\"") && error.contains("none, eim-eif, ") && error.ends_with("tcp-443"),
            "{error}"
        );
    }
}
