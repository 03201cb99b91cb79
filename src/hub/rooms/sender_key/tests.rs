use super::*;
use crate::link::noise::SecretKey;

const NOW: Instant = Instant::from_nanos(1_000_000_000);

struct Pair {
    room: RoomSecret,
    sender: Identity,
    listener: Identity,
    sending: Sending,
    receiving: Receiving,
    rng: Rng,
}

struct Sent(u32, u64, [u8; 64], Vec<u8>);

impl Sent {
    fn envelope(&self) -> Envelope<'_> {
        Envelope { generation: self.0, sequence: self.1, signature: self.2, sealed: &self.3 }
    }
}

impl Pair {
    fn new() -> Self {
        let mut rng = Rng::from_u64(1);
        let mut identity = || Identity::new(SecretKey::generate(&mut rng), &mut rng);
        let (sender, listener) = (identity(), identity());
        let (room, sending) = (RoomSecret::new("lobby", None), Sending::new(NOW, &mut rng));
        Self { room, sender, listener, sending, receiving: Receiving::default(), rng }
    }

    fn key(&self) -> SenderKey {
        self.sending.key(&self.room, &self.sender.address(), &self.listener.address())
    }

    fn give_key(&mut self) {
        assert_eq!(self.receiving.take(&self.key()), Ok(()));
    }

    fn say(&mut self, text: &str) -> Sent {
        self.sending.seal(self.room.hash(), &self.sender, text.as_bytes(), |envelope| {
            Sent(envelope.generation, envelope.sequence, envelope.signature, envelope.sealed.to_vec())
        })
    }

    fn open(&mut self, sent: &Sent) -> Result<Opened, Dropped> {
        self.receiving.open(self.room.hash(), self.sender.address(), &sent.envelope())
    }

    fn hears(&mut self, sent: &Sent, text: &str, missed: u64) {
        assert_eq!(self.open(sent), Ok(Opened { bytes: text.as_bytes().to_vec(), missed }));
    }
}

#[test]
fn broadcasts_are_opened_in_order_and_missing_ones_are_counted_through_all_chains() {
    let mut pair = Pair::new();
    pair.give_key();
    let sent: Vec<_> = (0..5).map(|n| pair.say(&n.to_string())).collect();
    pair.hears(&sent[0], "0", 0);
    pair.hears(&sent[3], "3", 2);
    pair.sending.renew(&mut pair.rng);
    let later = pair.say("later");
    assert_eq!(pair.open(&later), Err(Dropped::NoKey));
    let last = pair.say("last");
    pair.give_key();
    pair.hears(&sent[4], "4", 0);
    assert_eq!(pair.open(&last), Err(Dropped::Replayed), "the chain was given from the next broadcast on");
    let more = pair.say("more");
    pair.hears(&more, "more", 2);
}

#[test]
fn a_newcomer_cannot_open_what_was_said_before() {
    let mut pair = Pair::new();
    let before = pair.say("before");
    pair.give_key();
    let after = pair.say("after");
    assert_eq!(pair.open(&before), Err(Dropped::Replayed));
    pair.hears(&after, "after", 0);
}

#[test]
fn a_broadcast_is_opened_once() {
    let mut pair = Pair::new();
    pair.give_key();
    let sent = pair.say("once");
    pair.hears(&sent, "once", 0);
    assert_eq!(pair.open(&sent), Err(Dropped::Replayed));
    pair.give_key();
    assert_eq!(pair.open(&sent), Err(Dropped::Replayed));
}

#[test]
fn a_key_that_comes_again_does_not_turn_back() {
    let mut pair = Pair::new();
    let old = pair.key();
    pair.give_key();
    let sent = [pair.say("a"), pair.say("b")];
    pair.hears(&sent[0], "a", 0);
    assert_eq!(pair.receiving.take(&old), Ok(()));
    pair.hears(&sent[1], "b", 0);
    pair.sending.renew(&mut pair.rng);
    pair.give_key();
    pair.sending.renew(&mut pair.rng);
    pair.give_key();
    assert_eq!(pair.receiving.take(&old), Err(Dropped::Replayed));
}

#[test]
fn a_signature_is_of_its_sender_room_and_number() {
    let mut pair = Pair::new();
    let (room, from) = (pair.room.hash(), pair.sender.address());
    let sent = pair.say("mine");
    let envelope = sent.envelope();
    assert!(is_signed(room, from, &envelope));
    assert!(!is_signed(room, pair.listener.address(), &envelope));
    assert!(!is_signed(RoomHash([0; 32]), from, &envelope));
    assert!(!is_signed(room, from, &Envelope { sequence: envelope.sequence + 1, ..envelope }));
    assert!(!is_signed(room, from, &Envelope { generation: envelope.generation + 1, ..envelope }));
    assert!(!is_signed(room, from, &Envelope { sealed: &envelope.sealed[1..], ..envelope }));
}

#[test]
fn what_its_key_does_not_open_changes_nothing() {
    let mut pair = Pair::new();
    pair.give_key();
    let (mut forged, good) = (pair.say("forged"), pair.say("good"));
    forged.1 += 1;
    assert_eq!(pair.open(&forged), Err(Dropped::Forged));
    forged.3.truncate(3);
    assert_eq!(pair.open(&forged), Err(Dropped::Forged));
    pair.hears(&good, "good", 1);
}

#[test]
fn a_number_out_of_reach_is_refused_without_hashing_up_to_it() {
    let mut pair = Pair::new();
    pair.give_key();
    let mut sent = pair.say("far");
    for far in [sent.1 + MAX_SKIP + 1, u64::MAX - 1, u64::MAX] {
        sent.1 = far;
        assert_eq!(pair.open(&sent), Err(Dropped::TooFar));
    }
    let mut key = pair.key();
    key.sequence = u64::MAX;
    key.generation += 1;
    assert_eq!(pair.receiving.take(&key), Ok(()));
    (sent.0, sent.1) = (key.generation, u64::MAX);
    assert_eq!(pair.open(&sent), Err(Dropped::TooFar));
}

#[test]
fn who_has_missed_too_many_goes_on_with_a_newer_state_of_the_chain() {
    let mut pair = Pair::new();
    pair.give_key();
    for _ in 0..=MAX_SKIP {
        pair.say("lost");
    }
    let far = pair.say("too far");
    assert_eq!(pair.open(&far), Err(Dropped::TooFar));
    pair.give_key();
    let sent = pair.say("again");
    pair.hears(&sent, "again", 0);
}

#[test]
fn what_waits_is_bounded_in_number_bytes_and_by_sender() {
    let limits = Limits { room_waiting: 16, room_waiting_bytes: 100, ..Limits::default() };
    let mut waiting = Waiting::new(&limits);
    let from = |n: u8| crate::wire::identity::EndpointId([n; 32]).into();
    let sealed = [0; 30];
    let envelope = |sequence| Envelope { generation: 1, sequence, signature: [0; 64], sealed: &sealed };
    let small = |sequence| Envelope { sealed: &sealed[..1], ..envelope(sequence) };
    assert_eq!(waiting.push(NOW, from(1), &small(1)), Ok(()));
    assert_eq!(waiting.push(NOW, from(1), &small(1)), Err(Dropped::Replayed));
    assert_eq!(waiting.push(NOW, from(1), &small(2)), Ok(()));
    assert_eq!(waiting.push(NOW, from(1), &small(3)), Err(Dropped::TooMany), "an eighth of 16 is 2");
    for n in 2..5 {
        assert_eq!(waiting.push(NOW, from(n), &envelope(1)), Ok(()));
    }
    assert_eq!(waiting.push(NOW, from(5), &envelope(1)), Err(Dropped::TooMany), "they would be 122 bytes");
    waiting.forget(from(2));
    assert_eq!(waiting.push(NOW, from(5), &envelope(1)), Ok(()));
    assert_eq!(waiting.take(from(5), 1).map(|waiter| waiter.sequence), Some(1));
    assert!(waiting.take(from(5), 1).is_none());
    for n in 10..20 {
        _ = waiting.push(NOW, from(n), &small(1));
    }
    assert_eq!(std::iter::from_fn(|| waiting.take_first()).count(), 2 + 2 + 10);
    assert_eq!((waiting.bytes, waiting.since()), (0, None));
}
