//! A schedule of actions as bytes: one byte for the action, then what it needs.
//!
//! Plain enough to be written by hand, and a change of one byte changes one action.

/// What is left to read. After the end everything reads as zero and empty.
pub(crate) struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    pub(crate) const fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub(crate) const fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes one action after the other, `most` of them.
    pub(crate) fn play(&mut self, most: usize, mut act: impl FnMut(&mut Self)) {
        for _ in 0..most {
            if self.is_over() {
                return;
            }
            act(self);
        }
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    /// Two bytes, the high one first.
    pub(crate) fn word(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    /// A byte for the length, then as many.
    pub(crate) fn bytes(&mut self) -> &'a [u8] {
        let len = self.byte();
        self.take(len.into())
    }

    pub(crate) fn text(&mut self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    pub(crate) fn list<T>(&mut self, mut one: impl FnMut(&mut Self) -> T) -> Vec<T> {
        (0..self.byte() % 32).map(|_| one(self)).collect()
    }

    fn take(&mut self, len: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
