//! Feeds `switchboard_fuzz::negotiation`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::negotiation(data));
