//! Watches the nonces of all that is sealed.

use std::cell::RefCell;
use std::collections::BTreeSet;

type Used = BTreeSet<([u8; 32], [u8; 12])>;

std::thread_local! {
    static USED: RefCell<Option<Used>> = const { RefCell::new(None) };
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
