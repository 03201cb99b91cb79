//! Fragments become messages, messages come in order.

use super::*;

#[test]
fn whole_messages_and_fragments_in_order_come_as_they_were() {
    let mut inbound = plain();
    feed(&mut inbound, &[whole(0, 0, b"a"), first(1, 1, b"b"), middle(2, 1, b"c"), last(3, 1, b"d")]).unwrap();
    assert_eq!(inbound.peek().map(|next| (next.stream, next.ppid, next.len)), Some((1, 53, 1)));
    assert_eq!(taken(&mut inbound), [b"a".to_vec(), b"bcd".to_vec()]);
}

#[test]
fn a_lost_fragment_is_waited_for_by_its_message_and_its_stream_only() {
    let mut inbound = plain();
    let other = Data { stream: 2, ..whole(4, 0, b"other") };
    let loose = Data { is_unordered: true, ..whole(5, 0, b"loose") };
    feed(&mut inbound, &[first(0, 0, b"a"), last(2, 0, b"c"), whole(3, 1, b"d"), other, loose]).unwrap();
    assert_eq!(taken(&mut inbound), [b"other".to_vec(), b"loose".to_vec()]);
    feed(&mut inbound, &[middle(1, 0, b"b")]).unwrap();
    assert_eq!(taken(&mut inbound), [b"abc".to_vec(), b"d".to_vec()]);
}

#[test]
fn fragments_may_come_in_reverse() {
    let mut inbound = plain();
    feed(&mut inbound, &[last(3, 0, b"d"), middle(2, 0, b"c"), middle(1, 0, b"b"), first(0, 0, b"a")]).unwrap();
    assert_eq!(taken(&mut inbound), [b"abcd".to_vec()]);
    assert_eq!(inbound.window(), 1 << 20);
}

#[test]
fn the_number_of_unordered_fragments_says_nothing() {
    let of = |data| Data { is_unordered: true, ..data };
    let (a, b, c) = (of(first(0, 7, b"a")), of(middle(1, 8, b"b")), of(last(2, 9, b"c")));
    for chunks in [[a, b, c], [c, b, a]] {
        let mut inbound = plain();
        feed(&mut inbound, &chunks).unwrap();
        assert_eq!(taken(&mut inbound), [b"abc".to_vec()]);
    }
}

#[test]
fn a_forward_tsn_gives_up_one_message_and_lets_those_behind_it_pass() {
    let mut inbound = plain();
    feed(&mut inbound, &[first(0, 0, b"given up"), whole(2, 1, b"b")]).unwrap();
    assert_eq!(taken(&mut inbound).len(), 0);
    forward(&mut inbound, FIRST.add(1), false, &[skipped(0)]).unwrap();
    assert_eq!(taken(&mut inbound), [b"b".to_vec()]);
    assert_eq!(inbound.cumulative(), FIRST.add(2));
    assert_eq!(inbound.statistics().stale, 1);
}

#[test]
fn a_forward_tsn_gives_out_what_is_whole_among_what_it_skips() {
    let mut inbound = plain();
    feed(&mut inbound, &[whole(1, 1, b"b"), whole(3, 3, b"d"), whole(4, 4, b"e")]).unwrap();
    forward(&mut inbound, FIRST.add(2), false, &[skipped(2)]).unwrap();
    assert_eq!(taken(&mut inbound), [b"b".to_vec(), b"d".to_vec(), b"e".to_vec()]);
}

#[test]
fn a_forward_tsn_may_end_within_a_message_that_is_not_given_up() {
    let mut inbound = plain();
    feed(&mut inbound, &[Data { stream: 2, ..first(1, 0, b"ke") }, Data { stream: 2, ..middle(2, 0, b"p") }]).unwrap();
    forward(&mut inbound, FIRST.add(2), false, &[skipped(0)]).unwrap();
    feed(&mut inbound, &[Data { stream: 2, ..last(3, 0, b"t") }]).unwrap();
    assert_eq!(taken(&mut inbound), [b"kept".to_vec()]);
}

#[test]
fn a_message_given_up_may_have_no_end_and_its_rest_may_still_come() {
    let mut inbound = plain();
    feed(&mut inbound, &[first(0, 0, b"no end"), whole(1, 1, b"b")]).unwrap();
    forward(&mut inbound, FIRST.add(3), false, &[skipped(0)]).unwrap();
    feed(&mut inbound, &[middle(4, 2, b"rest"), last(5, 2, b"rest"), whole(6, 2, b"c")]).unwrap();
    assert_eq!(taken(&mut inbound), [b"b".to_vec(), b"c".to_vec()]);
}

#[test]
fn a_fragment_that_came_right_after_what_is_skipped_goes_with_its_begin() {
    let mut inbound = plain();
    feed(&mut inbound, &[middle(2, 0, b"no begin")]).unwrap();
    forward(&mut inbound, FIRST.add(1), false, &[skipped(0)]).unwrap();
    assert_eq!((inbound.cumulative(), inbound.assembly.charge()), (FIRST.add(2), 0));
    feed(&mut inbound, &[last(3, 0, b"no begin"), whole(4, 1, b"next")]).unwrap();
    assert_eq!((taken(&mut inbound), inbound.assembly.charge()), (vec![b"next".to_vec()], 0));
}

#[test]
fn interleaved_messages_come_as_each_is_whole() {
    let mut inbound = inbound(&Config::default(), true, true);
    let of = |stream, data| Data { stream, is_interleaved: true, ..data };
    let chunks = [
        of(1, first(0, 0, b"a")),
        of(2, first(1, 0, b"x")),
        of(1, Data { fragment: 1, ..middle(2, 0, b"b") }),
        of(2, Data { fragment: 1, ..last(3, 0, b"y") }),
        of(1, Data { fragment: 2, ..last(4, 0, b"c") }),
    ];
    feed(&mut inbound, &chunks).unwrap();
    assert_eq!(taken(&mut inbound), [b"xy".to_vec(), b"abc".to_vec()]);
}

#[test]
fn an_i_forward_tsn_skips_ordered_and_unordered_messages_apart() {
    let mut inbound = inbound(&Config::default(), true, true);
    let of = |is_unordered, data| Data { is_unordered, is_interleaved: true, ..data };
    let chunks = [of(false, first(0, 0, b"a")), of(true, first(1, 0, b"u")), of(false, whole(3, 1, b"b"))];
    feed(&mut inbound, &chunks).unwrap();
    forward(&mut inbound, FIRST.add(2), true, &[skipped(0)]).unwrap();
    feed(&mut inbound, &[of(true, Data { fragment: 1, ..last(4, 0, b"v") })]).unwrap();
    assert_eq!(taken(&mut inbound), [b"b".to_vec(), b"uv".to_vec()]);
    assert_eq!(inbound.window(), 1 << 20);
}

#[test]
fn a_stream_that_was_reset_counts_from_the_beginning() {
    let mut inbound = plain();
    feed(&mut inbound, &[whole(0, 0, b"a"), whole(1, 5, b"never")]).unwrap();
    inbound.reset(1);
    feed(&mut inbound, &[whole(2, 0, b"b")]).unwrap();
    assert_eq!(taken(&mut inbound), [b"a".to_vec(), b"b".to_vec()]);
    assert_eq!(inbound.window(), 1 << 20);
}

#[test]
fn a_forward_tsn_repeated_after_a_reset_skips_nothing_of_the_streams_new_life() {
    let mut inbound = plain();
    forward(&mut inbound, FIRST, false, &[skipped(7)]).unwrap();
    inbound.reset(1);
    forward(&mut inbound, FIRST, false, &[skipped(7)]).unwrap();
    feed(&mut inbound, &[whole(1, 0, b"new")]).unwrap();
    assert_eq!(taken(&mut inbound), [b"new".to_vec()]);
}

#[test]
fn messages_of_a_held_stream_stay_while_others_pass() {
    let mut inbound = plain();
    inbound.hold(1, true);
    let other = Data { stream: 2, ..whole(1, 0, b"other") };
    feed(&mut inbound, &[whole(0, 0, b"a"), other, whole(2, 1, b"b")]).unwrap();
    inbound.mark(1);
    assert_eq!(taken(&mut inbound), [b"other".to_vec()]);
    assert_eq!(inbound.window(), (1 << 20) - 2 - 3 * 16);
    inbound.hold(1, false);
    assert_eq!(inbound.take().map(|received| received.bytes), Some(b"a".as_slice()));
    inbound.hold(1, true);
    assert_eq!(inbound.peek(), None);
    inbound.hold(1, false);
    assert_eq!(inbound.take().map(|received| received.bytes), Some(b"b".as_slice()));
    assert!(inbound.peek().is_some_and(|next| next.is_mark));
    assert_eq!(taken(&mut inbound).len(), 1);
    assert_eq!(inbound.window(), 1 << 20);
}
