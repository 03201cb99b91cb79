//! Feeds `switchboard_fuzz::gatherer`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::gatherer(data));
