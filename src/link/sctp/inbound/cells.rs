//! Bytes that wait, in chains of small cells.
//!
//! Fragments out of order, and messages that wait for others, lie here. A chain joins another in one step, wherever
//! fragments meet, and is let go in one; its bytes are copied out once, when its message is whole. Each cell counts with
//! its full size, so a fragment of one byte costs its sender's window what it costs here.

/// Bytes of a cell in memory, and what it counts.
pub(super) const CELL: usize = 128;
/// Bytes of payload in a cell.
const PAYLOAD: usize = CELL - 8;
const NONE: u32 = u32::MAX;

#[derive(Debug, Clone, Copy)]
struct Cell {
    next: u32,
    len: u32,
    bytes: [u8; PAYLOAD],
}

/// Some bytes: at least one.
#[derive(Debug)]
pub(super) struct Chain {
    head: u32,
    tail: u32,
    cells: usize,
    len: usize,
}

impl Chain {
    /// Its bytes.
    pub(super) const fn len(&self) -> usize {
        self.len
    }
}

#[derive(Debug)]
pub(super) struct Cells {
    cells: Vec<Cell>,
    free: u32,
    used: usize,
}

impl Default for Cells {
    fn default() -> Self {
        Self { cells: Vec::new(), free: NONE, used: 0 }
    }
}

impl Cells {
    /// What all chains count, in bytes.
    #[inline]
    pub(super) const fn charge(&self) -> usize {
        self.used * CELL
    }

    pub(super) fn store(&mut self, bytes: &[u8]) -> Chain {
        let mut chain = Chain { head: NONE, tail: NONE, cells: 0, len: bytes.len() };
        for piece in bytes.chunks(PAYLOAD) {
            let at = self.cell(piece);
            if chain.head == NONE {
                chain.head = at;
            } else {
                self.cells[chain.tail as usize].next = at;
            }
            chain.tail = at;
            chain.cells += 1;
        }
        self.used += chain.cells;
        chain
    }

    #[expect(clippy::cast_possible_truncation, reason = "a window has fewer than 2³² cells")]
    fn cell(&mut self, piece: &[u8]) -> u32 {
        if self.free == NONE {
            self.free = self.cells.len() as u32;
            self.cells.push(Cell { next: NONE, len: 0, bytes: [0; PAYLOAD] });
        }
        let at = self.free;
        let cell = &mut self.cells[at as usize];
        self.free = std::mem::replace(&mut cell.next, NONE);
        cell.len = piece.len() as u32;
        cell.bytes[..piece.len()].copy_from_slice(piece);
        at
    }

    /// Both, one after the other.
    pub(super) fn join(&mut self, first: Chain, second: Chain) -> Chain {
        self.cells[first.tail as usize].next = second.head;
        Chain { head: first.head, tail: second.tail, cells: first.cells + second.cells, len: first.len + second.len }
    }

    /// Appends a chain's bytes to `out` and lets it go.
    pub(super) fn pour(&mut self, chain: Chain, out: &mut Vec<u8>) {
        let mut at = chain.head;
        for _ in 0..chain.cells {
            let cell = &self.cells[at as usize];
            out.extend_from_slice(&cell.bytes[..cell.len as usize]);
            at = cell.next;
        }
        self.free(chain);
    }

    pub(super) fn free(&mut self, chain: Chain) {
        self.cells[chain.tail as usize].next = self.free;
        self.free = chain.head;
        self.used -= chain.cells;
    }

    /// Gives the memory back, if nothing waits.
    pub(super) fn trim(&mut self) {
        if self.used == 0 {
            *self = Self::default();
        }
    }
}
