//! What a peer may not do, and what it can't do.

use super::*;

#[test]
fn each_rule_of_fragments_has_its_name() {
    let huge = vec![0; 60_000];
    let five: Vec<_> = (0..5).map(|at| if at == 0 { first(0, 0, &huge) } else { middle(at, 0, &huge) }).collect();
    let cases: [(&[Data<'_>], Broken); 8] = [
        (&[whole(0, 0, b"a"), middle(1, 1, b"b")], Broken::FragmentWithoutBegin),
        (&[first(0, 0, b"a"), first(1, 1, b"b")], Broken::BeginWithinMessage),
        (&[first(0, 0, b"a"), whole(1, 1, b"b")], Broken::BeginWithinMessage),
        (&[middle(1, 0, b"b"), first(2, 1, b"c")], Broken::BeginWithinMessage),
        (&[first(0, 0, b"a"), last(1, 1, b"b")], Broken::FragmentsDiffer),
        (&[last(1, 0, b"b"), Data { ppid: 51, ..first(0, 0, b"a") }], Broken::FragmentsDiffer),
        (&[Data { is_interleaved: true, ..whole(0, 0, b"a") }], Broken::WrongDataKind),
        (&five, Broken::MessageTooLarge),
    ];
    for (chunks, broken) in cases {
        let mut inbound = inbound(&Config::default(), false, false);
        assert_eq!(feed(&mut inbound, chunks), Err(broken), "{:?}", chunks.last().map(|data| data.tsn));
    }
}

#[test]
fn a_message_too_large_is_found_out_of_order_too() {
    let mut inbound = plain();
    let piece = vec![0; 60_000];
    let chunks: Vec<_> = (1..6).map(|at| middle(at, 0, &piece)).collect();
    assert_eq!(feed(&mut inbound, &chunks), Err(Broken::MessageTooLarge));
}

#[test]
fn skipping_needs_agreement_the_right_kind_and_measure() {
    let to = FIRST.add(1);
    assert_eq!(forward(&mut inbound(&Config::default(), false, false), to, false, &[]), Err(Broken::UnexpectedForward));
    assert_eq!(forward(&mut plain(), to, true, &[]), Err(Broken::UnexpectedForward));
    assert_eq!(forward(&mut plain(), FIRST.add(1 << 30), false, &[]), Err(Broken::SkippedUnsent));
}

#[test]
fn a_stream_that_was_not_agreed_on_is_acknowledged_and_told() {
    let mut inbound = plain();
    feed(&mut inbound, &[Data { stream: 65_535, ..whole(0, 0, b"a") }]).unwrap();
    assert_eq!((inbound.take_invalid_stream(), inbound.take_invalid_stream()), (Some(65_535), None));
    assert_eq!((inbound.cumulative(), inbound.peek()), (FIRST, None));
}

#[test]
fn what_lies_too_far_ahead_or_makes_too_many_ranges_is_not_taken() {
    let mut inbound = plain();
    feed(&mut inbound, &[whole(65_535, 0, b"a")]).unwrap();
    assert_eq!(inbound.statistics().too_far, 1);
    for at in 1..600 {
        feed(&mut inbound, &[whole(2 * at, at, b"a")]).unwrap();
    }
    assert_eq!(inbound.statistics().too_far, 1 + 599 - 512);
    feed(&mut inbound, &[whole(3, 2, b"a")]).unwrap();
    assert_eq!(inbound.statistics().too_far, 1 + 599 - 512, "what joins ranges is taken");
}

#[test]
fn fragments_of_one_byte_cost_the_window_what_they_cost_here() {
    let mut inbound = inbound(&Config { receive_window: 12_800, ..Config::default() }, false, true);
    for at in 1..1_000 {
        feed(&mut inbound, &[Data { is_unordered: true, ..middle(2 * at, at, b"a") }]).unwrap();
    }
    assert!(inbound.statistics().no_room > 0 || inbound.statistics().too_far > 0);
    assert!(inbound.assembly.charge() <= 12_800 + (256 << 10));
}

#[test]
fn unfinished_messages_that_use_up_all_room_break_the_association_rather_than_stall_it() {
    let config = Config { receive_window: 8_192, max_message: 4_096, ..Config::default() };
    let mut inbound = inbound(&config, true, true);
    let piece = [0; 1_000];
    let broken = (0..1_000).find_map(|at| {
        let data = Data { stream: (at % 100) as u16, is_interleaved: true, ..first(at, at / 100, &piece) };
        feed(&mut inbound, &[data]).err()
    });
    assert_eq!(broken, Some(Broken::UnfinishedMessages));
}

#[test]
fn what_comes_after_the_window_is_closed_is_bounded() {
    let config = Config { receive_window: 8_192, max_message: 4_096, ..Config::default() };
    let mut inbound = inbound(&config, false, true);
    let bytes = [0; 1_000];
    for at in 0..1_000 {
        feed(&mut inbound, &[whole(at, at, &bytes)]).unwrap();
    }
    assert!(inbound.statistics().no_room > 900);
    assert!(inbound.inbox.charge() <= 8_192 + 2 * 4_096 + (64 << 10) + 1_016);
}
