use super::super::identity::{EndpointId, Instance};
use super::*;

const ROOM: RoomHash = RoomHash([9; 32]);

fn address(n: u32) -> Address {
    Address { id: EndpointId([n as u8; 32]), instance: Instance(n) }
}

fn entry(n: u32, name: &str) -> Entry<'_> {
    Entry { address: address(n), proof: [n as u8; 32], name }
}

const ENVELOPE: Envelope<'static> = Envelope { generation: 1, sequence: 2, signature: [3; 64], sealed: b"sealed" };

fn to_host() -> Vec<ToHost<'static>> {
    vec![
        ToHost::Join(Join { room: ROOM, verifier: [1; 32], proof: [2; 32], known: 7, name: "Ada" }),
        ToHost::Leave(ROOM),
        ToHost::Broadcast { room: ROOM, envelope: ENVELOPE },
    ]
}

fn to_member() -> Vec<ToMember<'static>> {
    let entries = vec![entry(1, "Ada"), entry(2, "")];
    vec![
        ToMember::Current { room: ROOM, version: 4 },
        ToMember::Joined { room: ROOM, version: 5, member: entry(3, "Grace") },
        ToMember::Left { room: ROOM, version: 6, address: address(3), reason: LeaveReason::Expired },
        ToMember::Refused { room: ROOM, reason: Refusal::Full },
        ToMember::Broadcast { room: ROOM, from: address(1), envelope: ENVELOPE },
        ToMember::Members(Members { room: ROOM, version: 3, since: 2, index: 0, total: 200, entries }),
    ]
}

#[test]
fn every_message_comes_back() {
    for message in to_host() {
        assert_eq!(message.room(), ROOM);
        assert_eq!(ToHost::decode(&message.encode()), Ok(message));
    }
    for message in to_member() {
        assert_eq!(message.room(), ROOM);
        assert_eq!(ToMember::decode(&message.encode()), Ok(message));
    }
}

#[test]
fn a_message_that_is_cut_short_or_continued_is_refused() {
    for message in &to_member()[..4] {
        let mut bytes = message.encode();
        for len in 0..bytes.len() {
            assert_eq!(ToMember::decode(&bytes[..len]), Err(RoomError::Malformed(Malformed::Truncated)));
        }
        bytes.push(0);
        assert_eq!(ToMember::decode(&bytes), Err(RoomError::Trailing));
    }
}

#[test]
fn each_broken_rule_has_its_own_error() {
    assert_eq!(ToHost::decode(&[16]), Err(RoomError::Kind(16)));
    assert_eq!(ToMember::decode(&[0]), Err(RoomError::Kind(0)));
    let refused = [&[21][..], &ROOM.0, &[77]].concat();
    assert_eq!(ToMember::decode(&refused), Err(RoomError::Reason(UnknownReason(77))));
    let mut chunk = ToMember::Members(Members {
        room: ROOM,
        version: 1,
        since: 1,
        index: 0,
        total: 1,
        entries: vec![entry(1, "x"); 300],
    });
    let len = chunk.encode().len();
    assert_eq!(ToMember::decode(&chunk.encode()), Err(RoomError::Chunk(len)));
    let ToMember::Members(members) = &mut chunk else { unreachable!() };
    members.entries.clear();
    let mut number = chunk.encode();
    number.truncate(1 + 32 + 8 + 8);
    put_varint(&mut number, 1 << 32);
    assert_eq!(ToMember::decode(&number), Err(RoomError::Number));
}

#[test]
fn a_name_is_short_and_harmless_to_a_terminal() {
    let join = |name| ToHost::Join(Join { room: ROOM, verifier: [0; 32], proof: [0; 32], known: 0, name }).encode();
    let longest = "x".repeat(MAX_NAME);
    for good in ["", "Ada", "Zoë 🦀", &longest] {
        assert!(ToHost::decode(&join(good)).is_ok(), "{good}");
    }
    for bad in [&format!("{longest}x"), "\x1b[2J", "two\nlines"] {
        assert_eq!(ToHost::decode(&join(bad)), Err(RoomError::Name), "{bad:?}");
    }
}

#[test]
fn a_list_of_any_length_is_cut_into_chunks_that_each_hold_whole_entries() {
    for total in [0, 1, 300, 1000] {
        let head = Members { room: ROOM, version: 1, since: 1, index: 0, total, entries: Vec::new() };
        let (mut seen, mut next) = (Vec::new(), 0);
        head.in_chunks((0..total).map(|n| entry(n, "a name")), |bytes| {
            let Ok(ToMember::Members(part)) = ToMember::decode(bytes) else { panic!("{bytes:?}") };
            assert_eq!((part.index, part.total), (next, total));
            next += 1;
            seen.extend(part.entries.iter().map(|entry| entry.address.instance.0));
        });
        assert_eq!(seen, (0..total).collect::<Vec<_>>());
    }
}
