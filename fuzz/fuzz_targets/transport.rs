//! Feeds `switchboard_fuzz::transport`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::transport(data));
