//! Any chunk comes back as it was written, any bytes are read without harm.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

/// A chunk with what it lends.
#[derive(Debug, Clone)]
enum Owned {
    Data(DataHead, Vec<u8>),
    Sack(u32, u32, Vec<(u16, u16)>, Vec<u32>),
    Forward(u32, bool, Vec<(u16, bool, u32)>),
    Reset(u32, u32, u32, Vec<u16>),
    TwoResponses([(u32, u32); 2]),
    Causes(bool, Vec<(u16, Vec<u8>)>),
    Other(u8, u8, Vec<u8>),
    Pad(usize),
}

fn data() -> impl Strategy<Value = Owned> {
    let flags = any::<(bool, bool, bool, bool, bool)>();
    (flags, any::<(u32, u16, u32, u32, u32)>(), vec(any::<u8>(), 1..60)).prop_map(|(flags, numbers, payload)| {
        let (is_interleaved, is_unordered, is_begin, is_end, is_immediate) = flags;
        let (tsn, stream, ppid, message, fragment) = numbers;
        let head = DataHead {
            tsn: Tsn(tsn),
            stream,
            ppid: if is_interleaved && !is_begin { 0 } else { ppid },
            is_unordered,
            is_begin,
            is_end,
            is_immediate,
            is_interleaved,
            message: if is_interleaved { message } else { message & 0xffff },
            fragment: if is_interleaved && !is_begin { fragment } else { 0 },
            len: payload.len(),
        };
        Owned::Data(head, payload)
    })
}

fn owned() -> impl Strategy<Value = Owned> {
    let gap = (1..=u16::MAX, any::<u16>()).prop_map(|(start, more)| (start, start.saturating_add(more)));
    let other = prop_oneof![Just(4_u8), Just(5), Just(10), 15..64_u8, 133..192_u8];
    prop_oneof![
        data(),
        (any::<u32>(), any::<u32>(), vec(gap, 0..6), vec(any::<u32>(), 0..4))
            .prop_map(|(tsn, window, gaps, duplicates)| Owned::Sack(tsn, window, gaps, duplicates)),
        (any::<u32>(), any::<bool>(), vec(any::<(u16, bool, u32)>(), 0..4))
            .prop_map(|(tsn, is_interleaved, streams)| Owned::Forward(tsn, is_interleaved, streams)),
        (any::<(u32, u32, u32)>(), vec(any::<u16>(), 0..5))
            .prop_map(|((a, b, c), streams)| Owned::Reset(a, b, c, streams)),
        any::<[(u32, u32); 2]>().prop_map(Owned::TwoResponses),
        (any::<bool>(), vec((any::<u16>(), vec(any::<u8>(), 0..9)), 0..3))
            .prop_map(|(bit, list)| Owned::Causes(bit, list)),
        (other, any::<u8>(), vec(any::<u8>(), 4..20)).prop_map(|(kind, flags, value)| Owned::Other(kind, flags, value)),
        (4..30_usize).prop_map(Owned::Pad),
    ]
}

impl Owned {
    fn write(&self, packet: &mut Packet<'_>) -> bool {
        match self {
            Self::Data(head, payload) => {
                if packet.room() < DataHead::head_len(head.is_interleaved) + payload.len() {
                    return false;
                }
                packet.data(head);
                packet.payload(payload);
                packet.pad_chunk();
                true
            }
            Self::Sack(tsn, window, gaps, duplicates) => {
                packet.sack(Tsn(*tsn), *window, gaps.iter().copied(), duplicates.iter().copied().map(Tsn))
            }
            Self::Forward(tsn, is_interleaved, streams) => {
                let skipped = streams.iter().map(|(stream, is_unordered, message)| Skipped {
                    stream: *stream,
                    is_unordered: *is_unordered && *is_interleaved,
                    message: if *is_interleaved { *message } else { message & 0xffff },
                });
                packet.forward_tsn(Tsn(*tsn), *is_interleaved, skipped).is_some()
            }
            Self::Reset(request, response, last, streams) => {
                let (request, response, last) = (*request, *response, Tsn(*last));
                packet.reconfig(&[Request::OutgoingReset { request, response, last, streams: Streams::of(streams) }])
            }
            Self::TwoResponses(both) => {
                packet.reconfig(&both.map(|(request, result)| Request::Response { request, result, next: None }))
            }
            Self::Causes(is_abort, list) => {
                let causes: Vec<_> = list.iter().map(|(code, value)| Cause { code: *code, value }).collect();
                if *is_abort { packet.abort(true, &causes) } else { packet.error(&causes) }
            }
            Self::Other(kind, flags, value) => packet.chunk(*kind, *flags, value),
            Self::Pad(len) => packet.pad(*len),
        }
    }

    fn check(&self, chunk: &Chunk<'_>) {
        match (self, chunk) {
            (Self::Data(expected, payload), Chunk::Data(data)) => {
                assert_eq!((&DataHead::from(data), data.payload), (expected, &payload[..]))
            }
            (Self::Sack(tsn, window, gaps, duplicates), Chunk::Sack(sack)) => {
                assert_eq!((sack.cumulative, sack.window), (Tsn(*tsn), *window));
                assert!(
                    sack.gaps().eq(gaps.iter().copied()) && sack.duplicates().eq(duplicates.iter().copied().map(Tsn))
                );
            }
            (Self::Forward(tsn, is_interleaved, streams), Chunk::ForwardTsn(forward)) => {
                assert_eq!((forward.cumulative, forward.is_interleaved), (Tsn(*tsn), *is_interleaved));
                assert!(forward.streams().map(|skipped| skipped.stream).eq(streams.iter().map(|(stream, ..)| *stream)));
            }
            (Self::Causes(_, list), Chunk::Abort(causes) | Chunk::Error(causes)) => {
                assert!(
                    causes
                        .map(|cause| (cause.code, cause.value))
                        .eq(list.iter().map(|(code, value)| (*code, &value[..])))
                );
            }
            (
                Self::Other(_, _, value),
                Chunk::Heartbeat(read) | Chunk::HeartbeatAck(read) | Chunk::CookieEcho(read),
            ) => {
                assert_eq!(read, value);
            }
            (Self::Other(kind, flags, value), read) => {
                assert_eq!(*read, Chunk::Unknown { kind: *kind, flags: *flags, value });
            }
            (Self::Reset(..) | Self::TwoResponses(_), Chunk::Reconfig(_)) | (Self::Pad(_), Chunk::Pad) => {}
            other => panic!("{other:?}"),
        }
    }

    fn is_before_others(&self) -> bool {
        !matches!(self, Self::Other(kind, ..) if !kind::is_skipped(*kind))
    }
}

/// A packet of these, as many of them as fit and as its rules allow.
fn build(chunks: &[Owned], limit: usize) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    let mut packet = Packet::begin(&mut out, &HEADER, limit);
    let mut count = 0;
    for chunk in chunks {
        if matches!(chunk, Owned::Other(10, ..)) && count > 0 {
            break;
        }
        if !chunk.write(&mut packet) {
            break;
        }
        count += 1;
        if matches!(chunk, Owned::Other(15.., ..)) && !chunk.is_before_others() {
            break;
        }
    }
    packet.finish(true);
    (out, count)
}

fn channel_type() -> impl Strategy<Value = dcep::ChannelType> {
    use dcep::ChannelType as Type;
    prop::sample::select(vec![
        Type::Reliable,
        Type::ReliableUnordered,
        Type::Retransmits,
        Type::RetransmitsUnordered,
        Type::Lifetime,
        Type::LifetimeUnordered,
    ])
}

/// Where the padding of each chunk lies.
fn padding(packet: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut at, mut found) = (COMMON_HEADER, Vec::new());
    while at < packet.len() {
        let len = usize::from(u16_at(packet, at + 2));
        found.push(at + len..at + len.next_multiple_of(4));
        at += len.next_multiple_of(4);
    }
    found
}

proptest! {
    #[test]
    fn chunks_come_back_as_they_were_written(chunks in vec(owned(), 1..8)) {
        let (packet, count) = build(&chunks, 1200);
        prop_assume!(count > 0);
        let (header, read) = parse(&packet, Checksum::Required).unwrap();
        prop_assert_eq!(header, HEADER);
        let read: Vec<_> = read.map(Result::unwrap).collect();
        prop_assert_eq!(read.len(), count);
        chunks.iter().zip(&read).for_each(|(owned, chunk)| owned.check(chunk));
        let mut again = Vec::new();
        let mut second = Packet::begin(&mut again, &header, packet.len());
        for chunk in read.iter().filter(|chunk| **chunk != Chunk::Pad) {
            prop_assert!(write(&mut second, chunk));
        }
    }

    #[test]
    fn a_packet_stays_within_any_limit(chunks in vec(owned(), 1..8), limit in 0_usize..300) {
        let (packet, _) = build(&chunks, limit);
        prop_assert!(packet.len() <= limit.max(COMMON_HEADER));
        prop_assert_eq!(packet.len() % 4, 0);
    }

    #[test]
    fn padding_may_be_anything_and_lack_at_the_end(chunks in vec(owned(), 1..8), filling: u8, left in 0_usize..4) {
        let (mut packet, count) = build(&chunks, 1200);
        prop_assume!(count > 0);
        packet[8..12].fill(0);
        let clean = packet.clone();
        let ranges = padding(&packet);
        for range in &ranges {
            packet[range.clone()].fill(filling);
        }
        let last = ranges.last().unwrap();
        packet.truncate((last.start + left).min(last.end));
        prop_assert_eq!(read(&packet), read(&clean));
    }

    #[test]
    fn requests_come_back_as_they_were_written(numbers: [u32; 3], list: Vec<u16>, bit: bool, next: Option<(u32, u32)>) {
        let [request, response, last] = numbers;
        let streams = Streams::of(&list[..list.len().min(40)]);
        let all = [
            Request::OutgoingReset { request, response, last: Tsn(last), streams },
            Request::IncomingReset { request, streams },
            Request::TsnReset { request },
            Request::AddStreams { request, is_outgoing: bit, count: response as u16 },
            Request::Response { request, result: last, next: next.map(|(own, yours)| (Tsn(own), Tsn(yours))) },
        ];
        let pairs = [[all[0], all[1]], [all[4], all[0]]];
        for requests in all.chunks(1).chain(pairs.iter().map(|pair| &pair[..])) {
            let packet = packet(|packet| assert!(packet.reconfig(requests)));
            let Chunk::Reconfig(read) = only(&packet) else { panic!() };
            prop_assert_eq!(read.collect::<Vec<_>>(), requests);
        }
    }

    #[test]
    fn an_init_comes_back_as_it_was_written(
        tag in 1_u32.., window in LEAST_WINDOW.., outbound in 1_u16.., tsn: u32,
        cookie: Option<[u8; 9]>, forward: bool, zero: Option<u32>, extensions: Option<[u8; 3]>,
    ) {
        let head = InitHead { tag, window, outbound_streams: outbound, inbound_streams: 9, initial_tsn: Tsn(tsn) };
        let parameters: Vec<_> = [
            cookie.as_ref().map(|cookie| Parameter::Cookie(cookie)),
            extensions.as_ref().map(|kinds| Parameter::Extensions(kinds)),
            forward.then_some(Parameter::ForwardTsn),
            zero.map(Parameter::ZeroChecksum),
            Some(Parameter::Unrecognized(&[0xff, 1, 0, 5, 2])),
        ].into_iter().flatten().collect();
        let packet = packet(|packet| assert!(packet.init(true, &head, &parameters)));
        let Chunk::InitAck(init) = only(&packet) else { panic!() };
        prop_assert_eq!(init_head(&init), head);
        prop_assert_eq!((init.cookie(), init.zero_checksum()), (cookie.as_ref().map(|cookie| &cookie[..]), zero));
        prop_assert_eq!(init.is_forward_tsn(), forward);
        prop_assert!(extensions.into_iter().flatten().all(|kind| init.supports(kind)));
    }

    #[test]
    fn a_channel_comes_back_as_it_was_written(
        channel_type in channel_type(), priority: u16, reliability: u32, label: String, protocol: String,
    ) {
        let (label, protocol) = (&label[..], &protocol[..]);
        let open = dcep::Open { channel_type, priority, reliability, label, protocol };
        let open = dcep::Message::Open(open);
        let mut bytes = Vec::new();
        open.emit(&mut bytes);
        prop_assert_eq!(dcep::Message::parse(&bytes), Ok(open));
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes in vec(any::<u8>(), 0..200)) {
        let _ = read(&packet_of(&bytes));
        let _ = parse(&bytes, Checksum::Required);
        let _ = Init::parse(&bytes);
        let _ = dcep::Message::parse(&bytes);
    }

    #[test]
    fn altered_packets_are_read_without_harm(
        chunks in vec(owned(), 1..5), changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
    ) {
        let (mut packet, _) = build(&chunks, 1200);
        for (place, byte) in changes {
            let place = place.index(packet.len());
            packet[place] = byte;
        }
        packet[8..12].fill(0);
        let Ok((_, chunks)) = parse(&packet, Checksum::MayBeZero) else { return Ok(()) };
        let words: usize = chunks.map(|chunk| format!("{chunk:?}").len()).sum();
        prop_assert!(words < 100 * packet.len());
    }
}
