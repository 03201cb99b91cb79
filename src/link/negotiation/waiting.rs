//! Candidates that came before their description.

use std::collections::VecDeque;

use crate::wire::candidate::Candidate;

/// A bounded list; of more the oldest goes.
#[derive(Debug)]
pub(super) struct Waiting {
    items: VecDeque<Item>,
    limit: usize,
    /// Of the last description that came, in force or not: what an end of candidates belongs to.
    last: Option<String>,
    /// How many more candidates of the description in force are passed on.
    budget: usize,
}

/// What waits.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// A candidate.
    Candidate(Candidate),
    /// The end of those with this fragment; none: that of whatever description comes next.
    End(Option<String>),
}

impl Waiting {
    pub(super) const fn new(limit: usize) -> Self {
        Self { items: VecDeque::new(), limit, last: None, budget: 0 }
    }

    /// Puts something at the end, unless it is there; true: something else had to go.
    pub(super) fn push(&mut self, item: Item) -> bool {
        if self.items.contains(&item) {
            return false;
        }
        let full = self.items.len() >= self.limit;
        if full {
            self.items.pop_front();
        }
        if self.limit > 0 {
            self.items.push_back(item);
        }
        full
    }

    /// A description has come that is passed over.
    pub(super) fn passed_over(&mut self, ufrag: &str) {
        self.last = Some(ufrag.to_owned());
    }

    /// A description is in force now: what belongs to it, and how much does not.
    pub(super) fn in_force(&mut self, ufrag: &str) -> (Vec<Item>, u64) {
        self.last = Some(ufrag.to_owned());
        let all = std::mem::take(&mut self.items);
        let (own, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|item| item.belongs(ufrag));
        let stale = others.iter().filter(|item| matches!(item, Item::Candidate(_))).count();
        (own, stale as u64)
    }

    /// A description with new credentials allows so many candidates.
    pub(super) const fn allow(&mut self, candidates: usize) {
        self.budget = candidates;
    }

    /// Takes one from what is allowed.
    pub(super) const fn take(&mut self) -> bool {
        let some = self.budget > 0;
        self.budget = self.budget.saturating_sub(1);
        some
    }

    /// What an end of candidates that comes now belongs to.
    pub(super) fn last(&self) -> Option<&str> {
        self.last.as_deref()
    }

    pub(super) fn clear(&mut self) {
        self.items.clear();
    }
}

impl Item {
    fn belongs(&self, ufrag: &str) -> bool {
        let own = match self {
            Self::Candidate(candidate) => candidate.ufrag.as_deref(),
            Self::End(ufrag) => ufrag.as_deref(),
        };
        own.is_none_or(|own| own == ufrag)
    }
}
