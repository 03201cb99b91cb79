//! Feeds `switchboard_fuzz::data_peer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::data_peer(data));
