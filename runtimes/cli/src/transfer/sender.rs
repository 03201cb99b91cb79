//! The sending end of one file's transfer, as far as it needs no file.

use blake3::Hash;

use super::message::{Message, Offer, Refusal, Violation};

/// Sends one file: [`Self::offer`], then what [`Answer`] asks for.
#[derive(Debug)]
pub(crate) struct Sender {
    offer: Offer,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Offered,
    /// The receiver has so many bytes, which are to be compared.
    Checking(u64),
    /// The next chunk belongs here.
    Sending(u64),
    Ended,
}

/// What the receiver has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It wants the file, and has a beginning whose hash is to be compared; [`Sender::start`] follows.
    Check { have: u64, hash: Hash },
    /// All has arrived as it was offered.
    Verified,
    /// It will not take it.
    Refused(Refusal),
}

impl Sender {
    pub(crate) const fn new(offer: Offer) -> Self {
        Self { offer, state: State::Offered }
    }

    /// The first message.
    pub(crate) fn offer(&self) -> Vec<u8> {
        Message::Offer(self.offer.clone()).encode()
    }

    /// Takes a message of the receiver.
    pub(crate) fn receive(&mut self, message: &[u8]) -> Result<Answer, Violation> {
        match (Message::decode(message)?, self.state) {
            (Message::Accept { have, .. }, State::Offered) if have > self.offer.size => Err(Violation::HasTooMuch),
            (Message::Accept { have, hash }, State::Offered) => {
                self.state = State::Checking(have);
                Ok(Answer::Check { have, hash })
            }
            (Message::Verified, State::Sending(at)) if at == self.offer.size => Ok(self.end(Answer::Verified)),
            (Message::Refuse(refusal), state) if state != State::Ended => Ok(self.end(Answer::Refused(refusal))),
            _ => Err(Violation::OutOfTurn),
        }
    }

    /// Goes on after what the receiver has, if that is `right`, else from the beginning; answers where, and the message.
    pub(crate) fn start(&mut self, right: bool) -> (u64, Vec<u8>) {
        let State::Checking(have) = self.state else { panic!("nobody has accepted") };
        let at = if right { have } else { 0 };
        self.state = State::Sending(at);
        (at, Message::Start { at }.encode())
    }

    /// How many bytes are still to be sent; 0 before [`Self::start`].
    pub(crate) const fn remaining(&self) -> u64 {
        match self.state {
            State::Sending(at) => self.offer.size - at,
            _ => 0,
        }
    }

    /// The next chunk's message, of 1 to [`CHUNK`](super::message::CHUNK) bytes and no more than [`Self::remaining`].
    pub(crate) fn chunk(&mut self, bytes: &[u8]) -> Vec<u8> {
        assert!(bytes.len() as u64 <= self.remaining());
        if let State::Sending(at) = &mut self.state {
            *at += bytes.len() as u64;
        }
        Message::Chunk(bytes).encode()
    }

    /// Gives up; the message that says so.
    pub(crate) fn abort(&mut self) -> Vec<u8> {
        self.state = State::Ended;
        Message::Refuse(Refusal::Changed).encode()
    }

    const fn end(&mut self, answer: Answer) -> Answer {
        self.state = State::Ended;
        answer
    }
}
