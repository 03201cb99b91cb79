//! When which client has to be looked at: one deadline each, of one of two kinds.

use std::collections::{BTreeMap, BTreeSet};

use super::Tuple;
use crate::machine::Deadline;
use crate::machine::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// An allocation or one of its permissions expires.
    Expiry,
    /// A client without an allocation has been silent for long.
    Silence,
}

#[derive(Debug, Default)]
pub(super) struct Deadlines {
    of: BTreeMap<Tuple, (Due, Instant)>,
    expiries: BTreeSet<(Instant, Tuple)>,
    silences: BTreeSet<(Instant, Tuple)>,
}

impl Deadlines {
    pub(super) fn set(&mut self, client: Tuple, deadline: Option<(Due, Instant)>) {
        if let Some((due, at)) = self.of.remove(&client) {
            self.list(due).remove(&(at, client));
        }
        if let Some((due, at)) = deadline {
            self.of.insert(client, (due, at));
            self.list(due).insert((at, client));
        }
    }

    pub(super) fn earliest(&self) -> Option<Deadline> {
        let expiry = self.expiries.first().map(|(at, _)| Deadline::new(*at, "a permission or an allocation expires"));
        let silence =
            self.silences.first().map(|(at, _)| Deadline::new(*at, "a client without an allocation is silent"));
        expiry.into_iter().chain(silence).min_by_key(|deadline| deadline.at)
    }

    /// Clears and answers one client whose deadline is due.
    pub(super) fn take_due(&mut self, now: Instant) -> Option<(Due, Tuple)> {
        let expiry = self.expiries.first().map(|(at, client)| (*at, Due::Expiry, *client));
        let silence = self.silences.first().map(|(at, client)| (*at, Due::Silence, *client));
        let (at, due, client) = expiry.into_iter().chain(silence).min_by_key(|(at, ..)| *at)?;
        if at > now {
            return None;
        }
        self.set(client, None);
        Some((due, client))
    }

    /// How many wait for silence to end them, and who has been silent longest.
    pub(super) fn silent(&self) -> (usize, Option<Tuple>) {
        (self.silences.len(), self.silences.first().map(|(_, client)| *client))
    }

    fn list(&mut self, due: Due) -> &mut BTreeSet<(Instant, Tuple)> {
        match due {
            Due::Expiry => &mut self.expiries,
            Due::Silence => &mut self.silences,
        }
    }
}
