//! The WebSocket link against tungstenite: the same messages both ways, and the same verdict on damaged bytes.
#![cfg(feature = "ws")]

use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read, Write};

use switchboard::link::websocket::{Misbehaved, Role, State, WebSocket};
use switchboard::machine::buf::Buf;
use switchboard::machine::payload::{Flow, Kind};
use switchboard::machine::rng::Rng;
use switchboard::wire::websocket::{CloseCode, CloseError, HeaderError};
use tungstenite::Message;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::protocol::{self, WebSocketConfig};

/// Largest message that both accept.
const LIMIT: usize = 150_000;

type Messages = Vec<(Kind, Vec<u8>)>;

#[test]
fn what_we_send_arrives_at_tungstenite() {
    let mut histogram = Histogram::default();
    for seed in 0..1500 {
        let mut rng = Rng::from_u64(seed);
        let role = random_role(&mut rng);
        let sent = random_messages(&mut rng, &mut histogram);
        let mut ours = Ours::new(role);
        ours.link.ping();
        let mut theirs = Theirs::new(opposite(role));
        theirs.feed(&ours.send(&sent, &mut rng));
        let closed = rng.chance(0.5).then(|| random_close(&mut rng));
        if let Some((code, reason)) = &closed {
            ours.link.close(*code, reason);
            theirs.feed(&ours.send(&[], &mut rng));
        }
        theirs.read_all();
        assert_eq!(theirs.messages, sent, "seed {seed}");
        ours.receive(&theirs.take_output(), &mut rng, 0.0);
        assert!(ours.link.take_pong(), "seed {seed}: no pong");
        let verdict = closed.map_or(Verdict::Waits, |(code, reason)| Verdict::Closed(Some(code.get()), reason));
        assert_eq!(theirs.verdict, verdict, "seed {seed}");
        assert_eq!(matches!(ours.link.state(), State::Closed { .. }), verdict != Verdict::Waits, "seed {seed}");
        histogram.count(&format!("{role:?} sends, {}", verdict.name()));
    }
    histogram.print("sent to tungstenite");
    histogram.expect(&["text", "binary", "empty", "above 64 KiB", "Client sends, closed", "Server sends, closed"]);
}

#[test]
fn what_tungstenite_sends_arrives_at_us() {
    let mut histogram = Histogram::default();
    for seed in 0..1500 {
        let mut rng = Rng::from_u64(seed);
        let role = random_role(&mut rng);
        let sent = random_messages(&mut rng, &mut histogram);
        let wire = wire_by_tungstenite(opposite(role), &sent, &mut rng, &mut histogram);
        let mut ours = Ours::new(role);
        ours.receive(&wire.bytes, &mut rng, 0.2);
        assert_eq!(ours.error, None, "seed {seed}");
        assert_eq!(ours.messages, sent, "seed {seed}");
        let answer = ours.send(&[], &mut rng);
        assert_eq!(ours.verdict(), wire.close.unwrap_or(Verdict::Waits), "seed {seed}");
        let mut theirs = Theirs::new(opposite(role));
        theirs.feed(&answer);
        theirs.read_all();
        let pong = if theirs.verdict == Verdict::Waits { wire.last_ping } else { None };
        assert_eq!(theirs.pong, pong, "seed {seed}");
    }
    histogram.print("sent by tungstenite");
    histogram.expect(&["fragmented", "ping between fragments", "close", "empty close"]);
}

#[test]
fn damaged_bytes_get_the_same_verdict() {
    let mut histogram = Histogram::default();
    for seed in 0..20_000 {
        let mut rng = Rng::from_u64(seed);
        let role = random_role(&mut rng);
        let sent = random_messages(&mut rng, &mut Histogram::default());
        let mut wire = wire_by_tungstenite(opposite(role), &sent, &mut rng, &mut Histogram::default()).bytes;
        damage(&mut wire, &mut rng);
        compare(seed, role, &wire, &mut rng, &mut histogram);
    }
    histogram.print("damaged");
    histogram.expect(&[
        "both: waits",
        "both: closed",
        "both: refused",
        "differs: length not minimal",
        "Header(ReservedBits)",
        "Header(ReservedOpcode)",
        "Header(ControlFragmented)",
        "Header(ControlTooLong)",
        "Header(LengthTopBit)",
        "Close(HalfCode)",
        "Close(ForbiddenCode)",
        "Close(ReasonNotUtf8)",
        "Unmasked",
        "Masked",
        "ContinuationWithoutStart",
        "Interleaved",
        "TooBig",
        "TextNotUtf8",
    ]);
}

/// Feeds the same bytes to both, ours in random chunks with random stops, and compares what they make of them.
fn compare(seed: u64, role: Role, wire: &[u8], rng: &mut Rng, histogram: &mut Histogram) {
    let (mut ours, mut theirs) = (Ours::new(role), Theirs::new(role));
    ours.receive(wire, rng, 0.2);
    ours.send(&[], rng);
    theirs.feed(wire);
    theirs.read_all();
    let earlier = ours.error.is_some() && theirs.verdict == Verdict::Waits;
    if earlier {
        theirs.feed(&vec![0; missing_of_last_frame(wire)]);
        theirs.read_all();
    }
    if let Some(difference) = legitimate_difference(wire, &ours, &theirs) {
        assert!(theirs.messages.starts_with(&ours.messages), "seed {seed}: {difference}");
        return histogram.count(&format!("differs: {difference}"));
    }
    assert_eq!(ours.messages, theirs.messages, "seed {seed}");
    assert_eq!(ours.verdict(), theirs.verdict, "seed {seed}: {:?} by us", ours.error);
    histogram.count(&format!("both: {}{}", ours.verdict().name(), if earlier { ", by us earlier" } else { "" }));
    if let Some(error) = ours.error {
        let name = format!("{error:?}");
        let inner = name.split_once('(').map_or(name.as_str(), |(outer, _)| outer);
        match error {
            Misbehaved::Header(HeaderError::ReservedOpcode(_)) => histogram.count("Header(ReservedOpcode)"),
            Misbehaved::Close(CloseError::ForbiddenCode(_)) => histogram.count("Close(ForbiddenCode)"),
            Misbehaved::TooBig { .. } => histogram.count("TooBig"),
            Misbehaved::Header(_) | Misbehaved::Close(_) => histogram.count(&name),
            _ => histogram.count(inner),
        }
    }
}

/// Where the two may part. Nothing else is excused: that we refuse a frame before it is whole is settled by giving
/// tungstenite the rest of that frame, and must then end in a refusal too.
fn legitimate_difference(wire: &[u8], ours: &Ours, theirs: &Theirs) -> Option<&'static str> {
    // Section 5.2 demands the shortest form; tungstenite takes any. In a control frame we call any longer form too
    // long, as only lengths above 125 may have it.
    let lengthy = [HeaderError::LengthNotMinimal, HeaderError::ControlTooLong].map(Misbehaved::from);
    if ours.error.is_some_and(|error| lengthy.contains(&error)) && Frames::of(wire).any(|frame| !frame.minimal) {
        return Some("length not minimal");
    }
    // IANA has registered 1014; tungstenite doesn't know it.
    if ours.verdict() == Verdict::Closed(Some(1014), ours.reason()) && theirs.verdict == Verdict::Refused {
        return Some("close code 1014");
    }
    None
}

/// How a reader stands after a wire.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    Waits,
    Closed(Option<u16>, String),
    Refused,
}

impl Verdict {
    fn name(&self) -> &'static str {
        match self {
            Self::Waits => "waits",
            Self::Closed(..) => "closed",
            Self::Refused => "refused",
        }
    }
}

struct Ours {
    link: WebSocket,
    messages: Messages,
    error: Option<Misbehaved>,
}

impl Ours {
    fn new(role: Role) -> Self {
        Self { link: WebSocket::new(role, LIMIT), messages: Vec::new(), error: None }
    }

    fn receive(&mut self, mut wire: &[u8], rng: &mut Rng, stop: f64) {
        let longest = [2, 100, 1_000_000][rng.below(3) as usize];
        let mut flow = Flow::Go;
        while !wire.is_empty() || flow == Flow::Stop {
            let size = if flow == Flow::Stop { 0 } else { 1 + rng.below(longest) as usize };
            let (chunk, rest) = wire.split_at(size.min(wire.len()));
            wire = rest;
            let result = self.link.receive(&mut chunk.to_vec(), &mut |kind, payload| {
                self.messages.push((kind, payload.into_vec()));
                if rng.chance(stop) { Flow::Stop } else { Flow::Go }
            });
            flow = result.unwrap_or_else(|error| {
                self.error = Some(error);
                Flow::Go
            });
        }
    }

    fn send(&mut self, messages: &[(Kind, Vec<u8>)], rng: &mut Rng) -> Vec<u8> {
        let (mut buf, mut left) = (Buf::new(usize::MAX), messages.iter());
        self.link.fill(rng, &mut buf, &mut |out| {
            let Some((kind, body)) = left.next() else { return false };
            let (head, tail) = body.split_at(body.len() / 3);
            out.message(*kind, head, tail);
            true
        });
        buf.as_slice().to_vec()
    }

    fn verdict(&self) -> Verdict {
        match self.link.state() {
            _ if self.error.is_some() => Verdict::Refused,
            State::Closed { code, reason } => Verdict::Closed(code.map(CloseCode::get), reason.to_owned()),
            State::Open | State::Closing => Verdict::Waits,
        }
    }

    fn reason(&self) -> String {
        match self.link.state() {
            State::Closed { reason, .. } => reason.to_owned(),
            State::Open | State::Closing => String::new(),
        }
    }
}

struct Theirs {
    socket: protocol::WebSocket<Pipe>,
    messages: Messages,
    pong: Option<Vec<u8>>,
    verdict: Verdict,
}

impl Theirs {
    fn new(role: Role) -> Self {
        let role = match role {
            Role::Client => protocol::Role::Client,
            Role::Server => protocol::Role::Server,
        };
        let config = WebSocketConfig::default()
            .read_buffer_size(4096)
            .write_buffer_size(0)
            .max_message_size(Some(LIMIT))
            .max_frame_size(Some(LIMIT));
        let socket = protocol::WebSocket::from_raw_socket(Pipe::default(), role, Some(config));
        Self { socket, messages: Vec::new(), pong: None, verdict: Verdict::Waits }
    }

    fn feed(&mut self, wire: &[u8]) {
        self.socket.get_mut().input.extend(wire);
    }

    fn read_all(&mut self) {
        while self.verdict == Verdict::Waits {
            match self.socket.read() {
                Ok(Message::Text(text)) => self.messages.push((Kind::Text, text.as_bytes().to_vec())),
                Ok(Message::Binary(bytes)) => self.messages.push((Kind::Binary, bytes.to_vec())),
                Ok(Message::Pong(payload)) => self.pong = Some(payload.to_vec()),
                Ok(Message::Ping(_) | Message::Frame(_)) => {}
                Ok(Message::Close(frame)) => self.verdict = closed(frame),
                Err(tungstenite::Error::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(_) => self.verdict = Verdict::Refused,
            }
        }
        let _ = self.socket.flush();
    }

    fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.socket.get_mut().output)
    }
}

/// For a code that must not be sent tungstenite reports not an error but a close of its own wording.
fn closed(frame: Option<CloseFrame>) -> Verdict {
    match frame {
        None => Verdict::Closed(None, String::new()),
        Some(frame) if frame.reason.as_str() == "Protocol violation" => Verdict::Refused,
        Some(frame) => Verdict::Closed(Some(frame.code.into()), frame.reason.as_str().to_owned()),
    }
}

#[derive(Default)]
struct Pipe {
    input: VecDeque<u8>,
    output: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.input.is_empty() { Err(io::ErrorKind::WouldBlock.into()) } else { self.input.read(buf) }
    }
}

impl Write for Pipe {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.output.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Wire {
    bytes: Vec<u8>,
    last_ping: Option<Vec<u8>>,
    close: Option<Verdict>,
}

/// The messages as tungstenite sends them, some fragmented, with pings between and perhaps a close at the end.
fn wire_by_tungstenite(role: Role, messages: &[(Kind, Vec<u8>)], rng: &mut Rng, histogram: &mut Histogram) -> Wire {
    let mut theirs = Theirs::new(role);
    let mut last_ping = None;
    for (kind, body) in messages {
        let parts = if rng.chance(0.4) { 1 + rng.below(4) } else { 0 };
        let mut rest = &body[..];
        let mut opcode = if *kind == Kind::Text { Data::Text } else { Data::Binary };
        for _ in 0..parts {
            let (part, after) = rest.split_at(rng.below(rest.len() as u64 + 1) as usize);
            theirs.send(Message::Frame(Frame::message(part.to_vec(), OpCode::Data(opcode), false)));
            (rest, opcode) = (after, Data::Continue);
            histogram.count("fragmented");
            if rng.chance(0.3) {
                last_ping = Some(theirs.ping(rng));
                histogram.count("ping between fragments");
            }
        }
        theirs.send(Message::Frame(Frame::message(rest.to_vec(), OpCode::Data(opcode), true)));
    }
    let close = rng.chance(0.4).then(|| theirs.close(rng, histogram));
    Wire { bytes: theirs.take_output(), last_ping, close }
}

impl Theirs {
    fn send(&mut self, message: Message) {
        self.socket.send(message).expect("the pipe takes everything");
    }

    fn ping(&mut self, rng: &mut Rng) -> Vec<u8> {
        let mut payload = vec![0; rng.below(126) as usize];
        rng.fill(&mut payload);
        self.send(Message::Ping(payload.clone().into()));
        payload
    }

    fn close(&mut self, rng: &mut Rng, histogram: &mut Histogram) -> Verdict {
        if rng.chance(0.3) {
            histogram.count("empty close");
            self.send(Message::Close(None));
            return Verdict::Closed(None, String::new());
        }
        histogram.count("close");
        let (code, reason) = random_close(rng);
        self.send(Message::Close(Some(CloseFrame { code: code.get().into(), reason: reason.clone().into() })));
        Verdict::Closed(Some(code.get()), reason)
    }
}

/// Flips bits or writes bytes in one to three places, preferring the first bytes of a frame, or cuts the wire.
fn damage(wire: &mut Vec<u8>, rng: &mut Rng) {
    if wire.is_empty() {
        return;
    }
    if rng.chance(0.15) {
        wire.truncate(rng.below(wire.len() as u64) as usize);
        return;
    }
    for _ in 0..1 + rng.below(3) {
        let mut at = rng.below(wire.len() as u64) as usize;
        if rng.chance(0.7) {
            let starts: Vec<usize> = Frames::of(wire).map(|frame| frame.start).collect();
            at = starts[rng.below(starts.len() as u64) as usize] + rng.below(5) as usize;
        }
        let Some(byte) = wire.get_mut(at) else { continue };
        match rng.below(4) {
            0 => *byte = rng.u32() as u8,
            1 => *byte |= 0x7f,
            _ => *byte ^= 1 << rng.below(8),
        }
    }
}

/// How many bytes the last frame of a wire wants, zeros standing for what is missing of its header.
fn missing_of_last_frame(wire: &[u8]) -> usize {
    let end = Frames::of(wire).last().map_or(0, |frame| frame.end);
    end.saturating_sub(wire.len() as u64).min(LIMIT as u64 + 14) as usize
}

/// The frames of a wire by the figure of section 5.2, whatever else is wrong with them.
struct Frames<'a> {
    wire: &'a [u8],
    at: usize,
}

struct FramePlace {
    start: usize,
    /// As announced; may lie beyond the wire.
    end: u64,
    /// Whether its length is in the shortest form.
    minimal: bool,
}

impl<'a> Frames<'a> {
    fn of(wire: &'a [u8]) -> Self {
        Self { wire, at: 0 }
    }
}

impl Iterator for Frames<'_> {
    type Item = FramePlace;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        let mut head = [0; 14];
        let have = self.wire.get(start..).filter(|rest| !rest.is_empty())?;
        let size = have.len().min(14);
        head[..size].copy_from_slice(&have[..size]);
        let (extended, len, least) = match head[1] & 0x7f {
            126 => (2, u16::from_be_bytes([head[2], head[3]]).into(), 126),
            127 => (8, u64::from_be_bytes(std::array::from_fn(|index| head[2 + index])), 1 << 16),
            short => (0, short.into(), 0),
        };
        let mask = if head[1] & 0x80 == 0 { 0 } else { 4 };
        let end = len.saturating_add(start as u64 + 2 + extended + mask);
        self.at = end.min(self.wire.len() as u64) as usize;
        Some(FramePlace { start, end, minimal: len >= least })
    }
}

fn random_messages(rng: &mut Rng, histogram: &mut Histogram) -> Messages {
    (0..rng.below(6)).map(|_| random_message(rng, histogram)).collect()
}

fn random_message(rng: &mut Rng, histogram: &mut Histogram) -> (Kind, Vec<u8>) {
    let longest = match rng.below(100) {
        0 => LIMIT as u64,
        1..40 => 300,
        _ => 20,
    };
    let size = rng.below(longest) as usize;
    let (kind, body) = if rng.chance(0.5) {
        let characters = ['a', 'ü', '語', '🦀'];
        let text: String = (0..size / 4).map(|_| characters[rng.below(4) as usize]).collect();
        (Kind::Text, text.into_bytes())
    } else {
        let mut body = vec![0; size];
        rng.fill(&mut body);
        (Kind::Binary, body)
    };
    histogram.count(if kind == Kind::Text { "text" } else { "binary" });
    match body.len() {
        0 => histogram.count("empty"),
        1..=125 => histogram.count("up to 125 bytes"),
        126..=0xffff => histogram.count("up to 64 KiB"),
        _ => histogram.count("above 64 KiB"),
    }
    (kind, body)
}

fn random_close(rng: &mut Rng) -> (CloseCode, String) {
    let code = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 3000, 4999][rng.below(13) as usize];
    let reason = "ü".repeat(rng.below(62) as usize);
    (CloseCode::new(code).expect("a code that may be sent"), reason)
}

fn random_role(rng: &mut Rng) -> Role {
    if rng.chance(0.5) { Role::Client } else { Role::Server }
}

fn opposite(role: Role) -> Role {
    match role {
        Role::Client => Role::Server,
        Role::Server => Role::Client,
    }
}

/// What the seeds produced, so that many seeds can't mean one case many times.
#[derive(Default)]
struct Histogram(BTreeMap<String, usize>);

impl Histogram {
    fn count(&mut self, name: &str) {
        *self.0.entry(name.to_owned()).or_default() += 1;
    }

    fn print(&self, title: &str) {
        println!("{title}: {:#?}", self.0);
    }

    fn expect(&self, names: &[&str]) {
        for name in names {
            assert!(self.0.contains_key(*name), "the seeds never produced {name:?}");
        }
    }
}
