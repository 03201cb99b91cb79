//! What receiving costs: no allocation once a transfer is going, and none kept by who rests.

use allocation_counter::measure;

use super::*;

/// Sends `count` messages of some fragments from that chunk on, and takes each as it is whole.
fn stream(inbound: &mut Inbound, from: &mut u32, message: &mut u32, count: u32, fragments: u32, payload: &[u8]) {
    for _ in 0..count {
        for fragment in 0..fragments {
            let is_end = fragment + 1 == fragments;
            let data = Data { is_begin: fragment == 0, is_end, ..whole(*from, *message, payload) };
            inbound.on_data(&data).unwrap();
            inbound.packet_ends(Instant::ZERO);
            *from += 1;
        }
        *message += 1;
        assert!(inbound.take().is_some_and(|received| received.bytes.len() == payload.len() * fragments as usize));
    }
}

#[test]
fn messages_in_order_cost_no_allocation() {
    let payload = [7; 1_100];
    for (fragments, len) in [(1, 64), (1, 1_100), (15, 1_100), (200, 1_100)] {
        let (mut inbound, mut from, mut message) = (plain(), 0, 0);
        stream(&mut inbound, &mut from, &mut message, 50, fragments, &payload[..len]);
        let counted = measure(|| stream(&mut inbound, &mut from, &mut message, 200, fragments, &payload[..len]));
        assert_eq!(counted.count_total, 0, "{fragments} fragments of {len} bytes");
    }
}

#[test]
fn who_rests_keeps_no_memory_but_its_streams() {
    let mut inbound = None;
    let counted = measure(|| {
        let made = inbound.insert(plain());
        let payload = [7; 1_100];
        for at in 0..500 {
            feed(made, &[whole(at, at, &payload)]).unwrap();
        }
        let late = first(500, 500, &payload);
        feed(made, &[first(502, 501, &payload), last(503, 501, &payload), last(501, 500, &payload), late]).unwrap();
        taken(made);
        made.trim();
    });
    assert!(counted.bytes_current < 1_024, "{counted:?}");
}
