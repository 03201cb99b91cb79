//! Feeds `switchboard_fuzz::candidate`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::candidate(data));
