//! A packet in the making.

use super::chunk::{BEGIN, END, HEAD, IMMEDIATE, REFLECTED, UNORDERED};
use super::{
    COMMON_HEADER, Cause, DATA_HEADER, Data, Header, IDATA_HEADER, InitHead, Parameter, Request, Skipped, Tsn,
    checksum, forward, kind, list, sack,
};

/// One packet, appended to a buffer chunk by chunk. Each chunk is written whole or not at all, so the packet never
/// grows above its limit; it begins at a multiple of four bytes, padded as the one before needs it.
#[derive(Debug)]
pub struct Packet<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    limit: usize,
}

/// A DATA or I-DATA chunk before its payload; the fields are those of [`Data`](super::Data).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataHead {
    /// Its number.
    pub tsn: Tsn,
    /// The stream.
    pub stream: u16,
    /// What the message is; left out of an I-DATA that is not the first.
    pub ppid: u32,
    /// Whether the message is unordered.
    pub is_unordered: bool,
    /// Whether it is the first of its message.
    pub is_begin: bool,
    /// Whether it is the last.
    pub is_end: bool,
    /// Whether it shall be acknowledged at once.
    pub is_immediate: bool,
    /// Whether it is an I-DATA.
    pub is_interleaved: bool,
    /// The SSN, of which the low 16 bits are written, or the MID.
    pub message: u32,
    /// The FSN; left out of DATA, and of the first I-DATA.
    pub fragment: u32,
    /// Bytes of payload that will follow; at least one.
    pub len: usize,
}

impl From<&Data<'_>> for DataHead {
    /// What a chunk that was read begins with.
    fn from(data: &Data<'_>) -> Self {
        Self {
            tsn: data.tsn,
            stream: data.stream,
            ppid: data.ppid,
            is_unordered: data.is_unordered,
            is_begin: data.is_begin,
            is_end: data.is_end,
            is_immediate: data.is_immediate,
            is_interleaved: data.is_interleaved,
            message: data.message,
            fragment: data.fragment,
            len: data.payload.len(),
        }
    }
}

impl DataHead {
    /// Bytes that the head takes.
    pub const fn head_len(is_interleaved: bool) -> usize {
        if is_interleaved { IDATA_HEADER } else { DATA_HEADER }
    }

    const fn flags(&self) -> u8 {
        let mut flags = 0;
        if self.is_end {
            flags |= END;
        }
        if self.is_begin {
            flags |= BEGIN;
        }
        if self.is_unordered {
            flags |= UNORDERED;
        }
        if self.is_immediate {
            flags |= IMMEDIATE;
        }
        flags
    }

    #[inline]
    fn bytes(&self) -> [u8; IDATA_HEADER] {
        let mut bytes = [0; IDATA_HEADER];
        let len = list::length(Self::head_len(self.is_interleaved) + self.len);
        bytes[1] = self.flags();
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.tsn.0.to_be_bytes());
        bytes[8..10].copy_from_slice(&self.stream.to_be_bytes());
        if self.is_interleaved {
            let last = if self.is_begin { self.ppid } else { self.fragment };
            bytes[0] = kind::I_DATA;
            bytes[12..16].copy_from_slice(&self.message.to_be_bytes());
            bytes[16..20].copy_from_slice(&last.to_be_bytes());
        } else {
            bytes[10..12].copy_from_slice(&self.message.to_be_bytes()[2..]);
            bytes[12..16].copy_from_slice(&self.ppid.to_be_bytes());
        }
        bytes
    }
}

impl<'a> Packet<'a> {
    /// Begins a packet at the end of `out`; `limit` is the most bytes that it may have, at most 65,535.
    pub fn begin(out: &'a mut Vec<u8>, header: &Header, limit: usize) -> Self {
        let start = out.len();
        let mut head = [0; COMMON_HEADER];
        head[..2].copy_from_slice(&header.source_port.to_be_bytes());
        head[2..4].copy_from_slice(&header.destination_port.to_be_bytes());
        head[4..8].copy_from_slice(&header.tag.to_be_bytes());
        out.extend_from_slice(&head);
        Self { out, start, limit }
    }

    /// Bytes that another chunk may have, its head and its padding included: a multiple of four.
    pub const fn room(&self) -> usize {
        self.limit.saturating_sub(self.len()) & !3
    }

    /// Bytes that it has.
    pub const fn len(&self) -> usize {
        self.out.len() - self.start
    }

    /// Whether it is empty, which it never is: [`has_chunks`](Self::has_chunks) tells more.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it has a chunk.
    pub const fn has_chunks(&self) -> bool {
        self.len() > COMMON_HEADER
    }

    /// Writes the head of a DATA or I-DATA chunk; the caller has made sure by [`room`](Self::room) that head and
    /// payload fit, and goes on with [`payload`](Self::payload) and [`pad_chunk`](Self::pad_chunk).
    #[inline]
    pub fn data(&mut self, head: &DataHead) {
        let len = DataHead::head_len(head.is_interleaved);
        debug_assert!(len + head.len <= self.room(), "{} bytes of payload have no room", head.len);
        let bytes = head.bytes();
        match head.is_interleaved {
            true => self.out.extend_from_slice(&bytes),
            false => self.out.extend_from_slice(&bytes[..DATA_HEADER]),
        }
    }

    /// Appends a piece of the payload that [`data`](Self::data) has announced.
    #[inline]
    pub fn payload(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Ends the payload.
    #[inline]
    pub fn pad_chunk(&mut self) {
        list::pad(self.out, self.start);
    }

    /// Writes a SACK with as many blocks, and then as many duplicates, as there is room for; `false`: no room at all.
    pub fn sack(
        &mut self,
        cumulative: Tsn,
        window: u32,
        gaps: impl Iterator<Item = (u16, u16)>,
        duplicates: impl Iterator<Item = Tsn>,
    ) -> bool {
        let Some(room) = self.room().checked_sub(HEAD + sack::FIXED) else { return false };
        let at = self.head(kind::SACK, 0);
        self.out.extend_from_slice(&cumulative.0.to_be_bytes());
        self.out.extend_from_slice(&window.to_be_bytes());
        self.out.extend_from_slice(&[0; 4]);
        let room = room / 4;
        let gaps = self.list(gaps.take(room), |(start, end)| (u32::from(start) << 16) | u32::from(end));
        let duplicates = self.list(duplicates.take(room - usize::from(gaps)), |tsn| tsn.0);
        self.out[at + 12..at + 14].copy_from_slice(&gaps.to_be_bytes());
        self.out[at + 14..at + 16].copy_from_slice(&duplicates.to_be_bytes());
        self.end(at);
        true
    }

    /// Writes a list of numbers and counts them; a packet has room for fewer than 65,536.
    fn list<T>(&mut self, items: impl Iterator<Item = T>, number: impl Fn(T) -> u32) -> u16 {
        let before = self.out.len();
        for item in items {
            self.out.extend_from_slice(&number(item).to_be_bytes());
        }
        list::length((self.out.len() - before) / 4)
    }

    /// Writes a FORWARD-TSN or I-FORWARD-TSN with as many streams as there is room for; how many that were, or `None`:
    /// no room at all. Whoever has more to list than fits must give up less at once.
    pub fn forward_tsn(
        &mut self,
        cumulative: Tsn,
        is_interleaved: bool,
        skipped: impl Iterator<Item = Skipped>,
    ) -> Option<usize> {
        let room = self.room().checked_sub(HEAD + forward::FIXED)?;
        let at = self.head(if is_interleaved { kind::I_FORWARD_TSN } else { kind::FORWARD_TSN }, 0);
        self.out.extend_from_slice(&cumulative.0.to_be_bytes());
        let len = Skipped::len(is_interleaved);
        let first = self.out.len();
        for skipped in skipped.take(room / len) {
            skipped.put(self.out, is_interleaved);
        }
        let count = (self.out.len() - first) / len;
        self.end(at);
        Some(count)
    }

    /// Writes any chunk; `false`: no room.
    pub fn chunk(&mut self, kind: u8, flags: u8, value: &[u8]) -> bool {
        self.fits(HEAD + value.len()) && {
            let at = self.head(kind, flags);
            self.out.extend_from_slice(value);
            self.end(at);
            true
        }
    }

    /// Writes SHUTDOWN; `false`: no room.
    pub fn shutdown(&mut self, cumulative: Tsn) -> bool {
        self.chunk(kind::SHUTDOWN, 0, &cumulative.0.to_be_bytes())
    }

    /// Writes SHUTDOWN COMPLETE; `false`: no room.
    pub fn shutdown_complete(&mut self, is_reflected: bool) -> bool {
        self.chunk(kind::SHUTDOWN_COMPLETE, if is_reflected { REFLECTED } else { 0 }, &[])
    }

    /// Writes INIT or INIT ACK; `false`: no room.
    pub fn init(&mut self, is_ack: bool, init: &InitHead, parameters: &[Parameter<'_>]) -> bool {
        self.fits(InitHead::len(parameters)) && {
            init.emit(self.out, is_ack, parameters);
            self.pad_chunk();
            true
        }
    }

    /// Writes ABORT; `false`: no room.
    pub fn abort(&mut self, is_reflected: bool, causes: &[Cause<'_>]) -> bool {
        self.causes(kind::ABORT, if is_reflected { REFLECTED } else { 0 }, causes)
    }

    /// Writes ERROR; `false`: no room.
    pub fn error(&mut self, causes: &[Cause<'_>]) -> bool {
        self.causes(kind::ERROR, 0, causes)
    }

    fn causes(&mut self, kind: u8, flags: u8, causes: &[Cause<'_>]) -> bool {
        self.fits(HEAD + causes.iter().map(Cause::len).sum::<usize>()) && {
            let at = self.head(kind, flags);
            for cause in causes {
                self.pad_chunk();
                list::put(self.out, cause.code, &[cause.value]);
            }
            self.end(at);
            true
        }
    }

    /// Writes RE-CONFIG with one parameter, or two that go together; `false`: no room.
    pub fn reconfig(&mut self, requests: &[Request<'_>]) -> bool {
        self.fits(HEAD + requests.iter().map(Request::len).sum::<usize>()) && {
            let at = self.head(kind::RECONFIG, 0);
            for request in requests {
                self.pad_chunk();
                request.put(self.out);
            }
            self.end(at);
            true
        }
    }

    /// Writes a PAD chunk of `len` bytes, its head included; `false`: no room, or `len` is below four.
    pub fn pad(&mut self, len: usize) -> bool {
        len >= HEAD && self.fits(len) && {
            let at = self.head(kind::PAD, 0);
            self.out.resize(at + len, 0);
            self.end(at);
            true
        }
    }

    /// Ends the packet: the checksum is its CRC32c, or zero where the peer takes that.
    pub fn finish(self, checksum: bool) {
        if checksum {
            checksum::write(&mut self.out[self.start..]);
        }
    }

    /// Takes all of it back.
    pub fn cancel(self) {
        self.out.truncate(self.start);
    }

    const fn fits(&self, len: usize) -> bool {
        len <= self.room()
    }

    /// Begins a chunk; where it begins.
    fn head(&mut self, kind: u8, flags: u8) -> usize {
        let at = self.out.len();
        self.out.extend_from_slice(&[kind, flags, 0, 0]);
        at
    }

    /// Ends the chunk that began there.
    fn end(&mut self, at: usize) {
        let len = list::length(self.out.len() - at);
        self.out[at + 2..at + HEAD].copy_from_slice(&len.to_be_bytes());
        self.pad_chunk();
    }
}
