//! Feeds `switchboard_fuzz::peer_pair`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::peer_pair(data));
