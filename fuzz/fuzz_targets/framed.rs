//! Feeds `switchboard_fuzz::framed`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::framed(data));
