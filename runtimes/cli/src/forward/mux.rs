//! Many TCP connections over one reliable ordered channel, as far as that needs no socket.
//!
//! The end that listens opens streams; each stream has a window of its own in each direction, so that a connection
//! nobody reads from holds up no other: what has arrived and is not consumed never exceeds [`WINDOW`] a stream. What
//! one end says after the other has let go of the stream is passed over, since it was under way.

use std::collections::{BTreeMap, VecDeque};

use super::message::{Body, CHUNK, Message, Reset, StreamId, Violation};

/// Bytes of a stream that may be under way, or wait to be consumed, in each direction.
pub(crate) const WINDOW: u64 = 256 * 1024;

/// Streams at a time; a further one is reset.
pub(crate) const MAX_STREAMS: usize = 256;

/// One end of a forwarding.
#[derive(Debug)]
pub(crate) struct Mux {
    end: End,
    streams: BTreeMap<StreamId, Stream>,
    /// The id of the next stream that is opened.
    next: StreamId,
    out: VecDeque<Vec<u8>>,
}

/// Which of the two ends this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It listens, and opens streams.
    Listening,
    /// It connects to what it serves.
    Serving,
}

#[derive(Debug)]
struct Stream {
    may_send: u64,
    may_receive: u64,
    /// Consumed and not granted again yet.
    owed: u64,
    finished: bool,
    peer_finished: bool,
}

/// What the other end wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Heard<'a> {
    /// A connection to this service.
    Open(StreamId, &'a str),
    Data(StreamId, &'a [u8]),
    /// So many bytes more may be sent.
    Granted(StreamId, u64),
    /// No more data follows.
    Finished(StreamId),
    Reset(StreamId, Reset),
    /// Nothing that anybody needs to know.
    Nothing,
}

impl Mux {
    pub(crate) const fn new(end: End) -> Self {
        Self { end, streams: BTreeMap::new(), next: 0, out: VecDeque::new() }
    }

    /// Opens a stream to a service, unless there are too many.
    pub(crate) fn open(&mut self, service: &str) -> Option<StreamId> {
        if self.streams.len() >= MAX_STREAMS {
            return None;
        }
        let stream = self.next;
        self.next += 1;
        self.streams.insert(stream, Stream::new());
        self.say(stream, Body::Open(service));
        Some(stream)
    }

    /// Takes a message of the other end.
    pub(crate) fn receive<'a>(&mut self, message: &'a [u8]) -> Result<Heard<'a>, Violation> {
        let Message { stream: id, body } = Message::decode(message)?;
        if let Body::Open(service) = body {
            return self.opened(id, service);
        }
        if id >= self.next {
            return Err(Violation::NeverOpened(id));
        }
        let Some(stream) = self.streams.get_mut(&id) else { return Ok(Heard::Nothing) };
        let heard = match body {
            Body::Data(bytes) => stream.receive(id, bytes)?,
            Body::Grant(bytes) => stream.granted(id, bytes)?,
            Body::Finish => stream.finished(id)?,
            Body::Reset(reset) => {
                self.streams.remove(&id);
                return Ok(Heard::Reset(id, reset));
            }
            Body::Open(_) => Heard::Nothing,
        };
        self.forget_if_done(id);
        Ok(heard)
    }

    /// Sends bytes of a stream that were granted; what a stream that has ended is given, is dropped.
    ///
    /// # Panics
    /// If they were not granted, or after [`Self::finish`].
    pub(crate) fn send(&mut self, id: StreamId, bytes: &[u8]) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        assert!(!stream.finished && bytes.len() as u64 <= stream.may_send, "stream {id} has no leave to send that");
        stream.may_send -= bytes.len() as u64;
        for chunk in bytes.chunks(CHUNK) {
            self.say(id, Body::Data(chunk));
        }
    }

    /// Says that received bytes have been passed on, so that as many more may come.
    pub(crate) fn consumed(&mut self, id: StreamId, bytes: u64) {
        let Some(stream) = self.streams.get_mut(&id) else { return };
        stream.owed += bytes;
        if stream.owed < WINDOW / 2 || stream.peer_finished {
            return;
        }
        let owed = std::mem::take(&mut stream.owed);
        stream.may_receive += owed;
        self.say(id, Body::Grant(owed));
    }

    /// Says that a stream has no more data.
    pub(crate) fn finish(&mut self, id: StreamId) {
        let Some(stream) = self.streams.get_mut(&id).filter(|stream| !stream.finished) else { return };
        stream.finished = true;
        self.say(id, Body::Finish);
        self.forget_if_done(id);
    }

    /// Ends a stream in both directions at once.
    pub(crate) fn reset(&mut self, id: StreamId, why: Reset) {
        if self.streams.remove(&id).is_some() {
            self.say(id, Body::Reset(why));
        }
    }

    /// The next message for the other end. It stays until [`Self::sent`].
    pub(crate) fn next_message(&self) -> Option<&[u8]> {
        self.out.front().map(Vec::as_slice)
    }

    pub(crate) fn sent(&mut self) {
        self.out.pop_front();
    }

    fn opened<'a>(&mut self, id: StreamId, service: &'a str) -> Result<Heard<'a>, Violation> {
        if self.end == End::Listening || id != self.next {
            return Err(Violation::OpenedOutOfTurn(id));
        }
        self.next += 1;
        if self.streams.len() >= MAX_STREAMS {
            self.say(id, Body::Reset(Reset::TooMany));
            return Ok(Heard::Nothing);
        }
        self.streams.insert(id, Stream::new());
        Ok(Heard::Open(id, service))
    }

    fn say(&mut self, stream: StreamId, body: Body<'_>) {
        self.out.push_back(Message { stream, body }.encode());
    }

    fn forget_if_done(&mut self, id: StreamId) {
        if self.streams.get(&id).is_some_and(|stream| stream.finished && stream.peer_finished) {
            self.streams.remove(&id);
        }
    }
}

impl Stream {
    const fn new() -> Self {
        Self { may_send: WINDOW, may_receive: WINDOW, owed: 0, finished: false, peer_finished: false }
    }

    fn receive<'a>(&mut self, id: StreamId, bytes: &'a [u8]) -> Result<Heard<'a>, Violation> {
        if self.peer_finished {
            return Err(Violation::AfterFinish(id));
        }
        let left = self.may_receive.checked_sub(bytes.len() as u64);
        self.may_receive = left.ok_or(Violation::Ungranted(id))?;
        Ok(Heard::Data(id, bytes))
    }

    fn granted<'a>(&mut self, id: StreamId, bytes: u64) -> Result<Heard<'a>, Violation> {
        let more = self.may_send.checked_add(bytes).filter(|more| *more <= WINDOW);
        self.may_send = more.ok_or(Violation::GrantedTooMuch(id))?;
        Ok(Heard::Granted(id, bytes))
    }

    const fn finished<'a>(&mut self, id: StreamId) -> Result<Heard<'a>, Violation> {
        if self.peer_finished {
            return Err(Violation::AfterFinish(id));
        }
        self.peer_finished = true;
        Ok(Heard::Finished(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_go_both_ways_and_each_direction_ends_by_itself() {
        let (mut a, mut b) = pair();
        let stream = a.open("web").unwrap();
        a.send(stream, b"request");
        a.finish(stream);
        assert_eq!(passed(&mut a, &mut b), ["open 0 web", "data 0 request", "finish 0"]);
        b.send(stream, b"answer");
        b.finish(stream);
        assert_eq!(passed(&mut b, &mut a), ["data 0 answer", "finish 0"]);
        assert_eq!((a.streams.len(), b.streams.len()), (0, 0));
    }

    #[test]
    fn a_stream_that_nobody_consumes_stops_and_holds_up_no_other() {
        let (mut a, mut b) = pair();
        let (slow, fast) = (a.open("x").unwrap(), a.open("x").unwrap());
        a.send(slow, &vec![0; WINDOW as usize]);
        a.send(fast, b"still");
        assert_eq!(passed(&mut a, &mut b).last().unwrap(), "data 1 still");
        b.consumed(slow, WINDOW / 2 - 1);
        assert_eq!(passed(&mut b, &mut a), [""; 0], "a grant for each byte would be noise");
        b.consumed(slow, 1);
        assert_eq!(passed(&mut b, &mut a), [format!("grant 0 {}", WINDOW / 2)]);
        a.send(slow, &vec![0; WINDOW as usize / 2]);
        passed(&mut a, &mut b);
    }

    #[test]
    #[should_panic(expected = "no leave")]
    fn more_than_was_granted_cannot_be_sent() {
        let mut mux = Mux::new(End::Listening);
        let stream = mux.open("x").unwrap();
        mux.send(stream, &vec![0; WINDOW as usize + 1]);
    }

    #[test]
    fn a_reset_ends_both_directions_and_what_was_under_way_is_passed_over() {
        let (mut a, mut b) = pair();
        let stream = a.open("web").unwrap();
        passed(&mut a, &mut b);
        b.reset(stream, Reset::Unreachable);
        a.send(stream, b"too late");
        assert_eq!(passed(&mut a, &mut b), ["nothing"]);
        assert_eq!(passed(&mut b, &mut a), [format!("reset 0 {}", Reset::Unreachable)]);
        a.send(stream, b"later still");
        a.finish(stream);
        assert!(a.next_message().is_none(), "nobody listens any more");
    }

    #[test]
    fn a_stream_beyond_the_limit_is_reset() {
        let (mut a, mut b) = pair();
        for _ in 0..MAX_STREAMS {
            a.open("x").unwrap();
        }
        assert_eq!(a.open("x"), None);
        passed(&mut a, &mut b);
        a.streams.clear();
        a.open("x").unwrap();
        assert_eq!(passed(&mut a, &mut b), ["nothing"]);
        assert_eq!(passed(&mut b, &mut a), [format!("reset {MAX_STREAMS} {}", Reset::TooMany)]);
    }

    #[test]
    fn each_rule_that_the_other_end_breaks_is_named() {
        let say = |stream, body: Body<'_>| Message { stream, body }.encode();
        let serving = || {
            let mut mux = Mux::new(End::Serving);
            mux.receive(&say(0, Body::Open("x"))).unwrap();
            mux
        };
        let heard = |mux: &mut Mux, stream, body: Body<'_>| mux.receive(&say(stream, body)).unwrap_err();
        assert_eq!(heard(&mut serving(), 0, Body::Open("x")), Violation::OpenedOutOfTurn(0));
        assert_eq!(heard(&mut serving(), 2, Body::Open("x")), Violation::OpenedOutOfTurn(2));
        assert_eq!(heard(&mut Mux::new(End::Listening), 0, Body::Open("x")), Violation::OpenedOutOfTurn(0));
        assert_eq!(heard(&mut serving(), 1, Body::Finish), Violation::NeverOpened(1));
        assert_eq!(heard(&mut serving(), 0, Body::Grant(1)), Violation::GrantedTooMuch(0));
        assert_eq!(heard(&mut serving(), 0, Body::Grant(u64::MAX)), Violation::GrantedTooMuch(0));
        let mut full = serving();
        for _ in 0..WINDOW / 1024 {
            full.receive(&say(0, Body::Data(&[0; 1024]))).unwrap();
        }
        assert_eq!(heard(&mut full, 0, Body::Data(b"x")), Violation::Ungranted(0));
        let mut finished = serving();
        finished.receive(&say(0, Body::Finish)).unwrap();
        assert_eq!(heard(&mut finished, 0, Body::Data(b"x")), Violation::AfterFinish(0));
        assert_eq!(heard(&mut finished, 0, Body::Finish), Violation::AfterFinish(0));
    }

    fn pair() -> (Mux, Mux) {
        (Mux::new(End::Listening), Mux::new(End::Serving))
    }

    /// Passes all messages from one end to the other, and says what it heard.
    fn passed(from: &mut Mux, to: &mut Mux) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(message) = from.next_message() {
            all.push(match to.receive(message).unwrap() {
                Heard::Open(stream, service) => format!("open {stream} {service}"),
                Heard::Data(stream, bytes) => format!("data {stream} {}", String::from_utf8_lossy(bytes)),
                Heard::Granted(stream, bytes) => format!("grant {stream} {bytes}"),
                Heard::Finished(stream) => format!("finish {stream}"),
                Heard::Reset(stream, reset) => format!("reset {stream} {reset}"),
                Heard::Nothing => "nothing".to_owned(),
            });
            from.sent();
        }
        all
    }
}
