//! Bytes in, messages out.

use std::mem;

use crate::machine::kept::Kept;
use crate::machine::payload::{Flow, Kind, Payload};
use crate::wire::websocket::{Close, Header, LONGEST_CONTROL, LONGEST_HEADER, Mask, Opcode};

use super::control::Control;
use super::message::Message;
use super::{Misbehaved, Role};

/// What is enough to hold a header, and a control frame whole.
const LONGEST_START: usize = LONGEST_HEADER + LONGEST_CONTROL;

type Up<'a> = dyn FnMut(Kind, Payload<'_>) -> Flow + 'a;

/// The receiving half.
#[derive(Debug)]
pub(super) struct Inbound {
    role: Role,
    max_message: usize,
    state: Reading,
    /// What of `rest` was looked at already.
    kept: Kept,
    /// The start of a frame whose header, or which as a control frame, is not complete.
    start: Vec<u8>,
    message: Option<Message>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reading {
    Open,
    Stopped,
    /// After the peer's close frame or an error.
    Over,
}

/// What stands at the start of some bytes.
enum Start {
    Incomplete,
    /// A control frame, handled, up to here.
    Control(usize),
    /// A data frame whose payload begins there.
    Data(Header, usize),
}

impl Inbound {
    pub(super) const fn new(role: Role, max_message: usize) -> Self {
        Self { role, max_message, state: Reading::Open, kept: Kept::new(), start: Vec::new(), message: None }
    }

    pub(super) const fn is_mid_message(&self) -> bool {
        !self.start.is_empty() || self.message.is_some()
    }

    pub(super) fn receive(
        &mut self,
        data: &mut [u8],
        control: &mut Control,
        up: &mut Up<'_>,
    ) -> Result<Flow, Misbehaved> {
        let result = match self.state {
            Reading::Over => Ok(Flow::Go),
            Reading::Open => self.chunk(data, control, up),
            Reading::Stopped if data.is_empty() => self.resume(control, up),
            Reading::Stopped => Ok(self.keep(data)),
        };
        if result.is_err() {
            self.end();
        }
        result
    }

    fn chunk(&mut self, data: &mut [u8], control: &mut Control, up: &mut Up<'_>) -> Result<Flow, Misbehaved> {
        let (used, flow) = self.parse(data, control, up)?;
        if flow == Flow::Stop {
            self.state = Reading::Stopped;
            self.kept.keep(&data[used..]);
        }
        Ok(flow)
    }

    fn resume(&mut self, control: &mut Control, up: &mut Up<'_>) -> Result<Flow, Misbehaved> {
        self.state = Reading::Open;
        let (kept, flow) = mem::take(&mut self.kept).resume(|rest| self.parse(rest, control, up))?;
        if flow == Flow::Stop {
            self.state = Reading::Stopped;
        }
        self.kept = kept;
        Ok(flow)
    }

    fn keep(&mut self, data: &[u8]) -> Flow {
        self.kept.keep(data);
        Flow::Stop
    }

    /// Forgets everything and ignores what comes.
    fn end(&mut self) {
        *self = Self { state: Reading::Over, ..Self::new(self.role, self.max_message) };
    }

    /// Answers how much it took: everything, unless the receiver stopped.
    fn parse(&mut self, data: &mut [u8], control: &mut Control, up: &mut Up<'_>) -> Result<(usize, Flow), Misbehaved> {
        let mut at = 0;
        while at < data.len() {
            let (used, flow) = match self.message.take_if(|message| message.is_mid_frame()) {
                Some(message) => self.gather(message, &mut data[at..], up)?,
                None => self.begin(&mut data[at..], control, up)?,
            };
            at += used;
            if flow == Flow::Stop {
                return Ok((at, Flow::Stop));
            }
            if self.state == Reading::Over {
                break;
            }
        }
        Ok((data.len(), Flow::Go))
    }

    fn begin(&mut self, data: &mut [u8], control: &mut Control, up: &mut Up<'_>) -> Result<(usize, Flow), Misbehaved> {
        let before = self.start.len();
        let start = match before {
            0 => self.start(data, control)?,
            _ => self.go_on_with_start(data, control)?,
        };
        match start {
            Start::Incomplete => {
                if before == 0 {
                    self.start = data.to_vec();
                }
                Ok((data.len(), Flow::Go))
            }
            Start::Control(end) => Ok((end - before, Flow::Go)),
            Start::Data(header, size) => {
                let (used, flow) = self.data(&header, &mut data[size - before..], up)?;
                Ok((size - before + used, flow))
            }
        }
    }

    /// Looks at a start that came in pieces; it is longer than before, or complete.
    fn go_on_with_start(&mut self, data: &[u8], control: &mut Control) -> Result<Start, Misbehaved> {
        let mut bytes = mem::take(&mut self.start);
        let more = data.len().min(LONGEST_START - bytes.len());
        bytes.extend_from_slice(&data[..more]);
        let start = self.start(&mut bytes, control)?;
        if matches!(start, Start::Incomplete) {
            self.start = bytes;
        }
        Ok(start)
    }

    #[inline]
    fn start(&mut self, bytes: &mut [u8], control: &mut Control) -> Result<Start, Misbehaved> {
        let Some((header, size)) = Header::decode(bytes)? else { return Ok(Start::Incomplete) };
        self.admit(&header)?;
        if !header.opcode.is_control() {
            return Ok(Start::Data(header, size));
        }
        let end = size + header.len as usize;
        let Some(payload) = bytes.get_mut(size..end) else { return Ok(Start::Incomplete) };
        unmask(header.mask, payload);
        self.control(header.opcode, payload, control)?;
        Ok(Start::Control(end))
    }

    #[inline]
    fn admit(&self, header: &Header) -> Result<(), Misbehaved> {
        match (self.role, header.mask) {
            (Role::Server, None) => return Err(Misbehaved::Unmasked),
            (Role::Client, Some(_)) => return Err(Misbehaved::Masked),
            _ => {}
        }
        let held = match (header.opcode, &self.message) {
            (Opcode::Close | Opcode::Ping | Opcode::Pong, _) => return Ok(()),
            (Opcode::Continuation, Some(message)) => message.len(),
            (Opcode::Continuation, None) => return Err(Misbehaved::ContinuationWithoutStart),
            (Opcode::Text | Opcode::Binary, None) => 0,
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(Misbehaved::Interleaved),
        };
        if header.len > (self.max_message - held) as u64 {
            return Err(Misbehaved::TooBig { limit: self.max_message });
        }
        Ok(())
    }

    fn control(&mut self, opcode: Opcode, payload: &[u8], control: &mut Control) -> Result<(), Misbehaved> {
        match opcode {
            Opcode::Ping => control.on_ping(payload),
            Opcode::Pong => control.on_pong(),
            _ => {
                control.on_close(Close::decode(payload)?);
                self.end();
            }
        }
        Ok(())
    }

    #[inline]
    fn data(&mut self, header: &Header, data: &mut [u8], up: &mut Up<'_>) -> Result<(usize, Flow), Misbehaved> {
        let len = header.len as usize;
        let kind = if header.opcode == Opcode::Text { Kind::Text } else { Kind::Binary };
        if header.fin && header.opcode != Opcode::Continuation && data.len() >= len {
            return lend(kind, header.mask, &mut data[..len], up);
        }
        let mut message = self.message.take().unwrap_or_else(|| Message::new(kind));
        message.begin(header, len);
        self.gather(message, data, up)
    }

    fn gather(&mut self, mut message: Message, data: &mut [u8], up: &mut Up<'_>) -> Result<(usize, Flow), Misbehaved> {
        let used = message.append(data, self.max_message)?;
        if !message.is_complete() {
            self.message = Some(message);
            return Ok((used, Flow::Go));
        }
        Ok((used, up(message.kind(), Payload::Owned(message.into_bytes()))))
    }
}

#[inline]
fn lend(kind: Kind, mask: Option<Mask>, payload: &mut [u8], up: &mut Up<'_>) -> Result<(usize, Flow), Misbehaved> {
    unmask(mask, payload);
    if kind == Kind::Text && std::str::from_utf8(payload).is_err() {
        return Err(Misbehaved::TextNotUtf8);
    }
    Ok((payload.len(), up(kind, Payload::Borrowed(payload))))
}

#[inline]
fn unmask(mask: Option<Mask>, payload: &mut [u8]) {
    if let Some(mask) = mask {
        mask.apply(payload);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{State, WebSocket};
    use super::*;
    use crate::machine::buf::Buf;
    use crate::machine::rng::Rng;
    use crate::wire::websocket::CloseCode;

    /// Everything that the layer above can see of a wire.
    #[derive(Debug, PartialEq, Eq)]
    struct Seen {
        messages: Vec<(Kind, Vec<u8>)>,
        error: Option<Misbehaved>,
        closed: Option<String>,
        ponged: bool,
        owed: Vec<u8>,
        mid_message: bool,
    }

    #[test]
    fn chunks_and_stops_do_not_change_what_is_seen() {
        let (mut broken, mut closed, mut truncated, mut clean) = (0, 0, 0, 0);
        for seed in 0..6000 {
            let mut rng = Rng::from_u64(seed);
            let role = if rng.chance(0.5) { Role::Client } else { Role::Server };
            let wire = random_wire(role, &mut rng);
            let whole = feed(role, &wire, usize::MAX, 0.0, &mut rng);
            let (longest, stop) = ([1, 7, 300][rng.below(3) as usize], [0.0, 0.3, 0.9][rng.below(3) as usize]);
            let pieces = feed(role, &wire, longest, stop, &mut rng);
            assert_eq!(pieces, whole, "seed {seed}");
            match &whole {
                Seen { error: Some(_), .. } => broken += 1,
                Seen { closed: Some(_), .. } => closed += 1,
                Seen { mid_message: true, .. } => truncated += 1,
                _ => clean += 1,
            }
        }
        println!("seeds refused {broken}, closed {closed}, cut off {truncated}, clean {clean}");
        assert!([broken, closed, truncated, clean].iter().all(|&count| count > 200));
    }

    #[test]
    fn a_receiver_that_stops_at_each_message_moves_no_bytes() {
        let mut link = WebSocket::new(Role::Client, 100);
        let mut wire: Vec<u8> = std::iter::repeat_n([0x82, 1, 7], 1000).flatten().collect();
        let mut count = 0;
        let mut up = |_: Kind, _: Payload<'_>| {
            count += 1;
            Flow::Stop
        };
        link.receive(&mut wire, &mut up).unwrap();
        let (bytes, _) = link.inbound.kept.place();
        for done in 1..999 {
            assert_eq!(link.receive(&mut [], &mut up), Ok(Flow::Stop));
            assert_eq!(link.inbound.kept.place(), (bytes, 3 * done));
        }
        link.receive(&mut [], &mut up).unwrap();
        assert_eq!(link.receive(&mut [], &mut up), Ok(Flow::Go));
        assert_eq!((count, link.inbound.kept.capacity()), (1000, 0));
    }

    #[test]
    fn an_announced_length_is_not_reserved() {
        let mut link = WebSocket::new(Role::Client, 1 << 40);
        link.receive(&mut [0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3], &mut |_, _| Flow::Go).unwrap();
        link.receive(&mut [4; 100], &mut |_, _| Flow::Go).unwrap();
        let message = link.inbound.message.expect("a message has begun");
        assert_eq!((message.len(), message.capacity()), (103, 103));
    }

    #[test]
    fn gathering_never_holds_more_than_twice_what_came_nor_more_than_the_message() {
        let mut link = WebSocket::new(Role::Client, 5000);
        link.receive(&mut [0x02, 0], &mut |_, _| Flow::Go).unwrap();
        for part in 1..=50 {
            link.receive(&mut [&[0, 100][..], &[7; 100]].concat(), &mut |_, _| Flow::Go).unwrap();
            let capacity = link.inbound.message.as_ref().map_or(0, Message::capacity);
            assert!(capacity <= 5000.min(200 * part), "{capacity} bytes for {part} parts");
        }
    }

    #[test]
    fn a_link_is_small_and_owns_nothing_when_idle() {
        assert!(size_of::<WebSocket>() <= 200, "{} bytes", size_of::<WebSocket>());
        let mut link = WebSocket::new(Role::Client, 100);
        for byte in [0x89, 1, 5, 0x01, 1, b'a', 0x80, 1, b'b'] {
            link.receive(&mut [byte], &mut |_, _| Flow::Go).unwrap();
        }
        link.fill(&mut Rng::from_u64(0), &mut Buf::new(100), &mut |_| false);
        assert!(owns_nothing(&link));
    }

    fn feed(role: Role, mut wire: &[u8], longest: usize, stop: f64, rng: &mut Rng) -> Seen {
        let mut link = WebSocket::new(role, 1000);
        let (mut messages, mut error, mut flow) = (Vec::new(), None, Flow::Go);
        while !wire.is_empty() || flow == Flow::Stop {
            let size = if flow == Flow::Stop && rng.chance(0.8) { 0 } else { 1 + rng.below(longest as u64) as usize };
            let (chunk, rest) = wire.split_at(size.min(wire.len()));
            wire = rest;
            let result = link.receive(&mut chunk.to_vec(), &mut |kind, payload| {
                assert!(kind == Kind::Binary || std::str::from_utf8(payload.as_slice()).is_ok());
                messages.push((kind, payload.into_vec()));
                if rng.chance(stop) { Flow::Stop } else { Flow::Go }
            });
            flow = result.unwrap_or_else(|broken| {
                error = error.or(Some(broken));
                Flow::Go
            });
        }
        let mid_message = link.is_mid_message();
        assert!(mid_message || owns_nothing_received(&link));
        let mut buf = Buf::new(1000);
        link.fill(&mut Rng::from_u64(1), &mut buf, &mut |_| false);
        let closed = matches!(link.state(), State::Closed { .. }).then(|| format!("{:?}", link.state()));
        Seen { messages, error, closed, ponged: link.take_pong(), owed: buf.as_slice().to_vec(), mid_message }
    }

    fn owns_nothing_received(link: &WebSocket) -> bool {
        let Inbound { kept, start, message, .. } = &link.inbound;
        kept.capacity() == 0 && start.capacity() == 0 && message.is_none()
    }

    fn owns_nothing(link: &WebSocket) -> bool {
        owns_nothing_received(link) && !link.wants_fill() && link.state() == State::Open
    }

    /// Frames as a peer of that role would receive them; one in three wires is damaged somewhere.
    fn random_wire(role: Role, rng: &mut Rng) -> Vec<u8> {
        let mut wire = Vec::new();
        for _ in 0..rng.below(8) {
            random_message(role, &mut wire, rng);
        }
        if rng.chance(0.2) {
            let mut payload = Vec::new();
            Close { code: CloseCode::GOING_AWAY, reason: "bye" }.encode(&mut payload);
            frame(role, true, Opcode::Close, &payload, &mut wire, rng);
            random_message(role, &mut wire, rng);
        }
        match rng.below(6) {
            0 if !wire.is_empty() => wire.truncate(rng.below(wire.len() as u64) as usize),
            1 | 2 if !wire.is_empty() => {
                let at = rng.below(wire.len() as u64) as usize;
                wire[at] ^= 1 << rng.below(8);
            }
            _ => {}
        }
        wire
    }

    fn random_message(role: Role, wire: &mut Vec<u8>, rng: &mut Rng) {
        let longest = [2, 60, 240][rng.below(3) as usize];
        let text: String = (0..rng.below(longest)).map(|_| ['a', 'ü', '語', '🦀'][rng.below(4) as usize]).collect();
        let mut rest = text.as_bytes();
        let mut opcode = if rng.chance(0.5) { Opcode::Text } else { Opcode::Binary };
        while rng.chance(0.4) {
            let (part, after) = rest.split_at(rng.below(rest.len() as u64 + 1) as usize);
            frame(role, false, opcode, part, wire, rng);
            (rest, opcode) = (after, Opcode::Continuation);
            if rng.chance(0.5) {
                let ask = if rng.chance(0.5) { Opcode::Ping } else { Opcode::Pong };
                let payload = [wire.len() as u8; 125];
                frame(role, true, ask, &payload[..rng.below(126) as usize], wire, rng);
            }
        }
        frame(role, true, opcode, rest, wire, rng);
    }

    fn frame(role: Role, fin: bool, opcode: Opcode, payload: &[u8], wire: &mut Vec<u8>, rng: &mut Rng) {
        let mask = (role == Role::Server).then(|| Mask::new(rng.u32()));
        Header { fin, opcode, mask, len: payload.len() as u64 }.encode(wire);
        let start = wire.len();
        wire.extend_from_slice(payload);
        unmask(mask, &mut wire[start..]);
    }
}
