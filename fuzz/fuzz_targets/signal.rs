//! Feeds `switchboard_fuzz::signal`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::signal(data));
