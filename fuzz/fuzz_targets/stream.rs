//! Feeds `switchboard_fuzz::stream`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::stream(data));
