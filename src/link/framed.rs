//! Messages on a plain byte stream: each behind a [`Header`] of four bytes.
//!
//! *Receiving.* A frame that lies whole in the received chunk is lent from it. One that spans chunks is gathered
//! in a vector that grows with what has come, never with what was announced, and is given away with the message.
//!
//! *Stopping.* When the receiver says [`Flow::Stop`], what it has not seen of the chunk is kept, at most the chunk,
//! and a cursor moves through it however often the receiver stops again. Nothing is delivered until it resumes by
//! `receive` with no data. Kept or gathered, memory goes back as soon as it is used up: an idle link owns none.
//!
//! *Sending.* A message is written straight into the caller's buffer, header before body, its length known; no
//! message is taken from above while the buffer is full.

use std::mem;

use crate::machine::Fill;
use crate::machine::buf::Buf;
use crate::machine::kept::Kept;
use crate::machine::payload::{Flow, Framer, Kind, Payload};
use crate::wire::length::Header;

/// One end of a stream of length-delimited messages.
#[derive(Debug)]
pub struct Framed {
    max_message: usize,
    state: State,
    kept: Kept,
    head: [u8; Header::SIZE],
    head_len: usize,
    message: Option<Partial>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Open,
    Stopped,
    Broken,
}

/// A message of which some bytes have come.
#[derive(Debug)]
struct Partial {
    header: Header,
    bytes: Vec<u8>,
}

/// The rule that the peer broke; the stream can't be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misbehaved {
    /// Refused on the header alone.
    #[error("a message of {announced} bytes was announced, the limit is {limit}")]
    TooBig {
        /// What the header says.
        announced: usize,
        /// What the link accepts.
        limit: usize,
    },
}

impl Framed {
    /// A link that accepts messages of up to `max_message` bytes.
    pub const fn new(max_message: usize) -> Self {
        Self { max_message, state: State::Open, kept: Kept::new(), head: [0; Header::SIZE], head_len: 0, message: None }
    }

    /// Takes received bytes and hands up the messages that they complete.
    ///
    /// Answers `Stop` once `up` did. From then on data is only kept behind the rest, and a call without data goes
    /// on where the receiver stopped.
    ///
    /// # Errors
    /// The rule that the peer broke. Afterwards everything received is discarded.
    pub fn receive(
        &mut self,
        data: &mut [u8],
        up: &mut dyn FnMut(Kind, Payload<'_>) -> Flow,
    ) -> Result<Flow, Misbehaved> {
        let result = match self.state {
            State::Broken => Ok(Flow::Go),
            State::Open => self.chunk(data, up),
            State::Stopped if data.is_empty() => self.resume(up),
            State::Stopped => Ok(self.keep(data)),
        };
        if result.is_err() {
            *self = Self { state: State::Broken, ..Self::new(self.max_message) };
        }
        result
    }

    /// Writes messages until the buffer is full or `supply` has none.
    pub fn fill(&mut self, buf: &mut Buf, supply: &mut dyn FnMut(&mut dyn Framer) -> bool) -> Fill {
        let mut writer = Writer { buf };
        while !writer.buf.is_full() {
            if !supply(&mut writer) {
                return Fill::Done;
            }
        }
        Fill::More
    }

    /// Whether a message has begun that is not complete: a stream that ends here was cut off.
    ///
    /// Says nothing about what is kept since the receiver stopped: resume first.
    pub const fn is_mid_message(&self) -> bool {
        self.head_len > 0 || self.message.is_some()
    }

    fn chunk(&mut self, data: &[u8], up: &mut dyn FnMut(Kind, Payload<'_>) -> Flow) -> Result<Flow, Misbehaved> {
        let (used, flow) = self.parse(data, up)?;
        if flow == Flow::Stop {
            self.state = State::Stopped;
            self.kept.keep(&data[used..]);
        }
        Ok(flow)
    }

    fn resume(&mut self, up: &mut dyn FnMut(Kind, Payload<'_>) -> Flow) -> Result<Flow, Misbehaved> {
        let (kept, flow) = mem::take(&mut self.kept).resume(|rest| self.parse(rest, up))?;
        if flow == Flow::Go {
            self.state = State::Open;
        }
        self.kept = kept;
        Ok(flow)
    }

    fn keep(&mut self, data: &[u8]) -> Flow {
        self.kept.keep(data);
        Flow::Stop
    }

    /// Answers how much it took: everything, unless the receiver stopped.
    fn parse(
        &mut self,
        data: &[u8],
        up: &mut dyn FnMut(Kind, Payload<'_>) -> Flow,
    ) -> Result<(usize, Flow), Misbehaved> {
        let mut at = 0;
        while at < data.len() {
            let (used, flow) = match self.message.take() {
                Some(message) => self.gather(message, &data[at..], up),
                None => self.begin(&data[at..], up)?,
            };
            at += used;
            if flow == Flow::Stop {
                return Ok((at, Flow::Stop));
            }
        }
        Ok((at, Flow::Go))
    }

    fn begin(
        &mut self,
        data: &[u8],
        up: &mut dyn FnMut(Kind, Payload<'_>) -> Flow,
    ) -> Result<(usize, Flow), Misbehaved> {
        let Some((header, size)) = self.header(data) else { return Ok((data.len(), Flow::Go)) };
        let len = header.body_len();
        if len > self.max_message {
            return Err(Misbehaved::TooBig { announced: len, limit: self.max_message });
        }
        if let Some(body) = data[size..].get(..len) {
            return Ok((size + len, up(header.kind(), Payload::Borrowed(body))));
        }
        let (used, flow) = self.gather(Partial { header, bytes: Vec::new() }, &data[size..], up);
        Ok((size + used, flow))
    }

    /// The next header, and how many bytes of `data` it took; `None` when it took them all and is not complete.
    fn header(&mut self, data: &[u8]) -> Option<(Header, usize)> {
        if self.head_len == 0
            && let Some(head) = data.first_chunk()
        {
            return Some((Header::decode(*head), Header::SIZE));
        }
        let size = data.len().min(Header::SIZE - self.head_len);
        self.head[self.head_len..][..size].copy_from_slice(&data[..size]);
        self.head_len = (self.head_len + size) % Header::SIZE;
        (self.head_len == 0).then(|| (Header::decode(self.head), size))
    }

    fn gather(
        &mut self,
        mut message: Partial,
        data: &[u8],
        up: &mut dyn FnMut(Kind, Payload<'_>) -> Flow,
    ) -> (usize, Flow) {
        let used = message.append(data);
        if message.missing() > 0 {
            self.message = Some(message);
            return (used, Flow::Go);
        }
        (used, up(message.header.kind(), Payload::Owned(message.bytes)))
    }
}

impl Partial {
    const fn missing(&self) -> usize {
        self.header.body_len() - self.bytes.len()
    }

    fn append(&mut self, data: &[u8]) -> usize {
        let used = data.len().min(self.missing());
        let len = self.bytes.len() + used;
        if len > self.bytes.capacity() {
            let capacity = (2 * self.bytes.capacity()).clamp(len, self.header.body_len());
            self.bytes.reserve_exact(capacity - self.bytes.len());
        }
        self.bytes.extend_from_slice(&data[..used]);
        used
    }
}

struct Writer<'a> {
    buf: &'a mut Buf,
}

impl Framer for Writer<'_> {
    /// # Panics
    /// If the message is longer than a header can say, 2^31 - 1 bytes.
    fn message(&mut self, kind: Kind, head: &[u8], body: &[u8]) {
        let header = Header::new(kind, head.len() + body.len()).expect("a message is shorter than 2^31 bytes");
        self.buf.extend(&header.encode());
        self.buf.extend(head);
        self.buf.extend(body);
    }

    fn room(&self) -> usize {
        self.buf.room().saturating_sub(Header::SIZE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::rng::Rng;

    type Messages = Vec<(Kind, Vec<u8>)>;

    #[test]
    fn a_frame_that_lies_whole_in_a_chunk_is_lent() {
        let mut owned = 0;
        let mut wire = wire_of(&[(Kind::Text, b"ab".to_vec()), (Kind::Binary, Vec::new())]);
        let flow = Framed::new(10).receive(&mut wire, &mut |_, payload| {
            owned += usize::from(matches!(payload, Payload::Owned(_)));
            Flow::Go
        });
        assert_eq!((flow, owned), (Ok(Flow::Go), 0));
    }

    #[test]
    fn a_stream_is_the_frames_that_other_codecs_read() {
        assert_eq!(wire_of(&[(Kind::Binary, b"abc".to_vec())]), b"\0\0\0\x03abc");
        assert_eq!(wire_of(&[(Kind::Text, Vec::new())]), b"\x80\0\0\0");
    }

    #[test]
    fn too_big_a_message_is_refused_on_its_header_and_ends_the_reading() {
        let mut link = Framed::new(3);
        let mut got = Messages::new();
        let refused = Err(Misbehaved::TooBig { announced: 4, limit: 3 });
        assert_eq!(receive(&mut link, b"\0\0\0\x03abc\0\0\0\x04", &mut got), refused);
        assert_eq!(receive(&mut link, b"\0\0\0\x01x", &mut got), Ok(Flow::Go));
        assert_eq!(got, [(Kind::Binary, b"abc".to_vec())]);
        assert!(owns_nothing(&link));
    }

    #[test]
    fn a_stream_that_ends_inside_a_message_is_known_to_be_cut_off() {
        let wire = wire_of(&[(Kind::Binary, b"abc".to_vec())]);
        for cut in 0..=wire.len() {
            let mut link = Framed::new(10);
            receive(&mut link, &wire[..cut], &mut Messages::new()).unwrap();
            assert_eq!(link.is_mid_message(), cut != 0 && cut != wire.len(), "cut at {cut}");
        }
    }

    #[test]
    fn an_announced_length_is_not_reserved() {
        let mut link = Framed::new(Header::LONGEST_BODY);
        receive(&mut link, b"\x7f\xff\xff\xffabc", &mut Messages::new()).unwrap();
        assert!(link.message.is_some_and(|message| message.bytes.capacity() <= 64));
    }

    #[test]
    fn chunks_and_stops_do_not_change_the_messages() {
        let mut kinds = [0; 3];
        for seed in 0..2000 {
            let mut rng = Rng::from_u64(seed);
            let messages = random_messages(&mut rng);
            let wire = wire_of(&messages);
            let mut link = Framed::new(2000);
            let (got, stops) = feed(&mut link, &wire, &mut rng);
            assert_eq!(got, messages, "seed {seed}");
            assert!(owns_nothing(&link) && !link.is_mid_message(), "seed {seed}");
            kinds[usize::from(stops > 0) + usize::from(stops > 3)] += 1;
        }
        println!("seeds with no, few and many stops: {kinds:?}");
        assert!(kinds.iter().all(|&count| count > 100));
    }

    #[test]
    fn nothing_is_taken_from_above_while_the_buffer_is_full() {
        let mut link = Framed::new(100);
        let mut buf = Buf::new(20);
        let mut left = 5;
        let mut supply = |out: &mut dyn Framer| {
            left -= 1;
            out.message(Kind::Binary, b"head", b"body");
            true
        };
        assert_eq!(link.fill(&mut buf, &mut supply), Fill::More);
        assert_eq!((buf.len(), left), (24, 3));
        buf.clear();
        assert_eq!(link.fill(&mut buf, &mut |_| false), Fill::Done);
    }

    fn wire_of(messages: &[(Kind, Vec<u8>)]) -> Vec<u8> {
        let mut buf = Buf::new(usize::MAX);
        let mut left = messages.iter();
        Framed::new(0).fill(&mut buf, &mut |out| {
            let Some((kind, body)) = left.next() else { return false };
            let (head, tail) = body.split_at(body.len() / 3);
            out.message(*kind, head, tail);
            true
        });
        buf.as_slice().to_vec()
    }

    fn random_messages(rng: &mut Rng) -> Messages {
        let count = rng.below(12);
        (0..count)
            .map(|_| {
                let longest = [1, 10, 2000][rng.below(3) as usize];
                let mut body = vec![0; rng.below(longest + 1) as usize];
                rng.fill(&mut body);
                (if rng.chance(0.5) { Kind::Text } else { Kind::Binary }, body)
            })
            .collect()
    }

    /// Feeds a wire in random chunks to a receiver that stops at random, and answers what came and how many stops.
    fn feed(link: &mut Framed, mut wire: &[u8], rng: &mut Rng) -> (Messages, usize) {
        let (mut got, mut stops) = (Messages::new(), 0);
        let (longest, stop) = ([3, 40, 5000][rng.below(3) as usize], [0.0, 0.3, 0.9][rng.below(3) as usize]);
        let mut flow = Flow::Go;
        while !wire.is_empty() || flow == Flow::Stop {
            let size = if flow == Flow::Stop && rng.chance(0.8) { 0 } else { 1 + rng.below(longest) as usize };
            let (chunk, rest) = wire.split_at(size.min(wire.len()));
            wire = rest;
            let (before, stopped) = (got.len(), flow == Flow::Stop);
            let received = link.receive(&mut chunk.to_vec(), &mut |kind, payload| {
                got.push((kind, payload.into_vec()));
                if rng.chance(stop) { Flow::Stop } else { Flow::Go }
            });
            flow = received.expect("a valid wire");
            assert!(!stopped || chunk.is_empty() || got.len() == before, "delivered while stopped");
            stops += usize::from(flow == Flow::Stop);
        }
        (got, stops)
    }

    fn receive(link: &mut Framed, data: &[u8], got: &mut Messages) -> Result<Flow, Misbehaved> {
        link.receive(&mut data.to_vec(), &mut |kind, payload| {
            got.push((kind, payload.into_vec()));
            Flow::Go
        })
    }

    fn owns_nothing(link: &Framed) -> bool {
        link.kept.capacity() == 0 && link.message.is_none()
    }
}
