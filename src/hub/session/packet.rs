//! A packet in the making: records behind its head, at last sealed.
//!
//! The run put last goes to the end of the packet and has no length; it gets one when something follows.

use super::event::PathInfo;
use crate::link::noise::{Sealer, TAG};
use crate::wire::cursor::varint_len;
use crate::wire::session::{Head, Run, SessionKey};

/// Most bytes by which giving a run its length makes a packet grow.
const BOUND: usize = 3;

/// A packet at the end of a buffer.
#[derive(Debug)]
pub(super) struct Packet<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    records: usize,
    end: usize,
    sealed: bool,
    /// Head and body of a run without a length.
    tail: Option<(usize, usize)>,
}

impl<'a> Packet<'a> {
    /// Begins a packet of at most `most` bytes behind what `out` has; sealed unless the path is private.
    pub(super) fn new(
        out: &'a mut Vec<u8>,
        most: usize,
        info: PathInfo,
        attach: Option<SessionKey>,
        counter: u64,
    ) -> Self {
        let start = out.len();
        let head = match attach {
            Some(key) => Head::Attach { key, counter },
            None if info.private => Head::Plain,
            None => Head::Sealed { counter },
        };
        head.put(out);
        let sealed = head != Head::Plain;
        let end = start + most - if sealed { TAG } else { 0 };
        Self { records: out.len(), out, start, end, sealed, tail: None }
    }

    /// Bytes that records may still take.
    pub(super) fn room(&self) -> usize {
        let bound = if self.tail.is_some() { BOUND } else { 0 };
        self.end.saturating_sub(self.out.len() + bound)
    }

    /// Whether there is no record yet.
    pub(super) fn is_empty(&self) -> bool {
        self.out.len() == self.records
    }

    /// Where a record shall be appended.
    pub(super) fn record(&mut self) -> &mut Vec<u8> {
        if let Some((head, body)) = self.tail.take() {
            Run::bound(self.out, head, body);
        }
        self.out
    }

    /// Bytes of a run's head.
    pub(super) fn head_len(run: &Run) -> usize {
        let alive = run.alive.map_or(0, |alive| varint_len(run.number - alive));
        1 + varint_len(u64::from(run.channel)) + varint_len(run.number) + alive
    }

    /// Appends a run's head, and answers where its body shall be appended, up to the end of the packet.
    pub(super) fn run(&mut self, run: &Run) -> &mut Vec<u8> {
        let head = self.record().len();
        let body = run.put(self.out);
        self.tail = Some((head, body));
        self.out
    }

    /// Seals it, or takes it away if it is empty; whether there is one.
    pub(super) fn finish(self, sealer: &mut Sealer) -> bool {
        if self.is_empty() {
            self.out.truncate(self.start);
            return false;
        }
        if self.sealed {
            let (head, text) = self.out[self.start..].split_at_mut(self.records - self.start);
            let (_, tag) = sealer.seal(head, text);
            self.out.extend_from_slice(&tag);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::noise::Opener;
    use crate::wire::cursor::Cursor;
    use crate::wire::session::{Form, Record};

    const RUN: Run = Run { channel: 1, number: 2, form: Form::Messages, alive: None };

    fn info(private: bool) -> PathInfo {
        PathInfo { direct: true, lossy: false, private, split: false }
    }

    fn keys() -> (Sealer, Opener) {
        (Sealer::new(&[1; 32]), Opener::new(&[1; 32]))
    }

    #[test]
    fn only_the_last_run_goes_without_a_length() {
        let mut out = vec![0xee];
        let mut packet = Packet::new(&mut out, 1000, info(true), None, 0);
        for _ in 0..2 {
            packet.run(&RUN).extend_from_slice(b"\x02ab");
        }
        assert!(packet.finish(&mut keys().0));
        let mut cursor = Cursor::new(&out[2..]);
        assert_eq!(cursor.len(), 2 * (3 + 3) + 1);
        for _ in 0..2 {
            assert_eq!(Record::take(&mut cursor), Ok(Record::Run(RUN, b"\x02ab")));
        }
    }

    #[test]
    fn what_is_filled_to_the_brim_is_as_long_as_allowed_and_opens() {
        for attach in [None, Some(SessionKey([5; 16]))] {
            let (mut sealer, mut opener) = keys();
            let mut out = vec![0xee; 7];
            let mut packet = Packet::new(&mut out, 500, info(false), attach, sealer.counter());
            let body = packet.room() - Packet::head_len(&RUN);
            packet.run(&RUN).extend(vec![7; body]);
            assert_eq!(packet.room(), 0);
            assert!(packet.finish(&mut sealer));
            assert_eq!(out.len(), 7 + 500);
            let head = if attach.is_some() { Head::ATTACH } else { Head::SEALED };
            let (head, sealed) = out[7..].split_at_mut(head);
            assert_eq!(opener.open(0, head, sealed), Ok(sealed.len() - TAG));
        }
    }

    #[test]
    fn an_empty_packet_leaves_nothing_behind_and_takes_no_counter() {
        let mut sealer = keys().0;
        let mut out = vec![0xee];
        assert!(!Packet::new(&mut out, 500, info(false), None, 0).finish(&mut sealer));
        assert_eq!((out, sealer.counter()), (vec![0xee], 0));
    }
}
