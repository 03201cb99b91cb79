//! Whom a relay serves, and how much of it each may have.
//!
//! A [`Policy`] is asked once a link is proved: nobody who has not shown a key gets that far. [`Quotas`] count per
//! key, over all links of all its processes. What exceeds one is refused or dropped with its reason; it never makes
//! another neighbour wait.

use std::collections::{BTreeMap, BTreeSet};

use crate::link::noise::Token;
use crate::machine::bucket::Bucket;
use crate::machine::time::Instant;
use crate::wire::identity::EndpointId;

/// Whom a hub passes messages on for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Policy {
    /// Nobody: this hub is an endpoint and no relay.
    #[default]
    Closed,
    /// Whoever proves a key.
    Open,
    /// These keys; others are sent away.
    AllowList(BTreeSet<EndpointId>),
    /// Whoever knows one of these words; others are sent away.
    JoinToken(Vec<Token>),
}

impl Policy {
    /// Whether the hub is a relay.
    pub const fn relays(&self) -> bool {
        !matches!(self, Self::Closed)
    }

    /// Whether a neighbour that has dialled us may stay.
    pub fn admits(&self, id: &EndpointId, token: Option<&Token>) -> bool {
        match self {
            Self::Closed | Self::Open => true,
            Self::AllowList(ids) => ids.contains(id),
            Self::JoinToken(tokens) => token.is_some_and(|token| tokens.contains(token)),
        }
    }
}

/// What one key may have of a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quotas {
    /// Links at a time.
    pub links: usize,
    /// Bytes a second that are passed on for it; a burst of one second's worth is let through.
    pub bytes_per_second: u64,
    /// Routes at a time that it has asked for.
    pub sessions: usize,
    /// Rooms at a time.
    pub rooms: usize,
}

impl Default for Quotas {
    fn default() -> Self {
        Self { links: 16, bytes_per_second: u64::MAX, sessions: 1024, rooms: 64 }
    }
}

/// What each key has of this relay.
#[derive(Debug)]
pub(super) struct Accounts {
    quotas: Quotas,
    by_id: BTreeMap<EndpointId, Account>,
}

#[derive(Debug)]
struct Account {
    links: usize,
    sessions: usize,
    bucket: Bucket,
}

impl Accounts {
    pub(super) const fn new(quotas: Quotas) -> Self {
        Self { quotas, by_id: BTreeMap::new() }
    }

    /// Counts a link; false: there are enough.
    pub(super) fn add_link(&mut self, now: Instant, id: EndpointId) -> bool {
        let quotas = &self.quotas;
        let fresh = || Account { links: 0, sessions: 0, bucket: Bucket::new(now, quotas.bytes_per_second) };
        let account = self.by_id.entry(id).or_insert_with(fresh);
        if account.links >= quotas.links {
            return false;
        }
        account.links += 1;
        true
    }

    /// A link has gone.
    pub(super) fn remove_link(&mut self, id: EndpointId) {
        let Some(account) = self.by_id.get_mut(&id) else { return };
        account.links = account.links.saturating_sub(1);
        if account.links == 0 {
            self.by_id.remove(&id);
        }
    }

    /// Counts a route; false: there are enough.
    pub(super) fn add_session(&mut self, id: EndpointId) -> bool {
        let Some(account) = self.by_id.get_mut(&id) else { return false };
        if account.sessions >= self.quotas.sessions {
            return false;
        }
        account.sessions += 1;
        true
    }

    /// A route has gone.
    pub(super) fn remove_session(&mut self, id: EndpointId) {
        if let Some(account) = self.by_id.get_mut(&id) {
            account.sessions = account.sessions.saturating_sub(1);
        }
    }

    /// Whether so many bytes may be passed on for that key now.
    pub(super) fn pass(&mut self, now: Instant, id: EndpointId, bytes: usize) -> bool {
        if self.quotas.bytes_per_second == u64::MAX {
            return true;
        }
        self.by_id.get_mut(&id).is_some_and(|account| account.bucket.take(now, bytes as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: EndpointId = EndpointId([1; 32]);

    #[test]
    fn a_key_gets_what_its_quota_says() {
        let mut accounts = Accounts::new(Quotas { links: 2, sessions: 1, ..Quotas::default() });
        let mut link = || accounts.add_link(Instant::ZERO, ID);
        assert_eq!([link(), link(), link()], [true, true, false]);
        assert_eq!([accounts.add_session(ID), accounts.add_session(ID)], [true, false]);
        accounts.remove_session(ID);
        assert!(accounts.add_session(ID));
    }

    #[test]
    fn a_policy_admits_whom_it_names() {
        let other = EndpointId([2; 32]);
        let listed = Policy::AllowList([ID].into());
        assert_eq!([listed.admits(&ID, None), listed.admits(&other, None)], [true, false]);
        let word = |word: &[u8]| Token::new(word);
        let token = Policy::JoinToken(word(b"word").into_iter().collect());
        let given = [word(b"word"), word(b"wor"), None].map(|given| token.admits(&ID, given.as_ref()));
        assert_eq!(given, [true, false, false]);
        assert!(Policy::Open.admits(&other, None) && !Policy::Closed.relays());
    }
}
