//! Both ends with each other, over queues in memory.

use blake3::Hasher;

use super::message::{CHUNK, FileName, Message, Offer, Refusal, Violation};
use super::receiver::{Arrived, Receiver};
use super::sender::{Answer, Sender};

#[test]
fn a_file_arrives_as_it_was_sent() {
    for size in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 5 * CHUNK + 7] {
        let (file, mut kept) = (content(size), Vec::new());
        assert_eq!(transfer(&file, &mut kept, usize::MAX), Outcome::Verified { sent: size });
        assert!(kept == file, "{size}");
    }
}

#[test]
fn a_transfer_that_breaks_at_any_chunk_is_resumed_where_it_broke() {
    let file = content(9 * CHUNK + 1);
    for chunks in 0..=10 {
        let mut kept = Vec::new();
        assert_eq!(transfer(&file, &mut kept, chunks), Outcome::Broken, "{chunks}");
        let had = kept.len();
        assert_eq!(had, (chunks * CHUNK).min(file.len()));
        assert_eq!(transfer(&file, &mut kept, usize::MAX), Outcome::Verified { sent: file.len() - had }, "{chunks}");
        assert!(kept == file);
    }
}

#[test]
fn a_beginning_of_something_else_is_sent_anew() {
    let file = content(3 * CHUNK);
    for mut kept in [vec![9; CHUNK], vec![9; 3 * CHUNK], file[1..].to_vec()] {
        assert_eq!(transfer(&file, &mut kept, usize::MAX), Outcome::Verified { sent: file.len() });
        assert!(kept == file);
    }
}

#[test]
fn a_file_that_differs_from_its_offer_is_found_out() {
    let (mut file, mut kept) = (content(2 * CHUNK), Vec::new());
    let offer = offer(&file);
    file[CHUNK + 3] ^= 1;
    assert_eq!(transfer_as(offer, &file, &mut kept, usize::MAX), Outcome::Refused(Refusal::Corrupt));
}

#[test]
fn a_refusal_reaches_the_sender_with_its_reason() {
    let (mut sender, mut receiver) = (Sender::new(offer(b"x")), Receiver::default());
    receiver.receive(&sender.offer()).unwrap();
    let answer = sender.receive(&receiver.refuse(Refusal::Declined)).unwrap();
    assert_eq!(answer, Answer::Refused(Refusal::Declined));
}

#[test]
fn a_sender_that_gives_up_says_so() {
    let (mut sender, mut receiver) = (Sender::new(offer(b"xyz")), Receiver::default());
    receiver.receive(&sender.offer()).unwrap();
    sender.receive(&receiver.accept(Hasher::new())).unwrap();
    receiver.receive(&sender.start(true).1).unwrap();
    assert_eq!(receiver.receive(&sender.abort()), Ok(Arrived::Aborted(Refusal::Changed)));
}

#[test]
fn a_receiver_refuses_what_the_rules_forbid() {
    let start = |at| Message::Start { at }.encode();
    let accepted = || {
        let mut receiver = Receiver::default();
        receiver.receive(&Sender::new(offer(b"xyz")).offer()).unwrap();
        receiver.accept(Hasher::new());
        receiver
    };
    assert_eq!(Receiver::default().receive(&start(0)), Err(Violation::OutOfTurn));
    assert_eq!(accepted().receive(&start(1)), Err(Violation::StartsElsewhere));
    assert_eq!(accepted().receive(&Message::Chunk(b"x").encode()), Err(Violation::OutOfTurn));
    let mut receiving = accepted();
    receiving.receive(&start(0)).unwrap();
    assert_eq!(receiving.receive(&Message::Chunk(b"xyz!").encode()), Err(Violation::TooMuch));
}

#[test]
fn a_sender_refuses_what_the_rules_forbid() {
    let accept = |have| Message::Accept { have, hash: blake3::hash(b"") }.encode();
    let sender = || Sender::new(offer(b"xyz"));
    assert_eq!(sender().receive(&accept(4)), Err(Violation::HasTooMuch));
    assert_eq!(sender().receive(&Message::Verified.encode()), Err(Violation::OutOfTurn));
    let mut accepted = sender();
    accepted.receive(&accept(0)).unwrap();
    assert_eq!(accepted.receive(&accept(0)), Err(Violation::OutOfTurn));
    accepted.start(true);
    assert_eq!(accepted.receive(&Message::Verified.encode()), Err(Violation::OutOfTurn), "nothing has been sent yet");
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Verified { sent: usize },
    Broken,
    Refused(Refusal),
}

fn transfer(file: &[u8], kept: &mut Vec<u8>, chunks: usize) -> Outcome {
    transfer_as(offer(file), file, kept, chunks)
}

/// Sends a file to one who has kept a part of it; breaks after so many chunks, without a word.
fn transfer_as(offer: Offer, file: &[u8], kept: &mut Vec<u8>, chunks: usize) -> Outcome {
    let (mut sender, mut receiver) = (Sender::new(offer), Receiver::default());
    receiver.receive(&sender.offer()).unwrap();
    let mut prefix = Hasher::new();
    prefix.update(kept);
    let accept = receiver.accept(prefix);
    let Ok(Answer::Check { have, hash }) = sender.receive(&accept) else { panic!("not accepted") };
    let (at, start) = sender.start(blake3::hash(&file[..have as usize]) == hash);
    assert_eq!(receiver.receive(&start), Ok(Arrived::Start(at)));
    kept.truncate(at as usize);
    for chunk in file[at as usize..].chunks(CHUNK).take(chunks) {
        let message = sender.chunk(chunk);
        assert_eq!(receiver.receive(&message), Ok(Arrived::Chunk(chunk)));
        kept.extend_from_slice(chunk);
    }
    if chunks != usize::MAX {
        return Outcome::Broken;
    }
    assert!(receiver.is_complete() && sender.remaining() == 0);
    let verdict = if receiver.is_verified() { Receiver::verified() } else { receiver.refuse(Refusal::Corrupt) };
    match sender.receive(&verdict) {
        Ok(Answer::Verified) => Outcome::Verified { sent: file.len() - at as usize },
        Ok(Answer::Refused(refusal)) => Outcome::Refused(refusal),
        other => panic!("{other:?}"),
    }
}

fn offer(file: &[u8]) -> Offer {
    Offer { name: FileName::parse("file").unwrap(), size: file.len() as u64, hash: blake3::hash(file) }
}

fn content(size: usize) -> Vec<u8> {
    (0..size).map(|at| (at % 251) as u8).collect()
}
