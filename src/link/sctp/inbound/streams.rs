//! Which ordered message of each stream comes next, in pages made when a stream is first heard of.
//!
//! A peer that uses all 65,535 streams makes this hold 256 KiB of numbers and 8 KiB of directory; no more.

/// Streams of a page.
const PAGE: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Streams {
    pages: Vec<Option<Box<[u32; PAGE]>>>,
}

impl Streams {
    /// The number of the message that comes next.
    #[inline]
    pub(super) fn next(&mut self, stream: u16) -> &mut u32 {
        let (page, place) = (usize::from(stream) / PAGE, usize::from(stream) % PAGE);
        if self.pages.len() <= page {
            self.pages.resize_with(page + 1, || None);
        }
        &mut self.pages[page].get_or_insert_with(|| Box::new([0; PAGE]))[place]
    }

    /// Begins a stream anew.
    pub(super) fn reset(&mut self, stream: u16) {
        *self.next(stream) = 0;
    }
}
