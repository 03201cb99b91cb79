//! Watches the nonces of all that is sealed, and the keys that are set up.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

type Used = BTreeSet<([u8; 32], [u8; 12])>;

std::thread_local! {
    static USED: RefCell<Option<Used>> = const { RefCell::new(None) };
    static KEYS: Cell<u64> = const { Cell::new(0) };
}

/// How many keys this thread has set up. They lie where no allocation of ours is counted.
pub(super) fn keys() -> u64 {
    KEYS.get()
}

pub(in super::super) fn key_made() {
    KEYS.set(KEYS.get() + 1);
}

/// Counts the nonces that `run` uses. Panics if one is used twice under one key.
pub(in super::super) fn watched(run: impl FnOnce()) -> usize {
    USED.set(Some(Used::new()));
    run();
    USED.take().unwrap().len()
}

pub(in super::super) fn used(key: &[u8; 32], nonce: [u8; 12]) {
    USED.with_borrow_mut(|used| {
        let is_new = used.as_mut().is_none_or(|used| used.insert((*key, nonce)));
        assert!(is_new, "the nonce {nonce:?} was used twice");
    });
}
