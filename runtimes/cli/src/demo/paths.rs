//! The paths that the sender has used, each from when on.

use std::time::{Duration, Instant};

use switchboard::hub::explain::Explanation;
use switchboard::hub::session::event::PathId;

/// A path from when on.
#[derive(Debug, Clone)]
pub(super) struct Use {
    pub(super) from: Instant,
    pub(super) path: PathId,
    pub(super) direct: bool,
    /// In words.
    pub(super) text: String,
}

/// All of them.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    pub(super) start: Instant,
    pub(super) uses: Vec<Use>,
}

impl Paths {
    pub(super) const fn new(start: Instant) -> Self {
        Self { start, uses: Vec::new() }
    }

    /// Notes the path in use; the use that is new, if it is another than before.
    pub(super) fn note(&mut self, now: Instant, explanation: &Explanation) -> Option<&Use> {
        let path = explanation.path.filter(|path| self.uses.last().is_none_or(|last| last.path != path.path))?;
        let pair = explanation.pair.map(|pair| format!(", {pair}")).unwrap_or_default();
        self.uses.push(Use { from: now, path: path.path, direct: path.direct, text: format!("{path}{pair}") });
        self.uses.last()
    }

    /// How often another one was used than before.
    pub(super) fn changes(&self) -> u64 {
        self.uses.len().saturating_sub(1) as u64
    }

    /// Whether they were relayed, direct, relayed and direct again.
    pub(super) fn is_whole_story(&self) -> bool {
        let mut kinds: Vec<_> = self.uses.iter().map(|used| used.direct).collect();
        kinds.dedup();
        kinds.starts_with(&[false, true, false, true])
    }

    pub(super) fn at(&self, used: &Use) -> Duration {
        used.from - self.start
    }
}
