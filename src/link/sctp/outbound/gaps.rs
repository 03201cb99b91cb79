//! What gap blocks have told so far, so that each says only what is new.
//!
//! A SACK repeats all blocks that there are. Here they are kept as runs, in order, and a SACK is laid over them: what is
//! in a block and in no run is acknowledged now; what is in a run and in no block, though the SACK reports what lies
//! beyond, was acknowledged once and is so no more. Runs beyond the last block stay: a receiver reports a limited number
//! of blocks, but one at least if it has any. So a SACK costs as many steps as it has blocks, and runs that it does away with.
//!
//! Blocks are expected in ascending order and apart, as every receiver sends them. One that is not is passed over.

use std::collections::VecDeque;

/// Serials from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) first: u64,
    pub(super) last: u64,
}

/// What a SACK changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// These have arrived.
    Acked(Run),
    /// These had, and the receiver has them no longer.
    Reneged(Run),
}

/// All that is acknowledged beyond the cumulative TSN.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    runs: VecDeque<Run>,
    blocks: Vec<Run>,
}

impl Gaps {
    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// All below `base` is acknowledged cumulatively.
    pub(super) fn advance(&mut self, base: u64) {
        while self.runs.front().is_some_and(|run| run.last < base) {
            self.runs.pop_front();
        }
        if let Some(front) = self.runs.front_mut() {
            front.first = front.first.max(base);
        }
    }

    /// Lays the blocks of a SACK over the runs; how many blocks were out of order.
    pub(super) fn update(&mut self, blocks: impl Iterator<Item = Run>, mut each: impl FnMut(Change)) -> u64 {
        let (mut settled, mut strange) = (0, 0);
        self.blocks.clear();
        for block in blocks {
            if block.first < settled {
                strange += 1;
                continue;
            }
            self.renege_before(block.first, &mut each);
            self.cover(block, &mut each);
            self.blocks.push(block);
            settled = block.last + 1;
        }
        if self.blocks.is_empty() {
            self.renege_before(u64::MAX, &mut each);
        }
        for block in self.blocks.drain(..).rev() {
            push_front(&mut self.runs, block);
        }
        strange
    }

    /// Gives the memory back when there is nothing.
    pub(super) fn trim(&mut self) {
        if self.runs.is_empty() {
            *self = Self::default();
        }
    }

    fn renege_before(&mut self, first: u64, each: &mut impl FnMut(Change)) {
        while let Some(run) = self.runs.front_mut().filter(|run| run.first < first) {
            let gone = Run { first: run.first, last: run.last.min(first - 1) };
            each(Change::Reneged(gone));
            if run.last >= first {
                run.first = first;
                return;
            }
            self.runs.pop_front();
        }
    }

    /// Takes the runs within a block away and tells of what is between them.
    fn cover(&mut self, block: Run, each: &mut impl FnMut(Change)) {
        let mut next = block.first;
        while let Some(run) = self.runs.front_mut().filter(|run| run.first <= block.last) {
            if next < run.first {
                each(Change::Acked(Run { first: next, last: run.first - 1 }));
            }
            next = run.last + 1;
            if run.last > block.last {
                run.first = block.last + 1;
                return;
            }
            self.runs.pop_front();
        }
        if next <= block.last {
            each(Change::Acked(Run { first: next, last: block.last }));
        }
    }
}

fn push_front(runs: &mut VecDeque<Run>, run: Run) {
    match runs.front_mut().filter(|front| front.first == run.last + 1) {
        Some(front) => front.first = run.first,
        None => runs.push_front(run),
    }
}
