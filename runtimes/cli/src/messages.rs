//! Standard input and output as messages.
//!
//! Each has a thread, since both block, and a short queue of batches between it and the session: a batch is what is
//! at hand, up to 64 KiB and one message. A reader that is slow, or gone, is so noticed without the links waiting
//! for it; the session takes no more from the links while the queue is full, and they from their peers.

use std::io::{self, BufRead as _, BufReader, Read, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::task::Waker;
use std::thread::{self, JoinHandle};

use switchboard::machine::payload::Kind;

/// Bytes at which a batch is passed on.
const BATCH: usize = 64 * 1024;
/// Batches that wait.
const WAITING: usize = 4;

/// A message on its way from or to a link.
pub(crate) type Message = (Kind, Vec<u8>);

/// How messages are told apart on a byte stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// One per line.
    Lines,
    /// Four bytes of length, big-endian, then as many bytes.
    Lengths,
}

/// What the thread of standard input says before it ends: at the end of input, nothing.
#[derive(Debug)]
pub(crate) enum Fed {
    Messages(Vec<Message>),
    Broken(InputError),
}

/// Why input can't be read on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InputError {
    #[error("standard input: {0}")]
    Io(#[from] io::Error),
    #[error("standard input: a message has more than {limit} bytes (--max-message)")]
    TooLong { limit: usize },
    #[error("standard input ended in the middle of a message")]
    Truncated,
}

/// Reads standard input in a thread; `waker` is woken when there is something to receive.
pub(crate) fn read(framing: Framing, limit: usize, waker: Waker) -> Receiver<Fed> {
    let (sender, receiver) = sync_channel(WAITING);
    thread::spawn(move || {
        let mut reader = Reader::new(io::stdin().lock(), framing, limit);
        feed(&mut reader, &sender, &waker);
        drop(sender);
        waker.wake();
    });
    receiver
}

fn feed(reader: &mut Reader<impl Read>, sender: &SyncSender<Fed>, waker: &Waker) {
    loop {
        let (fed, last) = match reader.batch() {
            Ok(batch) if batch.is_empty() => return,
            Ok(batch) => (Fed::Messages(batch), false),
            Err(error) => (Fed::Broken(error), true),
        };
        if sender.send(fed).is_err() || last {
            return;
        }
        waker.wake_by_ref();
    }
}

struct Reader<R> {
    source: BufReader<R>,
    framing: Framing,
    limit: usize,
}

impl<R: Read> Reader<R> {
    fn new(source: R, framing: Framing, limit: usize) -> Self {
        Self { source: BufReader::with_capacity(BATCH, source), framing, limit }
    }

    /// Waits for one message and adds what is there at once; empty at the end of input.
    fn batch(&mut self) -> Result<Vec<Message>, InputError> {
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.is_empty() || bytes < BATCH && self.at_hand() {
            let Some(message) = self.one()? else { break };
            bytes += message.1.len();
            batch.push(message);
        }
        Ok(batch)
    }

    /// Whether a whole message lies in the buffer.
    fn at_hand(&self) -> bool {
        let buffer = self.source.buffer();
        match self.framing {
            Framing::Lines => buffer.contains(&b'\n'),
            Framing::Lengths => {
                buffer.split_first_chunk().is_some_and(|(head, rest)| u32::from_be_bytes(*head) as usize <= rest.len())
            }
        }
    }

    fn one(&mut self) -> Result<Option<Message>, InputError> {
        match self.framing {
            Framing::Lines => self.line(),
            Framing::Lengths => self.prefixed(),
        }
    }

    fn line(&mut self) -> Result<Option<Message>, InputError> {
        let mut line = Vec::new();
        let most = (self.limit as u64).saturating_add(1);
        self.source.by_ref().take(most).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            return Ok(None);
        }
        if line.last() == Some(&b'\n') {
            line.pop();
        }
        if line.len() > self.limit {
            return Err(InputError::TooLong { limit: self.limit });
        }
        let kind = if str::from_utf8(&line).is_ok() { Kind::Text } else { Kind::Binary };
        Ok(Some((kind, line)))
    }

    fn prefixed(&mut self) -> Result<Option<Message>, InputError> {
        if self.source.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut head = [0; 4];
        self.source.read_exact(&mut head).map_err(truncated)?;
        let len = u32::from_be_bytes(head) as usize;
        if len > self.limit {
            return Err(InputError::TooLong { limit: self.limit });
        }
        let mut message = Vec::new();
        self.source.by_ref().take(len as u64).read_to_end(&mut message)?;
        if message.len() < len {
            return Err(InputError::Truncated);
        }
        Ok(Some((Kind::Binary, message)))
    }
}

fn truncated(error: io::Error) -> InputError {
    if error.kind() == io::ErrorKind::UnexpectedEof { InputError::Truncated } else { InputError::Io(error) }
}

/// Standard output, written by a thread.
pub(crate) struct Output {
    framing: Framing,
    batch: Vec<u8>,
    batches: SyncSender<Vec<u8>>,
    writer: JoinHandle<io::Result<()>>,
    gone: Arc<AtomicBool>,
}

impl Output {
    /// `waker` is woken when there is room again, and when the reader is found to be gone.
    pub(crate) fn new(framing: Framing, waker: Waker) -> Self {
        let (batches, receiver) = sync_channel(WAITING);
        let gone = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&gone);
        let writer = thread::spawn(move || {
            let result = write(receiver, &waker);
            told.store(true, Ordering::Release);
            waker.wake();
            result
        });
        Self { framing, batch: Vec::new(), batches, writer, gone }
    }

    /// Whether a message can be pushed.
    pub(crate) const fn has_room(&self) -> bool {
        self.batch.len() < BATCH
    }

    /// Whether nobody reads any more.
    pub(crate) fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Acquire)
    }

    /// Whether all that was pushed has been passed on.
    pub(crate) const fn is_passed(&self) -> bool {
        self.batch.is_empty()
    }

    pub(crate) fn push(&mut self, message: &[u8]) {
        encode(self.framing, message, &mut self.batch);
    }

    /// Passes on what was pushed, if there is room.
    pub(crate) fn pass(&mut self) {
        if self.batch.is_empty() {
            return;
        }
        if let Err(TrySendError::Full(batch)) = self.batches.try_send(std::mem::take(&mut self.batch)) {
            self.batch = batch;
        }
    }

    /// Waits until all is written; a reader that has gone is no error.
    pub(crate) fn finish(self) -> io::Result<()> {
        drop(self.batches);
        match self.writer.join() {
            Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }
}

fn write(batches: Receiver<Vec<u8>>, waker: &Waker) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    for batch in batches {
        stdout.write_all(&batch)?;
        stdout.flush()?;
        waker.wake_by_ref();
    }
    Ok(())
}

fn encode(framing: Framing, message: &[u8], batch: &mut Vec<u8>) {
    if framing == Framing::Lengths {
        let len = u32::try_from(message.len()).unwrap_or(u32::MAX);
        batch.extend_from_slice(&len.to_be_bytes());
    }
    batch.extend_from_slice(message);
    if framing == Framing::Lines {
        batch.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_text_if_it_is_utf_8_and_the_last_needs_no_line_feed() {
        let got = all(b"one\n\n\xff\r\nlast", Framing::Lines).unwrap();
        let kinds = [Kind::Text, Kind::Text, Kind::Binary, Kind::Text];
        let lines: [&[u8]; 4] = [b"one", b"", b"\xff\r", b"last"];
        assert_eq!(got, kinds.into_iter().zip(lines.map(<[u8]>::to_vec)).collect::<Vec<_>>());
    }

    #[test]
    fn a_prefix_says_how_long_a_message_is() {
        let got = all(b"\0\0\0\x03a\nb\0\0\0\0", Framing::Lengths).unwrap();
        assert_eq!(got, [(Kind::Binary, b"a\nb".to_vec()), (Kind::Binary, Vec::new())]);
    }

    #[test]
    fn what_is_read_is_written_again_unchanged() {
        for (framing, stream) in [(Framing::Lines, &b"a\n\nb\n"[..]), (Framing::Lengths, b"\0\0\0\x01a\0\0\0\0")] {
            let mut written = Vec::new();
            for (_, message) in all(stream, framing).unwrap() {
                encode(framing, &message, &mut written);
            }
            assert_eq!(written, stream);
        }
    }

    #[test]
    fn a_message_above_the_limit_and_one_cut_off_are_refused() {
        assert!(matches!(all(b"123456789\n", Framing::Lines), Err(InputError::TooLong { limit: 8 })));
        assert!(matches!(all(b"\0\0\0\x09", Framing::Lengths), Err(InputError::TooLong { limit: 8 })));
        assert_eq!(all(b"12345678\n", Framing::Lines).unwrap().len(), 1);
        for cut in [&b"\0\0"[..], b"\0\0\0\x02a"] {
            assert!(matches!(all(cut, Framing::Lengths), Err(InputError::Truncated)), "{cut:?}");
        }
    }

    #[test]
    fn what_is_at_hand_comes_in_one_batch_and_a_started_line_is_not_waited_for() {
        let mut reader = Reader::new(&b"a\nb\nc"[..], Framing::Lines, 8);
        assert_eq!(reader.batch().unwrap().len(), 2);
        assert_eq!(reader.batch().unwrap().len(), 1);
        assert_eq!(reader.batch().unwrap().len(), 0);
    }

    fn all(stream: &[u8], framing: Framing) -> Result<Vec<Message>, InputError> {
        let mut reader = Reader::new(stream, framing, 8);
        let mut all = Vec::new();
        loop {
            let batch = reader.batch()?;
            if batch.is_empty() {
                return Ok(all);
            }
            all.extend(batch);
        }
    }
}
