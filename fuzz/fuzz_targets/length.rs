//! Feeds `switchboard_fuzz::length`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::length(data));
