//! In-process byte pipes that two ports of one process meet on by name: what is under `pair:`.
//!
//! It is the part of a driver's sockets that needs no system: an [`Exchange`] joins the first and the second
//! opener of a name, and each [`PipeEnd`] behaves as a non-blocking stream socket. Readiness is told by wakers,
//! as edges: an end that has said `WouldBlock` is woken once it is worth trying again.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Waker;

/// Bytes in flight per direction; then the sender waits.
pub const PIPE_CAPACITY: usize = 64 * 1024;

/// Where the ends of pipes meet by name.
#[derive(Debug, Default)]
pub struct Exchange {
    waiting: Mutex<BTreeMap<String, Weak<Mutex<Pipe>>>>,
}

/// One end of a pipe; dropping it breaks the pipe unless both directions were finished.
#[derive(Debug)]
pub struct PipeEnd {
    pipe: Arc<Mutex<Pipe>>,
    side: usize,
}

#[derive(Debug, Default)]
struct Pipe {
    joined: bool,
    sides: [Side; 2],
}

#[derive(Debug, Default)]
struct Side {
    inbox: VecDeque<u8>,
    finished: bool,
    gone: bool,
    waker: Option<Waker>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Exchange {
    /// An exchange without names.
    pub const fn new() -> Self {
        Self { waiting: Mutex::new(BTreeMap::new()) }
    }

    /// The exchange that all drivers of this process share.
    pub fn of_process() -> &'static Self {
        static PROCESS: Exchange = Exchange::new();
        &PROCESS
    }

    /// Opens one end of the pipe of that name. The first opener waits for the second, the third starts anew.
    ///
    /// `waker` is woken when the other end joins, and whenever this end may be ready.
    pub fn open(&self, name: &str, waker: Waker) -> PipeEnd {
        let mut waiting = lock(&self.waiting);
        waiting.retain(|_, pipe| pipe.strong_count() > 0);
        let first = waiting.remove(name).and_then(|pipe| pipe.upgrade());
        let (pipe, side) = match first {
            Some(pipe) => (pipe, 1),
            None => {
                let pipe = Arc::new(Mutex::new(Pipe::default()));
                waiting.insert(name.to_owned(), Arc::downgrade(&pipe));
                (pipe, 0)
            }
        };
        {
            let mut state = lock(&pipe);
            state.joined = side == 1;
            state.sides[side].waker = Some(waker);
            state.wake(1 - side);
        }
        PipeEnd { pipe, side }
    }
}

impl Pipe {
    fn wake(&self, side: usize) {
        if let Some(waker) = &self.sides[side].waker {
            waker.wake_by_ref();
        }
    }
}

impl PipeEnd {
    /// Whether both ends are there.
    pub fn is_joined(&self) -> bool {
        lock(&self.pipe).joined
    }

    /// Receives; 0 is the end of the stream.
    pub fn try_recv(&self, buf: &mut [u8]) -> io::Result<usize> {
        let mut pipe = lock(&self.pipe);
        let (me, peer) = (self.side, 1 - self.side);
        let inbox = &mut pipe.sides[me].inbox;
        let n = inbox.len().min(buf.len());
        for (slot, byte) in buf.iter_mut().zip(inbox.drain(..n)) {
            *slot = byte;
        }
        if n > 0 {
            if inbox.is_empty() {
                *inbox = VecDeque::new();
            }
            pipe.wake(peer);
            return Ok(n);
        }
        match &pipe.sides[peer] {
            peer if peer.finished => Ok(0),
            peer if peer.gone => Err(io::ErrorKind::ConnectionReset.into()),
            _ => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Sends some of `bytes`.
    pub fn try_send(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut pipe = lock(&self.pipe);
        let peer = 1 - self.side;
        if pipe.sides[peer].gone {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let inbox = &mut pipe.sides[peer].inbox;
        let n = bytes.len().min(PIPE_CAPACITY.saturating_sub(inbox.len()));
        if n == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        inbox.extend(&bytes[..n]);
        pipe.wake(peer);
        Ok(n)
    }

    /// Ends our direction.
    pub fn finish(&self) {
        let mut pipe = lock(&self.pipe);
        pipe.sides[self.side].finished = true;
        pipe.wake(1 - self.side);
    }

    /// Whether a receive would say something else than `WouldBlock`.
    pub fn is_readable(&self) -> bool {
        let pipe = lock(&self.pipe);
        let peer = &pipe.sides[1 - self.side];
        !pipe.sides[self.side].inbox.is_empty() || peer.finished || peer.gone
    }
}

impl Drop for PipeEnd {
    fn drop(&mut self) {
        let mut pipe = lock(&self.pipe);
        pipe.sides[self.side].gone = true;
        pipe.sides[self.side].waker = None;
        pipe.wake(1 - self.side);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair() -> (PipeEnd, PipeEnd) {
        let exchange = Exchange::new();
        let first = exchange.open("x", Waker::noop().clone());
        assert!(!first.is_joined());
        (first, exchange.open("x", Waker::noop().clone()))
    }

    #[test]
    fn bytes_cross_and_a_full_pipe_blocks() {
        let (a, b) = pair();
        assert!(a.is_joined() && b.is_joined());
        assert_eq!(a.try_send(&[7; PIPE_CAPACITY + 1]).unwrap(), PIPE_CAPACITY);
        assert_eq!(a.try_send(&[7]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
        let mut buf = vec![0; PIPE_CAPACITY];
        assert_eq!(b.try_recv(&mut buf).unwrap(), PIPE_CAPACITY);
        assert_eq!(a.try_send(&[7]).unwrap(), 1);
    }

    #[test]
    fn a_finished_end_is_an_end_of_stream_and_a_dropped_one_a_reset() {
        let (a, b) = pair();
        a.try_send(b"last").unwrap();
        a.finish();
        drop(a);
        let mut buf = [0; 8];
        assert_eq!(b.try_recv(&mut buf).unwrap(), 4);
        assert_eq!(b.try_recv(&mut buf).unwrap(), 0);
        let (a, b) = pair();
        drop(a);
        assert_eq!(b.try_recv(&mut buf).unwrap_err().kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn a_name_is_free_again_when_the_first_opener_has_gone() {
        let exchange = Exchange::new();
        drop(exchange.open("x", Waker::noop().clone()));
        assert!(!exchange.open("x", Waker::noop().clone()).is_joined());
    }
}
