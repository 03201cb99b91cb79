//! What a connection costs in the long run.

use super::dimpl_partner::VERSIONS;
use super::pair::Pair;

#[test]
fn neither_sealing_nor_opening_allocates() {
    for version in VERSIONS {
        let mut pair = Pair::established(version);
        let (mut datagram, now) = (Vec::with_capacity(2_000), pair.now);
        let counted = allocation_counter::measure(|| {
            for number in 0..1_000u32 {
                datagram.clear();
                let start = pair.ends[0].begin(&mut datagram);
                datagram.extend_from_slice(&[number as u8; 1_172]);
                assert!(pair.ends[0].seal(now, &mut datagram, start));
                assert_eq!(datagram.len(), 1_172 + pair.ends[0].overhead());
                let mut delivered = 0;
                pair.ends[1].receive(now, &mut datagram, |data| delivered += data.len());
                assert_eq!(delivered, 1_172);
                assert!(!pair.ends[1].fill(now, &mut datagram));
            }
        });
        assert_eq!(counted.count_total, 0, "{version:?}");
    }
}

#[test]
fn a_connection_is_small_once_it_has_taken_over() {
    for version in VERSIONS {
        let bytes = |pair: &mut Pair| {
            pair.settle();
            let counted = allocation_counter::measure(|| pair.ends[0].close(pair.now));
            -counted.bytes_current
        };
        let freed = bytes(&mut Pair::established(version));
        assert!(freed < 4_096, "{version:?}: {freed}");
        println!("{version:?}: {freed} bytes");
    }
}
