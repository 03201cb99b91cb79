//! Links with names, from good to hopeless.
//!
//! The figures are those of iroh's ladder of degraded links (`tests/patchbay/degrade.rs` of iroh 1.4.1): rate, round
//! trip, jitter, loss, mean length of a burst of losses. Half the round trip and half the jitter are spent each way;
//! loss holds for each direction by itself.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::link::{Conditions, Delay, Link, Loss};

/// A kind of link that people have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Profile {
    /// 100 Mbit/s, 16 ms, 0.1 % loss.
    GoodWifi,
    /// 25 Mbit/s, 40 ms with 12 ms of jitter, 1 % loss in bursts of 6.
    CongestedWifi,
    /// 8 Mbit/s, 90 ms with 15 ms of jitter, 2 % loss in bursts of 8.
    Weak4g,
    /// 3 Mbit/s, 200 ms with 30 ms of jitter, 3 % loss in bursts of 10.
    Slow3g,
    /// 1.5 Mbit/s, 300 ms with 40 ms of jitter, 5 % loss in bursts of 12.
    CongestedCellular,
    /// 0.8 Mbit/s, 450 ms with 60 ms of jitter, 8 % loss in bursts of 20.
    VeryBadCellular,
    /// 25 Mbit/s, 600 ms with 40 ms of jitter, 1.5 % loss in bursts of 6.
    Satellite,
    /// 0.5 Mbit/s, 450 ms with 80 ms of jitter, 12 % loss in bursts of 25.
    BarelyUsable,
    /// 0.256 Mbit/s, 800 ms with 150 ms of jitter, 25 % loss in bursts of 40.
    Absurd,
}

struct Figures {
    name: &'static str,
    kilobits: u64,
    round_trip: u64,
    jitter: u64,
    loss: f64,
    burst: f64,
}

impl Profile {
    /// All of them, from good to hopeless.
    pub const ALL: [Self; 9] = [
        Self::GoodWifi,
        Self::CongestedWifi,
        Self::Weak4g,
        Self::Slow3g,
        Self::CongestedCellular,
        Self::VeryBadCellular,
        Self::Satellite,
        Self::BarelyUsable,
        Self::Absurd,
    ];

    /// The link that it stands for. Its queue holds a quarter of a second, and at least 32 KiB.
    pub fn link(self) -> Link {
        let Figures { kilobits, round_trip, jitter, loss, burst, .. } = self.figures();
        let rate = kilobits * 125;
        let half = |millis: u64| Duration::from_micros(millis * 500);
        Link::symmetric(Conditions {
            delay: if jitter == 0 {
                Delay::Constant(half(round_trip))
            } else {
                Delay::Normal(half(round_trip), half(jitter))
            },
            loss: if burst > 1.0 { Loss::bursts(loss, burst) } else { Loss::Independent(loss) },
            rate: Some(rate),
            queue: (rate / 4).max(32 * 1024),
            ..Conditions::default()
        })
    }

    const fn figures(self) -> Figures {
        let (name, kilobits, round_trip, jitter, loss, burst) = match self {
            Self::GoodWifi => ("good-wifi", 100_000, 16, 0, 0.001, 1.0),
            Self::CongestedWifi => ("congested-wifi", 25_000, 40, 12, 0.01, 6.0),
            Self::Weak4g => ("weak-4g", 8_000, 90, 15, 0.02, 8.0),
            Self::Slow3g => ("slow-3g", 3_000, 200, 30, 0.03, 10.0),
            Self::CongestedCellular => ("congested-cellular", 1_500, 300, 40, 0.05, 12.0),
            Self::VeryBadCellular => ("very-bad-cellular", 800, 450, 60, 0.08, 20.0),
            Self::Satellite => ("satellite", 25_000, 600, 40, 0.015, 6.0),
            Self::BarelyUsable => ("barely-usable", 500, 450, 80, 0.12, 25.0),
            Self::Absurd => ("absurd", 256, 800, 150, 0.25, 40.0),
        };
        Figures { name, kilobits, round_trip, jitter, loss, burst }
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.figures().name)
    }
}

/// There is no profile of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "no profile {0:?}; there are: good-wifi congested-wifi weak-4g slow-3g congested-cellular very-bad-cellular satellite barely-usable absurd"
)]
pub struct NoSuchProfile(pub String);

impl FromStr for Profile {
    type Err = NoSuchProfile;

    fn from_str(name: &str) -> Result<Self, NoSuchProfile> {
        let found = Self::ALL.into_iter().find(|profile| profile.figures().name == name);
        found.ok_or_else(|| NoSuchProfile(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_found_by_its_name() {
        for profile in Profile::ALL {
            assert_eq!(profile.to_string().parse(), Ok(profile));
        }
    }

    #[test]
    fn an_unknown_name_is_told_what_there_is() {
        let error = "5g".parse::<Profile>().unwrap_err().to_string();
        assert!(error.contains("\"5g\"") && Profile::ALL.iter().all(|profile| error.contains(&profile.to_string())));
    }
}
