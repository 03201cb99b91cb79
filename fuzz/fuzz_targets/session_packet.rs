//! Feeds `switchboard_fuzz::session_packet`.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| switchboard_fuzz::session_packet(data));
