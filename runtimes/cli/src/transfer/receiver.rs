//! The receiving end of one file's transfer, as far as it needs no file.

use blake3::Hasher;

use super::message::{Message, Offer, Refusal, Violation};

/// Receives files one after the other.
#[derive(Debug, Default)]
pub(crate) struct Receiver {
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Idle,
    Offered(Offer),
    /// What we have is with the sender to be compared.
    Accepted(Offer, Hasher),
    /// The hasher has counted what we have.
    Receiving(Offer, Hasher),
}

/// What the sender has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Arrived<'a> {
    /// A file that can be taken: [`Receiver::accept`] or [`Receiver::refuse`] follows.
    Offer(Offer),
    /// What comes belongs behind so many bytes of what we have; the rest of that is void.
    Start(u64),
    /// The next bytes of the file.
    Chunk(&'a [u8]),
    /// The sender has given up.
    Aborted(Refusal),
}

impl Receiver {
    /// Takes a message of the sender. After each, see whether the file [is complete](Self::is_complete).
    pub(crate) fn receive<'a>(&mut self, message: &'a [u8]) -> Result<Arrived<'a>, Violation> {
        match (Message::decode(message)?, std::mem::take(&mut self.state)) {
            (Message::Offer(offer), State::Idle) => {
                self.state = State::Offered(offer.clone());
                Ok(Arrived::Offer(offer))
            }
            (Message::Start { at }, State::Accepted(offer, hasher)) => self.start(at, offer, hasher),
            (Message::Chunk(bytes), State::Receiving(offer, hasher)) => self.chunk(bytes, offer, hasher),
            (Message::Refuse(refusal), State::Accepted(..) | State::Receiving(..)) => Ok(Arrived::Aborted(refusal)),
            _ => Err(Violation::OutOfTurn),
        }
    }

    /// Takes the offered file, of which the hasher has counted the beginning that we have.
    ///
    /// # Panics
    /// Unless a file is offered, or if we have more than it.
    pub(crate) fn accept(&mut self, prefix: Hasher) -> Vec<u8> {
        let State::Offered(offer) = std::mem::take(&mut self.state) else { panic!("nothing is offered") };
        assert!(prefix.count() <= offer.size, "we have more than the file");
        let message = Message::Accept { have: prefix.count(), hash: prefix.finalize() }.encode();
        self.state = State::Accepted(offer, prefix);
        message
    }

    /// Does not take it, or not any more.
    pub(crate) fn refuse(&mut self, refusal: Refusal) -> Vec<u8> {
        self.state = State::Idle;
        Message::Refuse(refusal).encode()
    }

    /// Whether all bytes have come.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(&self.state, State::Receiving(offer, hasher) if hasher.count() == offer.size)
    }

    /// Once all has come: whether it is what was offered; the next file may be offered then.
    pub(crate) fn is_verified(&mut self) -> bool {
        let right = self.is_complete()
            && matches!(&self.state, State::Receiving(offer, hasher) if hasher.finalize() == offer.hash);
        self.state = State::Idle;
        right
    }

    /// The message that says that the file has been verified and is in its place.
    pub(crate) fn verified() -> Vec<u8> {
        Message::Verified.encode()
    }

    fn start(&mut self, at: u64, offer: Offer, hasher: Hasher) -> Result<Arrived<'static>, Violation> {
        let hasher = match at {
            at if at == hasher.count() => hasher,
            0 => Hasher::new(),
            _ => return Err(Violation::StartsElsewhere),
        };
        self.state = State::Receiving(offer, hasher);
        Ok(Arrived::Start(at))
    }

    fn chunk<'a>(&mut self, bytes: &'a [u8], offer: Offer, mut hasher: Hasher) -> Result<Arrived<'a>, Violation> {
        if bytes.len() as u64 > offer.size - hasher.count() {
            return Err(Violation::TooMuch);
        }
        hasher.update(bytes);
        self.state = State::Receiving(offer, hasher);
        Ok(Arrived::Chunk(bytes))
    }
}
