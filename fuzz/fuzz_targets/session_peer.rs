//! Feeds `switchboard_fuzz::session_peer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::session_peer(data));
